//! A run of two upgrades, written by hand: the second one got a 500 first, was looked at, found not
//! applied and sent again. Everything about it is as the rules want it.
//!
//! Times are milliseconds since the opening of the window, 2026-12-05T01:00:00Z.

use std::path::Path;
use std::sync::Arc;

use refit::config;
use refit::engine::rows::{AttemptOutcome, AttemptRow, InstanceRow, TargetDetail, TargetRow};
use refit::engine::{Event, Fact, Reason, TargetState};
use refit::judge::{Evidence, Output};
use refit::model::{
    AnswerNote, AttemptId, CacheMode, InstanceId, Millis, PartVersion, Settings, TargetId,
    UpgradeBody, Versions, Wall,
};
use refit::sim::log::{LogLine, RequestLine, TaskLine};
use refit::sim::world::{CallKind, Decision, Outcome, TaskState};
use sha2::{Digest, Sha256};

use crate::config_environment::FakeEnvironment;

/// The opening of the window.
pub const OPEN: Wall = Wall(1_796_432_400_000);

pub const SECRET: &str = "s3cr3t-canary";

const PROJECT_ID: &str = "0aa10000000000000000000000000001";

const FILE: &str = r#"
[credentials.ops]
kind = "access-key"
access_key = "env:HUAWEICLOUD_SDK_AK"
secret_key = "env:HUAWEICLOUD_SDK_SK"

[projects.sg]
region = "ap-southeast-3"
project_id = "0aa10000000000000000000000000001"
max_in_flight = 5
upgrade_rate = { per_minute = 6, burst = 1 }
read_rate = { per_minute = 60, burst = 10 }

[windows.night]
at = 2026-12-05T01:00:00
duration = "2h"
cutoff = "30m"

[campaigns.weekly]
windows = ["night"]
engine = "latest"
select = { names = ["*"] }
max_in_flight = 1
max_unavailable = [{ per = "tag:app", limit = 1 }]
observe_for = "60s"
failure_budget = { max_failures = 1 }

[[campaigns.weekly.waves]]
name = "canary"
count = 1
bake = "10m"

[[campaigns.weekly.waves]]
name = "rest"
"#;

/// `mm:ss` after the opening.
pub fn at(minutes: i64, seconds: i64) -> Wall {
    OPEN + Millis::from_secs(minutes * 60 + seconds)
}

pub fn settings() -> Settings {
    let mut environment = FakeEnvironment::usual();
    environment.write("refit.toml", FILE, 0o600);
    let loaded = config::load(Path::new("refit.toml"), &environment);
    loaded.unwrap_or_else(|findings| panic!("{findings:#?}")).config.settings
}

pub fn target(instance: &str) -> TargetId {
    format!("weekly/sg/{instance}").parse().unwrap()
}

pub fn attempt(instance: &str, number: u32) -> AttemptId {
    AttemptId { target: target(instance), round: 1, number }
}

pub fn body() -> UpgradeBody {
    UpgradeBody { engine: Some("latest".into()), proxy: None }
}

pub fn versions(current: &str) -> Versions {
    let engine = PartVersion {
        current: Some(current.into()),
        latest: Some("6.0.9".into()),
        upgradable: current != "6.0.9",
    };
    Versions { engine, proxy: PartVersion::default() }
}

/// An event of a target; its `seq` is given when it is put into the ledger.
pub fn event(at: Wall, instance: &str, state: TargetState, fact: Fact) -> Event {
    let target = target(instance);
    Event {
        campaign: Some(target.campaign),
        project: Some(target.project),
        instance: Some(target.instance),
        state: Some(state),
        ..campaign_event(at, fact)
    }
}

pub fn campaign_event(at: Wall, fact: Fact) -> Event {
    Event {
        seq: 0,
        at,
        campaign: Some("weekly".into()),
        project: None,
        instance: None,
        attempt: None,
        actor: None,
        comment: None,
        state: None,
        fact,
    }
}

/// An event of the project `sg` as a whole.
pub fn project_event(at: Wall, fact: Fact) -> Event {
    Event { campaign: None, project: Some("sg".into()), ..campaign_event(at, fact) }
}

pub fn intent(at: Wall, instance: &str, number: u32) -> Event {
    let fact = Fact::Intent {
        body: body(),
        not_after: at + Millis::from_secs(5),
        versions: versions("6.0.1"),
        known_tasks: Vec::new(),
    };
    let attempt = Some(attempt(instance, number));
    Event { attempt, ..event(at, instance, TargetState::Submitting, fact) }
}

/// A read of an instance, answered well after 10 ms.
pub fn read(at: Wall, call: CallKind, instance: &str) -> RequestLine {
    RequestLine {
        seq: 0,
        t_mono_ns: 0,
        t_wall: at,
        daemon: Some("d1".into()),
        conn: 1,
        method: "GET".into(),
        path: "/".into(),
        call: Some(call),
        project: Some(PROJECT_ID.into()),
        instance: Some(instance.into()),
        attempt: None,
        credential: Some("AK".into()),
        body_sha256: None,
        decision: Decision::Ok,
        applied: false,
        status: Some(200),
        code: None,
        task_id: None,
        latency_ms: Millis(10),
    }
}

/// An upgrade request that began the task `t-INSTANCE`.
pub fn upgrade(at: Wall, instance: &str, number: u32) -> RequestLine {
    RequestLine {
        method: "POST".into(),
        attempt: Some(attempt(instance, number).to_string().into()),
        body_sha256: Some(hex::encode(Sha256::digest(body().to_json())).into()),
        applied: true,
        task_id: Some(format!("t-{instance}").into()),
        ..read(at, CallKind::Upgrade, instance)
    }
}

pub fn task(at: Wall, instance: &str, number: u32, state: TaskState) -> TaskLine {
    TaskLine {
        seq: 0,
        at,
        project: PROJECT_ID.into(),
        instance: instance.into(),
        task_id: format!("t-{instance}").into(),
        attempt: Some(attempt(instance, number).to_string().into()),
        state,
        outcome: Outcome::Success,
    }
}

pub fn attempt_row(
    intent_at: Wall,
    instance: &str,
    number: u32,
    (outcome, ended_at): (AttemptOutcome, Option<Wall>),
) -> AttemptRow {
    AttemptRow {
        id: attempt(instance, number),
        body: body(),
        intent_at,
        not_after: intent_at + Millis::from_secs(5),
        versions_before: versions("6.0.1"),
        known_tasks: Vec::new(),
        cloud_intent_at: intent_at,
        outcome,
        ended_at,
    }
}

fn target_row(instance: &str, wave: u32) -> TargetRow {
    TargetRow {
        id: target(instance),
        wave,
        rank: u64::from(wave),
        state: TargetState::Succeeded,
        reason: Some(Reason::Verified),
        entered_at: OPEN,
        round: 1,
        number: wave + 1,
        not_applied: wave,
        not_before: None,
        task: Some(format!("t-{instance}").into()),
        overdue: false,
        needs_operator: None,
        held_by: None,
        acknowledged: false,
        detail: TargetDetail {
            versions: Some(versions("6.0.9").into()),
            ..TargetDetail::default()
        },
    }
}

fn instance_row(instance: &str) -> InstanceRow {
    InstanceRow {
        project: "sg".into(),
        instance: instance.into(),
        name: instance.into(),
        tags: [(Arc::from("app"), Arc::from("cart"))].into(),
        zones: Vec::new(),
        cache_mode: CacheMode::Ha,
        engine_version: "6.0".into(),
    }
}

/// The run, complete and clean.
pub fn clean() -> Evidence {
    let mut evidence = Evidence {
        settings: settings(),
        outputs: vec![Output { name: "log".into(), bytes: b"nothing to see".to_vec() }],
        secrets: vec![SECRET.into()],
        ..Evidence::default()
    };
    evidence.ledger = ledger();
    evidence.lines = lines();
    let applied = |task: &str| AttemptOutcome::Applied { task: Some(task.into()) };
    evidence.attempts = vec![
        attempt_row(at(0, 0), "a", 1, (applied("t-a"), Some(at(5, 0)))),
        attempt_row(at(15, 10), "b", 1, (AttemptOutcome::NotApplied, Some(at(16, 15)))),
        attempt_row(at(16, 20), "b", 2, (applied("t-b"), Some(at(20, 0)))),
    ];
    evidence.rows.targets = vec![target_row("a", 0), target_row("b", 1)];
    evidence.rows.instances = vec![instance_row("a"), instance_row("b")];
    evidence.final_versions = ["a", "b"]
        .map(|id| ((Arc::from(PROJECT_ID), InstanceId::from(id)), versions("6.0.9")))
        .into();
    renumber(&mut evidence);
    evidence
}

fn ledger() -> Vec<Event> {
    use TargetState::{Pending, Running, Succeeded, Uncertain, Verifying};
    let planned = |wave, name: &str| Fact::TargetPlanned { wave, rank: 0, name: name.into() };
    let accepted =
        |task: &str| Fact::Accepted { task: task.into(), late: false, note: AnswerNote::default() };
    let over = || Fact::TaskEnded { succeeded: true, code: None };
    let succeeded = || Fact::Succeeded {
        reason: Reason::Verified,
        before: None,
        after: None,
        learned: None,
        took: Millis::from_mins(5),
    };
    let opened = |wave, name: &str| Fact::WaveOpened { wave, name: name.into() };
    let uncertain = Fact::BecameUncertain {
        why: "500".into(),
        earliest_resend: at(16, 11),
        number: 1,
        of: 4,
        note: AnswerNote::default(),
    };
    vec![
        event(at(-5, 0), "a", Pending, planned(0, "a")),
        event(at(-5, 0), "b", Pending, planned(1, "b")),
        campaign_event(at(-5, 0), Fact::Started),
        campaign_event(at(-5, 0), opened(0, "canary")),
        intent(at(0, 0), "a", 1),
        event(at(0, 1), "a", Running, accepted("t-a")),
        event(at(4, 0), "a", Verifying, over()),
        event(at(5, 0), "a", Succeeded, succeeded()),
        campaign_event(at(5, 0), Fact::BakeStarted { wave: 0, until: at(15, 0) }),
        campaign_event(at(15, 0), opened(1, "rest")),
        intent(at(15, 10), "b", 1),
        event(at(15, 11), "b", Uncertain, uncertain),
        event(at(16, 15), "b", Pending, Fact::NotApplied { not_before: Some(at(16, 18)) }),
        intent(at(16, 20), "b", 2),
        event(at(16, 21), "b", Running, accepted("t-b")),
        event(at(19, 0), "b", Verifying, over()),
        event(at(20, 0), "b", Succeeded, succeeded()),
        campaign_event(at(20, 0), Fact::Completed { with_failures: false }),
    ]
}

fn lines() -> Vec<LogLine> {
    let failed = RequestLine {
        decision: Decision::Error500Before,
        status: Some(500),
        applied: false,
        task_id: None,
        ..upgrade(at(15, 10), "b", 1)
    };
    vec![
        LogLine::Request(read(at(-4, 0), CallKind::Version, "a")),
        LogLine::Request(read(at(-4, 1), CallKind::Version, "b")),
        LogLine::Request(read(at(0, -2), CallKind::Show, "a")),
        LogLine::Request(upgrade(at(0, 0), "a", 1)),
        LogLine::Task(task(at(0, 0), "a", 1, TaskState::Open)),
        LogLine::Task(task(at(4, 0), "a", 1, TaskState::Succeeded)),
        LogLine::Request(read(at(15, 5), CallKind::Show, "b")),
        LogLine::Request(failed),
        LogLine::Request(read(at(16, 19), CallKind::Show, "b")),
        LogLine::Request(upgrade(at(16, 20), "b", 2)),
        LogLine::Task(task(at(16, 20), "b", 2, TaskState::Open)),
        LogLine::Task(task(at(19, 0), "b", 2, TaskState::Succeeded)),
    ]
}

/// Sorts both accounts by time and numbers them without a gap.
pub fn renumber(evidence: &mut Evidence) {
    evidence.ledger.sort_by_key(|event| event.at);
    for (index, event) in evidence.ledger.iter_mut().enumerate() {
        event.seq = index as u64 + 1;
    }
    evidence.rows.last_seq = evidence.ledger.len() as u64;
    evidence.lines.sort_by_key(|line| match line {
        LogLine::Request(line) => line.t_wall,
        LogLine::Task(line) => line.at,
    });
    for (index, line) in evidence.lines.iter_mut().enumerate() {
        match line {
            LogLine::Request(line) => line.seq = index as u64 + 1,
            LogLine::Task(line) => line.seq = index as u64 + 1,
        }
    }
}
