//! Looks: finding out what became of a submission nobody answered for (rule S3).
//!
//! A look is instance, versions and tasks, all read. It is clean if all three are negative; enough
//! clean looks, spread over `observe_for`, prove that nothing was started. Anything else is
//! evidence of the opposite, or no evidence.

use std::sync::Arc;

use crate::model::task::OTHER_TASK_NAMES;
use crate::model::{Instance, Millis, Steady, Task, TaskId, Wall};

use super::Engine;
use super::event::Fact;
use super::index::TargetIx;
use super::read_queue::Purpose;
use super::rows::{AttemptOutcome, VerifyAfter};
use super::state::{Reason, TargetState};
use super::tables::LookInProgress;

/// Clean looks that are needed at least.
const CLEAN_LOOKS: u32 = 3;

/// Looks per `observe_for`: three thirds keep every gap below the half that is allowed.
const LOOKS_PER_OBSERVATION: i64 = 3;

/// Task times and ours part by a second of resolution and the skew's error.
const CREATED_MARGIN: Millis = Millis::from_secs(5);

/// Task lists are asked from this long before the intent: the filter's clock is the cloud's.
const SINCE_MARGIN: Millis = Millis::from_secs(60);

/// Looks go on this much slower once an operator has to decide.
const OPERATOR_SLOWDOWN: i64 = 10;

impl Engine {
    /// Asks for the next look at an uncertain attempt.
    pub(super) fn schedule_look(&mut self, ix: TargetIx) {
        let (target, wall) = (&self.targets[ix.at()], self.wall);
        let flight = target.row.detail.flight.as_deref().cloned().unwrap_or_default();
        let from = flight.looks_from.unwrap_or(wall).max(wall);
        let at = if flight.clean_looks == 0 {
            from
        } else {
            let step = Millis(self.observe_for(ix).0 / LOOKS_PER_OBSERVATION);
            let end = self.attempts[&ix].intent_at + self.observe_for(ix);
            let next = wall + step;
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
    pub(super) fn look_tasks_brought(&mut self, ix: TargetIx, tasks: Vec<Task>) -> bool {
        let Some(look) = &mut self.targets[ix.at()].look else { return false };
        let known = look.tasks.len();
        for task in tasks {
            if !look.tasks.iter().any(|seen| seen.id == task.id) {
                look.tasks.push(task);
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
        let candidates = self.candidates(ix, &instance, &look.tasks);
        let moved = self.any_part_moved(ix, &versions);
        let (wall, shared) = (self.wall, self.share(versions));
        self.edit(ix, |target| {
            target.row.detail.versions = Some(shared);
            target.row.detail.versions_at = Some(wall);
            if let Some(flight) = &mut target.row.detail.flight {
                flight.gone_looks = 0;
            }
        });
        match candidates.as_slice() {
            [task] => self.adopt(ix, task.clone()),
            [] if moved => self.infer(ix),
            [] if instance.is_idle() => self.looked_clean(ix, look.begun_at),
            [] => self.looked_busy(ix, &instance),
            several => {
                let ids: Vec<&str> = several.iter().map(TaskId::as_str).collect();
                let why = format!("{} tasks could be ours: {}", ids.len(), ids.join(", "));
                self.reset_clean(ix);
                self.edit_flight(ix, |flight| {
                    flight.candidates = candidates;
                });
                self.call_operator(ix, &why);
                let wait = Millis(self.poll_interval(ix).0 * OPERATOR_SLOWDOWN);
                self.look_at(ix, wall + wait);
            }
        }
    }

    /// New tasks that may be ours: created after the intent, by us, not of a kind that is known to
    /// be something else.
    fn candidates(&self, ix: TargetIx, instance: &Instance, tasks: &[Task]) -> Vec<TaskId> {
        let attempt = &self.attempts[&ix];
        let project = &self.projects[self.targets[ix.at()].project.at()].detail;
        let earliest = attempt.cloud_intent_at - CREATED_MARGIN;
        let is_new = |task: &Task| {
            task.created_at.is_none_or(|at| at >= earliest)
                && !attempt.known_tasks.contains(&task.id)
        };
        let is_ours = |task: &Task| {
            let stranger = project.own_user.is_some()
                && task.user_id.is_some()
                && task.user_id != project.own_user;
            !stranger && !OTHER_TASK_NAMES.contains(&&*task.name)
        };
        let mut found: Vec<&Task> =
            tasks.iter().filter(|task| is_new(task) && is_ours(task)).collect();
        if found.len() > 1
            && found.iter().any(|task| Some(&task.name) == project.task_name.as_ref())
        {
            found.retain(|task| Some(&task.name) == project.task_name.as_ref());
        }
        let mut ids: Vec<TaskId> = found.into_iter().map(|task| task.id.clone()).collect();
        let service = instance.service_task_id.as_ref().filter(|id| {
            // Listed, it has been judged above.
            !attempt.known_tasks.contains(id) && !tasks.iter().any(|task| task.id == **id)
        });
        ids.extend(service.cloned());
        ids
    }

    /// Tasks from before the intent stay known, so that a vague creation time cannot make one ours.
    fn learn_known_tasks(&mut self, ix: TargetIx, tasks: &[Task]) {
        let Some(attempt) = self.attempts.get_mut(&ix) else { return };
        let before = attempt.cloud_intent_at - CREATED_MARGIN;
        let known = attempt.known_tasks.len();
        for task in tasks {
            if task.created_at.is_some_and(|at| at < before)
                && !attempt.known_tasks.contains(&task.id)
            {
                attempt.known_tasks.push(task.id.clone());
            }
        }
        if attempt.known_tasks.len() > known {
            let row = attempt.clone();
            self.changes().attempts.push(row);
        }
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
        let (wall, observe_for) = (self.wall, self.observe_for(ix));
        let mut enough = false;
        let intent_at = self.attempts[&ix].intent_at;
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
            enough = flight.clean_looks >= CLEAN_LOOKS && begun_at >= intent_at + observe_for;
        });
        let flight = self.targets[ix.at()].row.detail.flight.as_deref();
        let clean = flight.map_or(0, |flight| flight.clean_looks);
        if clean > 0 {
            self.record_target(ix, Fact::LookedClean { clean });
        }
        if enough {
            self.not_applied(ix);
        } else {
            self.schedule_look(ix);
        }
    }

    fn looked_busy(&mut self, ix: TargetIx, instance: &Instance) {
        let word: Arc<str> = busy_word(instance);
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
        let slowdown = match self.targets[ix.at()].row.needs_operator {
            Some(_) => OPERATOR_SLOWDOWN,
            None => 1,
        };
        let wait = Millis(self.poll_interval(ix).0 * slowdown);
        self.look_at(ix, self.wall + wait);
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
        let not_before = (!last).then(|| wall + self.start_backoff(ix, n));
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

    /// The earliest instant at which an uncertain attempt may be sent again, all looks clean.
    pub(super) fn earliest_resend(&self, ix: TargetIx) -> Wall {
        let observed = self.attempts.get(&ix).map_or(self.wall, |attempt| attempt.intent_at);
        let n = self.targets[ix.at()].row.not_applied + 1;
        (observed + self.observe_for(ix)).max(self.wall) + self.start_backoff(ix, n)
    }

    /// From when task lists are asked for, on the cloud's clock.
    pub(super) fn tasks_since(&self, ix: TargetIx) -> Wall {
        let intent = self.attempts.get(&ix).map(|attempt| attempt.cloud_intent_at);
        intent.or(self.targets[ix.at()].row.detail.history().started_at).unwrap_or(self.wall)
            - SINCE_MARGIN
    }
}

/// The word that shows why the instance is not idle.
pub(super) fn busy_word(instance: &Instance) -> Arc<str> {
    match &instance.current_task {
        crate::model::CurrentTask::Busy(task) => task.clone(),
        _ if instance.service_upgrade => "service_upgrade".into(),
        _ => instance.status.word().into(),
    }
}
