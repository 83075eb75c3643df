//! A managed Redis instance as the cloud shows it, decoded leniently and reduced to what decides.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::id::{InstanceId, TaskId};

/// One row of the list, or the answer to "show instance" (API facts, sections 3.1 and 3.2).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Instance {
    pub id: InstanceId,
    pub name: Arc<str>,
    pub status: InstanceStatus,
    /// `Redis`, `Memcached`.
    pub engine: Arc<str>,
    /// The major line as the list tells it: `4.0`, `5.0`, `6.0`.
    pub engine_version: Arc<str>,
    pub cache_mode: CacheMode,
    pub edition: Edition,
    pub spec_code: Arc<str>,
    pub tags: BTreeMap<Arc<str>, Arc<str>>,
    pub zones: Vec<Arc<str>>,
    /// An upgrade task exists; whether minor upgrades set it is unknown (API facts, 8 no. 1).
    pub service_upgrade: bool,
    pub service_task_id: Option<TaskId>,
    pub current_task: CurrentTask,
}

/// The instance's status word (API facts, section 4.1). Every word that is not listed means busy.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstanceStatus {
    Running,
    Frozen,
    Error,
    CreateFailed,
    /// Busy: a documented passing state, or a word nobody has seen yet.
    Other(Arc<str>),
}

impl InstanceStatus {
    pub fn from_word(word: &str) -> InstanceStatus {
        match word {
            "RUNNING" => InstanceStatus::Running,
            "FROZEN" => InstanceStatus::Frozen,
            "ERROR" => InstanceStatus::Error,
            "CREATEFAILED" => InstanceStatus::CreateFailed,
            other => InstanceStatus::Other(other.into()),
        }
    }

    /// The cloud's own word.
    pub fn word(&self) -> &str {
        match self {
            InstanceStatus::Running => "RUNNING",
            InstanceStatus::Frozen => "FROZEN",
            InstanceStatus::Error => "ERROR",
            InstanceStatus::CreateFailed => "CREATEFAILED",
            InstanceStatus::Other(word) => word,
        }
    }
}

/// The field `task` of "show instance", the best busy signal known (API facts, section 3.2).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CurrentTask {
    /// The list does not carry the field.
    NotShown,
    Idle,
    Busy(Arc<str>),
}

/// The deployment form: `cache_mode` of "show", else derived from the spec code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CacheMode {
    Single,
    Ha,
    Cluster,
    Proxy,
    HaRwSplit,
    Unknown,
}

impl CacheMode {
    /// The cloud's own word.
    pub fn word(self) -> &'static str {
        match self {
            CacheMode::Single => "single",
            CacheMode::Ha => "ha",
            CacheMode::Cluster => "cluster",
            CacheMode::Proxy => "proxy",
            CacheMode::HaRwSplit => "ha_rw_split",
            CacheMode::Unknown => "unknown",
        }
    }
}

/// Minor upgrades exist for the basic edition only (API facts, section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edition {
    Basic,
    Enterprise,
    /// The answer named none: the version query decides.
    Unknown,
}

impl Instance {
    /// RUNNING, with no current task and no upgrade by anybody's hand: the only kind that may be
    /// sent an upgrade (rule S10). A list row can never prove it, since it shows no current task.
    pub fn is_idle(&self) -> bool {
        self.status == InstanceStatus::Running
            && self.current_task == CurrentTask::Idle
            && !self.service_upgrade
    }

    /// Redis 4.0 or later, not the enterprise edition (API facts, section 6.3).
    pub fn is_supported(&self) -> bool {
        let major = self.engine_version.split('.').next().and_then(|text| text.parse::<u32>().ok());
        self.engine.eq_ignore_ascii_case("redis")
            && self.edition != Edition::Enterprise
            && major.is_none_or(|major| major >= 4)
    }
}
