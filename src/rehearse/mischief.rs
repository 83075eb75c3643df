//! What goes wrong on Refit's own side: crashes at every boundary, slow senders, slow wires.
//! The cloud's faults are the world's.

use serde::Deserialize;

use crate::engine::Step;
use crate::model::{Millis, draw};
use crate::sim::world::SpanRange;

/// Where a process may die, relative to one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Boundary {
    /// Decided and not committed: as if the input had never come.
    BeforeCommit,
    /// Committed, and none or only some of its requests left.
    BeforeAct,
    /// All requests left, no answer came yet.
    AfterAct,
    /// The answer arrived and was not applied.
    BeforeDecide,
}

impl Boundary {
    pub const ALL: [Boundary; 4] =
        [Boundary::BeforeCommit, Boundary::BeforeAct, Boundary::AfterAct, Boundary::BeforeDecide];

    fn word(self) -> &'static str {
        match self {
            Boundary::BeforeCommit => "before commit",
            Boundary::BeforeAct => "before act",
            Boundary::AfterAct => "after act",
            Boundary::BeforeDecide => "before decide",
        }
    }
}

/// A crash that is meant: at a boundary of the step that has the event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedCrash {
    pub boundary: Boundary,
    /// The name of an event, as the ledger has it.
    pub event: &'static str,
    /// The first, second, … step with such an event that any process decided.
    pub number: u32,
    /// How long the process stays down.
    pub down_for: Millis,
}

/// Draws from its own seed; at rest by default.
#[derive(Debug, Clone, Default)]
pub struct Mischief {
    pub seed: u64,
    /// Share of boundaries at which the process dies.
    pub crash_share: f64,
    /// No more crashes than this.
    pub crashes_most: u32,
    /// How long a dead process stays down.
    pub down_for: SpanRange,
    /// From the commit to the sender's last check.
    pub sender_takes: SpanRange,
    /// From the sender to the cloud.
    pub wire_takes: SpanRange,
    /// Share of renewals that fail.
    pub renewals_fail: f64,
    /// Each happens once.
    pub planned: Vec<PlannedCrash>,
}

impl Mischief {
    /// Whether the process dies here; `number` counts the steps of all processes.
    pub fn crashes(&self, boundary: Boundary, number: u64) -> bool {
        self.crash_share > 0.0
            && draw::unit(self.seed, "crash", boundary.word(), number) < self.crash_share
    }

    /// The planned crash that this step meets, if it meets one. To be asked once for each step.
    pub fn meets(&mut self, step: &Step) -> Option<PlannedCrash> {
        let has = |event: &str| step.events.iter().any(|each| each.fact.name() == event);
        for crash in self.planned.iter_mut().filter(|crash| has(crash.event)) {
            crash.number = crash.number.saturating_sub(1);
        }
        let met = self.planned.iter().position(|crash| crash.number == 0)?;
        Some(self.planned.remove(met))
    }

    /// Of `count` requests of a step that dies while it acts, how many leave.
    pub fn requests_left(&self, count: usize, number: u64) -> usize {
        (draw::unit(self.seed, "crash", "requests left", number) * count as f64) as usize
    }

    pub fn down_for(&self, number: u64) -> Millis {
        self.span(self.down_for, "down for", number)
    }

    pub fn sender_takes(&self, number: u64) -> Millis {
        self.span(self.sender_takes, "sender takes", number)
    }

    pub fn wire_takes(&self, number: u64) -> Millis {
        self.span(self.wire_takes, "wire takes", number)
    }

    pub fn renewal_fails(&self, number: u64) -> bool {
        self.renewals_fail > 0.0
            && draw::unit(self.seed, "renewal", "fails", number) < self.renewals_fail
    }

    fn span(&self, range: SpanRange, purpose: &str, number: u64) -> Millis {
        if range.is_zero() {
            return Millis::ZERO;
        }
        range.at(draw::unit(self.seed, "mischief", purpose, number))
    }
}
