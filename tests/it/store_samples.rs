//! Rows and units for the store's tests.

use std::path::PathBuf;

use refit::engine::rows::{AttemptOutcome, AttemptRow, TargetDetail, TargetRow};
use refit::engine::{Changes, Event, Fact, TargetState};
use refit::model::{AttemptId, TargetId, UpgradeBody, Versions, Wall};
use refit::store::{Evidence, Store, Unit};

pub const NOW: Wall = Wall(1_769_903_999_000);

/// A directory that goes with the value, and where a store may stand in it.
pub struct Place {
    pub directory: tempfile::TempDir,
    pub path: PathBuf,
}

pub fn place() -> Place {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("refit.db");
    Place { directory, path }
}

impl Place {
    pub async fn open(&self) -> Store {
        Store::open(&self.path, NOW).await.unwrap()
    }

    /// The file beside the store with this suffix.
    pub fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(suffix);
        name.into()
    }
}

pub fn target_id(number: u32) -> TargetId {
    TargetId {
        campaign: "weekly".into(),
        project: "sg-prod".into(),
        instance: format!("instance-{number:06}").into(),
    }
}

pub fn attempt_id(target: u32, number: u32) -> AttemptId {
    AttemptId { target: target_id(target), round: 1, number }
}

pub fn target(number: u32, state: TargetState) -> TargetRow {
    TargetRow {
        id: target_id(number),
        wave: 0,
        rank: number.into(),
        state,
        reason: None,
        entered_at: NOW,
        round: 1,
        number: 0,
        not_applied: 0,
        not_before: None,
        task: None,
        overdue: false,
        needs_operator: None,
        held_by: None,
        acknowledged: false,
        detail: TargetDetail::default(),
    }
}

pub fn attempt(id: AttemptId, outcome: AttemptOutcome, ended_at: Option<Wall>) -> AttemptRow {
    AttemptRow {
        id,
        body: UpgradeBody { engine: Some("latest".into()), proxy: None },
        intent_at: NOW,
        not_after: NOW,
        versions_before: Versions::default(),
        known_tasks: vec![],
        cloud_intent_at: NOW,
        outcome,
        ended_at,
    }
}

pub fn event(seq: u64, target: u32, state: TargetState, fact: Fact) -> Event {
    let TargetId { campaign, project, instance } = target_id(target);
    Event {
        seq,
        at: NOW,
        campaign: Some(campaign),
        project: Some(project),
        instance: Some(instance),
        attempt: None,
        actor: None,
        comment: None,
        state: Some(state),
        fact,
    }
}

/// The unit that plans one target, with the `seq` of its event.
pub fn planned(seq: u64, number: u32) -> Unit {
    let row = target(number, TargetState::Pending);
    let fact = Fact::TargetPlanned { wave: row.wave, rank: row.rank, name: "cache".into() };
    Unit {
        events: vec![event(seq, number, row.state, fact)],
        changes: Changes { targets: vec![row], ..Changes::default() },
        evidence: vec![],
    }
}

pub fn evidence(number: u32, body: &str) -> Evidence {
    let attempt = attempt_id(number, 1);
    Evidence {
        at: NOW,
        project: attempt.target.project.clone(),
        instance: Some(attempt.target.instance.clone()),
        attempt: Some(attempt),
        kind: "submitted".into(),
        body: body.into(),
    }
}
