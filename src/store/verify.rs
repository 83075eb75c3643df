//! The ledger checked against itself and against the projections (rule S11).

use std::collections::BTreeMap;
use std::fmt;

use sqlx::AnyConnection;

use crate::engine::order::Verdict;
use crate::engine::rows::{DurationRow, TargetRow};
use crate::engine::{Event, Fact, TargetState};
use crate::model::duration::{DurationClass, Samples};
use crate::model::{TargetId, TaskId};

use super::error::StoreError;
use super::ledger::{self, Link, Tail};
use super::read::ReadOnly;
use super::table;

/// Ledger rows per read: bounds the memory, whatever the ledger's length.
const PAGE: u32 = 1_000;
/// The most findings of one check; the first says what to restore.
const FINDINGS_LIMIT: usize = 100;

/// Something that only a bug, damage or another program can have done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The row after `after` is `found`.
    Gap { after: u64, found: u64 },
    /// The row was changed, or the one before it.
    ChainBroken { seq: u64 },
    /// The row is not an event of this version.
    Unreadable { seq: u64 },
    /// The ledger tells of a target that has no row, or the other way round.
    OneSided { target: TargetId },
    /// The durations that the ledger tells of a class are not those that are stored.
    DurationsDiffer { class: DurationClass },
    /// What the ledger says and what the row says.
    Differs { target: TargetId, ledger: String, row: String },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::Gap { after, found } => write!(f, "event {found} follows event {after}"),
            Finding::ChainBroken { seq } => write!(f, "event {seq} breaks the hash chain"),
            Finding::Unreadable { seq } => write!(f, "event {seq} cannot be read"),
            Finding::OneSided { target } => {
                write!(f, "{target} is in one of ledger and targets only")
            }
            Finding::DurationsDiffer { class } => {
                write!(f, "upgrades of {class}: the ledger tells other durations than are stored")
            }
            Finding::Differs { target, ledger, row } => {
                write!(f, "{target}: the ledger says {ledger}, its row says {row}")
            }
        }
    }
}

impl ReadOnly {
    /// Whether the ledger's chain is whole and folds to the targets as they are stored: state,
    /// round, attempt number, task; and to the durations learned. Up to 100 findings; none if all
    /// is well.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn verify(&self) -> Result<Vec<Finding>, StoreError> {
        let mut transaction = self.begin().await?;
        verify(&mut transaction).await.map_err(self.failed())
    }
}

async fn verify(connection: &mut AnyConnection) -> Result<Vec<Finding>, sqlx::Error> {
    let mut chain = Chain {
        tail: Tail::empty(),
        folded: BTreeMap::new(),
        durations: BTreeMap::new(),
        findings: Vec::new(),
    };
    loop {
        let links = ledger::page(connection, chain.tail.seq, PAGE).await?;
        if links.is_empty() || chain.findings.len() >= FINDINGS_LIMIT {
            break;
        }
        links.iter().for_each(|link| chain.follow(link));
    }
    table::for_each(connection, |row: TargetRow| chain.compare(row)).await?;
    table::for_each(connection, |row: DurationRow| chain.compare_durations(row)).await?;
    Ok(chain.end())
}

/// What the ledger says of one target.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Folded {
    state: TargetState,
    round: u32,
    number: u32,
    task: Option<TaskId>,
}

impl fmt::Display for Folded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}.{}", self.state, self.round, self.number)?;
        match &self.task {
            Some(task) => write!(f, " with task {task}"),
            None => f.write_str(" without a task"),
        }
    }
}

impl Folded {
    fn apply(&mut self, event: &Event, state: TargetState) {
        self.state = state;
        if let Some(attempt) = &event.attempt {
            (self.round, self.number) = (attempt.round, attempt.number);
        }
        match &event.fact {
            Fact::Accepted { task, .. }
            | Fact::Adopted { task }
            | Fact::Resolved { verdict: Verdict::Applied { task: Some(task) } } => {
                self.task = Some(task.clone());
            }
            Fact::RetryOrdered { round } => {
                (self.round, self.number, self.task) = (*round, 0, None);
            }
            _ => {}
        }
    }
}

struct Chain {
    tail: Tail,
    folded: BTreeMap<TargetId, Folded>,
    durations: BTreeMap<DurationClass, Samples>,
    findings: Vec<Finding>,
}

impl Chain {
    fn follow(&mut self, link: &Link) {
        let expected = self.tail.after(&link.body);
        if link.seq != expected.seq {
            self.find(Finding::Gap { after: self.tail.seq, found: link.seq });
        } else if link.prev != self.tail.hash || link.hash != expected.hash {
            self.find(Finding::ChainBroken { seq: link.seq });
        }
        // Goes on from what is stored, so that one change is one finding.
        self.tail = Tail { seq: link.seq, hash: link.hash.clone() };
        match serde_json::from_str::<Event>(&link.body) {
            Ok(event) if event.seq == link.seq => self.fold(&event),
            _ => self.find(Finding::Unreadable { seq: link.seq }),
        }
    }

    fn fold(&mut self, event: &Event) {
        if let Fact::Succeeded { learned: Some(learned), .. } = &event.fact {
            self.durations.entry(learned.class).or_default().push(learned.took);
        }
        let (Some(target), Some(state)) = (event.target(), event.state) else { return };
        self.folded
            .entry(target)
            .or_insert(Folded { state, round: 1, number: 0, task: None })
            .apply(event, state);
    }

    /// Holds one row against what the ledger told of its target.
    fn compare(&mut self, row: TargetRow) {
        let told = self.folded.remove(&row.id);
        let stored =
            Folded { state: row.state, round: row.round, number: row.number, task: row.task };
        match told {
            Some(ledger) if ledger == stored => {}
            Some(ledger) => self.find(Finding::Differs {
                target: row.id,
                ledger: ledger.to_string(),
                row: stored.to_string(),
            }),
            None => self.find(Finding::OneSided { target: row.id }),
        }
    }

    fn compare_durations(&mut self, row: DurationRow) {
        if self.durations.remove(&row.class) != Some(row.samples) {
            self.find(Finding::DurationsDiffer { class: row.class });
        }
    }

    /// What is left of what the ledger tells has no row.
    fn end(mut self) -> Vec<Finding> {
        for class in std::mem::take(&mut self.durations).into_keys() {
            self.find(Finding::DurationsDiffer { class });
        }
        for target in std::mem::take(&mut self.folded).into_keys() {
            self.find(Finding::OneSided { target });
        }
        self.findings
    }

    fn find(&mut self, finding: Finding) {
        if self.findings.len() < FINDINGS_LIMIT {
            self.findings.push(finding);
        }
    }
}
