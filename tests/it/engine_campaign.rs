//! Campaigns: waves and bakes, budgets, approvals, membership, windows that are too short, clocks
//! that step.

use jiff::civil::date;
use refit::engine::order::{Reply, ResumeScope};
use refit::engine::state::PauseCause;
use refit::engine::{CampaignState, Command, Fact, TargetState};
use refit::model::calendar::Rule;
use refit::model::policy::{FailureBudget, MaxFailures, Membership, Start, Starts, Wave, WaveSize};
use refit::model::{Millis, Wall};
use refit::rehearse::Act;
use refit::sim::world::{Change, Outcome};

use crate::engine_scene::{BEGIN, Draft, Scene};

fn canary(draft: &mut Draft) {
    let wave = |name: &str, size, bake| Wave { name: name.into(), size, bake };
    draft.campaign().waves = vec![
        wave("canary", WaveSize::Count(1), Millis::from_mins(30)),
        wave("rest", WaveSize::Rest, Millis::ZERO),
    ];
}

fn state(scene: &Scene) -> CampaignState {
    scene.host.store().campaign(&"c".into()).expect("it is planned").state
}

#[test]
fn waves_with_bake_open_one_after_the_other() {
    let mut scene = Scene::new(5, canary);
    scene.run();
    let baked = scene.events(|fact| matches!(fact, Fact::BakeStarted { .. }));
    let Fact::BakeStarted { until, .. } = baked[0].fact else { unreachable!("filtered") };
    let opened = scene.events(|fact| matches!(fact, Fact::WaveOpened { wave: 1, .. }));
    assert!(opened[0].at >= until);
    let early = scene.intents().into_iter().filter(|at| *at < until).count();
    assert_eq!(early, 1, "only the canary starts before the bake is over");
    assert_eq!(scene.count(TargetState::Succeeded), 5);
    scene.expect_sound();
}

#[test]
fn waves_with_bake_stop_at_a_failure_until_somebody_acknowledges_it() {
    let mut scene = Scene::new(4, |draft| {
        canary(draft);
        for instance in &mut draft.instances {
            instance.outcomes = vec![Outcome::Failed];
        }
    });
    let waits = |fact: &Fact| matches!(fact, Fact::Paused { cause: PauseCause::WaveFailed, .. });
    scene.run_to(waits);
    scene.run_for(Millis::from_hours(2), |_| false);
    assert_eq!(scene.intents().len(), 1);
    let scope = ResumeScope::Campaign("c".into());
    let reply = scene.host.order(Command::Resume { scope });
    assert!(matches!(reply, Some(Reply::Done { changed: true, .. })), "{reply:?}");
    scene.run();
    assert_eq!(scene.count(TargetState::Failed), 4);
    scene.expect_sound();
}

#[test]
fn waves_with_bake_bake_anew_after_a_retry() {
    let mut scene = Scene::new(6, |draft| {
        canary(draft);
        draft.campaign().waves[0].size = WaveSize::Count(2);
        for instance in &mut draft.instances {
            instance.outcomes = vec![Outcome::Failed, Outcome::Success];
        }
    });
    scene.run_to(|fact| matches!(fact, Fact::Paused { cause: PauseCause::WaveFailed, .. }));
    let failed: Vec<_> =
        scene.host.store().targets().map(|row| (row.id.clone(), row.state)).collect();
    let mut failed = failed.into_iter().filter(|(_, state)| *state == TargetState::Failed);
    let (target, _) = failed.next().expect("the canary fails");
    scene.host.order(Command::Resume { scope: ResumeScope::Campaign("c".into()) });
    scene.run_to(|fact| matches!(fact, Fact::BakeStarted { .. }));
    scene.run_for(Millis::from_mins(20), |_| false);
    let reply = scene.host.order(Command::Retry { target });
    assert!(matches!(reply, Some(Reply::Done { changed: true, .. })), "{reply:?}");
    scene.run();
    let baked = scene.events(|fact| matches!(fact, Fact::BakeStarted { .. }));
    assert_eq!(baked.len(), 2, "what was retried is watched again");
    let Fact::BakeStarted { until, .. } = baked[1].fact else { unreachable!("filtered") };
    let opened = scene.events(|fact| matches!(fact, Fact::WaveOpened { wave: 1, .. }));
    assert!(opened[0].at >= until);
    scene.expect_sound();
}

fn doomed(budget: FailureBudget) -> Scene {
    let mut scene = Scene::new(12, |draft| {
        draft.campaign().failure_budget = budget;
        for instance in &mut draft.instances {
            instance.outcomes = vec![Outcome::Failed];
        }
    });
    scene.run_for(Millis::from_hours(30), |_| false);
    assert_eq!(state(&scene), CampaignState::Paused);
    assert_eq!(scene.events(|fact| matches!(fact, Fact::BudgetTripped { .. })).len(), 1);
    scene.expect_sound();
    scene
}

#[test]
fn the_failure_budget_with_strict_is_never_overspent() {
    let budget =
        FailureBudget { max_failures: MaxFailures::Count(3), consecutive: 100, strict: true };
    let scene = doomed(budget);
    assert_eq!(scene.count(TargetState::Failed), 3);
    assert!(scene.host.world().peak_in_flight(None) <= 3);
}

#[test]
fn the_failure_budget_trips_on_a_number_a_share_or_a_run() {
    let lenient = MaxFailures::Count(100);
    for (max_failures, consecutive) in [
        (MaxFailures::Count(3), 100),
        (MaxFailures::Percent { percent: 50, min_executed: 4 }, 100),
        (lenient, 3),
    ] {
        let scene = doomed(FailureBudget { max_failures, consecutive, strict: false });
        // What was in flight when it tripped may fail too; nothing starts any more.
        assert!(scene.count(TargetState::Failed) >= 3);
    }
}

#[test]
fn the_failure_budget_that_is_reached_during_a_pause_trips_at_the_resume() {
    let mut scene = Scene::new(4, |draft| {
        draft.campaign().max_in_flight = 2;
        draft.campaign().failure_budget.max_failures = MaxFailures::Count(2);
        for instance in &mut draft.instances {
            instance.outcomes = vec![Outcome::Failed];
        }
    });
    scene.run_to(|fact| matches!(fact, Fact::Accepted { .. }));
    scene.run_for(Millis::from_secs(30), |_| false);
    let pause = scene.host.order(Command::Pause { campaign: "c".into() });
    assert!(matches!(pause, Some(Reply::Done { changed: true, .. })), "{pause:?}");
    scene.run_for(Millis::from_hours(1), |_| false);
    assert_eq!(scene.count(TargetState::Failed), 2);
    // Another process knows of the failures by their rows alone.
    let now = scene.host.now();
    scene.host.arrange(now, Act::Crash { back_after: Millis::from_secs(1) });
    scene.run_for(Millis::from_mins(1), |_| false);
    scene.host.order(Command::Resume { scope: ResumeScope::Campaign("c".into()) });
    scene.run_for(Millis::from_hours(2), |_| false);
    assert_eq!(scene.intents().len(), 2, "it started more over its budget");
    assert_eq!(scene.events(|fact| matches!(fact, Fact::BudgetTripped { .. })).len(), 1);
    scene.expect_sound();
}

#[test]
fn start_approve_with_digest_waits_for_the_plan_to_be_named() {
    let mut scene = Scene::new(2, |draft| draft.campaign().start = Start::Approve);
    scene.run_for(Millis::from_hours(3), |_| false);
    assert_eq!((state(&scene), scene.intents().len()), (CampaignState::AwaitingApproval, 0));
    let wrong = Command::Approve { campaign: "c".into(), digest: "another".into() };
    assert!(matches!(scene.host.order(wrong), Some(Reply::Refused { .. })));
    let digest = scene.host.store().campaign(&"c".into()).expect("it is planned");
    let digest = digest.detail.digest.clone();
    let right = Command::Approve { campaign: "c".into(), digest };
    assert!(matches!(scene.host.order(right), Some(Reply::Done { changed: true, .. })));
    scene.run();
    assert_eq!(scene.count(TargetState::Succeeded), 2);
    scene.expect_sound();
}

/// Two instances, one of which comes into being when the campaign runs.
fn with_newcomer(membership: Membership) -> Scene {
    let mut scene = Scene::new(3, |draft| {
        draft.campaign().membership = membership;
        draft.campaign().max_in_flight = 1;
        draft.instances[2].status = "CREATEFAILED".into();
    });
    scene.run_to(|fact| matches!(fact, Fact::Planned { .. }));
    let newcomer = scene.host.world().instance_id("cache-2").expect("the world has it");
    let project = scene.host.settings().projects[&"p".into()].project_id.clone();
    let change = Act::Change { project, instance: newcomer.0, what: Change::Recovered };
    let now = scene.host.now();
    scene.host.arrange(now, change);
    scene.run_for(Millis::from_hours(30), |_| false);
    scene.expect_sound();
    scene
}

#[test]
fn membership_live_takes_newcomers_into_the_last_wave() {
    let scene = with_newcomer(Membership::Live);
    assert_eq!(scene.events(|fact| matches!(fact, Fact::Joined { .. })).len(), 1);
    assert_eq!(scene.state("cache-2"), TargetState::Succeeded);
}

#[test]
fn membership_frozen_keeps_what_was_planned() {
    let scene = with_newcomer(Membership::Frozen);
    assert_eq!(scene.count(TargetState::Succeeded), 2);
    assert_eq!(scene.host.store().targets().count(), 2);
}

#[test]
fn carry_over_takes_what_did_not_fit_into_the_next_window() {
    let mut scene = Scene::new(30, |draft| {
        draft.campaign().max_in_flight = 1;
        let window = draft.settings.windows.get_mut(&"nightly".into()).expect("it is there");
        window.duration = Millis::from_hours(2);
    });
    scene.run();
    let midnight = BEGIN + Millis::from_hours(1);
    let night = |at: &Wall| (*at - midnight).0 / Millis::from_hours(24).0;
    let intents = scene.intents();
    assert_eq!(intents.len(), 30);
    assert!(intents.iter().map(night).max() >= Some(1), "everything fitted into one night");
    let cutoff = Millis::from_mins(90);
    assert!(intents.iter().all(|at| (*at - midnight).0 % Millis::from_hours(24).0 < cutoff.0));
    assert_eq!(scene.count(TargetState::Succeeded), 30);
    scene.expect_sound();
}

#[test]
fn the_clock_guard_starts_nothing_until_two_samples_agree() {
    let mut scene = Scene::new(12, |draft| draft.campaign().max_in_flight = 1);
    scene.run_to(|fact| matches!(fact, Fact::Accepted { .. }));
    let now = scene.host.now();
    scene.host.arrange(now, Act::ClockStep(Millis::from_mins(20)));
    scene.run();
    let seq = |wanted: fn(&Fact) -> bool| scene.events(wanted)[0].seq;
    let stepped = seq(|fact| matches!(fact, Fact::ClockStepped { .. }));
    let agreed = seq(|fact| matches!(fact, Fact::ClockAgreed));
    let between = scene.events(|fact| matches!(fact, Fact::Intent { .. }));
    assert!(between.iter().all(|event| event.seq < stepped || event.seq > agreed));
    assert!(between.iter().any(|event| event.seq > agreed), "it never started again");
    assert_eq!(scene.count(TargetState::Succeeded), 12);
    scene.expect_sound();
}

#[test]
fn a_window_that_never_closes_is_announced_once_and_closed_by_a_freeze() {
    let mut scene = Scene::new(2, |draft| {
        let nightly =
            draft.settings.windows.get_mut(&"nightly".into()).expect("every draft has it");
        // The freeze, two months ahead, comes into sight only on the way.
        nightly.rule = Rule::cron("0 * * * *").expect("a pattern");
        nightly.duration = Millis::from_hours(1);
        draft.freeze(date(2026, 4, 30).at(12, 0, 0, 0), date(2027, 4, 30).at(12, 0, 0, 0));
        canary(draft);
        draft.campaign().waves[0].bake = Millis::from_hours(100 * 24);
    });
    scene.run_for(Millis::from_hours(20 * 24), |_| false);
    let now = scene.host.steady().expect("it runs");
    let status = scene.host.engine().expect("it runs").status(now);
    let interval = status.campaigns[0].intervals[&"p".into()].clone().expect("it is open");
    assert!(interval.is_always_open(), "{interval:?}");
    scene.run_for(Millis::from_hours(40 * 24), |_| false);
    let windows =
        scene.events(|fact| matches!(fact, Fact::WindowOpened { .. } | Fact::WindowClosed { .. }));
    let freeze_begins = BEGIN + Millis::from_hours(59 * 24 + 13);
    let facts: Vec<&Fact> = windows.iter().map(|event| &event.fact).collect();
    assert!(
        matches!(
            facts[..],
            [
                Fact::WindowOpened { close: None, last_start: None, .. },
                Fact::WindowClosed { close, .. }
            ] if *close == freeze_begins
        ),
        "{facts:?}"
    );
    assert_eq!(windows[1].at, freeze_begins);
    scene.expect_sound();
}

#[test]
fn a_long_downtime_tells_the_latest_missed_windows_and_counts_the_rest() {
    let mut scene = Scene::new(1, |draft| draft.project().starts = Starts::Off);
    scene.run_to(|fact| matches!(fact, Fact::Started));
    let now = scene.host.now();
    let back_after = Millis::from_hours(80 * 24);
    scene.host.arrange(now, Act::Crash { back_after });
    scene.run_for(back_after + Millis::from_mins(1), |_| false);
    let told = scene.events(|fact| matches!(fact, Fact::WindowMissed { .. }));
    assert_eq!(told.len(), 50);
    let rest = scene.events(|fact| matches!(fact, Fact::WindowsMissed { .. }));
    let [rest] = rest.as_slice() else { panic!("{rest:?}") };
    let Fact::WindowsMissed { count, open, close } = rest.fact else { unreachable!("filtered") };
    let Fact::WindowMissed { open: first_told, .. } = told[0].fact else { unreachable!() };
    assert_eq!(count, 30);
    assert_eq!(open, BEGIN + Millis::from_hours(1));
    assert!(close <= first_told, "the rest lies before those that are told");
    scene.expect_sound();
}
