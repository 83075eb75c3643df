//! Durable units per second in batches of 1, 10, 100 and 200 (docs/decisions.md: one commit).
//!
//! A unit is a typical step: an intent or an answer, so one event, one target, one attempt, one
//! project and one piece of evidence. Run on the disk that the store will be on:
//! `TMPDIR=/var/lib/refit cargo bench --bench store`.

use divan::Bencher;
use divan::counter::ItemsCount;

use refit::engine::rows::{
    AttemptOutcome, AttemptRow, Flight, ProjectDetail, ProjectRow, TargetDetail, TargetRow,
};
use refit::engine::{Changes, Event, Fact, TargetState};
use refit::model::{AnswerNote, AttemptId, TargetId, UpgradeBody, Versions, Wall};
use refit::store::{Evidence, Store, Unit};

/// Targets in turn, so that most upserts replace a row.
const TARGETS: u64 = 2_000;
/// Targets of the load benchmark.
const LOADED: u64 = 10_000;
const NOW: Wall = Wall(1_769_903_999_000);

fn main() {
    divan::main();
}

#[divan::bench(args = [1, 10, 100, 200], max_time = 3)]
fn commit(bencher: Bencher, batch: u64) {
    let runtime = runtime();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut store = runtime
        .block_on(Store::open(&directory.path().join("refit.db"), NOW))
        .expect("a new store opens");
    let mut seq = 0;
    bencher.counter(ItemsCount::new(batch)).bench_local(|| {
        let units: Vec<Unit> = (seq + 1..=seq + batch).map(unit).collect();
        seq += batch;
        runtime.block_on(store.commit(&units)).expect("the disk has room");
    });
}

#[divan::bench(max_time = 3)]
fn load(bencher: Bencher) {
    let runtime = runtime();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut store = runtime.block_on(async {
        let path = directory.path().join("refit.db");
        let mut store = Store::open(&path, NOW).await.expect("a new store opens");
        for first in (1..LOADED).step_by(200) {
            let units: Vec<Unit> = (first..first + 200).map(of_new_target).collect();
            store.commit(&units).await.expect("the disk has room");
        }
        store
    });
    bencher
        .counter(ItemsCount::new(LOADED))
        .bench_local(|| runtime.block_on(store.load()).expect("it was just written"));
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn target_id(number: u64) -> TargetId {
    TargetId {
        campaign: "weekly".into(),
        project: "sg-prod".into(),
        instance: format!("c830053e-d5a3-44a8-b19d-{number:012}").into(),
    }
}

fn unit(seq: u64) -> Unit {
    of_target(seq, seq % TARGETS)
}

fn of_new_target(seq: u64) -> Unit {
    of_target(seq, seq)
}

fn of_target(seq: u64, number: u64) -> Unit {
    let id = target_id(number);
    let attempt = AttemptId { target: id.clone(), round: 1, number: 1 };
    let note = AnswerNote {
        status: Some(200),
        request_id: Some("4bf92f3577b34da6a3ce929d0e0e4736".into()),
        ..AnswerNote::default()
    };
    let event = Event {
        seq,
        at: NOW,
        campaign: Some(id.campaign.clone()),
        project: Some(id.project.clone()),
        instance: Some(id.instance.clone()),
        attempt: Some(attempt.clone()),
        actor: None,
        comment: None,
        state: Some(TargetState::Running),
        fact: Fact::Accepted { task: "8abfa7b6-task".into(), late: false, note },
    };
    let evidence = Evidence {
        at: NOW,
        project: id.project.clone(),
        instance: Some(id.instance.clone()),
        attempt: Some(attempt.clone()),
        kind: "submitted".into(),
        body: format!("{{\"task_id\":\"{seq}\"}}"),
    };
    let changes = Changes {
        targets: vec![target(id, seq)],
        attempts: vec![attempt_row(attempt)],
        projects: vec![ProjectRow { name: "sg-prod".into(), detail: ProjectDetail::default() }],
        ..Changes::default()
    };
    Unit { events: vec![event], changes, evidence: vec![evidence] }
}

fn target(id: TargetId, seq: u64) -> TargetRow {
    TargetRow {
        id,
        wave: 0,
        rank: seq,
        state: TargetState::Running,
        reason: None,
        entered_at: NOW,
        round: 1,
        number: 1,
        not_applied: 0,
        not_before: None,
        task: Some("8abfa7b6-task".into()),
        overdue: false,
        needs_operator: None,
        held_by: None,
        acknowledged: false,
        detail: TargetDetail {
            versions: Some(Versions::default().into()),
            versions_at: Some(NOW),
            flight: Some(Box::new(Flight { running_since: Some(NOW), ..Flight::default() })),
            ..TargetDetail::default()
        },
    }
}

fn attempt_row(id: AttemptId) -> AttemptRow {
    AttemptRow {
        id,
        body: UpgradeBody { engine: Some("latest".into()), proxy: None },
        intent_at: NOW,
        not_after: NOW,
        versions_before: Versions::default(),
        known_tasks: vec![],
        cloud_intent_at: NOW,
        outcome: AttemptOutcome::Open,
        ended_at: None,
    }
}
