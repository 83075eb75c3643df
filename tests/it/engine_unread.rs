//! Reads that are refused for ever, while others work: somebody is told, and nothing is guessed.

use std::collections::BTreeMap;

use refit::engine::rows::WatchStrategy;
use refit::engine::{Changes, Fact, HoldKind, Input, Step, TargetState};
use refit::model::{Millis, ReadCall, ReadFailure, SubmitAnswer, TaskStatus};
use refit::rehearse::{Act, Network};
use refit::sim::world::{CallFilter, CallKind, Decision, Rule, Share};

use crate::engine_hand::{Hand, WINDOW, task};
use crate::engine_scene::Scene;

const HOUR: Millis = Millis::from_hours(1);

fn always(call: CallKind, decision: Decision, instance: Option<&str>) -> Rule {
    Rule {
        calls: CallFilter::Only(call),
        decisions: BTreeMap::from([(decision, Share(1.0))]),
        instance: instance.map(str::to_owned),
        ..Rule::default()
    }
}

/// Rule L1: it ends, or it says that an operator has to look.
#[test]
fn a_pending_target_whose_versions_are_refused_for_ever_calls_an_operator() {
    for decision in [Decision::Forbidden, Decision::Rejected, Decision::Error500Before] {
        let mut scene = Scene::new(2, |draft| {
            draft.faults.rules.push(always(CallKind::Version, decision, Some("cache-0")));
        });
        scene.run_for(Millis::from_hours(30), |_| false);
        assert_eq!(scene.state("cache-0"), TargetState::Pending, "{decision:?}");
        assert_eq!(scene.state("cache-1"), TargetState::Succeeded, "{decision:?}");
        let engine = scene.host.engine().expect("it runs");
        let now = scene.host.steady().expect("it runs");
        let row = scene.host.store().target(&scene.target("cache-0")).expect("it is planned");
        assert!(row.needs_operator.is_some(), "{decision:?}");
        // Inside a window; outside of one, that comes first.
        let open = now + (WINDOW + Millis::from_hours(48) - scene.host.now());
        let hold = engine.hold(&row.id, open).expect("it is not moving");
        if decision == Decision::Forbidden {
            assert_eq!(hold.kind, HoldKind::NeedsOperator);
        }
        let now = scene.host.now();
        scene.host.arrange(now, Act::Heal);
        scene.run();
        assert_eq!(scene.state("cache-0"), TargetState::Succeeded, "{decision:?}");
        let told = scene.events(|fact| matches!(fact, Fact::NeedsOperator { .. }));
        assert_eq!(told.len(), 1, "{decision:?}");
        scene.expect_sound();
    }
}

#[test]
fn a_cloud_that_is_silent_for_hours_calls_no_operator_to_each_pending_target() {
    let mut scene = Scene::new(3, |_| {});
    let now = scene.host.now();
    let planned = |fact: &Fact| matches!(fact, Fact::Planned { .. });
    scene.run_to(planned);
    scene.host.arrange(now + Millis(200), Act::Network(Network::Down));
    scene.host.arrange(now + Millis::from_hours(30), Act::Network(Network::Up));
    scene.run();
    assert!(scene.events(|fact| matches!(fact, Fact::NeedsOperator { .. })).is_empty());
    assert_eq!(scene.count(TargetState::Succeeded), 3);
}

/// Succeeded and moved: it is settling.
fn settling() -> Hand {
    let mut hand = Hand::new(|_| {});
    hand.run(WINDOW + HOUR, 1);
    hand.shown.tasks.insert("a", vec![task("t1", "u", TaskStatus::Succeeded, hand.wall())]);
    hand.shown.current = "6.0.9";
    hand.submitted(SubmitAnswer::Accepted { task: "t1".into() }, 200);
    hand.run_while(WINDOW + HOUR, |hand| !hand.has(|fact| matches!(fact, Fact::Settling { .. })));
    hand
}

#[test]
fn an_instance_that_cannot_be_read_has_not_settled() {
    let mut hand = settling();
    hand.run_while(WINDOW + HOUR, |hand| hand.asked.is_empty());
    let read = hand.asked.remove(0);
    hand.refuse(read);
    let refused_at = hand.wall();
    let is_told = |fact: &Fact| matches!(fact, Fact::Unsettled { word } if &**word == "unreadable");
    assert!(hand.has(is_told));
    hand.run_while(WINDOW + HOUR, |hand| hand.row().state != TargetState::Succeeded);
    let settled = hand.wall() - refused_at;
    assert!(settled >= Millis::from_mins(1), "settled after {settled}");
    hand.expect_sound();
}

#[test]
fn a_verification_that_is_refused_for_ever_is_told_once_and_calls_an_operator() {
    let mut hand = settling();
    hand.refused = Some((|call| matches!(call, ReadCall::Instance { .. }), ReadFailure::Forbidden));
    let end = hand.wall() + Millis::from_hours(3);
    hand.run_while(end, |_| true);
    assert!(hand.row().needs_operator.is_some());
    let told = hand.events.iter().filter(|it| matches!(it.fact, Fact::Unsettled { .. }));
    assert_eq!(told.count(), 1);
    hand.expect_sound();
}

#[test]
fn a_look_whose_call_does_not_exist_any_more_calls_an_operator() {
    let mut hand = Hand::new(|_| {});
    hand.run(WINDOW + HOUR, 1);
    hand.submitted(SubmitAnswer::Uncertain, 500);
    hand.refused = Some((
        |call| matches!(call, ReadCall::InstanceTasks { .. }),
        ReadFailure::CapabilityAbsent,
    ));
    let end = hand.wall() + Millis::from_hours(3);
    hand.run_while(end, |_| true);
    assert_eq!(hand.row().state, TargetState::Uncertain);
    assert!(hand.row().needs_operator.is_some());
    hand.expect_sound();
}

/// Late proof weighs more: what was only unreadable does not go on by itself then.
#[test]
fn late_proof_is_not_forgotten_when_an_unreadable_target_is_read_again() {
    let mut hand = Hand::new(|_| {});
    hand.run(WINDOW + HOUR, 1);
    let first = hand.submitted(SubmitAnswer::Uncertain, 500);
    hand.run_while(WINDOW + HOUR, |hand| hand.row().state != TargetState::Pending);
    hand.refused = Some((|call| matches!(call, ReadCall::Instance { .. }), ReadFailure::Forbidden));
    let end = hand.wall() + Millis::from_hours(3);
    hand.run_while(end, |hand| hand.row().needs_operator.is_none());
    assert!(hand.row().needs_operator.is_some(), "it is unreadable");
    hand.submitted_of(first, SubmitAnswer::Accepted { task: "t1".into() }, 200);
    hand.refused = None;
    hand.give(Input::Tick);
    hand.run(end + HOUR, 2);
    assert_eq!(hand.submits.len(), 1);
    assert!(hand.row().needs_operator.is_some());
    hand.expect_sound();
}

/// The list spares reads, and is no more than that.
#[test]
fn a_refused_list_does_not_keep_settling_instances_waiting() {
    let names = ["a", "b", "c", "d", "e", "f"];
    let mut hand = Hand::new(|_| {});
    hand.shown.names = names.to_vec();
    // Four are sent at once, and the rest when these are answered.
    for number in 0..names.len() {
        hand.run(WINDOW + HOUR, number + 1);
        let submit = hand.submits[number].clone();
        let name = names.into_iter().find(|name| *name == submit.instance.as_str());
        let name = name.expect("only these are there");
        let id = format!("t-{name}");
        let ended = task(&id, "u", TaskStatus::Succeeded, hand.wall());
        hand.shown.tasks.insert(name, vec![ended]);
        let answer = SubmitAnswer::Accepted { task: id.as_str().into() };
        hand.submitted_of(submit.attempt, answer, 200);
    }
    hand.shown.current = "6.0.9";
    hand.refused =
        Some((|call| matches!(call, ReadCall::InventoryPage { .. }), ReadFailure::Forbidden));
    let end = hand.wall() + HOUR;
    hand.run_while(end, |_| true);
    let ended = hand.events.iter().filter(|it| matches!(it.fact, Fact::Succeeded { .. }));
    assert_eq!(ended.count(), names.len());
    hand.expect_sound();
}

/// Rule L1: a sweep that is refused, whatever the code, gives way to reading one by one.
#[test]
fn a_watch_through_the_list_that_is_refused_gives_way_to_the_instances_own() {
    for failure in [ReadFailure::Rejected, ReadFailure::Gone, ReadFailure::Forbidden] {
        let mut store = Hand::new(|_| {}).store;
        let mut rows = store.rows();
        rows.projects[0].detail.watch = WatchStrategy::InstanceList;
        rows.projects[0].detail.watch_probed_at = Some(WINDOW);
        let changes = Changes { projects: rows.projects, ..Changes::default() };
        store.commit(&Step { changes, ..Step::default() });
        let mut hand = Hand::of(store, WINDOW, |_| {});
        hand.run(WINDOW + HOUR, 1);
        hand.shown.tasks.insert("a", vec![task("t1", "u", TaskStatus::Succeeded, hand.wall())]);
        hand.shown.current = "6.0.9";
        hand.submitted(SubmitAnswer::Accepted { task: "t1".into() }, 200);
        hand.refused = Some((|call| matches!(call, ReadCall::InventoryPage { .. }), failure));
        hand.run_while(WINDOW + HOUR, |hand| hand.row().state != TargetState::Succeeded);
        assert_eq!(hand.row().state, TargetState::Succeeded);
        hand.expect_sound();
    }
}
