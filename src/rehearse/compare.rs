//! Whether the store, which only ever got what steps touched, holds what the engine holds.

use std::fmt::Debug;

use super::store::MemoryStore;
use crate::engine::{Engine, Rows};

/// At most one sentence for each kind of row.
pub(super) fn differences(engine: &Engine, store: &MemoryStore) -> Vec<String> {
    let target = store.targets().find_map(|row| {
        let own = engine.target_row(&row.id);
        (own != Some(row)).then(|| format!("the store has {row:?}, the engine {own:?}"))
    });
    let (own, stored) = (engine.rows_beside_targets(), store.rows_beside_targets());
    let others = [
        changed("freezes", &stored.freezes, &own.freezes),
        changed("durations", &stored.durations, &own.durations),
        changed("attempts", &stored.attempts, &own.attempts),
        changed("campaigns", &stored.campaigns, &own.campaigns),
        // What never changed was never written.
        kept("project", &stored.projects, &own.projects, |row| &row.name),
        kept("credential", &stored.credentials, &own.credentials, |row| &row.name),
    ];
    target.into_iter().chain(others.into_iter().flatten()).collect()
}

/// The first row of each kind in which two sets of rows part; read tokens apart.
pub(super) fn parting(mut one: Rows, mut other: Rows) -> Vec<String> {
    for project in one.projects.iter_mut().chain(&mut other.projects) {
        project.detail.reads.arrival_us = 0;
    }
    fn first<R: PartialEq + Debug>(one: &[R], other: &[R]) -> Option<String> {
        let parts = one.iter().zip(other).find(|(one, other)| one != other);
        parts.map(|(one, other)| format!("{one:?} became {other:?}"))
    }
    [
        first(&one.targets, &other.targets),
        first(&one.attempts, &other.attempts),
        first(&one.campaigns, &other.campaigns),
        first(&one.projects, &other.projects),
        first(&one.credentials, &other.credentials),
        first(&one.freezes, &other.freezes),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// How the rows of one kind differ, whatever their order.
fn changed<R: PartialEq + Debug>(what: &str, store: &[R], engine: &[R]) -> Option<String> {
    let same = store.len() == engine.len() && store.iter().all(|row| engine.contains(row));
    (!same).then(|| format!("the store has the {what} {store:?}, the engine {engine:?}"))
}

/// The first stored row that is not as the engine has it.
fn kept<'a, R: PartialEq + Debug, N: PartialEq + 'a>(
    what: &str,
    store: &'a [R],
    engine: &'a [R],
    name: impl Fn(&'a R) -> &'a N,
) -> Option<String> {
    store.iter().find_map(|row| {
        let own = engine.iter().find(|own| name(own) == name(row));
        (own != Some(row)).then(|| format!("the store has the {what} {row:?}, the engine {own:?}"))
    })
}
