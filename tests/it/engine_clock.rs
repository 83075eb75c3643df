//! Clocks that somebody set while no process ran, or shortly before one ended.

use refit::engine::{Fact, Input, TargetState};
use refit::model::answer::Answered;
use refit::model::{AnswerNote, Millis, SubmitAnswer, TaskStatus, Wall};
use refit::rehearse::Act;

use crate::engine_hand::{Hand, WINDOW, task};
use crate::engine_scene::Scene;

const DAY: Millis = Millis::from_hours(24);
const HOUR: Millis = Millis::from_hours(1);

fn is_behind(fact: &Fact) -> bool {
    matches!(fact, Fact::ClockBehindStore { .. })
}

/// Rule S3: what an earlier clock wrote and nobody moves (ends, plans) stays ahead of the new one,
/// and must not move what waits once more.
#[test]
fn a_clock_that_was_put_back_moves_what_waits_only_once() {
    let mut hand = Hand::new(|_| {});
    hand.run(WINDOW + HOUR, 1);
    let note = AnswerNote {
        status: Some(429),
        retry_after: Some(Millis::from_mins(50)),
        ..AnswerNote::default()
    };
    let answer = SubmitAnswer::Throttled { limit: None, retry_after: note.retry_after };
    let answer = Answered { answer, note, server_time: Some(hand.wall()) };
    let attempt = hand.submits[0].attempt.clone();
    hand.give(Input::Submitted { attempt, answer });
    let wait = hand.row().not_before.expect("it was asked to wait") - hand.wall();
    assert!(wait >= Millis::from_mins(50));
    let begin = hand.wall() + Millis::from_secs(5) - DAY;
    let hand = Hand::of(hand.store, begin, |_| {});
    assert!(hand.has(is_behind), "24 hours are no small difference");
    let begin = hand.wall() + Millis::from_secs(5);
    let mut hand = Hand::of(hand.store, begin, |_| {});
    assert!(!hand.has(is_behind), "told again, and moved again");
    hand.run(begin + HOUR, 1);
    assert!(hand.wall() - begin >= Millis::from_mins(45), "after {}", hand.wall() - begin);
    hand.expect_sound();
}

#[test]
fn a_clock_put_back_under_a_running_daemon_is_not_put_back_again_by_a_restart() {
    let mut scene = Scene::new(2, |draft| {
        draft.campaign().max_in_flight = 1;
        draft.settings.windows.get_mut(&"nightly".into()).expect("it is there").duration =
            Millis::from_hours(20);
    });
    scene.run_to(|fact| matches!(fact, Fact::Succeeded { .. }));
    let now = scene.host.now();
    scene.host.arrange(now, Act::ClockStep(Millis::ZERO - HOUR));
    scene.run_for(Millis::from_mins(1), |_| false);
    let now = scene.host.now();
    scene.host.arrange(now, Act::Crash { back_after: Millis::from_secs(5) });
    scene.run();
    assert_eq!(scene.count(TargetState::Succeeded), 2);
    assert!(scene.events(is_behind).is_empty());
    scene.expect_sound();
}

/// Two looks a minute apart say that nothing changed; a clock is no minute.
#[test]
fn a_clock_put_forward_while_nothing_ran_does_not_make_a_version_final() {
    let mut hand = Hand::new(|_| {});
    hand.run(WINDOW + HOUR, 1);
    let ended = task("t1", "u", TaskStatus::Succeeded, hand.wall());
    hand.shown.tasks.insert("a", vec![ended]);
    hand.submitted(SubmitAnswer::Accepted { task: "t1".into() }, 200);
    let is_unchanged = |hand: &Hand| {
        hand.row().detail.flight.as_deref().is_some_and(|flight| flight.unchanged_at.is_some())
    };
    hand.run_while(WINDOW + HOUR, |hand| !is_unchanged(hand));
    let begin = hand.wall() + Millis::from_mins(10);
    let mut hand = Hand::of(hand.store, begin, |_| {});
    hand.run_while(begin + HOUR, |hand| hand.row().state != TargetState::Failed);
    assert!(hand.wall() - begin >= Millis::from_mins(1), "after {}", hand.wall() - begin);
    hand.expect_sound();
}

/// Rule S3: the cloud has `observe_for` to show what it took, by a clock that nobody set.
#[test]
fn a_clock_put_forward_while_nothing_ran_does_not_shorten_the_observation() {
    for is_answered in [false, true] {
        let mut hand = Hand::new(|_| {});
        hand.run(WINDOW + HOUR, 1);
        if is_answered {
            hand.submitted(SubmitAnswer::Uncertain, 500);
        }
        let begin: Wall = hand.wall() + Millis::from_mins(10);
        let mut hand = Hand::of(hand.store, begin, |_| {});
        assert_eq!(hand.row().state, TargetState::Uncertain);
        hand.run(begin + HOUR, 1);
        let observed = hand.wall() - begin;
        assert!(observed >= Millis::from_mins(2), "sent again after {observed}");
        hand.expect_sound();
    }
}
