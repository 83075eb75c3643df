//! The states of a target and of a campaign, and the reasons that go with them (rule S11).

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetState {
    /// Waiting, in backoff (`not_before`) or for its turn.
    Pending,
    /// The intent is committed; the one process that committed it may be sending.
    Submitting,
    /// Sent, acceptance unknown.
    Uncertain,
    /// The cloud's task is known and not over.
    Running,
    /// The task is over or unknown; the instance's version and status decide.
    Verifying,
    Succeeded,
    Failed,
    Skipped,
    Cancelled,
}

impl TargetState {
    pub const ALL: [TargetState; 9] = [
        TargetState::Pending,
        TargetState::Submitting,
        TargetState::Uncertain,
        TargetState::Running,
        TargetState::Verifying,
        TargetState::Succeeded,
        TargetState::Failed,
        TargetState::Skipped,
        TargetState::Cancelled,
    ];

    /// Counts against every cap (rule S5).
    pub fn is_in_flight(self) -> bool {
        matches!(
            self,
            TargetState::Submitting
                | TargetState::Uncertain
                | TargetState::Running
                | TargetState::Verifying
        )
    }

    /// Final within its round.
    pub fn is_terminal(self) -> bool {
        matches!(
            self,
            TargetState::Succeeded
                | TargetState::Failed
                | TargetState::Skipped
                | TargetState::Cancelled
        )
    }

    pub fn word(self) -> &'static str {
        match self {
            TargetState::Pending => "pending",
            TargetState::Submitting => "submitting",
            TargetState::Uncertain => "uncertain",
            TargetState::Running => "running",
            TargetState::Verifying => "verifying",
            TargetState::Succeeded => "succeeded",
            TargetState::Failed => "failed",
            TargetState::Skipped => "skipped",
            TargetState::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for TargetState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Why a target ended as it did.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    // succeeded
    Verified,
    /// The cloud never showed a task; the versions moved.
    Inferred,
    /// `refit resolve`.
    Operator,
    // failed
    StillBusy,
    Forbidden,
    /// The cloud refused with this code.
    Rejected(Arc<str>),
    RetriesExhausted,
    VersionUnchanged,
    /// The task ended badly, with this code where one was shown.
    TaskFailed(Option<Arc<str>>),
    Gone,
    // skipped
    AlreadyCurrent,
    NotUpgradable,
    /// Engine, edition or version without minor upgrades.
    Unsupported,
    /// FROZEN, ERROR or CREATEFAILED, with the word.
    NotRunning(Arc<str>),
    Excluded,
    SingleNode,
    // cancelled
    Aborted,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self {
            Reason::Verified => "verified",
            Reason::Inferred => "inferred",
            Reason::Operator => "operator",
            Reason::StillBusy => "still_busy",
            Reason::Forbidden => "forbidden",
            Reason::Rejected(code) => return write!(f, "rejected:{code}"),
            Reason::RetriesExhausted => "retries_exhausted",
            Reason::VersionUnchanged => "version_unchanged",
            Reason::TaskFailed(Some(code)) => return write!(f, "task_failed:{code}"),
            Reason::TaskFailed(None) => "task_failed",
            Reason::Gone => "gone",
            Reason::AlreadyCurrent => "already_current",
            Reason::NotUpgradable => "not_upgradable",
            Reason::Unsupported => "unsupported",
            Reason::NotRunning(word) => return write!(f, "not_running:{word}"),
            Reason::Excluded => "excluded",
            Reason::SingleNode => "single_node",
            Reason::Aborted => "aborted",
        };
        f.write_str(word)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CampaignState {
    Planned,
    AwaitingApproval,
    Running,
    Paused,
    Completed,
    Aborted,
}

impl CampaignState {
    pub fn is_over(self) -> bool {
        matches!(self, CampaignState::Completed | CampaignState::Aborted)
    }

    pub fn word(self) -> &'static str {
        match self {
            CampaignState::Planned => "planned",
            CampaignState::AwaitingApproval => "awaiting_approval",
            CampaignState::Running => "running",
            CampaignState::Paused => "paused",
            CampaignState::Completed => "completed",
            CampaignState::Aborted => "aborted",
        }
    }
}

impl fmt::Display for CampaignState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Why a campaign is paused; several causes may stand at once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseCause {
    Operator,
    /// The campaign's table is no longer in the file.
    Removed,
    /// A wave ended with an unacknowledged failure.
    WaveFailed,
    Budget,
    /// The same unlisted code three times in a row.
    Code(Arc<str>),
}

impl fmt::Display for PauseCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PauseCause::Operator => f.write_str("operator"),
            PauseCause::Removed => f.write_str("removed"),
            PauseCause::WaveFailed => f.write_str("wave_failed"),
            PauseCause::Budget => f.write_str("budget"),
            PauseCause::Code(code) => write!(f, "code:{code}"),
        }
    }
}

pub type PauseCauses = BTreeSet<PauseCause>;
