//! Limits: how many at once, how many per time, and what the cloud's own limits teach.

use std::collections::BTreeMap;

use jiff::civil::time;
use refit::engine::order::{Command, Order, ResumeScope};
use refit::engine::rows::WatchStrategy;
use refit::engine::{Fact, Input, TargetState};
use refit::model::calendar::Rule;
use refit::model::policy::{GroupKey, GroupLimit, Rate, Untagged};
use refit::model::{Millis, Settings, SubmitAnswer, Wall};
use refit::rehearse::Act;
use refit::sim::world::{CallFilter, CallKind, Change, ChangeSpec, Decision, Script, Step};

use crate::engine_hand::{Hand, WINDOW};
use crate::engine_scene::{Draft, Scene};

/// All upgraded, and the most that ever ran at once.
fn peak(count: usize, change: impl FnOnce(&mut Draft)) -> usize {
    let mut scene = Scene::new(count, change);
    scene.run();
    assert_eq!(scene.count(TargetState::Succeeded), count);
    scene.expect_sound();
    scene.host.world().peak_in_flight(None)
}

#[test]
fn caps_of_campaign_and_project_are_reached_and_never_exceeded() {
    assert_eq!(peak(8, |draft| draft.campaign().max_in_flight = 3), 3);
    assert_eq!(peak(8, |draft| draft.project().max_in_flight = 2), 2);
}

fn limited(draft: &mut Draft, per: GroupKey, limit: u32) {
    draft.campaign().max_unavailable = vec![GroupLimit { per, limit, untagged: Untagged::Alone }];
    for (number, instance) in draft.instances.iter_mut().enumerate() {
        let even = number % 2 == 0;
        let app = if even { "shop" } else { "mail" };
        instance.tags = BTreeMap::from([("app".into(), app.into())]);
        instance.zones = vec![if even { "z1" } else { "z2" }.into()];
    }
}

#[test]
fn max_unavailable_by_tag_leaves_one_of_each_application() {
    assert_eq!(peak(6, |draft| limited(draft, GroupKey::Tag("app".into()), 1)), 2);
}

#[test]
fn max_unavailable_by_zone_counts_an_instance_in_all_its_zones() {
    assert_eq!(peak(6, |draft| limited(draft, GroupKey::Zone, 1)), 2);
    let in_both = |draft: &mut Draft| {
        limited(draft, GroupKey::Zone, 1);
        for instance in &mut draft.instances {
            instance.zones = vec!["z1".into(), "z2".into()];
        }
    };
    assert_eq!(peak(4, in_both), 1);
}

#[test]
fn max_unavailable_by_project_caps_a_campaign_in_each() {
    assert_eq!(peak(6, |draft| limited(draft, GroupKey::Project, 2)), 2);
}

#[test]
fn an_untagged_instance_is_alone_or_refused() {
    let untagged = |untagged| {
        let mut scene = Scene::new(3, |draft| {
            limited(draft, GroupKey::Tag("app".into()), 1);
            draft.campaign().max_unavailable[0].untagged = untagged;
            draft.instances[0].tags.clear();
        });
        scene.run();
        scene.expect_sound();
        scene.state("cache-0")
    };
    assert_eq!(untagged(Untagged::Alone), TargetState::Succeeded);
    assert_eq!(untagged(Untagged::Refuse), TargetState::Skipped);
}

#[test]
fn upgrade_quotas_hold_over_restarts() {
    let mut scene = Scene::new(6, |draft| {
        draft.project().upgrade_rate = Rate { events: 2, per: Millis::from_mins(1), burst: 1 };
    });
    scene.run_to(|fact| matches!(fact, Fact::Accepted { .. }));
    let now = scene.host.now();
    scene.host.arrange(now, Act::Crash { back_after: Millis::from_secs(1) });
    scene.run();
    let intents = scene.intents();
    assert_eq!(intents.len(), 6);
    let half_a_minute = Millis::from_secs(30);
    assert!(intents.windows(2).all(|pair| pair[1] - pair[0] >= half_a_minute), "{intents:?}");
    scene.expect_sound();
}

#[test]
fn read_quotas_are_apart_from_upgrade_quotas() {
    let mut scene = Scene::new(10, |draft| {
        draft.project().read_rate = Rate { events: 30, per: Millis::from_mins(1), burst: 5 };
    });
    let begin = scene.host.now();
    scene.run();
    let minutes = (scene.host.now() - begin).0 / 60_000 + 1;
    let reads = scene.host.world().calls() - scene.intents().len() as u64;
    assert!(reads <= 5 + 30 * minutes as u64, "{reads} reads in {minutes} minutes");
    assert_eq!(scene.count(TargetState::Succeeded), 10);
    scene.expect_sound();
}

#[test]
fn learned_429_limits_bind_at_four_fifths_and_outlive_the_process() {
    let mut scene = Scene::new(20, |draft| {
        draft.knobs.set("upgrade_limit=5/1m").expect("the knob takes it");
    });
    scene.run_to(|fact| matches!(fact, Fact::Throttled { limit: Some(_), .. }));
    let learned_at = scene.host.now();
    scene.run_for(Millis::from_secs(10), |_| false);
    let now = scene.host.now();
    scene.host.arrange(now, Act::Crash { back_after: Millis::from_secs(1) });
    scene.run();
    let learned = scene.host.store().project(&"p".into()).expect("it has a row").detail.clone();
    assert_eq!(learned.starts.learned.map(|limit| limit.limit), Some(5));
    let after: Vec<Wall> = scene.intents().into_iter().filter(|at| *at > learned_at).collect();
    assert!(after.len() > 5, "nothing was left to be limited");
    for begin in &after {
        let end = *begin + Millis::from_mins(1);
        let within = after.iter().filter(|at| begin <= at && **at < end).count();
        // Four per minute, and the burst that the learned bucket holds after a rest.
        assert!(within <= 8, "{within} starts in a minute");
    }
    assert_eq!(scene.count(TargetState::Succeeded), 20);
    scene.expect_sound();
}

#[test]
fn a_project_whose_reads_are_refused_keeps_no_slot_from_another() {
    let mut scene = Scene::new(1, |draft| {
        draft.with_neighbours(3);
        draft.campaign().max_in_flight = 1;
        let wait = Some("3000".into());
        draft.faults.scripts.push(Script {
            calls: CallFilter::Only(CallKind::Show),
            project: Some("p".into()),
            steps: vec![Step { retry_after: wait, ..Step::from(Decision::Throttled) }],
            ..Script::default()
        });
    });
    scene.run();
    let starts = scene.events(|fact| matches!(fact, Fact::Intent { .. }));
    let projects: Vec<&str> =
        starts.iter().map(|event| event.project.as_ref().expect("of a target").as_str()).collect();
    assert_eq!(projects, ["q", "q", "q", "p"]);
    let paused = scene.events(|fact| matches!(fact, Fact::QuotaPaused { .. }));
    assert!(paused[0].at < starts[2].at, "no read of the project was refused meanwhile");
    assert_eq!(scene.count(TargetState::Succeeded), 4);
    scene.expect_sound();
}

/// The strategy that a project ends up with when the cloud shows tasks so.
fn watched_by(knobs: &[&str]) -> WatchStrategy {
    let mut scene = Scene::new(5, |draft| {
        for knob in knobs {
            draft.knobs.set(knob).expect("the knob takes it");
        }
    });
    scene.run();
    assert_eq!(scene.count(TargetState::Succeeded), 5);
    scene.expect_sound();
    scene.host.store().project(&"p".into()).expect("it has a row").detail.watch
}

#[test]
fn learned_watch_strategies_take_the_cheapest_read_that_works() {
    assert_eq!(watched_by(&["task_centre=same_id"]), WatchStrategy::TaskCentre);
    assert_eq!(watched_by(&["task_centre=other_id"]), WatchStrategy::InstanceList);
    let blind = ["task_centre=absent", "service_task=never"];
    assert_eq!(watched_by(&blind), WatchStrategy::PerInstance);
}

/// Rule S5: the group is that of the tags that the last sweep showed.
#[test]
fn max_unavailable_by_tag_follows_a_tag_that_changes_after_planning() {
    let mut scene = Scene::new(2, |draft| {
        draft.campaign().max_unavailable = vec![GroupLimit {
            per: GroupKey::Tag("app".into()),
            limit: 1,
            untagged: Untagged::Alone,
        }];
        for (instance, app) in draft.instances.iter_mut().zip(["x", "y"]) {
            instance.tags = [("app".into(), app.into())].into();
        }
        draft.instances[1].changes.push(ChangeSpec {
            after: Some("10m".parse().unwrap()),
            ..ChangeSpec::of(Change::Retagged)
        });
        // Late enough for a second sweep to show it.
        let window = draft.settings.windows.get_mut(&"nightly".into()).unwrap();
        let Rule::Weekly { start, .. } = &mut window.rule else { unreachable!() };
        *start = time(3, 0, 0, 0);
    });
    scene.run();
    scene.expect_sound();
    let intents = scene.intents();
    assert_eq!(intents.len(), 2);
    assert!(intents[1] - intents[0] > Millis::from_mins(5), "both of app x at once");
}

/// Rule S6: a project that left the file and came back has drawn what it had drawn.
#[test]
fn a_project_that_comes_back_to_the_file_has_no_second_burst() {
    let hourly = |settings: &mut Settings| {
        let project = settings.projects.get_mut(&"p".into()).expect("every draft has it");
        project.upgrade_rate = Rate { events: 1, per: Millis::from_hours(1), burst: 1 };
    };
    let mut hand = Hand::new(hourly);
    hand.shown.names = vec!["a", "b"];
    hand.run(WINDOW + Millis::from_hours(1), 1);
    hand.submitted(SubmitAnswer::Rejected { suspicious: false }, 400);
    // The clock was put back as well, so that every row is written.
    let begin = hand.wall() + Millis::from_mins(1) - Millis::from_hours(24);
    let hand = Hand::of(hand.store, begin, |settings| {
        settings.campaigns.clear();
        settings.projects.clear();
    });
    let mut hand = Hand::of(hand.store, begin + Millis::from_mins(1), hourly);
    hand.shown.names = vec!["a", "b"];
    let command = Command::Resume { scope: ResumeScope::Campaign("c".into()) };
    hand.give(Input::Order(Order { actor: "ann".into(), reason: None, command }));
    hand.run(begin + Millis::from_hours(3), 1);
    assert_eq!(hand.submits.len(), 1);
    assert!(hand.wall() - begin >= Millis::from_mins(55), "after {}", hand.wall() - begin);
    hand.expect_sound();
}
