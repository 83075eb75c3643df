//! Operators' orders: what each changes, and what it answers.

use refit::engine::order::{Command, Order, Reply};
use refit::engine::rows::FreezeRow;
use refit::engine::{Fact, Scope};
use refit::model::Millis;
use refit::rehearse::Act;

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
