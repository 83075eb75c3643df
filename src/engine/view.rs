//! What people are shown: status, plan and the sender's gate, read from the engine on demand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::calendar::{Interval, LONG_AGO};
use crate::model::{CampaignName, CredentialName, InstanceId, Millis, ProjectName, TargetId, Wall};

use super::hold::{Hold, HoldKind};
use super::order::Scope;
use super::rows::{FreezeRow, LateForecast, WatchStrategy};
use super::state::{CampaignState, PauseCause, Reason, TargetState};

/// What may be sent right now, checked again by the sender as its last act (rule S4).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gate {
    /// Nothing at all may be sent: frozen, not the owner, clock or store in doubt, stopping.
    pub closed: bool,
    /// Nothing may be sent for these: paused, aborted, frozen, removed.
    pub campaigns: BTreeSet<CampaignName>,
    /// Nothing may be sent in these: stopped, frozen, credential stopped.
    pub projects: BTreeSet<ProjectName>,
}

impl Gate {
    pub fn allows(&self, target: &TargetId) -> bool {
        !self.closed
            && !self.campaigns.contains(&target.campaign)
            && !self.projects.contains(&target.project)
    }
}

/// The whole fleet at a glance.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub at: Wall,
    pub campaigns: Vec<CampaignStatus>,
    pub projects: Vec<ProjectStatus>,
    pub freezes: Vec<(Scope, Option<Wall>)>,
    /// Who ordered each of the freezes, in the same order.
    #[serde(default)]
    pub frozen_by: Vec<FrozenBy>,
    /// Process-wide reasons why nothing starts, in words.
    pub doubts: Vec<String>,
}

/// Who ordered a freeze, since when, and in what words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrozenBy {
    pub actor: Arc<str>,
    pub reason: Option<Arc<str>>,
    pub since: Wall,
}

impl From<&FreezeRow> for FrozenBy {
    fn from(row: &FreezeRow) -> FrozenBy {
        FrozenBy { actor: row.actor.clone(), reason: row.reason.clone(), since: row.from }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CampaignStatus {
    pub name: CampaignName,
    /// `None` before it is planned: the inventory is not complete, or selects nothing.
    pub state: Option<CampaignState>,
    pub selection_empty: bool,
    pub causes: Vec<PauseCause>,
    pub draining: bool,
    pub digest: Arc<str>,
    pub counts: BTreeMap<TargetState, u32>,
    pub in_flight: u32,
    pub overdue: u32,
    pub needs_operator: u32,
    pub strikes: u32,
    pub wave: u32,
    pub wave_name: Arc<str>,
    pub waves: u32,
    pub bake_until: Option<Wall>,
    /// The running or next interval, per project.
    pub intervals: BTreeMap<ProjectName, Option<IntervalView>>,
    /// What the pending targets wait for: what they all share, else the commonest reason.
    pub hold: Option<Hold>,
    /// How many wait for what, the commonest first. Of a very large campaign the first ten
    /// thousand are counted.
    #[serde(default)]
    pub waits: Vec<HoldCount>,
    /// When everything should be over.
    #[serde(default)]
    pub deadline: Option<Wall>,
    /// When it is expected to be, once that was played through; `None` as well once it is over.
    #[serde(default)]
    pub forecast: Option<ForecastView>,
    /// It is expected to miss its deadline.
    #[serde(default)]
    pub late: Option<LateForecast>,
}

/// When a campaign completes, as seen from `at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForecastView {
    pub at: Wall,
    /// `None`: every other run never completes.
    pub p50: Option<Wall>,
    /// `None`: one run in ten never completes.
    pub p90: Option<Wall>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldCount {
    pub kind: HoldKind,
    pub targets: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntervalView {
    /// May be [`LONG_AGO`].
    pub open: Wall,
    /// No end is in sight: there is neither a close nor a last start.
    pub open_ended: bool,
    pub close: Option<Wall>,
    pub last_start: Option<Wall>,
    pub windows: Vec<crate::model::WindowName>,
}

impl IntervalView {
    /// Open since before anyone looked, with no end in sight.
    pub fn is_always_open(&self) -> bool {
        self.open_ended && self.open == LONG_AGO
    }
}

impl From<&Interval> for IntervalView {
    fn from(interval: &Interval) -> IntervalView {
        IntervalView {
            open: interval.open,
            open_ended: interval.close().is_none(),
            close: interval.close(),
            last_start: interval.last_start(),
            windows: interval.windows.clone(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProjectStatus {
    pub name: ProjectName,
    pub in_flight: u32,
    pub stopped: Option<Arc<str>>,
    #[serde(default)]
    pub stopped_since: Option<Wall>,
    pub circuit_open_until: Option<Wall>,
    pub backoff_until: Option<Wall>,
    /// Since when nobody answers there.
    #[serde(default)]
    pub unreachable: Option<Unreachable>,
    /// The cloud's words, where it refuses the list of instances again and again.
    #[serde(default)]
    pub list_refused: Option<Arc<str>>,
    /// A 429's pause of upgrades, and of everything else.
    #[serde(default)]
    pub starts_paused_until: Option<Wall>,
    #[serde(default)]
    pub reads_paused_until: Option<Wall>,
    pub credential: CredentialName,
    pub credential_stopped: Option<Arc<str>>,
    #[serde(default)]
    pub credential_stopped_since: Option<Wall>,
    /// What a stopped credential means for whatever waits for it, and what helps.
    #[serde(default)]
    pub credential_hold: Option<Hold>,
    pub watch: WatchStrategy,
    pub sweeps: u64,
    /// Cloud clock minus ours, once an answer told it.
    pub skew: Option<Millis>,
}

/// A cloud that does not answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unreachable {
    pub since: Wall,
    /// What the latest try met: the transport's error, or a gateway's status.
    pub cause: Arc<str>,
    /// The next read or start; in the past while one is under way.
    pub next_try: Wall,
}

/// Where one target stands, and why it is not moving.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Why {
    pub target: TargetId,
    /// The instance's name.
    pub name: Arc<str>,
    /// The first reason that applies; `None` once it ended.
    pub hold: Option<Hold>,
    /// What to type for one that ended, where that helps.
    #[serde(default)]
    pub next_command: Option<String>,
    pub state: TargetState,
    /// Why it ended as it did.
    pub reason: Option<Reason>,
}

/// A target that somebody may mean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    pub target: TargetId,
    /// The instance's name.
    pub name: Arc<str>,
}

/// Every instance with its verdict.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub at: Wall,
    pub campaigns: Vec<CampaignPlan>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CampaignPlan {
    pub name: CampaignName,
    pub digest: Arc<str>,
    /// `false` while the inventory or version answers are still being read.
    pub complete: bool,
    pub selection_empty: bool,
    pub waves: Vec<Arc<str>>,
    pub targets: Vec<PlannedTarget>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedTarget {
    pub project: ProjectName,
    pub instance: InstanceId,
    pub name: Arc<str>,
    pub wave: u32,
    pub verdict: PlanVerdict,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanVerdict {
    /// Will be upgraded: from which versions, and the first interval in which its wave may start.
    Upgrade {
        engine: Option<Arc<str>>,
        proxy: Option<Arc<str>>,
        interval: Option<IntervalView>,
    },
    Skipped {
        reason: Reason,
    },
    /// Waits for somebody to act; beside it what an upgrade would be told with, were it not so.
    Blocked {
        hold: Hold,
        #[serde(default)]
        engine: Option<Arc<str>>,
        #[serde(default)]
        proxy: Option<Arc<str>>,
        #[serde(default)]
        interval: Option<IntervalView>,
    },
    /// Its version answer is still outstanding.
    Unread,
    /// Already under way or over.
    State {
        state: TargetState,
        reason: Option<Reason>,
    },
}
