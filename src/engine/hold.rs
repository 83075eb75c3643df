//! Why a target is not moving: exactly one typed reason, the first that applies (design: holds).

use serde::{Deserialize, Serialize};

use crate::model::Wall;

/// In the documented order: cheap global reasons first, prechecks before caps, so that a cap never
/// hides "will never be sent".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldKind {
    Frozen,
    OutsideWindow,
    PastCutoff,
    CampaignPaused,
    CampaignRemoved,
    ProjectStopped,
    CircuitOpen,
    Credential,
    ClockSuspect,
    Store,
    NotOwner,
    Stopping,
    Held,
    AwaitingApproval,
    WaveNotOpen,
    Baking,
    BudgetTripped,
    OtherCampaign,
    Precheck,
    Conflict,
    Backoff,
    DisruptionBudget,
    MaxInFlight,
    RateLimited,
    // Sent.
    Uncertain,
    Overdue,
    NeedsOperator,
    /// Sent and moving as it should: not a hold, but the honest answer to `refit why`.
    InProgress,
}

impl HoldKind {
    pub fn word(self) -> &'static str {
        match self {
            HoldKind::Frozen => "frozen",
            HoldKind::OutsideWindow => "outside_window",
            HoldKind::PastCutoff => "past_cutoff",
            HoldKind::CampaignPaused => "campaign_paused",
            HoldKind::CampaignRemoved => "campaign_removed",
            HoldKind::ProjectStopped => "project_stopped",
            HoldKind::CircuitOpen => "circuit_open",
            HoldKind::Credential => "credential",
            HoldKind::ClockSuspect => "clock_suspect",
            HoldKind::Store => "store",
            HoldKind::NotOwner => "not_owner",
            HoldKind::Stopping => "stopping",
            HoldKind::Held => "held",
            HoldKind::AwaitingApproval => "awaiting_approval",
            HoldKind::WaveNotOpen => "wave_not_open",
            HoldKind::Baking => "baking",
            HoldKind::BudgetTripped => "budget_tripped",
            HoldKind::OtherCampaign => "other_campaign",
            HoldKind::Precheck => "precheck",
            HoldKind::Conflict => "conflict",
            HoldKind::Backoff => "backoff",
            HoldKind::DisruptionBudget => "disruption_budget",
            HoldKind::MaxInFlight => "max_in_flight",
            HoldKind::RateLimited => "rate_limited",
            HoldKind::Uncertain => "uncertain",
            HoldKind::Overdue => "overdue",
            HoldKind::NeedsOperator => "needs_operator",
            HoldKind::InProgress => "in_progress",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    pub kind: HoldKind,
    /// What exactly: the freeze's name, the group that is full, the code of the conflict.
    pub detail: String,
    /// Since when it holds, where that is known.
    pub since: Option<Wall>,
    /// The earliest next start, as far as can be told.
    pub earliest: Option<Wall>,
    /// The command to type next, where one helps.
    pub next_command: Option<String>,
}
