//! The reads that Refit makes of the cloud, one variant per HTTP request (API facts, section 3).

use serde::{Deserialize, Serialize};

use super::id::InstanceId;
use super::time::Wall;

/// Rows per page of the instance list and the task centre: the documented maximum.
pub const PAGE_ROWS: usize = 1_000;

/// Rows per page of an instance's task list, whose maximum is not documented.
pub const INSTANCE_TASK_ROWS: usize = 100;

/// One read. `since` is an instant of the cloud's clock, sent with one-second resolution.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadCall {
    /// `GET /v2/{project}/instances`
    InventoryPage { offset: usize },
    /// `GET /v2/{project}/instances/{id}`
    Instance { instance: InstanceId },
    /// `GET /v2/{project}/instances/{id}/version`
    Versions { instance: InstanceId },
    /// `GET /v2/{project}/instances/{id}/tasks`
    InstanceTasks { instance: InstanceId, since: Wall, offset: usize },
    /// `GET /v2/{project}/tasks`
    TaskCentre { since: Wall, offset: usize },
}
