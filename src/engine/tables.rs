//! The engine's tables: targets, instances, campaigns, projects, credentials as they stand in
//! memory. Rows hold what is kept; beside them stands what a restart derives again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::NonZeroU64;
use std::sync::Arc;

use crate::model::calendar::{Calendar, Interval};
use crate::model::{
    CacheMode, CampaignName, CredentialName, IdMap, Instance, InstanceId, Millis, ProjectName,
    Steady, Task, TaskId, Versions, Wall,
};

use super::fit::{Outlook, Room};
use super::index::{CampaignIx, ClassIx, CredentialIx, InstanceIx, LaneIx, ProjectIx, TargetIx};
use super::quota::Bucket;
use super::reach::Reach;
use super::read_queue::ReadQueue;
use super::ready::{QueueKey, Ready};
use super::rows::{
    CampaignDetail, CampaignRow, CredentialRow, ProjectDetail, ProjectRow, TargetRow,
};
use super::state::{CampaignState, TargetState};
use super::view::ForecastView;

#[derive(Debug)]
pub(super) struct Target {
    pub(super) row: TargetRow,
    pub(super) campaign: CampaignIx,
    pub(super) project: ProjectIx,
    pub(super) instance: InstanceIx,
    pub(super) lane: LaneIx,
    /// The class under which it is queued, or was last.
    pub(super) class: ClassIx,
    pub(super) preparing: Preparing,
    pub(super) is_queued: bool,
    pub(super) is_touched: bool,
    /// Grows with every change of state or preparation: an answer to an earlier one is stale.
    pub(super) epoch: u32,
    /// Reads in a row that failed.
    pub(super) read_failures: u32,
    pub(super) look: Option<Box<LookInProgress>>,
    /// Versions were read and leave something to do, or nothing is known yet.
    pub(super) verdict_read: bool,
    /// This process read its versions. What another read may be of a store that has since been put
    /// back to an older copy, and the upgrade that the copy does not know of is over.
    pub(super) versions_own: bool,
}

/// How far the last checks before an intent have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Preparing {
    No,
    /// A slot is kept while the version is read again.
    Versions,
    /// A slot is kept while the instance is looked at.
    Look,
    /// Looked at, RUNNING and idle, by a read that was sent at this instant: it waits for a token.
    Armed(Steady),
}

/// A target whose last look was good.
#[derive(Debug, Clone)]
pub(super) struct Armed {
    pub(super) target: TargetIx,
    /// The `service_task_id` that the look showed: an old upgrade's, and not ours.
    pub(super) known_task: Option<TaskId>,
}

/// What one look at an uncertain attempt has brought so far.
#[derive(Debug)]
pub(super) struct LookInProgress {
    pub(super) begun_at: Wall,
    pub(super) instance: Option<Instance>,
    pub(super) versions: Option<Versions>,
    pub(super) tasks: Vec<Task>,
    pub(super) tasks_done: bool,
}

/// What a target adds to the counters of its campaign, wave, project and groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) state: TargetState,
    /// In flight or being prepared: takes a slot of every cap.
    pub(super) occupies: bool,
    /// Counts against the failure budget (rule S8).
    pub(super) strike: bool,
    pub(super) unacknowledged_failure: bool,
    pub(super) overdue: bool,
    pub(super) needs_operator: bool,
    pub(super) preparing: bool,
    pub(super) wave: u32,
}

impl Target {
    /// The queue that it waits in.
    pub(super) fn queue_key(&self) -> QueueKey {
        QueueKey { project: self.project, wave: self.row.wave, class: self.class }
    }

    pub(super) fn tally(&self) -> Tally {
        let row = &self.row;
        let failed = row.state == TargetState::Failed;
        let is_overdue = row.state.is_in_flight() && row.overdue;
        let troubled = is_overdue || row.needs_operator.is_some();
        Tally {
            state: row.state,
            occupies: row.state.is_in_flight() || self.preparing != Preparing::No,
            strike: (failed || troubled) && !row.acknowledged,
            unacknowledged_failure: failed && !row.acknowledged,
            overdue: is_overdue,
            needs_operator: row.needs_operator.is_some(),
            preparing: self.preparing != Preparing::No,
            wave: row.wave,
        }
    }
}

/// One instance that some campaign selects.
#[derive(Debug)]
pub(super) struct KnownInstance {
    pub(super) project: ProjectIx,
    pub(super) id: InstanceId,
    pub(super) name: Arc<str>,
    pub(super) cache_mode: CacheMode,
    /// Its targets, one per campaign.
    pub(super) targets: Vec<TargetIx>,
    /// The sweep that last showed it, by [`Project::sweeps_begun`].
    pub(super) seen_in_begun: u32,
    /// The full sweep that last showed it.
    pub(super) seen_in_sweep: u64,
    /// Hash of the facts in its row: a change writes the row again.
    pub(super) facts: u64,
    /// Digest of the listed row that was gone through last, while going through it again would
    /// lead to nothing.
    pub(super) listed: Option<NonZeroU64>,
}

#[derive(Debug)]
pub(super) struct Campaign {
    pub(super) name: CampaignName,
    /// `None` until it is planned.
    pub(super) state: Option<CampaignState>,
    pub(super) detail: CampaignDetail,
    pub(super) is_touched: bool,
    pub(super) selection_empty: bool,
    /// The last that the host made in this process.
    pub(super) forecast: Option<ForecastView>,
    pub(super) ready: Ready,
    pub(super) targets: Vec<TargetIx>,
    pub(super) counts: [u32; TargetState::ALL.len()],
    pub(super) waves: Vec<WaveCounts>,
    pub(super) occupied: u32,
    pub(super) preparing: u32,
    pub(super) strikes: u32,
    pub(super) overdue: u32,
    pub(super) needs_operator: u32,
    /// Per project of the campaign.
    pub(super) calendars: BTreeMap<ProjectIx, CampaignCalendar>,
    /// The next instant at which it is looked at anyway.
    pub(super) wakes_at: Option<Steady>,
    /// Waves have to be looked at again.
    pub(super) is_dirty: bool,
    pub(super) budget_dirty: bool,
}

#[derive(Debug, Default, Clone)]
pub(super) struct WaveCounts {
    pub(super) open: u32,
    pub(super) succeeded: u32,
    pub(super) failed: u32,
    pub(super) skipped: u32,
    pub(super) unacknowledged_failures: u32,
}

/// A campaign's windows in one project, and the interval that counts now.
#[derive(Debug, Default)]
pub(super) struct CampaignCalendar {
    pub(super) calendar: Calendar,
    /// The interval that contains now, or the next one.
    pub(super) interval: Option<Interval>,
    /// The interval that was announced as open and not yet as closed.
    pub(super) announced: Option<Interval>,
    /// Stands as an earlier process left it: its opening may have been announced.
    pub(super) restored: bool,
    /// Of that interval, once something was measured.
    pub(super) outlook: Option<Outlook>,
    /// What each class needs of an interval; `None` where nothing is predicted.
    pub(super) rooms: Vec<Option<Room>>,
}

impl Campaign {
    pub(super) fn count(&self, state: TargetState) -> u32 {
        self.counts[state as usize]
    }

    pub(super) fn in_flight(&self) -> u32 {
        TargetState::ALL
            .into_iter()
            .filter(|state| state.is_in_flight())
            .map(|state| self.count(state))
            .sum()
    }

    pub(super) fn is_over(&self) -> bool {
        self.state.is_some_and(CampaignState::is_over)
    }

    /// As it is kept, once it is planned.
    pub(super) fn row(&self) -> Option<CampaignRow> {
        let (name, detail) = (self.name.clone(), self.detail.clone());
        self.state.map(|state| CampaignRow { name, state, detail })
    }
}

#[derive(Debug)]
pub(super) struct Project {
    pub(super) name: ProjectName,
    pub(super) detail: ProjectDetail,
    pub(super) is_touched: bool,
    pub(super) credential: CredentialIx,
    pub(super) starts: Bucket,
    pub(super) reads: Bucket,
    pub(super) queue: ReadQueue,
    pub(super) occupied: u32,
    pub(super) in_flight: BTreeSet<TargetIx>,
    pub(super) preparing: BTreeSet<TargetIx>,
    /// Looked at and waiting for a token, in order.
    pub(super) armed: VecDeque<Armed>,
    pub(super) circuit: Circuit,
    pub(super) circuit_opened_at: Option<Steady>,
    /// What was missed since the cloud last answered.
    pub(super) reach: Option<Reach>,
    /// Cloud clock minus ours, once an answer told it.
    pub(super) skew: Option<Millis>,
    pub(super) sweep: Option<Sweep>,
    /// Sweeps of this process, short ones too.
    pub(super) sweeps_begun: u32,
    pub(super) sweep_due: Steady,
    pub(super) sweep_failures: u32,
    /// Sweeps in a row that were refused, and the cloud's words.
    pub(super) sweep_refusals: u32,
    pub(super) sweep_refused: Option<Arc<str>>,
    /// Sweeps in a row that ended before the total that the list states.
    pub(super) short_sweeps: u32,
    /// What the last full sweep showed, while a campaign still has to be planned from it.
    pub(super) inventory: Vec<Arc<Instance>>,
    /// A full sweep has ended since the campaigns that wait for a plan appeared.
    pub(super) is_swept_by_us: bool,
    pub(super) watch: WatchState,
    /// Rows of the whole list at the last full sweep of this process.
    pub(super) list_rows: Option<usize>,
    /// Which instance each row of the list last was: where to look first for the one it shows.
    pub(super) list_order: Vec<InstanceIx>,
    /// Succeeded and moved: they wait for a sweep of the list to begin settling.
    pub(super) settling: BTreeSet<TargetIx>,
    /// The next instant at which it is looked at anyway.
    pub(super) wakes_at: Option<Steady>,
    /// The campaign that was asked first the last time.
    pub(super) turn: usize,
    pub(super) is_dirty: bool,
}

impl Project {
    /// As it is kept; `offset` is wall minus steady.
    pub(super) fn row(&self, offset: Millis) -> ProjectRow {
        let (starts, reads) = (self.starts.row(offset), self.reads.row(offset));
        let detail = ProjectDetail { starts, reads, ..self.detail.clone() };
        ProjectRow { name: self.name.clone(), detail }
    }
}

/// The project's own pause after several unclear answers in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Circuit {
    Closed,
    Open {
        until: Steady,
    },
    /// The backoff is over; one start may go once a read succeeded.
    HalfOpen {
        read_succeeded: bool,
    },
}

/// A sweep of the instance list under way.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    pub(super) offset: usize,
    /// Listed so far and whole, where a campaign may take them in; of the others only what no
    /// campaign has yet.
    pub(super) taken_in: IdMap<InstanceId, Option<Arc<Instance>>>,
    /// Listed so far, besides.
    pub(super) counted: u32,
    pub(super) pages: usize,
}

/// Watching through the task centre or the instance list: one sweep for all running targets.
#[derive(Debug, Default)]
pub(super) struct WatchState {
    pub(super) sweep: Option<WatchSweep>,
    pub(super) due: Option<Steady>,
    pub(super) misses: u32,
    /// The task whose id is looked for in the centre and the list.
    pub(super) probe: Option<Probe>,
}

#[derive(Debug)]
pub(super) struct WatchSweep {
    pub(super) offset: usize,
    pub(super) since: Wall,
    /// Pages of the task centre, as they came.
    pub(super) tasks: Vec<Arc<[Task]>>,
    pub(super) instances: BTreeMap<InstanceId, Arc<Instance>>,
    /// Targets that were running when the sweep began: only these can be missed.
    pub(super) begun_at: Wall,
}

#[derive(Debug, Clone)]
pub(super) struct Probe {
    pub(super) task: TaskId,
    pub(super) instance: InstanceId,
    pub(super) since: Wall,
}

#[derive(Debug)]
pub(super) struct Credential {
    pub(super) name: CredentialName,
    pub(super) renewable: bool,
    pub(super) fingerprint: Arc<str>,
    /// An answer has shown that it works, since the start or the last renewal.
    pub(super) proven: bool,
    pub(super) in_flight: u32,
    /// Grows with every renewal: a refusal of an earlier one says nothing of this one.
    pub(super) generation: u32,
    pub(super) stopped: Option<Arc<str>>,
    pub(super) stopped_at: Option<Wall>,
    /// Refused requests since it last worked.
    pub(super) refusals: u32,
    pub(super) renewal: Renewal,
    pub(super) renewal_failures: u32,
    pub(super) is_touched: bool,
    pub(super) projects: Vec<ProjectIx>,
}

impl Credential {
    /// As it is kept.
    pub(super) fn row(&self) -> CredentialRow {
        CredentialRow {
            name: self.name.clone(),
            fingerprint: self.fingerprint.clone(),
            stopped: self.stopped.clone(),
            stopped_at: self.stopped_at,
            refusals: self.refusals,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Renewal {
    /// May be tried once when the credential is refused.
    Possible,
    UnderWay,
    /// Renewed, and not yet proven since: a second refusal stops it for good.
    Unproven,
}
