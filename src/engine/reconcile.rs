//! Looks: finding out what became of a submission nobody answered for (rule S3).
//!
//! A look is instance, versions and tasks, all read. It is clean if all three are negative; enough
//! clean looks, spread over `observe_for`, prove that nothing was started. Anything else is
//! evidence of the opposite, or no evidence.

use std::sync::Arc;

use crate::model::{Instance, Millis, Steady, Task, TaskId, Wall};

use super::Engine;
use super::event::Fact;
use super::index::TargetIx;
use super::planted::Defect;
use super::read_queue::Purpose;
use super::rows::{AttemptOutcome, VerifyAfter};
use super::state::{Reason, TargetState};
use super::tables::LookInProgress;

/// Clean looks that are needed at least.
const CLEAN_LOOKS: u32 = 3;

/// Looks per `observe_for`: three thirds keep every gap below the half that is allowed.
const LOOKS_PER_OBSERVATION: i64 = 3;

/// Looks go on this much slower once an operator has to decide.
const OPERATOR_SLOWDOWN: i64 = 10;

impl Engine {
    /// Asks for the next look at an uncertain attempt.
    pub(super) fn schedule_look(&mut self, ix: TargetIx, last_begun_at: Wall) {
        let (target, wall) = (&self.targets[ix.at()], self.wall);
        let flight = target.row.detail.flight.as_deref().cloned().unwrap_or_default();
        let from = flight.looks_from.unwrap_or(wall).max(wall);
        let at = if flight.clean_looks == 0 {
            from
        } else {
            let step = Millis(self.observe_for(ix).0 / LOOKS_PER_OBSERVATION);
            let end = self.observed_until(ix);
            // Counted from its beginning: a look may take long where reads are few.
            let next = (last_begun_at + step).max(wall);
            // The last one stands exactly at the end, so that nothing waits longer than it must.
            if wall < end && next > end { end } else { next }
        };
        self.look_at(ix, at);
    }

    fn look_at(&mut self, ix: TargetIx, at: Wall) {
        let project = self.targets[ix.at()].project;
        let at = self.steady_at(at);
        self.want_at(project, Purpose::LookTasks { target: ix, offset: 0 }, at);
        self.want_at(project, Purpose::LookInstance(ix), at);
        self.want_at(project, Purpose::LookVersions(ix), at);
    }

    /// A look counts from the instant its first read is sent.
    pub(super) fn begin_look_if_first(&mut self, purpose: Purpose) {
        let (Purpose::LookInstance(ix)
        | Purpose::LookVersions(ix)
        | Purpose::LookTasks { target: ix, .. }) = purpose
        else {
            return;
        };
        let begun_at = self.wall;
        self.targets[ix.at()].look.get_or_insert_with(|| {
            Box::new(LookInProgress {
                begun_at,
                instance: None,
                versions: None,
                tasks: Vec::new(),
                tasks_done: false,
            })
        });
    }

    /// Takes in one page of the tasks, and says whether it brought any that was not there yet. Only
    /// a page that does not is the last: nobody knows how many rows the cloud puts on one at most
    /// (API facts, section 8 no. 10).
    pub(super) fn look_tasks_brought(&mut self, ix: TargetIx, tasks: &[Task]) -> bool {
        let Some(look) = &mut self.targets[ix.at()].look else { return false };
        let known = look.tasks.len();
        for task in tasks {
            if !look.tasks.iter().any(|seen| seen.id == task.id) {
                look.tasks.push(task.clone());
            }
        }
        look.tasks.len() > known
    }

    pub(super) fn look_brought(&mut self, ix: TargetIx, note: impl FnOnce(&mut LookInProgress)) {
        let Some(look) = &mut self.targets[ix.at()].look else { return };
        note(look);
        if look.instance.is_some() && look.versions.is_some() && look.tasks_done {
            self.judge_look(ix);
        }
    }

    /// A failed read is no look: what was read so far is dropped, and a new look begins later.
    pub(super) fn look_failed(&mut self, ix: TargetIx, purpose: Purpose) -> Steady {
        // What it showed may be gone at the next one.
        if let Some(look) = self.targets[ix.at()].look.take() {
            let service_task = look.instance.as_ref().and_then(|it| it.service_task_id.as_ref());
            let suspects = self.suspects(ix, service_task, &look.tasks);
            self.keep_suspects(ix, suspects.all);
        }
        let target = &mut self.targets[ix.at()];
        target.read_failures += 1;
        let (project, failures) = (target.project, target.read_failures);
        let wait = self.read_backoff(project, purpose, failures);
        self.look_anew(ix, self.wall + wait);
        self.now + wait
    }

    /// Drops the look under way, whose other reads are stale now, and begins another at `at`.
    pub(super) fn look_anew(&mut self, ix: TargetIx, at: Wall) {
        let target = &mut self.targets[ix.at()];
        target.look = None;
        target.epoch = target.epoch.wrapping_add(1);
        self.look_at(ix, at);
    }

    fn judge_look(&mut self, ix: TargetIx) {
        let Some(look) = self.targets[ix.at()].look.take() else { return };
        let (Some(instance), Some(versions)) = (look.instance, look.versions) else { return };
        self.learn_known_tasks(ix, &look.tasks);
        let suspects = self.suspects(ix, instance.service_task_id.as_ref(), &look.tasks);
        self.keep_suspects(ix, suspects.all);
        let moved = self.any_part_moved(ix, &versions);
        let is_upgrading = shows_upgrade(&instance) && !self.is_anothers_work(ix, &look.tasks);
        let (begun_at, shared) = (look.begun_at, self.share(versions));
        self.edit(ix, |target| {
            target.row.detail.versions = Some(shared);
            // As old as the first question of the look, at most.
            target.row.detail.versions_at = Some(begun_at);
            target.versions_own = true;
            if let Some(flight) = &mut target.row.detail.flight {
                flight.gone_looks = 0;
                flight.is_upgrade_seen |= is_upgrading;
            }
        });
        match (suspects.ids.as_slice(), suspects.doubtful) {
            ([task], _) if suspects.vanished.is_empty() => self.adopt(ix, task.clone()),
            ([], _) if moved => self.infer(ix),
            ([], doubtful) if suspects.vanished.is_empty() => match doubtful {
                Some(name) => self.looked_busy(ix, name),
                None if instance.is_idle() => self.looked_clean(ix, look.begun_at),
                None => self.looked_busy(ix, busy_word(&instance)),
            },
            _ => self.undecided(ix, &[suspects.ids, suspects.vanished].concat()),
        }
    }

    /// Several tasks could be ours, or one that was shown is gone: only an operator can tell.
    fn undecided(&mut self, ix: TargetIx, candidates: &[TaskId]) {
        let ids: Vec<&str> = candidates.iter().map(TaskId::as_str).collect();
        let why = match ids.as_slice() {
            [id] => format!("task {id} could be ours, and is shown no more"),
            _ => format!("{} tasks could be ours: {}", ids.len(), ids.join(", ")),
        };
        self.reset_clean(ix);
        self.call_operator(ix, &why);
        self.look_slower(ix);
    }

    /// The next look of one that is not clean.
    fn look_slower(&mut self, ix: TargetIx) {
        let slowdown = match self.targets[ix.at()].row.needs_operator {
            Some(_) => OPERATOR_SLOWDOWN,
            None => 1,
        };
        let wait = Millis(self.poll_interval(ix).0 * slowdown);
        self.look_at(ix, self.wall + wait);
    }

    fn adopt(&mut self, ix: TargetIx, task: TaskId) {
        self.enter_running(ix, task.clone());
        self.record_target(ix, Fact::Adopted { task });
        self.begin_watching(ix);
    }

    fn infer(&mut self, ix: TargetIx) {
        self.attempt_applied(ix, None);
        self.edit(ix, |target| target.row.needs_operator = None);
        let versions =
            self.targets[ix.at()].row.detail.versions.as_deref().cloned().unwrap_or_default();
        self.enter_verifying(ix, VerifyAfter::Inferred);
        self.record_target(ix, Fact::Inferred { versions });
    }

    fn looked_clean(&mut self, ix: TargetIx, begun_at: Wall) {
        let row = &self.targets[ix.at()].row;
        let is_upgrade_seen = row.detail.flight.as_deref().is_some_and(|it| it.is_upgrade_seen);
        if is_upgrade_seen && row.needs_operator.is_some() {
            return self.look_slower(ix);
        }
        let (wall, observe_for) = (self.wall, self.observe_for(ix));
        let observed_until = self.observed_until(ix);
        let is_hasty = self.is_planted(Defect::LookSkipped);
        let mut enough = false;
        self.edit(ix, |target| {
            let Some(flight) = &mut target.row.detail.flight else { return };
            if flight.looks_from.is_some_and(|from| begun_at < from) {
                return;
            }
            let half = Millis(observe_for.0 / 2);
            if flight.last_clean_at.is_some_and(|last| wall - last > half) {
                flight.clean_looks = 0;
            }
            if flight.clean_looks == 0 {
                flight.first_clean_at = Some(wall);
            }
            flight.clean_looks += 1;
            flight.last_clean_at = Some(wall);
            flight.word = None;
            enough = flight.clean_looks >= CLEAN_LOOKS && begun_at >= observed_until;
            enough |= is_hasty;
        });
        let flight = self.targets[ix.at()].row.detail.flight.as_deref();
        let clean = flight.map_or(0, |flight| flight.clean_looks);
        if clean > 0 {
            self.record_target(ix, Fact::LookedClean { clean });
        }
        match enough {
            true if is_upgrade_seen => {
                self.call_operator(ix, "an upgrade ran, and nothing shows whose it was");
                self.look_slower(ix);
            }
            true => self.not_applied(ix),
            false => {
                self.judge_long_looking(ix);
                self.schedule_look(ix, begun_at);
            }
        }
    }

    /// Looks may take too long to stand close enough: they never suffice then (rule L1).
    fn judge_long_looking(&mut self, ix: TargetIx) {
        let since = self.wall - self.attempts[&ix].intent_at;
        let timeout = self.task_timeout(ix).max(Millis(self.observe_for(ix).0 * 2));
        if since > timeout {
            self.call_operator(ix, &format!("looked at for {since}, never often enough in a row"));
        }
    }

    fn looked_busy(&mut self, ix: TargetIx, word: Arc<str>) {
        self.reset_clean(ix);
        let flight = self.targets[ix.at()].row.detail.flight.as_deref();
        if flight.is_some_and(|flight| flight.word.as_ref() != Some(&word)) {
            let noted = word.clone();
            self.edit_flight(ix, |flight| {
                flight.word = Some(noted);
            });
            self.record_target(ix, Fact::LookedBusy { word: word.clone() });
        }
        // Frozen or broken it may never be idle again, and no look will ever be clean (rule L1).
        let (since, timeout) = (self.attempts[&ix].intent_at, self.task_timeout(ix));
        if self.wall - since > timeout {
            self.call_operator(ix, &format!("busy ({word}) for {timeout}, without a task of ours"));
        }
        self.look_slower(ix);
    }

    pub(super) fn reset_clean(&mut self, ix: TargetIx) {
        self.edit_flight(ix, |flight| {
            flight.clean_looks = 0;
            flight.first_clean_at = None;
            flight.last_clean_at = None;
        });
    }

    /// Nothing was started, proven or ruled by an operator: back to pending, or at an end.
    pub(super) fn not_applied(&mut self, ix: TargetIx) {
        let wall = self.wall;
        let n = self.targets[ix.at()].row.not_applied + 1;
        let last = n >= self.retry_of(ix).max_attempts;
        let asked = self.asked_to_wait_until(ix);
        let not_before = (!last).then(|| (wall + self.start_backoff(ix, n)).max(asked));
        self.end_attempt(ix, AttemptOutcome::NotApplied);
        self.edit(ix, |target| {
            target.row.state = TargetState::Pending;
            target.row.entered_at = wall;
            target.row.not_applied = n;
            target.row.not_before = not_before;
            target.row.needs_operator = None;
            target.row.detail.flight = None;
        });
        self.record_target(ix, Fact::NotApplied { not_before });
        if last {
            self.fail(ix, Reason::RetriesExhausted);
        }
    }

    /// How long the process before was gone only the clock tells, and somebody may have put it
    /// forward meanwhile: what was not measured does not count as observed (rule S3).
    pub(super) fn observe_anew(&mut self, ix: TargetIx) {
        let wall = self.wall;
        if self.is_planted(Defect::ObservationCarriedOver) {
            return;
        }
        self.edit_flight(ix, |flight| flight.observed_from = Some(wall));
    }

    /// The last of the clean looks comes no earlier.
    fn observed_until(&self, ix: TargetIx) -> Wall {
        let sent_at = self.attempts.get(&ix).map_or(self.wall, |attempt| attempt.intent_at);
        let flight = self.targets[ix.at()].row.detail.flight.as_deref();
        let from = flight.and_then(|flight| flight.observed_from);
        from.map_or(sent_at, |from| from.max(sent_at)) + self.observe_for(ix)
    }

    /// The earliest instant at which an uncertain attempt may be sent again, all looks clean.
    pub(super) fn earliest_resend(&self, ix: TargetIx) -> Wall {
        let n = self.targets[ix.at()].row.not_applied + 1;
        let looked = self.observed_until(ix).max(self.wall);
        (looked + self.start_backoff(ix, n)).max(self.asked_to_wait_until(ix))
    }

    /// When the wait ends that the answer to its open attempt asked for; now, if it asked for none.
    pub(super) fn asked_to_wait_until(&self, ix: TargetIx) -> Wall {
        let flight = self.targets[ix.at()].row.detail.flight.as_deref();
        flight.and_then(|flight| flight.asked_to_wait_until).unwrap_or(self.wall)
    }
}

/// Whether an upgrade runs, as far as the instance says so. Which status it shows then is not
/// documented (API facts, section 4.1): a word that speaks of an upgrade is taken at its word.
fn shows_upgrade(instance: &Instance) -> bool {
    instance.service_upgrade || busy_word(instance).to_ascii_uppercase().contains("UPGRAD")
}

/// The word that shows why the instance is not idle.
pub(super) fn busy_word(instance: &Instance) -> Arc<str> {
    match &instance.current_task {
        crate::model::CurrentTask::Busy(task) => task.clone(),
        _ if instance.service_upgrade => "service_upgrade".into(),
        _ => instance.status.word().into(),
    }
}
