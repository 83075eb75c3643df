//! What goes wrong on Refit's own side: crashes at every boundary, slow senders, slow wires.
//! The cloud's faults are the world's.

use crate::model::{Millis, draw};
use crate::sim::world::SpanRange;

/// Where a process may die, relative to one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    fn word(self) -> &'static str {
        match self {
            Boundary::BeforeCommit => "before commit",
            Boundary::BeforeAct => "before act",
            Boundary::AfterAct => "after act",
            Boundary::BeforeDecide => "before decide",
        }
    }
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
}

impl Mischief {
    /// Whether the process dies here; `number` counts the steps of all processes.
    pub fn crashes(&self, boundary: Boundary, number: u64) -> bool {
        self.crash_share > 0.0
            && draw::unit(self.seed, "crash", boundary.word(), number) < self.crash_share
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
