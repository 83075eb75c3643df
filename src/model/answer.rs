//! What an answer of the cloud means: one closed class per reaction
//! (docs/decisions.md: from POST to proof).
//!
//! The cloud client builds these from HTTP; the engine never sees a status line. The HTTP status
//! decides before the error code does.

use std::hash::BuildHasher;
use std::ops::Deref;
use std::sync::Arc;

use foldhash::quality::FixedState;
use serde::{Deserialize, Serialize};

use super::id::TaskId;
use super::instance::Instance;
use super::task::Task;
use super::time::{Millis, Wall};
use super::version::Versions;

/// What was seen on the wire, for events, logs and evidence. Never holds a secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerNote {
    /// HTTP status; absent where no answer came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The error code in its `DCS.4116` form, whichever form was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Arc<str>>,
    /// The cloud's message or the transport's error: at most 1,024 characters, control characters
    /// escaped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<Arc<str>>,
    /// For how long the cloud asked to be left alone, at most an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<Millis>,
}

/// A limit that a 429 stated (API facts, section 6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LearnedLimit {
    pub scope: LimitScope,
    /// Requests allowed per `per`.
    pub limit: u32,
    pub per: Millis,
}

/// Whom a stated limit binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitScope {
    /// Every project with that credential.
    User,
    /// Every project on that host.
    Ip,
    /// This project.
    Api,
    App,
}

/// The class of an answer to the upgrade POST.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubmitAnswer {
    /// 200 with a task id.
    Accepted { task: TaskId },
    /// The connection never stood: refused, DNS, TLS, connect timeout.
    NotSent,
    /// 429 or APIGW.0308.
    Throttled { limit: Option<LearnedLimit>, retry_after: Option<Millis> },
    /// The instance is busy with something. `upgrading` for DCS.4116: it is being upgraded.
    Conflict { upgrading: bool },
    /// DCS.4053: the version asked for is the one that runs.
    ReportedCurrent,
    /// 401, APIGW.0301, 0303, 0305; `renewable` if a new token may mend it (0307, DCS.1001, 1002,
    /// or any 401 to a token).
    CredentialRefused { renewable: bool },
    /// 403, or 405 with APIGW.0501 or 0502.
    Forbidden,
    /// 404 APIGW.0101, DCS.4001: the call does not exist in this project. 404 APIGW.0103–0105:
    /// the gateway has nothing behind it.
    CapabilityAbsent,
    /// Any other 4xx, or 3xx. `suspicious` if the code is unlisted or marked a defect in section
    /// 5 of the API facts: three of one code in a row pause the campaign.
    Rejected { suspicious: bool },
    /// May have started: 5xx, 408, a lost answer, a 2xx without task id, an unreadable body.
    Uncertain,
}

/// The content of a successful read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadAnswer {
    /// One page of the instance list, shared: it is a thousand rows.
    InventoryPage(Arc<InventoryPage>),
    Instance(Instance),
    Versions(Versions),
    /// One page of tasks, of an instance or of the task centre, shared. `rows` counts what the page
    /// held before rows without an id were dropped: it decides whether another page follows.
    Tasks {
        tasks: Arc<[Task]>,
        rows: usize,
    },
}

impl ReadAnswer {
    /// One page of the instance list.
    pub fn page(instances: Vec<Instance>, rows: usize, total: Option<usize>) -> ReadAnswer {
        let instances = instances.into_iter().map(Listed::new).collect();
        ReadAnswer::InventoryPage(Arc::new(InventoryPage { instances, rows, total }))
    }
}

/// One page of the instance list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InventoryPage {
    pub instances: Vec<Listed>,
    /// What the page held before rows without a usable id were dropped.
    pub rows: usize,
    /// `instance_num`, where it was sent.
    pub total: Option<usize>,
}

/// A row of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    instance: Arc<Instance>,
    digest: u64,
}

impl Listed {
    pub fn new(instance: Instance) -> Listed {
        let digest = FixedState::default().hash_one(&instance);
        Listed { instance: Arc::new(instance), digest }
    }

    pub fn instance(&self) -> &Arc<Instance> {
        &self.instance
    }

    /// Of everything that the row says, its id with it: the same row, the same digest. One of 64
    /// bits, for two readings of one fleet's list; no proof against somebody who means harm.
    pub fn digest(&self) -> u64 {
        self.digest
    }
}

impl Deref for Listed {
    type Target = Instance;

    fn deref(&self) -> &Instance {
        &self.instance
    }
}

/// Why a read brought nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadFailure {
    /// No connection, no answer in time, 3xx, 408, 5xx, unreadable, or busy: try again with
    /// backoff.
    Unreachable,
    Throttled {
        limit: Option<LearnedLimit>,
        retry_after: Option<Millis>,
    },
    CredentialRefused {
        renewable: bool,
    },
    Forbidden,
    /// 404 DCS.3022 or a bare 404: the instance is not there.
    Gone,
    /// 404 APIGW.0101, DCS.4001: the call does not exist in this project.
    CapabilityAbsent,
    /// Any other 4xx.
    Rejected,
}

/// Any answer, with what surrounded it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered<T> {
    pub answer: T,
    pub note: AnswerNote,
    /// The `Date` header, where one was sent.
    pub server_time: Option<Wall>,
}
