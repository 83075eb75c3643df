//! Reading without the lock: for the command line, the API and the judge, while a daemon writes.

use std::path::{Path, PathBuf};

use sqlx::any::AnyPoolOptions;
use sqlx::{AnyConnection, AnyPool};

use crate::engine::rows::{AttemptRow, CampaignRow, DurationRow, TargetRow};
use crate::engine::{Event, Rows};
use crate::model::{AttemptId, CampaignName, TargetId};

use super::error::StoreError;
use super::evidence::{self, Evidence};
use super::files::{self, Lock, Paths};
use super::ledger::{self, EventFilter, Tail};
use super::schema;
use super::settings::{self, SettingsRecord};
use super::sqlite::{self, Mode};
use super::table::{self, ATTEMPTS_OF_TARGET, TARGETS_OF_CAMPAIGN, Table};

/// Reads at the same time. SQLite lets any number in; more than this only compete for the disk.
const READERS: u32 = 4;

/// A store that is only read. Cheap to clone; takes no lock.
#[derive(Debug, Clone)]
pub struct ReadOnly {
    path: PathBuf,
    pool: AnyPool,
}

impl ReadOnly {
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::Replaced`] if it is gone and was not always,
    /// [`StoreError::Damaged`], [`StoreError::NewerSchema`], [`StoreError::NoDirectory`],
    /// [`StoreError::Io`]. Nothing is created.
    pub async fn open(path: &Path) -> Result<ReadOnly, StoreError> {
        let paths = Paths::beside(path)?;
        match files::examine(&paths.store) {
            Err(StoreError::Missing { .. }) => return Err(missing_or_lost(paths)),
            examined => examined?,
        }
        let path = paths.store;
        let options = sqlite::options(&path, Mode::Read).map_err(StoreError::database(&path))?;
        let pool = AnyPoolOptions::new()
            .max_connections(READERS)
            .connect_with(options)
            .await
            .map_err(StoreError::database(&path))?;
        let store = ReadOnly { path, pool };
        schema::check(&mut *store.connection().await?, &store.path).await?;
        Ok(store)
    }

    pub async fn close(self) {
        self.pool.close().await;
    }

    async fn connection(&self) -> Result<sqlx::pool::PoolConnection<sqlx::Any>, StoreError> {
        self.pool.acquire().await.map_err(self.failed())
    }

    /// Everything that is read through it is as of one instant.
    pub(super) async fn begin(&self) -> Result<sqlx::Transaction<'static, sqlx::Any>, StoreError> {
        self.pool.begin().await.map_err(self.failed())
    }

    pub(super) fn failed(&self) -> impl Fn(sqlx::Error) -> StoreError + '_ {
        StoreError::database(&self.path)
    }

    /// Everything that a restart would read, as of one instant.
    ///
    /// # Errors
    /// Whatever the database says; so for all that follow.
    pub async fn load(&self) -> Result<Rows, StoreError> {
        let mut transaction = self.begin().await?;
        load(&mut transaction).await.map_err(self.failed())
    }

    pub async fn events(&self, filter: &EventFilter) -> Result<Vec<Event>, StoreError> {
        ledger::events(&mut *self.connection().await?, filter).await.map_err(self.failed())
    }

    /// The `seq` of the newest event; 0 if there is none.
    pub async fn last_seq(&self) -> Result<u64, StoreError> {
        let tail = Tail::read(&mut *self.connection().await?).await.map_err(self.failed())?;
        Ok(tail.seq)
    }

    pub async fn campaigns(&self) -> Result<Vec<CampaignRow>, StoreError> {
        table::load(&mut *self.connection().await?).await.map_err(self.failed())
    }

    pub async fn targets(&self, campaign: &CampaignName) -> Result<Vec<TargetRow>, StoreError> {
        let query = sqlx::query(TARGETS_OF_CAMPAIGN).bind(campaign.as_str().to_owned());
        let rows = query.fetch_all(&self.pool).await.map_err(self.failed())?;
        rows.iter().map(TargetRow::from_row).collect::<Result<_, _>>().map_err(self.failed())
    }

    /// Every attempt of a target, of every round, oldest first.
    pub async fn attempts(&self, target: &TargetId) -> Result<Vec<AttemptRow>, StoreError> {
        let query = sqlx::query(ATTEMPTS_OF_TARGET)
            .bind(target.campaign.as_str().to_owned())
            .bind(target.project.as_str().to_owned())
            .bind(target.instance.as_str().to_owned());
        let rows = query.fetch_all(&self.pool).await.map_err(self.failed())?;
        rows.iter().map(AttemptRow::from_row).collect::<Result<_, _>>().map_err(self.failed())
    }

    /// What the cloud answered about an attempt, oldest first.
    pub async fn evidence(&self, attempt: &AttemptId) -> Result<Vec<Evidence>, StoreError> {
        evidence::of_attempt(&mut *self.connection().await?, attempt).await.map_err(self.failed())
    }

    /// Every set of effective settings, oldest first.
    pub async fn settings(&self) -> Result<Vec<SettingsRecord>, StoreError> {
        settings::history(&mut *self.connection().await?).await.map_err(self.failed())
    }
}

/// A store that never was, or one that is gone.
fn missing_or_lost(paths: Paths) -> StoreError {
    match paths.read_generation().and_then(|recorded| paths.expect_new(recorded.as_deref())) {
        Ok(()) => StoreError::Missing { path: paths.store },
        Err(error) => error,
    }
}

/// Whether a process drives the store.
///
/// # Errors
/// [`StoreError::InUse`] if one does, [`StoreError::NoDirectory`] or [`StoreError::Io`] if that
/// cannot be told.
pub fn ensure_unused(store: &Path) -> Result<(), StoreError> {
    Lock::ask(&Paths::beside(store)?)
}

pub(super) async fn load(connection: &mut AnyConnection) -> Result<Rows, sqlx::Error> {
    let mut durations: Vec<DurationRow> = table::load(connection).await?;
    // The database orders words, and words of kinds are in no order.
    durations.sort_unstable_by_key(|row| row.class);
    Ok(Rows {
        last_seq: Tail::read(connection).await?.seq,
        last_at: ledger::last_at(connection).await?,
        instances: table::load(connection).await?,
        targets: table::load(connection).await?,
        attempts: table::load(connection).await?,
        campaigns: table::load(connection).await?,
        projects: table::load(connection).await?,
        credentials: table::load(connection).await?,
        freezes: table::load(connection).await?,
        durations,
    })
}
