//! Why a target is not moving: exactly one typed reason, the first that applies
//! (docs/decisions.md: holds).
//! Here is what a hold is; `holds` finds the one that applies.

use serde::{Deserialize, Serialize};

use crate::model::{TargetId, Wall};

use super::order::Scope;

/// In the documented order: cheap global reasons first, prechecks before caps, so that a cap never
/// hides "will never be sent".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldKind {
    Frozen,
    OutsideWindow,
    PastCutoff,
    /// Its upgrade would not be over before the end of this interval.
    DoesNotFit,
    /// Nor before the end of any that comes.
    NeverFits,
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
    // Sent. One that needs an operator is both of the others too, and says that first.
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
            HoldKind::DoesNotFit => "does_not_fit",
            HoldKind::NeverFits => "never_fits",
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
    /// Commands that may be the right ones instead.
    #[serde(default)]
    pub alternatives: Vec<String>,
}

impl Hold {
    pub(super) fn new(kind: HoldKind, detail: impl Into<String>) -> Hold {
        Hold {
            kind,
            detail: detail.into(),
            since: None,
            earliest: None,
            next_command: None,
            alternatives: Vec::new(),
        }
    }

    pub(super) fn since(self, at: Wall) -> Hold {
        Hold { since: Some(at), ..self }
    }

    pub(super) fn earliest(self, at: Wall) -> Hold {
        Hold { earliest: Some(at), ..self }
    }

    pub(super) fn next(self, command: impl Into<String>) -> Hold {
        Hold { next_command: Some(command.into()), ..self }
    }

    pub(super) fn or(mut self, command: impl Into<String>) -> Hold {
        self.alternatives.push(command.into());
        self
    }

    /// The first of them, or one of the others.
    pub(super) fn next_of(self, commands: Vec<String>) -> Hold {
        let mut commands = commands.into_iter();
        Hold { next_command: commands.next(), alternatives: commands.collect(), ..self }
    }
}

/// The command that lifts an operator's freeze of that scope.
pub fn unfreeze_command(scope: &Scope) -> String {
    match scope {
        Scope::All => "refit unfreeze --all".to_owned(),
        Scope::Project(name) => {
            format!("refit unfreeze --project {}", shell_word(name.as_str()))
        }
        Scope::Campaign(name) => {
            format!("refit unfreeze --campaign {}", shell_word(name.as_str()))
        }
    }
}

/// `refit release campaign/project/instance`: an order about one target.
pub(super) fn target_command(verb: &str, target: &TargetId) -> String {
    format!("refit {verb} {}", shell_word(&target.to_string()))
}

/// A text as one word of a shell's command line.
pub fn shell_word(text: &str) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || "/._-:=@%+,".contains(letter);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}
