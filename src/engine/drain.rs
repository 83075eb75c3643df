//! What the file says of a target's way, and what holds instead once its table has left the file:
//! such a campaign starts nothing and only drains, by the file's own defaults.

use crate::model::Millis;
use crate::model::policy::{CampaignPolicy, ProjectPolicy, Retry};

use super::Engine;
use super::index::TargetIx;

/// What work in flight needs to know of its campaign.
struct Draining {
    observe_for: Millis,
    task_timeout: Millis,
    settle: Millis,
    retry: Retry,
}

/// The defaults of the file, but that an attempt found not applied is the last.
const DRAINING: Draining = Draining {
    observe_for: Millis::from_mins(5),
    task_timeout: Millis::from_hours(2),
    settle: Millis::from_mins(2),
    retry: Retry { max_attempts: 1, initial: Millis::from_secs(10), max: Millis::from_mins(15) },
};

/// Of a project that left the file, likewise.
const POLL_INTERVAL: Millis = Millis::from_secs(15);
const REQUEST_TIMEOUT: Millis = Millis::from_secs(30);

impl Engine {
    /// How long an uncertain attempt is observed before it counts as not applied.
    pub(super) fn observe_for(&self, ix: TargetIx) -> Millis {
        if let Some(policy) = self.campaign_policy(ix) {
            return policy.observe_for;
        }
        // The cloud may be slow to show what it took, and another campaign waits for the instance.
        let others = self.settings.campaigns.values().map(|policy| policy.observe_for);
        others.fold(DRAINING.observe_for, Ord::max)
    }

    pub(super) fn task_timeout(&self, ix: TargetIx) -> Millis {
        self.campaign_policy(ix).map_or(DRAINING.task_timeout, |policy| policy.task_timeout)
    }

    pub(super) fn settle_of(&self, ix: TargetIx) -> Millis {
        self.campaign_policy(ix).map_or(DRAINING.settle, |policy| policy.settle)
    }

    pub(super) fn retry_of(&self, ix: TargetIx) -> Retry {
        self.campaign_policy(ix).map_or(DRAINING.retry, |policy| policy.retry)
    }

    pub(super) fn poll_interval(&self, ix: TargetIx) -> Millis {
        self.project_policy(ix).map_or(POLL_INTERVAL, |policy| policy.poll_interval)
    }

    pub(super) fn request_timeout(&self, ix: TargetIx) -> Millis {
        self.project_policy(ix).map_or(REQUEST_TIMEOUT, |policy| policy.request_timeout)
    }

    fn campaign_policy(&self, ix: TargetIx) -> Option<&CampaignPolicy> {
        self.settings.campaigns.get(&self.targets[ix.at()].row.id.campaign)
    }

    fn project_policy(&self, ix: TargetIx) -> Option<&ProjectPolicy> {
        self.settings.projects.get(&self.targets[ix.at()].row.id.project)
    }
}
