//! Reads that failed: when each comes again, and what a failure says of the rest.

use crate::model::{AnswerNote, Millis, ReadFailure, Steady, draw};

use super::Engine;
use super::event::Quota;
use super::index::{ProjectIx, TargetIx};
use super::read_queue::{Purpose, Wanted};
use super::state::TargetState;
use super::submit::note_text;
use super::tables::Preparing;
use super::timers::Timer;

/// The first wait after a failed read; doubles up to `READ_BACKOFF_MAX`.
const READ_BACKOFF: Millis = Millis::from_secs(1);
const READ_BACKOFF_MAX: Millis = Millis::from_secs(60);

/// Reads in a row of something pending that fail, beside the time, before an operator is called.
const UNREAD_LEAST: u32 = 10;

/// The word for an instance that is being verified and cannot be read.
const UNREADABLE: &str = "unreadable";

impl Engine {
    pub(super) fn read_failed(
        &mut self,
        project: ProjectIx,
        wanted: Wanted,
        failure: ReadFailure,
        note: &AnswerNote,
    ) {
        match failure {
            ReadFailure::Throttled { limit, retry_after } => {
                self.throttled(project, Quota::Reads, limit, retry_after);
                self.put_back(project, wanted);
            }
            ReadFailure::CredentialRefused { .. } => self.put_back(project, wanted),
            _ if matches!(wanted.purpose, Purpose::SettleSweep { .. }) => {
                // The list only spares reads: without it each is looked at by itself.
                self.look_at_each(project);
                if failure == ReadFailure::Unreachable {
                    self.cloud_missed(project, note, self.now);
                }
            }
            ReadFailure::Forbidden
            | ReadFailure::CapabilityAbsent
            | ReadFailure::Rejected
            | ReadFailure::Gone
                if wanted.purpose == Purpose::ProbeCentre =>
            {
                self.want(project, Purpose::ProbeList);
            }
            ReadFailure::Forbidden | ReadFailure::Rejected | ReadFailure::Gone
                if matches!(wanted.purpose, Purpose::ProbeList | Purpose::WatchSweep) =>
            {
                self.watch_unusable(project, "the cloud refuses it");
            }
            ReadFailure::Gone => match wanted.purpose.target() {
                Some(target) if self.is_current(wanted) => {
                    self.judge_unread(wanted, note);
                    self.read_gone(target, wanted.purpose);
                }
                _ => {
                    self.read_again_later(project, wanted);
                }
            },
            ReadFailure::CapabilityAbsent => match wanted.purpose {
                Purpose::WatchSweep => {
                    self.watch_unusable(project, "the project has no such call");
                }
                _ => {
                    let code = note.code.as_deref().unwrap_or("404");
                    let why = format!("{code}: {} does not exist here", called(wanted.purpose));
                    self.stop_project(project, &why);
                    self.judge_unread(wanted, note);
                    self.read_again_later(project, wanted);
                }
            },
            ReadFailure::Unreachable | ReadFailure::Forbidden | ReadFailure::Rejected => {
                self.judge_unread(wanted, note);
                let again_at = self.read_missed(project, wanted);
                if failure == ReadFailure::Unreachable {
                    self.cloud_missed(project, note, again_at.unwrap_or(self.now));
                } else if wanted.purpose == Purpose::Sweep {
                    self.sweep_refused(project, note);
                }
            }
        }
    }

    /// Nobody could be asked, or nothing was said: when it is asked again. `None` for a read that
    /// is stale: nobody waits for it.
    fn read_missed(&mut self, project: ProjectIx, wanted: Wanted) -> Option<Steady> {
        if !self.is_current(wanted) {
            return None;
        }
        match wanted.purpose {
            Purpose::LookInstance(ix)
            | Purpose::LookVersions(ix)
            | Purpose::LookTasks { target: ix, .. } => Some(self.look_failed(ix, wanted.purpose)),
            Purpose::LastLook(ix) | Purpose::VersionsAgain(ix) => {
                Some(self.precheck_failed(ix, wanted.purpose))
            }
            Purpose::Sweep
            | Purpose::WatchSweep
            | Purpose::ProbeCentre
            | Purpose::ProbeList
            | Purpose::SettleSweep { .. }
            | Purpose::Versions(_)
            | Purpose::Watch { .. }
            | Purpose::VerifyVersions(_)
            | Purpose::VerifyInstance(_) => self.read_again_later(project, wanted),
        }
    }

    /// What cannot be read for its whole timeout waits for an operator (rule L1).
    fn judge_unread(&mut self, wanted: Wanted, note: &AnswerNote) {
        let Some(ix) = wanted.purpose.target().filter(|_| self.is_current(wanted)) else { return };
        if self.targets[ix.at()].row.state == TargetState::Verifying {
            self.unsettle(ix, UNREADABLE.into());
        }
        let row = &self.targets[ix.at()].row;
        let flight = row.detail.flight.as_deref();
        let since = match row.state {
            TargetState::Uncertain => self.attempts.get(&ix).map(|attempt| attempt.intent_at),
            TargetState::Verifying => flight.and_then(|flight| flight.verifying_since),
            TargetState::Pending => return self.judge_unread_pending(ix, wanted.purpose, note),
            // What runs becomes overdue.
            _ => None,
        };
        let timeout = self.task_timeout(ix);
        if since.is_some_and(|since| self.wall - since > timeout) {
            let why =
                format!("{} fails after {timeout}: {}", called(wanted.purpose), note_text(note));
            self.call_operator(ix, &why);
        }
    }

    /// Not while the whole cloud is silent: the list has been read since. It is read on, and what
    /// it then says ends the call.
    fn judge_unread_pending(&mut self, ix: TargetIx, purpose: Purpose, note: &AnswerNote) {
        let (target, wall, timeout) = (&self.targets[ix.at()], self.wall, self.task_timeout(ix));
        let Some(since) = target.row.detail.history().unread_since else {
            return self.edit(ix, |target| {
                target.row.detail.history_mut().unread_since = Some(wall);
            });
        };
        let swept_at = self.projects[target.project.at()].detail.swept_at;
        let is_long = wall - since > timeout && target.read_failures >= UNREAD_LEAST;
        let is_told = target.row.needs_operator.is_some();
        if is_told || !is_long || swept_at.is_none_or(|swept| swept <= since) {
            return;
        }
        self.edit(ix, |target| target.row.detail.history_mut().is_unread_told = true);
        let failed = wall - since;
        let why = format!("{} fails for {failed}: {}", called(purpose), note_text(note));
        self.call_operator(ix, &why);
    }

    /// What was pending and unreadable was read, or something weightier is to be told of it.
    pub(super) fn end_unread(&mut self, ix: TargetIx) {
        let history = self.targets[ix.at()].row.detail.history();
        if history.unread_since.is_none() {
            return;
        }
        self.edit(ix, |target| {
            let history = target.row.detail.history_mut();
            history.unread_since = None;
            if std::mem::take(&mut history.is_unread_told) {
                target.row.needs_operator = None;
            }
        });
    }

    /// A precheck that cannot be read gives its slot back: others go first.
    fn precheck_failed(&mut self, ix: TargetIx, purpose: Purpose) -> Steady {
        let target = &self.targets[ix.at()];
        let failures = target.read_failures + 1;
        let not_before = self.wall + self.read_backoff(target.project, purpose, failures);
        self.edit(ix, |target| {
            target.read_failures = failures;
            target.preparing = Preparing::No;
            target.row.not_before = Some(not_before);
        });
        self.steady_at(not_before)
    }

    fn put_back(&mut self, project: ProjectIx, wanted: Wanted) {
        if self.is_current(wanted) {
            self.projects[project.at()].queue.push_front(wanted);
        }
    }

    fn read_again_later(&mut self, project: ProjectIx, wanted: Wanted) -> Option<Steady> {
        if !self.is_current(wanted) {
            return None;
        }
        let failures = match wanted.purpose.target() {
            Some(target) => {
                let target = &mut self.targets[target.at()];
                target.read_failures += 1;
                target.read_failures
            }
            None => {
                let project = &mut self.projects[project.at()];
                project.sweep_failures += 1;
                project.sweep_failures
            }
        };
        let at = self.now + self.read_backoff(project, wanted.purpose, failures);
        self.timers.push(at, Timer::Read(project, wanted));
        Some(at)
    }

    /// Full jitter over a floor of half a second.
    pub(super) fn read_backoff(
        &self,
        project: ProjectIx,
        purpose: Purpose,
        failures: u32,
    ) -> Millis {
        let most = READ_BACKOFF.0 << failures.min(6);
        let most = most.min(READ_BACKOFF_MAX.0);
        let id = match purpose.target() {
            Some(target) => self.targets[target.at()].row.id.to_string(),
            None => self.projects[project.at()].name.to_string(),
        };
        let drawn = draw::unit(self.seed, "read-backoff", &id, u64::from(failures));
        Millis(READ_BACKOFF.0 / 2 + (drawn * most as f64) as i64)
    }
}

/// The call that reads for this purpose, as people know it.
fn called(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Sweep | Purpose::ProbeList | Purpose::SettleSweep { .. } => {
            "the list of instances"
        }
        Purpose::WatchSweep => "the list that tasks are watched through",
        Purpose::ProbeCentre => "the task centre",
        Purpose::Versions(_)
        | Purpose::VersionsAgain(_)
        | Purpose::LookVersions(_)
        | Purpose::VerifyVersions(_) => "the query of an instance's versions",
        Purpose::LastLook(_) | Purpose::LookInstance(_) | Purpose::VerifyInstance(_) => {
            "the query of an instance"
        }
        Purpose::LookTasks { .. } | Purpose::Watch { .. } => "the list of an instance's tasks",
    }
}
