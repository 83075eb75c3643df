//! Makes units durable, in order, and says so (rule S2).
//!
//! One thread owns the store and works on one group at a time; while it does, the loop gathers the
//! next. So a group is whatever arrived during the commit before it, and a lone unit never waits
//! for company. A group that fails for now is committed again, verbatim, until it is durable: the
//! store looks first how far the last try got.
//!
//! It is a thread of its own because a commit goes to the database and back many times: among the
//! tasks of the runtime it would queue behind requests each time.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::failpoint::{self, Point};
use crate::store::{CommitError, Store, StoreError, Unit};

use super::backlog::Group;

/// The waits between tries of a group that cannot be written for now.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LONGEST: Duration = Duration::from_secs(5);

/// What the loop asks of the committer. At most one is under way.
#[derive(Debug)]
pub(super) enum Work {
    Commit(Group),
    /// Is the file still the one that was opened?
    CheckFiles,
}

/// What the committer tells the loop.
#[derive(Debug)]
pub(super) enum Report {
    /// The group is durable: its consequences may happen.
    Durable(Group),
    /// The group cannot be written for now; it is tried again.
    Failing(CommitError),
    FilesAreOurs,
    /// Nothing more will become durable in this process.
    Fatal(CommitError),
}

/// Reports that may wait: a failing group reports twice, everything else once, and the loop always
/// takes them.
const REPORTS: usize = 4;

/// The loop's end of the committer.
#[derive(Debug)]
pub(super) struct Committer {
    pub work: mpsc::Sender<Work>,
    pub reports: mpsc::Receiver<Report>,
    given_up: CancellationToken,
    task: tokio::task::JoinHandle<Option<Store>>,
}

impl Committer {
    pub fn start(store: Store) -> Committer {
        let (work, to_do) = mpsc::channel(1);
        let (reporter, reports) = mpsc::channel(REPORTS);
        let given_up = CancellationToken::new();
        let working = given_up.clone().run_until_cancelled_owned(run(store, to_do, reporter));
        let runtime = Handle::current();
        let task = tokio::task::spawn_blocking(move || runtime.block_on(working));
        Committer { work, reports, given_up, task }
    }

    /// Ends the thread's work and gives the store back; `None` if it had panicked.
    pub async fn end(self) -> Option<Store> {
        drop((self.work, self.reports));
        self.task.await.ok().flatten()
    }

    /// Gives up what is under way: for the end of a process whose store does not answer.
    pub fn abandon(self) {
        self.given_up.cancel();
    }
}

/// Ends when the loop has gone, or after a fatal report.
async fn run(
    mut store: Store,
    mut to_do: mpsc::Receiver<Work>,
    reporter: mpsc::Sender<Report>,
) -> Store {
    while let Some(work) = to_do.recv().await {
        let report = match work {
            Work::Commit(group) => commit(&mut store, group, &reporter).await,
            Work::CheckFiles => Some(check(store.still_ours())),
        };
        let Some(report) = report else { break };
        let is_fatal = matches!(report, Report::Fatal(_));
        if reporter.send(report).await.is_err() || is_fatal {
            break;
        }
    }
    store
}

fn check(files: Result<(), StoreError>) -> Report {
    match files.map_err(CommitError::from) {
        // Unreadable for now: the next commit looks again, and says so if it still is.
        Ok(()) | Err(CommitError::Retryable(_)) => Report::FilesAreOurs,
        Err(error) => Report::Fatal(error),
    }
}

/// `None` if the loop has gone before the group was durable.
async fn commit(
    store: &mut Store,
    group: Group,
    reporter: &mpsc::Sender<Report>,
) -> Option<Report> {
    let mut wait = RETRY_FIRST;
    let mut is_failing = false;
    loop {
        failpoint::hit(Point::BeforeCommit);
        let error = match store.commit(&group.units).await {
            Ok(()) => {
                failpoint::hit(Point::AfterCommit);
                return Some(Report::Durable(group));
            }
            Err(error) if error.is_retryable() => error,
            Err(error) => {
                tell_unstored(group.units.iter());
                return Some(Report::Fatal(error));
            }
        };
        if !is_failing {
            is_failing = true;
            tell_unstored(group.units.iter());
            reporter.send(Report::Failing(error)).await.ok()?;
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(RETRY_LONGEST);
    }
}

/// The log as last resort: an answer that never reaches the disk can still be read there.
pub(super) fn tell_unstored<'a>(units: impl Iterator<Item = &'a Unit>) {
    let evidence = units.flat_map(|unit| &unit.evidence);
    for answer in evidence.filter(|one| &*one.kind == super::evidence::SUBMITTED) {
        tracing::error!(
            attempt = answer.attempt.as_ref().map(ToString::to_string),
            received_at = clock::wall().rfc3339(),
            "answer not stored yet: {}",
            answer.body
        );
    }
}
