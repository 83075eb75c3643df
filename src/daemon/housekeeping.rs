//! Chores by the clock, in UTC: nothing that an upgrade's timing depends on.
//!
//! Windows never open from here: the crate behind this polls the wall clock and fixes a zone's
//! offset when a chore is created. A chore only sends a message, and one that finds the last still
//! waiting is left out.

use tokio::sync::mpsc;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

/// Chores that may wait for the loop.
const QUEUE: usize = 4;

/// Second 0 of every minute.
const EVERY_MINUTE: &str = "0 * * * * *";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chore {
    /// See that the store's files are still those that were opened.
    CheckFiles,
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
