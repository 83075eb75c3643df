//! Timers: a heap of instants at which something may be due.
//!
//! A timer that fires only makes the engine look again; whether anything is due is decided from
//! the state. So timers are never cancelled, and a stale one costs one look.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::model::Steady;

use super::index::{CampaignIx, CredentialIx, ProjectIx, TargetIx};
use super::reads::Wanted;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// The end of a backoff, of settling, of a task's time.
    Target(TargetIx),
    /// A read is due.
    Read(ProjectIx, Wanted),
    /// A window's edge, the end of a bake.
    Campaign(CampaignIx),
    /// A token, the end of a pause, a sweep.
    Project(ProjectIx),
    /// A renewal is tried again.
    Credential(CredentialIx),
    /// The end of an operator's freeze.
    Freezes,
}

#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(Steady, Timer)>>,
    /// The last one pushed: the same look is often asked for many times in a row.
    last: Option<(Steady, Timer)>,
}

impl Timers {
    pub(super) fn push(&mut self, at: Steady, timer: Timer) {
        if self.last != Some((at, timer)) {
            self.last = Some((at, timer));
            self.heap.push(Reverse((at, timer)));
        }
    }

    pub(super) fn next_at(&self) -> Option<Steady> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    pub(super) fn pop_due(&mut self, now: Steady) -> Option<Timer> {
        if self.next_at()? > now {
            return None;
        }
        let Reverse((_, timer)) = self.heap.pop()?;
        self.last = None;
        Some(timer)
    }
}
