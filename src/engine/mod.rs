//! The pure core: applies one input, then decides.
//!
//! No clock, no I/O, no async, no randomness of its own: the same inputs at the same instants give
//! the same ledger, byte for byte, in the daemon, in rehearsals and in property tests. Requests
//! leave only after the step's events and rows are durable; that is the host's half of rule S2.

pub mod check;
pub mod event;
pub mod hold;
pub mod input;
pub mod narrate;
pub mod order;
pub mod planted;
pub mod request;
pub mod rows;
pub mod state;
pub mod view;

mod apply;
mod budget;
mod circuit;
mod credential;
mod deadline;
mod drain;
mod durations;
mod explain;
mod fit;
mod fit_hold;
mod gates;
mod holds;
mod index;
mod instance_index;
mod inventory;
mod ledger;
mod names;
mod orders;
mod orphans;
mod ours;
mod planning;
mod precheck;
mod quota;
mod reach;
mod read_failures;
mod read_queue;
mod reads;
mod ready;
mod reconcile;
mod rest;
mod restore;
mod settings;
mod settle;
mod shift;
mod starts;
mod submit;
mod tables;
mod target_orders;
mod throttle;
mod timers;
mod verify;
mod waits;
mod watch;
mod waves;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use event::{Event, Fact};
pub use hold::{Hold, HoldKind};
pub use input::Input;
pub use order::{Command, Order, Reply, Scope};
pub use orphans::{Orphans, orphans};
pub use request::{Read, ReadId, Request, Submit};
pub use rows::{Changes, Rows};
pub use state::{CampaignState, Reason, TargetState};
pub use view::{Gate, Plan, Status};

use crate::model::{
    CampaignName, CredentialName, Instance, InstanceId, Millis, ProjectName, Settings, Steady,
    TargetId, Versions, Wall,
};

use durations::Durations;
use index::{CampaignIx, CredentialIx, InstanceIx, ProjectIx, TargetIx};
use instance_index::InstanceIndex;
use planted::{Defect, Planted};
use rows::{AttemptRow, FreezeRow};
use tables::{Campaign, Credential, KnownInstance, Project, Target};
use timers::Timers;

/// What one input led to: one unit. Its requests leave once its events and rows are durable.
#[derive(Debug, Default)]
pub struct Step {
    pub events: Vec<Event>,
    pub changes: Changes,
    pub requests: Vec<Request>,
    /// The answer to an [`Input::Order`]; `None` for every other input.
    pub reply: Option<Reply>,
}

/// The engine's state. One per store.
#[derive(Debug)]
pub struct Engine {
    settings: Arc<Settings>,
    seed: u64,
    /// Seeds of campaigns that are not planned yet, where they are known already.
    campaign_seeds: BTreeMap<CampaignName, u64>,
    planted: Planted,
    /// Wall minus steady.
    offset: Millis,
    /// The instant of the step under way.
    now: Steady,
    wall: Wall,
    /// The ledger's last `seq`.
    seq: u64,
    /// When this process read its settings.
    settings_at: Wall,
    /// Rows that wait for the first settings.
    restoring: Option<Box<Rows>>,

    targets: Vec<Target>,
    instances: Vec<KnownInstance>,
    instance_index: InstanceIndex,
    /// Listed instances that nothing needs any more, to be freed a few per step.
    surplus: Vec<Arc<Instance>>,
    campaigns: Vec<Campaign>,
    campaign_index: BTreeMap<CampaignName, CampaignIx>,
    projects: Vec<Project>,
    project_index: BTreeMap<ProjectName, ProjectIx>,
    credentials: Vec<Credential>,
    credential_index: BTreeMap<CredentialName, CredentialIx>,
    attempts: BTreeMap<TargetIx, AttemptRow>,
    /// Tickets that are out, with the generation of the credential they use.
    sending: BTreeMap<TargetIx, u32>,
    freezes: BTreeMap<Scope, FreezeRow>,
    durations: Durations,
    /// The latest distinct version answers, newest first.
    known_versions: Vec<Arc<Versions>>,

    timers: Timers,
    outstanding: BTreeMap<ReadId, reads::Outstanding>,
    last_read: u64,

    is_owner: bool,
    is_stopping: bool,
    is_store_failing: bool,
    is_clock_suspect: bool,
    /// The `FREEZE` file that stands somewhere.
    freeze_file: Option<Arc<str>>,
    gate: Gate,
    is_gate_dirty: bool,

    /// What the step under way has decided so far.
    out: Step,
    touched: Touched,
    /// The operator whose order is being applied.
    actor: Option<(Arc<str>, Option<Arc<str>>)>,
    dirty_projects: Vec<ProjectIx>,
    dirty_campaigns: Vec<CampaignIx>,
}

/// Whose rows the step under way changed.
#[derive(Debug, Default)]
struct Touched {
    targets: Vec<TargetIx>,
    campaigns: Vec<CampaignIx>,
    projects: Vec<ProjectIx>,
    credentials: Vec<CredentialIx>,
}

impl Engine {
    /// Starts from what the store holds. `offset` is wall minus steady, zero at a process's start;
    /// `seed` keys every draw of campaigns that are not planned yet. The first steps must be
    /// [`Input::Settings`], then [`Input::Restarted`].
    pub fn restore(rows: Rows, offset: Millis, seed: u64) -> Engine {
        Engine {
            settings: Arc::default(),
            seed,
            campaign_seeds: BTreeMap::new(),
            planted: Planted::default(),
            offset,
            now: Steady(i64::MIN),
            wall: Wall(i64::MIN),
            seq: rows.last_seq,
            settings_at: Wall(i64::MIN),
            restoring: Some(Box::new(rows)),
            targets: Vec::new(),
            instances: Vec::new(),
            instance_index: InstanceIndex::default(),
            surplus: Vec::new(),
            campaigns: Vec::new(),
            campaign_index: BTreeMap::new(),
            projects: Vec::new(),
            project_index: BTreeMap::new(),
            credentials: Vec::new(),
            credential_index: BTreeMap::new(),
            attempts: BTreeMap::new(),
            sending: BTreeMap::new(),
            freezes: BTreeMap::new(),
            durations: Durations::default(),
            known_versions: Vec::new(),
            timers: Timers::default(),
            outstanding: BTreeMap::new(),
            last_read: 0,
            is_owner: true,
            is_stopping: false,
            is_store_failing: false,
            is_clock_suspect: false,
            freeze_file: None,
            gate: Gate { closed: true, ..Gate::default() },
            is_gate_dirty: true,
            out: Step::default(),
            touched: Touched::default(),
            actor: None,
            dirty_projects: Vec::new(),
            dirty_campaigns: Vec::new(),
        }
    }

    /// Plans these campaigns, where they are not planned yet, in the order that these seeds key: as
    /// another store planned them.
    pub fn plan_by(&mut self, seeds: BTreeMap<CampaignName, u64>) {
        self.campaign_seeds = seeds;
    }

    /// Makes it make one mistake, where the build can. To be called before the first step.
    pub fn plant(&mut self, planted: Planted) {
        self.planted = planted;
    }

    fn is_planted(&self, defect: Defect) -> bool {
        self.planted.has(defect)
    }

    /// Applies one input, then decides. Cannot fail: an answer that makes no sense becomes an
    /// anomaly in the ledger. `now` never goes back; if it does, it is held.
    pub fn step(&mut self, now: Steady, input: Input) -> Step {
        self.now = now.max(self.now);
        self.wall = self.wall_at(self.now);
        self.apply(input);
        self.actor = None;
        self.decide();
        self.free_some_surplus();
        self.finish_step()
    }

    /// When to step with [`Input::Tick`] if nothing else happens; never later than needed.
    pub fn wake_at(&self) -> Option<Steady> {
        self.timers.next_at()
    }

    /// What the sender checks last. Changes only within a step.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// The state of one target, as its row holds it.
    pub fn target_row(&self, id: &TargetId) -> Option<&rows::TargetRow> {
        self.find_target(id).map(|ix| &self.targets[ix.at()].row)
    }

    /// All that is kept beside targets and instances, as it stands: what a store must hold too.
    pub fn rows_beside_targets(&self) -> Rows {
        Rows {
            last_seq: self.seq,
            attempts: self.attempts.values().cloned().collect(),
            campaigns: self.campaigns.iter().filter_map(Campaign::row).collect(),
            projects: self.projects.iter().map(|project| project.row(self.offset)).collect(),
            credentials: self.credentials.iter().map(Credential::row).collect(),
            freezes: self.freezes.values().cloned().collect(),
            durations: self.durations.rows(),
            ..Rows::default()
        }
    }

    /// Fires what is due, then lets campaigns and projects act until nothing is left to decide.
    fn decide(&mut self) {
        while let Some(timer) = self.timers.pop_due(self.now) {
            self.timer_fired(timer);
        }
        loop {
            if let Some(campaign) = self.dirty_campaigns.pop() {
                self.campaigns[campaign.at()].is_dirty = false;
                self.judge_budget(campaign);
                self.advance_waves(campaign);
            } else if let Some(project) = self.dirty_projects.pop() {
                self.projects[project.at()].is_dirty = false;
                self.decide_starts(project);
                self.draw_reads(project);
            } else {
                break;
            }
        }
    }

    fn finish_step(&mut self) -> Step {
        if self.is_gate_dirty {
            self.is_gate_dirty = false;
            self.gate = self.build_gate();
        }
        self.write_touched_rows();
        std::mem::take(&mut self.out)
    }

    fn wall_at(&self, at: Steady) -> Wall {
        Wall(at.0.saturating_add(self.offset.0))
    }

    fn steady_at(&self, at: Wall) -> Steady {
        Steady(at.0.saturating_sub(self.offset.0))
    }

    fn find_instance(&self, project: ProjectIx, id: &InstanceId) -> Option<InstanceIx> {
        self.instance_index.find(&self.instances, project, id)
    }

    fn find_target(&self, id: &TargetId) -> Option<TargetIx> {
        let campaign = *self.campaign_index.get(&id.campaign)?;
        let project = *self.project_index.get(&id.project)?;
        let instance = self.find_instance(project, &id.instance)?;
        let targets = &self.instances[instance.at()].targets;
        targets.iter().copied().find(|ix| self.targets[ix.at()].campaign == campaign)
    }
}
