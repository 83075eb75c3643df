//! What people are shown: status, plan and the sender's gate, read from the engine on demand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::calendar::{Interval, LONG_AGO};
use crate::model::{CampaignName, InstanceId, Millis, ProjectName, TargetId, Wall};

use super::hold::Hold;
use super::order::Scope;
use super::rows::WatchStrategy;
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
    /// Process-wide reasons why nothing starts, in words.
    pub doubts: Vec<String>,
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
    /// What the first pending target waits for.
    pub hold: Option<Hold>,
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
    pub circuit_open_until: Option<Wall>,
    pub backoff_until: Option<Wall>,
    pub credential_stopped: Option<Arc<str>>,
    pub watch: WatchStrategy,
    pub sweeps: u64,
    /// Cloud clock minus ours, once an answer told it.
    pub skew: Option<Millis>,
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
    Blocked {
        hold: Hold,
    },
    /// Its version answer is still outstanding.
    Unread,
    /// Already under way or over.
    State {
        state: TargetState,
        reason: Option<Reason>,
    },
}
