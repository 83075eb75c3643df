//! Operators' orders: what each changes, and what it answers.

use refit::engine::order::{Command, Order, Refusal, Reply, ResumeScope};
use refit::engine::rows::FreezeRow;
use refit::engine::{Fact, Hold, HoldKind, Scope, TargetState};
use refit::model::{CacheMode, Millis};
use refit::rehearse::Act;
use refit::sim::world::{CallFilter, CallKind, Decision, Outcome, Script, Step};

use crate::engine_scene::Scene;

/// Orders it now, and tells the answer.
fn order(scene: &mut Scene, actor: &str, reason: Option<&str>, command: Command) -> Reply {
    let order = Order { actor: actor.into(), reason: reason.map(Into::into), command };
    let (now, count) = (scene.host.now(), scene.host.replies().len());
    scene.host.arrange(now, Act::Order(order));
    scene.run_for(Millis::from_secs(1), |host| host.replies().len() > count);
    scene.host.replies().get(count).expect("every order is answered").clone()
}

/// The message of an order that was obeyed, and whether it changed anything.
#[track_caller]
fn done(reply: Reply) -> (bool, String) {
    match reply {
        Reply::Done { changed, message } => (changed, message),
        Reply::Refused { message, .. } => panic!("refused: {message}"),
    }
}

/// The message of an order that was refused for now.
#[track_caller]
fn not_now(reply: Reply) -> String {
    match reply {
        Reply::Refused { refusal: Refusal::NotNow, message } => message,
        other => panic!("{other:?}"),
    }
}

fn planned(count: usize) -> Scene {
    let mut scene = Scene::new(count, |_| {});
    scene.run_to(|fact| matches!(fact, Fact::Started));
    scene
}

fn freezes(scene: &Scene) -> Vec<FreezeRow> {
    scene.host.store().rows().freezes
}

#[test]
fn a_second_freeze_never_shortens_the_first_and_names_who_froze_it_and_the_way_out() {
    let mut scene = planned(1);
    let freeze = |until| Command::Freeze { scope: Scope::All, until };
    let in_an_hour = Some(scene.host.now() + Millis::from_hours(1));
    done(order(&mut scene, "1/alice", Some("incident"), freeze(None)));
    let before = freezes(&scene);
    for (until, ends) in [(in_an_hour, "a shorter one"), (None, "the same one")] {
        let (changed, message) = done(order(&mut scene, "2/bob", Some("short"), freeze(until)));
        assert!(!changed, "{ends}: {message}");
        assert_eq!(
            message,
            "everything is frozen by 1/alice until refit unfreeze (incident) already; \
             freeze only extends it: refit unfreeze --all ends it"
        );
        assert_eq!(freezes(&scene), before, "{ends}");
    }
}

#[test]
fn a_longer_freeze_says_what_it_replaces_and_keeps_its_beginning() {
    let mut scene = planned(1);
    let freeze = |until| Command::Freeze { scope: Scope::Campaign("c".into()), until };
    let begin = scene.host.now();
    let (short, long) = (begin + Millis::from_hours(1), begin + Millis::from_hours(2));
    done(order(&mut scene, "1/alice", None, freeze(Some(short))));
    let (changed, message) = done(order(&mut scene, "2/bob", None, freeze(Some(long))));
    assert!(
        changed && message.contains("; this replaces the freeze by 1/alice until "),
        "{message}"
    );
    let kept = &freezes(&scene)[0];
    assert_eq!((kept.from, kept.until, &*kept.actor), (begin, Some(long), "2/bob"));
    let (changed, _) = done(order(&mut scene, "1/alice", None, freeze(Some(short))));
    assert!(!changed);
    assert_eq!(freezes(&scene)[0].until, Some(long));
    // One that ended leaves nothing to extend.
    scene.run_for(Millis::from_hours(3), |_| false);
    let later = scene.host.now() + Millis::from_mins(1);
    let (changed, message) = done(order(&mut scene, "1/alice", None, freeze(Some(later))));
    assert!(changed && !message.contains("replaces"), "{message}");
}

/// The first `count` reads of the list are answered 401, all else works.
fn with_a_refused_key(count: usize) -> Scene {
    let mut scene = Scene::new(1, |draft| {
        let mut steps = vec![Step::from(Decision::Unauthorized); count];
        steps.push(Decision::Ok.into());
        let calls = CallFilter::Only(CallKind::List);
        draft.faults.scripts.push(Script { calls, steps, ..Script::default() });
    });
    scene.run_to(|fact| matches!(fact, Fact::CredentialStopped { .. }));
    scene
}

/// Orders a try, and gives it the time to be refused.
fn resume_key(scene: &mut Scene) -> Reply {
    let scope = ResumeScope::Credential("key".into());
    let reply = order(scene, "1/alice", None, Command::Resume { scope });
    scene.run_for(Millis::from_mins(5), |_| false);
    reply
}

fn key_hold(scene: &Scene) -> Hold {
    let now = scene.host.steady().expect("a process runs");
    let engine = scene.host.engine().expect("a process runs");
    engine.status(now).projects.remove(0).credential_hold.expect("it is stopped")
}

fn refusals(scene: &Scene) -> u32 {
    scene.host.store().rows().credentials[0].refusals
}

#[test]
fn a_stopped_static_key_is_to_be_mended_and_tried_again_only_so_often() {
    let mut scene = with_a_refused_key(9);
    for (refused, words) in [(1, "refused once, "), (2, "refused 2 times, ")] {
        let hold = key_hold(&scene);
        assert_eq!(hold.kind, HoldKind::Credential, "{hold:?}");
        assert_eq!(hold.next_command.as_deref(), Some("refit check --effective"));
        assert_eq!(hold.alternatives, ["refit resume --credential key"]);
        assert!(hold.detail.contains(words), "{}", hold.detail);
        assert!(hold.detail.contains("locks a key for everyone after five"), "{}", hold.detail);
        assert_eq!(refusals(&scene), refused);
        done(resume_key(&mut scene));
    }
    // The third refusal: the order is refused too, by the next process as well.
    for restarts in [false, true] {
        if restarts {
            let now = scene.host.now();
            scene.host.arrange(now, Act::Crash { back_after: Millis::from_secs(1) });
            scene.run_for(Millis::from_secs(5), |_| false);
        }
        let message = not_now(resume_key(&mut scene));
        assert!(message.contains("refused 3 times in a row"), "{message}");
        assert!(message.contains("refit check --effective"), "{message}");
        assert_eq!(key_hold(&scene).alternatives, [""; 0]);
        assert_eq!(refusals(&scene), 3, "nothing was begun with it");
    }
    // After a rest it may have been mended in the cloud: one more try.
    scene.run_for(Millis::from_hours(1), |_| false);
    let (changed, _) = done(resume_key(&mut scene));
    assert!(changed);
    assert_eq!(refusals(&scene), 4);
    not_now(resume_key(&mut scene));
    scene.expect_sound();
}

#[test]
fn a_refused_key_rests_no_longer_for_a_clock_that_was_put_back() {
    let mut scene = with_a_refused_key(9);
    done(resume_key(&mut scene));
    done(resume_key(&mut scene));
    let now = scene.host.now();
    scene.host.arrange(now, Act::Crash { back_after: Millis::from_secs(10) });
    scene.run_for(Millis::from_secs(1), |_| false);
    let now = scene.host.now();
    scene.host.arrange(now, Act::ClockStep(Millis::from_hours(-24)));
    scene.run_for(Millis::from_secs(20), |_| false);
    not_now(resume_key(&mut scene));
    scene.run_for(Millis::from_hours(1), |_| false);
    done(resume_key(&mut scene));
}

#[test]
fn a_key_that_worked_in_between_is_counted_anew() {
    let mut scene = with_a_refused_key(2);
    done(resume_key(&mut scene));
    assert_eq!(refusals(&scene), 2);
    done(resume_key(&mut scene));
    assert_eq!(refusals(&scene), 0);
    scene.run();
    scene.expect_sound();
}

#[test]
fn a_pause_under_an_abort_is_refused_and_changes_nothing() {
    let mut scene = Scene::new(3, |draft| draft.campaign().max_in_flight = 1);
    scene.run_to(|fact| matches!(fact, Fact::Accepted { .. }));
    let campaign = || Command::Abort { campaign: "c".into() };
    done(order(&mut scene, "1/alice", None, campaign()));
    let before = scene.host.store().campaigns().next().cloned();
    let pause = Command::Pause { campaign: "c".into() };
    let message = not_now(order(&mut scene, "1/alice", None, pause));
    assert!(message.contains("is being aborted"), "{message}");
    assert_eq!(scene.host.store().campaigns().next().cloned(), before);
    scene.run();
    scene.expect_sound();
}

#[test]
fn what_the_plans_own_rules_skip_is_not_opened_again() {
    let mut scene = Scene::new(2, |draft| {
        draft.instances[0].cache_mode = CacheMode::Single;
    });
    scene.run_to(|fact| matches!(fact, Fact::Skipped { .. }));
    let target = scene.target("cache-0");
    let reply = order(&mut scene, "1/alice", None, Command::Retry { target });
    let message = not_now(reply);
    assert!(message.contains("would be skipped again: single_node"), "{message}");
    assert!(message.contains("allow_single_node is not set in [campaigns.c]"), "{message}");
    assert_eq!(scene.state("cache-0"), TargetState::Skipped);
}

#[test]
fn a_failed_target_names_the_order_that_opens_it_again() {
    let mut scene = Scene::new(1, |draft| draft.instances[0].outcomes = vec![Outcome::Failed]);
    scene.run();
    let target = scene.target("cache-0");
    let now = scene.host.steady().expect("a process runs");
    let why = scene.host.engine().expect("a process runs").why(&target, now).expect("it is known");
    assert_eq!((why.state, why.hold), (TargetState::Failed, None));
    assert_eq!(why.next_command, Some(format!("refit retry {target}")));
}
