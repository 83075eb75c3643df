//! The ground truth: what really happened, for judges and tests that compare what was believed.

use std::sync::Arc;

use super::Outcome;
use super::World;
use super::instance::Applied;
use crate::model::{InstanceStatus, Versions};

/// One instance as it really is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceTruth {
    pub status: InstanceStatus,
    pub versions: Versions,
    /// An upgrade runs, by whomever.
    pub upgrading: bool,
    pub deleted: bool,
    /// A single-node instance lost its data in an upgrade.
    pub data_lost: bool,
    /// Upgrades by calls, in order; not those of others.
    pub applied: Vec<Applied>,
}

impl World {
    /// The instance as it really is; `project` is the cloud's id.
    pub fn truth(&self, project: &str, instance: &str) -> Option<InstanceTruth> {
        let instance = self.instance(self.find(project, instance)?);
        Some(InstanceTruth {
            status: instance.base.status.clone(),
            versions: instance.versions(),
            upgrading: !instance.running.is_empty(),
            deleted: instance.deleted,
            data_lost: instance.data_lost,
            applied: instance.applied.clone(),
        })
    }

    /// An upgrade runs on it that ends without anybody's doing; `project` is the cloud's id.
    pub fn will_end(&self, project: &str, instance: &str) -> bool {
        self.find(project, instance).is_some_and(|place| {
            let instance = self.instance(place);
            let mut running = instance.running.iter().map(|index| &instance.tasks[*index]);
            running.any(|task| task.outcome != Outcome::Stuck)
        })
    }

    /// Every instance: project id, instance id, truth.
    pub fn truths(&self) -> impl Iterator<Item = (&str, &str, InstanceTruth)> {
        self.projects.iter().flat_map(move |project| {
            project.instances.iter().filter_map(move |instance| {
                let id = instance.base.id.as_str();
                self.truth(&project.id, id).map(|truth| (&*project.id, id, truth))
            })
        })
    }

    /// The id of the instance with that name, in any project of the world.
    pub fn instance_id(&self, name: &str) -> Option<crate::model::InstanceId> {
        let instances = self.projects.iter().flat_map(|project| &project.instances);
        instances
            .map(|instance| &instance.base)
            .find(|base| &*base.name == name)
            .map(|base| base.id.clone())
    }

    /// The project's id and the instance's, of the instance with that name.
    pub fn place_of(&self, name: &str) -> Option<(Arc<str>, Arc<str>)> {
        self.projects.iter().find_map(|project| {
            let mut bases = project.instances.iter().map(|instance| &instance.base);
            let found = bases.find(|base| &*base.name == name)?;
            Some((project.id.clone(), found.id.0.clone()))
        })
    }

    /// The most upgrades by calls that ever ran at once, in the project or in all.
    pub fn peak_in_flight(&self, project: Option<&str>) -> usize {
        match project {
            None => self.peak_in_flight,
            Some(id) => {
                self.project_by_id.get(id).map_or(0, |index| self.projects[*index].peak_in_flight)
            }
        }
    }

    /// Upgrades by calls that run now.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Calls of any kind so far.
    pub fn calls(&self) -> u64 {
        self.calls
    }
}
