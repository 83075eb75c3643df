//! What operators order, and what they are told. Orders are idempotent: one that finds its wish
//! already true succeeds and changes nothing.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::{CampaignName, CredentialName, ProjectName, TargetId, TaskId, Wall};

/// One command with who gave it and why; both go into the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    pub actor: Arc<str>,
    #[serde(default)]
    pub reason: Option<Arc<str>>,
    pub command: Command,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    Pause {
        campaign: CampaignName,
    },
    /// Clears what can be cleared and acknowledges failures; names what stays.
    Resume {
        scope: ResumeScope,
    },
    /// For good: pending targets are cancelled, work in flight drains.
    Abort {
        campaign: CampaignName,
    },
    /// `digest` must be the plan's.
    Approve {
        campaign: CampaignName,
        digest: Arc<str>,
    },
    /// Ends a bake early.
    Promote {
        campaign: CampaignName,
    },
    Freeze {
        scope: Scope,
        until: Option<Wall>,
    },
    Unfreeze {
        scope: Scope,
    },
    Resolve {
        target: TargetId,
        verdict: Verdict,
    },
    Hold {
        target: TargetId,
    },
    Release {
        target: TargetId,
    },
    Skip {
        target: TargetId,
    },
    /// Opens a new round of a target that ended.
    Retry {
        target: TargetId,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResumeScope {
    Campaign(CampaignName),
    Project(ProjectName),
    Credential(CredentialName),
}

/// What a freeze covers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    All,
    Project(ProjectName),
    Campaign(CampaignName),
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Scope::All => f.write_str("everything"),
            Scope::Project(name) => write!(f, "project {name}"),
            Scope::Campaign(name) => write!(f, "campaign {name}"),
        }
    }
}

/// What an operator found out about a target that Refit could not resolve by reading.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Applied { task: Option<TaskId> },
    NotApplied,
    Succeeded,
    Failed,
}

/// The answer to an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Reply {
    Done { changed: bool, message: String },
    Refused { refusal: Refusal, message: String },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// Makes no sense in this state: exit 75.
    NotNow,
    /// No such campaign, target, project or credential; the message names the closest: exit 2.
    Unknown,
}
