//! The world's time: what was arranged happens at its instant, in order.

use std::sync::Arc;

use super::instance::{Applied, Moment};
use super::knobs::{SingleNodeData, TaskCentre, VersionMoves};
use super::spec::{Change, Outcome};
use super::task::{SimTask, TaskState};
use super::{Place, TaskChange, World};
use crate::model::{CacheMode, InstanceStatus, Millis, TaskId, UpgradeBody, Wall, draw};

/// What happens by itself.
#[derive(Debug, Clone)]
pub(super) enum Event {
    TaskHalf { place: Place, task: usize },
    TaskEnds { place: Place, task: usize },
    Change { place: Place, what: Change, takes: Millis },
    BusyEnds { place: Place },
    Heal,
}

/// Who starts an upgrade.
#[derive(Debug, Clone)]
pub(super) enum Starter {
    /// The project's user, by the call.
    Caller {
        attempt: Option<Arc<str>>,
    },
    Other,
}

/// The user of upgrades that somebody else starts.
const OTHER_USER: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";

impl World {
    /// Lets everything happen that is due. The first call is the world's beginning.
    pub fn advance(&mut self, now: Wall) {
        if self.begun.is_none() {
            self.begun = Some(now);
            self.now = now;
            for (after, event) in std::mem::take(&mut self.to_arrange) {
                self.arrange(now + after, event);
            }
            if let Some(after) = self.faults.heal_after() {
                self.arrange(now + after, Event::Heal);
            }
        }
        while let Some(entry) = self.timeline.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let ((at, _), event) = entry.remove_entry();
            self.now = self.now.max(at);
            self.happen(event);
        }
        self.now = self.now.max(now);
    }

    /// When the world next changes by itself.
    pub fn next_change(&self) -> Option<Wall> {
        self.timeline.first_key_value().map(|((at, _), _)| *at)
    }

    /// From now on nothing goes wrong any more, and stuck tasks move again.
    pub fn heal(&mut self, now: Wall) {
        self.advance(now);
        self.happen(Event::Heal);
    }

    /// Somebody else does something to an instance, now. Unknown instances stay unknown.
    pub fn change(&mut self, now: Wall, project: &str, instance: &str, what: Change) {
        self.advance(now);
        if let Some(place) = self.find(project, instance) {
            self.happen(Event::Change { place, what, takes: Millis::ZERO });
        }
    }

    pub(super) fn arrange(&mut self, at: Wall, event: Event) {
        self.arranged += 1;
        self.timeline.insert((at, self.arranged), event);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::TaskHalf { place, task } => self.task_half(place, task),
            Event::TaskEnds { place, task } => self.end_task(place, task),
            Event::Change { place, what, takes } => self.changed(place, what, takes),
            Event::BusyEnds { place } => self.instance_mut(place).busy = None,
            Event::Heal => self.healed(),
        }
    }

    /// Starts an upgrade and returns the id of its task.
    pub(super) fn start_upgrade(
        &mut self,
        place: Place,
        body: &UpgradeBody,
        starter: Starter,
    ) -> TaskId {
        let task = self.new_task(place, body, &starter);
        let (id, began, outcome) = (task.id.clone(), task.began, task.outcome);
        let (half_at, ends_at) = (task.half_at(), began + task.takes);
        let instance = self.instance_mut(place);
        let index = instance.tasks.len();
        instance.tasks.push(task);
        instance.running.push(index);
        self.projects[place.project].centre.push((place.instance, index));
        if let Starter::Caller { attempt } = starter {
            self.instance_mut(place).applied.push(Applied {
                at: began,
                attempt,
                task: id.clone(),
                body: body.clone(),
                outcome,
                ended_at: None,
            });
            self.count_in_flight(place.project);
        }
        if self.knobs.version_moves == VersionMoves::AtStart && outcome.moves_versions() {
            self.instance_mut(place).move_versions(body);
        }
        self.arrange(half_at, Event::TaskHalf { place, task: index });
        if outcome != Outcome::Stuck {
            self.arrange(ends_at, Event::TaskEnds { place, task: index });
        }
        self.note(place, index);
        id
    }

    fn new_task(&mut self, place: Place, body: &UpgradeBody, starter: &Starter) -> SimTask {
        let instance = self.instance(place);
        let id = instance.base.id.as_str();
        let number = instance.tasks.len() as u64 + 1;
        let hex = |purpose: &str| -> TaskId {
            let half = |which: u64| draw::bits(self.seed, purpose, id, number * 2 + which);
            format!("{:016x}{:016x}", half(0), half(1)).into()
        };
        let task_id = hex("task");
        let outcome = match starter {
            Starter::Caller { .. } => {
                let ours = instance.applied.len() + 1;
                instance.told_outcome(ours).unwrap_or_else(|| self.faults.outcome(id, ours as u64))
            }
            Starter::Other => Outcome::Success,
        };
        let user_id = match starter {
            Starter::Caller { .. } => self.projects[place.project].user_id.clone(),
            Starter::Other => OTHER_USER.into(),
        };
        SimTask {
            centre_id: match self.knobs.task_centre {
                TaskCentre::OtherId => hex("centre task"),
                _ => task_id.clone(),
            },
            id: task_id,
            user_id,
            body: body.clone(),
            outcome,
            began: self.now,
            shows_at: self.now + self.knobs.task_appears_after.0,
            takes: instance.takes.at(draw::unit(self.seed, "takes", id, number)),
            state: TaskState::Open,
            ended_at: None,
            gone: false,
        }
    }

    fn task_half(&mut self, place: Place, index: usize) {
        let moves_now = self.knobs.version_moves == VersionMoves::Midway;
        let instance = self.instance_mut(place);
        let task = &mut instance.tasks[index];
        if task.state != TaskState::Open {
            return;
        }
        match task.outcome {
            Outcome::Vanishes | Outcome::VanishesUnchanged => task.gone = true,
            Outcome::TurnsFaulty => instance.base.status = InstanceStatus::Error,
            Outcome::TurnsFrozen => instance.base.status = InstanceStatus::Frozen,
            Outcome::Deleted => return self.delete(place),
            _ => {}
        }
        if moves_now && instance.tasks[index].outcome.moves_versions() {
            let body = instance.tasks[index].body.clone();
            instance.move_versions(&body);
        }
    }

    fn end_task(&mut self, place: Place, index: usize) {
        let now = self.now;
        let at_end = self.knobs.version_moves == VersionMoves::AtEnd;
        let loses_data = self.knobs.single_node_data == SingleNodeData::Lost;
        let instance = self.instance_mut(place);
        let task = &mut instance.tasks[index];
        if task.state != TaskState::Open {
            return;
        }
        task.state = if task.outcome.succeeds() { TaskState::Succeeded } else { TaskState::Failed };
        task.ended_at = Some(now);
        let (outcome, body, id) = (task.outcome, task.body.clone(), task.id.clone());
        instance.running.retain(|each| *each != index);
        if at_end && outcome.moves_versions() {
            instance.move_versions(&body);
        }
        if loses_data && instance.base.cache_mode == CacheMode::Single {
            instance.data_lost = true;
        }
        if let Some(applied) = instance.applied.iter_mut().find(|applied| applied.task == id) {
            applied.ended_at = Some(now);
            self.projects[place.project].in_flight -= 1;
            self.in_flight -= 1;
        }
        self.note(place, index);
    }

    /// What others do to the instance at that moment.
    pub(super) fn others_act(&mut self, place: Place, moment: Moment) {
        let at = self.instance(place).at.iter().filter(|(when, ..)| *when == moment);
        let due: Vec<(Change, Millis)> = at.map(|(_, what, takes)| (*what, *takes)).collect();
        for (what, takes) in due {
            self.changed(place, what, takes);
        }
    }

    pub(super) fn changed(&mut self, place: Place, what: Change, takes: Millis) {
        let both = || Some(Arc::from("latest"));
        let instance = self.instance_mut(place);
        match what {
            Change::Deleted => self.delete(place),
            Change::Frozen => instance.base.status = InstanceStatus::Frozen,
            Change::Faulty => instance.base.status = InstanceStatus::Error,
            Change::Unfrozen | Change::Recovered => {
                instance.base.status = InstanceStatus::Running;
            }
            Change::FinishedByOther => {
                instance.move_versions(&UpgradeBody { engine: both(), proxy: both() });
            }
            Change::UpgradedByOther if instance.running.is_empty() && !instance.deleted => {
                let body = UpgradeBody {
                    engine: both(),
                    proxy: instance.proxy.as_ref().and_then(|_| both()),
                };
                self.start_upgrade(place, &body, Starter::Other);
            }
            Change::UpgradedByOther => {}
            Change::Busy => {
                instance.busy = Some("BACKUPING".into());
                if takes > Millis::ZERO {
                    let ends = self.now + takes;
                    self.arrange(ends, Event::BusyEnds { place });
                }
            }
            Change::Released => {
                instance.engine.latest = format!("{}+", instance.engine.latest).into();
            }
            Change::Retagged => {
                let first = self.projects[place.project].instances.first();
                let tags = first.map(|first| first.base.tags.clone()).unwrap_or_default();
                self.instance_mut(place).base.tags = tags;
            }
        }
    }

    /// The instance is gone, and with it what runs on it.
    fn delete(&mut self, place: Place) {
        self.projects[place.project].hides = true;
        let instance = self.instance_mut(place);
        instance.deleted = true;
        for index in instance.running.clone() {
            self.instance_mut(place).tasks[index].outcome = Outcome::Deleted;
            self.end_task(place, index);
        }
    }

    fn healed(&mut self) {
        self.faults.heal();
        let mut stuck = Vec::new();
        for (project, each) in self.projects.iter().enumerate() {
            for (instance, each) in each.instances.iter().enumerate() {
                let place = Place { project, instance };
                stuck.extend(
                    each.running
                        .iter()
                        .filter(|index| each.tasks[**index].outcome == Outcome::Stuck)
                        .map(|index| (place, *index, each.tasks[*index].takes)),
                );
            }
        }
        for (place, task, takes) in stuck {
            self.instance_mut(place).tasks[task].outcome = Outcome::Success;
            let ends = self.now + takes;
            self.arrange(ends, Event::TaskEnds { place, task });
        }
    }

    fn count_in_flight(&mut self, project: usize) {
        self.in_flight += 1;
        self.peak_in_flight = self.peak_in_flight.max(self.in_flight);
        let project = &mut self.projects[project];
        project.in_flight += 1;
        project.peak_in_flight = project.peak_in_flight.max(project.in_flight);
    }

    fn note(&mut self, place: Place, index: usize) {
        let project = &self.projects[place.project];
        let instance = &project.instances[place.instance];
        let task = &instance.tasks[index];
        let applied = instance.applied.iter().find(|applied| applied.task == task.id);
        self.happened.push(TaskChange {
            at: self.now,
            project: project.id.clone(),
            instance: instance.base.id.clone(),
            task: task.id.clone(),
            attempt: applied.and_then(|applied| applied.attempt.clone()),
            state: task.state,
            outcome: task.outcome,
        });
    }
}

impl Outcome {
    /// Whether the versions move.
    pub fn moves_versions(self) -> bool {
        matches!(
            self,
            Outcome::Success
                | Outcome::FailedButMoved
                | Outcome::Vanishes
                | Outcome::UnknownWord
                | Outcome::ProgressBackwards
        )
    }

    /// Whether the task's record ends as SUCCESS.
    pub fn succeeds(self) -> bool {
        !matches!(
            self,
            Outcome::Failed
                | Outcome::FailedButMoved
                | Outcome::TurnsFaulty
                | Outcome::TurnsFrozen
                | Outcome::Deleted
        )
    }
}
