//! How often a task is watched: by how long upgrades of its own class took, and not by others.

use std::path::Path;

use refit::cli::scenario;
use refit::model::{CacheMode, Millis, Wall};
use refit::rehearse::{Host, Mischief, Setup};
use refit::sim::world::{FaultProfile, Knobs, World};

/// Clusters take an hour, others seven minutes: the first cluster at midnight, the others six hours
/// later, the second cluster at noon.
const STORY: &str = r#"
begin = 2026-03-01T23:40:00
[[world.project]]
instance = [
  { name = "big-1", cache_mode = "cluster", takes = "60m" },
  { name = "big-2", cache_mode = "cluster", takes = "60m" },
  { name = "small", takes = "7m", count = 3 },
]
[windows]
midnight = { cron = "0 0 0 * * *", duration = "3h", cutoff = "15m" }
six = { cron = "0 0 6 * * *", duration = "3h", cutoff = "15m" }
noon = { cron = "0 0 12 * * *", duration = "3h", cutoff = "15m" }
[campaigns.first]
windows = ["midnight"]
select = { names = ["big-1"] }
[campaigns.others]
windows = ["six"]
select = { names = ["small-*"] }
[campaigns.second]
windows = ["noon"]
select = { names = ["big-2"] }
"#;

/// Between two watches where nothing is known yet, and what a read of the versions takes.
const SEEN_WITHIN: Millis = Millis::from_secs(60);

struct Night {
    host: Host,
    begin: Wall,
}

impl Night {
    fn new() -> Night {
        let read = scenario::read(Path::new("story.toml"), STORY.to_owned());
        let story = read.unwrap_or_else(|findings| panic!("{findings}")).scenario;
        let host = Host::new(Setup {
            settings: story.settings,
            world: World::new(story.world, Knobs::default(), FaultProfile::calm(), 1),
            begin: story.begin,
            seed: 1,
            mischief: Mischief::default(),
        });
        Night { host, begin: story.begin + Millis::from_mins(20) }
    }

    /// So many reads of tasks until that hour.
    fn watches_until(&mut self, hour: i64) -> u32 {
        let calls = |host: &Host| host.calls().task_centre + host.calls().instance_tasks;
        let before = calls(&self.host);
        self.host.run(self.begin + Millis::from_hours(hour), 1_000_000, |_| false);
        assert_eq!(self.host.violations(), []);
        u32::try_from(calls(&self.host) - before).unwrap()
    }

    fn took(&self, cache_mode: CacheMode) -> Vec<Millis> {
        let rows = self.host.store().rows();
        let row = rows.durations.iter().find(|row| row.class.cache_mode == cache_mode);
        row.map(|row| row.samples.iter().collect()).unwrap_or_default()
    }
}

#[test]
fn a_class_is_watched_by_its_own_shortest_upgrade_and_by_no_other_s() {
    let mut night = Night::new();
    let unknown = night.watches_until(5);
    assert_eq!(night.took(CacheMode::Cluster).len(), 1);
    night.watches_until(11);
    let took = night.took(CacheMode::Ha);
    assert_eq!(took.len(), 3);
    let most = Millis::from_mins(7) + SEEN_WITHIN;
    assert!(took.iter().all(|took| *took <= most), "a long class hides their ends: {took:?}");
    let known = night.watches_until(15);
    assert_eq!(night.took(CacheMode::Cluster).len(), 2);
    assert!(known * 4 < unknown, "a short class costs reads: {known} after {unknown}");
}
