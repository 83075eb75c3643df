//! The schema: migrations in one transaction, and the facts about the store in `meta`.
//!
//! Migrations only ever get added. One that this version does not know means that a newer version
//! wrote here; one whose text has changed means that this is some other program's database.

use std::path::Path;

use sqlx::migrate::{Migration, Migrator};
use sqlx::{AnyConnection, Executor};

use crate::model::Wall;

use super::error::StoreError;
use super::sql::Cells;

static MIGRATIONS: Migrator = sqlx::migrate!();

const CREATE_MIGRATIONS: &str = "create table migrations (version bigint not null primary key, \
     checksum text not null, applied_at bigint not null)";
pub(super) const APPLIED: &str = "select version, checksum from migrations order by version";
pub(super) const RECORD: &str =
    "insert into migrations (version, checksum, applied_at) values ($1, $2, $3)";
pub(super) const GET: &str = "select value from meta where key = $1";
pub(super) const SET: &str = "insert into meta (key, value) values ($1, $2) \
     on conflict (key) do update set value = excluded.value";
pub(super) const UNSET: &str = "delete from meta where key = $1";

/// The keys of `meta`.
pub(super) const GENERATION: &str = "generation";
pub(super) const CREATED_AT: &str = "created_at";
/// Set by a clean stop, removed by the next start.
pub(super) const CLEAN_STOP_AT: &str = "clean_stop_at";

pub(super) fn texts() -> impl Iterator<Item = &'static str> {
    [CREATE_MIGRATIONS].into_iter().chain(MIGRATIONS.iter().map(|one| one.sql.as_str()))
}

/// Every table, in an empty database. Call it within a transaction.
pub(super) async fn create(connection: &mut AnyConnection, now: Wall) -> Result<(), sqlx::Error> {
    connection.execute(CREATE_MIGRATIONS).await?;
    apply(connection, MIGRATIONS.iter(), now).await
}

/// Brings an older schema up to this version's. Call it within a transaction.
///
/// # Errors
/// [`StoreError::NewerSchema`] and [`StoreError::Damaged`], before anything was written.
pub(super) async fn upgrade(
    connection: &mut AnyConnection,
    path: &Path,
    now: Wall,
) -> Result<(), StoreError> {
    let applied = check(connection, path).await?;
    apply(connection, MIGRATIONS.iter().skip(applied), now)
        .await
        .map_err(StoreError::database(path))
}

/// How many of the known migrations were applied.
///
/// # Errors
/// [`StoreError::NewerSchema`] and [`StoreError::Damaged`].
pub(super) async fn check(
    connection: &mut AnyConnection,
    path: &Path,
) -> Result<usize, StoreError> {
    let rows =
        sqlx::query(APPLIED).fetch_all(connection).await.map_err(StoreError::database(path))?;
    let known = MIGRATIONS.iter().last().map_or(0, |migration| migration.version);
    let mut expected = MIGRATIONS.iter();
    for row in &rows {
        let mut cells = Cells::of("migrations", row);
        let read = cells.int().and_then(|version| Ok((version, cells.text()?)));
        let (found, checksum) = read.map_err(StoreError::database(path))?;
        match expected.next() {
            Some(ours) if ours.version == found && hex::encode(&ours.checksum) == checksum => {}
            _ if found > known => {
                return Err(StoreError::NewerSchema { path: path.into(), found, known });
            }
            _ => return Err(StoreError::damaged(path, format!("schema {found} is not ours"))),
        }
    }
    Ok(rows.len())
}

async fn apply(
    connection: &mut AnyConnection,
    missing: impl Iterator<Item = &Migration>,
    now: Wall,
) -> Result<(), sqlx::Error> {
    for migration in missing {
        sqlx::raw_sql(migration.sql.clone()).execute(&mut *connection).await?;
        sqlx::query(RECORD)
            .bind(migration.version)
            .bind(hex::encode(&migration.checksum))
            .bind(now.0)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

pub(super) async fn get(
    connection: &mut AnyConnection,
    key: &str,
) -> Result<Option<String>, sqlx::Error> {
    let row = sqlx::query(GET).bind(key.to_owned()).fetch_optional(connection).await?;
    row.map(|row| Cells::of("meta", &row).text().map(str::to_owned)).transpose()
}

pub(super) async fn set(
    connection: &mut AnyConnection,
    key: &str,
    value: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(SET).bind(key.to_owned()).bind(value.to_owned()).execute(connection).await?;
    Ok(())
}

pub(super) async fn unset(connection: &mut AnyConnection, key: &str) -> Result<(), sqlx::Error> {
    sqlx::query(UNSET).bind(key.to_owned()).execute(connection).await?;
    Ok(())
}
