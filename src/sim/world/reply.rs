//! What the world answers to one call: status, error, content, and how it meets the caller.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::decision::{Decision, Fate};
use crate::model::{InstanceId, Millis, ReadAnswer, TaskId, Wall};

/// The answer to one call.
#[derive(Debug, Clone)]
pub struct WorldReply {
    pub decision: Decision,
    /// HTTP status.
    pub status: u16,
    /// Present exactly where the status is an error.
    pub error: Option<ErrorBody>,
    pub retry_after: Option<RetryAfter>,
    pub content: Content,
    /// An upgrade began by this call.
    pub applied: bool,
    /// The task that began by this call, even where the caller never learns of it.
    pub task: Option<TaskId>,
    /// From the call to its answer.
    pub latency: Millis,
    /// The cloud's clock at the answer.
    pub server_time: Wall,
}

impl WorldReply {
    /// How the answer meets the caller.
    pub fn fate(&self) -> Fate {
        self.decision.fate()
    }
}

/// The body of an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorBody {
    pub code: Arc<str>,
    pub message: Arc<str>,
}

impl ErrorBody {
    pub fn new(code: &str, message: impl Into<Arc<str>>) -> ErrorBody {
        ErrorBody { code: code.into(), message: message.into() }
    }

    /// Gateway errors carry a request id in the body (API facts, section 3).
    pub fn is_of_the_gateway(&self) -> bool {
        self.code.starts_with("APIGW.")
    }
}

/// A `Retry-After` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RetryAfter {
    Seconds(i64),
    Date(Wall),
    /// Verbatim from a fault file.
    Text(Arc<str>),
}

/// What a call that went well brings.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    Nothing,
    Accepted {
        task: TaskId,
    },
    Read(ReadAnswer),
    Progress(ProgressReport),
    /// Instances per status word, per engine.
    StatusCounts(BTreeMap<Arc<str>, BTreeMap<Arc<str>, u64>>),
    /// The RUNNING instances.
    Statistics(Vec<InstanceId>),
    MaintainWindows,
}

/// The progress of one task (API facts, section 3.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgressReport {
    /// 0 to 100.
    pub percent: u8,
    pub remaining: Millis,
    pub begun_at: Wall,
    pub failed: bool,
}
