//! Every read that the cloud answers, with its filters: more than Refit itself asks for.

use super::decision::CallKind;
use crate::model::call::{INSTANCE_TASK_ROWS, PAGE_ROWS};
use crate::model::{InstanceId, ReadCall, TaskId, Wall};

/// One call that is not an upgrade.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    List(ListQuery),
    Show {
        instance: InstanceId,
    },
    Version {
        instance: InstanceId,
    },
    InstanceTasks {
        instance: InstanceId,
        query: TaskQuery,
    },
    TaskCentre(TaskQuery),
    Progress {
        instance: InstanceId,
        task: TaskId,
    },
    /// Without an instance: the form of the task centre.
    DeleteTask {
        instance: Option<InstanceId>,
        task: TaskId,
    },
    StatusCounts,
    Statistics,
    Backups {
        instance: InstanceId,
    },
    MaintainWindows,
}

/// Filters of the instance list (API facts, section 3.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListQuery {
    pub offset: usize,
    pub limit: usize,
    pub instance: Option<String>,
    pub name: Option<NameFilter>,
    pub status: Option<String>,
    /// All must match.
    pub tags: Vec<(String, String)>,
    /// Also what was never created, or is deleted.
    pub include: Vec<Include>,
}

impl ListQuery {
    /// Whether it asks for every row.
    pub fn is_unfiltered(&self) -> bool {
        let ListQuery { offset, limit, .. } = *self;
        *self == ListQuery { offset, limit, ..ListQuery::default() }
    }
}

/// Rows that the list shows only on demand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Include {
    Failed,
    Deleted,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameFilter {
    Contains(String),
    Equals(String),
}

/// Filters of the task lists (API facts, sections 3.5 and 3.7).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TaskQuery {
    pub offset: usize,
    /// Absent: the call's default.
    pub limit: Option<usize>,
    /// By creation.
    pub from: Option<Wall>,
    pub until: Option<Wall>,
}

impl Ask {
    pub fn kind(&self) -> CallKind {
        match self {
            Ask::List(_) => CallKind::List,
            Ask::Show { .. } => CallKind::Show,
            Ask::Version { .. } => CallKind::Version,
            Ask::InstanceTasks { .. } => CallKind::InstanceTasks,
            Ask::TaskCentre(_) => CallKind::TaskCentre,
            Ask::Progress { .. } => CallKind::Progress,
            Ask::DeleteTask { .. } => CallKind::DeleteTask,
            Ask::StatusCounts => CallKind::StatusCounts,
            Ask::Statistics => CallKind::Statistics,
            Ask::Backups { .. } => CallKind::Backups,
            Ask::MaintainWindows => CallKind::MaintainWindows,
        }
    }

    pub fn instance(&self) -> Option<&InstanceId> {
        match self {
            Ask::Show { instance }
            | Ask::Version { instance }
            | Ask::InstanceTasks { instance, .. }
            | Ask::Progress { instance, .. }
            | Ask::Backups { instance } => Some(instance),
            Ask::DeleteTask { instance, .. } => instance.as_ref(),
            _ => None,
        }
    }
}

impl From<&ReadCall> for Ask {
    fn from(call: &ReadCall) -> Ask {
        // The query's times have one second.
        let tasks = |since: Wall, offset, limit| TaskQuery {
            offset,
            limit: Some(limit),
            from: Some(Wall(since.0.div_euclid(1_000) * 1_000)),
            until: None,
        };
        match call {
            ReadCall::InventoryPage { offset } => {
                Ask::List(ListQuery { offset: *offset, limit: PAGE_ROWS, ..ListQuery::default() })
            }
            ReadCall::Instance { instance } => Ask::Show { instance: instance.clone() },
            ReadCall::Versions { instance } => Ask::Version { instance: instance.clone() },
            ReadCall::InstanceTasks { instance, since, offset } => Ask::InstanceTasks {
                instance: instance.clone(),
                query: tasks(*since, *offset, INSTANCE_TASK_ROWS),
            },
            ReadCall::TaskCentre { since, offset } => {
                Ask::TaskCentre(tasks(*since, *offset, PAGE_ROWS))
            }
        }
    }
}
