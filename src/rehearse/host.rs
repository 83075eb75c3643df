//! One daemon, one store and one cloud in virtual time: decide, commit, act, as the daemon does.
//!
//! The true time is the cloud's. The machine's wall clock may part from it; a process's steady
//! clock begins at the machine's and never jumps. After every step the checker judges it, and a
//! tick right after it, of a large fleet's steps after some, must find nothing to do. Before time
//! passes, whatever waits must wait for something that will come.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::agenda::{Act, Agenda, Happening, Network};
use super::calls::CallCounts;
use super::met::{self, Met};
use super::mischief::{Boundary, Mischief, PlannedCrash};
use super::store::MemoryStore;
use super::wire::UpgradeCall;
use crate::engine::check::{Checker, Violation};
use crate::engine::input::{FreezeFile, StoreHealth};
use crate::engine::order::{Order, Reply};
use crate::engine::planted::{Defect, Planted};
use crate::engine::{Command, Engine, Fact, Input, Request, Rows, Step};
use crate::model::{AttemptId, CampaignName, Millis, Settings, Steady, Wall};
use crate::sim::world::World;

/// A clean stop ends within this (rule L2).
const STOP_WITHIN: Millis = Millis::from_secs(45);

/// Two samples of the clock are this far apart (docs/decisions.md: time).
const CLOCK_SAMPLES_APART: Millis = Millis::from_secs(10);

/// Where a run begins.
pub struct Setup {
    pub settings: Settings,
    pub world: World,
    pub begin: Wall,
    /// Keys the engine's draws.
    pub seed: u64,
    pub mischief: Mischief,
}

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The condition asked for holds.
    Satisfied,
    /// Nothing is left that could happen.
    Idle,
    /// The time is over.
    TimeOver,
    /// More steps than a run of this size can need.
    TooManySteps,
}

/// The parts of one running process.
pub(super) struct Process {
    pub(super) engine: Engine,
    /// The machine's clock minus the true time when it began.
    pub(super) error_at_start: Millis,
    pub(super) stopping: bool,
}

pub struct Host {
    pub(super) settings: Arc<Settings>,
    pub(super) world: World,
    pub(super) store: MemoryStore,
    /// An old backup.
    copy: MemoryStore,
    pub(super) checker: Checker,
    pub(super) mischief: Mischief,
    pub(super) seed: u64,
    campaign_seeds: BTreeMap<CampaignName, u64>,
    pub(super) now: Wall,
    /// The machine's clock minus the true time.
    pub(super) clock_error: Millis,
    pub(super) process: Option<Process>,
    /// Counts processes; answers to earlier ones are lost.
    pub(super) generation: u32,
    pub(super) agenda: Agenda,
    /// Steps that wait for a failing store.
    pub(super) uncommitted: Vec<(Steady, Input, Step)>,
    pub(super) store_fails: bool,
    pub(super) freeze_file: bool,
    pub(super) network: Network,
    pub(super) steps: u64,
    /// The step after which everything was last gone through, each time for one purpose.
    pub(super) wakes_checked_at: u64,
    pub(super) rows_compared_at: u64,
    pub(super) requests: u64,
    pub(super) crashes: u32,
    /// The planned crash of the step under way.
    meets: Option<PlannedCrash>,
    /// The kinds of requests that are lost or in doubt if the process dies now.
    at_stake: Vec<&'static str>,
    pub(super) met: Met,
    /// Attempts that an older store, put in place of a newer one, does not know.
    forgotten: BTreeSet<AttemptId>,
    pub(super) planted: Planted,
    pub(super) upgrade_calls: Vec<UpgradeCall>,
    pub(super) calls: CallCounts,
    pub(super) replies: Vec<Reply>,
    pub(super) problems: Vec<String>,
}

impl Host {
    pub fn new(setup: Setup) -> Host {
        let mut host = Host {
            settings: Arc::new(setup.settings),
            world: setup.world,
            store: MemoryStore::default(),
            copy: MemoryStore::default(),
            checker: Checker::new(&MemoryStore::default().rows(), Millis::ZERO),
            mischief: setup.mischief,
            seed: setup.seed,
            campaign_seeds: BTreeMap::new(),
            now: setup.begin,
            clock_error: Millis::ZERO,
            process: None,
            generation: 0,
            agenda: Agenda::default(),
            uncommitted: Vec::new(),
            store_fails: false,
            freeze_file: false,
            network: Network::Up,
            steps: 0,
            wakes_checked_at: 0,
            rows_compared_at: 0,
            requests: 0,
            crashes: 0,
            meets: None,
            at_stake: Vec::new(),
            met: Met::default(),
            forgotten: BTreeSet::new(),
            planted: Planted::default(),
            upgrade_calls: Vec::new(),
            calls: CallCounts::default(),
            replies: Vec::new(),
            problems: Vec::new(),
        };
        host.world.advance(setup.begin);
        host.agenda.arrange(setup.begin, 0, Happening::Begin);
        host
    }

    /// Goes on from what another store holds.
    pub fn resume(setup: Setup, rows: Rows) -> Host {
        let checker = Checker::new(&rows, Millis::ZERO);
        Host { checker, store: MemoryStore::from_rows(rows), ..Host::new(setup) }
    }

    /// Plans these campaigns in the order that these seeds key, where no store holds them yet.
    #[must_use]
    pub fn with_campaign_seeds(mut self, seeds: BTreeMap<CampaignName, u64>) -> Host {
        self.campaign_seeds = seeds;
        self
    }

    /// The true time.
    pub fn now(&self) -> Wall {
        self.now
    }

    /// What the machine's clock shows.
    pub fn wall(&self) -> Wall {
        self.now + self.clock_error
    }

    pub fn store(&self) -> &MemoryStore {
        &self.store
    }

    pub fn world(&self) -> &World {
        &self.world
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The engine of the process that runs, if one does.
    pub fn engine(&self) -> Option<&Engine> {
        self.process.as_ref().map(|process| &process.engine)
    }

    pub fn steps(&self) -> u64 {
        self.steps
    }

    pub fn crashes(&self) -> u32 {
        self.crashes
    }

    /// What has gone wrong so far, by kind.
    pub fn met(&self) -> &Met {
        &self.met
    }

    /// Attempts whose intents were in a store that was replaced by an older copy.
    pub fn forgotten(&self) -> &BTreeSet<AttemptId> {
        &self.forgotten
    }

    /// Makes every process make one mistake, where the build can.
    pub fn plant(&mut self, planted: Planted) {
        self.planted = planted;
    }

    /// Every upgrade request that reached the cloud, in order.
    pub fn upgrade_calls(&self) -> &[UpgradeCall] {
        &self.upgrade_calls
    }

    /// What the cloud has been asked so far.
    pub fn calls(&self) -> CallCounts {
        self.calls
    }

    /// The replies to all orders, in order.
    pub fn replies(&self) -> &[Reply] {
        &self.replies
    }

    pub fn violations(&self) -> &[Violation] {
        self.checker.violations()
    }

    /// What the checker's rules do not cover: a tick that found something to do, rows that differ.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    /// Goes through everything once more.
    pub fn recount(&self) -> Vec<Violation> {
        self.checker.recount(&self.store.rows())
    }

    /// The engine's steady clock.
    pub fn steady(&self) -> Option<Steady> {
        self.process.as_ref().map(|process| Steady(self.now.0) + process.error_at_start)
    }

    /// Ends every mischief and every fault, now; clocks, stores and files are sound again.
    pub fn calm(&mut self) {
        self.mischief = Mischief::default();
        self.act(Act::Heal);
        self.act(Act::Store(StoreHealth::Working));
        self.act(Act::FreezeFile(FreezeFile::Absent));
        self.act(Act::Network(Network::Up));
    }

    /// Arranges an act for later, or for now.
    pub fn arrange(&mut self, at: Wall, act: Act) {
        self.agenda.arrange(at.max(self.now), self.generation, Happening::Act(act));
    }

    /// Orders something now and tells the reply; `None` if no process runs.
    pub fn order(&mut self, command: Command) -> Option<Reply> {
        self.process.as_ref()?;
        let order = Order { actor: "operator".into(), reason: None, command };
        let count = self.replies.len();
        self.act(Act::Order(order));
        self.replies.get(count).cloned()
    }

    /// Jumps from happening to happening until `until`, or until `is_enough` says so.
    pub fn run(
        &mut self,
        until: Wall,
        steps_most: u64,
        mut is_enough: impl FnMut(&Host) -> bool,
    ) -> Ended {
        let last = self.steps.saturating_add(steps_most);
        loop {
            if is_enough(self) {
                return Ended::Satisfied;
            }
            if self.steps >= last {
                return Ended::TooManySteps;
            }
            let next = self.next_at();
            if next.is_none_or(|next| next > self.now) {
                self.check_wakes();
            }
            let Some(next) = next else {
                self.now = until;
                return Ended::Idle;
            };
            if next > until {
                self.now = until;
                return Ended::TimeOver;
            }
            self.now = self.now.max(next);
            match self.agenda.pop_due(self.now, self.generation) {
                Some((process, what)) => self.happen(process, what),
                None => self.tick(),
            }
        }
    }

    fn next_at(&self) -> Option<Wall> {
        let wakes_at = self.process.as_ref().and_then(|process| {
            let at = process.engine.wake_at()?;
            Some(Wall((at - process.error_at_start).0))
        });
        match (wakes_at, self.agenda.next_at()) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    fn tick(&mut self) {
        let is_due = self
            .steady()
            .zip(self.engine().and_then(Engine::wake_at))
            .is_some_and(|(now, at)| at <= now);
        if is_due {
            self.give(Input::Tick);
        }
    }

    fn happen(&mut self, process: u32, what: Happening) {
        match what {
            Happening::Act(act) => self.act(act),
            Happening::Begin => self.begin(),
            Happening::ClockAgrees => self.give(Input::ClockAgreed),
            Happening::Exit { back_after } => self.die(back_after),
            Happening::Send(submit) => self.send(submit),
            Happening::Arrive(arrival) => self.arrive(process, arrival),
            Happening::Answer(input) => self.give(*input),
            Happening::Renewal(credential) => self.renewed(credential),
        }
    }

    fn act(&mut self, act: Act) {
        self.met.acts.extend(met::act_kind(&act));
        match act {
            Act::Order(order) => self.give(Input::Order(order)),
            Act::Settings(settings) => {
                self.settings = settings.clone();
                self.give(Input::Settings(settings));
            }
            Act::ClockStep(by) => self.step_clock(by),
            Act::Store(health) => self.store_is(health),
            Act::FreezeFile(file) => {
                self.freeze_file = file != FreezeFile::Absent;
                self.give(Input::FreezeFile(file));
            }
            Act::Network(network) => self.network = network,
            Act::Ownership(ownership) => self.give(Input::Ownership(ownership)),
            Act::Stop { back_after } => self.stop(back_after),
            Act::Crash { back_after } => self.die(back_after),
            Act::Change { project, instance, what } => {
                self.world.change(self.now, &project, &instance, what);
            }
            Act::Heal => self.world.heal(self.now),
            Act::CopyStore => self.copy = self.store.clone(),
            Act::RestoreStore { back_after } => self.restore_copy(back_after),
        }
    }

    /// Whoever restores a backup stops the daemon first. Nobody can be judged by what no store
    /// holds any more: the checker begins anew with the copy.
    fn restore_copy(&mut self, back_after: Millis) {
        self.die(back_after);
        let known = self.copy.ledger().len();
        let lost = self.store.ledger().iter().skip(known);
        let intents = lost.filter(|event| matches!(event.fact, Fact::Intent { .. }));
        self.forgotten.extend(intents.filter_map(|event| event.attempt.clone()));
        self.store = self.copy.clone();
        self.checker = Checker::new(&self.store.rows(), Millis::ZERO);
    }

    fn begin(&mut self) {
        if self.process.is_some() {
            return;
        }
        self.generation += 1;
        let mut engine = Engine::restore(self.store.rows(), Millis::ZERO, self.seed);
        engine.plan_by(self.campaign_seeds.clone());
        engine.plant(self.planted);
        self.checker.restart(Millis::ZERO);
        let error_at_start = self.clock_error;
        self.process = Some(Process { engine, error_at_start, stopping: false });
        self.give(Input::Settings(self.settings.clone()));
        self.give(Input::Restarted);
        if self.freeze_file {
            self.give(Input::FreezeFile(FreezeFile::Present("FREEZE".into())));
        }
    }

    fn die(&mut self, back_after: Millis) {
        if self.process.take().is_none() {
            return;
        }
        self.uncommitted.clear();
        self.store_fails = false;
        self.agenda.arrange(self.now + back_after, self.generation, Happening::Begin);
        // Whatever the dead process waited for is of an earlier generation from here on.
        self.generation += 1;
    }

    fn stop(&mut self, back_after: Millis) {
        let Some(process) = &mut self.process else { return };
        process.stopping = true;
        self.give(Input::Stopping);
        let at = self.now + STOP_WITHIN;
        self.agenda.arrange(at, self.generation, Happening::Exit { back_after });
    }

    fn step_clock(&mut self, by: Millis) {
        self.clock_error = self.clock_error + by;
        let Some(process) = &self.process else { return };
        let offset = self.clock_error - process.error_at_start;
        self.give(Input::ClockStepped { offset });
        let at = self.now + CLOCK_SAMPLES_APART;
        self.agenda.arrange(at, self.generation, Happening::ClockAgrees);
    }

    fn store_is(&mut self, health: StoreHealth) {
        if self.process.is_none() {
            return;
        }
        self.store_fails = health == StoreHealth::Failing;
        if !self.store_fails {
            for (now, input, step) in std::mem::take(&mut self.uncommitted) {
                self.commit(now, &input, step);
            }
        }
        self.give(Input::Store(health));
    }

    /// Decide, commit, act; or die between.
    pub(super) fn give(&mut self, input: Input) {
        self.steps += 1;
        self.at_stake = met::answered_kind(&input).into_iter().collect();
        if self.dies(Boundary::BeforeDecide) {
            return;
        }
        let Some(now) = self.steady() else { return };
        let Some(process) = &mut self.process else { return };
        let step = process.engine.step(now, input.clone());
        self.meets = self.mischief.meets(&step);
        self.check_rest(now);
        // What was decided and never committed is as if the input had never come.
        if self.dies(Boundary::BeforeDecide) {
            return;
        }
        self.at_stake = met::request_kinds(&step);
        if self.planted.has(Defect::IntentAfterSend) {
            for request in step.requests.clone() {
                match request {
                    Request::Submit(submit) => self.send(submit),
                    other => self.dispatch(other),
                }
            }
        }
        if self.store_fails {
            self.uncommitted.push((now, input, step));
        } else if !self.dies(Boundary::BeforeCommit) {
            self.commit(now, &input, step);
        }
        self.compare_rows();
    }

    fn commit(&mut self, now: Steady, input: &Input, mut step: Step) {
        self.store.commit(&step);
        self.checker.observe(now, input, &step);
        if self.planted.has(Defect::IntentAfterSend) {
            step.requests.clear();
        }
        self.replies.extend(step.reply.clone());
        if self.crashes_at(Boundary::BeforeAct) {
            let left = match self.meets {
                Some(_) => 0,
                None => self.mischief.requests_left(step.requests.len(), self.steps),
            };
            step.requests.into_iter().take(left).for_each(|request| self.dispatch(request));
            return self.crash(Boundary::BeforeAct);
        }
        step.requests.into_iter().for_each(|request| self.dispatch(request));
        if self.crashes_at(Boundary::AfterAct) {
            self.send_due();
            self.crash(Boundary::AfterAct);
        }
        self.meets = None;
    }

    fn crashes_at(&self, boundary: Boundary) -> bool {
        if self.meets.as_ref().is_some_and(|crash| crash.boundary == boundary) {
            return self.process.is_some();
        }
        self.process.is_some()
            && self.crashes < self.mischief.crashes_most
            && self.mischief.crashes(boundary, self.steps)
    }

    fn dies(&mut self, boundary: Boundary) -> bool {
        let dies = self.crashes_at(boundary);
        if dies {
            self.crash(boundary);
        }
        dies
    }

    fn crash(&mut self, at: Boundary) {
        self.crashes += 1;
        self.met.crashes.extend(self.at_stake.drain(..).map(|kind| (at, kind)));
        let down_for = match self.meets.take() {
            Some(planned) => planned.down_for,
            None => self.mischief.down_for(self.steps),
        };
        self.die(down_for);
    }
}
