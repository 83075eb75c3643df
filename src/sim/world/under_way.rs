//! A world that begins in the middle of things: upgrades that run already, instances that stay busy.

use std::sync::Arc;

use super::World;
use super::advance::Event;
use super::spec::Outcome;
use super::task::{SimTask, TaskState};
use crate::model::{InstanceId, Millis, TaskId, UpgradeBody, Wall};

/// An upgrade that began before the world did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnderWay {
    pub task: TaskId,
    pub body: UpgradeBody,
    pub began: Wall,
    /// From then on; one that would be over already ends at once.
    pub takes: Millis,
    pub outcome: Outcome,
}

impl World {
    /// Lets it run. The world must have begun; `project` is the cloud's id. An instance that the
    /// world does not have has nothing that runs.
    pub fn put_under_way(&mut self, project: &str, instance: &InstanceId, work: UnderWay) {
        let Some(place) = self.find(project, instance.as_str()) else { return };
        let task = SimTask {
            centre_id: work.task.clone(),
            id: work.task,
            user_id: self.projects[place.project].user_id.clone(),
            body: work.body,
            outcome: work.outcome,
            began: work.began,
            shows_at: work.began,
            takes: work.takes,
            state: TaskState::Open,
            ended_at: None,
            gone: false,
        };
        let ends_at = task.began + task.takes;
        let instance = self.instance_mut(place);
        let index = instance.tasks.len();
        instance.tasks.push(task);
        instance.running.push(index);
        self.projects[place.project].centre.push((place.instance, index));
        if work.outcome != Outcome::Stuck {
            self.arrange(ends_at.max(self.now), Event::TaskEnds { place, task: index });
        }
    }

    /// Keeps an instance busy with other work, for good.
    pub fn keep_busy(&mut self, project: &str, instance: &InstanceId, word: &str) {
        if let Some(place) = self.find(project, instance.as_str()) {
            self.instance_mut(place).busy = Some(Arc::from(word));
        }
    }
}
