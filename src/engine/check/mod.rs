//! The rules, restated apart from the engine: judged from inputs, events, rows and requests alone.
//!
//! Nothing here calls what decides in the engine; only the calendar of `model` is shared. A rule
//! that both got wrong the same way would have to be misread twice. The cost of a step grows with
//! what the step changed, not with the fleet; [`Checker::recount`] goes through everything.

mod adopt;
mod attempts;
mod budget;
mod calendar;
mod caps;
mod clock;
mod credentials;
mod durations;
mod evidence;
mod facts;
mod intents;
mod ledger;
mod looks;
mod ours;
mod rate;
mod recount;
mod stops;
mod table;
mod tally;
mod waves;

#[cfg(test)]
mod example;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use crate::engine::event::Fact;
use crate::engine::input::Input;
use crate::engine::order::Scope;
use crate::engine::request::ReadId;
use crate::engine::rows::Rows;
use crate::engine::{Event, Step};
use crate::model::duration::DurationClass;
use crate::model::{
    CampaignName, CredentialName, IdMap, InstanceId, InventoryPage, Millis, ProjectName, Settings,
    Steady, TargetId, Wall,
};

use clock::Clock;
use facts::{
    CampaignFacts, CredentialFacts, InstanceFacts, OF_ANOTHER_PROCESS, OpenRead, ProcessFacts,
    ProjectFacts, TargetFacts,
};

/// So many violations are kept; one is already too many.
const VIOLATIONS_MAX: usize = 1_000;

/// The rules that can be judged from a step (`src/ARCHITECTURE.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    S1,
    S2,
    S3,
    S4,
    S5,
    S6,
    S7,
    S8,
    S9,
    S10,
    S11,
    S12,
    S13,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// One breach of one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub rule: Rule,
    pub detail: String,
    /// The ledger entry that breaks it, or the last one before it.
    pub seq: u64,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}: {}", self.rule, self.seq, self.detail)
    }
}

/// Watches every committed step of every process that drives one store.
#[derive(Debug, Clone)]
pub struct Checker {
    clock: Clock,
    last_seq: u64,
    /// Reads asked so far, by all processes.
    asked: u64,
    settings: Arc<Settings>,
    targets: IdMap<TargetId, TargetFacts>,
    campaigns: BTreeMap<CampaignName, CampaignFacts>,
    projects: BTreeMap<ProjectName, ProjectFacts>,
    credentials: BTreeMap<CredentialName, CredentialFacts>,
    instances: IdMap<(ProjectName, InstanceId), InstanceFacts>,
    /// The last page of the list from each offset.
    pages: BTreeMap<(ProjectName, usize), Arc<InventoryPage>>,
    reads: BTreeMap<ReadId, OpenRead>,
    freezes: BTreeMap<Scope, Option<Wall>>,
    durations: BTreeMap<DurationClass, VecDeque<Millis>>,
    process: ProcessFacts,
    violations: Vec<Violation>,
}

impl Checker {
    /// Begins with what a store holds; `offset` is wall minus steady.
    pub fn new(rows: &Rows, offset: Millis) -> Checker {
        let mut checker = Checker {
            clock: Clock::new(offset, rows.last_at),
            last_seq: rows.last_seq,
            asked: 0,
            settings: Arc::default(),
            targets: IdMap::default(),
            campaigns: BTreeMap::new(),
            projects: BTreeMap::new(),
            credentials: BTreeMap::new(),
            instances: IdMap::default(),
            pages: BTreeMap::new(),
            reads: BTreeMap::new(),
            freezes: BTreeMap::new(),
            durations: BTreeMap::new(),
            process: ProcessFacts::default(),
            violations: Vec::new(),
        };
        checker.adopt_rows(rows);
        checker
    }

    /// Another process takes the store over: what the one before had seen, asked and proven is
    /// worth nothing now, and its tickets are void.
    pub fn restart(&mut self, offset: Millis) {
        self.clock.restart(offset);
        self.reads.clear();
        self.process = ProcessFacts::default();
        for facts in self.credentials.values_mut() {
            facts.proven = false;
            facts.renewed = false;
            facts.refused &= !facts.renewable;
            facts.reads.clear();
            facts.submits.clear();
        }
        for facts in self.instances.values_mut() {
            facts.shown = None;
            facts.tasks = None;
            if let Some(versions) = &mut facts.versions {
                versions.number = OF_ANOTHER_PROCESS;
            }
        }
        for attempt in self.targets.values_mut().filter_map(|facts| facts.attempt.as_mut()) {
            attempt.suspects.clear();
        }
        for circuit in self.projects.values_mut().filter_map(|facts| facts.circuit.as_mut()) {
            // The new process has read nothing, and has no start of its own under way.
            circuit.is_reachable = false;
            circuit.probe = None;
        }
    }

    /// Judges one committed step. `now` and `input` are what the engine was given.
    pub fn observe(&mut self, now: Steady, input: &Input, step: &Step) {
        self.clock.set(now);
        self.take_input(input);
        self.check_sequence(&step.events);
        self.take_flags(&step.changes);
        let is_intent = |event: &&Event| matches!(event.fact, Fact::Intent { .. });
        for event in step.events.iter().filter(|event| !is_intent(event)) {
            self.apply_event(event, input, step);
        }
        self.apply_rows(&step.changes);
        // A step first applies its input, then decides: intents come last, one after the other.
        for event in step.events.iter().filter(is_intent) {
            self.check_intent(event, step);
        }
        self.check_rows(&step.events, &step.changes);
        self.check_requests(step);
        self.check_order(input, step);
        if matches!(input, Input::Restarted) {
            self.check_no_ticket_survived();
        }
    }

    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    fn violate(&mut self, rule: Rule, seq: u64, detail: impl Into<String>) {
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(Violation { rule, detail: detail.into(), seq });
        }
    }
}
