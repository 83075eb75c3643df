//! One project's waiting reads: what each is for, and whose turn it is.
//!
//! Five classes, drawn in order; watching takes at most half, and every class that waits gets at
//! least one in ten.

use std::collections::VecDeque;

use super::index::TargetIx;

/// Draws after which the shares of the classes are counted afresh.
const FRAME: u32 = 10;

/// Of each frame, at most these go to watching while others wait.
const WATCH_SHARE: u32 = 5;

/// An empty queue of at most this capacity keeps its memory.
const KEPT_CAPACITY: usize = 4_096;

/// In the order in which they are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    Reconcile,
    Watch,
    Verify,
    Precheck,
    Inventory,
}

const CLASSES: usize = 5;

/// What a read is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Purpose {
    /// The next page of the inventory sweep.
    Sweep,
    /// The next page of a watch sweep, of the task centre or of the instance list.
    WatchSweep,
    /// Does the task centre show the first accepted task?
    ProbeCentre,
    /// Does the instance list show it?
    ProbeList,
    /// Read ahead for the plan.
    Versions(TargetIx),
    /// Read again because the answer is too old to start on.
    VersionsAgain(TargetIx),
    /// The last look before an intent.
    LastLook(TargetIx),
    LookInstance(TargetIx),
    LookVersions(TargetIx),
    LookTasks {
        target: TargetIx,
        offset: usize,
    },
    Watch {
        target: TargetIx,
        offset: usize,
    },
    VerifyVersions(TargetIx),
    VerifyInstance(TargetIx),
    /// One page of the list for all that wait to begin settling.
    SettleSweep {
        offset: usize,
    },
}

impl Purpose {
    fn class(self) -> Class {
        match self {
            Purpose::LookInstance(_) | Purpose::LookVersions(_) | Purpose::LookTasks { .. } => {
                Class::Reconcile
            }
            Purpose::Watch { .. }
            | Purpose::WatchSweep
            | Purpose::ProbeCentre
            | Purpose::ProbeList => Class::Watch,
            Purpose::VerifyVersions(_)
            | Purpose::VerifyInstance(_)
            | Purpose::SettleSweep { .. } => Class::Verify,
            Purpose::Versions(_) | Purpose::VersionsAgain(_) | Purpose::LastLook(_) => {
                Class::Precheck
            }
            Purpose::Sweep => Class::Inventory,
        }
    }

    /// Whether the answer speaks for or against one upgrade.
    pub(super) fn is_proof(self) -> bool {
        match self.class() {
            Class::Reconcile | Class::Precheck => true,
            Class::Verify => self.target().is_some(),
            Class::Watch | Class::Inventory => false,
        }
    }

    pub(super) fn target(self) -> Option<TargetIx> {
        match self {
            Purpose::Versions(target)
            | Purpose::VersionsAgain(target)
            | Purpose::LastLook(target)
            | Purpose::LookInstance(target)
            | Purpose::LookVersions(target)
            | Purpose::LookTasks { target, .. }
            | Purpose::Watch { target, .. }
            | Purpose::VerifyVersions(target)
            | Purpose::VerifyInstance(target) => Some(target),
            Purpose::Sweep
            | Purpose::WatchSweep
            | Purpose::ProbeCentre
            | Purpose::ProbeList
            | Purpose::SettleSweep { .. } => None,
        }
    }
}

/// A read that waits, with the epoch of the target that wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Wanted {
    pub(super) purpose: Purpose,
    pub(super) epoch: u32,
}

/// One project's waiting reads.
#[derive(Debug, Default)]
pub(super) struct ReadQueue {
    waiting: [VecDeque<Wanted>; CLASSES],
    /// Draws of this frame, per class.
    drawn: [u32; CLASSES],
}

impl ReadQueue {
    pub(super) fn push(&mut self, wanted: Wanted) {
        // Last looks go before read-ahead: a slot waits for them.
        let queue = &mut self.waiting[wanted.purpose.class() as usize];
        match wanted.purpose {
            Purpose::LastLook(_) | Purpose::VersionsAgain(_) => queue.push_front(wanted),
            _ => queue.push_back(wanted),
        }
    }

    /// All that wait, class by class.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Wanted> {
        self.waiting.iter().flatten()
    }

    pub(super) fn push_front(&mut self, wanted: Wanted) {
        self.waiting[wanted.purpose.class() as usize].push_front(wanted);
    }

    /// The class whose turn it is.
    pub(super) fn turn(&self) -> Option<usize> {
        let waits = |class: usize| !self.waiting[class].is_empty();
        let left = FRAME.saturating_sub(self.drawn.iter().sum());
        let starved = |class: &usize| waits(*class) && self.drawn[*class] == 0;
        let starving = (0..CLASSES).filter(starved).count() as u32;
        if starving > 0 && left <= starving {
            return (0..CLASSES).find(starved);
        }
        let watch = Class::Watch as usize;
        let others_wait = (0..CLASSES).any(|class| class != watch && waits(class));
        let watch_is_due = !others_wait || self.drawn[watch] < WATCH_SHARE;
        (0..CLASSES).find(|&class| waits(class) && (class != watch || watch_is_due))
    }

    /// The next read of this class.
    pub(super) fn head(&self, class: usize) -> Option<Wanted> {
        self.waiting[class].front().copied()
    }

    pub(super) fn pop(&mut self, class: usize) -> Option<Wanted> {
        let queue = &mut self.waiting[class];
        let wanted = queue.pop_front();
        if queue.is_empty() && queue.capacity() > KEPT_CAPACITY {
            // Read-ahead of a whole fleet was in it, once.
            *queue = VecDeque::new();
        }
        wanted
    }

    pub(super) fn count(&mut self, class: usize) {
        if self.drawn.iter().sum::<u32>() >= FRAME {
            self.drawn = [0; CLASSES];
        }
        self.drawn[class] += 1;
    }
}
