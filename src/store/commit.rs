//! One transaction for several units, repeatable after any failure.
//!
//! Every ledger row is kept, of other rows only the last per key. A failed commit may still have
//! reached the disk; so the connection is dropped, and the next commit looks at the ledger's end
//! before it writes. Committing the same units again is therefore always right.

use std::collections::BTreeMap;

use sqlx::{AnyConnection, Connection};

use crate::engine::rows::{AttemptRow, FreezeRow};
use crate::engine::{Changes, Event, Scope};

use super::error::CommitError;
use super::evidence::{self, Evidence};
use super::ledger::{self, Break, Tail};
use super::table::{Table, last_of_each, lift, upsert};
use super::{LedgerEnd, Store, Writer, sqlite};

/// What one step of the engine led to, and the answer that caused it.
#[derive(Debug, Clone, Default)]
pub struct Unit {
    pub events: Vec<Event>,
    pub changes: Changes,
    pub evidence: Vec<Evidence>,
}

impl Store {
    /// Makes all units durable, or none. They must come in the engine's order, each once.
    ///
    /// # Errors
    /// After [`CommitError::Retryable`] commit the same units again, others may follow them.
    /// After [`CommitError::Fatal`] the process must end. If the future is dropped before its
    /// end, that counts as retryable.
    pub async fn commit(&mut self, units: &[Unit]) -> Result<(), CommitError> {
        self.still_ours()?;
        self.writer().await?;
        // Out of `self` until the commit is known to be durable: the driver's count of open
        // transactions is wrong once SQLite has rolled back by itself, as it does on a full disk.
        let mut writer = self.writer.take().expect("it was just made sure of");
        match write(&mut writer, units, &self.tail).await {
            Ok(tail) => {
                self.tail = tail;
                writer.ledger = LedgerEnd::Known;
                self.writer = Some(writer);
                Ok(())
            }
            Err(error) => {
                close(writer).await;
                Err(error)
            }
        }
    }
}

async fn close(writer: Writer) {
    if let Err(error) = writer.connection.close().await {
        tracing::debug!(%error, "the failed connection did not close cleanly");
    }
}

async fn write(writer: &mut Writer, units: &[Unit], known: &Tail) -> Result<Tail, CommitError> {
    let mut transaction = writer.connection.begin_with(sqlite::BEGIN).await?;
    let stored = match writer.ledger {
        LedgerEnd::Known => known.clone(),
        LedgerEnd::Unknown => Tail::read(&mut transaction).await?,
    };
    let events = units.iter().flat_map(|unit| &unit.events);
    let (entries, tail) = ledger::entries(events, known, &stored)?;
    write_changes(&mut transaction, units).await?;
    ledger::append(&mut transaction, &entries).await?;
    let evidence: Vec<&Evidence> = units.iter().flat_map(|unit| &unit.evidence).collect();
    evidence::append(&mut transaction, &evidence).await?;
    transaction.commit().await?;
    Ok(tail)
}

impl From<Break> for CommitError {
    fn from(error: Break) -> CommitError {
        CommitError::Fatal(Box::new(error))
    }
}

async fn write_changes(connection: &mut AnyConnection, units: &[Unit]) -> Result<(), sqlx::Error> {
    write_last(connection, units, |changes| &changes.instances).await?;
    write_last(connection, units, |changes| &changes.targets).await?;
    let mut attempts: Vec<&AttemptRow> = last_of_each(all(units, |changes| &changes.attempts));
    // Ended ones first: an instance's next attempt may open in the batch that ends the one before,
    // and the unique index is checked row by row.
    attempts.sort_by_key(|attempt| attempt.ended_at.is_none());
    upsert(connection, &attempts).await?;
    write_last(connection, units, |changes| &changes.campaigns).await?;
    write_last(connection, units, |changes| &changes.projects).await?;
    write_last(connection, units, |changes| &changes.credentials).await?;
    write_last(connection, units, |changes| &changes.durations).await?;
    write_freezes(connection, units).await
}

async fn write_last<'a, T: Table + 'a>(
    connection: &mut AnyConnection,
    units: &'a [Unit],
    rows: impl Fn(&'a Changes) -> &'a Vec<T>,
) -> Result<(), sqlx::Error> {
    upsert(connection, &last_of_each(all(units, rows))).await
}

fn all<'a, T: 'a>(
    units: &'a [Unit],
    rows: impl Fn(&'a Changes) -> &'a Vec<T>,
) -> impl DoubleEndedIterator<Item = &'a T> {
    units.iter().flat_map(move |unit| rows(&unit.changes))
}

/// Within a unit, what is lifted goes before what is set: in doubt nothing starts.
async fn write_freezes(connection: &mut AnyConnection, units: &[Unit]) -> Result<(), sqlx::Error> {
    let mut last: BTreeMap<&Scope, Option<&FreezeRow>> = BTreeMap::new();
    for unit in units {
        last.extend(unit.changes.unfrozen.iter().map(|scope| (scope, None)));
        last.extend(unit.changes.freezes.iter().map(|freeze| (&freeze.scope, Some(freeze))));
    }
    for (scope, _) in last.iter().filter(|(_, freeze)| freeze.is_none()) {
        lift(connection, scope).await?;
    }
    let set: Vec<&FreezeRow> = last.into_values().flatten().collect();
    upsert(connection, &set).await
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::task::Poll;

    use sqlx::{AssertSqlSafe, Executor};

    use super::*;
    use crate::engine::Fact;
    use crate::model::Wall;

    /// A unit with one event, large enough to need a page of its own.
    fn unit(seq: u64) -> Unit {
        let event = Event {
            seq,
            at: Wall(0),
            campaign: None,
            project: None,
            instance: None,
            attempt: None,
            actor: None,
            comment: Some("x".repeat(5_000).into()),
            state: None,
            fact: Fact::Stopping,
        };
        Unit { events: vec![event], ..Unit::default() }
    }

    async fn store() -> (tempfile::TempDir, Store) {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("refit.db"), Wall(0)).await.unwrap();
        (directory, store)
    }

    /// Sets something for the connection that the next commit uses, and only for that one.
    async fn afflict(store: &mut Store, pragma: &str) {
        let connection = &mut store.writer.as_mut().unwrap().connection;
        connection.execute(AssertSqlSafe(pragma.to_owned())).await.unwrap();
    }

    #[tokio::test]
    async fn a_full_or_read_only_store_refuses_and_the_same_units_go_in_later() {
        for pragma in ["pragma max_page_count = 1", "pragma query_only = on"] {
            let (_directory, mut store) = store().await;
            store.commit(&[unit(1)]).await.unwrap();
            afflict(&mut store, pragma).await;
            let error = store.commit(&[unit(2), unit(3)]).await.unwrap_err();
            assert!(error.is_retryable(), "{pragma}: {error:?}");
            store.commit(&[unit(2), unit(3)]).await.unwrap();
            assert_eq!(store.load().await.unwrap().last_seq, 3);
        }
    }

    #[tokio::test]
    async fn a_lock_that_another_process_holds_is_waited_for_and_then_reported() {
        let (directory, mut store) = store().await;
        let mut neighbour =
            sqlite::connect_writer(&directory.path().join("refit.db")).await.unwrap();
        let held = neighbour.begin_with(sqlite::BEGIN).await.unwrap();
        afflict(&mut store, "pragma busy_timeout = 1").await;
        let error = store.commit(&[unit(1)]).await.unwrap_err();
        assert!(error.is_retryable(), "{error:?}");
        drop(held);
        neighbour.close().await.unwrap();
        store.commit(&[unit(1)]).await.unwrap();
    }

    /// The answer to a commit can get lost although the commit went through.
    #[tokio::test]
    async fn a_commit_of_unknown_outcome_is_repeated_without_doubling() {
        let (_directory, mut store) = store().await;
        store.commit(&[unit(1)]).await.unwrap();
        let before = store.tail.clone();
        store.commit(&[unit(2), unit(3)]).await.unwrap();
        store.tail = before;
        close(store.writer.take().unwrap()).await;
        store.commit(&[unit(2), unit(3), unit(4)]).await.unwrap();
        assert_eq!(store.load().await.unwrap().last_seq, 4);
    }

    #[tokio::test]
    async fn a_ledger_that_someone_else_continued_is_never_written_over() {
        let (_directory, mut store) = store().await;
        let before = store.tail.clone();
        store.commit(&[unit(1), unit(2)]).await.unwrap();
        store.tail = before;
        close(store.writer.take().unwrap()).await;
        let mut other = unit(1);
        other.events[0].fact = Fact::Restarted;
        for units in [vec![other, unit(2)], vec![unit(1)]] {
            let error = store.commit(&units).await.unwrap_err();
            assert!(!error.is_retryable(), "{error:?}");
        }
    }

    /// The database works on in its thread after the future is gone.
    #[tokio::test]
    async fn a_commit_that_was_dropped_half_way_is_repeated() {
        let (_directory, mut store) = store().await;
        for polls in 1..20 {
            let units = [unit(store.tail.seq + 1)];
            if !poll_and_drop(store.commit(&units), polls).await {
                store.commit(&units).await.unwrap();
            }
        }
        assert_eq!(store.load().await.unwrap().last_seq, 19);
    }

    /// Whether the future came to its end within so many polls.
    async fn poll_and_drop(
        future: impl Future<Output = Result<(), CommitError>>,
        polls: u32,
    ) -> bool {
        let mut future = pin!(future);
        for _ in 0..polls {
            let polled = poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await;
            if let Poll::Ready(result) = polled {
                result.unwrap();
                return true;
            }
            tokio::task::yield_now().await;
        }
        false
    }
}
