//! Sends what the engine asked for, each in a task of its own, and brings back one answer each.
//!
//! A submission passes the last check once its connection stands and before its first byte: the
//! stop, the `FREEZE` file, the gate that the loop publishes, the deadline on the boot clock (rules
//! S3 and S4). Nothing here retries, and nothing here decides: a task that dies half-way is an
//! unclear answer like any other.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::{self, Clock};
use crate::cloud::{Cloud, SubmitOrder, Submitted};
use crate::engine::input::{FreezeFile, SendRefusal};
use crate::engine::{Gate, Input, Read, Submit};
use crate::failpoint::{self, Point};
use crate::model::answer::Answered;
use crate::model::policy::Starts;
use crate::model::{AnswerNote, CredentialName, ReadFailure, Steady, SubmitAnswer, TargetId};
use crate::store::Evidence;

use super::evidence;
use super::freeze_file::FreezePlaces;

/// Upgrade requests on the wire at once. Each has a connection of its own, and a process has 1,024
/// descriptors unless told otherwise.
const SUBMITS_AT_ONCE: usize = 256;

/// Reads and renewals on the wire at once; they share pooled connections.
const READS_AT_ONCE: usize = 128;

/// How long the end waits for tasks that were called off.
const END_WITHIN: Duration = Duration::from_secs(1);

/// What came back, for the engine and for the store.
#[derive(Debug)]
pub(super) struct Answer {
    pub input: Input,
    pub evidence: Option<Evidence>,
}

/// What the last check looks at.
#[derive(Debug)]
pub(super) struct LastCheck {
    pub starts: Starts,
    pub stop: CancellationToken,
    pub freeze: FreezePlaces,
    pub gate: watch::Receiver<Gate>,
    pub clock: Clock,
}

impl LastCheck {
    /// # Errors
    /// Why this submission may not be sent any more.
    pub fn allows(&self, target: &TargetId, not_after: Steady) -> Result<(), SendRefusal> {
        if self.stop.is_cancelled() {
            return Err(SendRefusal::Stopping);
        }
        if self.freeze.look() != FreezeFile::Absent {
            return Err(SendRefusal::FreezeFile);
        }
        if self.starts != Starts::On || !self.gate.borrow().allows(target) {
            return Err(SendRefusal::GateClosed);
        }
        // Last, because the looks before it take time too.
        if self.clock.steady() >= not_after {
            return Err(SendRefusal::TooLate);
        }
        Ok(())
    }
}

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct Sender {
    cloud: Arc<Cloud>,
    check: Arc<LastCheck>,
    answers: mpsc::Sender<Answer>,
    submits: Arc<Semaphore>,
    reads: Arc<Semaphore>,
    tasks: TaskTracker,
}

impl Sender {
    pub fn new(cloud: Cloud, check: LastCheck, answers: mpsc::Sender<Answer>) -> Sender {
        Sender {
            cloud: Arc::new(cloud),
            check: Arc::new(check),
            answers,
            submits: Arc::new(Semaphore::new(SUBMITS_AT_ONCE)),
            reads: Arc::new(Semaphore::new(READS_AT_ONCE)),
            tasks: TaskTracker::new(),
        }
    }

    /// Sends one upgrade request, whose intent is durable. Brings back exactly one answer.
    pub fn submit(&self, submit: Submit) {
        let sender = self.clone();
        self.tasks.spawn(async move {
            let permit = sender.submits.acquire().await.expect("it is never closed");
            let answer = sender.send(&submit).await;
            drop(permit);
            if let Err(lost) = sender.answers.send(answer).await {
                tracing::error!(
                    attempt = submit.attempt.to_string(),
                    "answer came after the end: {:?}",
                    lost.0.input
                );
            }
        });
    }

    async fn send(&self, submit: &Submit) -> Answer {
        let check = Arc::clone(&self.check);
        let (target, not_after) = (submit.attempt.target.clone(), submit.not_after);
        let last_check = move || {
            failpoint::hit(Point::BeforeCheck);
            check.allows(&target, not_after)?;
            failpoint::hit(Point::BeforeSend);
            Ok(())
        };
        let order = SubmitOrder {
            attempt: submit.attempt.clone(),
            project: submit.project.clone(),
            instance: submit.instance.clone(),
            body: submit.body.clone(),
        };
        let sending = self.cloud.submit(&order, last_check);
        let outcome = AssertUnwindSafe(sending).catch_unwind().await;
        failpoint::hit(Point::AfterSend);
        let attempt = submit.attempt.clone();
        let answer = match outcome {
            Ok(Submitted::Refused(why)) => {
                return Answer { input: Input::SendRefused { attempt, why }, evidence: None };
            }
            Ok(Submitted::Answered(answer)) => answer,
            Err(_) => unclear("the sender's task panicked", SubmitAnswer::Uncertain),
        };
        let evidence = evidence::of_submission(clock::wall(), &attempt, &answer);
        Answer { input: Input::Submitted { attempt, answer }, evidence: Some(evidence) }
    }

    /// Brings back exactly one answer, unless the daemon stops first.
    pub fn read(&self, read: Read) {
        let sender = self.clone();
        self.until_stopped(async move {
            let permit = sender.reads.acquire().await.expect("it is never closed");
            let reading = sender.cloud.read(&read.project, &read.call);
            let result = AssertUnwindSafe(reading).catch_unwind().await;
            drop(permit);
            let result = result.unwrap_or_else(|_| {
                Err(unclear("the reader's task panicked", ReadFailure::Unreachable))
            });
            let evidence = evidence::is_worth_keeping(&read, &result)
                .then(|| evidence::of_read(clock::wall(), &read.project, &read.call, &result));
            Answer { input: Input::Read { id: read.id, result }, evidence }
        });
    }

    /// Brings back exactly one answer, unless the daemon stops first.
    pub fn renew(&self, credential: CredentialName) {
        let sender = self.clone();
        self.until_stopped(async move {
            let permit = sender.reads.acquire().await.expect("it is never closed");
            let renewing = sender.cloud.renew(&credential);
            let result = AssertUnwindSafe(renewing).catch_unwind().await;
            drop(permit);
            let result = result.unwrap_or_else(|_| Err(note("the renewal's task panicked")));
            Answer { input: Input::Renewed { credential, result }, evidence: None }
        });
    }

    fn until_stopped(&self, work: impl Future<Output = Answer> + Send + 'static) {
        let (answers, stop) = (self.answers.clone(), self.check.stop.clone());
        self.tasks.spawn(async move {
            let Some(answer) = stop.run_until_cancelled(work).await else { return };
            // A loop that has ended asks for nothing more.
            if answers.send(answer).await.is_err() {
                tracing::debug!("a read came after the end");
            }
        });
    }
}

impl Sender {
    /// Waits for the tasks that a stop called off; one that still hangs ends with the process.
    pub async fn end(self) {
        self.tasks.close();
        if tokio::time::timeout(END_WITHIN, self.tasks.wait()).await.is_err() {
            tracing::warn!(tasks = self.tasks.len(), "requests are still under way");
        }
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("tasks", &self.tasks.len()).finish_non_exhaustive()
    }
}

fn unclear<T>(what: &str, answer: T) -> Answered<T> {
    Answered { answer, note: note(what), server_time: None }
}

fn note(what: &str) -> AnswerNote {
    AnswerNote { message: Some(what.into()), ..AnswerNote::default() }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::model::Millis;

    struct Bench {
        directory: tempfile::TempDir,
        gate: watch::Sender<Gate>,
        check: LastCheck,
    }

    fn bench() -> Bench {
        let directory = tempfile::tempdir().unwrap();
        let (gate, seen) = watch::channel(Gate::default());
        let check = LastCheck {
            starts: Starts::On,
            stop: CancellationToken::new(),
            freeze: FreezePlaces::of(&directory.path().join("refit.db"), None),
            gate: seen,
            clock: Clock::start(),
        };
        Bench { directory, gate, check }
    }

    fn target() -> TargetId {
        "weekly/sg/i-1".parse().unwrap()
    }

    fn ask(bench: &Bench) -> Result<(), SendRefusal> {
        let later = bench.check.clock.steady() + Millis::from_mins(10);
        bench.check.allows(&target(), later)
    }

    #[test]
    fn an_open_gate_lets_a_timely_submission_through() {
        assert_eq!(ask(&bench()), Ok(()));
    }

    #[test]
    fn nothing_is_sent_at_or_after_its_deadline() {
        let bench = bench();
        let now = bench.check.clock.steady();
        assert_eq!(bench.check.allows(&target(), now), Err(SendRefusal::TooLate));
    }

    #[test]
    fn a_gate_that_closed_after_the_commit_still_counts() {
        let bench = bench();
        let closed = Gate { campaigns: ["weekly".into()].into(), ..Gate::default() };
        bench.gate.send(closed).unwrap();
        assert_eq!(ask(&bench), Err(SendRefusal::GateClosed));
    }

    #[test]
    fn the_freeze_file_stops_even_when_the_loop_does_not_know_of_it() {
        let bench = bench();
        std::fs::write(freeze_in(bench.directory.path()), "").unwrap();
        assert_eq!(ask(&bench), Err(SendRefusal::FreezeFile));
    }

    fn freeze_in(directory: &Path) -> std::path::PathBuf {
        directory.join("FREEZE")
    }

    #[test]
    fn a_stopping_daemon_and_a_shadow_send_nothing() {
        let mut bench = bench();
        bench.check.starts = Starts::Off;
        assert_eq!(ask(&bench), Err(SendRefusal::GateClosed));
        bench.check.stop.cancel();
        assert_eq!(ask(&bench), Err(SendRefusal::Stopping));
    }
}
