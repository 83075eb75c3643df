//! What inputs tell the checker: settings, clocks, answers, doubts.

use std::sync::Arc;

use indexmap::Equivalent;

use super::Checker;
use super::facts::{InstanceFacts, OF_ANOTHER_PROCESS, Seen, groups_of};
use super::rate::RETRY_AFTER_MAX;
use crate::engine::event::Quota;
use crate::engine::input::{FreezeFile, Input, Ownership, StoreHealth};
use crate::engine::request::ReadId;
use crate::model::answer::Answered;
use crate::model::{
    AttemptId, InstanceId, InventoryPage, Millis, ProjectName, ReadAnswer, ReadCall, ReadFailure,
    Settings, SubmitAnswer, TaskId,
};

/// Task ids remembered per instance: far more than any instance shows in a campaign.
const TASK_IDS_MAX: usize = 256;

/// Rows of an answer in transit between inventory and facts.
type Answer = Result<Answered<ReadAnswer>, Answered<ReadFailure>>;

impl Checker {
    pub(super) fn take_input(&mut self, input: &Input) {
        match input {
            Input::Settings(settings) => self.take_settings(settings),
            Input::ClockStepped { offset } => {
                self.clock.step(*offset);
                self.process.clock_suspect = true;
                self.forget_intervals();
            }
            Input::ClockAgreed => self.process.clock_suspect = false,
            Input::Submitted { attempt, answer } => {
                self.take_submitted(attempt, &answer.answer);
                self.take_asked_wait(attempt, answer.note.retry_after);
            }
            Input::SendRefused { attempt, .. } => {
                self.close_submit(attempt);
                self.end_probe(attempt);
            }
            Input::Read { id, result } => self.take_read(*id, result),
            Input::Renewed { credential, result } => {
                let facts = self.credentials.entry(credential.clone()).or_default();
                if result.is_ok() {
                    facts.renew();
                    facts.renewed = true;
                }
            }
            Input::Store(health) => self.process.store_failing = *health == StoreHealth::Failing,
            Input::FreezeFile(file) => self.process.freeze_file = *file != FreezeFile::Absent,
            Input::Ownership(owner) => self.process.not_owner = *owner == Ownership::NotOwner,
            Input::Stopping => self.process.stopping = true,
            Input::Restarted => {
                self.observe_anew();
                self.unwatched();
            }
            Input::Tick | Input::Order(_) | Input::Forecast(_) => {}
        }
    }

    /// What time passed between two processes nobody measured (rule S3).
    fn observe_anew(&mut self) {
        let now = self.clock.elapsed();
        for facts in self.targets.values_mut() {
            if let Some(attempt) = &mut facts.attempt {
                attempt.observed_from = Some(now);
            }
        }
    }

    fn take_settings(&mut self, settings: &Arc<Settings>) {
        let now = self.clock.elapsed();
        for (name, policy) in &settings.projects {
            let facts = self.projects.entry(name.clone()).or_default();
            facts.starts.configure(policy.upgrade_rate, now);
            facts.reads.configure(policy.read_rate, now);
        }
        for (name, policy) in &settings.credentials {
            let facts = self.credentials.entry(name.clone()).or_default();
            if facts.fingerprint != policy.fingerprint {
                facts.renew();
            }
            facts.fingerprint = policy.fingerprint.clone();
            facts.renewable = policy.renewable;
        }
        for facts in self.campaigns.values_mut() {
            facts.in_file = false;
        }
        for (name, policy) in &settings.campaigns {
            let facts = self.campaigns.entry(name.clone()).or_default();
            facts.in_file = true;
            facts.policy = Some(Arc::new(policy.clone()));
        }
        self.settings = settings.clone();
        self.forget_intervals();
        self.regroup();
    }

    /// `max_unavailable` may have changed: who is in flight counts by the new list.
    fn regroup(&mut self) {
        for facts in self.campaigns.values_mut() {
            facts.tally.groups.clear();
        }
        for (id, target) in &mut self.targets {
            if !target.state.is_in_flight() {
                continue;
            }
            let Some(campaign) = self.campaigns.get_mut(&id.campaign) else { continue };
            let Some(policy) = campaign.policy.clone() else { continue };
            let listed = self
                .instances
                .get(&Of(&id.project, &id.instance))
                .and_then(|facts| facts.listed.as_deref());
            target.groups = groups_of(&policy, &id.project, &id.instance, listed);
            for group in &target.groups {
                *campaign.tally.groups.entry(group.clone()).or_default() += 1;
            }
        }
    }

    fn take_submitted(&mut self, attempt: &AttemptId, answer: &SubmitAnswer) {
        let project = attempt.target.project.clone();
        // An answer to another process's request says nothing about this one's quotas.
        let generation = self.close_submit(attempt);
        match answer {
            SubmitAnswer::Throttled { limit, retry_after } => {
                self.throttled(Quota::Starts, &project, *limit, *retry_after);
            }
            SubmitAnswer::CredentialRefused { .. } => {
                generation.iter().for_each(|each| self.refuse_credential(&project, *each));
            }
            SubmitAnswer::NotSent | SubmitAnswer::Uncertain => {}
            _ => generation.iter().for_each(|each| self.prove_credential(&project, *each)),
        }
        self.count_clarity(attempt, answer);
        self.take_proof(attempt, answer);
        let now = self.clock.elapsed();
        if let Some(facts) = self.attempt_mut(attempt) {
            facts.looks_from = now;
        }
    }

    /// Rule S3: no backoff ends before min(Retry-After, 1 h).
    fn take_asked_wait(&mut self, attempt: &AttemptId, wait: Option<Millis>) {
        let Some(wait) = wait else { return };
        let until = self.clock.elapsed() + wait.min(RETRY_AFTER_MAX);
        if self.attempt_mut(attempt).is_some()
            && let Some(facts) = self.targets.get_mut(&attempt.target)
        {
            facts.asked_to_wait_until = Some(until);
        }
    }

    fn take_read(&mut self, id: ReadId, result: &Answer) {
        let generation = self.close_read(id).unwrap_or_default();
        let Some(read) = self.reads.remove(&id) else { return };
        match result {
            Ok(answered) => {
                self.prove_credential(&read.project, generation);
                self.reached(&read.project);
                let seen = Seen {
                    asked_at: read.asked_at,
                    number: read.number,
                    seen_at: self.clock.elapsed(),
                    what: answered.answer.clone(),
                };
                self.take_answer(&read.project, &read.call, seen);
            }
            Err(answered) => match &answered.answer {
                ReadFailure::Throttled { limit, retry_after } => {
                    self.throttled(Quota::Reads, &read.project, *limit, *retry_after);
                }
                ReadFailure::CredentialRefused { .. } => {
                    self.refuse_credential(&read.project, generation)
                }
                ReadFailure::Unreachable => {}
                ReadFailure::Forbidden
                | ReadFailure::Gone
                | ReadFailure::CapabilityAbsent
                | ReadFailure::Rejected => self.prove_credential(&read.project, generation),
            },
        }
    }

    fn take_answer(&mut self, project: &ProjectName, call: &ReadCall, seen: Seen<ReadAnswer>) {
        let Seen { asked_at, number, seen_at, what } = seen;
        match (call, what) {
            (ReadCall::InventoryPage { offset }, ReadAnswer::InventoryPage(page)) => {
                self.take_page(project, *offset, page);
            }
            (ReadCall::Instance { instance: id }, ReadAnswer::Instance(instance)) => {
                let facts = self.instance_mut(project, id);
                facts.see_task_id(instance.service_task_id.as_ref());
                facts.shown = Some(Seen { asked_at, number, seen_at, what: instance });
            }
            (ReadCall::Versions { instance: id }, ReadAnswer::Versions(versions)) => {
                let facts = self.instance_mut(project, id);
                // Of two that were on their way at once the later question counts.
                let is_newer = facts.versions.as_ref().is_none_or(|known| {
                    known.number == OF_ANOTHER_PROCESS || known.asked_at <= asked_at
                });
                if is_newer {
                    facts.versions = Some(Seen { asked_at, number, seen_at, what: versions });
                    self.note_moved(project, id);
                }
            }
            (
                ReadCall::InstanceTasks { instance: id, offset, .. },
                ReadAnswer::Tasks { tasks, .. },
            ) => {
                self.take_tasks(project, &tasks);
                self.suspect(project, id, &tasks);
                let facts = self.instance_mut(project, id);
                for task in tasks.iter() {
                    facts.see_task_id(Some(&task.id));
                }
                match &mut facts.tasks {
                    Some(seen) if *offset > 0 => seen.what.extend(tasks.iter().cloned()),
                    _ => {
                        facts.tasks = Some(Seen { asked_at, number, seen_at, what: tasks.to_vec() })
                    }
                }
            }
            // It names no instance.
            (ReadCall::TaskCentre { .. }, ReadAnswer::Tasks { tasks, .. }) => {
                self.take_tasks(project, &tasks);
            }
            // An answer of another kind is the engine's anomaly.
            _ => {}
        }
    }

    /// A row that is the very one which the page showed there before says nothing new: whoever
    /// hands the same row over again shows each instance in one place only.
    fn take_page(&mut self, project: &ProjectName, offset: usize, page: Arc<InventoryPage>) {
        let before = self.pages.insert((project.clone(), offset), page.clone());
        for (at, row) in page.instances.iter().enumerate() {
            let same = before.as_ref().and_then(|before| before.instances.get(at));
            if same.is_some_and(|same| Arc::ptr_eq(same.instance(), row.instance())) {
                continue;
            }
            let facts = self.instance_mut(project, &row.id);
            facts.see_task_id(row.service_task_id.as_ref());
            facts.listed = Some(row.instance().clone());
        }
    }

    pub(super) fn instance_mut(
        &mut self,
        project: &ProjectName,
        instance: &InstanceId,
    ) -> &mut InstanceFacts {
        let at = self.instances.get_index_of(&Of(project, instance));
        let at = at.unwrap_or_else(|| {
            let key = (project.clone(), instance.clone());
            self.instances.insert_full(key, InstanceFacts::default()).0
        });
        &mut self.instances[at]
    }

    pub(super) fn instance(
        &self,
        project: &ProjectName,
        instance: &InstanceId,
    ) -> Option<&InstanceFacts> {
        self.instances.get(&Of(project, instance))
    }
}

/// The key of an instance's facts, borrowed: it hashes as the pair does.
#[derive(Hash)]
struct Of<'a>(&'a ProjectName, &'a InstanceId);

impl Equivalent<(ProjectName, InstanceId)> for Of<'_> {
    fn equivalent(&self, (project, instance): &(ProjectName, InstanceId)) -> bool {
        self.0 == project && self.1 == instance
    }
}

impl InstanceFacts {
    pub fn see_task_id(&mut self, id: Option<&TaskId>) {
        let Some(id) = id.filter(|id| !self.task_ids.contains(id)) else { return };
        if self.task_ids.len() == TASK_IDS_MAX {
            self.task_ids.pop_front();
        }
        self.task_ids.push_back(id.clone());
    }
}
