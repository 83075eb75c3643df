//! One file per table of rows that a restart reads: its statements, and how a row is written and
//! read back.

mod attempt;
mod campaign;
mod duration;
mod freeze;
mod instance;
mod project;
mod target;

use std::collections::HashSet;
use std::hash::Hash;

use futures_util::TryStreamExt;
use sqlx::AnyConnection;

use super::sql::{Binds, Cells, Insert};

pub(super) use attempt::ATTEMPTS_OF_TARGET;
pub(super) use freeze::{LIFT, lift};
pub(super) use target::TARGETS_OF_CAMPAIGN;

/// Rows that are kept whole: the last one of a key wins.
pub(super) trait Table: Sized {
    const NAME: &'static str;
    const UPSERT: Insert;
    /// What a restart reads, with the columns in the order of [`Table::read`].
    const SELECT: &'static str;

    type Key<'a>: Eq + Hash
    where
        Self: 'a;

    fn key(&self) -> Self::Key<'_>;
    /// The columns in the order of [`Table::UPSERT`].
    fn write(&self, row: &mut Binds);
    fn read(cells: &mut Cells<'_>) -> Result<Self, sqlx::Error>;

    fn from_row(row: &sqlx::any::AnyRow) -> Result<Self, sqlx::Error> {
        Self::read(&mut Cells::of(Self::NAME, row))
    }
}

/// The last row of each key, in order. Several of one key in one statement are refused by
/// PostgreSQL, and cost twice on SQLite.
pub(super) fn last_of_each<'a, T: Table + 'a>(
    rows: impl DoubleEndedIterator<Item = &'a T>,
) -> Vec<&'a T> {
    let mut seen = HashSet::new();
    let mut last: Vec<&T> = rows.rev().filter(|row| seen.insert(row.key())).collect();
    last.reverse();
    last
}

/// Writes rows of distinct keys.
pub(super) async fn upsert<T: Table>(
    connection: &mut AnyConnection,
    rows: &[&T],
) -> Result<(), sqlx::Error> {
    T::UPSERT.run(connection, rows, |row, binds| row.write(binds)).await
}

/// All rows that a restart reads.
pub(super) async fn load<T: Table>(connection: &mut AnyConnection) -> Result<Vec<T>, sqlx::Error> {
    let mut rows = Vec::new();
    for_each(connection, |row| rows.push(row)).await?;
    Ok(rows)
}

/// The same one by one, so that no more than one is in memory.
pub(super) async fn for_each<T: Table>(
    connection: &mut AnyConnection,
    mut each: impl FnMut(T),
) -> Result<(), sqlx::Error> {
    let mut found = sqlx::query(T::SELECT).fetch(connection);
    while let Some(row) = found.try_next().await? {
        each(T::from_row(&row)?);
    }
    Ok(())
}
