//! The ledger's entries: what happened, to whom, by whose hand. Append-only; `seq` is contiguous.
//!
//! A target event carries the state it led to, so that the ledger folds to the projections.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::duration::DurationClass;
use crate::model::{
    AnswerNote, AttemptId, CampaignName, CredentialName, InstanceId, LearnedLimit, Millis,
    ProjectName, TargetId, TaskId, UpgradeBody, Versions, Wall, WindowName,
};

use super::input::SendRefusal;
use super::order::{Scope, Verdict};
use super::rows::WatchStrategy;
use super::state::{CampaignState, PauseCause, Reason, TargetState};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub seq: u64,
    pub at: Wall,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub campaign: Option<CampaignName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<InstanceId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<AttemptId>,
    /// The operator behind it, for orders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Arc<str>>,
    /// The operator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<Arc<str>>,
    /// The target's state after it, on every event of a target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<TargetState>,
    #[serde(flatten)]
    pub fact: Fact,
}

impl Event {
    pub fn target(&self) -> Option<TargetId> {
        Some(TargetId {
            campaign: self.campaign.clone()?,
            project: self.project.clone()?,
            instance: self.instance.clone()?,
        })
    }
}

/// A duration that was measured, from the intent to the first sight of the finished upgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LearnedDuration {
    pub class: DurationClass,
    pub took: Millis,
}

/// What happened. The serde tag is the event's name in the ledger, in JSON and in `refit events`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Fact {
    // One target.
    TargetPlanned {
        wave: u32,
        rank: u64,
        name: Arc<str>,
    },
    Joined {
        wave: u32,
        rank: u64,
        name: Arc<str>,
    },
    Intent {
        body: UpgradeBody,
        not_after: Wall,
        versions: Versions,
        known_tasks: Vec<TaskId>,
    },
    SendRefused {
        why: SendRefusal,
    },
    Accepted {
        task: TaskId,
        late: bool,
        note: AnswerNote,
    },
    NotSent {
        note: AnswerNote,
        project_backoff_until: Wall,
    },
    Throttled {
        limit: Option<LearnedLimit>,
        until: Wall,
        note: AnswerNote,
    },
    Conflict {
        count: u32,
        not_before: Wall,
        note: AnswerNote,
    },
    ReportedCurrent {
        note: AnswerNote,
    },
    CredentialRefused {
        note: AnswerNote,
    },
    CapabilityAbsent {
        note: AnswerNote,
    },
    Rejected {
        note: AnswerNote,
    },
    BecameUncertain {
        why: Arc<str>,
        earliest_resend: Wall,
        number: u32,
        of: u32,
        note: AnswerNote,
    },
    LookedClean {
        clean: u32,
    },
    LookedBusy {
        word: Arc<str>,
    },
    Adopted {
        task: TaskId,
    },
    Inferred {
        versions: Versions,
    },
    NotApplied {
        not_before: Option<Wall>,
    },
    NeedsOperator {
        why: Arc<str>,
    },
    Overdue {
        after: Millis,
    },
    TaskStatus {
        word: Arc<str>,
    },
    TaskEnded {
        succeeded: bool,
        code: Option<Arc<str>>,
    },
    TaskVanished {
        misses: u32,
    },
    Settling {
        until: Wall,
    },
    Unsettled {
        word: Arc<str>,
    },
    Succeeded {
        reason: Reason,
        before: Option<Versions>,
        after: Option<Versions>,
        took: Millis,
        /// What it told of its class, where all of it was watched.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        learned: Option<LearnedDuration>,
    },
    Failed {
        reason: Reason,
    },
    Skipped {
        reason: Reason,
    },
    Cancelled {
        reason: Reason,
    },
    Held,
    Released,
    Resolved {
        verdict: Verdict,
    },
    RetryOrdered {
        round: u32,
    },
    EvidenceLate {
        what: Arc<str>,
    },

    // One campaign.
    Planned {
        digest: Arc<str>,
        targets: u32,
        waves: Vec<(Arc<str>, u32)>,
    },
    SelectionEmpty,
    Started,
    ApprovalNeeded {
        digest: Arc<str>,
    },
    Approved {
        digest: Arc<str>,
    },
    ApprovalVoid {
        digest: Arc<str>,
    },
    WaveEnded {
        wave: u32,
        succeeded: u32,
        failed: u32,
        skipped: u32,
    },
    BakeStarted {
        wave: u32,
        until: Wall,
    },
    WaveOpened {
        wave: u32,
        name: Arc<str>,
    },
    Promoted {
        wave: u32,
    },
    Paused {
        cause: PauseCause,
        targets: Vec<InstanceId>,
        /// Of the targets' instances, in the same order.
        #[serde(default)]
        names: Vec<Arc<str>>,
    },
    BudgetTripped {
        targets: Vec<InstanceId>,
        #[serde(default)]
        names: Vec<Arc<str>>,
    },
    Resumed {
        to: CampaignState,
        left: Vec<PauseCause>,
    },
    Acknowledged {
        targets: Vec<InstanceId>,
        #[serde(default)]
        names: Vec<Arc<str>>,
    },
    AbortOrdered,
    Aborted,
    Completed {
        with_failures: bool,
    },
    Reopened,
    WindowOpened {
        /// May be [`LONG_AGO`](crate::model::calendar::LONG_AGO).
        open: Wall,
        /// `None`: no end is in sight.
        close: Option<Wall>,
        last_start: Option<Wall>,
        windows: Vec<WindowName>,
    },
    WindowClosed {
        close: Wall,
        /// Of the campaign, in this project.
        in_flight: u32,
    },
    WindowMissed {
        open: Wall,
        close: Wall,
        windows: Vec<WindowName>,
    },
    /// So many before those that are told one by one.
    WindowsMissed {
        count: u32,
        open: Wall,
        close: Wall,
    },

    /// More than one forecast run in ten ends after the campaign's deadline.
    ForecastLate {
        deadline: Wall,
        p50: Option<Wall>,
        /// `None`: so many never complete.
        p90: Option<Wall>,
    },
    /// No longer.
    ForecastInTime {
        /// `None`: the file has none any more.
        deadline: Option<Wall>,
        p90: Option<Wall>,
    },

    // One project or credential.
    InventorySwept {
        instances: u32,
        sweep: u64,
    },
    ProjectStopped {
        why: Arc<str>,
    },
    ProjectResumed,
    CircuitOpened {
        until: Wall,
    },
    CircuitClosed,
    /// The list of instances is refused again and again: nothing is planned, and nothing that is
    /// gone is noticed.
    InventoryRefused {
        why: Arc<str>,
    },
    /// Nobody has answered there since: told once, when it begins.
    CloudUnreachable {
        since: Wall,
        cause: Arc<str>,
        next_try: Wall,
    },
    /// The first answer after that.
    CloudReachable {
        after: Millis,
    },
    QuotaPaused {
        quota: Quota,
        until: Wall,
        limit: Option<LearnedLimit>,
    },
    WatchChanged {
        strategy: WatchStrategy,
        why: Arc<str>,
    },
    OwnUserLearned {
        user: Arc<str>,
        task_name: Arc<str>,
    },
    CredentialStopped {
        credential: CredentialName,
        why: Arc<str>,
    },
    CredentialResumed {
        credential: CredentialName,
    },
    CredentialProven {
        credential: CredentialName,
    },

    // The process.
    Restarted,
    SettingsLoaded {
        campaigns: u32,
        projects: u32,
    },
    /// The store was written so far ahead of this process's clock: its waits keep their length.
    ClockBehindStore {
        ahead: Millis,
    },
    ClockStepped {
        offset: Millis,
    },
    ClockAgreed,
    StoreFailing,
    StoreWorking,
    Frozen {
        scope: Scope,
        until: Option<Wall>,
    },
    Unfrozen {
        scope: Scope,
    },
    FrozenByFile,
    UnfrozenByFile,
    OwnershipLost,
    OwnershipGained,
    Stopping,
    /// An input that makes no sense in this state; the state is unchanged.
    Anomaly {
        what: Arc<str>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quota {
    Starts,
    Reads,
}
