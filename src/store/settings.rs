//! The history of effective settings: the rules are judged by what applied at the time.

use sqlx::AnyConnection;

use crate::model::Wall;

use super::error::StoreError;
use super::sql::Cells;
use super::{Store, Writer};

pub(super) const RECORD: &str = "insert into settings (at, digest, effective) values ($1, $2, $3) \
     on conflict (at, digest) do nothing";
pub(super) const HISTORY: &str = "select at, digest, effective from settings order by at, digest";

/// One set of effective settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsRecord {
    /// Since when it applied.
    pub at: Wall,
    pub digest: String,
    /// Every key with its value; references to secrets, never secrets.
    pub effective: String,
}

impl Store {
    /// Appends one set of settings. Call it before the engine decides by them.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn record_settings(&mut self, record: &SettingsRecord) -> Result<(), StoreError> {
        let path = self.paths.store.clone();
        let Writer { connection, .. } = self.writer().await?;
        sqlx::query(RECORD)
            .bind(record.at.0)
            .bind(record.digest.clone())
            .bind(record.effective.clone())
            .execute(connection)
            .await
            .map_err(StoreError::database(&path))?;
        Ok(())
    }
}

pub(super) async fn history(
    connection: &mut AnyConnection,
) -> Result<Vec<SettingsRecord>, sqlx::Error> {
    let rows = sqlx::query(HISTORY).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            let mut cells = Cells::of("settings", row);
            Ok(SettingsRecord {
                at: Wall(cells.int()?),
                digest: cells.text()?.into(),
                effective: cells.text()?.into(),
            })
        })
        .collect()
}
