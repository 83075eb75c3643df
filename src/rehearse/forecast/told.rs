//! What a forecast tells.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Proviso;
use crate::engine::{CampaignState, TargetState};
use crate::model::{CampaignName, InstanceId, ProjectName, Wall};
use crate::rehearse::Spread;

/// Reasons of one campaign that are told. Some name an instant or a target, so there may be many.
const REASONS: usize = 20;

/// What comes, as far as it can be told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forecast {
    pub at: Wall,
    pub seeds: u64,
    /// Seeds that were given up before anybody knew how they end: after too many steps.
    #[serde(default)]
    pub cut_off: u64,
    pub campaigns: Vec<CampaignForecast>,
    /// What had to be assumed, one sentence each.
    pub notes: Vec<String>,
    /// Rules that were broken: a bug.
    pub broken: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CampaignForecast {
    pub name: CampaignName,
    pub state: CampaignState,
    /// All of it holds only if these do.
    pub provided: Vec<Proviso>,
    pub completes: Spread<Wall>,
    /// Targets that are not over.
    pub unfinished: u32,
    /// Of these, those that are not over in most seeds.
    pub never: u32,
    /// Why those are not, the commonest reasons first.
    #[serde(default)]
    pub reasons: Vec<Reason>,
    /// Those that are not over, in the order in which they are expected to start. A daemon tells
    /// of the first only.
    pub targets: Vec<TargetForecast>,
}

/// Why targets never end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    pub why: String,
    /// How many of them.
    pub targets: u32,
    /// The name of the first.
    pub first: Arc<str>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetForecast {
    pub project: ProjectName,
    pub instance: InstanceId,
    pub name: Arc<str>,
    pub state: TargetState,
    /// In the past of what is in flight.
    pub starts: Spread<Wall>,
    pub ends: Spread<Wall>,
    /// Why it is not over in most seeds.
    pub never: Option<String>,
}

impl CampaignForecast {
    /// Targets that [`CampaignForecast::targets`] does not tell of.
    pub fn untold(&self) -> u32 {
        self.unfinished.saturating_sub(self.targets.len() as u32)
    }

    /// Targets that never end, for other reasons than those of [`CampaignForecast::reasons`].
    pub fn unexplained(&self) -> u32 {
        let explained = self.reasons.iter().map(|reason| reason.targets).sum();
        self.never.saturating_sub(explained)
    }
}

/// Why those of the targets never end that do not.
pub(super) fn reasons(targets: &[TargetForecast]) -> Vec<Reason> {
    let mut reasons: BTreeMap<&str, Reason> = BTreeMap::new();
    for target in targets {
        if let Some(why) = &target.never {
            let first = || Reason { why: why.clone(), targets: 0, first: target.name.clone() };
            reasons.entry(why).or_insert_with(first).targets += 1;
        }
    }
    let mut reasons: Vec<Reason> = reasons.into_values().collect();
    reasons.sort_by_key(|reason| std::cmp::Reverse(reason.targets));
    reasons.truncate(REASONS);
    reasons
}
