//! Chores by the clock, in UTC: nothing that an upgrade's timing depends on.
//!
//! Once a day the ledger is checked against itself and against the projections. What that finds is
//! said and changes nothing: the daemon would do no better without the store it has.
//!
//! Windows never open from here: the crate behind this polls the wall clock and fixes a zone's
//! offset when a chore is created. The clockwork only sends a message, and one that finds the
//! queue full is left out.

use std::path::{Path, PathBuf};

use tokio::sync::mpsc;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::store::ReadOnly;

/// Chores that may wait for the loop.
const QUEUE: usize = 4;

/// Second 0 of every minute.
const EVERY_MINUTE: &str = "0 * * * * *";

/// Second 30 of every minute: not together with the other.
const AT_HALF_MINUTES: &str = "30 * * * * *";

/// 04:17 UTC: an hour at which few other things happen.
const EVERY_DAY: &str = "0 17 4 * * *";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chore {
    /// See that the store's files are still those that were opened.
    CheckFiles,
    /// Make a forecast, if one is due.
    Forecast,
    /// Check the ledger against itself and against the rows.
    VerifyLedger,
}

/// Fires until it is ended.
pub(super) struct Clockwork {
    inner: JobScheduler,
}

impl Clockwork {
    /// # Errors
    /// The crate's own.
    pub async fn start() -> Result<(Clockwork, mpsc::Receiver<Chore>), JobSchedulerError> {
        let (chores, due) = mpsc::channel(QUEUE);
        let inner = JobScheduler::new().await?;
        inner.add(chore(EVERY_MINUTE, Chore::CheckFiles, &chores)?).await?;
        inner.add(chore(AT_HALF_MINUTES, Chore::Forecast, &chores)?).await?;
        inner.add(chore(EVERY_DAY, Chore::VerifyLedger, &chores)?).await?;
        inner.start().await?;
        Ok((Clockwork { inner }, due))
    }

    pub async fn end(mut self) {
        if let Err(error) = self.inner.shutdown().await {
            tracing::debug!(%error, "housekeeping did not end cleanly");
        }
    }
}

impl std::fmt::Debug for Clockwork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clockwork")
    }
}

fn chore(when: &str, chore: Chore, chores: &mpsc::Sender<Chore>) -> Result<Job, JobSchedulerError> {
    let chores = chores.clone();
    Job::new(when, move |_, _| {
        if let Err(error) = chores.try_send(chore) {
            tracing::debug!(%error, ?chore, "left out");
        }
    })
}

/// The verification of the ledger: one at a time, off the loop, called off by a stop. Cheap to
/// clone.
#[derive(Debug, Clone)]
pub(super) struct Verification {
    store: PathBuf,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Verification {
    pub fn new(store: &Path, stop: CancellationToken) -> Verification {
        Verification { store: store.into(), stop, tasks: TaskTracker::new() }
    }

    /// Left out while the one before still runs.
    pub fn begin(&self) {
        if !self.tasks.is_empty() {
            tracing::warn!("the ledger is still being checked since the last time");
            return;
        }
        let (store, stop) = (self.store.clone(), self.stop.clone());
        self.tasks.spawn(async move {
            if stop.run_until_cancelled(verify(&store)).await.is_none() {
                tracing::debug!("the check of the ledger was called off");
            }
        });
    }

    /// Waits for the one that the stop has called off.
    pub async fn end(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

async fn verify(store: &Path) {
    let found = async {
        let store = ReadOnly::open(store).await?;
        let found = store.verify().await;
        store.close().await;
        found
    };
    match found.await {
        Ok(findings) if findings.is_empty() => tracing::info!("the ledger is whole"),
        Ok(findings) => {
            for finding in findings {
                tracing::error!("the ledger is damaged: {finding}");
            }
        }
        Err(error) => tracing::warn!(%error, "the ledger could not be checked"),
    }
}
