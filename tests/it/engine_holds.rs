//! What stands in the way, as one target and as a whole campaign tell it.

use refit::engine::order::{Command, Order, Reply, ResumeScope};
use refit::engine::view::{CampaignStatus, HoldCount};
use refit::engine::{Fact, Hold, HoldKind, Scope};
use refit::model::Millis;
use refit::model::policy::{MaxFailures, Starts, Wave, WaveSize};
use refit::rehearse::{Act, Network};
use refit::sim::world::{CallFilter, CallKind, Decision, Outcome, Script, Step};

use crate::engine_scene::{BEGIN, Scene};

/// Half an hour after the window opened.
const IN_WINDOW: Millis = Millis::from_mins(90);

fn order(scene: &mut Scene, command: Command, reason: Option<&str>) {
    let order = Order { actor: "0/root".into(), reason: reason.map(Into::into), command };
    let now = scene.host.now();
    scene.host.arrange(now, Act::Order(order));
    scene.run_for(Millis::from_secs(1), |_| false);
}

fn status(scene: &Scene) -> CampaignStatus {
    let now = scene.host.steady().expect("a process runs");
    let mut status = scene.host.engine().expect("a process runs").status(now);
    status.campaigns.remove(0)
}

fn hold(scene: &Scene, name: &str) -> Hold {
    let now = scene.host.steady().expect("a process runs");
    let engine = scene.host.engine().expect("a process runs");
    engine.hold(&scene.target(name), now).expect("it waits")
}

fn counts(status: &CampaignStatus) -> Vec<(HoldKind, u32)> {
    status.waits.iter().map(|HoldCount { kind, targets }| (*kind, *targets)).collect()
}

/// Planned, and in the middle of the night's window with nothing started.
fn frozen_in_window(count: usize) -> Scene {
    let mut scene = Scene::new(count, |draft| draft.campaign().max_in_flight = 1);
    scene.run_to(|fact| matches!(fact, Fact::Started));
    order(&mut scene, Command::Freeze { scope: Scope::All, until: None }, Some("audit"));
    let until = BEGIN + IN_WINDOW;
    let wait = until - scene.host.now();
    scene.run_for(wait, |_| false);
    scene
}

#[test]
fn a_freeze_is_the_one_reason_of_all_and_names_who_why_and_how_to_lift_it() {
    let scene = frozen_in_window(4);
    let status = status(&scene);
    assert_eq!(counts(&status), [(HoldKind::Frozen, 4)]);
    let hold = status.hold.expect("all of them wait");
    assert_eq!(hold.detail, "everything by 0/root: audit");
    assert_eq!(hold.next_command.as_deref(), Some("refit unfreeze --all"));
    assert!(hold.since.is_some(), "{hold:?}");
    assert_eq!(hold, self::hold(&scene, "cache-3"));
}

#[test]
fn without_a_shared_reason_the_commonest_comes_first_with_counts() {
    let mut scene = frozen_in_window(5);
    let held = Command::Hold { target: scene.target("cache-4") };
    order(&mut scene, held, None);
    let release = format!("refit release {}", scene.target("cache-4"));
    let reply = scene.host.replies().last();
    assert!(
        matches!(reply, Some(Reply::Done { message, .. }) if message.ends_with(&release)),
        "{reply:?}"
    );
    order(&mut scene, Command::Unfreeze { scope: Scope::All }, None);
    scene.run_to(|fact| matches!(fact, Fact::Accepted { .. }));
    let status = status(&scene);
    assert_eq!(counts(&status), [(HoldKind::MaxInFlight, 3), (HoldKind::Held, 1)]);
    assert_eq!(status.hold.map(|hold| hold.kind), Some(HoldKind::MaxInFlight));
    let held = hold(&scene, "cache-4");
    assert_eq!(held.next_command, Some(release));
}

#[test]
fn a_spent_budget_tells_count_limit_names_since_and_the_way_on() {
    let mut scene = Scene::new(6, |draft| {
        draft.campaign().max_in_flight = 1;
        draft.campaign().failure_budget.max_failures = MaxFailures::Count(2);
        for instance in &mut draft.instances {
            instance.outcomes = vec![Outcome::Failed];
        }
    });
    scene.run_to(|fact| matches!(fact, Fact::BudgetTripped { .. }));
    let at = scene.events(|fact| matches!(fact, Fact::BudgetTripped { .. }))[0].at;
    let status = status(&scene);
    assert_eq!(counts(&status), [(HoldKind::BudgetTripped, 4)]);
    let hold = status.hold.expect("all of them wait");
    let said = "2 failures reach max_failures = 2: cache-";
    assert!(hold.detail.starts_with(said), "{}", hold.detail);
    assert_eq!(hold.since, Some(at));
    assert_eq!(hold.next_command.as_deref(), Some("refit resume c"));

    // An operator's pause comes before it, and a resume clears both.
    order(&mut scene, Command::Pause { campaign: "c".into() }, None);
    let paused = self::status(&scene).hold.expect("all of them wait");
    assert_eq!((paused.kind, paused.since), (HoldKind::CampaignPaused, Some(at)));
    order(&mut scene, Command::Resume { scope: ResumeScope::Campaign("c".into()) }, None);
    assert_ne!(self::status(&scene).hold.map(|hold| hold.kind), Some(HoldKind::CampaignPaused));
}

#[test]
fn a_shut_wave_is_told_before_a_spent_budget_and_since_when() {
    let mut scene = Scene::new(4, |draft| {
        let wave = |name: &str, size| Wave { name: name.into(), size, bake: Millis::ZERO };
        draft.campaign().waves =
            vec![wave("canary", WaveSize::Count(2)), wave("rest", WaveSize::Rest)];
        draft.campaign().max_in_flight = 1;
        draft.campaign().failure_budget.max_failures = MaxFailures::Count(1);
        for instance in &mut draft.instances {
            instance.outcomes = vec![Outcome::Failed];
        }
    });
    scene.run_to(|fact| matches!(fact, Fact::BudgetTripped { .. }));
    let status = status(&scene);
    assert_eq!(counts(&status), [(HoldKind::WaveNotOpen, 2), (HoldKind::BudgetTripped, 1)]);
    let hold = status.hold.expect("they wait");
    assert_eq!(hold.detail, "wave rest waits for 1 target of wave canary");
    assert!(hold.since.is_some());
}

#[test]
fn an_unreachable_cloud_is_two_events_and_a_hold_with_its_cause() {
    let mut scene = frozen_in_window(3);
    let now = scene.host.now();
    scene.host.arrange(now, Act::Network(Network::Down));
    order(&mut scene, Command::Unfreeze { scope: Scope::All }, None);
    scene.run_to(|fact| matches!(fact, Fact::CloudUnreachable { .. }));
    let status = status(&scene);
    assert_eq!(counts(&status), [(HoldKind::CircuitOpen, 3)]);
    let hold = status.hold.expect("all of them wait");
    assert!(hold.detail.starts_with("project p: cloud unreachable: "), "{hold:?}");
    assert!(hold.since.is_some_and(|since| since >= now), "{hold:?}");

    let back = scene.host.now() + Millis::from_mins(20);
    scene.host.arrange(back, Act::Network(Network::Up));
    scene.run();
    assert_eq!(scene.events(|fact| matches!(fact, Fact::CloudUnreachable { .. })).len(), 1);
    let over = scene.events(|fact| matches!(fact, Fact::CloudReachable { .. }));
    assert_eq!(over.len(), 1);
    assert!(over[0].at >= back);
    scene.expect_sound();
}

#[test]
fn a_429_is_told_as_what_paces_starts_and_reads_not_the_configured_rate() {
    for calls in [CallKind::Upgrade, CallKind::InstanceTasks] {
        let mut scene = Scene::new(4, |draft| {
            draft.campaign().max_in_flight = 2;
            let steps = vec![Step::from(Decision::Throttled)];
            let calls = CallFilter::Only(calls);
            draft.faults.scripts.push(Script { calls, steps, ..Script::default() });
        });
        scene.run_to(|fact| matches!(fact, Fact::QuotaPaused { .. }));
        let now = scene.host.steady().expect("a process runs");
        let engine = scene.host.engine().expect("a process runs");
        let project = &engine.status(now).projects[0];
        let words = match calls {
            CallKind::Upgrade => {
                assert!(project.starts_paused_until.is_some());
                "the cloud answered 429: starts of project p pause"
            }
            _ => {
                assert!(project.reads_paused_until.is_some());
                "the cloud answered 429: reads of project p pause"
            }
        };
        let holds = (0..4).filter_map(|at| engine.hold(&scene.target(&format!("cache-{at}")), now));
        let told: Vec<Hold> = holds.filter(|hold| hold.detail.contains(words)).collect();
        assert!(!told.is_empty(), "{calls:?}");
        assert!(told.iter().all(|hold| hold.since.is_some()), "{told:?}");
    }
}

#[test]
fn caps_rates_and_shadow_mode_tell_since_when() {
    let mut scene = Scene::new(3, |draft| draft.campaign().max_in_flight = 1);
    scene.run_to(|fact| matches!(fact, Fact::Accepted { .. }));
    let waiting = ["cache-0", "cache-1", "cache-2"].map(|name| hold(&scene, name));
    let full = waiting.iter().find(|hold| hold.kind == HoldKind::MaxInFlight);
    assert_eq!(full.expect("one waits").since, Some(BEGIN + Millis::from_hours(1)), "the opening");

    let mut scene = Scene::new(1, |draft| draft.project().starts = Starts::Off);
    scene.run_for(IN_WINDOW, |_| false);
    assert_eq!(hold(&scene, "cache-0").kind, HoldKind::ProjectStopped);
    assert_eq!(hold(&scene, "cache-0").since, Some(BEGIN), "the process began");
}

#[test]
fn a_target_is_called_by_its_name_or_id_alone_or_in_its_place() {
    let scene = frozen_in_window(2);
    let engine = scene.host.engine().expect("a process runs");
    let id = scene.target("cache-1");
    let bare = id.instance.to_string();
    for text in ["cache-1", "c/cache-1", "p/cache-1", "c/p/cache-1", &bare, &id.to_string()] {
        let found = engine.called(text);
        assert_eq!(found.iter().map(|each| &each.target).collect::<Vec<_>>(), [&id], "{text}");
    }
    for text in ["cache", "c/q/cache-1", "q/cache-1", ""] {
        assert_eq!(engine.called(text), [], "{text}");
    }
}

/// While a token is renewed nothing else is asked, so that nothing else could tell.
#[test]
fn a_renewal_that_nobody_answers_is_told_as_an_unreachable_cloud() {
    let mut scene = Scene::new(2, |draft| {
        draft.settings.credentials.get_mut(&"key".into()).unwrap().renewable = true;
        draft.mischief.renewals_fail = 1.0;
        draft.mischief.seed = 7;
        draft.faults.scripts.push(Script {
            calls: CallFilter::Only(CallKind::Show),
            steps: vec![Step::from(Decision::TokenExpired)],
            ..Script::default()
        });
    });
    scene.run_to(|fact| matches!(fact, Fact::CloudUnreachable { .. }));
    scene.run_for(Millis::from_hours(1), |_| false);
    let hold = hold(&scene, "cache-0");
    assert_eq!(hold.kind, HoldKind::CircuitOpen, "{hold:?}");
    assert!(hold.detail.contains("cloud unreachable") && hold.since.is_some(), "{hold:?}");
}

/// Before a plan there is no target that could have a hold.
#[test]
fn a_list_that_is_refused_again_and_again_is_told_with_the_cloud_s_words() {
    let mut scene = Scene::new(1, |draft| {
        draft.faults.scripts.push(Script {
            calls: CallFilter::Only(CallKind::List),
            steps: vec![Step::from(Decision::Forbidden); 5],
            ..Script::default()
        });
    });
    let refused = |scene: &Scene| {
        let now = scene.host.steady().expect("a process runs");
        scene.host.engine().expect("a process runs").status(now).projects[0].list_refused.clone()
    };
    scene.run_to(|fact| matches!(fact, Fact::InventoryRefused { .. }));
    assert!(refused(&scene).is_some_and(|why| why.contains("403")), "{:?}", refused(&scene));
    scene.run();
    assert_eq!(refused(&scene), None, "the sixth is answered");
    assert_eq!(scene.events(|fact| matches!(fact, Fact::InventoryRefused { .. })).len(), 1);
}
