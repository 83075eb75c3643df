//! What became of a submission: one arm per class of answer (rule S11, the table of a target).

use std::sync::Arc;

use crate::model::answer::Answered;
use crate::model::classify::RETRY_AFTER_MAX;
use crate::model::{AnswerNote, AttemptId, Millis, SubmitAnswer, TaskId, Wall, draw};

use super::Engine;
use super::event::{Fact, Quota};
use super::index::TargetIx;
use super::input::SendRefusal;
use super::reads::shows_credential_works;
use super::rows::{AttemptOutcome, VerifyAfter};
use super::starts::TICKET_LASTS;
use super::state::{Reason, TargetState};

/// The floor of every backoff (rule S3).
const BACKOFF_FLOOR: Millis = Millis::from_secs(1);

impl Engine {
    pub(super) fn submitted(&mut self, id: &AttemptId, answered: Answered<SubmitAnswer>) {
        let Some(ix) = self.find_target(&id.target) else {
            return self.anomaly(format!("an answer to {id}, whose target is unknown"));
        };
        let (project, note) = (self.targets[ix.at()].project, answered.note);
        self.mark_project(project);
        let is_current = self.attempts.get(&ix).is_some_and(|attempt| attempt.id == *id);
        let state = self.targets[ix.at()].row.state;
        if is_current
            && state == TargetState::Submitting
            && let Some(generation) = self.sending.remove(&ix)
        {
            if let Some(server) = answered.server_time {
                self.projects[project.at()].skew = Some(server - self.wall);
            }
            let is_read =
                !matches!(answered.answer, SubmitAnswer::Uncertain | SubmitAnswer::NotSent);
            let works = matches!(answered.answer, SubmitAnswer::Accepted { .. })
                || (is_read && shows_credential_works(note.status));
            self.credential_answered(project, generation, works);
            if let SubmitAnswer::CredentialRefused { renewable } = answered.answer {
                self.credential_refused(project, generation, renewable, &note);
            }
            return self.submission_answered(ix, answered.answer, note);
        }
        // From an earlier process, or after an operator's verdict.
        match answered.answer {
            SubmitAnswer::Accepted { task } if is_current && state == TargetState::Uncertain => {
                self.accepted(ix, task, note, true);
            }
            SubmitAnswer::Accepted { task } => self.late_evidence(ix, id, &task),
            _ => {
                let what = format!("a late answer to {id}: {}", note_text(&note)).into();
                self.record_target(ix, Fact::EvidenceLate { what });
            }
        }
    }

    fn submission_answered(&mut self, ix: TargetIx, answer: SubmitAnswer, note: AnswerNote) {
        let project = self.targets[ix.at()].project;
        self.note_asked_wait(ix, &note);
        match &answer {
            SubmitAnswer::NotSent | SubmitAnswer::Uncertain => self.unclear_answer(project),
            _ => {
                self.clear_answer(project);
                self.cloud_answered(project);
            }
        }
        if answer != SubmitAnswer::Forbidden {
            self.not_forbidden(project);
        }
        match answer {
            SubmitAnswer::Accepted { task } => self.accepted(ix, task, note, false),
            SubmitAnswer::NotSent => {
                let until = self.back_off_project(project);
                self.back_to_pending(ix, "not sent", None);
                let again_at = self.steady_at(until);
                self.cloud_missed(project, &note, again_at);
                self.record_target(ix, Fact::NotSent { note, project_backoff_until: until });
            }
            SubmitAnswer::Throttled { limit, retry_after } => {
                let until = self.throttled(project, Quota::Starts, limit, retry_after);
                let until = self.wall_at(until);
                self.back_to_pending(ix, "throttled", Some(until));
                self.record_target(ix, Fact::Throttled { limit, until, note });
            }
            SubmitAnswer::Conflict { upgrading } => self.conflicted(ix, upgrading, note),
            SubmitAnswer::ReportedCurrent => {
                self.enter_verifying(ix, VerifyAfter::ReportedCurrent);
                self.record_target(ix, Fact::ReportedCurrent { note });
            }
            SubmitAnswer::CredentialRefused { .. } => {
                self.back_to_pending(ix, "credential refused", None);
                self.record_target(ix, Fact::CredentialRefused { note });
            }
            SubmitAnswer::Forbidden => {
                self.record_rejection(ix, Reason::Forbidden, note);
                let instance = self.targets[ix.at()].row.id.instance.clone();
                self.forbidden(project, instance);
            }
            SubmitAnswer::CapabilityAbsent => {
                let code = note.code.clone().unwrap_or_else(|| "404".into());
                self.back_to_pending(ix, "the call does not exist", None);
                self.record_target(ix, Fact::CapabilityAbsent { note });
                self.stop_project(
                    project,
                    &format!("{code}: the upgrade call does not exist here"),
                );
            }
            SubmitAnswer::Rejected { suspicious } => self.rejected(ix, suspicious, note),
            SubmitAnswer::Uncertain => {
                let why: Arc<str> = note_text(&note).into();
                self.become_uncertain(ix, why, note);
            }
        }
    }

    /// Whatever the answer was, no other attempt goes before the wait that it asked for (rule S3).
    fn note_asked_wait(&mut self, ix: TargetIx, note: &AnswerNote) {
        let Some(wait) = note.retry_after else { return };
        let until = self.wall + wait.min(RETRY_AFTER_MAX);
        self.edit_flight(ix, |flight| flight.asked_to_wait_until = Some(until));
    }

    fn accepted(&mut self, ix: TargetIx, task: TaskId, note: AnswerNote, late: bool) {
        let project = self.targets[ix.at()].project;
        self.circuit_proved(project);
        self.enter_running(ix, task.clone());
        self.edit_flight(ix, |flight| flight.is_accepted = true);
        self.end_code_run(ix);
        self.record_target(ix, Fact::Accepted { task, late, note });
        self.begin_watching(ix);
    }

    pub(super) fn send_refused(&mut self, id: &AttemptId, why: SendRefusal) {
        let ix = self.find_target(&id.target);
        let current = ix.filter(|ix| {
            self.targets[ix.at()].row.state == TargetState::Submitting
                && self.attempts.get(ix).is_some_and(|attempt| attempt.id == *id)
        });
        let Some(ix) = current else {
            return self.anomaly(format!("a refusal to send {id}, which is not being sent"));
        };
        let Some(generation) = self.sending.remove(&ix) else {
            return self.anomaly(format!("a refusal of {id}, whose ticket is not out"));
        };
        let project = self.targets[ix.at()].project;
        self.credential_answered(project, generation, false);
        self.back_to_pending(ix, "refused by the last check", None);
        self.record_target(ix, Fact::SendRefused { why });
    }

    fn conflicted(&mut self, ix: TargetIx, upgrading: bool, note: AnswerNote) {
        if upgrading && self.targets[ix.at()].row.detail.history().was_uncertain {
            // An earlier attempt of this round may be what runs: look for it.
            let count = self.targets[ix.at()].row.detail.history().conflicts + 1;
            self.edit(ix, |target| {
                target.row.detail.history_mut().conflicts = count;
                if let Some(flight) = &mut target.row.detail.flight {
                    flight.is_upgrade_seen = true;
                }
            });
            return self.become_uncertain(ix, note_text(&note).into(), note);
        }
        self.end_attempt(ix, AttemptOutcome::NotSent { why: note_text(&note).into() });
        let word = note.code.clone().unwrap_or_else(|| "busy".into());
        self.busy(ix, word, note);
    }

    /// The instance is busy: wait and look again; too often, and it failed.
    pub(super) fn busy(&mut self, ix: TargetIx, word: Arc<str>, note: AnswerNote) {
        let wall = self.wall;
        let count = self.targets[ix.at()].row.detail.history().conflicts + 1;
        let most = self.retry_of(ix).max_attempts;
        let not_before = (wall + self.conflict_wait(ix, count)).max(self.asked_to_wait_until(ix));
        let sent = self.targets[ix.at()].row.state == TargetState::Submitting;
        self.edit(ix, |target| {
            let history = target.row.detail.history_mut();
            history.conflicts = count;
            history.conflict = Some(word);
            // Whoever is at work there may be moving the versions.
            target.row.detail.versions_at = None;
            target.row.not_before = Some(not_before);
            target.row.state = TargetState::Pending;
            target.preparing = super::tables::Preparing::No;
            if sent {
                target.row.entered_at = wall;
                target.row.detail.flight = None;
            }
        });
        if sent || count == 1 || count.is_multiple_of(10) || count >= most {
            self.record_target(ix, Fact::Conflict { count, not_before, note });
        }
        if count >= most {
            self.fail(ix, Reason::StillBusy);
        }
    }

    /// Waits for a busy instance grow fourfold and have no full jitter: backups take minutes, and
    /// a draw near zero would use up the occurrences while one runs.
    fn conflict_wait(&self, ix: TargetIx, count: u32) -> Millis {
        let retry = self.retry_of(ix);
        let grown = retry.initial.0.saturating_mul(1 << (2 * count.min(15)));
        let id = self.targets[ix.at()].row.id.to_string();
        let seed = self.seed_of(ix);
        let round = u64::from(self.targets[ix.at()].row.round) << 32;
        let drawn = draw::unit(seed, "conflict", &id, round | u64::from(count));
        draw::spread(Millis(grown.min(retry.max.0)), drawn).max(BACKOFF_FLOOR)
    }

    fn rejected(&mut self, ix: TargetIx, suspicious: bool, note: AnswerNote) {
        let code = note.code.clone().unwrap_or_else(|| match note.status {
            Some(status) => format!("HTTP {status}").into(),
            None => "unknown".into(),
        });
        self.record_rejection(ix, Reason::Rejected(code.clone()), note);
        if suspicious {
            self.suspicious_code(ix, code);
        } else {
            self.end_code_run(ix);
        }
    }

    fn record_rejection(&mut self, ix: TargetIx, reason: Reason, note: AnswerNote) {
        self.end_attempt(ix, AttemptOutcome::NotSent { why: note_text(&note).into() });
        self.record_target(ix, Fact::Rejected { note });
        self.fail(ix, reason);
    }

    /// Sent, and nothing says whether it was taken.
    fn become_uncertain(&mut self, ix: TargetIx, why: Arc<str>, note: AnswerNote) {
        let wall = self.wall;
        self.edit(ix, |target| {
            target.row.state = TargetState::Uncertain;
            target.row.entered_at = wall;
            target.row.detail.history_mut().was_uncertain = true;
            if let Some(flight) = &mut target.row.detail.flight {
                flight.looks_from = Some(flight.looks_from.unwrap_or(wall));
            }
        });
        self.remember_first_uncertain(ix);
        self.attempt_uncertain(ix);
        let of = self.retry_of(ix).max_attempts;
        let number = self.targets[ix.at()].row.not_applied + 1;
        let earliest_resend = self.earliest_resend(ix);
        self.record_target(ix, Fact::BecameUncertain { why, earliest_resend, number, of, note });
        self.schedule_look(ix, wall);
    }

    /// After a restart a ticket that was out counts as sent, and may still arrive until it and its
    /// request have run out: looks count from there.
    pub(super) fn count_as_sent(&mut self, ix: TargetIx) {
        let timeout = self.request_timeout(ix);
        let from = self.attempts[&ix].intent_at + TICKET_LASTS + timeout;
        self.edit_flight(ix, |flight| {
            flight.looks_from = Some(from);
        });
        self.become_uncertain(
            ix,
            "the process ended while it was sent".into(),
            AnswerNote::default(),
        );
    }

    /// It did not happen and does not count: pending again.
    fn back_to_pending(&mut self, ix: TargetIx, why: &str, not_before: Option<Wall>) {
        let wall = self.wall;
        let asked = Some(self.asked_to_wait_until(ix)).filter(|&until| until > wall);
        let not_before = not_before.max(asked);
        self.end_attempt(ix, AttemptOutcome::NotSent { why: why.into() });
        self.edit(ix, |target| {
            target.row.state = TargetState::Pending;
            target.row.entered_at = wall;
            target.row.not_before = not_before;
            target.row.detail.flight = None;
        });
    }

    /// `backoff(n)` = a floor of a second + a full-jitter draw of min(max, initial·2ⁿ⁻¹).
    pub(super) fn start_backoff(&self, ix: TargetIx, n: u32) -> Millis {
        let retry = self.retry_of(ix);
        let doubled = retry.initial.0.saturating_mul(1 << (n - 1).min(30));
        let most = doubled.min(retry.max.0);
        let id = self.targets[ix.at()].row.id.to_string();
        let round = u64::from(self.targets[ix.at()].row.round) << 32;
        let drawn = draw::unit(self.seed_of(ix), "backoff", &id, round | u64::from(n));
        BACKOFF_FLOOR + Millis((drawn * most as f64) as i64)
    }

    pub(super) fn seed_of(&self, ix: TargetIx) -> u64 {
        self.campaigns[self.targets[ix.at()].campaign.at()].detail.seed
    }

    fn attempt_uncertain(&mut self, ix: TargetIx) {
        if let Some(attempt) = self.attempts.get_mut(&ix) {
            attempt.outcome = AttemptOutcome::Uncertain;
            let row = attempt.clone();
            self.changes().attempts.push(row);
        }
    }

    /// The cloud applied it. The attempt stays open until the target ends: no other campaign may
    /// send to the instance while its task runs (rule S1).
    pub(super) fn attempt_applied(&mut self, ix: TargetIx, task: Option<TaskId>) {
        if let Some(attempt) = self.attempts.get_mut(&ix) {
            attempt.outcome = AttemptOutcome::Applied { task };
            let row = attempt.clone();
            self.changes().attempts.push(row);
        }
    }

    /// Closes the open attempt. `Applied` is kept if that is what was found.
    pub(super) fn end_attempt(&mut self, ix: TargetIx, outcome: AttemptOutcome) {
        if let Some(mut attempt) = self.attempts.remove(&ix) {
            if !matches!(attempt.outcome, AttemptOutcome::Applied { .. }) {
                attempt.outcome = outcome;
            }
            attempt.ended_at = Some(self.wall);
            self.changes().attempts.push(attempt);
        }
    }

    fn late_evidence(&mut self, ix: TargetIx, id: &AttemptId, task: &TaskId) {
        let row = &self.targets[ix.at()].row;
        let same = row.task.as_ref() == Some(task);
        let what: Arc<str> = format!("{id} was accepted as task {task}").into();
        if same {
            return self.record_target(ix, Fact::EvidenceLate { what });
        }
        self.contradicted(ix, what);
    }

    /// The last look before another attempt names an upgrade that came after the looks which had
    /// settled the one before: that one, perhaps, as late as nobody had seen it.
    pub(super) fn doubt_looks(&mut self, ix: TargetIx, task: &TaskId) {
        let what = format!("the instance names task {task}, which no earlier look had shown");
        self.contradicted(ix, what.into());
    }

    fn contradicted(&mut self, ix: TargetIx, what: Arc<str>) {
        self.record_target(ix, Fact::EvidenceLate { what: what.clone() });
        self.end_unread(ix);
        self.call_operator(ix, &format!("late evidence contradicts what is recorded: {what}"));
        self.unprepare(ix);
    }
}

/// A note in one line: `500 DCS.5006: submit job failed`.
pub(super) fn note_text(note: &AnswerNote) -> String {
    let parts =
        [note.status.map(|status| status.to_string()), note.code.as_deref().map(str::to_owned)];
    let head = parts.into_iter().flatten().collect::<Vec<_>>().join(" ");
    match (&note.message, head.is_empty()) {
        (Some(message), true) => message.to_string(),
        (Some(message), false) => format!("{head}: {message}"),
        (None, true) => "no answer".to_owned(),
        (None, false) => head,
    }
}
