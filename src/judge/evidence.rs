//! What is judged: the cloud's log, the store, the settings and the outputs of one run.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::engine::Event;
use crate::engine::rows::{AttemptRow, Rows};
use crate::model::{AttemptId, InstanceId, ProjectName, Settings, TargetId, Versions, Wall};
use crate::sim::log::{LogLine, RequestLine, TaskLine};
use crate::sim::world::CallKind;
use crate::store::{EVENTS_LIMIT, EventFilter, ReadOnly, StoreError};

/// Everything about one run.
#[derive(Debug, Default)]
pub struct Evidence {
    pub settings: Settings,
    /// The cloud's log, in order.
    pub lines: Vec<LogLine>,
    /// The whole ledger, in order.
    pub ledger: Vec<Event>,
    pub rows: Rows,
    /// Every attempt, open or not.
    pub attempts: Vec<AttemptRow>,
    /// The cloud's final versions, by its project id and instance id, where they are known.
    pub final_versions: BTreeMap<(Arc<str>, InstanceId), Versions>,
    pub outputs: Vec<Output>,
    /// Secrets that no output may show.
    pub secrets: Vec<String>,
}

/// One thing the run wrote: a log, a reply, a page, a database file.
#[derive(Debug)]
pub struct Output {
    pub name: String,
    pub bytes: Vec<u8>,
}

/// One upgrade request of ours, as the cloud saw it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent<'a> {
    pub line: &'a RequestLine,
    pub attempt: &'a str,
}

impl Evidence {
    pub(super) fn requests(&self) -> impl Iterator<Item = &RequestLine> {
        self.lines.iter().filter_map(|line| match line {
            LogLine::Request(line) => Some(line),
            LogLine::Task(_) => None,
        })
    }

    pub(super) fn tasks(&self) -> impl Iterator<Item = &TaskLine> {
        self.lines.iter().filter_map(|line| match line {
            LogLine::Task(line) => Some(line),
            LogLine::Request(_) => None,
        })
    }

    /// The upgrade requests that named an attempt, in the cloud's order.
    pub(super) fn sent(&self) -> impl Iterator<Item = Sent<'_>> {
        let upgrades = self.requests().filter(|line| line.call == Some(CallKind::Upgrade));
        upgrades.filter_map(|line| line.attempt.as_deref().map(|attempt| Sent { line, attempt }))
    }

    pub(super) fn attempt(&self, id: &str) -> Option<&AttemptRow> {
        let id: AttemptId = id.parse().ok()?;
        self.attempts.iter().find(|attempt| attempt.id == id)
    }

    /// The file's name of the project with this cloud id.
    pub(super) fn project_named(&self, project_id: &str) -> Option<&ProjectName> {
        let mut projects = self.settings.projects.iter();
        projects.find(|(_, policy)| *policy.project_id == *project_id).map(|(name, _)| name)
    }

    pub(super) fn events_of<'a>(&'a self, target: &'a TargetId) -> impl Iterator<Item = &'a Event> {
        self.ledger.iter().filter(move |event| event.target().as_ref() == Some(target))
    }
}

impl Sent<'_> {
    pub(super) fn at(&self) -> Wall {
        self.line.t_wall
    }
}

/// Reads the store's share of the evidence: ledger, rows, every attempt.
///
/// # Errors
/// The store cannot be read.
pub async fn load_store(path: &Path, evidence: &mut Evidence) -> Result<(), StoreError> {
    let store = ReadOnly::open(path).await?;
    evidence.rows = store.load().await?;
    loop {
        let after_seq = evidence.ledger.last().map_or(0, |event| event.seq);
        let page = store.events(&EventFilter { after_seq, ..EventFilter::default() }).await?;
        let is_last = page.len() < EVENTS_LIMIT as usize;
        evidence.ledger.extend(page);
        if is_last {
            break;
        }
    }
    for target in &evidence.rows.targets {
        evidence.attempts.extend(store.attempts(&target.id).await?);
    }
    store.close().await;
    Ok(())
}
