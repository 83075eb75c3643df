//! The simulated cloud of one test and what its log says.

use refit::model::InstanceId;
use refit::sim::http::{Running, SimOptions, start};
use refit::sim::log::{LogLine, RequestLine};
use refit::sim::world::{CallKind, InstanceTruth, World};

/// A simulated cloud that answers until it is dropped.
pub struct Cloud {
    pub running: Running,
}

impl Cloud {
    pub async fn start(world: World) -> Cloud {
        Cloud { running: start(world, SimOptions::in_memory()).await.unwrap() }
    }

    pub fn requests(&self) -> Vec<RequestLine> {
        let lines = self.running.lines().into_iter();
        lines
            .filter_map(|line| match line {
                LogLine::Request(line) => Some(line),
                LogLine::Task(_) => None,
            })
            .collect()
    }

    pub fn calls(&self, call: CallKind) -> Vec<RequestLine> {
        self.requests().into_iter().filter(|line| line.call == Some(call)).collect()
    }

    /// The upgrade requests, in the order in which they arrived.
    pub fn posts(&self) -> Vec<RequestLine> {
        self.calls(CallKind::Upgrade)
    }

    pub fn instance(&self, name: &str) -> InstanceId {
        self.running.world(|world| world.instance_id(name)).unwrap()
    }

    /// Every instance as it really is.
    pub fn truths(&self) -> Vec<InstanceTruth> {
        self.running.world(|world| world.truths().map(|(.., truth)| truth).collect())
    }

    /// Upgrades that began, over all instances.
    pub fn applied(&self) -> usize {
        self.truths().iter().map(|truth| truth.applied.len()).sum()
    }
}
