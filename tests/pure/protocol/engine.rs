//! The model and the engine are about the same protocol: what changes a row in the one changes it in
//! the other, by the same name.

use std::collections::{BTreeMap, BTreeSet};

use refit::engine::TargetState as State;
use refit::engine::planted::Planted;
use refit::model::TargetId;
use stateright::Model;

use crate::DEEP;
use crate::model::{Action, Answer, Deed, World};
use crate::simulation::{Mode, live};

/// From which state, by which event, to which.
type Change = (State, &'static str, State);

/// What the engine's events are called where the model changes a row.
fn names(world: &World, action: Action, to: State) -> Vec<&'static str> {
    let Action::Do(at, deed) = action else { return vec!["became_uncertain"] };
    let target = &world.targets[at];
    match (deed, to) {
        (Deed::Decide, _) => vec!["skipped"],
        (Deed::Commit, _) => vec!["intent"],
        (Deed::GiveUpWaiting, _) => vec!["became_uncertain"],
        (Deed::AnswerComes, _) => match target.expected_answer() {
            Some(Answer::Accepted) => vec!["accepted"],
            Some(Answer::Error) => vec!["became_uncertain"],
            Some(Answer::Conflict) => vec!["conflict"],
            Some(Answer::Rejected) => vec!["failed"],
            // A conflict with somebody else's work is a definite no too.
            _ => vec!["send_refused", "not_sent", "throttled", "credential_refused", "conflict"],
        },
        (Deed::Look, State::Running) => vec!["adopted"],
        (Deed::Look, _) => vec!["not_applied"],
        (Deed::Resolve, State::Running) => vec!["resolved"],
        (Deed::Resolve, _) => vec!["not_applied"],
        (Deed::Watch, _) => vec!["task_ended", "task_vanished"],
        (Deed::Verify, State::Succeeded) => vec!["succeeded"],
        (Deed::Verify, _) => vec!["failed"],
        (Deed::Retry, _) => vec!["retry_ordered"],
        _ => vec![],
    }
}

/// Every change of a row that the model knows.
fn of_the_model() -> BTreeSet<Change> {
    let (worlds, _) = crate::graph(&DEEP);
    let mut changes = BTreeSet::new();
    for world in &worlds {
        for (action, next) in DEEP.next_steps(world) {
            let (from, to) = (world.targets[0].row.state, next.targets[0].row.state);
            if from != to {
                changes.extend(names(world, action, to).into_iter().map(|name| (from, name, to)));
            }
        }
    }
    changes
}

/// Every change of a row in the lives of some seeds.
fn of_the_engine() -> BTreeSet<Change> {
    let mut changes = BTreeSet::new();
    for seed in 0..300 {
        let host = live(seed, Mode::ALL[seed as usize % 2], Planted::default()).host;
        let mut states: BTreeMap<TargetId, State> = BTreeMap::new();
        for event in host.store().ledger() {
            let (Some(target), Some(to)) = (event.target(), event.state) else { continue };
            if let Some(from) = states.insert(target, to)
                && from != to
            {
                changes.insert((from, event.fact.name(), to));
            }
        }
    }
    changes
}

/// What the engine does beyond the protocol of one attempt.
fn is_beyond((from, name, to): &Change) -> bool {
    match *name {
        // Before an attempt, or instead of one.
        "skipped" | "cancelled" => true,
        "retry_ordered" => *to == State::Pending,
        // An instance that stays busy, or was upgraded by somebody else.
        "failed" if *from == State::Pending => true,
        "reported_current" | "capability_absent" => *from == State::Submitting,
        "conflict" | "rejected" => *to == State::Failed,
        // Versions tell without a task what adopting and watching it would.
        "inferred" => (*from, *to) == (State::Uncertain, State::Verifying),
        // What an operator or a deletion decides.
        "resolved" => matches!(*from, State::Uncertain | State::Running | State::Verifying),
        "failed" | "succeeded" => {
            matches!(*from, State::Uncertain | State::Running | State::Verifying)
        }
        _ => false,
    }
}

/// What the model does and no life shows.
fn is_never_shown((from, name, to): &Change) -> bool {
    match *name {
        // Told in two events: not applied, and then failed.
        "not_applied" => *to == State::Failed,
        // A client in virtual time gives up and never hears more.
        "accepted" => *from == State::Uncertain,
        _ => false,
    }
}

#[test]
fn the_engine_changes_rows_as_the_model_does() {
    let (model, engine) = (of_the_model(), of_the_engine());
    let unknown: Vec<_> = engine.difference(&model).filter(|change| !is_beyond(change)).collect();
    assert!(unknown.is_empty(), "the model does not know {unknown:?}");
    let never: Vec<_> = model.difference(&engine).filter(|it| !is_never_shown(it)).collect();
    assert!(never.is_empty(), "no life shows {never:?}");
}
