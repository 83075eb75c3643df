//! What the cloud does with one call: the word in its log, and what the word means.

use serde::{Deserialize, Serialize};

/// The calls that the simulated cloud tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallKind {
    Upgrade,
    List,
    Show,
    Version,
    InstanceTasks,
    TaskCentre,
    Progress,
    DeleteTask,
    StatusCounts,
    Statistics,
    Backups,
    MaintainWindows,
    /// IAM: a token for a password.
    Token,
    /// IAM: the list of projects.
    Projects,
    /// The metadata address.
    Metadata,
}

impl CallKind {
    pub fn word(self) -> &'static str {
        match self {
            CallKind::Upgrade => "upgrade",
            CallKind::List => "list",
            CallKind::Show => "show",
            CallKind::Version => "version",
            CallKind::InstanceTasks => "instance_tasks",
            CallKind::TaskCentre => "task_centre",
            CallKind::Progress => "progress",
            CallKind::DeleteTask => "delete_task",
            CallKind::StatusCounts => "status_counts",
            CallKind::Statistics => "statistics",
            CallKind::Backups => "backups",
            CallKind::MaintainWindows => "maintain_windows",
            CallKind::Token => "token",
            CallKind::Projects => "projects",
            CallKind::Metadata => "metadata",
        }
    }

    pub fn is_iam(self) -> bool {
        matches!(self, CallKind::Token | CallKind::Projects)
    }

    /// A call of the service that changes nothing.
    pub fn is_read(self) -> bool {
        !self.is_iam()
            && !matches!(self, CallKind::Upgrade | CallKind::DeleteTask | CallKind::Metadata)
    }
}

/// What the cloud decided to do with a call.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    #[default]
    Ok,
    /// The service refused by its own rules.
    Rejected,
    DropBeforeApply,
    ApplyThenDrop,
    #[serde(rename = "apply_then_500")]
    ApplyThen500,
    #[serde(rename = "error_500_before")]
    Error500Before,
    #[serde(rename = "429")]
    Throttled,
    /// Applied, answered late.
    Slow,
    /// One byte per second.
    SlowLoris,
    /// Half of the body, then silence.
    Stalled,
    /// Half of the announced body, then the end of the connection.
    Truncated,
    #[serde(rename = "badjson")]
    BadJson,
    /// JSON with bytes that are not UTF-8.
    #[serde(rename = "badutf8")]
    BadUtf8,
    /// JSON whose fields have impossible types.
    #[serde(rename = "badtype")]
    BadType,
    /// A login page with status 200.
    Html,
    /// Status 200 without a body.
    Empty,
    /// `{}`.
    NoTaskId,
    /// A task id with line breaks, SQL and HTML, a megabyte long.
    BadTaskId,
    /// Nested a hundred thousand times.
    Deep,
    /// Each key twice, the second with another value.
    DupKeys,
    Redirect,
    /// A gigabyte of blanks.
    Huge,
    /// A gigabyte of blanks, gzipped.
    GzipBomb,
    EndlessHeaders,
    /// Answered well, then the kept connection is closed without a word.
    CloseIdle,
    /// APIGW.0301.
    #[serde(rename = "401")]
    Unauthorized,
    /// 401 APIGW.0307: the token must be updated.
    TokenExpired,
    #[serde(rename = "403")]
    Forbidden,
    /// 404 APIGW.0101: the call is not published here.
    Absent,
}

/// How a decision meets the caller, for hosts without a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The answer arrives as the reply states it.
    Answered,
    /// No answer arrives: the connection ends, or the caller's patience does.
    Lost,
    /// An answer arrives and its content cannot be read.
    Garbled,
}

impl Decision {
    /// Every decision, for documentation and tests.
    pub const ALL: [Decision; 29] = [
        Decision::Ok,
        Decision::Rejected,
        Decision::DropBeforeApply,
        Decision::ApplyThenDrop,
        Decision::ApplyThen500,
        Decision::Error500Before,
        Decision::Throttled,
        Decision::Slow,
        Decision::SlowLoris,
        Decision::Stalled,
        Decision::Truncated,
        Decision::BadJson,
        Decision::BadUtf8,
        Decision::BadType,
        Decision::Html,
        Decision::Empty,
        Decision::NoTaskId,
        Decision::BadTaskId,
        Decision::Deep,
        Decision::DupKeys,
        Decision::Redirect,
        Decision::Huge,
        Decision::GzipBomb,
        Decision::EndlessHeaders,
        Decision::CloseIdle,
        Decision::Unauthorized,
        Decision::TokenExpired,
        Decision::Forbidden,
        Decision::Absent,
    ];

    /// The word in files and in the log.
    pub fn word(self) -> String {
        match serde_json::to_value(self) {
            Ok(serde_json::Value::String(word)) => word,
            other => unreachable!("a unit variant is a string, not {other:?}"),
        }
    }

    /// Whether the service itself sees the call: an upgrade then takes place unless it refuses.
    pub fn applies(self) -> bool {
        !matches!(
            self,
            Decision::Rejected
                | Decision::DropBeforeApply
                | Decision::Error500Before
                | Decision::Throttled
                | Decision::Redirect
                | Decision::Unauthorized
                | Decision::TokenExpired
                | Decision::Forbidden
                | Decision::Absent
        )
    }

    pub fn fate(self) -> Fate {
        match self {
            Decision::DropBeforeApply
            | Decision::ApplyThenDrop
            | Decision::SlowLoris
            | Decision::Stalled
            | Decision::EndlessHeaders => Fate::Lost,
            Decision::Truncated
            | Decision::BadJson
            | Decision::BadUtf8
            | Decision::BadType
            | Decision::Html
            | Decision::Empty
            | Decision::NoTaskId
            | Decision::BadTaskId
            | Decision::Deep
            | Decision::DupKeys
            | Decision::Huge
            | Decision::GzipBomb => Fate::Garbled,
            _ => Fate::Answered,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_those_of_the_log_and_of_fault_files() {
        for (decision, word) in [
            (Decision::Ok, "ok"),
            (Decision::DropBeforeApply, "drop_before_apply"),
            (Decision::ApplyThen500, "apply_then_500"),
            (Decision::Error500Before, "error_500_before"),
            (Decision::Throttled, "429"),
            (Decision::BadJson, "badjson"),
            (Decision::SlowLoris, "slow_loris"),
        ] {
            assert_eq!(decision.word(), word);
        }
    }

    #[test]
    fn a_call_that_never_reached_the_service_never_applies() {
        for decision in [Decision::DropBeforeApply, Decision::Throttled, Decision::Redirect] {
            assert!(!decision.applies());
        }
        for decision in [Decision::ApplyThenDrop, Decision::ApplyThen500, Decision::Truncated] {
            assert!(decision.applies());
        }
    }
}
