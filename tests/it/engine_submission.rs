//! From an intent to its proof: what is sent, when it is sent again, and what success means.

use std::collections::BTreeMap;

use refit::engine::{Fact, Reason, TargetState};
use refit::model::policy::Rate;
use refit::model::{AttemptId, Millis};
use refit::rehearse::{Act, Network};
use refit::sim::world::{CallFilter, CallKind, Decision, Outcome, Script, SpanRange, Step};

use crate::engine_scene::{Draft, Scene};

#[test]
fn write_ahead_intents_stand_in_the_store_before_anything_is_sent() {
    let mut scene = Scene::new(20, |draft| {
        draft.mischief.seed = 7;
        draft.mischief.crash_share = 0.03;
        draft.mischief.crashes_most = 20;
        draft.mischief.down_for =
            SpanRange { least: Millis::from_secs(1), most: Millis::from_mins(1) };
    });
    scene.run();
    assert!(scene.host.crashes() > 5, "only {} crashes", scene.host.crashes());
    let intents: BTreeMap<AttemptId, _> = scene
        .events(|fact| matches!(fact, Fact::Intent { .. }))
        .into_iter()
        .map(|event| (event.attempt.clone().expect("an intent has an attempt"), event))
        .collect();
    for (_, _, truth) in scene.host.world().truths() {
        for applied in truth.applied {
            let name = applied.attempt.expect("every call names its attempt");
            let event = intents[&name.parse().expect("it is an attempt's name")];
            assert!(event.at <= applied.at, "{name} was sent before it was written");
            let Fact::Intent { body, .. } = &event.fact else { unreachable!("filtered") };
            assert_eq!(*body, applied.body);
        }
    }
    scene.expect_sound();
}

#[test]
fn the_one_shot_ticket_is_void_for_every_later_process() {
    let mut scene = Scene::new(1, |draft| {
        draft.mischief.sender_takes =
            SpanRange { least: Millis::from_secs(1), most: Millis::from_secs(1) };
    });
    scene.run_to(|fact| matches!(fact, Fact::Intent { .. }));
    // The process dies between its commit and its first byte.
    let now = scene.host.now();
    scene.host.arrange(now, Act::Crash { back_after: Millis::from_secs(2) });
    scene.run();
    assert_eq!(scene.applied("cache-0"), 1);
    let intents = scene.intents();
    assert_eq!(intents.len(), 2);
    assert!(intents[1] - intents[0] >= Millis::from_mins(2), "resent before it was looked for");
    let uncertain = scene.events(|fact| matches!(fact, Fact::BecameUncertain { .. }));
    assert_eq!(uncertain.len(), 1, "the first ticket counts as sent");
    assert_eq!(scene.state("cache-0"), TargetState::Succeeded);
    scene.expect_sound();
}

/// The name of the contract: 500 twice before applying, then 200.
#[test]
fn two_500s_before_applying_then_200_are_three_posts_after_clean_looks_and_backoff() {
    let mut scene = Scene::new(1, |draft| {
        draft.script(&[Decision::Error500Before, Decision::Error500Before, Decision::Ok]);
    });
    scene.run();
    let intents = scene.intents();
    assert_eq!(intents.len(), 3);
    // `observe_for` and the floor of every backoff.
    let least = Millis::from_mins(2) + Millis::from_secs(1);
    assert!(intents.windows(2).all(|pair| pair[1] - pair[0] >= least), "{intents:?}");
    let clean = scene.events(|fact| matches!(fact, Fact::LookedClean { .. }));
    assert!(clean.len() >= 6, "three looks prove it, each time");
    assert_eq!(scene.applied("cache-0"), 1);
    assert_eq!(scene.state("cache-0"), TargetState::Succeeded);
    scene.expect_sound();
}

#[test]
fn no_attempt_follows_before_the_retry_after_of_any_answer_has_passed() {
    let asked = Millis::from_secs(3_000);
    for (decision, status) in [(Decision::Error500Before, 503), (Decision::Rejected, 400)] {
        let mut scene = Scene::new(1, |draft| {
            let mut step = Step::from(decision);
            step.status = Some(status);
            step.code = Some(if status == 400 { "DCS.4017" } else { "DCS.5006" }.into());
            step.retry_after = Some("3000".into());
            draft.faults.scripts.push(Script {
                calls: CallFilter::Only(CallKind::Upgrade),
                steps: vec![step],
                ..Script::default()
            });
        });
        scene.run();
        let intents = scene.intents();
        assert_eq!(intents.len(), 2, "{status}");
        assert!(intents[1] - intents[0] >= asked, "{status}: {}", intents[1] - intents[0]);
        scene.expect_sound();
    }
}

#[test]
fn a_kill_in_the_middle_changes_neither_the_posts_nor_their_gaps() {
    let mut scene = Scene::new(1, |draft| {
        draft.script(&[Decision::Error500Before, Decision::Error500Before, Decision::Ok]);
    });
    scene.run_to(|fact| matches!(fact, Fact::LookedClean { clean: 2 }));
    let now = scene.host.now();
    scene.host.arrange(now, Act::Crash { back_after: Millis::from_secs(5) });
    scene.run();
    let intents = scene.intents();
    assert_eq!(intents.len(), 3);
    let least = Millis::from_mins(2) + Millis::from_secs(1);
    assert!(intents.windows(2).all(|pair| pair[1] - pair[0] >= least), "{intents:?}");
    scene.expect_sound();
}

#[test]
fn a_500_after_applying_is_one_post_and_succeeds() {
    let mut scene = Scene::new(1, |draft| draft.script(&[Decision::ApplyThen500]));
    scene.run();
    assert_eq!(scene.intents().len(), 1);
    assert_eq!(scene.applied("cache-0"), 1);
    assert_eq!(scene.state("cache-0"), TargetState::Succeeded);
    assert_eq!(scene.events(|fact| matches!(fact, Fact::Adopted { .. })).len(), 1);
    scene.expect_sound();
}

#[test]
fn clean_looks_never_count_while_the_instance_is_busy() {
    let mut scene = Scene::new(1, |draft| {
        draft.script(&[Decision::ApplyThenDrop]);
        // The task looks like another's and the instance names none: only its status tells.
        for knob in ["service_task=never", "task_name=EXTEND", "task_during=null"] {
            draft.knobs.set(knob).expect("the knob takes it");
        }
    });
    scene.run();
    assert_eq!(scene.intents().len(), 1);
    assert!(!scene.events(|fact| matches!(fact, Fact::LookedBusy { .. })).is_empty());
    assert_eq!(scene.events(|fact| matches!(fact, Fact::Inferred { .. })).len(), 1);
    assert_eq!(scene.state("cache-0"), TargetState::Succeeded);
    scene.expect_sound();
}

#[test]
fn the_circuit_opens_after_three_unclear_answers_and_an_accepted_start_closes_it() {
    let mut scene = Scene::new(6, |draft| {
        draft.script(&[Decision::DropBeforeApply, Decision::Ok]);
        draft.campaign().max_in_flight = 3;
    });
    scene.run();
    let opened = scene.events(|fact| matches!(fact, Fact::CircuitOpened { .. }));
    let closed = scene.events(|fact| matches!(fact, Fact::CircuitClosed));
    assert!(!opened.is_empty() && !closed.is_empty());
    let before = scene.events(|fact| matches!(fact, Fact::BecameUncertain { .. }));
    let unclear = before.iter().filter(|event| event.seq < opened[0].seq).count();
    assert!((2..=3).contains(&unclear), "the third unclear answer opens it, not number {unclear}");
    let accepted = scene.events(|fact| matches!(fact, Fact::Accepted { .. }));
    assert!(accepted.iter().any(|event| event.at == closed[0].at));
    assert_eq!(scene.count(TargetState::Succeeded), 6);
    scene.expect_sound();
}

#[test]
fn an_open_circuit_survives_a_restart() {
    let mut scene = Scene::new(6, |draft| {
        draft.script(&[Decision::DropBeforeApply, Decision::Ok]);
        draft.campaign().max_in_flight = 3;
    });
    scene.run_to(|fact| matches!(fact, Fact::CircuitOpened { .. }));
    let opened = scene.events(|fact| matches!(fact, Fact::CircuitOpened { .. }));
    let Fact::CircuitOpened { until } = opened[0].fact else { unreachable!("filtered") };
    let before = scene.intents().len();
    let now = scene.host.now();
    assert!(until > now + Millis::from_secs(1), "it opens for too short a time to be tried");
    scene.host.arrange(now, Act::Crash { back_after: Millis(1) });
    scene.run();
    let intents = scene.intents();
    assert!(intents[before] >= until, "a start at {:?}, before {until:?}", intents[before]);
    assert_eq!(scene.count(TargetState::Succeeded), 6);
    scene.expect_sound();
}

#[test]
fn a_clock_step_moves_an_open_circuit_for_the_next_process_too() {
    let mut scene = Scene::new(6, |draft| {
        draft.script(&[Decision::DropBeforeApply, Decision::Ok]);
        draft.campaign().max_in_flight = 3;
    });
    scene.run_to(|fact| matches!(fact, Fact::CircuitOpened { .. }));
    let until = |scene: &Scene| {
        let now = scene.host.steady().expect("a process runs");
        let status = scene.host.engine().expect("a process runs").status(now);
        let open = status.projects[0].circuit_open_until.expect("the circuit is open");
        open - status.at
    };
    let before = until(&scene);
    let now = scene.host.now();
    scene.host.arrange(now, Act::ClockStep(Millis::ZERO - Millis::from_hours(1)));
    scene.host.arrange(now, Act::Crash { back_after: Millis(1) });
    scene.run_for(Millis::from_secs(1), |host| host.engine().is_none());
    scene.run_for(Millis::from_secs(1), |host| host.engine().is_some());
    assert_eq!(before - until(&scene), Millis(1), "it waits as long as it would have");
    scene.run();
    scene.expect_sound();
}

#[test]
fn project_backoff_follows_answers_that_never_reached_the_cloud() {
    let mut scene = Scene::new(4, |draft| {
        draft.project().max_in_flight = 1;
        draft.mischief.sender_takes =
            SpanRange { least: Millis::from_secs(1), most: Millis::from_secs(1) };
    });
    scene.run_to(|fact| matches!(fact, Fact::Intent { .. }));
    let now = scene.host.now();
    scene.host.arrange(now, Act::Network(Network::Down));
    scene.host.arrange(now + Millis::from_mins(10), Act::Network(Network::Up));
    scene.run();
    let not_sent: Vec<_> = scene.events(|fact| matches!(fact, Fact::NotSent { .. }));
    let Fact::NotSent { project_backoff_until, .. } = &not_sent[0].fact else {
        unreachable!("filtered")
    };
    let next = scene.intents().into_iter().find(|at| *at > not_sent[0].at);
    assert!(next.is_some_and(|next| next >= *project_backoff_until), "the project did not wait");
    // They never left, so they are no attempts that failed.
    let retries = scene.host.store().targets().map(|row| row.not_applied).sum::<u32>();
    assert_eq!(retries, 0);
    assert_eq!(scene.count(TargetState::Succeeded), 4);
    scene.expect_sound();
}

#[test]
fn healthy_targets_never_wait_for_a_hanging_one_while_a_slot_is_free() {
    let mut scene = Scene::new(6, |draft| {
        draft.campaign().max_in_flight = 2;
        draft.instances[0].outcomes = vec![Outcome::Stuck];
    });
    scene.run_for(Millis::from_hours(8), |_| false);
    assert_eq!(scene.count(TargetState::Succeeded), 5);
    assert_eq!(scene.state("cache-0"), TargetState::Running);
    // One after the other through the slot that is free: each takes its upgrade, its settling, and
    // no watch of the hanging one.
    let intents = scene.intents();
    let most = Millis::from_mins(5 + 1 + 1);
    for pair in intents[1..].windows(2) {
        assert!(pair[1] - pair[0] <= most, "waited from {:?} to {:?}", pair[0], pair[1]);
    }
    let row = scene.host.store().target(&scene.target("cache-0")).expect("it is planned");
    assert!(row.overdue && row.needs_operator.is_some(), "{row:?}");
    scene.expect_sound();
}

#[test]
fn verification_goes_by_the_version_whatever_the_task_said() {
    let ends = [
        (Outcome::Success, TargetState::Succeeded, Reason::Verified),
        (Outcome::FailedButMoved, TargetState::Succeeded, Reason::Verified),
        (Outcome::Vanishes, TargetState::Succeeded, Reason::Verified),
        (Outcome::UnknownWord, TargetState::Succeeded, Reason::Verified),
        (Outcome::VersionUnchanged, TargetState::Failed, Reason::VersionUnchanged),
        (Outcome::Failed, TargetState::Failed, Reason::TaskFailed(Some("DCS.4842".into()))),
    ];
    let mut scene = Scene::new(ends.len(), |draft| {
        for (instance, (outcome, ..)) in draft.instances.iter_mut().zip(&ends) {
            instance.outcomes = vec![*outcome];
        }
    });
    scene.run();
    for (number, (outcome, state, reason)) in ends.iter().enumerate() {
        let name = format!("cache-{number}");
        let row = scene.host.store().target(&scene.target(&name)).expect("it is planned");
        assert_eq!((row.state, row.reason.as_ref()), (*state, Some(reason)), "{outcome:?}");
        assert_eq!(scene.applied(&name), 1, "{outcome:?}");
    }
    scene.expect_sound();
}

/// Every call of this kind is refused, but for the first `good` of each instance.
fn refuse(draft: &mut Draft, calls: CallKind, good: u32) {
    let mut steps = vec![Step { times: u32::MAX, ..Step::from(Decision::Forbidden) }];
    if good > 0 {
        steps.insert(0, Step { times: good, ..Step::from(Decision::Ok) });
    }
    let script = Script { calls: CallFilter::Only(calls), steps, ..Script::default() };
    draft.faults.scripts.push(script);
}

#[test]
fn what_was_sent_and_cannot_be_read_calls_an_operator() {
    let verifying = Scene::new(1, |draft| refuse(draft, CallKind::Version, 1));
    let uncertain = Scene::new(1, |draft| {
        draft.script(&[Decision::Error500Before]);
        refuse(draft, CallKind::InstanceTasks, 0);
    });
    let unhurried = Scene::new(1, |draft| {
        draft.script(&[Decision::Error500Before]);
        draft.campaign().observe_for = Millis::from_mins(1);
        // Three reads take fifteen seconds: three looks never fit into thirty-second gaps.
        draft.project().read_rate = Rate { events: 4, per: Millis::from_mins(1), burst: 1 };
    });
    for mut scene in [verifying, uncertain, unhurried] {
        scene.run_for(Millis::from_hours(4), |_| false);
        let row = scene.host.store().target(&scene.target("cache-0")).expect("it is planned");
        assert!(row.state.is_in_flight(), "{}", row.state);
        assert!(row.needs_operator.is_some(), "{} and nobody is told", row.state);
        scene.expect_sound();
    }
}

#[test]
fn a_task_centre_that_is_forbidden_leaves_the_list_to_be_tried() {
    let mut scene = Scene::new(3, |draft| refuse(draft, CallKind::TaskCentre, 0));
    scene.run();
    let projects = scene.host.store().rows().projects;
    assert!(projects.iter().any(|row| row.detail.watch_probed_at.is_some()));
    scene.expect_sound();
}

#[test]
fn a_clear_answer_between_three_403s_keeps_the_project_going() {
    let mut scene = Scene::new(5, |draft| {
        draft.campaign().max_in_flight = 1;
        let mut script = |number: usize, decision| {
            draft.faults.scripts.push(Script {
                calls: CallFilter::Only(CallKind::Upgrade),
                instance: Some(format!("cache-{number}")),
                steps: vec![Step::from(decision)],
                ..Script::default()
            });
        };
        (0..3).for_each(|number| script(number, Decision::Forbidden));
        (3..5).for_each(|number| script(number, Decision::Rejected));
    });
    scene.run();
    let is_forbidden = |fact: &&refit::engine::Event| matches!(&fact.fact, Fact::Rejected { note } if note.status == Some(403));
    let answers = scene.events(|fact| {
        matches!(fact, Fact::Rejected { .. } | Fact::Conflict { .. } | Fact::Accepted { .. })
    });
    let forbidden = answers.iter().filter(|event| is_forbidden(event)).count();
    assert_eq!(forbidden, 3);
    let in_a_row = answers.windows(3).any(|three| three.iter().all(is_forbidden));
    let stopped = !scene.events(|fact| matches!(fact, Fact::ProjectStopped { .. })).is_empty();
    assert_eq!(stopped, in_a_row, "it stops at three in a row, and only then");
    scene.expect_sound();
}
