//! What is to happen when, in the order of instants and then of arrangement.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::input::{FreezeFile, Input, Ownership, StoreHealth};
use crate::engine::order::Order;
use crate::engine::{Read, Submit};
use crate::model::{CredentialName, Millis, Settings, Steady, Wall};
use crate::sim::world::Change;

/// What somebody or something outside does.
#[derive(Debug, Clone)]
pub enum Act {
    Order(Order),
    Settings(Arc<Settings>),
    /// The machine's clock jumps by so much.
    ClockStep(Millis),
    Store(StoreHealth),
    FreezeFile(FreezeFile),
    Network(Network),
    Ownership(Ownership),
    /// A clean stop, and another process after so long.
    Stop {
        back_after: Millis,
    },
    /// The process dies, and another begins after so long.
    Crash {
        back_after: Millis,
    },
    /// Somebody else does something to an instance; ids as the cloud has them.
    Change {
        project: Arc<str>,
        instance: Arc<str>,
        what: Change,
    },
    /// The cloud's faults end.
    Heal,
    /// Somebody backs the store up.
    CopyStore,
    /// Somebody stops the daemon and puts the backup in the store's place.
    RestoreStore {
        back_after: Millis,
    },
}

/// Whether the machine reaches the cloud at all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Network {
    #[default]
    Up,
    /// No connection ever stands.
    Down,
}

#[derive(Debug, Clone)]
pub(super) enum Happening {
    Act(Act),
    /// A process begins.
    Begin,
    /// Two samples of the clock agree again.
    ClockAgrees,
    /// A clean stop has waited long enough.
    Exit {
        back_after: Millis,
    },
    /// The sender's last check.
    Send(Submit),
    /// A request reaches the cloud.
    Arrive(Arrival),
    /// An answer reaches the process that asked.
    Answer(Box<Input>),
    /// A renewal ends.
    Renewal(CredentialName),
}

#[derive(Debug, Clone)]
pub(super) enum Arrival {
    /// With the instant of its first byte.
    Upgrade(Submit, Steady),
    Read(Read),
}

impl Happening {
    /// Dies with the process that waits for it.
    fn is_of_a_process(&self) -> bool {
        !matches!(self, Happening::Act(_) | Happening::Begin | Happening::Arrive(_))
    }
}

#[derive(Debug, Clone)]
struct Entry {
    process: u32,
    what: Happening,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Agenda {
    entries: BTreeMap<(Wall, u64), Entry>,
    arranged: u64,
}

impl Agenda {
    pub fn arrange(&mut self, at: Wall, process: u32, what: Happening) {
        self.arranged += 1;
        self.entries.insert((at, self.arranged), Entry { process, what });
    }

    pub fn next_at(&self) -> Option<Wall> {
        self.entries.first_key_value().map(|((at, _), _)| *at)
    }

    /// The submissions of that process whose last check is due.
    pub fn take_sends(&mut self, now: Wall, process: u32) -> Vec<Submit> {
        let is_due = |at: &Wall, entry: &Entry| {
            *at <= now && entry.process == process && matches!(entry.what, Happening::Send(_))
        };
        let due: Vec<_> = self
            .entries
            .extract_if(.., |(at, _), entry| is_due(at, entry))
            .filter_map(|(_, entry)| match entry.what {
                Happening::Send(submit) => Some(submit),
                _ => None,
            })
            .collect();
        due
    }

    /// What is due; with the process that arranged it. What a dead process waited for is dropped.
    pub fn pop_due(&mut self, now: Wall, alive: u32) -> Option<(u32, Happening)> {
        while let Some(entry) = self.entries.first_entry() {
            if entry.key().0 > now {
                return None;
            }
            let Entry { process, what } = entry.remove();
            if process == alive || !what.is_of_a_process() {
                return Some((process, what));
            }
        }
        None
    }
}
