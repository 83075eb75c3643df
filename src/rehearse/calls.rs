//! What a run asks of the cloud, by kind of call.

use serde::{Deserialize, Serialize};

use crate::model::ReadCall;

/// Calls that reached the cloud's gateway; renewals of tokens apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallCounts {
    /// `POST …/minor-version/upgrade`
    pub upgrade: u64,
    /// Pages of the list of instances.
    pub inventory: u64,
    /// Single instances.
    pub instance: u64,
    pub versions: u64,
    /// Pages of an instance's tasks.
    pub instance_tasks: u64,
    /// Pages of the project's task centre.
    pub task_centre: u64,
}

impl CallCounts {
    pub(super) fn count(&mut self, call: &ReadCall) {
        let kind = match call {
            ReadCall::InventoryPage { .. } => &mut self.inventory,
            ReadCall::Instance { .. } => &mut self.instance,
            ReadCall::Versions { .. } => &mut self.versions,
            ReadCall::InstanceTasks { .. } => &mut self.instance_tasks,
            ReadCall::TaskCentre { .. } => &mut self.task_centre,
        };
        *kind += 1;
    }

    pub fn reads(&self) -> u64 {
        self.inventory + self.instance + self.versions + self.instance_tasks + self.task_centre
    }

    pub fn all(&self) -> u64 {
        self.upgrade + self.reads()
    }
}
