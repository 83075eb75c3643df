//! What the checker knows: rebuilt from inputs, events and rows, never asked of the engine.
//!
//! Instants are on the checker's own line of elapsed time (see [`super::clock`]) unless they are
//! [`Wall`]s, so that a clock that steps cannot shorten a wait unseen.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::rate::Bucket;
use crate::engine::request::ReadId;
use crate::engine::rows::{AttemptRow, FirstUncertain, Flight, TargetRow, VerifyAfter};
use crate::engine::state::{CampaignState, PauseCauses, TargetState};
use crate::model::policy::{CampaignPolicy, GroupKey};
use crate::model::{
    AttemptId, CredentialName, IdMap, Instance, InstanceId, Millis, Part, ProjectName, ReadCall,
    Steady, Task, TaskId, Versions, Wall,
};

/// One limit of a campaign's `max_unavailable`, by its place in the list, and one of its groups.
pub(super) type Group = (usize, Arc<str>);

#[derive(Debug, Clone, PartialEq)]
pub(super) struct TargetFacts {
    pub wave: u32,
    pub state: TargetState,
    pub round: u32,
    pub number: u32,
    pub task: Option<TaskId>,
    pub overdue: bool,
    pub needs_operator: bool,
    pub held: bool,
    pub acknowledged: bool,
    pub not_before: Option<Steady>,
    /// The end of the wait that the last answer asked for.
    pub asked_to_wait_until: Option<Steady>,
    /// An attempt of this round has been uncertain.
    pub was_uncertain: bool,
    /// What the uncertain attempts of this round may have started.
    pub sought: Option<Sought>,
    /// The attempt of this round that the cloud applied.
    pub applied: Option<u32>,
    pub attempt: Option<AttemptFacts>,
    /// The groups it counts in, as they were when it was sent.
    pub groups: Vec<Group>,
    /// When it may succeed at the earliest.
    pub settled_at: Option<Steady>,
    /// How its upgrade was watched.
    pub watched: Watched,
}

impl TargetFacts {
    /// As a new process finds it: its elapsed time begins at the wall clock.
    pub fn from_row(row: &TargetRow) -> TargetFacts {
        let flight = row.detail.flight.as_deref();
        TargetFacts {
            wave: row.wave,
            state: row.state,
            round: row.round,
            number: row.number,
            task: row.task.clone(),
            overdue: row.overdue,
            needs_operator: row.needs_operator.is_some(),
            held: row.held_by.is_some(),
            acknowledged: row.acknowledged,
            not_before: row.not_before.map(|at| Steady(at.0)),
            asked_to_wait_until: flight
                .and_then(|flight| flight.asked_to_wait_until)
                .map(|at| Steady(at.0)),
            was_uncertain: row.detail.history().was_uncertain,
            sought: row.detail.history().first_uncertain.as_deref().map(Sought::from_row),
            applied: None,
            attempt: None,
            groups: Vec::new(),
            settled_at: flight.and_then(|flight| flight.settled_at).map(|at| Steady(at.0)),
            watched: flight.map(Watched::from_row).unwrap_or_default(),
        }
    }

    /// Counts towards the failure budget (rule S8).
    pub fn is_strike(&self) -> bool {
        !self.acknowledged
            && (self.state == TargetState::Failed || self.overdue || self.needs_operator)
    }

    /// Ended by having been tried: what a percentage is of (rule S8).
    pub fn is_executed(&self) -> bool {
        matches!(self.state, TargetState::Succeeded | TargetState::Failed)
    }

    /// An unacknowledged failure, which keeps the next wave shut (rule S7).
    pub fn is_failure(&self) -> bool {
        !self.acknowledged && self.state == TargetState::Failed
    }
}

/// Whether the attempt under way was seen from end to end, so that its duration may be learned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Watched {
    /// A 200 named its task at once.
    pub is_accepted: bool,
    pub has_succeeded: bool,
    /// Overdue, an operator called, or nobody looked for a while.
    pub is_doubtful: bool,
    /// First sight of the finished upgrade.
    pub finished_at: Option<Steady>,
}

impl Watched {
    fn from_row(flight: &Flight) -> Watched {
        Watched {
            is_accepted: flight.is_accepted,
            has_succeeded: flight.verify_after == Some(VerifyAfter::Success),
            is_doubtful: flight.is_unmeasured,
            finished_at: flight.finished_at.map(|at| Steady(at.0)),
        }
    }
}

/// Tasks that an uncertain attempt of a round may have started: the first one tells since when.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sought {
    /// On the cloud's clock.
    pub since: Wall,
    pub known_tasks: Vec<TaskId>,
    /// Fingerprints of the credentials that they were sent with; `None` for one that is unknown.
    pub sent_with: BTreeSet<Option<Arc<str>>>,
}

impl Sought {
    fn from_row(row: &FirstUncertain) -> Sought {
        let sent_with = BTreeSet::from([row.sent_with.clone()]);
        Sought { since: row.cloud_intent_at, known_tasks: row.known_tasks.clone(), sent_with }
    }
}

/// The last attempt of a target.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct AttemptFacts {
    /// What the parts asked for ran when a version answer showed them as far as there was to go
    /// then, while they run it. What the cloud releases later takes nothing back.
    pub far_enough: Option<Vec<(Part, Option<Arc<str>>)>>,
    pub id: AttemptId,
    pub row: Option<AttemptRow>,
    pub intent_at: Steady,
    /// The start of the process that looks: no time before it was measured.
    pub observed_from: Option<Steady>,
    /// Looks count from here: the answer came back, or the ticket of a dead process ran out.
    pub looks_from: Steady,
    /// When each clean look since the last unclean one was complete.
    pub clean_looks: Vec<Steady>,
    /// Reads up to this number were part of an earlier look, or prove nothing.
    pub looked_up_to: u64,
    /// Nothing of it happened, for certain: another attempt may follow.
    pub is_definite: bool,
    /// The fingerprint of the credential that it was sent with.
    pub sent_with: Option<Arc<str>>,
    /// 4116 after an uncertain attempt, or a look that showed one: an upgrade ran.
    pub is_upgrade_seen: bool,
    /// Tasks that answers of this process showed since, and that may be ours.
    pub suspects: BTreeSet<TaskId>,
}

impl AttemptFacts {
    /// As a new process finds it: looks are counted within one process only.
    pub fn from_row(row: &AttemptRow, flight: Option<&Flight>) -> AttemptFacts {
        let at = Steady(row.intent_at.0);
        AttemptFacts {
            far_enough: None,
            id: row.id.clone(),
            row: None,
            intent_at: at,
            observed_from: None,
            looks_from: flight.and_then(|flight| flight.looks_from).map_or(at, |at| Steady(at.0)),
            clean_looks: Vec::new(),
            looked_up_to: 0,
            is_definite: row.ended_at.is_some(),
            sent_with: flight.and_then(|flight| flight.sent_with.clone()),
            is_upgrade_seen: flight.is_some_and(|flight| flight.is_upgrade_seen),
            suspects: BTreeSet::new(),
        }
    }
}

/// Counters of one campaign, kept in step with its targets.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Tally {
    pub in_flight: u32,
    pub strikes: u32,
    pub executed: u32,
    pub waves: BTreeMap<u32, WaveTally>,
    pub groups: BTreeMap<Group, u32>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct WaveTally {
    pub targets: u32,
    pub unfinished: u32,
    pub failures: u32,
    /// Ended by having been tried; where there are none, nothing has to bake.
    pub executed: u32,
}

#[derive(Debug, Clone, Default)]
pub(super) struct CampaignFacts {
    pub state: Option<CampaignState>,
    pub causes: PauseCauses,
    pub draining: bool,
    /// Its forecast is said to pass this deadline.
    pub late: Option<Wall>,
    pub tally: Tally,
    pub wave: u32,
    /// The wave whose bake ran or runs, and when it ends.
    pub bake: Option<(u32, Wall)>,
    pub promoted: Option<u32>,
    pub consecutive_failures: u32,
    /// The file has its table.
    pub in_file: bool,
    /// As last seen in the file; a campaign that is gone drains by it.
    pub policy: Option<Arc<CampaignPolicy>>,
    /// The interval last computed for each project.
    pub intervals: BTreeMap<ProjectName, crate::model::calendar::Interval>,
    /// The longest of those that come, and the opening of the interval that it was counted from.
    pub longest: BTreeMap<ProjectName, (Wall, Option<Millis>)>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct ProjectFacts {
    pub in_flight: u32,
    pub starts: Quotas,
    pub reads: Quotas,
    pub stopped: bool,
    pub forbidden_run: BTreeSet<InstanceId>,
    /// Unclear answers in a row; three open the circuit.
    pub unclear_run: u32,
    pub circuit: Option<Circuit>,
    /// The user of tasks that a 200 named, and the fingerprint of what they were sent with.
    pub own_user: Option<(Arc<str>, Arc<str>)>,
    /// Tasks that a 200 named and whose user was not shown yet, with that fingerprint.
    pub accepted: IdMap<TaskId, Arc<str>>,
}

/// A project's own pause (rule S9).
#[derive(Debug, Clone)]
pub(super) struct Circuit {
    pub until: Steady,
    /// A read has succeeded since `until`.
    pub is_reachable: bool,
    /// The one start that it let through.
    pub probe: Option<AttemptId>,
}

/// One kind of quota of a project: configured, learned, paused.
#[derive(Debug, Clone, Default)]
pub(super) struct Quotas {
    pub configured: Option<Bucket>,
    pub learned: Option<(Bucket, Steady)>,
    /// A 429's Retry-After.
    pub paused_until: Option<Steady>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct CredentialFacts {
    pub fingerprint: Arc<str>,
    pub renewable: bool,
    pub proven: bool,
    /// A 401 came and no renewal since.
    pub refused: bool,
    /// Renewed since the last proof; a second renewal needs one.
    pub renewed: bool,
    /// Counts its forms: a late 401 to an earlier one says nothing about this one.
    pub generation: u32,
    /// Requests in flight, with the form that each was begun with.
    pub reads: BTreeMap<ReadId, u32>,
    pub submits: BTreeMap<AttemptId, u32>,
}

impl CredentialFacts {
    /// Another form of it: it has to prove itself again.
    pub fn renew(&mut self) {
        self.generation += 1;
        self.proven = false;
        self.refused = false;
    }

    pub fn in_flight(&self) -> usize {
        self.reads.len() + self.submits.len()
    }
}

/// A read that has not been answered.
#[derive(Debug, Clone)]
pub(super) struct OpenRead {
    pub project: ProjectName,
    pub call: ReadCall,
    pub asked_at: Steady,
    /// Its place among all reads ever asked.
    pub number: u64,
}

/// In place of the number of a read that this process did not ask: the store may be an older copy,
/// and what it tells of an instance no longer so.
pub(super) const OF_ANOTHER_PROCESS: u64 = 0;

/// What an answer showed.
#[derive(Debug, Clone)]
pub(super) struct Seen<T> {
    pub asked_at: Steady,
    /// Its place among all reads ever asked.
    pub number: u64,
    pub seen_at: Steady,
    pub what: T,
}

/// The last answers about one instance.
#[derive(Debug, Clone, Default)]
pub(super) struct InstanceFacts {
    pub shown: Option<Seen<Instance>>,
    /// As the inventory listed it.
    pub listed: Option<Arc<Instance>>,
    pub versions: Option<Seen<Versions>>,
    pub tasks: Option<Seen<Vec<Task>>>,
    /// Ids that any list showed for it, or that its `service_task_id` named; the oldest go first.
    pub task_ids: VecDeque<TaskId>,
    /// Targets of it in flight, over all campaigns (rule S1).
    pub in_flight: u32,
    /// Attempts of it whose rows are open (rule S1).
    pub open: BTreeSet<AttemptId>,
}

/// The groups in which an instance counts, one entry per limit and value.
pub(super) fn groups_of(
    policy: &CampaignPolicy,
    project: &ProjectName,
    id: &InstanceId,
    listed: Option<&Instance>,
) -> Vec<Group> {
    let mut groups = Vec::new();
    for (index, limit) in policy.max_unavailable.iter().enumerate() {
        match &limit.per {
            GroupKey::Project => groups.push((index, project.0.clone())),
            GroupKey::Tag(tag) => {
                let value = listed.and_then(|instance| instance.tags.get(tag));
                let alone = || Arc::from(format!("\u{0}{project}/{id}"));
                groups.push((index, value.cloned().unwrap_or_else(alone)));
            }
            GroupKey::Zone => {
                let zones: BTreeSet<&Arc<str>> =
                    listed.iter().flat_map(|instance| &instance.zones).collect();
                groups.extend(zones.into_iter().map(|zone| (index, zone.clone())));
            }
        }
    }
    groups
}

/// What binds the whole process (rule S9).
#[derive(Debug, Clone, Default)]
pub(super) struct ProcessFacts {
    pub stopping: bool,
    pub not_owner: bool,
    pub store_failing: bool,
    pub clock_suspect: bool,
    pub freeze_file: bool,
}

/// The credential of a project, as the settings have it.
pub(super) fn credential_of(
    settings: &crate::model::Settings,
    project: &ProjectName,
) -> Option<CredentialName> {
    settings.projects.get(project).map(|policy| policy.credential.clone())
}
