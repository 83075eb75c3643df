//! Which of the cloud's tasks are ours.
//!
//! A task that a 200 named is, and tells by whom and under which name our upgrades run. Of any
//! other task only another's user proves that it is not ours: what it is called decides whether it
//! may be adopted, never that nothing happened (rule S3).

use std::sync::Arc;

use crate::model::task::OTHER_TASK_NAMES;
use crate::model::{Instance, Millis, Task, TaskId, Wall};

use super::Engine;
use super::event::Fact;
use super::index::{ProjectIx, TargetIx};
use super::rows::FirstUncertain;

/// Task times and ours part by a second of resolution and the skew's error.
const CREATED_MARGIN: Millis = Millis::from_secs(5);

/// Task lists are asked from this long before the intent: the filter's clock is the cloud's.
const SINCE_MARGIN: Millis = Millis::from_secs(60);

/// What a look showed that may be ours.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    /// Any one of these may be adopted.
    pub(super) ids: Vec<TaskId>,
    /// The name of one that is called like something else, and that nothing proves another's.
    pub(super) doubtful: Option<Arc<str>>,
    /// Suspects of earlier looks that are listed no more: whether one of them was ours cannot be
    /// found out now.
    pub(super) vanished: Vec<TaskId>,
    /// All of these.
    pub(super) all: Vec<TaskId>,
}

impl Engine {
    /// The tasks of a look that are new, and not known to be another's. `service_task` is the one
    /// that the instance names.
    pub(super) fn suspects(
        &self,
        ix: TargetIx,
        service_task: Option<&TaskId>,
        tasks: &[Task],
    ) -> Suspects {
        let project = &self.projects[self.targets[ix.at()].project.at()].detail;
        let (intent_at, known) = self.observed_from(ix);
        let earliest = intent_at - CREATED_MARGIN;
        let is_new = |task: &&Task| {
            task.created_at.is_none_or(|at| at >= earliest) && !known.contains(&task.id)
        };
        let own_user = self.own_user_of(ix);
        let may_be_ours = |task: &&Task| !is_anothers(task, own_user.as_ref());
        let is_learned_name = |task: &Task| Some(&task.name) == project.task_name.as_ref();
        let is_named_otherwise =
            |task: &&Task| OTHER_TASK_NAMES.contains(&&*task.name) && !is_learned_name(task);
        let (otherwise, mut found): (Vec<&Task>, Vec<&Task>) =
            tasks.iter().filter(is_new).filter(may_be_ours).partition(is_named_otherwise);
        if found.len() > 1 && found.iter().any(|task| is_learned_name(task)) {
            found.retain(|task| is_learned_name(task));
        }
        let is_listed = |id: &TaskId| tasks.iter().any(|task| task.id == *id);
        let mut ids: Vec<TaskId> = found.into_iter().map(|task| task.id.clone()).collect();
        // Listed, it has been judged above.
        ids.extend(service_task.filter(|id| !known.contains(id) && !is_listed(id)).cloned());
        let recorded = self.targets[ix.at()].row.detail.flight.as_deref();
        let recorded = recorded.map_or(&[][..], |flight| &flight.candidates);
        let is_gone = |id: &&TaskId| !is_listed(id) && !ids.contains(id);
        let vanished: Vec<TaskId> = recorded.iter().filter(is_gone).cloned().collect();
        let named_otherwise = otherwise.iter().map(|task| task.id.clone());
        let all = ids.iter().chain(&vanished).cloned().chain(named_otherwise).collect();
        let doubtful = otherwise.first().map(|task| task.name.clone());
        Suspects { ids, doubtful, vanished, all }
    }

    /// Whether a task of another user, and so not ours, is what keeps the instance busy.
    pub(super) fn is_anothers_work(&self, ix: TargetIx, tasks: &[Task]) -> bool {
        let own_user = self.own_user_of(ix);
        tasks.iter().any(|task| is_anothers(task, own_user.as_ref()) && !task.status.is_over())
    }

    /// Suspects stay suspects, listed or not, until one is adopted or an operator decides.
    pub(super) fn keep_suspects(&mut self, ix: TargetIx, suspects: Vec<TaskId>) {
        let flight = self.targets[ix.at()].row.detail.flight.as_deref();
        if flight.is_some_and(|flight| flight.candidates != suspects) {
            self.edit_flight(ix, |flight| flight.candidates = suspects);
        }
    }

    /// From when, on the cloud's clock, tasks may stem from an attempt of this round that may have
    /// been applied; and the tasks that were there before. The first uncertain one counts: it may
    /// show late, after another one has been sent.
    fn observed_from(&self, ix: TargetIx) -> (Wall, &[TaskId]) {
        let attempt = &self.attempts[&ix];
        match self.targets[ix.at()].row.detail.history().first_uncertain.as_deref() {
            Some(first) => (first.cloud_intent_at, &first.known_tasks),
            None => (attempt.cloud_intent_at, &attempt.known_tasks),
        }
    }

    /// Whose the tasks of this target's uncertain attempts are, if one user sent them all and is
    /// known.
    fn own_user_of(&self, ix: TargetIx) -> Option<Arc<str>> {
        let target = &self.targets[ix.at()];
        let project = &self.projects[target.project.at()].detail;
        let sent_with = target.row.detail.flight.as_deref()?.sent_with.as_ref()?;
        let first = target.row.detail.history().first_uncertain.as_deref();
        let is_one_user = first.is_none_or(|first| first.sent_with.as_ref() == Some(sent_with));
        let is_learned = project.learned_with.as_ref() == Some(sent_with);
        project.own_user.clone().filter(|_| is_one_user && is_learned)
    }

    /// The first attempt of the round of which nobody knows whether it was taken: what it may have
    /// started is looked for as long as the round lasts.
    pub(super) fn remember_first_uncertain(&mut self, ix: TargetIx) {
        let attempt = &self.attempts[&ix];
        let flight = self.targets[ix.at()].row.detail.flight.as_deref();
        let sent_with = flight.and_then(|flight| flight.sent_with.clone());
        let this = FirstUncertain {
            cloud_intent_at: attempt.cloud_intent_at,
            known_tasks: attempt.known_tasks.clone(),
            sent_with,
        };
        self.edit(ix, |target| {
            match &mut target.row.detail.history_mut().first_uncertain {
                // Two users' tasks are looked for: neither is a stranger.
                Some(first) if first.sent_with != this.sent_with => first.sent_with = None,
                Some(_) => {}
                none => *none = Some(Box::new(this)),
            }
        });
    }

    /// An upgrade of this instance that none of the looks had shown which settled an attempt of
    /// this round. Nothing tells that it is not that attempt's, very late.
    pub(super) fn task_come_late(&self, ix: TargetIx, instance: &Instance) -> Option<TaskId> {
        let history = self.targets[ix.at()].row.detail.history();
        let known = &history.first_uncertain.as_deref()?.known_tasks;
        instance.service_task_id.clone().filter(|id| !known.contains(id))
    }

    /// Tasks from before the intent stay known, so that a vague creation time cannot make one ours;
    /// and so do another user's, since the instance may go on to name one that no list shows.
    pub(super) fn learn_known_tasks(&mut self, ix: TargetIx, tasks: &[Task]) {
        let (intent_at, known) = self.observed_from(ix);
        let before = intent_at - CREATED_MARGIN;
        let own_user = self.own_user_of(ix);
        let is_settled = |task: &&Task| {
            let is_old = task.created_at.is_some_and(|at| at < before);
            (is_old || is_anothers(task, own_user.as_ref())) && !known.contains(&task.id)
        };
        let settled: Vec<TaskId> =
            tasks.iter().filter(is_settled).map(|task| task.id.clone()).collect();
        if settled.is_empty() {
            return;
        }
        self.edit(ix, |target| {
            let history = target.row.detail.history.as_deref_mut();
            if let Some(first) = history.and_then(|history| history.first_uncertain.as_deref_mut())
            {
                first.known_tasks.extend(settled.iter().cloned());
            }
        });
        let Some(attempt) = self.attempts.get_mut(&ix) else { return };
        let unknown = settled.into_iter().filter(|id| !attempt.known_tasks.contains(id));
        let unknown: Vec<TaskId> = unknown.collect();
        attempt.known_tasks.extend(unknown);
        let row = attempt.clone();
        self.changes().attempts.push(row);
    }

    /// From when task lists are asked for, on the cloud's clock.
    pub(super) fn tasks_since(&self, ix: TargetIx) -> Wall {
        let begun_at = self.targets[ix.at()].row.detail.history().started_at;
        let intent = self.attempts.contains_key(&ix).then(|| self.observed_from(ix).0);
        intent.or(begun_at).unwrap_or(self.wall) - SINCE_MARGIN
    }

    /// A task that a 200 named tells our user and how upgrades are called, as long as the key is
    /// the one that it was sent with. An adopted one may be a colleague's.
    pub(super) fn learn_ours(&mut self, ix: TargetIx, task: &Task) {
        let target = &self.targets[ix.at()];
        let project = target.project;
        let sent_with = target.row.detail.flight.as_deref().filter(|flight| flight.is_accepted);
        let Some(sent_with) = sent_with.and_then(|flight| flight.sent_with.clone()) else { return };
        let Some(user) = task.user_id.clone() else { return };
        let detail = &self.projects[project.at()].detail;
        let is_known = detail.own_user.as_ref() == Some(&user)
            && detail.learned_with.as_ref() == Some(&sent_with);
        if is_known || sent_with != self.fingerprint_in(project) {
            return;
        }
        let detail = &mut self.projects[project.at()].detail;
        detail.own_user = Some(user.clone());
        detail.task_name = Some(task.name.clone());
        detail.learned_with = Some(sent_with);
        self.touch_project(project);
        let task_name = task.name.clone();
        self.record_project(project, Fact::OwnUserLearned { user, task_name });
    }

    /// The fingerprint of the secrets that requests of the project are signed with.
    pub(super) fn fingerprint_in(&self, project: ProjectIx) -> Arc<str> {
        self.credentials[self.projects[project.at()].credential.at()].fingerprint.clone()
    }
}

/// Whether another user than ours started it, as far as both are known.
fn is_anothers(task: &Task, own_user: Option<&Arc<str>>) -> bool {
    own_user.zip(task.user_id.as_ref()).is_some_and(|(own, user)| own != user)
}
