//! What a rehearsal costs: the production engine, the simulated cloud and the checker in virtual
//! time, as `refit rehearse` runs them, over six weeks of nightly windows.

use jiff::civil::time;

use super::load::{self, Load};
use super::{Figure, Show};
use crate::cli::failure::Failure;
use crate::clock;
use crate::exit::Exit;
use crate::model::calendar::Rule;
use crate::model::{Millis, Settings, Wall};
use crate::rehearse::{Host, Mischief, Setup};
use crate::sim::world::{
    FaultProfile, InstanceSpec, Knobs, ProjectSpec, SpanRange, World, WorldSpec,
};

const TARGETS: usize = 100_000;

const LASTS: Millis = Millis::from_hours(6 * 7 * 24);

/// Midnight of a Monday, 2026-03-02, UTC.
const BEGIN: Wall = Wall(1_772_409_600_000);

/// Windows of four hours with half an hour of cutoff take in some 2,500 starts each.
const STARTS_PER_MINUTE: u32 = 12;

/// More steps than the campaign can need.
const STEPS_MAX: u64 = 20_000_000;

/// # Errors
/// A figure cannot be shown, or the rehearsal breaks a rule.
pub fn measure(show: Show<'_>) -> Result<(), Failure> {
    for (group_size, groups) in [(0, "no groups"), (10, "groups of 10, one unavailable each")] {
        show(rehearsal(group_size, groups)?)?;
    }
    Ok(())
}

fn rehearsal(group_size: usize, groups: &str) -> Result<Figure, Failure> {
    let begun = clock::thread_time();
    let mut host = Host::new(Setup {
        settings: settings(group_size),
        world: World::new(world(group_size), Knobs::default(), FaultProfile::calm(), 7),
        begin: BEGIN,
        seed: 7,
        mischief: Mischief::default(),
    });
    host.run(BEGIN + LASTS, STEPS_MAX, |_| false);
    let broken = host.violations().len() + host.recount().len() + host.problems().len();
    let took = clock::thread_time().saturating_sub(begun);
    if broken > 0 {
        return Err(Failure::new(Exit::Bug, format!("the rehearsal broke {broken} rules")));
    }
    let done = host.store().targets().filter(|row| row.state.is_terminal()).count();
    Ok(Figure {
        what: format!("rehearsal of {TARGETS} targets over six weeks, {groups}"),
        measured: format!("{:.2} s of one core", took.as_secs_f64()),
        budget: "≤ 3 s",
        how: format!(
            "{} steps, {} upgrades, {done} of {TARGETS} ended; every step checked, and a full \
             recount at the end",
            host.steps(),
            host.upgrade_calls().len(),
        ),
    })
}

fn settings(group_size: usize) -> Settings {
    let mut settings = load::settings(&Load {
        targets: TARGETS,
        max_in_flight: 900,
        starts_per_minute: STARTS_PER_MINUTE,
        burst: 5,
        task: Millis::from_mins(10),
        settle: Millis::from_mins(2),
        poll_interval: Millis::from_secs(15),
        group_size,
    });
    for window in settings.windows.values_mut() {
        if let Rule::Weekly { start, .. } = &mut window.rule {
            *start = time(1, 0, 0, 0);
        }
        window.duration = Millis::from_hours(4);
        window.cutoff = Millis::from_mins(30);
    }
    settings
}

fn world(group_size: usize) -> WorldSpec {
    let instance = |number: usize| {
        let group = number.checked_div(group_size);
        let tag = group.map(|group| ("app".into(), format!("app-{group}").into()));
        InstanceSpec {
            name: format!("cache-{number:06}").into(),
            tags: tag.into_iter().collect(),
            zones: vec!["az1".into()],
            ..InstanceSpec::default()
        }
    };
    WorldSpec {
        name: "fleet".into(),
        latency: SpanRange { least: Millis(50), most: Millis(200) },
        takes: SpanRange { least: Millis::from_mins(5), most: Millis::from_mins(15) },
        projects: vec![ProjectSpec {
            instances: (0..TARGETS).map(instance).collect(),
            ..ProjectSpec::new("fleet".into(), "2b73a340cc2246094babe22670929d13".into())
        }],
    }
}
