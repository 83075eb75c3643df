//! What counts as proof: of a credential, and of trouble.

use refit::engine::{Fact, HoldKind, Input};
use refit::model::answer::Answered;
use refit::model::policy::{FailureBudget, MaxFailures};
use refit::model::{AnswerNote, Millis, ReadCall, ReadFailure, TargetId};

use crate::engine_hand::{Hand, WINDOW};

/// Rule S12: a 404 whose body cannot be read may come from anything on the way.
#[test]
fn an_answer_that_cannot_be_read_proves_no_credential() {
    let mut hand = Hand::new(|_| {});
    let read = hand.asked.remove(0);
    assert!(hand.asked.is_empty(), "an unproven credential has one request in flight");
    let note = AnswerNote { status: Some(404), ..AnswerNote::default() };
    let failure = Answered { answer: ReadFailure::Unreachable, note, server_time: None };
    hand.give(Input::Read { id: read.id, result: Err(failure) });
    assert!(!hand.has(|fact| matches!(fact, Fact::CredentialProven { .. })));
    hand.run(WINDOW, 1);
    assert!(hand.has(|fact| matches!(fact, Fact::CredentialProven { .. })));
    hand.expect_sound();
}

/// Rule S8: it needs an operator now, whether it was sent or not.
#[test]
fn a_pending_target_that_needs_an_operator_counts_towards_the_budget() {
    let mut hand = Hand::new(|settings| {
        let policy = settings.campaigns.get_mut(&"c".into()).expect("it is there");
        policy.failure_budget =
            FailureBudget { max_failures: MaxFailures::Count(1), consecutive: 9, strict: false };
        policy.task_timeout = Millis::from_mins(15);
    });
    hand.shown.names = vec!["a", "b"];
    let of_a: fn(&ReadCall) -> bool =
        |call| matches!(call, ReadCall::Versions { instance } if instance.as_str() == "a");
    hand.refused = Some((of_a, ReadFailure::Forbidden));
    hand.run(WINDOW + Millis::from_hours(1), 1);
    assert!(hand.row().needs_operator.is_some());
    assert_eq!(hand.submits.len(), 0, "b started all the same");
    let other = TargetId { instance: "b".into(), ..hand.row().id.clone() };
    let hold = hand.engine.hold(&other, hand.now).expect("it waits");
    assert_eq!(hold.kind, HoldKind::BudgetTripped);
    hand.expect_sound();
}
