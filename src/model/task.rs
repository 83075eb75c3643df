//! The cloud's background tasks (API facts, sections 3.5, 3.7 and 4.2).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::id::TaskId;
use super::time::Wall;

/// One row of the instance's task list or of the project's task centre.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    pub id: TaskId,
    pub name: Arc<str>,
    pub status: TaskStatus,
    /// The cloud's clock.
    pub created_at: Option<Wall>,
    pub updated_at: Option<Wall>,
    /// Who started it.
    pub user_id: Option<Arc<str>>,
    pub error_code: Option<Arc<str>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskStatus {
    /// EXECUTING, CREATED, WAITING.
    Open,
    /// SUCCESS.
    Succeeded,
    /// FAILED, FAIL, CANCELLED, CANCELED, DELETED.
    Failed,
    /// Any other word: keep watching.
    Unknown(Arc<str>),
}

impl TaskStatus {
    pub fn from_word(word: &str) -> TaskStatus {
        match word {
            "EXECUTING" | "CREATED" | "WAITING" => TaskStatus::Open,
            "SUCCESS" => TaskStatus::Succeeded,
            "FAILED" | "FAIL" | "CANCELLED" | "CANCELED" | "DELETED" => TaskStatus::Failed,
            other => TaskStatus::Unknown(other.into()),
        }
    }

    pub fn is_over(&self) -> bool {
        matches!(self, TaskStatus::Succeeded | TaskStatus::Failed)
    }
}

/// Task names documented for other operations (API facts, section 4.3): never an upgrade.
pub const OTHER_TASK_NAMES: [&str; 11] = [
    "EXTEND",
    "ChangeInstanceSpec",
    "BindEip",
    "UnBindEip",
    "AddReplica",
    "DelReplica",
    "AddWhitelist",
    "UpdatePort",
    "RemoveIpFromDns",
    "masterStandbySwapJob",
    "DeleteAcl",
];
