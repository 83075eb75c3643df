//! What must hold from one process to the next, when the file, the clock or an order changed in
//! between.

use std::sync::Arc;

use refit::engine::order::{ResumeScope, Verdict};
use refit::engine::{CampaignState, Command, Fact, Reason, TargetState, orphans};
use refit::model::policy::{Glob, Membership, Rate, Start, Wave, WaveSize};
use refit::model::{Millis, Settings};
use refit::rehearse::Act;
use refit::sim::world::Decision;

use crate::engine_scene::Scene;

/// The process ends, the file is edited, the process starts again.
fn restart_with(scene: &mut Scene, edit: impl FnOnce(&mut Settings)) {
    let now = scene.host.now();
    scene.host.arrange(now, Act::Crash { back_after: Millis::from_secs(5) });
    scene.run_for(Millis::from_secs(1), |_| false);
    let mut settings = scene.host.settings().clone();
    edit(&mut settings);
    let now = scene.host.now();
    scene.host.arrange(now, Act::Settings(Arc::new(settings)));
    scene.run_for(Millis::from_secs(10), |_| false);
}

fn campaign_state(scene: &Scene) -> CampaignState {
    scene.host.store().campaigns().next().expect("it is planned").state
}

fn digest(scene: &Scene) -> Arc<str> {
    scene.host.store().campaigns().next().expect("it is planned").detail.digest.clone()
}

/// Rule S10.
#[test]
fn a_narrower_selection_takes_effect_before_the_first_start() {
    let mut scene = Scene::new(2, |_| {});
    scene.run_for(Millis::from_mins(30), |_| false);
    restart_with(&mut scene, |settings| {
        let campaign = settings.campaigns.get_mut(&"c".into()).unwrap();
        campaign.select.not_names = vec![Glob::new("cache-1").unwrap()];
    });
    assert_eq!(scene.state("cache-1"), TargetState::Skipped, "before any sweep");
    scene.run();
    assert_eq!((scene.applied("cache-0"), scene.applied("cache-1")), (1, 0));
}

#[test]
fn a_project_that_leaves_a_campaign_does_not_keep_it_from_ending() {
    let mut scene = Scene::new(1, |draft| draft.with_neighbours(1));
    scene.run_for(Millis::from_mins(30), |_| false);
    restart_with(&mut scene, |settings| {
        settings.campaigns.get_mut(&"c".into()).unwrap().projects = vec!["p".into()];
    });
    scene.run();
    assert_eq!(campaign_state(&scene), CampaignState::Completed);
    let skipped = scene.host.store().targets().filter(|row| row.reason == Some(Reason::Excluded));
    assert_eq!(skipped.map(|row| row.id.project.to_string()).collect::<Vec<_>>(), ["q"]);
}

/// Rule S6: the tokens that were drawn stay drawn, in the terms of the new rate.
#[test]
fn a_lowered_rate_grants_no_second_burst() {
    let mut scene = Scene::new(20, |draft| {
        draft.project().upgrade_rate = Rate { events: 6, per: Millis::from_mins(1), burst: 10 };
    });
    scene.run_for(Millis::from_hours(3), |host| starts(host.store().ledger()) == 10);
    restart_with(&mut scene, |settings| {
        let project = settings.projects.get_mut(&"p".into()).unwrap();
        project.upgrade_rate = Rate { events: 1, per: Millis::from_hours(1), burst: 10 };
    });
    scene.run_for(Millis::from_mins(30), |_| false);
    scene.expect_sound();
    let after = scene.intents().len();
    assert!((10..=11).contains(&after), "{after} starts");
}

#[test]
fn a_raised_rate_counts_at_once() {
    let mut scene = Scene::new(8, |draft| {
        draft.project().upgrade_rate = Rate { events: 4, per: Millis::from_hours(1), burst: 4 };
    });
    scene.run_for(Millis::from_hours(3), |host| starts(host.store().ledger()) == 4);
    restart_with(&mut scene, |settings| {
        let project = settings.projects.get_mut(&"p".into()).unwrap();
        project.upgrade_rate = Rate { events: 600, per: Millis::from_mins(1), burst: 50 };
    });
    scene.run_for(Millis::from_mins(2), |_| false);
    assert_eq!(scene.intents().len(), 8);
}

fn starts(ledger: &[refit::engine::Event]) -> usize {
    ledger.iter().filter(|event| matches!(event.fact, Fact::Intent { .. })).count()
}

/// An open circuit is waited for, not slept through until the next sweep.
#[test]
fn an_open_circuit_ends_in_time_over_a_restart() {
    let mut scene = Scene::new(6, |draft| {
        draft.script(&[Decision::DropBeforeApply, Decision::Ok]);
        draft.campaign().max_in_flight = 3;
    });
    scene.run_to(|fact| matches!(fact, Fact::CircuitOpened { .. }));
    let opened = scene.events(|fact| matches!(fact, Fact::CircuitOpened { .. }));
    let Fact::CircuitOpened { until } = opened[0].fact else { unreachable!() };
    // With these out of the way no look wakes the project.
    let uncertain = scene.host.store().targets().filter(|row| row.state == TargetState::Uncertain);
    let uncertain: Vec<_> = uncertain.map(|row| row.id.clone()).collect();
    for target in uncertain {
        scene.host.order(Command::Resolve { target, verdict: Verdict::NotApplied });
    }
    let before = scene.intents().len();
    restart_with(&mut scene, |_| {});
    scene.run();
    let next = scene.intents()[before];
    assert!(next >= until && next - until < Millis::from_mins(3), "{}", next - until);
}

/// What an approval names is what is done, also when the plan changed during a pause.
#[test]
fn a_plan_that_changes_during_a_pause_voids_the_approval() {
    for change in ["a newcomer", "another version"] {
        let mut scene = Scene::new(2, |draft| {
            draft.campaign().start = Start::Approve;
            draft.campaign().membership = Membership::Live;
            draft.campaign().select.not_names = vec![Glob::new("cache-1").unwrap()];
        });
        scene.run_to(|fact| matches!(fact, Fact::ApprovalNeeded { .. }));
        let seen = digest(&scene);
        scene.host.order(Command::Pause { campaign: "c".into() });
        restart_with(&mut scene, |settings| {
            let campaign = settings.campaigns.get_mut(&"c".into()).unwrap();
            match change {
                "a newcomer" => campaign.select.not_names.clear(),
                _ => campaign.engine = Some("6.0.16.9".into()),
            }
        });
        scene.run_for(Millis::from_hours(2), |_| false);
        scene.host.order(Command::Resume { scope: ResumeScope::Campaign("c".into()) });
        scene.host.order(Command::Approve { campaign: "c".into(), digest: seen.clone() });
        assert_eq!(campaign_state(&scene), CampaignState::AwaitingApproval, "{change}");
        assert_ne!(digest(&scene), seen, "{change}");
        let now = digest(&scene);
        scene.host.order(Command::Approve { campaign: "c".into(), digest: now });
        assert_eq!(campaign_state(&scene), CampaignState::Running, "{change}");
    }
}

/// Rule L1: what falls back while an abort drains is cancelled as what waited then was.
#[test]
fn an_aborted_campaign_leaves_nothing_pending() {
    for falls_back in [Decision::Error500Before, Decision::Throttled, Decision::DropBeforeApply] {
        let mut scene = Scene::new(1, |draft| draft.script(&[falls_back, Decision::Ok]));
        scene.run_to(|fact| matches!(fact, Fact::Intent { .. }));
        scene.host.order(Command::Abort { campaign: "c".into() });
        scene.run();
        assert_eq!(scene.state("cache-0"), TargetState::Cancelled, "{falls_back:?}");
        assert_eq!(campaign_state(&scene), CampaignState::Aborted, "{falls_back:?}");
    }
}

/// Rule S1: whoever looks for an attempt finds it by its project.
#[test]
fn a_project_with_an_upgrade_in_flight_cannot_leave_or_change_its_name_or_id() {
    let mut scene = Scene::new(2, |draft| draft.script(&[Decision::ApplyThen500]));
    let before = orphans(&scene.host.store().rows(), scene.host.settings());
    assert_eq!(before, []);
    scene.run_to(|fact| matches!(fact, Fact::BecameUncertain { .. }));
    let rows = scene.host.store().rows();
    assert_eq!(orphans(&rows, scene.host.settings()), []);
    let told = |edit: fn(&mut Settings)| {
        let mut settings = scene.host.settings().clone();
        edit(&mut settings);
        let orphans = orphans(&rows, &settings);
        orphans.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    let renamed = told(|settings| {
        let policy = settings.projects.remove(&"p".into()).unwrap();
        settings.projects.insert("singapore".into(), policy);
    });
    assert!(renamed.contains("project p (c/p/") && renamed.contains("no longer has"), "{renamed}");
    let moved = told(|settings| {
        settings.projects.get_mut(&"p".into()).unwrap().project_id = "2".repeat(32).into();
    });
    assert!(moved.contains("sent under project_id 0000"), "{moved}");
    scene.run();
    let mut settings = scene.host.settings().clone();
    settings.projects.clear();
    assert_eq!(orphans(&scene.host.store().rows(), &settings), [], "nothing is in flight any more");
}

/// Rules L1 and S6: what waits is not longer than it was, and no burst is granted afresh.
#[test]
fn a_clock_put_back_while_the_daemon_is_down_holds_nothing_up() {
    let mut scene = Scene::new(20, |draft| {
        draft.project().upgrade_rate = Rate { events: 60, per: Millis::from_mins(1), burst: 1 };
        draft.campaign().max_in_flight = 4;
        draft.settings.windows.get_mut(&"nightly".into()).unwrap().duration =
            Millis::from_hours(20);
    });
    scene.run_for(Millis::from_hours(3), |host| starts(host.store().ledger()) == 4);
    let now = scene.host.now();
    scene.host.arrange(now, Act::Crash { back_after: Millis::from_secs(10) });
    scene.run_for(Millis::from_secs(1), |_| false);
    let now = scene.host.now();
    scene.host.arrange(now, Act::ClockStep(Millis::from_hours(-24)));
    scene.run_for(Millis::from_hours(3), |_| false);
    let told = scene.events(|fact| matches!(fact, Fact::ClockBehindStore { .. }));
    let Fact::ClockBehindStore { ahead } = told[0].fact else { unreachable!() };
    assert!(ahead > Millis::from_hours(23) && ahead < Millis::from_hours(25), "{ahead}");
    assert_eq!(scene.count(TargetState::Succeeded), 20);
}

/// A bake that is over by the new clock is over.
#[test]
fn a_clock_that_steps_over_the_end_of_a_bake_opens_the_next_wave() {
    let mut scene = Scene::new(2, |draft| {
        let wave = |name: &str, size, bake| Wave { name: name.into(), size, bake };
        draft.campaign().waves = vec![
            wave("canary", WaveSize::Count(1), Millis::from_hours(3)),
            wave("rest", WaveSize::Rest, Millis::ZERO),
        ];
        draft.settings.windows.get_mut(&"nightly".into()).unwrap().duration =
            Millis::from_hours(20);
    });
    scene.run_to(|fact| matches!(fact, Fact::BakeStarted { .. }));
    let now = scene.host.now();
    scene.host.arrange(now + Millis::from_mins(1), Act::ClockStep(Millis::from_hours(4)));
    scene.run_for(Millis::from_mins(10), |_| false);
    assert_eq!(scene.events(|fact| matches!(fact, Fact::WaveOpened { .. })).len(), 2);
}

/// Rule S3: a campaign that left the file is in no hurry to free the instance for another.
#[test]
fn a_renamed_campaign_does_not_shorten_the_observation() {
    let ten = Millis::from_mins(10);
    let mut scene = Scene::new(1, |draft| {
        draft.campaign().observe_for = ten;
        draft.script(&[Decision::Error500Before, Decision::Ok]);
    });
    scene.run_to(|fact| matches!(fact, Fact::BecameUncertain { .. }));
    restart_with(&mut scene, |settings| {
        let campaign = settings.campaigns.remove(&"c".into()).expect("every draft has it");
        settings.campaigns.insert("renamed".into(), campaign);
    });
    scene.run_for(Millis::from_hours(3), |host| starts(host.store().ledger()) == 2);
    let intents = scene.intents();
    assert_eq!(intents.len(), 2);
    assert!(intents[1] - intents[0] >= ten, "after {}", intents[1] - intents[0]);
    scene.expect_sound();
}
