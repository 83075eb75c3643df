//! Every other call: reads of instances, versions and tasks, and the deletion of a task's record.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ask::{Ask, Include, ListQuery, NameFilter, TaskQuery};
use super::decision::Decision;
use super::instance::{Moment, SimInstance};
use super::knobs::{Paging, TaskCentre, TaskOrder, UpgradeCall};
use super::profile::Step;
use super::reply::{Content, WorldReply};
use super::task::{RecordOf, SimTask, TaskState};
use super::upgrade::{NO_API, NO_INSTANCE, NO_URL, Refusal};
use super::{Place, Project, World};
use crate::model::call::PAGE_ROWS;
use crate::model::{InstanceId, InstanceStatus, ReadAnswer, ReadCall, TaskId, Wall};

const NO_TASK: Refusal = Refusal(404, "DCS.4061", "This task does not exist.");

/// The documented default of the pages that have one.
const DEFAULT_PAGE: usize = 10;

impl World {
    /// One of the reads that Refit makes.
    pub fn read(&mut self, now: Wall, project: &str, call: &ReadCall) -> WorldReply {
        self.ask(now, project, &Ask::from(call))
    }

    /// Any call but the upgrade.
    pub fn ask(&mut self, now: Wall, project: &str, ask: &Ask) -> WorldReply {
        self.advance(now);
        let Some(index) = self.project_by_id.get(project).copied() else {
            return self.refused(Refusal(400, "DCS.4002", "Invalid project ID format."));
        };
        let step = self.decide(ask.kind(), index, ask.instance().map(InstanceId::as_str));
        if !step.applies() {
            return self.faulted(&step);
        }
        match self.answer(index, ask) {
            Ok(content) => {
                let mut reply = self.reply(&step, content);
                if matches!(ask, Ask::Backups { .. }) {
                    reply.status = 204;
                }
                self.overlay(&mut reply, &step);
                reply
            }
            Err(refusal) => {
                let mut reply = self.refused(refusal);
                self.keep_fault(&mut reply, &step);
                reply
            }
        }
    }

    fn keep_fault(&self, reply: &mut WorldReply, step: &Step) {
        if step.decision != Decision::Ok {
            reply.decision = step.decision;
            self.overlay(reply, step);
        }
    }

    fn answer(&mut self, project: usize, ask: &Ask) -> Result<Content, Refusal> {
        match ask {
            Ask::List(query) => Ok(Content::Read(self.list(project, query))),
            Ask::Show { instance } => {
                let place = self.existing(project, instance)?;
                let detail = self.instance(place).detail(self.now, &self.knobs);
                self.shown(place);
                Ok(Content::Read(ReadAnswer::Instance(detail)))
            }
            Ask::Version { instance } => {
                match self.knobs.upgrade_call {
                    UpgradeCall::Present => {}
                    UpgradeCall::AbsentAtGateway => return Err(NO_API),
                    UpgradeCall::AbsentAtService => return Err(NO_URL),
                }
                let place = self.existing(project, instance)?;
                Ok(Content::Read(ReadAnswer::Versions(self.instance(place).versions())))
            }
            Ask::InstanceTasks { instance, query } => {
                let place = self.existing(project, instance)?;
                Ok(Content::Read(self.instance_tasks(self.instance(place), query)))
            }
            Ask::TaskCentre(query) => {
                if self.knobs.task_centre == TaskCentre::Absent {
                    return Err(NO_API);
                }
                Ok(Content::Read(self.task_centre(&self.projects[project], query)))
            }
            Ask::Progress { instance, task } => {
                let place = self.existing(project, instance)?;
                let listed = self.listed(self.instance(place), task).ok_or(NO_TASK)?;
                let report = listed.progress(self.now, &self.knobs).ok_or(NO_TASK)?;
                Ok(Content::Progress(report))
            }
            Ask::DeleteTask { instance, task } => {
                self.delete_record(project, instance.as_ref(), task)
            }
            Ask::StatusCounts => Ok(Content::StatusCounts(self.status_counts(project))),
            Ask::Statistics => {
                let running = |each: &&SimInstance| {
                    !each.deleted && each.base.status == InstanceStatus::Running
                };
                let instances = self.projects[project].instances.iter().filter(running);
                Ok(Content::Statistics(instances.map(|each| each.base.id.clone()).collect()))
            }
            Ask::Backups { instance } => {
                self.existing(project, instance)?;
                Ok(Content::Nothing)
            }
            Ask::MaintainWindows => Ok(Content::MaintainWindows),
        }
    }

    fn existing(&self, project: usize, instance: &InstanceId) -> Result<Place, Refusal> {
        let index = self.projects[project].instance_by_id.get(instance.as_str());
        let place = Place { project, instance: *index.ok_or(NO_INSTANCE)? };
        if self.instance(place).deleted { Err(NO_INSTANCE) } else { Ok(place) }
    }

    /// Counts a show, and lets others do what they do right after it.
    fn shown(&mut self, place: Place) {
        let instance = self.instance_mut(place);
        instance.shows += 1;
        let moment = Moment::AfterShows(instance.shows);
        self.others_act(place, moment);
    }

    fn list(&mut self, project: usize, query: &ListQuery) -> ReadAnswer {
        let shifts = self.knobs.paging == Paging::Shifting;
        let project = &mut self.projects[project];
        project.lists_answered += 1;
        let everything = query.is_unfiltered() && !project.hides;
        let is_whole_page = query.limit == PAGE_ROWS && query.offset.is_multiple_of(PAGE_ROWS);
        if everything && !shifts && is_whole_page {
            let Project { instances, listing, .. } = project;
            let page = listing.page(
                query.offset / PAGE_ROWS,
                instances.len(),
                |at| instances[at].row(self.now, &self.knobs),
                |at| !instances[at].running.is_empty(),
            );
            return ReadAnswer::InventoryPage(page);
        }
        let count = project.instances.len().max(1);
        // A prime step, so that neighbouring pages overlap and miss rows.
        let shift = if shifts { project.lists_answered * 7 % count } else { 0 };
        let (end, begin) = project.instances.split_at(shift.min(project.instances.len()));
        let rotated = begin.iter().chain(end);
        let (mut total, mut instances) = (0, Vec::new());
        for instance in rotated.filter(|instance| matches(instance, query)) {
            total += 1;
            if total > query.offset && instances.len() < query.limit {
                instances.push(instance.row(self.now, &self.knobs));
            }
        }
        let rows = instances.len();
        ReadAnswer::page(instances, rows, Some(total))
    }

    fn instance_tasks(&self, instance: &SimInstance, query: &TaskQuery) -> ReadAnswer {
        let most = self.knobs.task_page.0;
        let limit = query.limit.map_or(most, |limit| limit.min(most));
        self.task_page(instance.tasks.iter(), query, limit, RecordOf::Instance)
    }

    fn task_centre(&self, project: &Project, query: &TaskQuery) -> ReadAnswer {
        if self.knobs.task_centre == TaskCentre::Hidden {
            return ReadAnswer::Tasks { tasks: [].into(), rows: 0 };
        }
        let task = |(instance, task): &(usize, usize)| &project.instances[*instance].tasks[*task];
        // The centre is in the order of creation: older rows need no look.
        let first = query
            .from
            .map_or(0, |from| project.centre.partition_point(|row| task(row).began < from));
        let tasks = project.centre[first..].iter().map(task);
        let limit = query.limit.unwrap_or(DEFAULT_PAGE);
        self.task_page(tasks, query, limit, RecordOf::Centre)
    }

    fn task_page<'a>(
        &'a self,
        tasks: impl DoubleEndedIterator<Item = &'a SimTask>,
        query: &TaskQuery,
        limit: usize,
        place: RecordOf,
    ) -> ReadAnswer {
        let wanted = |task: &&SimTask| {
            task.is_listed(self.now, &self.knobs)
                && query.from.is_none_or(|from| task.began >= from)
                && query.until.is_none_or(|until| task.began <= until)
        };
        let page = |rows: &mut dyn Iterator<Item = &'a SimTask>| -> Arc<[_]> {
            rows.skip(query.offset)
                .take(limit)
                .map(|task| task.record(self.now, &self.task_name, place))
                .collect()
        };
        let tasks = match self.knobs.task_order {
            TaskOrder::NewestFirst => page(&mut tasks.rev().filter(wanted)),
            TaskOrder::OldestFirst => page(&mut tasks.filter(wanted)),
        };
        ReadAnswer::Tasks { rows: tasks.len(), tasks }
    }

    fn listed<'a>(&self, instance: &'a SimInstance, task: &TaskId) -> Option<&'a SimTask> {
        instance.tasks.iter().find(|each| each.id == *task && each.is_listed(self.now, &self.knobs))
    }

    fn delete_record(
        &mut self,
        project: usize,
        instance: Option<&InstanceId>,
        task: &TaskId,
    ) -> Result<Content, Refusal> {
        let now = self.now;
        let found = self.projects[project].centre.iter().copied().find(|(index, number)| {
            let owner = &self.projects[project].instances[*index];
            let record = &owner.tasks[*number];
            let id = if instance.is_some() { &record.id } else { &record.centre_id };
            id == task
                && instance.is_none_or(|wanted| *wanted == owner.base.id)
                && record.is_listed(now, &self.knobs)
        });
        let (index, number) = found.ok_or(NO_TASK)?;
        let place = Place { project, instance: index };
        let record = &mut self.instance_mut(place).tasks[number];
        if record.state == TaskState::Open {
            return Err(Refusal(400, "DCS.4957", "The task is not in a finished state."));
        }
        record.gone = true;
        Ok(Content::Nothing)
    }

    fn status_counts(&self, project: usize) -> BTreeMap<Arc<str>, BTreeMap<Arc<str>, u64>> {
        let mut counts: BTreeMap<Arc<str>, BTreeMap<Arc<str>, u64>> = BTreeMap::new();
        for instance in self.projects[project].instances.iter().filter(|each| !each.deleted) {
            let row = instance.row(self.now, &self.knobs);
            let of_engine = counts.entry(row.engine.to_lowercase().into()).or_default();
            *of_engine.entry(row.status.word().to_lowercase().into()).or_default() += 1;
        }
        counts
    }

    /// The world's clock.
    pub fn now(&self) -> Wall {
        self.now
    }
}

/// Whether the list shows the instance only on demand.
pub(super) fn is_hidden(instance: &SimInstance) -> bool {
    instance.deleted || instance.base.status == InstanceStatus::CreateFailed
}

fn matches(instance: &SimInstance, query: &ListQuery) -> bool {
    let base = &instance.base;
    let hidden = (instance.deleted && !query.include.contains(&Include::Deleted))
        || (base.status == InstanceStatus::CreateFailed
            && !query.include.contains(&Include::Failed));
    !hidden
        && query.instance.as_ref().is_none_or(|id| **id == *base.id.as_str())
        && query.status.as_ref().is_none_or(|word| word == base.status.word())
        && query.name.as_ref().is_none_or(|filter| match filter {
            NameFilter::Contains(part) => base.name.contains(part.as_str()),
            NameFilter::Equals(name) => *base.name == **name,
        })
        && query
            .tags
            .iter()
            .all(|(key, value)| base.tags.get(key.as_str()).is_some_and(|it| **it == **value))
}
