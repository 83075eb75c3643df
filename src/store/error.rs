//! What can go wrong with the store, one variant per reaction.
//!
//! Opening refuses rather than repairs: a fresh database in the place of a damaged one would
//! forget every upgrade that was sent.

use std::path::{Path, PathBuf};

use crate::exit::Exit;

/// The way out when nothing can be restored: it moves the old files aside and begins anew.
const ACCEPT_LOSS: &str = "refit store init --accept-loss";

/// Why a store could not be opened or read. Every message names the file.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process holds the lock.
    #[error("{path} is in use by {}", holder(*.pid))]
    InUse {
        path: PathBuf,
        /// What the holder wrote into the lock file.
        pid: Option<u32>,
    },
    #[error("there is no store at {path}")]
    Missing { path: PathBuf },
    #[error("the directory {directory} does not exist")]
    NoDirectory { directory: PathBuf },
    #[error("{path} is damaged: {what}; restore it, or see `{ACCEPT_LOSS}`")]
    Damaged { path: PathBuf, what: String },
    /// The file is not the one that belongs to its generation file, or not the one that was opened.
    #[error("{path} is not the store it was: {what}; restore it, or see `{ACCEPT_LOSS}`")]
    Replaced { path: PathBuf, what: String },
    #[error("{path} has schema {found}, this version knows {known}: use the newer refit")]
    NewerSchema { path: PathBuf, found: i64, known: i64 },
    #[error("{path} belongs to user {owner}, this process runs as user {user}")]
    WrongOwner { path: PathBuf, owner: u32, user: u32 },
    #[error("cannot {action} {path}")]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the database {path} failed")]
    Database {
        path: PathBuf,
        #[source]
        source: sqlx::Error,
    },
}

impl StoreError {
    /// How a command ends that met this.
    pub fn exit(&self) -> Exit {
        match self {
            StoreError::InUse { .. } => Exit::StoreInUse,
            StoreError::NewerSchema { .. } => Exit::NewerSchema,
            _ => Exit::InputOutput,
        }
    }

    pub(super) fn io<'a>(
        action: &'static str,
        path: &'a Path,
    ) -> impl FnOnce(std::io::Error) -> StoreError + 'a {
        move |source| StoreError::Io { action, path: path.into(), source }
    }

    pub(super) fn damaged(path: &Path, what: impl Into<String>) -> StoreError {
        StoreError::Damaged { path: path.into(), what: what.into() }
    }

    pub(super) fn replaced(path: &Path, what: impl Into<String>) -> StoreError {
        StoreError::Replaced { path: path.into(), what: what.into() }
    }

    /// Tells damage that the database found from any other failure of it.
    pub(super) fn database(path: &Path) -> impl Fn(sqlx::Error) -> StoreError + '_ {
        move |source| match sqlite_code(&source).map(|code| code & PRIMARY) {
            Some(CORRUPT | NOT_A_DATABASE) => StoreError::damaged(path, source.to_string()),
            _ => StoreError::Database { path: path.into(), source },
        }
    }
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or("another process".into(), |pid| format!("process {pid}"))
}

/// A row holds something that no version of Refit wrote there.
#[derive(Debug, thiserror::Error)]
#[error("{table}.{column} holds {found:?}")]
pub(super) struct BadColumn {
    pub table: &'static str,
    pub column: String,
    pub found: String,
}

impl From<BadColumn> for sqlx::Error {
    fn from(bad: BadColumn) -> sqlx::Error {
        sqlx::Error::Decode(Box::new(bad))
    }
}

/// Why a batch is not durable.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Disk full, read-only, busy, or an I/O error that left the file whole. Nothing of the batch
    /// is lost: commit it again, verbatim.
    #[error("the store cannot be written for now")]
    Retryable(#[source] sqlx::Error),
    /// A failed sync, damage, or a store that is no longer ours: what the disk holds is unknown.
    /// The process must end and start again from what is there.
    #[error("the store can no longer be trusted")]
    Fatal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl CommitError {
    pub fn is_retryable(&self) -> bool {
        matches!(self, CommitError::Retryable(_))
    }
}

impl From<sqlx::Error> for CommitError {
    fn from(error: sqlx::Error) -> CommitError {
        if is_passing(&error) {
            CommitError::Retryable(error)
        } else {
            CommitError::Fatal(Box::new(error))
        }
    }
}

impl From<StoreError> for CommitError {
    fn from(error: StoreError) -> CommitError {
        match error {
            StoreError::Database { source, .. } => source.into(),
            StoreError::Io { source, .. } if source.raw_os_error() != Some(EIO) => {
                CommitError::Retryable(sqlx::Error::Io(source))
            }
            other => CommitError::Fatal(Box::new(other)),
        }
    }
}

const EIO: i32 = rustix::io::Errno::IO.raw_os_error();

/// The low byte of an extended result code is the primary one (<https://sqlite.org/rescode.html>).
const PRIMARY: i32 = 0xff;
const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const READ_ONLY: i32 = 8;
const IO_ERROR: i32 = 10;
const CORRUPT: i32 = 11;
const FULL: i32 = 13;
const CANNOT_OPEN: i32 = 14;
const NOT_A_DATABASE: i32 = 26;
/// Extended codes that say that the file is gone or that a sync failed.
const READ_ONLY_MOVED: i32 = READ_ONLY | 4 << 8;
const IO_FSYNC: i32 = IO_ERROR | 4 << 8;
const IO_DIR_FSYNC: i32 = IO_ERROR | 5 << 8;
const IO_CORRUPT: i32 = IO_ERROR | 33 << 8;
const IO_DATA: i32 = IO_ERROR | 32 << 8;

/// Whether the same statement may succeed later on the same file.
fn is_passing(error: &sqlx::Error) -> bool {
    match sqlite_code(error) {
        Some(code) => is_passing_code(code),
        None => matches!(error, sqlx::Error::Io(_) | sqlx::Error::WorkerCrashed),
    }
}

fn is_passing_code(code: i32) -> bool {
    match code {
        READ_ONLY_MOVED | IO_FSYNC | IO_DIR_FSYNC | IO_CORRUPT | IO_DATA => false,
        _ => matches!(code & PRIMARY, BUSY | LOCKED | READ_ONLY | IO_ERROR | FULL | CANNOT_OPEN),
    }
}

fn sqlite_code(error: &sqlx::Error) -> Option<i32> {
    error.as_database_error()?.code()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers from <https://sqlite.org/rescode.html>.
    #[test]
    fn only_faults_that_leave_the_file_whole_are_retried() {
        let passing = [5, 6, 8, 10, 13, 14, 261, 266, 517, 522, 778, 4_874];
        assert!(passing.into_iter().all(is_passing_code));
        let fatal = [1_034, 1_290, 1_032, 8_202, 8_458, 11, 267, 26, 19, 2_067, 1, 7, 21];
        for code in fatal {
            assert!(!is_passing_code(code), "{code}");
        }
    }

    #[test]
    fn a_failed_sync_outside_the_database_is_fatal_too() {
        let io = |errno| StoreError::Io {
            action: "write",
            path: "refit.db.generation".into(),
            source: std::io::Error::from_raw_os_error(errno),
        };
        assert!(!CommitError::from(io(EIO)).is_retryable());
        assert!(CommitError::from(io(rustix::io::Errno::NOSPC.raw_os_error())).is_retryable());
    }
}
