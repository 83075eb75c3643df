//! Rehearsal equals reality: one fleet, gone through by the real daemon over HTTP and by the engine
//! in virtual time, takes the same ways at the same times.
//!
//! Both have the same file, world, faults and seeds, and both clocks read the same at the start, so
//! that starts, which are matched by their attempt, are compared as times since the opening of the
//! window. What may differ is what virtual time leaves out: commits, connections, the scheduler.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use refit::engine::{Event, Fact, TargetState};
use refit::model::{AttemptId, Millis, TargetId, Wall};
use refit::rehearse::{self, Host, Mischief};
use refit::sim::world::{
    Change, ChangeSpec, Decision, InstanceSpec, Outcome, Span, SpanRange, World,
};

use crate::e2e::{Setup, Site, local};

/// Decides the draws of the engine; the world has its own.
const SEED: u64 = 7;

/// So far may a start be off, as a part of the makespan.
const TOLERANCE: i64 = 50;

/// Runs that may be disturbed, but for one.
const TRIES: usize = 3;

/// From the start of the test to the window: enough to read the fleet ahead.
const OPENS_IN: SignedDuration = SignedDuration::from_secs(5);

/// What a commit and a request on loopback take on an ordinary machine.
const COMMIT_TAKES: Millis = Millis(15);
const WIRE_TAKES: Millis = Millis(4);

/// Far more than either run takes.
const LONGEST: Millis = Millis::from_mins(10);
const STEPS_MOST: u64 = 1_000_000;

/// What one run did.
struct Course {
    /// When each attempt started, since the opening.
    starts: BTreeMap<AttemptId, Millis>,
    /// The states of each target, in order, by the name of its instance.
    states: BTreeMap<Arc<str>, Vec<TargetState>>,
    /// From the opening to the end of the last target.
    makespan: Millis,
}

impl Course {
    fn of(events: &[Event], opening: Wall) -> Course {
        let mut course =
            Course { starts: BTreeMap::new(), states: BTreeMap::new(), makespan: Millis::ZERO };
        let mut names: BTreeMap<TargetId, Arc<str>> = BTreeMap::new();
        for event in events {
            if let (Fact::TargetPlanned { name, .. }, Some(target)) = (&event.fact, event.target())
            {
                names.insert(target, name.clone());
            }
            if matches!(event.fact, Fact::Intent { .. }) {
                course.starts.insert(event.attempt.clone().unwrap(), event.at - opening);
            }
            let Some((target, state)) = event.target().zip(event.state) else { continue };
            let states = course.states.entry(names[&target].clone()).or_default();
            if states.last() != Some(&state) {
                states.push(state);
                course.makespan = event.at - opening;
            }
        }
        course
    }
}

/// A fleet whose calls all take the same time, in a window that opens soon.
fn fleet(count: usize, opening: Timestamp) -> Setup {
    let mut setup = Setup::fleet(count)
        .takes(Millis(1_500), Millis(4_000))
        .with("windows.open.at", &local(opening))
        .with("campaigns.fleet.max_in_flight", "4")
        .with("campaigns.fleet.settle", "\"500ms\"");
    setup.world.latency = SpanRange { least: Millis(20), most: Millis(20) };
    setup
}

/// Four applications of which one instance each may be away, a canary that bakes, a slow rate.
fn calm(opening: Timestamp) -> Setup {
    let mut setup = fleet(0, opening)
        .takes(Millis(3_000), Millis(7_000))
        .with("campaigns.fleet.max_unavailable", "[{ per = \"tag:app\", limit = 1 }]")
        .with("projects.fleet.upgrade_rate", "{ per_second = 4, burst = 2 }")
        .with(
            "campaigns.fleet.waves",
            "[{ name = \"canary\", count = 2, bake = \"2s\" },
              { name = \"early\", percent = 30, bake = \"1s\" }, { name = \"rest\" }]",
        );
    let instances = ["cart", "search", "session", "feed"].into_iter().zip([4, 4, 3, 3]);
    let of_application = |(app, count): (&str, usize)| InstanceSpec {
        name: app.into(),
        count,
        tags: [(Arc::from("app"), Arc::from(app))].into(),
        ..InstanceSpec::default()
    };
    setup.world.projects[0].instances = instances.map(of_application).collect();
    setup
}

/// Thirteen instances, to eight of which something happens.
fn troubled(opening: Timestamp) -> Setup {
    let mut setup = fleet(0, opening)
        .with("campaigns.fleet.retry", "{ initial = \"500ms\", max = \"4s\", max_attempts = 8 }");
    let named = |name: &str| InstanceSpec { name: name.into(), ..InstanceSpec::default() };
    let ends = |name, outcome| InstanceSpec { outcomes: vec![outcome], ..named(name) };
    let backup = ChangeSpec {
        after: Some(Span(Millis(500))),
        takes: Some(Span(Millis::from_secs(12))),
        ..ChangeSpec::of(Change::Busy)
    };
    setup.world.projects[0].instances = vec![
        InstanceSpec { count: 5, ..named("sound") },
        ends("fails", Outcome::Failed),
        ends("stays", Outcome::VersionUnchanged),
        ends("vanishes", Outcome::Vanishes),
        ends("vanishes-unchanged", Outcome::VanishesUnchanged),
        InstanceSpec { changes: vec![backup], ..named("busy") },
        named("applied-then-500"),
        named("applied-then-silent"),
        named("refused-once"),
    ];
    setup.first_upgrades_meet(&[
        ("applied-then-500", Decision::ApplyThen500),
        ("applied-then-silent", Decision::ApplyThenDrop),
        ("refused-once", Decision::Error500Before),
    ])
}

/// The real daemon, and then the same in virtual time.
async fn both(setup: fn(Timestamp) -> Setup) -> (Course, Course) {
    let opening = Timestamp::from_second((Timestamp::now() + OPENS_IN).as_second()).unwrap();
    let site = Site::new(setup(opening)).await;
    let begun = site.cloud.running.now();
    let mut daemon = site.start_seeded(SEED);
    site.until_rest(&mut daemon).await;
    site.stop(daemon).await;
    site.judge().await;
    let opened = Wall(opening.as_millisecond());
    let events = site.events().await;
    let reality = Course::of(&events, opened);

    let Setup { world, knobs, faults, seed, .. } = setup(opening);
    let mut world = World::new(world, knobs, faults, seed);
    world.advance(begun);
    let mut host = Host::new(rehearse::Setup {
        settings: site.settings(),
        world,
        begin: events[0].at,
        seed: SEED,
        mischief: Mischief {
            sender_takes: SpanRange { least: COMMIT_TAKES, most: COMMIT_TAKES },
            wire_takes: SpanRange { least: WIRE_TAKES, most: WIRE_TAKES },
            ..Mischief::default()
        },
    });
    host.run(opened + LONGEST, STEPS_MOST, |host| {
        let mut targets = host.store().targets().peekable();
        targets.peek().is_some() && targets.all(|target| target.state.is_terminal())
    });
    assert_eq!((host.violations(), host.problems()), (&[][..], &[][..]));
    (reality, Course::of(host.store().ledger(), opened))
}

/// What differs more than it may, with a table of all starts.
fn difference(reality: &Course, rehearsal: &Course) -> Option<String> {
    let tolerance = Millis(reality.makespan.0 / TOLERANCE);
    let apart = |one: Millis, other: Millis| Millis((one - other).0.abs());
    let mut table = format!(
        "makespan {} in reality, {} in rehearsal; {tolerance} may differ\n",
        reality.makespan, rehearsal.makespan
    );
    let mut farthest = apart(reality.makespan, rehearsal.makespan);
    for (attempt, at) in &reality.starts {
        let rehearsed = rehearsal.starts.get(attempt);
        farthest = farthest.max(rehearsed.map_or(LONGEST, |rehearsed| apart(*at, *rehearsed)));
        table += &format!("{attempt}: {at} and {rehearsed:?}\n");
    }
    println!("{table}");
    let same_starts = reality.starts.keys().eq(rehearsal.starts.keys());
    if !same_starts || reality.states != rehearsal.states {
        Some(format!("{:#?} is not {:#?}\n{table}", reality.states, rehearsal.states))
    } else if farthest > tolerance {
        Some(format!("{farthest} off:\n{table}"))
    } else {
        None
    }
}

/// A machine that is busy with other things may disturb a run, and then another. What the engine,
/// the world or virtual time get wrong disturbs them all.
async fn run_as_rehearsed(setup: fn(Timestamp) -> Setup) -> Course {
    let mut differences = Vec::new();
    for _ in 0..TRIES {
        let (reality, rehearsal) = both(setup).await;
        match difference(&reality, &rehearsal) {
            None => return reality,
            Some(difference) => differences.push(difference),
        }
    }
    panic!("no run of {TRIES} was as rehearsed: {}", differences.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_calm_fleet_with_waves_groups_and_caps_runs_as_it_was_rehearsed() {
    assert_eq!(run_as_rehearsed(calm).await.states.len(), 14);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_in_trouble_takes_the_ways_that_were_rehearsed() {
    let course = run_as_rehearsed(troubled).await;
    assert_eq!(course.states.len(), 13);
    // Without its task's record the versions decide.
    for (name, end) in
        [("vanishes", TargetState::Succeeded), ("vanishes-unchanged", TargetState::Failed)]
    {
        assert_eq!(course.states[name].last(), Some(&end), "{name}: {:?}", course.states[name]);
    }
}
