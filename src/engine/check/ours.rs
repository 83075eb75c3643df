//! Whose the cloud's tasks are, told from its answers alone (rules S1 and S3): ours are those that
//! a 200 named, and of the rest only another's user is a proof.

use std::sync::Arc;

use super::facts::{AttemptFacts, Sought, TargetFacts, credential_of};
use super::{Checker, Rule};
use crate::engine::event::Event;
use crate::engine::rows::AttemptRow;
use crate::engine::state::TargetState;
use crate::model::{AttemptId, InstanceId, ProjectName, SubmitAnswer, TargetId, Task, TaskId};

impl Checker {
    /// The fingerprint of the secrets that the project's requests are signed with.
    pub(super) fn fingerprint_in(&self, project: &ProjectName) -> Option<Arc<str>> {
        let credential = credential_of(&self.settings, project)?;
        self.settings.credentials.get(&credential).map(|policy| policy.fingerprint.clone())
    }

    /// What an answer proves beyond its own attempt.
    pub(super) fn take_proof(&mut self, attempt: &AttemptId, answer: &SubmitAnswer) {
        let target = &attempt.target;
        let Some(facts) = self.targets.get_mut(target) else { return };
        let was_uncertain = facts.was_uncertain;
        let Some(open) = facts.attempt.as_mut().filter(|open| open.id == *attempt) else { return };
        match answer {
            SubmitAnswer::Accepted { task } => {
                let Some(sent_with) = open.sent_with.clone() else { return };
                let project = self.projects.entry(target.project.clone()).or_default();
                project.accepted.insert(task.clone(), sent_with);
            }
            SubmitAnswer::Conflict { upgrading: true } => open.is_upgrade_seen = was_uncertain,
            _ => {}
        }
    }

    /// Tasks were shown: those that a 200 named tell our user.
    pub(super) fn take_tasks(&mut self, project: &ProjectName, tasks: &[Task]) {
        let facts = self.projects.entry(project.clone()).or_default();
        for task in tasks {
            if let (Some(user), Some(with)) = (&task.user_id, facts.accepted.get(&task.id)) {
                facts.own_user = Some((user.clone(), with.clone()));
            }
        }
    }

    /// The engine takes a user for ours: a task that a 200 named must have shown it.
    pub(super) fn check_learned(&mut self, event: &Event, project: &ProjectName, user: &Arc<str>) {
        let own = self.projects.get(project).and_then(|facts| facts.own_user.as_ref());
        if own.is_none_or(|(own, _)| own != user) {
            let detail = format!("{project}: no task that a 200 named shows that {user} is ours");
            self.violate(Rule::S3, event.seq, detail);
        }
    }

    /// Tasks of an instance were shown: they stay suspects of its uncertain attempt.
    pub(super) fn suspect(&mut self, project: &ProjectName, id: &InstanceId, tasks: &[Task]) {
        let Some(facts) = self.instance(project, id) else { return };
        let open: Vec<TargetId> = facts.open.iter().map(|each| each.target.clone()).collect();
        for target in open {
            let own_user = self.own_user_of(&target);
            let Some(facts) = self.targets.get_mut(&target) else { continue };
            if facts.state != TargetState::Uncertain {
                continue;
            }
            let Some(sought) = facts.sought.clone() else { continue };
            let Some(attempt) = &mut facts.attempt else { continue };
            let suspects =
                tasks.iter().filter(|task| could_be_ours(task, &sought, own_user.as_ref()));
            attempt.suspects.extend(suspects.map(|task| task.id.clone()));
        }
    }

    /// Whose the tasks of the round's uncertain attempts are, if it was one user and is known.
    pub(super) fn own_user_of(&self, target: &TargetId) -> Option<Arc<str>> {
        let facts = self.targets.get(target)?;
        let (own, learned_with) = self.projects.get(&target.project)?.own_user.as_ref()?;
        let is_sender = |with: &Option<Arc<str>>| with.as_ref() == Some(learned_with);
        let all = facts.sought.as_ref()?.sent_with.iter().all(is_sender);
        (all && is_sender(&facts.attempt.as_ref()?.sent_with)).then(|| own.clone())
    }

    /// The instance names no upgrade that may stem from an attempt of this round which looks had
    /// settled.
    pub(super) fn check_no_late_task(&mut self, event: &Event, target: &TargetId) {
        let sought = self.targets.get(target).and_then(|facts| facts.sought.as_ref());
        let shown = self.instance(&target.project, &target.instance);
        let shown = shown.and_then(|facts| facts.shown.as_ref());
        let named = shown.and_then(|seen| seen.what.service_task_id.as_ref());
        let late = sought.zip(named).filter(|(sought, id)| !sought.known_tasks.contains(id));
        if let Some((_, id)) = late {
            let detail = format!("{target}: task {id} came after the looks, and may be ours");
            self.violate(Rule::S3, event.seq, detail);
        }
    }

    /// What a row newly takes for known must have been shown, and be older than what is
    /// sought, or another user's.
    pub(super) fn check_known(&mut self, row: &AttemptRow) {
        let target = &row.id.target;
        let own_user = self.own_user_of(target);
        let shown = self.instance(&target.project, &target.instance);
        let shown = shown.and_then(|facts| facts.tasks.as_ref()).map(|seen| seen.what.clone());
        let Some(facts) = self.targets.get_mut(target) else { return };
        let Some(before) = facts.attempt.as_ref().and_then(|attempt| attempt.row.as_ref()) else {
            return;
        };
        if before.id != row.id {
            return;
        }
        let new = row.known_tasks.iter().filter(|id| !before.known_tasks.contains(id));
        let new: Vec<TaskId> = new.cloned().collect();
        let since = facts.sought.as_ref().map_or(before.cloud_intent_at, |sought| sought.since);
        let is_settled = |id: &TaskId| {
            let task = shown.iter().flatten().find(|task| task.id == *id);
            task.is_some_and(|task| {
                task.created_at.is_some_and(|at| at < since) || is_anothers(task, own_user.as_ref())
            })
        };
        let young: Vec<TaskId> = new.iter().filter(|id| !is_settled(id)).cloned().collect();
        if let Some(sought) = &mut facts.sought {
            sought.known_tasks.extend(new);
        }
        for id in young {
            let detail = format!("{target}: task {id} is taken for known, and may be ours");
            self.violate(Rule::S3, self.last_seq, detail);
        }
    }
}

impl TargetFacts {
    /// Another attempt of this round is uncertain.
    pub(super) fn seek(&mut self) {
        let Some(AttemptFacts { row: Some(row), sent_with, .. }) = &self.attempt else { return };
        let sought = self.sought.get_or_insert_with(|| Sought {
            since: row.cloud_intent_at,
            known_tasks: row.known_tasks.clone(),
            sent_with: Default::default(),
        });
        sought.sent_with.insert(sent_with.clone());
    }
}

/// A task that was not there before the first uncertain attempt, and that is not another user's.
/// What it is called proves nothing.
pub(super) fn could_be_ours(task: &Task, sought: &Sought, own_user: Option<&Arc<str>>) -> bool {
    !sought.known_tasks.contains(&task.id)
        && !is_anothers(task, own_user)
        && task.created_at.is_none_or(|at| at >= sought.since)
}

/// Whether another user than ours started it, as far as both are known.
pub(super) fn is_anothers(task: &Task, own_user: Option<&Arc<str>>) -> bool {
    own_user.zip(task.user_id.as_ref()).is_some_and(|(own, user)| own != user)
}
