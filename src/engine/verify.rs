//! Verifying: the version that the instance reports decides, never the task alone.

use std::sync::Arc;

use crate::model::{Instance, Millis, Part, ReadAnswer, Steady, Versions, Wall};

use super::Engine;
use super::event::Fact;
use super::index::TargetIx;
use super::planted::Defect;
use super::read_queue::Purpose;
use super::reconcile::busy_word;
use super::rows::{AttemptOutcome, VerifyAfter};
use super::state::{Reason, TargetState};

/// Between the two looks that make an unchanged version final.
const UNCHANGED_FOR: Millis = Millis::from_secs(60);

/// Between two reads of an instance that is said to be gone.
const GONE_AGAIN: Millis = Millis::from_secs(30);

/// Answers "no such instance" that are needed, beside two full sweeps without it.
const GONE_LOOKS: u32 = 2;

impl Engine {
    pub(super) fn enter_verifying(&mut self, ix: TargetIx, after: VerifyAfter) {
        let wall = self.wall;
        self.edit(ix, |target| {
            target.row.state = TargetState::Verifying;
            target.row.entered_at = wall;
            target.row.overdue = false;
            let flight = target.row.detail.flight.get_or_insert_default();
            flight.verify_after = Some(after);
            flight.verifying_since = Some(wall);
            flight.settled_at = None;
            flight.unchanged_at = None;
            flight.gone_looks = 0;
            flight.word = None;
        });
        self.verify_again(ix, self.now);
    }

    /// Both halves of a verification: first the versions, then the instance.
    fn verify_again(&mut self, ix: TargetIx, at: Steady) {
        let project = self.targets[ix.at()].project;
        self.want_at(project, Purpose::VerifyVersions(ix), at);
    }

    pub(super) fn resume_verifying(&mut self, ix: TargetIx) {
        // What lies between two processes was not measured.
        self.edit_flight(ix, |flight| flight.unchanged_at = None);
        let flight = self.targets[ix.at()].row.detail.flight.as_deref();
        let settled = flight.and_then(|flight| flight.settled_at).map(|at| self.steady_at(at));
        match settled {
            Some(at) => self.wake_target(ix, at.max(self.now + Millis(1))),
            None => self.verify_again(ix, self.now),
        }
    }

    /// The settling has ended: one more look decides.
    pub(super) fn verifying_due(&mut self, ix: TargetIx) {
        let target = &self.targets[ix.at()];
        let flight = target.row.detail.flight.as_deref();
        let settled = flight.and_then(|flight| flight.settled_at);
        if settled.is_some_and(|at| at <= self.wall) {
            let project = target.project;
            self.want(project, Purpose::VerifyInstance(ix));
        }
    }

    pub(super) fn verify_versions(&mut self, ix: TargetIx, versions: Versions, asked_at: Steady) {
        let (asked_at, versions) = (self.wall_at(asked_at), self.share(versions));
        self.edit(ix, |target| {
            target.row.detail.versions = Some(versions);
            target.row.detail.versions_at = Some(asked_at);
        });
        self.look_after_versions(ix);
    }

    pub(super) fn verify_instance(&mut self, ix: TargetIx, instance: &Instance) {
        if self.targets[ix.at()].row.state != TargetState::Verifying {
            return;
        }
        let flight = self.targets[ix.at()].row.detail.flight.as_deref();
        let is_trusted = self.is_planted(Defect::TaskTrusted)
            && flight.is_some_and(|flight| flight.verify_after == Some(VerifyAfter::Success));
        match (instance.is_idle(), is_trusted || self.is_moved(ix)) {
            (false, _) => self.unsettled(ix, instance),
            (true, true) => self.settle(ix),
            (true, false) => self.unchanged(ix),
        }
    }

    fn settle(&mut self, ix: TargetIx) {
        let wall = self.wall;
        let flight = self.targets[ix.at()].row.detail.flight.as_deref();
        let settled_at = flight.and_then(|flight| flight.settled_at);
        match settled_at.unwrap_or_else(|| self.begin_settling(ix)) {
            at if at <= wall => self.proven(ix),
            at => {
                let at = self.steady_at(at);
                self.wake_target(ix, at);
            }
        }
    }

    /// Seen with moved versions for the first time; tells when it has settled.
    pub(super) fn begin_settling(&mut self, ix: TargetIx) -> Wall {
        let wall = self.wall;
        let until = wall + self.settle_of(ix);
        self.edit_flight(ix, |flight| {
            flight.settled_at = Some(until);
            flight.finished_at = Some(wall);
            flight.unchanged_at = None;
            flight.word = None;
        });
        self.record_target(ix, Fact::Settling { until });
        until
    }

    fn unsettled(&mut self, ix: TargetIx, instance: &Instance) {
        let word = busy_word(instance);
        self.unsettle(ix, word.clone());
        self.judge_verifying_time(ix, &word);
        let at = self.now + self.poll_interval(ix);
        self.verify_again(ix, at);
    }

    /// It was not seen settled: whatever was counted so far counts anew.
    pub(super) fn unsettle(&mut self, ix: TargetIx, word: Arc<str>) {
        let flight = self.targets[ix.at()].row.detail.flight.as_deref();
        let is_new = flight.is_some_and(|flight| flight.word.as_ref() != Some(&word));
        let noted = word.clone();
        self.edit_flight(ix, |flight| {
            flight.settled_at = None;
            flight.finished_at = None;
            flight.unchanged_at = None;
            flight.word = Some(noted);
        });
        if is_new {
            self.record_target(ix, Fact::Unsettled { word });
        }
    }

    fn judge_verifying_time(&mut self, ix: TargetIx, word: &str) {
        let flight = self.targets[ix.at()].row.detail.flight.as_deref();
        let since = flight.and_then(|flight| flight.verifying_since).unwrap_or(self.wall);
        let timeout = self.task_timeout(ix);
        if self.wall - since > timeout {
            self.call_operator(ix, &format!("not idle ({word}) for {timeout} after its task"));
        }
    }

    /// A look is as old as the question for its versions.
    fn unchanged(&mut self, ix: TargetIx) {
        let looked_at = self.targets[ix.at()].row.detail.versions_at.unwrap_or(self.wall);
        let flight =
            self.targets[ix.at()].row.detail.flight.as_deref().cloned().unwrap_or_default();
        if let Some(VerifyAfter::TaskFailed(code)) = flight.verify_after {
            return self.fail(ix, Reason::TaskFailed(code));
        }
        match flight.unchanged_at {
            Some(at) if looked_at - at >= UNCHANGED_FOR => {
                if flight.verify_after == Some(VerifyAfter::ReportedCurrent) {
                    self.skip(ix, Reason::AlreadyCurrent);
                } else {
                    self.fail(ix, Reason::VersionUnchanged);
                }
            }
            first => {
                self.edit_flight(ix, |flight| {
                    flight.unchanged_at = Some(first.unwrap_or(looked_at));
                    flight.settled_at = None;
                });
                let at = first.unwrap_or(looked_at) + UNCHANGED_FOR;
                let at = self.steady_at(at).max(self.now + Millis(1));
                self.verify_again(ix, at);
            }
        }
    }

    fn proven(&mut self, ix: TargetIx) {
        let is_known = self.targets[ix.at()].row.task.is_some();
        self.succeed(ix, if is_known { Reason::Verified } else { Reason::Inferred });
    }

    /// It ends well: proven by its versions, or by an operator's word.
    pub(super) fn succeed(&mut self, ix: TargetIx, reason: Reason) {
        let attempt = self.attempts.get(&ix);
        let before = attempt.map(|attempt| attempt.versions_before.clone());
        let row = &self.targets[ix.at()].row;
        let after = row.detail.versions.as_deref().cloned();
        let took = self.wall - row.detail.history().started_at.unwrap_or(self.wall);
        let task = row.task.clone();
        let learned = self.measured(ix, &reason);
        self.attempt_applied(ix, task);
        self.end_target(ix, TargetState::Succeeded, reason.clone());
        let campaign = self.targets[ix.at()].campaign;
        self.end_success_run(campaign);
        self.record_target(ix, Fact::Succeeded { reason, before, after, took, learned });
        if let Some(learned) = learned {
            self.learn(learned);
        }
    }

    /// Every part of the body differs from before, and is the newest, can go no further, or is what
    /// was the newest when it was sent: the cloud may have released another since.
    pub(super) fn is_moved(&self, ix: TargetIx) -> bool {
        let (Some(attempt), Some(now)) =
            (self.attempts.get(&ix), self.targets[ix.at()].row.detail.versions.as_ref())
        else {
            return false;
        };
        attempt.body.parts().all(|part| {
            let (before, now) = (attempt.versions_before.part(part), now.part(part));
            now.current.is_some()
                && now.current != before.current
                && (now.is_current() || !now.upgradable || now.current == before.latest)
        })
    }

    /// Some part of the body runs another version than before.
    pub(super) fn any_part_moved(&self, ix: TargetIx, now: &Versions) -> bool {
        let Some(attempt) = self.attempts.get(&ix) else { return false };
        let moved = |part: Part| {
            let (before, now) = (attempt.versions_before.part(part), now.part(part));
            now.current.is_some() && now.current != before.current
        };
        attempt.body.parts().any(moved)
    }

    /// A read said that the instance does not exist.
    pub(super) fn read_gone(&mut self, ix: TargetIx, purpose: Purpose) {
        let target = &self.targets[ix.at()];
        let (project, state) = (target.project, target.row.state);
        self.sweep_soon(project);
        if state == TargetState::Pending {
            let not_before = self.wall + UNCHANGED_FOR;
            return self.edit(ix, |target| {
                target.preparing = super::tables::Preparing::No;
                target.row.not_before = Some(not_before);
            });
        }
        if !state.is_in_flight() {
            return;
        }
        self.edit(ix, |target| {
            target.look = None;
            if let Some(flight) = &mut target.row.detail.flight {
                flight.gone_looks += 1;
                flight.clean_looks = 0;
            }
        });
        let flight = self.targets[ix.at()].row.detail.flight.as_deref();
        let looks = flight.map_or(0, |flight| flight.gone_looks);
        if looks >= GONE_LOOKS && self.is_missing(ix) {
            self.attempt_gone(ix);
            return self.fail(ix, Reason::Gone);
        }
        if state == TargetState::Uncertain {
            return self.look_anew(ix, self.wall + GONE_AGAIN);
        }
        self.want_at(project, purpose, self.now + GONE_AGAIN);
    }

    /// An answer that only a living instance gives ends the run of "no such instance". A list of
    /// tasks is none: it may outlive its instance.
    pub(super) fn note_if_found(&mut self, ix: TargetIx, answer: &ReadAnswer) {
        let lives = matches!(answer, ReadAnswer::Instance(_) | ReadAnswer::Versions(_));
        let flight = self.targets[ix.at()].row.detail.flight.as_deref();
        if lives && flight.is_some_and(|flight| flight.gone_looks > 0) {
            self.edit_flight(ix, |flight| {
                flight.gone_looks = 0;
            });
        }
    }

    fn attempt_gone(&mut self, ix: TargetIx) {
        self.end_attempt(ix, AttemptOutcome::Uncertain);
    }
}
