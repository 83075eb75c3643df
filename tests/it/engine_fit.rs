//! A target starts only if it is over before its window ends, by what its class took so far.

use jiff::civil::date;
use refit::engine::event::LearnedDuration;
use refit::engine::view::PlanVerdict;
use refit::engine::{Fact, Hold, HoldKind, TargetState};
use refit::model::duration::{DurationClass, Parts};
use refit::model::policy::Fit;
use refit::model::{CacheMode, Millis, Wall};
use refit::rehearse::Act;
use refit::sim::world::SpanRange;

use crate::engine_scene::{BEGIN, Draft, Scene};

/// The window opens an hour after the beginning, for four hours with half an hour's cutoff.
const CLOSE: Wall = Wall(BEGIN.0 + 5 * 3_600_000);

const CLASS: DurationClass = DurationClass { cache_mode: CacheMode::Ha, parts: Parts::Engine };

fn mins(minutes: i64) -> Millis {
    Millis::from_mins(minutes)
}

fn takes(draft: &mut Draft, number: usize, minutes: i64) {
    draft.instances[number].takes = Some(SpanRange { least: mins(minutes), most: mins(minutes) });
}

fn hold(scene: &Scene, name: &str) -> Hold {
    let now = scene.host.steady().expect("a process runs");
    let engine = scene.host.engine().expect("a process runs");
    engine.hold(&scene.target(name), now).expect("it waits")
}

/// Runs until so long after the window opened.
fn run_into_window(scene: &mut Scene, minutes: i64) {
    let until = BEGIN + mins(60 + minutes) - scene.host.now();
    scene.run_for(until, |_| false);
}

fn learned(scene: &Scene) -> Vec<LearnedDuration> {
    let succeeded = scene.events(|fact| matches!(fact, Fact::Succeeded { .. }));
    let all = succeeded.into_iter().filter_map(|event| match &event.fact {
        Fact::Succeeded { learned, .. } => *learned,
        _ => None,
    });
    all.collect()
}

#[test]
fn a_success_teaches_from_the_intent_to_the_first_sight_of_the_end() {
    let mut scene = Scene::new(1, |_| {});
    scene.run();
    scene.expect_sound();
    let [intent] = scene.intents()[..] else { panic!("one start") };
    let settling = scene.events(|fact| matches!(fact, Fact::Settling { .. }))[0].at;
    let expected = LearnedDuration { class: CLASS, took: settling - intent };
    assert_eq!(learned(&scene), [expected]);
    let rows = scene.host.store().rows().durations;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].samples.iter().collect::<Vec<_>>(), [settling - intent]);
}

#[test]
fn what_is_overdue_or_runs_through_a_restart_teaches_nothing() {
    let mut scene = Scene::new(1, |draft| draft.campaign().task_timeout = mins(2));
    scene.run();
    assert_eq!(scene.events(|fact| matches!(fact, Fact::Overdue { .. })).len(), 1);
    assert_eq!(scene.count(TargetState::Succeeded), 1);
    assert_eq!(learned(&scene), []);

    let mut scene = Scene::new(1, |_| {});
    scene.host.arrange(BEGIN + mins(62), Act::Crash { back_after: mins(1) });
    scene.run();
    scene.expect_sound();
    assert_eq!(scene.count(TargetState::Succeeded), 1);
    assert_eq!(learned(&scene), []);
}

#[test]
fn nothing_starts_that_would_not_be_over_before_the_end() {
    let mut scene = Scene::new(60, |draft| {
        draft.campaign().max_in_flight = 1;
        draft.campaign().expected_duration = Some(mins(100));
        draft.campaign().fit = Fit::P50;
    });
    run_into_window(&mut scene, 6);
    let first = scene.intents()[0];
    assert_eq!(first, BEGIN + mins(60), "a declared duration leaves room at the opening");
    // Eight upgrades of five minutes have shown how long they really take.
    scene.run_to(|fact| matches!(fact, Fact::WindowClosed { .. }));
    scene.expect_sound();
    assert!(scene.intents().len() > 30, "{}", scene.intents().len());

    let starts = |fit| {
        let mut scene = Scene::new(7, |draft| {
            draft.campaign().max_in_flight = 1;
            draft.campaign().expected_duration = Some(mins(225));
            draft.campaign().fit = fit;
        });
        run_into_window(&mut scene, 120);
        scene.expect_sound();
        scene.intents()
    };
    // 225 minutes and one of settling leave fourteen.
    let fitting = starts(Fit::P95);
    assert!(fitting.iter().all(|at| *at + mins(226) <= CLOSE), "{fitting:?}");
    assert_eq!(fitting.len(), 3);
    assert_eq!(starts(Fit::Off).len(), 7);
}

#[test]
fn one_that_does_not_fit_says_what_it_needs_and_when_it_may_start() {
    let mut scene = Scene::new(4, |draft| {
        draft.campaign().max_in_flight = 1;
        draft.campaign().expected_duration = Some(mins(230));
    });
    run_into_window(&mut scene, 30);
    let waiting = (0..4).find(|it| scene.state(&format!("cache-{it}")) == TargetState::Pending);
    let hold = hold(&scene, &format!("cache-{}", waiting.expect("not all fit")));
    assert_eq!(hold.kind, HoldKind::DoesNotFit);
    assert_eq!(
        hold.detail,
        "needs 3h50m (expected_duration of the campaign) and 1m to settle; the window ends in \
         3h30m"
    );
    assert_eq!(hold.since, Some(CLOSE + (Millis::ZERO - mins(231))));
    assert_eq!(hold.earliest, Some(BEGIN + mins(25 * 60)));
    assert_eq!(hold.next_command.as_deref(), Some("refit windows --campaign c"));
    scene.expect_sound();
}

#[test]
fn one_that_fits_no_window_to_come_is_blocked_in_the_plan_and_never_starts() {
    let mut scene = Scene::new(2, |draft| {
        draft.campaign().expected_duration = Some(mins(240));
    });
    run_into_window(&mut scene, 30);
    let hold = hold(&scene, "cache-0");
    assert_eq!(hold.kind, HoldKind::NeverFits);
    assert_eq!(
        hold.detail,
        "needs 4h (expected_duration of the campaign) and 1m to settle; the longest window to \
         come lasts 4h"
    );
    assert_eq!(hold.earliest, None);
    let now = scene.host.steady().expect("a process runs");
    let plan = scene.host.engine().expect("a process runs").plan(now);
    for target in &plan.campaigns[0].targets {
        assert!(
            matches!(&target.verdict, PlanVerdict::Blocked { hold, interval: None, .. }
                if hold.kind == HoldKind::NeverFits),
            "{target:?}"
        );
    }
    scene.run_to(|fact| matches!(fact, Fact::WindowClosed { .. }));
    assert_eq!(scene.intents(), []);
    let outside = self::hold(&scene, "cache-0");
    assert_eq!(outside.kind, HoldKind::OutsideWindow);
    assert!(outside.detail.contains("needs 4h"), "{}", outside.detail);
    assert_eq!(outside.earliest, None);
    scene.expect_sound();
}

/// The only window that is long enough is not the next one, and further away than windows mostly
/// are.
#[test]
fn what_fits_a_far_window_is_not_said_to_never_fit() {
    let mut scene = Scene::new(2, |draft| {
        draft.campaign().expected_duration = Some(mins(200));
        draft.campaign().max_in_flight = 1;
        (0..2).for_each(|number| takes(draft, number, 50));
        draft.freeze(date(2026, 3, 2).at(12, 0, 0, 0), date(2026, 4, 20).at(12, 0, 0, 0));
    });
    run_into_window(&mut scene, 60);
    let waits = |name: &&str| scene.state(name) == TargetState::Pending;
    let second = ["cache-0", "cache-1"].into_iter().find(waits).expect("one at a time");
    let hold = hold(&scene, second);
    assert_eq!(hold.kind, HoldKind::DoesNotFit, "{}", hold.detail);
    let earliest = hold.earliest.expect("some day it starts");
    assert!(earliest > BEGIN + Millis::from_hours(40 * 24), "{}", earliest.rfc3339());
}

#[test]
fn a_long_class_waits_while_a_short_one_goes_on() {
    let mut scene = Scene::new(60, |draft| {
        draft.campaign().max_in_flight = 4;
        for number in (0..60).step_by(2) {
            draft.instances[number].cache_mode = CacheMode::Cluster;
            takes(draft, number, 55);
        }
    });
    scene.run_to(|fact| matches!(fact, Fact::WindowClosed { .. }));
    scene.expect_sound();
    let is_long = |event: &&&refit::engine::Event| {
        let id = event.target().expect("an intent has one");
        (0..60).step_by(2).any(|number| scene.target(&format!("cache-{number}")) == id)
    };
    let intents = scene.events(|fact| matches!(fact, Fact::Intent { .. }));
    let (long, short): (Vec<_>, Vec<_>) = intents.iter().partition(is_long);
    let last = |events: &[&&refit::engine::Event]| events.iter().map(|event| event.at).max();
    // Known to take 55 minutes once eight did; the window's cutoff is half an hour.
    let (last_long, last_short) = (last(&long).expect("some"), last(&short).expect("some"));
    assert!(last_long + mins(56) <= CLOSE, "{last_long:?}");
    assert!(last_short + mins(35) > CLOSE, "{last_short:?}");
}

#[test]
fn one_outlier_does_not_close_every_window_to_its_class() {
    let mut scene = Scene::new(40, |draft| {
        draft.campaign().max_in_flight = 8;
        draft.campaign().task_timeout = Millis::from_hours(6);
        // Some of the first eight: whatever the order, one of them is among these.
        (0..10).for_each(|number| takes(draft, number, 250));
    });
    scene.run();
    scene.expect_sound();
    assert_eq!(scene.count(TargetState::Succeeded), 40, "every target has its window");
}

#[test]
fn durations_survive_a_restart() {
    let mut scene = Scene::new(40, |draft| draft.campaign().max_in_flight = 8);
    let learnt = |host: &refit::rehearse::Host| {
        host.store().rows().durations.first().map_or(0, |row| row.samples.len())
    };
    scene.run_for(Millis::from_hours(2), |host| learnt(host) >= 8);
    let now = scene.host.now();
    let before: Vec<Millis> = scene.host.store().rows().durations[0].samples.iter().collect();
    scene.host.arrange(now, Act::Crash { back_after: mins(1) });
    scene.run();
    scene.expect_sound();
    let row = &scene.host.store().rows().durations[0];
    let after: Vec<Millis> = row.samples.iter().collect();
    assert!(after.len() > before.len() && after.starts_with(&before), "{row:?}");
    let own = scene.host.engine().expect("a process runs").rows_beside_targets().durations;
    assert_eq!(&own[0], row);
}

#[test]
fn a_reload_that_expects_less_lets_what_waits_go_at_once() {
    let mut scene = Scene::new(3, |draft| {
        draft.campaign().max_in_flight = 1;
        draft.campaign().expected_duration = Some(mins(230));
    });
    run_into_window(&mut scene, 30);
    assert_eq!(scene.intents().len(), 2, "two began before it was too late for a third");
    // A reload that says it takes less lets the third go at once.
    let mut settings = scene.host.settings().clone();
    let policy = settings.campaigns.get_mut(&"c".into()).expect("it is there");
    policy.expected_duration = Some(mins(20));
    let at = scene.host.now();
    scene.host.arrange(at, Act::Settings(settings.into()));
    scene.run_for(mins(1), |_| false);
    assert_eq!(scene.intents().len(), 3);
    scene.expect_sound();
}
