//! Whose a task is, and what follows where nobody can tell: never another upgrade.

use refit::engine::order::{Command, Order, Verdict};
use refit::engine::{Fact, Input, TargetState};
use refit::model::{Millis, Settings, SubmitAnswer, TaskStatus};
use refit::sim::world::{CallFilter, CallKind, Decision, Outcome, Script, SpanRange, Step};

use crate::engine_hand::{Hand, WINDOW, task};
use crate::engine_scene::Scene;

const HOUR: Millis = Millis::from_hours(1);

/// Two instances, one after the other; the one of them is applied, answered by a 500, and
/// fails after five seconds.
fn fails_after_a_500(knobs: &[&str]) -> Scene {
    Scene::new(2, |draft| {
        for knob in knobs {
            draft.knobs.set(knob).expect("the knob takes it");
        }
        draft.campaign().max_in_flight = 1;
        let five = Millis::from_secs(5);
        draft.instances[0].outcomes = vec![Outcome::Failed, Outcome::Success];
        draft.instances[0].takes = Some(SpanRange { least: five, most: five });
        draft.faults.scripts.push(Script {
            calls: CallFilter::Only(CallKind::Upgrade),
            instance: Some("cache-0".into()),
            steps: vec![Step::from(Decision::ApplyThen500)],
            ..Script::default()
        });
    })
}

#[test]
fn an_upgrade_task_under_a_name_of_other_work_is_ours_all_the_same() {
    let mut scene = fails_after_a_500(&["task_name=EXTEND", "service_task=never"]);
    scene.run();
    assert_eq!(scene.applied("cache-0"), 1);
    assert_eq!(scene.state("cache-0"), TargetState::Failed, "adopted by the learned name");
    scene.expect_sound();
}

#[test]
fn an_unlearned_name_of_other_work_calls_an_operator_and_never_sends_again() {
    let mut scene = Scene::new(1, |draft| {
        for knob in ["task_name=EXTEND", "service_task=never", "records_kept=1m"] {
            draft.knobs.set(knob).expect("the knob takes it");
        }
        let five = Millis::from_secs(5);
        draft.instances[0].outcomes = vec![Outcome::Failed, Outcome::Success];
        draft.instances[0].takes = Some(SpanRange { least: five, most: five });
        draft.script(&[Decision::ApplyThen500, Decision::Ok]);
    });
    scene.run_for(Millis::from_hours(30), |_| false);
    assert_eq!(scene.intents().len(), 1);
    assert_eq!(scene.state("cache-0"), TargetState::Uncertain);
    assert!(!scene.events(|fact| matches!(fact, Fact::NeedsOperator { .. })).is_empty());
    scene.expect_sound();
}

fn at_once(settings: &mut Settings) {
    let campaign = settings.campaigns.get_mut(&"c".into()).expect("every draft has it");
    campaign.max_in_flight = 1;
    campaign.settle = Millis::ZERO;
}

/// The instance whose submission is the last.
fn sent_to(hand: &Hand) -> &'static str {
    let sent = hand.submits.last().expect("something was sent").instance.as_str().to_owned();
    if sent == "a" { "a" } else { "b" }
}

#[test]
fn the_user_of_an_adopted_task_is_not_taken_for_ours() {
    let mut hand = Hand::new(at_once);
    hand.shown.names = vec!["a", "b"];
    hand.run(WINDOW + HOUR, 1);
    // Nothing was started; a colleague starts the same in the console, and it fails.
    let theirs = task("t1", "colleague", TaskStatus::Failed, hand.wall());
    hand.shown.tasks.insert(sent_to(&hand), vec![theirs]);
    hand.submitted(SubmitAnswer::Uncertain, 500);
    hand.run(WINDOW + HOUR, 2);
    assert!(!hand.has(|fact| matches!(fact, Fact::OwnUserLearned { .. })));
    // This one is applied as our user's, and fails too.
    let ours = task("t2", "me", TaskStatus::Failed, hand.wall());
    hand.shown.tasks.insert(sent_to(&hand), vec![ours]);
    hand.submitted(SubmitAnswer::Uncertain, 500);
    hand.run(WINDOW + HOUR + HOUR, 3);
    assert_eq!(hand.submits.len(), 2);
    hand.expect_sound();
}

/// The user `old` has been learned; a process with a key of another fingerprint takes over.
fn with_another_key() -> Hand {
    let mut hand = Hand::new(at_once);
    hand.shown.names = vec!["a", "b"];
    hand.run(WINDOW + HOUR, 1);
    let ended = task("t0", "old", TaskStatus::Succeeded, hand.wall());
    hand.shown.tasks.insert(sent_to(&hand), vec![ended]);
    hand.submitted(SubmitAnswer::Accepted { task: "t0".into() }, 200);
    hand.run_while(WINDOW + HOUR, |hand| {
        !hand.has(|fact| matches!(fact, Fact::OwnUserLearned { .. }))
    });
    hand.expect_sound();
    let begin = hand.wall();
    let mut hand = Hand::of(hand.store, begin, |settings| {
        at_once(settings);
        let key = settings.credentials.get_mut(&"key".into()).expect("every draft has it");
        key.fingerprint = "of another user's key".into();
    });
    hand.shown.names = vec!["a", "b"];
    // The first one's version has not moved: it fails, and the other one's turn comes.
    hand.run(WINDOW + HOUR, 1);
    hand
}

#[test]
fn another_key_makes_our_former_user_no_proof() {
    let mut hand = with_another_key();
    let ours = task("t1", "new", TaskStatus::Failed, hand.wall());
    hand.shown.tasks.insert(sent_to(&hand), vec![ours]);
    hand.submitted(SubmitAnswer::Uncertain, 500);
    hand.run(WINDOW + HOUR + HOUR, 2);
    assert_eq!(hand.submits.len(), 1);
    hand.expect_sound();
}

#[test]
fn the_second_user_is_learned_from_the_first_task_that_its_key_starts() {
    let mut hand = with_another_key();
    let ours = task("t1", "new", TaskStatus::Open, hand.wall());
    hand.shown.tasks.insert(sent_to(&hand), vec![ours]);
    hand.submitted(SubmitAnswer::Accepted { task: "t1".into() }, 200);
    hand.run(WINDOW + Millis::from_mins(30), 2);
    let learned =
        |fact: &Fact| matches!(fact, Fact::OwnUserLearned { user, .. } if &**user == "new");
    assert!(hand.has(learned));
    hand.expect_sound();
}

/// The first attempt's task shows only once the second was sent, which 4116 answers.
fn late_upgrade() -> (Hand, refit::model::Wall) {
    let mut hand = Hand::new(|_| {});
    hand.run(WINDOW + HOUR, 1);
    let sent_at = hand.wall();
    hand.submitted(SubmitAnswer::Uncertain, 500);
    hand.run(WINDOW + HOUR, 2);
    hand.shown.is_busy = true;
    (hand, sent_at)
}

#[test]
fn a_4116_after_an_uncertain_attempt_adopts_what_that_one_started() {
    let (mut hand, sent_at) = late_upgrade();
    hand.shown.tasks.insert("a", vec![task("t1", "u", TaskStatus::Open, sent_at)]);
    hand.submitted(SubmitAnswer::Conflict { upgrading: true }, 400);
    hand.run(hand.wall() + Millis::from_mins(5), 3);
    assert_eq!(hand.row().state, TargetState::Running);
    hand.shown.tasks.insert("a", vec![task("t1", "u", TaskStatus::Failed, sent_at)]);
    hand.shown.is_busy = false;
    hand.run(hand.wall() + HOUR, 3);
    assert_eq!(hand.row().state, TargetState::Failed);
    assert_eq!(hand.submits.len(), 2);
    hand.expect_sound();
}

#[test]
fn a_4116_after_an_uncertain_attempt_is_never_settled_by_clean_looks() {
    let (mut hand, _) = late_upgrade();
    hand.submitted(SubmitAnswer::Conflict { upgrading: true }, 400);
    hand.run(hand.wall() + Millis::from_mins(5), 3);
    // It is over, it failed, and no list tells of it.
    hand.shown.is_busy = false;
    hand.run(hand.wall() + HOUR, 3);
    assert_eq!(hand.submits.len(), 2);
    assert!(hand.row().needs_operator.is_some());
    hand.expect_sound();
    let command = Command::Resolve { target: hand.row().id.clone(), verdict: Verdict::NotApplied };
    hand.give(Input::Order(Order { actor: "ann".into(), reason: None, command }));
    hand.run(hand.wall() + HOUR, 3);
    assert_eq!(hand.submits.len(), 3, "an operator may rule it");
    hand.expect_sound();
}

#[test]
fn tasks_that_could_be_ours_and_vanish_leave_it_to_an_operator() {
    for ids in [&["t1", "t2"][..], &["t1"]] {
        let mut hand = Hand::new(|_| {});
        hand.run(WINDOW + HOUR, 1);
        let at = hand.wall();
        let both = ids.iter().map(|id| task(id, "u", TaskStatus::Failed, at)).collect();
        hand.shown.tasks.insert("a", both);
        hand.submitted(SubmitAnswer::Uncertain, 500);
        if ids.len() == 1 {
            // The look that shows it is cut short.
            let is_tasks = |read: &refit::engine::Read| {
                matches!(read.call, refit::model::ReadCall::InstanceTasks { .. })
            };
            let tasks = hand.asked.iter().position(is_tasks).expect("a look asks for them");
            let read = hand.asked.remove(tasks);
            hand.answer(read);
            let read = hand.asked.remove(0);
            hand.refuse(read);
        } else {
            hand.run_while(WINDOW + HOUR, |hand| hand.row().needs_operator.is_none());
        }
        hand.shown.tasks.clear();
        hand.run(WINDOW + HOUR + HOUR, 2);
        assert_eq!(hand.submits.len(), 1, "{ids:?}");
        assert!(hand.row().needs_operator.is_some(), "{ids:?}");
        hand.expect_sound();
    }
}

/// The instance says that an upgrade runs, and no list tells of it: ours, most likely.
#[test]
fn an_upgrade_that_only_the_instance_shows_is_never_settled_by_clean_looks() {
    let mut hand = Hand::new(|_| {});
    hand.run(WINDOW + HOUR, 1);
    hand.shown.is_busy = true;
    hand.submitted(SubmitAnswer::Uncertain, 500);
    hand.run(hand.wall() + Millis::from_mins(5), 2);
    // It is over, and it failed.
    hand.shown.is_busy = false;
    hand.run(hand.wall() + HOUR, 2);
    assert_eq!(hand.submits.len(), 1);
    assert!(hand.row().needs_operator.is_some());
    hand.expect_sound();
}

/// Another user's upgrade explains why the instance was busy.
#[test]
fn a_colleagues_upgrade_that_is_known_as_theirs_costs_no_operator() {
    let mut hand = Hand::new(at_once);
    hand.shown.names = vec!["a", "b"];
    hand.run(WINDOW + HOUR, 1);
    let ours = task("t1", "me", TaskStatus::Failed, hand.wall());
    hand.shown.tasks.insert(sent_to(&hand), vec![ours]);
    hand.submitted(SubmitAnswer::Accepted { task: "t1".into() }, 200);
    hand.run(WINDOW + HOUR, 2);
    let theirs = |status| task("t2", "colleague", status, WINDOW + HOUR);
    hand.shown.tasks.insert(sent_to(&hand), vec![theirs(TaskStatus::Open)]);
    hand.shown.is_busy = true;
    hand.submitted(SubmitAnswer::Uncertain, 500);
    hand.run(hand.wall() + Millis::from_mins(5), 3);
    // The instance goes on to name it.
    hand.shown.service_task = Some("t2");
    hand.shown.tasks.insert(sent_to(&hand), vec![theirs(TaskStatus::Failed)]);
    hand.shown.is_busy = false;
    hand.run(hand.wall() + HOUR, 3);
    assert_eq!(hand.submits.len(), 3, "nothing of ours was ever there");
    hand.expect_sound();
}

/// Nothing was there while it was looked at; when the next attempt is prepared, the instance names
/// an upgrade that is over.
#[test]
fn an_upgrade_that_shows_after_clean_looks_is_never_followed_by_another() {
    let mut hand = Hand::new(|_| {});
    hand.run(WINDOW + HOUR, 1);
    hand.submitted(SubmitAnswer::Uncertain, 500);
    hand.run_while(WINDOW + HOUR, |hand| !hand.has(|fact| matches!(fact, Fact::NotApplied { .. })));
    hand.shown.service_task = Some("t1");
    hand.run(WINDOW + HOUR, 2);
    assert_eq!(hand.submits.len(), 1);
    assert_eq!(hand.row().state, TargetState::Pending);
    assert!(hand.row().needs_operator.is_some());
    hand.expect_sound();
}
