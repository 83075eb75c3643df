//! What deciding costs: whole campaigns in virtual time against a cloud that always says yes.
//!
//! The throughput is in steps, inventory pages included. `refit bench engine` has the large ones,
//! with the longest step.

use divan::Bencher;
use divan::counter::ItemsCount;

use refit::cli::bench::load::{Campaign, Load};
use refit::model::Millis;

fn main() {
    divan::main();
}

#[divan::bench(args = [1_000, 10_000], max_time = 4)]
fn campaign(bencher: Bencher, targets: usize) {
    run(bencher, targets, 0);
}

/// A tag value per ten instances, with one unavailable at most.
#[divan::bench(args = [1_000, 10_000], max_time = 4)]
fn campaign_in_groups(bencher: Bencher, targets: usize) {
    run(bencher, targets, 10);
}

fn run(bencher: Bencher, targets: usize, group_size: usize) {
    let load = Load {
        targets,
        max_in_flight: 900,
        starts_per_minute: 600,
        burst: 100,
        task: Millis::from_mins(10),
        settle: Millis::from_mins(2),
        poll_interval: Millis::from_secs(15),
        group_size,
    };
    let mut once = Campaign::begin(load);
    once.run();
    bencher
        .counter(ItemsCount::new(once.measured.steps))
        .with_inputs(|| Campaign::begin(load))
        .bench_local_refs(Campaign::run);
}
