//! A store in memory: rows updated only from what steps changed, and the ledger.

use std::collections::BTreeMap;

use crate::engine::order::Scope;
use crate::engine::rows::{
    AttemptRow, CampaignRow, CredentialRow, DurationRow, FreezeRow, InstanceRow, ProjectRow, Rows,
    TargetRow,
};
use crate::engine::{Event, Step};
use crate::model::duration::DurationClass;
use crate::model::{
    AttemptId, CampaignName, CredentialName, IdMap, InstanceId, ProjectName, TargetId, Wall,
};

#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    instances: IdMap<(ProjectName, InstanceId), InstanceRow>,
    targets: IdMap<TargetId, TargetRow>,
    /// All that ever were; the engine is given the open ones.
    attempts: IdMap<AttemptId, AttemptRow>,
    campaigns: BTreeMap<CampaignName, CampaignRow>,
    projects: BTreeMap<ProjectName, ProjectRow>,
    credentials: BTreeMap<CredentialName, CredentialRow>,
    freezes: BTreeMap<Scope, FreezeRow>,
    durations: BTreeMap<DurationClass, DurationRow>,
    ledger: Vec<Event>,
    /// Where the ledger of another store ended that this one goes on from.
    before: Option<(u64, Option<Wall>)>,
}

impl MemoryStore {
    /// Goes on from what another store holds, but for its ledger.
    pub fn from_rows(rows: Rows) -> MemoryStore {
        MemoryStore {
            before: Some((rows.last_seq, rows.last_at)),
            instances: keyed(rows.instances, |row| (row.project.clone(), row.instance.clone())),
            targets: keyed(rows.targets, |row| row.id.clone()),
            attempts: keyed(rows.attempts, |row| row.id.clone()),
            campaigns: keyed(rows.campaigns, |row| row.name.clone()),
            projects: keyed(rows.projects, |row| row.name.clone()),
            credentials: keyed(rows.credentials, |row| row.name.clone()),
            freezes: keyed(rows.freezes, |row| row.scope.clone()),
            durations: keyed(rows.durations, |row| row.class),
            ledger: Vec::new(),
        }
    }

    /// One unit, whole.
    pub fn commit(&mut self, step: &Step) {
        let changes = &step.changes;
        for row in &changes.instances {
            self.instances.insert((row.project.clone(), row.instance.clone()), row.clone());
        }
        for row in &changes.targets {
            self.targets.insert(row.id.clone(), row.clone());
        }
        for row in &changes.attempts {
            self.attempts.insert(row.id.clone(), row.clone());
        }
        for row in &changes.campaigns {
            self.campaigns.insert(row.name.clone(), row.clone());
        }
        for row in &changes.projects {
            self.projects.insert(row.name.clone(), row.clone());
        }
        for row in &changes.credentials {
            self.credentials.insert(row.name.clone(), row.clone());
        }
        for scope in &changes.unfrozen {
            self.freezes.remove(scope);
        }
        for row in &changes.freezes {
            self.freezes.insert(row.scope.clone(), row.clone());
        }
        for row in &changes.durations {
            self.durations.insert(row.class, row.clone());
        }
        self.ledger.extend(step.events.iter().cloned());
    }

    /// What a restart reads, in the order of ids, as the database gives it.
    pub fn rows(&self) -> Rows {
        let mut instances: Vec<InstanceRow> = self.instances.values().cloned().collect();
        let mut targets: Vec<TargetRow> = self.targets.values().cloned().collect();
        instances.sort_by(|one, other| {
            (&one.project, &one.instance).cmp(&(&other.project, &other.instance))
        });
        targets.sort_by(|one, other| one.id.cmp(&other.id));
        let before = self.before.and_then(|(_, at)| at);
        let last_at = self.ledger.last().map(|event| event.at).or(before);
        Rows { last_at, instances, targets, ..self.rows_beside_targets() }
    }

    /// As [`crate::engine::Engine::rows_beside_targets`].
    pub fn rows_beside_targets(&self) -> Rows {
        let open = self.attempts.values().filter(|row| row.ended_at.is_none());
        let before = self.before.map_or(0, |(seq, _)| seq);
        Rows {
            last_seq: self.ledger.last().map_or(before, |event| event.seq),
            attempts: open.cloned().collect(),
            campaigns: self.campaigns.values().cloned().collect(),
            projects: self.projects.values().cloned().collect(),
            credentials: self.credentials.values().cloned().collect(),
            freezes: self.freezes.values().cloned().collect(),
            durations: self.durations.values().cloned().collect(),
            ..Rows::default()
        }
    }

    pub fn ledger(&self) -> &[Event] {
        &self.ledger
    }

    pub fn instance(&self, project: &ProjectName, instance: &InstanceId) -> Option<&InstanceRow> {
        self.instances.get(&(project.clone(), instance.clone()))
    }

    pub fn targets(&self) -> impl Iterator<Item = &TargetRow> {
        self.targets.values()
    }

    pub fn count_targets(&self) -> usize {
        self.targets.len()
    }

    pub fn target(&self, id: &TargetId) -> Option<&TargetRow> {
        self.targets.get(id)
    }

    pub fn attempts(&self) -> impl Iterator<Item = &AttemptRow> {
        self.attempts.values()
    }

    pub fn campaigns(&self) -> impl Iterator<Item = &CampaignRow> {
        self.campaigns.values()
    }

    pub fn campaign(&self, name: &CampaignName) -> Option<&CampaignRow> {
        self.campaigns.get(name)
    }

    pub fn project(&self, name: &ProjectName) -> Option<&ProjectRow> {
        self.projects.get(name)
    }
}

fn keyed<K, R, M: FromIterator<(K, R)>>(rows: Vec<R>, key: impl Fn(&R) -> K) -> M {
    rows.into_iter().map(|row| (key(&row), row)).collect()
}
