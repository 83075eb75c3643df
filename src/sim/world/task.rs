//! One background task of the cloud: how it runs, what its record shows at an instant.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::knobs::{Knobs, Progress};
use super::reply::ProgressReport;
use super::spec::Outcome;
use crate::model::{Millis, Task, TaskId, TaskStatus, UpgradeBody, Wall};

/// A task of somebody.
#[derive(Debug, Clone)]
pub(super) struct SimTask {
    pub id: TaskId,
    /// Its id in the task centre.
    pub centre_id: TaskId,
    pub user_id: Arc<str>,
    pub body: UpgradeBody,
    pub outcome: Outcome,
    pub began: Wall,
    /// From then on any sign of it shows.
    pub shows_at: Wall,
    pub takes: Millis,
    pub state: TaskState,
    pub ended_at: Option<Wall>,
    /// Its record was deleted or has vanished.
    pub gone: bool,
}

/// Where a task stands in truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    Open,
    Succeeded,
    Failed,
}

impl TaskState {
    /// The word of the task's record.
    pub fn word(self) -> &'static str {
        match self {
            TaskState::Open => "EXECUTING",
            TaskState::Succeeded => "SUCCESS",
            TaskState::Failed => "FAILED",
        }
    }
}

/// Where the record is read: its id may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RecordOf {
    Instance,
    Centre,
}

impl SimTask {
    pub fn half_at(&self) -> Wall {
        self.began + Millis(self.takes.0 / 2)
    }

    /// Whether a list shows the record.
    pub fn is_listed(&self, now: Wall, knobs: &Knobs) -> bool {
        let kept = knobs.records_kept.0;
        let forgotten =
            kept > Millis::ZERO && self.ended_at.is_some_and(|ended| now - ended >= kept);
        self.shows_at <= now && !self.gone && !forgotten
    }

    pub fn record(&self, now: Wall, name: &Arc<str>, place: RecordOf) -> Task {
        let status = match self.state {
            TaskState::Open if self.outcome == Outcome::UnknownWord && now >= self.half_at() => {
                TaskStatus::Unknown("SWITCHING".into())
            }
            TaskState::Open => TaskStatus::Open,
            TaskState::Succeeded => TaskStatus::Succeeded,
            TaskState::Failed => TaskStatus::Failed,
        };
        let failed = self.state == TaskState::Failed;
        Task {
            id: match place {
                RecordOf::Instance => self.id.clone(),
                RecordOf::Centre => self.centre_id.clone(),
            },
            name: name.clone(),
            status,
            created_at: Some(self.began),
            updated_at: Some(self.ended_at.unwrap_or(self.began)),
            user_id: Some(self.user_id.clone()),
            error_code: failed.then(|| "DCS.4842".into()),
        }
    }

    /// The progress, unless the cloud keeps it to itself.
    pub fn progress(&self, now: Wall, knobs: &Knobs) -> Option<ProgressReport> {
        if knobs.progress == Progress::Absent {
            return None;
        }
        let elapsed = (now - self.began).0.clamp(0, self.takes.0.max(1));
        let mut percent = 100 * elapsed / self.takes.0.max(1);
        if self.outcome == Outcome::ProgressBackwards && now >= self.half_at() {
            percent = 100 - percent;
        }
        if self.state == TaskState::Open {
            percent = percent.min(99);
        } else if self.state == TaskState::Succeeded {
            percent = 100;
        }
        let remaining = match self.state {
            TaskState::Open => Millis((self.takes.0 - elapsed).max(0)),
            _ => Millis::ZERO,
        };
        Some(ProgressReport {
            percent: u8::try_from(percent).expect("a percentage fits a byte"),
            remaining,
            begun_at: self.began,
            failed: self.state == TaskState::Failed,
        })
    }
}
