//! The pure core: applies one input, then decides.
//!
//! No clock, no I/O, no async, no randomness of its own: the same inputs at the same instants give
//! the same ledger, byte for byte, in the daemon, in rehearsals and in property tests. Requests
//! leave only after the step's events and rows are durable; that is the host's half of rule S2.

pub mod check;
pub mod event;
pub mod hold;
pub mod input;
pub mod order;
pub mod request;
pub mod rows;
pub mod state;
pub mod view;

pub use event::{Event, Fact};
pub use hold::{Hold, HoldKind};
pub use input::Input;
pub use order::{Command, Order, Reply, Scope};
pub use request::{Read, ReadId, Request, Submit};
pub use rows::{Changes, Rows};
pub use state::{CampaignState, Reason, TargetState};
pub use view::{Gate, Plan, Status};

use crate::model::{Millis, Steady, TargetId};

/// What one input led to: one unit. Its requests leave once its events and rows are durable.
#[derive(Debug, Default)]
pub struct Step {
    pub events: Vec<Event>,
    pub changes: Changes,
    pub requests: Vec<Request>,
    /// The answer to an [`Input::Order`]; `None` for every other input.
    pub reply: Option<Reply>,
}

/// The engine's state. One per store.
#[derive(Debug)]
pub struct Engine {
    offset: Millis,
}

impl Engine {
    /// Rebuilds what the rows describe. `offset` is wall minus steady, zero at a process's start.
    /// `seed` is only used for campaigns that are not planned yet. The first steps must be
    /// [`Input::Settings`], then [`Input::Restarted`].
    pub fn restore(_rows: Rows, offset: Millis, _seed: u64) -> Engine {
        Engine { offset }
    }

    /// Applies one input, then decides. Cannot fail: an answer that makes no sense becomes an
    /// anomaly in the ledger. `now` never goes back.
    pub fn step(&mut self, _now: Steady, _input: Input) -> Step {
        Step::default()
    }

    /// When to step with [`Input::Tick`] if nothing else happens; never later than needed.
    pub fn wake_at(&self) -> Option<Steady> {
        None
    }

    /// Why this target is not moving: the first failing gate, in the documented order. `None` for
    /// an unknown target or one that ended.
    pub fn hold(&self, _target: &TargetId, _now: Steady) -> Option<Hold> {
        None
    }

    /// What the sender checks last. Changes only within a step.
    pub fn gate(&self) -> Gate {
        Gate::default()
    }

    pub fn status(&self, _now: Steady) -> Status {
        Status::default()
    }

    pub fn plan(&self, _now: Steady) -> Plan {
        Plan { at: crate::model::Wall(self.offset.0), ..Plan::default() }
    }
}
