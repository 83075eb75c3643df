//! The simulated cloud of one test and what its log says.

use std::mem;
use std::net::SocketAddr;

use refit::model::{InstanceId, Millis};
use refit::sim::http::{Running, SimOptions, start};
use refit::sim::log::{LogLine, RequestLine};
use refit::sim::world::{
    CallKind, FaultProfile, InstanceTruth, Knobs, SpanRange, World, WorldSpec,
};

/// A simulated cloud that answers until it is dropped.
pub struct Cloud {
    pub running: Running,
    /// What the log held when it died.
    earlier: Vec<LogLine>,
}

impl Cloud {
    pub async fn start(world: World) -> Cloud {
        let running = start(world, SimOptions::in_memory()).await.unwrap();
        Cloud { running, earlier: Vec::new() }
    }

    /// Nobody listens at its address any more; returns what [`Cloud::come_back`] needs.
    pub async fn die(&mut self) -> (SocketAddr, World) {
        let address = self.running.address;
        let elsewhere = start(nothing(), SimOptions::in_memory()).await.unwrap();
        let running = mem::replace(&mut self.running, elsewhere);
        self.earlier.extend(running.lines());
        let world = running.world(|world| mem::replace(world, nothing()));
        running.shutdown().await.unwrap();
        (address, world)
    }

    /// The same world answers at the same address again.
    pub async fn come_back(&mut self, (listen, world): (SocketAddr, World)) {
        let options = SimOptions { listen, ..SimOptions::in_memory() };
        self.running = start(world, options).await.unwrap();
    }

    /// Its whole log, numbered as if it had never died.
    pub fn lines(&self) -> Vec<LogLine> {
        let before = self.earlier.len() as u64;
        let later = self.running.lines().into_iter().map(|mut line| {
            match &mut line {
                LogLine::Request(line) => line.seq += before,
                LogLine::Task(line) => line.seq += before,
            }
            line
        });
        self.earlier.iter().cloned().chain(later).collect()
    }

    pub fn requests(&self) -> Vec<RequestLine> {
        let lines = self.lines().into_iter();
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

/// A world without instances.
fn nothing() -> World {
    let takes = SpanRange { least: Millis(1), most: Millis(1) };
    World::new(WorldSpec::fleet(0, takes), Knobs::default(), FaultProfile::calm(), 1)
}
