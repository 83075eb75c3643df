//! How long upgrades take, learned by class, over all campaigns and projects.
//!
//! Learned only of what was seen from end to end: a 200 named the task, no answer of the round was
//! ever in doubt, nobody was called, and one process watched from the intent to the first sight of
//! the finished upgrade. The event that tells the success tells the duration too, so that the ledger
//! folds to the rows. What is made of it stands in `fit`.

use std::collections::BTreeMap;

use super::Engine;
use super::event::LearnedDuration;
use super::index::{ClassIx, TargetIx};
use super::rows::{DurationRow, VerifyAfter};
use super::state::Reason;
use crate::model::duration::{DurationClass, Parts, Samples};
use crate::model::{Millis, UpgradeBody};

/// Every class that a target was ever queued in or measured of.
#[derive(Debug, Default)]
pub(super) struct Durations {
    classes: Vec<Measured>,
    index: BTreeMap<DurationClass, ClassIx>,
}

/// One class, and the percentiles of its samples.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) class: DurationClass,
    pub(super) samples: Samples,
    /// `None` until there are enough samples.
    pub(super) p50: Option<Millis>,
    pub(super) p95: Option<Millis>,
}

impl Measured {
    fn new(class: DurationClass, samples: Samples) -> Measured {
        let (p50, p95) = (samples.percentile(50), samples.percentile(95));
        Measured { class, samples, p50, p95 }
    }

    fn row(&self) -> DurationRow {
        DurationRow { class: self.class, samples: self.samples.clone() }
    }
}

impl Durations {
    pub(super) fn get(&self, ix: ClassIx) -> &Measured {
        &self.classes[ix.at()]
    }

    pub(super) fn find(&self, class: DurationClass) -> Option<ClassIx> {
        self.index.get(&class).copied()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = ClassIx> + use<> {
        (0..self.classes.len() as u32).map(ClassIx)
    }

    fn enter(&mut self, class: DurationClass, samples: Samples) -> ClassIx {
        let ix = ClassIx(self.classes.len() as u32);
        self.classes.push(Measured::new(class, samples));
        self.index.insert(class, ix);
        ix
    }

    /// As they are kept: those of which anything was measured.
    pub(super) fn rows(&self) -> Vec<DurationRow> {
        let measured = self.classes.iter().filter(|each| !each.samples.is_empty());
        measured.map(Measured::row).collect()
    }
}

impl Engine {
    pub(super) fn load_durations(&mut self, rows: Vec<DurationRow>) {
        for row in rows {
            self.durations.enter(row.class, row.samples);
        }
    }

    /// The place of a class, which is entered where it is new.
    pub(super) fn enter_class(&mut self, class: DurationClass) -> ClassIx {
        if let Some(known) = self.durations.find(class) {
            return known;
        }
        let ix = self.durations.enter(class, Samples::default());
        self.class_changed(ix);
        ix
    }

    /// The class of the upgrade that a pending target waits for: by its versions once they are
    /// read, before by all that the campaign asks for.
    pub(super) fn class_of(&self, ix: TargetIx) -> DurationClass {
        let target = &self.targets[ix.at()];
        let asked = || {
            let policy = self.settings.campaigns.get(&target.row.id.campaign)?;
            let (engine, proxy) = (policy.engine.clone(), policy.proxy.clone());
            Parts::of(&UpgradeBody { engine, proxy })
        };
        let parts = self.body_for(ix).as_ref().and_then(Parts::of).or_else(asked);
        DurationClass {
            cache_mode: self.instances[target.instance.at()].cache_mode,
            parts: parts.unwrap_or(Parts::Engine),
        }
    }

    /// The same as a place; `None` where it was never queued, so that nothing is known of it.
    pub(super) fn known_class(&self, ix: TargetIx) -> Option<ClassIx> {
        self.durations.find(self.class_of(ix))
    }

    /// What this success tells of its class; nothing, where any part of it was not watched.
    pub(super) fn measured(&self, ix: TargetIx, reason: &Reason) -> Option<LearnedDuration> {
        let row = &self.targets[ix.at()].row;
        let (flight, attempt) = (row.detail.flight.as_deref()?, self.attempts.get(&ix)?);
        let is_whole = *reason == Reason::Verified
            && flight.is_accepted
            && flight.verify_after == Some(VerifyAfter::Success)
            && !flight.is_unmeasured
            && !row.detail.history().was_uncertain;
        let took = flight.finished_at.filter(|_| is_whole)? - attempt.intent_at;
        Some(LearnedDuration { class: self.class_in_flight(ix)?, took })
    }

    /// The class of what was sent; `None` of a target without an attempt.
    pub(super) fn class_in_flight(&self, ix: TargetIx) -> Option<DurationClass> {
        let cache_mode = self.instances[self.targets[ix.at()].instance.at()].cache_mode;
        Some(DurationClass { cache_mode, parts: Parts::of(&self.attempts.get(&ix)?.body)? })
    }

    pub(super) fn learn(&mut self, learned: LearnedDuration) {
        let ix = self.enter_class(learned.class);
        let measured = &mut self.durations.classes[ix.at()];
        let before = (measured.p50, measured.p95);
        measured.samples.push(learned.took);
        *measured = Measured::new(learned.class, std::mem::take(&mut measured.samples));
        let (row, after) = (measured.row(), (measured.p50, measured.p95));
        self.changes().durations.push(row);
        if before != after {
            self.class_changed(ix);
        }
    }

    /// Its duration tells nothing: something delayed it, or the sight of its end.
    pub(super) fn leave_unmeasured(&mut self, ix: TargetIx) {
        self.edit_flight(ix, |flight| flight.is_unmeasured = true);
    }

    /// Nobody watched between two processes: an upgrade whose end was not seen before may have been
    /// over at any time since.
    pub(super) fn unwatched(&mut self, ix: TargetIx) {
        let flight = self.targets[ix.at()].row.detail.flight.as_deref();
        if flight.is_some_and(|flight| flight.finished_at.is_none() && !flight.is_unmeasured) {
            self.leave_unmeasured(ix);
        }
    }
}
