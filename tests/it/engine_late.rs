//! Answers that come late, and lists that go on saying what is over.

use refit::engine::rows::WatchStrategy;
use refit::engine::{Fact, HoldKind, Read, TargetState};
use refit::model::{Millis, ReadCall, SubmitAnswer, TaskStatus};
use refit::rehearse::MemoryStore;

use crate::engine_hand::{Hand, WINDOW, task};

const HOUR: Millis = Millis::from_hours(1);

#[test]
fn a_last_look_is_as_old_as_its_question() {
    let mut hand = Hand::new(|_| {});
    let is_look = |hand: &Hand| {
        hand.asked.first().is_some_and(|read| matches!(read.call, ReadCall::Instance { .. }))
    };
    hand.run_while(WINDOW + HOUR, |hand| !is_look(hand));
    // The machine sleeps, and the answer waits in the socket.
    let read = hand.asked.remove(0);
    hand.now += Millis::from_mins(10);
    hand.answer(read);
    assert!(hand.submits.is_empty(), "sent on a look of ten minutes ago");
    hand.run(WINDOW + HOUR, 1);
    assert_eq!(hand.submits.len(), 1, "it is looked at again");
    hand.expect_sound();
}

/// Rule S10: a version answer is good for a day, from when it was true.
#[test]
fn the_versions_that_a_verification_reads_are_as_old_as_their_question() {
    let mut hand = Hand::new(|_| {});
    hand.run(WINDOW + HOUR, 1);
    hand.shown.tasks.insert("a", vec![task("t1", "u", TaskStatus::Succeeded, hand.wall())]);
    hand.submitted(SubmitAnswer::Accepted { task: "t1".into() }, 200);
    let is_versions = |hand: &Hand| {
        hand.asked.first().is_some_and(|read| matches!(read.call, ReadCall::Versions { .. }))
    };
    hand.run_while(WINDOW + HOUR, |hand| !is_versions(hand));
    let asked_at = hand.wall();
    let read = hand.asked.remove(0);
    hand.now += Millis::from_mins(10);
    hand.answer(read);
    assert_eq!(hand.row().detail.versions_at, Some(asked_at));
}

#[test]
fn late_proof_of_an_earlier_attempt_keeps_the_next_one_back() {
    let mut hand = Hand::new(|_| {});
    hand.run(WINDOW + HOUR, 1);
    let first = hand.submitted(SubmitAnswer::Uncertain, 500);
    hand.run_while(WINDOW + HOUR, |hand| hand.row().state != TargetState::Pending);
    hand.submitted_of(first, SubmitAnswer::Accepted { task: "t1".into() }, 200);
    let hold = hand.engine.hold(&hand.row().id, hand.now).expect("it is not moving");
    assert_eq!(hold.kind, HoldKind::NeedsOperator);
    hand.run(WINDOW + HOUR + HOUR, 2);
    assert_eq!(hand.submits.len(), 1);
    hand.expect_sound();
}

#[test]
fn a_list_that_goes_on_naming_a_task_does_not_keep_it_running() {
    let hand = Hand::new(|_| {});
    let mut store = hand.store;
    let mut hand = {
        // The list was found to show our tasks, long ago.
        let mut rows = store.rows();
        rows.projects[0].detail.watch = WatchStrategy::InstanceList;
        rows.projects[0].detail.watch_probed_at = Some(WINDOW);
        let changes = refit::engine::Changes { projects: rows.projects, ..Default::default() };
        store.commit(&refit::engine::Step { changes, ..Default::default() });
        Hand::of(store, WINDOW, |_| {})
    };
    hand.run(WINDOW + HOUR, 1);
    hand.shown.service_task = Some("t1");
    let ended = task("t1", "u", TaskStatus::Succeeded, hand.wall());
    hand.shown.tasks.insert("a", vec![ended]);
    hand.shown.current = "6.0.9";
    hand.submitted(SubmitAnswer::Accepted { task: "t1".into() }, 200);
    hand.run(WINDOW + HOUR, 2);
    assert_eq!(hand.row().state, TargetState::Succeeded);
    assert!(!hand.has(|fact| matches!(fact, Fact::Overdue { .. })));
    hand.expect_sound();
}

/// Planned inside the window, a target's versions are asked for twice: by the plan, and for its
/// start. Somebody else upgrades it between the two answers.
#[test]
fn of_two_version_answers_on_their_way_at_once_the_later_question_counts() {
    for is_first_late in [false, true] {
        let mut hand = Hand::of(MemoryStore::default(), WINDOW + Millis::from_mins(1), |_| {});
        let is_versions = |read: &Read| matches!(read.call, ReadCall::Versions { .. });
        let place = |hand: &Hand| hand.asked.iter().position(is_versions);
        hand.run_while(WINDOW + HOUR, |hand| place(hand).is_none());
        let first = hand.asked.remove(place(&hand).expect("the plan asks for them"));
        hand.now += Millis(1);
        hand.run_while(WINDOW + HOUR, |hand| place(hand).is_none());
        let second = hand.asked.remove(place(&hand).expect("the start asks for them"));
        if is_first_late {
            hand.shown.current = "6.0.9";
            hand.answer(second);
            hand.shown.current = "6.0.1";
            hand.answer(first);
        } else {
            hand.answer(first);
            hand.shown.current = "6.0.9";
            hand.answer(second);
        }
        hand.run(WINDOW + HOUR, 1);
        assert_eq!(hand.row().state, TargetState::Skipped);
        assert_eq!(hand.submits.len(), 0);
        hand.expect_sound();
    }
}
