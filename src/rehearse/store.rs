//! A store in memory: rows updated only from what steps changed, and the ledger.

use std::collections::BTreeMap;

use crate::engine::order::Scope;
use crate::engine::rows::{
    AttemptRow, CampaignRow, CredentialRow, FreezeRow, InstanceRow, ProjectRow, Rows, TargetRow,
};
use crate::engine::{Event, Step};
use crate::model::{AttemptId, CampaignName, CredentialName, InstanceId, ProjectName, TargetId};

#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    instances: BTreeMap<(ProjectName, InstanceId), InstanceRow>,
    targets: BTreeMap<TargetId, TargetRow>,
    /// All that ever were; the engine is given the open ones.
    attempts: BTreeMap<AttemptId, AttemptRow>,
    campaigns: BTreeMap<CampaignName, CampaignRow>,
    projects: BTreeMap<ProjectName, ProjectRow>,
    credentials: BTreeMap<CredentialName, CredentialRow>,
    freezes: BTreeMap<Scope, FreezeRow>,
    ledger: Vec<Event>,
}

impl MemoryStore {
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
        self.ledger.extend(step.events.iter().cloned());
    }

    /// What a restart reads.
    pub fn rows(&self) -> Rows {
        Rows {
            last_seq: self.ledger.last().map_or(0, |event| event.seq),
            last_at: self.ledger.last().map(|event| event.at),
            instances: self.instances.values().cloned().collect(),
            targets: self.targets.values().cloned().collect(),
            attempts: self
                .attempts
                .values()
                .filter(|row| row.ended_at.is_none())
                .cloned()
                .collect(),
            campaigns: self.campaigns.values().cloned().collect(),
            projects: self.projects.values().cloned().collect(),
            credentials: self.credentials.values().cloned().collect(),
            freezes: self.freezes.values().cloned().collect(),
        }
    }

    pub fn ledger(&self) -> &[Event] {
        &self.ledger
    }

    pub fn targets(&self) -> impl Iterator<Item = &TargetRow> {
        self.targets.values()
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
