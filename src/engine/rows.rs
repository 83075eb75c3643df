//! The rows that a step changed and that a restart reads: what the store keeps beside the ledger.
//!
//! Instants are wall milliseconds. What can be derived (caps in use, timers, queues) is not here;
//! what a restart must find again (limiters, sweeps, waves, bakes, pause causes, failure runs,
//! backoffs, looks) all is.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::duration::{DurationClass, Samples};
use crate::model::policy::{Labels, Rate, Wave};
use crate::model::{
    AttemptId, CacheMode, CampaignName, CredentialName, Instance, InstanceId, LearnedLimit,
    ProjectName, TargetId, TaskId, UpgradeBody, Versions, Wall,
};

use super::event::LearnedDuration;
use super::order::Scope;
use super::state::{CampaignState, PauseCauses, Reason, TargetState};

/// Everything that is kept: what `Engine::restore` starts from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rows {
    /// The ledger's last `seq`; 0 when it is empty.
    pub last_seq: u64,
    /// When its last entry was written, by the clock as it went then.
    pub last_at: Option<Wall>,
    pub instances: Vec<InstanceRow>,
    pub targets: Vec<TargetRow>,
    /// Open ones only.
    pub attempts: Vec<AttemptRow>,
    pub campaigns: Vec<CampaignRow>,
    pub projects: Vec<ProjectRow>,
    pub credentials: Vec<CredentialRow>,
    pub freezes: Vec<FreezeRow>,
    pub durations: Vec<DurationRow>,
}

/// The rows of one step, whole; the last one of an id wins.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Changes {
    pub instances: Vec<InstanceRow>,
    pub targets: Vec<TargetRow>,
    pub attempts: Vec<AttemptRow>,
    pub campaigns: Vec<CampaignRow>,
    pub projects: Vec<ProjectRow>,
    pub credentials: Vec<CredentialRow>,
    pub freezes: Vec<FreezeRow>,
    pub durations: Vec<DurationRow>,
    /// Operator freezes that were lifted.
    pub unfrozen: Vec<Scope>,
}

impl Changes {
    pub fn is_empty(&self) -> bool {
        *self == Changes::default()
    }
}

/// What the inventory last said of an instance that some campaign selects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceRow {
    pub project: ProjectName,
    pub instance: InstanceId,
    pub name: Arc<str>,
    pub tags: BTreeMap<Arc<str>, Arc<str>>,
    pub zones: Vec<Arc<str>>,
    pub cache_mode: CacheMode,
    pub engine_version: Arc<str>,
}

impl InstanceRow {
    pub fn new(project: &ProjectName, instance: &Instance) -> InstanceRow {
        InstanceRow {
            project: project.clone(),
            instance: instance.id.clone(),
            name: instance.name.clone(),
            tags: instance.tags.clone(),
            zones: instance.zones.clone(),
            cache_mode: instance.cache_mode,
            engine_version: instance.engine_version.clone(),
        }
    }

    /// What a campaign's selection looks at.
    pub fn labels(&self) -> Labels<'_> {
        Labels {
            id: &self.instance,
            name: &self.name,
            engine_version: &self.engine_version,
            tags: &self.tags,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetRow {
    pub id: TargetId,
    /// Index of its wave.
    pub wave: u32,
    /// Its place in the campaign's order: smaller starts first.
    pub rank: u64,
    pub state: TargetState,
    pub reason: Option<Reason>,
    pub entered_at: Wall,
    /// Re-openings by an operator, from 1.
    pub round: u32,
    /// Intents of this round so far, counted or not: the `number` of the last attempt.
    pub number: u32,
    /// Attempts of this round that were sent and then found not applied.
    pub not_applied: u32,
    /// The end of a backoff or of a wait after a conflict.
    pub not_before: Option<Wall>,
    /// The cloud's task, once it is known.
    pub task: Option<TaskId>,
    pub overdue: bool,
    /// Why an operator has to look, if one has.
    pub needs_operator: Option<Arc<str>>,
    /// Who holds it, if an operator does.
    pub held_by: Option<Arc<str>>,
    /// Its failure no longer counts (after a resume).
    pub acknowledged: bool,
    pub detail: TargetDetail,
}

/// The parts of a target that nobody searches by.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TargetDetail {
    /// The last version answer and when it came. Shared: most instances run one of a few versions.
    pub versions: Option<Arc<Versions>>,
    pub versions_at: Option<Wall>,
    /// Present once something has happened in this round: of a fleet, most wait.
    pub history: Option<Box<History>>,
    /// Present while it is in flight.
    pub flight: Option<Box<Flight>>,
}

impl TargetDetail {
    /// What has happened in this round; nothing, where nothing has.
    pub fn history(&self) -> &History {
        static NOTHING: History = History {
            conflicts: 0,
            conflict: None,
            not_running_at: None,
            was_uncertain: false,
            first_uncertain: None,
            started_at: None,
            unread_since: None,
            is_unread_told: false,
        };
        self.history.as_deref().unwrap_or(&NOTHING)
    }

    pub(super) fn history_mut(&mut self) -> &mut History {
        self.history.get_or_insert_default()
    }
}

/// What has happened to a target in its round so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    /// Occurrences of "busy".
    pub conflicts: u32,
    /// The code or word of the last conflict.
    pub conflict: Option<Arc<str>>,
    /// First look that showed FROZEN, ERROR or CREATEFAILED.
    pub not_running_at: Option<Wall>,
    /// An attempt has been uncertain: 4116 may then be our own upgrade.
    pub was_uncertain: bool,
    /// The first such attempt: what it may have started can show late.
    pub first_uncertain: Option<Box<FirstUncertain>>,
    /// When the first intent was committed.
    pub started_at: Option<Wall>,
    /// Pending, and no read of it has worked since.
    pub unread_since: Option<Wall>,
    /// That is what `needs_operator` tells, and nothing else: it is read on, and may start then.
    pub is_unread_told: bool,
}

/// The first attempt of a round of which nobody knows whether it was taken.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FirstUncertain {
    /// Its T0 on the cloud's clock: no task of this round is older.
    pub cloud_intent_at: Wall,
    /// Tasks that were there before it.
    pub known_tasks: Vec<TaskId>,
    /// As in [`Flight`]; `None` once another attempt was sent with other secrets.
    pub sent_with: Option<Arc<str>>,
}

/// What is known of a target between its intent and its end.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Flight {
    /// The fingerprint of the credential that it was sent with.
    pub sent_with: Option<Arc<str>>,
    /// A 200 named its task: whose it is, and how it is called, is certain.
    pub is_accepted: bool,
    /// The end of the wait that the answer asked for (Retry-After).
    pub asked_to_wait_until: Option<Wall>,
    /// 4116 after an uncertain attempt, or a look that showed an upgrade: one ran, so that clean
    /// looks alone prove no "not applied".
    pub is_upgrade_seen: bool,
    /// `observe_for` counts from here if it is later than T0: the start of the process that looks.
    pub observed_from: Option<Wall>,
    /// Clean looks at the uncertain attempt, the first and the last of them.
    pub clean_looks: u32,
    pub first_clean_at: Option<Wall>,
    pub last_clean_at: Option<Wall>,
    /// No look counts before this: the answer's arrival, or after a restart T0 + 5 s + timeout.
    pub looks_from: Option<Wall>,
    /// Watches in a row that did not show the task.
    pub misses: u32,
    pub first_miss_at: Option<Wall>,
    /// When the attempt was accepted or adopted: what `task_timeout` counts from.
    pub running_since: Option<Wall>,
    pub verify_after: Option<VerifyAfter>,
    pub verifying_since: Option<Wall>,
    /// When the settling ends.
    pub settled_at: Option<Wall>,
    /// First sight of the finished upgrade: when the settling began that lasts.
    pub finished_at: Option<Wall>,
    /// It was overdue, an operator was called, or no process saw all of it: its duration tells
    /// nothing.
    pub is_unmeasured: bool,
    /// First idle look with unchanged versions.
    pub unchanged_at: Option<Wall>,
    /// Tasks that looks showed and that may be ours: shown no more, they still may.
    pub candidates: Vec<TaskId>,
    /// Answers "no such instance" in a row.
    pub gone_looks: u32,
    /// The last word of the task or of the instance that was put in the ledger.
    pub word: Option<Arc<str>>,
}

/// What led to verifying, and so what an unchanged version then means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerifyAfter {
    Success,
    TaskFailed(Option<Arc<str>>),
    Vanished,
    /// 4053: the cloud said it is current.
    ReportedCurrent,
    /// The versions moved without a task.
    Inferred,
    /// `refit resolve --applied`.
    Resolved,
}

/// One submission: written before it is sent (rule S2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptRow {
    pub id: AttemptId,
    /// Exactly what is sent.
    pub body: UpgradeBody,
    /// T0: when the intent was decided.
    pub intent_at: Wall,
    pub not_after: Wall,
    pub versions_before: Versions,
    /// Tasks of the instance that were there before: the one that the last look showed as its
    /// `service_task_id`, and what task lists show to be older than the intent.
    pub known_tasks: Vec<TaskId>,
    /// T0 on the cloud's clock.
    pub cloud_intent_at: Wall,
    pub outcome: AttemptOutcome,
    /// `None` while it is open: at most one open attempt per (project, instance) (rule S1).
    pub ended_at: Option<Wall>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptOutcome {
    /// The ticket is out.
    Open,
    Uncertain,
    /// The cloud applied it; `task` if it showed one.
    Applied {
        task: Option<TaskId>,
    },
    /// Looks proved that nothing happened, or an operator said so.
    NotApplied,
    /// It never left, or the cloud refused it before doing anything.
    NotSent {
        why: Arc<str>,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CampaignRow {
    pub name: CampaignName,
    pub state: CampaignState,
    pub detail: CampaignDetail,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CampaignDetail {
    pub seed: u64,
    /// Of the planned targets, waves and versions.
    pub digest: Arc<str>,
    pub planned_at: Wall,
    /// The state to return to when no pause cause is left.
    pub paused_from: Option<CampaignState>,
    /// When the first of the causes that stand paused it.
    pub paused_at: Option<Wall>,
    pub causes: PauseCauses,
    /// An abort was ordered; nothing starts while the rest drains.
    pub draining: bool,
    pub waves: Vec<Wave>,
    /// Index of the wave that is open or baking.
    pub wave: u32,
    pub wave_ended_at: Option<Wall>,
    pub bake_until: Option<Wall>,
    /// Ends that were failures, since the last that was not.
    pub consecutive_failures: u32,
    /// The last suspicious code and how often in a row.
    pub code_run: Option<(Arc<str>, u32)>,
    /// Ended with `failed`, `skipped: operator` apart: what the report says.
    pub completed_with_failures: bool,
    /// By project: the start of the interval that was last announced as open.
    pub announced_opens: BTreeMap<ProjectName, Wall>,
    /// Until when this process and its predecessors watched the calendar.
    pub calendar_seen_until: Option<Wall>,
    /// The forecast's p90 passes its deadline.
    pub late: Option<LateForecast>,
}

/// Since when a campaign is expected to miss its deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LateForecast {
    pub since: Wall,
    pub deadline: Wall,
    /// As it was told then; `None`: one run in ten or more never completes.
    pub p90: Option<Wall>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProjectRow {
    pub name: ProjectName,
    pub detail: ProjectDetail,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProjectDetail {
    /// The cloud's id of the project: under another, its attempts would be looked for in vain.
    pub cloud_id: Option<Arc<str>>,
    pub starts: BucketRow,
    pub reads: BucketRow,
    /// Why nothing starts here until `refit resume --project`.
    pub stopped: Option<Arc<str>>,
    pub stopped_at: Option<Wall>,
    /// The project's own backoff after answers that never reached the cloud.
    pub backoff_until: Option<Wall>,
    pub backoff_count: u32,
    /// While the circuit is not closed: the end of its backoff, which may have passed.
    pub circuit_until: Option<Wall>,
    /// Times in a row that the circuit opened: its backoff doubles with each.
    pub circuit_opened_times: u32,
    /// Uncertain or not-sent answers in a row.
    pub unclear_run: u32,
    /// Instances in a row that were answered 403.
    pub forbidden: Vec<InstanceId>,
    pub watch: WatchStrategy,
    pub watch_probed_at: Option<Wall>,
    /// Our user id, learned from tasks that a 200 named.
    pub own_user: Option<Arc<str>>,
    /// The fingerprint of the credential that sent them: to another one `own_user` is a stranger.
    pub learned_with: Option<Arc<str>>,
    /// The name of upgrade tasks, learned likewise.
    pub task_name: Option<Arc<str>>,
    /// The shortest upgrade of each class that has succeeded here.
    pub shortest_upgrades: Vec<LearnedDuration>,
    /// Full inventory sweeps so far, and when the last one ended.
    pub sweeps: u64,
    pub swept_at: Option<Wall>,
}

/// A limiter's state, so that a restart grants nothing afresh (rule S6).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BucketRow {
    /// The file's rate when it was stored: what a token was.
    pub rate: Option<Rate>,
    /// Theoretical arrival time of the cell-rate algorithm, in wall microseconds.
    pub arrival_us: i64,
    /// A 429's pause.
    pub paused_until: Option<Wall>,
    /// Learned from a 429, at 80 %, forgotten after 24 h.
    pub learned: Option<LearnedLimit>,
    pub learned_at: Option<Wall>,
}

/// The cheapest way to watch that was found to work in a project.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WatchStrategy {
    #[default]
    PerInstance,
    /// One read per 1,000 tasks.
    TaskCentre,
    /// One read per 1,000 instances.
    InstanceList,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialRow {
    pub name: CredentialName,
    /// Of the secrets it was stopped with: a changed one ends the stop.
    pub fingerprint: Arc<str>,
    pub stopped: Option<Arc<str>>,
    pub stopped_at: Option<Wall>,
    /// Requests refused since it last worked: the cloud locks a key after five in a row.
    pub refusals: u32,
}

/// How long upgrades of one class took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DurationRow {
    pub class: DurationClass,
    pub samples: Samples,
}

/// An operator's freeze, with the actor and the reason of who set its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FreezeRow {
    pub scope: Scope,
    pub from: Wall,
    /// `None`: until lifted.
    pub until: Option<Wall>,
    pub actor: Arc<str>,
    pub reason: Option<Arc<str>>,
}

impl FreezeRow {
    pub(super) fn is_active_at(&self, at: Wall) -> bool {
        self.until.is_none_or(|until| at < until)
    }

    /// Whether it ends sooner than a freeze until then would; an open end is the longest.
    pub(super) fn ends_before(&self, until: Option<Wall>) -> bool {
        match (self.until, until) {
            (Some(own), Some(other)) => own < other,
            (Some(_), None) => true,
            (None, _) => false,
        }
    }
}
