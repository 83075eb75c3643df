//! Timers: a heap of instants at which something may be due.
//!
//! A timer that fires only makes the engine look again; whether anything is due is decided from
//! the state. So timers are never cancelled, and a stale one costs one look. Projects and campaigns
//! ask to be woken at every turn and say all they wait for again once they are: of each there is
//! one pending wake, the earliest, or they would pile up between two sweeps.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use crate::model::Steady;

use super::index::{CampaignIx, CredentialIx, ProjectIx, TargetIx};
use super::read_queue::Wanted;

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
    /// At most one of each project and campaign.
    wakes: BTreeSet<(Steady, Timer)>,
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

    /// Wakes at `at` instead of at `pending`, the instant of the wake that this one replaces.
    pub(super) fn wake(&mut self, pending: Option<Steady>, at: Steady, timer: Timer) {
        if let Some(pending) = pending {
            self.wakes.remove(&(pending, timer));
        }
        self.wakes.insert((at, timer));
    }

    pub(super) fn next_at(&self) -> Option<Steady> {
        self.next().map(|(at, _)| at)
    }

    fn next(&self) -> Option<(Steady, Timer)> {
        let timer = self.heap.peek().map(|Reverse(timer)| *timer);
        let wake = self.wakes.first().copied();
        timer.into_iter().chain(wake).min()
    }

    pub(super) fn pop_due(&mut self, now: Steady) -> Option<Timer> {
        let next = self.next().filter(|(at, _)| *at <= now)?;
        if !self.wakes.remove(&next) {
            self.heap.pop();
            self.last = None;
        }
        Some(next.1)
    }

    /// All that are pending, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Steady, Timer)> {
        self.heap.iter().map(|Reverse(timer)| *timer).chain(self.wakes.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROJECT: Timer = Timer::Project(ProjectIx(0));
    const TARGET: Timer = Timer::Target(TargetIx(0));

    #[test]
    fn a_wake_takes_the_place_of_the_pending_one() {
        let mut timers = Timers::default();
        timers.wake(None, Steady(3_600), PROJECT);
        for at in (1..100).rev() {
            timers.wake(timers.next_at(), Steady(at), PROJECT);
        }
        assert_eq!(timers.iter().collect::<Vec<_>>(), [(Steady(1), PROJECT)]);
        assert_eq!(timers.pop_due(Steady(3_600)), Some(PROJECT));
        assert_eq!(timers.pop_due(Steady(3_600)), None);
    }

    #[test]
    fn timers_and_wakes_fire_in_the_order_of_their_instants() {
        let mut timers = Timers::default();
        timers.push(Steady(20), TARGET);
        timers.wake(None, Steady(10), PROJECT);
        timers.push(Steady(5), TARGET);
        let fired: Vec<Timer> = std::iter::from_fn(|| timers.pop_due(Steady(15))).collect();
        assert_eq!(fired, [TARGET, PROJECT]);
        assert_eq!(timers.next_at(), Some(Steady(20)));
    }
}
