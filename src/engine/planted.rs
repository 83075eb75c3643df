//! Defects that can be planted, to show that the checker and the simulations would find them.
//!
//! Only the feature `planted-defects` makes them possible, which nothing that is shipped has:
//! without it [`Planted`] holds nothing, and whether a defect is planted is a constant "no". With
//! it a host says which one, for one engine, at run time. Each is a slip that somebody could make.

/// One slip, and the rule that it breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Defect {
    /// Two campaigns may have an attempt open for one instance (S1).
    UniqueIndexIgnored,
    /// The first clean look is taken for proof (S3).
    LookSkipped,
    /// The request leaves before its intent is on disk (S2).
    IntentAfterSend,
    /// A prepared target starts although the cutoff has passed meanwhile (S4).
    CutoffNotRechecked,
    /// The sender's last check, of gate and ticket, is left out (S4).
    LastCheckSkipped,
    /// One failure more than the budget allows (S8).
    BudgetOffByOne,
    /// A bake counts from the wave's first start instead of from its end (S7).
    BakeFromWaveStart,
    /// A restart begins with full buckets (S6).
    BurstAtRestart,
    /// An overdue target gives its slot back (S5).
    SlotFreedOnTimeout,
    /// A version answer of an earlier process starts something (S10).
    VersionsOfEarlierProcess,
    /// What was observed before a restart counts as observed (S3).
    ObservationCarriedOver,
    /// A 429 pauses for its window, whatever its Retry-After says (S9).
    RetryAfterIgnored,
    /// An operator's freeze is acknowledged and ignored (S9).
    FreezeIgnored,
    /// A task's SUCCESS is taken for the proof, whatever the versions say (S13).
    TaskTrusted,
}

/// The defect of one engine; none, unless a test plants one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Planted {
    #[cfg(feature = "planted-defects")]
    defect: Option<Defect>,
}

#[cfg(feature = "planted-defects")]
impl Planted {
    pub const fn one(defect: Defect) -> Planted {
        Planted { defect: Some(defect) }
    }

    pub(crate) fn has(self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }
}

#[cfg(not(feature = "planted-defects"))]
impl Planted {
    pub(crate) const fn has(self, _: Defect) -> bool {
        false
    }
}
