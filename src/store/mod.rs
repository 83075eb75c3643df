//! What survives the process: targets, attempts, evidence, the ledger.
//!
//! One process writes, behind a lock that it holds for life ([`Store`]); others may read at the
//! same time ([`ReadOnly`]). A unit is durable as a whole or not at all, and only then may its
//! submissions leave (rule S2). A store that is damaged, replaced or gone is refused and never
//! begun anew: an empty one would send every upgrade a second time.
//!
//! Not here: what the rows mean, and when to retry a commit. Time is an argument.

mod commit;
mod error;
mod evidence;
mod files;
mod ledger;
mod log;
mod open;
mod read;
mod schema;
mod settings;
mod sql;
mod sqlite;
mod statements;
mod table;
mod verify;

pub use commit::Unit;
pub use error::{CommitError, StoreError};
pub use evidence::Evidence;
pub use ledger::{EVENTS_LIMIT, EventFilter, EventOrder};
pub use read::{ReadOnly, ensure_unused};
pub use settings::SettingsRecord;
pub use statements::{schema_texts, statements};
pub use verify::Finding;

use std::path::Path;

use sqlx::AnyConnection;

use crate::engine::Rows;
use crate::model::Wall;

use files::{Inode, Lock, Paths};
use ledger::Tail;

/// The one writer of a store. Holds the lock until it is dropped.
#[derive(Debug)]
pub struct Store {
    paths: Paths,
    generation: String,
    opened: Opened,
    inode: Inode,
    /// As of the last commit that is known to be durable.
    tail: Tail,
    /// `None` after a failure: the next commit connects again and looks how far the last one got.
    writer: Option<Writer>,
    _lock: Lock,
}

#[derive(Debug)]
struct Writer {
    connection: AnyConnection,
    /// The log of this connection. If it is removed under us, commits would go into a file that
    /// no restart will find.
    wal: Inode,
    ledger: LedgerEnd,
}

/// Whether [`Store::tail`] is where the ledger ends for this connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LedgerEnd {
    Known,
    /// The connection was made after a commit of unknown outcome.
    Unknown,
}

/// How the store was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    pub first_start: bool,
    /// When the process before stopped; `None` if it did not stop cleanly.
    pub clean_stop_at: Option<Wall>,
}

impl Store {
    pub fn opened(&self) -> Opened {
        self.opened
    }

    pub fn path(&self) -> &Path {
        &self.paths.store
    }

    /// What `Engine::restore` starts from.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] for a row that no version wrote; whatever the database says.
    pub async fn load(&mut self) -> Result<Rows, StoreError> {
        let path = self.paths.store.clone();
        let writer = self.writer().await?;
        read::load(&mut writer.connection).await.map_err(StoreError::database(&path))
    }

    /// Whether the files are those that were opened: cheap, two or three `stat` calls and a small
    /// read. Every commit checks it too.
    ///
    /// # Errors
    /// [`StoreError::Replaced`]: end the process, nothing written from now on would be found.
    pub fn still_ours(&self) -> Result<(), StoreError> {
        let path = &self.paths.store;
        let at = |path: &Path| Inode::of(path).map_err(StoreError::io("read", path));
        match at(path)? {
            Some(found) if found == self.inode => {}
            Some(_) => return Err(StoreError::replaced(path, "another file took its place")),
            None => return Err(StoreError::replaced(path, "it was removed")),
        }
        if let Some(writer) = &self.writer
            && at(&self.paths.wal)? != Some(writer.wal)
        {
            return Err(StoreError::replaced(&self.paths.wal, "it was removed or replaced"));
        }
        match self.paths.read_generation()? {
            Some(found) if found == self.generation => Ok(()),
            Some(_) => Err(StoreError::replaced(&self.paths.generation, "it names another store")),
            None => self.paths.write_generation(&self.generation),
        }
    }

    /// Records a clean stop and lets go of the lock.
    ///
    /// # Errors
    /// What the database says; the next start then finds an unclean stop, and nothing is lost.
    pub async fn close(mut self, now: Wall) -> Result<(), StoreError> {
        let path = self.paths.store.clone();
        self.still_ours()?;
        self.writer().await?;
        let Some(Writer { mut connection, .. }) = self.writer.take() else { return Ok(()) };
        let end = async {
            schema::set(&mut connection, schema::CLEAN_STOP_AT, &now.0.to_string()).await?;
            sqlite::checkpoint(&mut connection).await?;
            sqlx::Connection::close(connection).await
        };
        end.await.map_err(StoreError::database(&path))
    }
}
