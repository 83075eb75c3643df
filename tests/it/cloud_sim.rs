//! The client against the simulated cloud, which checks signatures and tokens by code of its own:
//! what the client concludes is held against what the cloud's log says happened.

use std::sync::Arc;

use refit::cloud::{Cloud, SubmitOrder, Submitted};
use refit::model::access::{Endpoint, Secrets};
use refit::model::answer::Answered;
use refit::model::{
    CurrentTask, InstanceId, Millis, ReadAnswer, ReadCall, ReadFailure, SubmitAnswer, UpgradeBody,
    Wall,
};
use refit::sim::http::{Running, SimOptions, start};
use refit::sim::log::{LogLine, RequestLine};
use refit::sim::world::{
    CallFilter, CallKind, Decision, FaultProfile, Knobs, Script, SpanRange, Step, World, WorldSpec,
};

use crate::cloud_server::SHORT_TIMEOUT;

struct Fleet {
    running: Arc<Running>,
    cloud: Cloud,
    instance: InstanceId,
}

fn key(secret: &str) -> Secrets {
    Secrets::AccessKey {
        access_key: "SIMULATEDFLEET".into(),
        secret_key: secret.into(),
        security_token: None,
    }
}

fn right_key() -> Secrets {
    key("simulated-secret-of-fleet")
}

fn password() -> Secrets {
    Secrets::Password {
        domain: "simulated".into(),
        user: "refit-fleet".into(),
        password: "simulated-password-of-fleet".into(),
    }
}

/// A world of one instance whose upgrade takes an hour.
async fn world(knobs: &[&str], faults: FaultProfile) -> (Arc<Running>, Arc<str>, InstanceId) {
    let hour = SpanRange { least: Millis::from_hours(1), most: Millis::from_hours(1) };
    let mut spec = WorldSpec::fleet(1, hour);
    spec.projects[0].agency = true;
    let project_id = Arc::clone(&spec.projects[0].id);
    let mut set = Knobs::default();
    for knob in knobs {
        set.set(knob).unwrap();
    }
    let world = World::new(spec, set, faults, 1);
    let instance = world.instance_id("fleet").unwrap();
    let running = start(world, SimOptions::in_memory()).await.unwrap();
    (Arc::new(running), project_id, instance)
}

fn client(
    running: &Arc<Running>,
    project_id: &Arc<str>,
    secrets: Secrets,
    request_timeout: Millis,
) -> Cloud {
    let endpoint = Endpoint {
        region: "sim-1".into(),
        project_id: Arc::clone(project_id),
        credential: "main".into(),
        dcs: running.url().into(),
        iam: running.url().into(),
        ca_file: None,
        proxy: None,
        request_timeout,
    };
    let clock = Arc::clone(running);
    let endpoints = [("p".into(), endpoint)].into();
    let credentials = [("main".into(), secrets)].into();
    Cloud::new(endpoints, credentials, "d1", Arc::new(move || clock.now())).unwrap()
}

impl Fleet {
    async fn start(secrets: Secrets, knobs: &[&str], faults: FaultProfile) -> Fleet {
        Fleet::start_with(secrets, knobs, faults, Millis::from_secs(30)).await
    }

    async fn start_with(
        secrets: Secrets,
        knobs: &[&str],
        faults: FaultProfile,
        request_timeout: Millis,
    ) -> Fleet {
        let (running, project_id, instance) = world(knobs, faults).await;
        let cloud = client(&running, &project_id, secrets, request_timeout);
        Fleet { running, cloud, instance }
    }

    async fn submit(&self) -> Answered<SubmitAnswer> {
        let order = SubmitOrder {
            attempt: format!("weekly/p/{}/1.1", self.instance).parse().unwrap(),
            project: "p".into(),
            instance: self.instance.clone(),
            body: UpgradeBody { engine: Some("latest".into()), proxy: None },
        };
        match self.cloud.submit(&order, || Ok::<(), ()>(())).await {
            Submitted::Answered(answered) => answered,
            Submitted::Refused(()) => panic!("the last check said yes"),
        }
    }

    async fn read(&self, call: ReadCall) -> Result<ReadAnswer, ReadFailure> {
        let read = self.cloud.read(&"p".into(), &call).await;
        read.map(|answered| answered.answer).map_err(|failed| failed.answer)
    }

    fn show(&self) -> ReadCall {
        ReadCall::Instance { instance: self.instance.clone() }
    }

    fn requests(&self) -> Vec<RequestLine> {
        let lines = self.running.lines().into_iter();
        lines
            .filter_map(|line| match line {
                LogLine::Request(line) => Some(line),
                LogLine::Task(_) => None,
            })
            .collect()
    }

    fn calls(&self, call: CallKind) -> Vec<RequestLine> {
        self.requests().into_iter().filter(|line| line.call == Some(call)).collect()
    }
}

/// Reads everything before and after an upgrade, and sends it.
async fn walk_through(secrets: Secrets, knobs: &[&str]) {
    let fleet = Fleet::start(secrets, knobs, FaultProfile::calm()).await;
    let page = fleet.read(ReadCall::InventoryPage { offset: 0 }).await;
    let Ok(ReadAnswer::InventoryPage(page)) = page else {
        panic!("{knobs:?}: {page:?}");
    };
    let instances = &page.instances;
    assert_eq!((instances.len(), page.rows, page.total), (1, 1, Some(1)), "{knobs:?}");
    assert_eq!((&*instances[0].name, &instances[0].id), ("fleet", &fleet.instance));
    let Ok(ReadAnswer::Instance(instance)) = fleet.read(fleet.show()).await else {
        panic!("{knobs:?}: no instance");
    };
    assert!(instance.is_idle() && instance.is_supported(), "{knobs:?}: {instance:?}");
    let versions = fleet.read(ReadCall::Versions { instance: fleet.instance.clone() }).await;
    let Ok(ReadAnswer::Versions(versions)) = versions else { panic!("{knobs:?}: {versions:?}") };
    assert!(versions.engine.upgradable && !versions.engine.is_current(), "{versions:?}");

    let SubmitAnswer::Accepted { task } = fleet.submit().await.answer else {
        panic!("{knobs:?}: not accepted");
    };
    assert_eq!(fleet.submit().await.answer, SubmitAnswer::Conflict { upgrading: true });
    let (instance, since) = (fleet.instance.clone(), Wall(0));
    for call in [
        ReadCall::InstanceTasks { instance, since, offset: 0 },
        ReadCall::TaskCentre { since, offset: 0 },
    ] {
        let Ok(ReadAnswer::Tasks { tasks, rows: 1 }) = fleet.read(call).await else {
            panic!("{knobs:?}: no tasks");
        };
        assert_eq!((&tasks[0].id, tasks[0].status.is_over()), (&task, false));
        assert!(tasks[0].created_at.is_some() && tasks[0].user_id.is_some(), "{:?}", tasks[0]);
    }
    let Ok(ReadAnswer::Instance(instance)) = fleet.read(fleet.show()).await else {
        panic!("{knobs:?}: no instance");
    };
    assert_eq!(instance.service_task_id, Some(task));
    assert!(matches!(instance.current_task, CurrentTask::Busy(_)) && !instance.is_idle());

    let log = fleet.calls(CallKind::Upgrade);
    let attempt = format!("weekly/p/{}/1.1", fleet.instance);
    assert!(log.iter().all(|line| line.attempt.as_deref() == Some(&attempt)));
    assert!(fleet.requests().iter().all(|line| line.daemon.as_deref() == Some("d1")));
}

#[tokio::test]
async fn every_kind_of_credential_upgrades_an_instance() {
    for knobs in [&[][..], &["types=contradictory", "error_codes=numeric"]] {
        walk_through(right_key(), knobs).await;
        walk_through(password(), knobs).await;
    }
}

#[tokio::test]
async fn an_agency_upgrades_an_instance() {
    for knob in ["metadata_token=off", "metadata_token=required"] {
        let (running, project_id, instance) = world(&[knob], FaultProfile::calm()).await;
        let secrets = Secrets::Agency { metadata_endpoint: running.url().into() };
        let cloud = client(&running, &project_id, secrets, Millis::from_secs(30));
        let fleet = Fleet { running, cloud, instance };
        let answered = fleet.submit().await;
        assert!(matches!(answered.answer, SubmitAnswer::Accepted { .. }), "{knob}: {answered:?}");
    }
}

#[tokio::test]
async fn a_wrong_secret_is_refused_for_good() {
    let fleet = Fleet::start(key("wrong"), &[], FaultProfile::calm()).await;
    let refused = fleet.submit().await;
    assert_eq!(refused.answer, SubmitAnswer::CredentialRefused { renewable: false });
    assert_eq!(refused.note.code.as_deref(), Some("APIGW.0301"));
    assert!(refused.note.message.unwrap().contains("verify aksk signature fail"));
}

#[tokio::test]
async fn an_expired_token_is_refused_and_renewed() {
    let fleet = Fleet::start(password(), &[], FaultProfile::calm()).await;
    assert!(fleet.read(fleet.show()).await.is_ok());
    fleet.running.world(|world| world.access().revoke_tokens());
    let refused = ReadFailure::CredentialRefused { renewable: true };
    assert_eq!(fleet.read(fleet.show()).await, Err(refused));
    fleet.cloud.renew(&"main".into()).await.unwrap();
    assert!(fleet.read(fleet.show()).await.is_ok());
}

fn scripted(calls: CallKind, decision: Decision) -> FaultProfile {
    FaultProfile {
        scripts: vec![Script {
            calls: CallFilter::Only(calls),
            steps: vec![Step::from(decision)],
            ..Script::default()
        }],
        ..FaultProfile::calm()
    }
}

const DECISIONS: [Decision; 26] = [
    Decision::Ok,
    Decision::DropBeforeApply,
    Decision::ApplyThenDrop,
    Decision::ApplyThen500,
    Decision::Error500Before,
    Decision::Throttled,
    Decision::Slow,
    Decision::SlowLoris,
    Decision::Stalled,
    Decision::Truncated,
    Decision::BadJson,
    Decision::BadUtf8,
    Decision::BadType,
    Decision::Html,
    Decision::Empty,
    Decision::NoTaskId,
    Decision::BadTaskId,
    Decision::Deep,
    Decision::DupKeys,
    Decision::Redirect,
    Decision::Huge,
    Decision::GzipBomb,
    Decision::EndlessHeaders,
    Decision::CloseIdle,
    Decision::Forbidden,
    Decision::Absent,
];

/// Only stalls are worth a short patience: a busy machine must not turn an answer into one.
fn patience(decision: Decision) -> Millis {
    match decision {
        Decision::Slow | Decision::SlowLoris | Decision::Stalled => SHORT_TIMEOUT,
        _ => Millis::from_secs(30),
    }
}

/// What a class claims: it was applied, it was not, or nobody knows.
fn claim(answer: &SubmitAnswer) -> Option<bool> {
    match answer {
        SubmitAnswer::Accepted { .. } => Some(true),
        SubmitAnswer::Uncertain => None,
        _ => Some(false),
    }
}

#[tokio::test]
async fn no_class_claims_more_than_the_clouds_log_shows() {
    for decision in DECISIONS {
        let faults = scripted(CallKind::Upgrade, decision);
        let fleet = Fleet::start_with(right_key(), &[], faults, patience(decision)).await;
        let answered = fleet.submit().await;
        let log = fleet.calls(CallKind::Upgrade);
        assert_eq!(log.len(), 1, "{decision:?} was sent once");
        assert_eq!(log[0].decision, decision, "{decision:?} was met");
        if let Some(claimed) = claim(&answered.answer) {
            assert_eq!(log[0].applied, claimed, "{decision:?}: {answered:?}");
        }
        if let SubmitAnswer::Accepted { task } = &answered.answer {
            assert_eq!(log[0].task_id.as_ref(), Some(task), "{decision:?}");
        }
        let proves_nothing = decision.applies()
            && !matches!(decision, Decision::Ok | Decision::Slow | Decision::CloseIdle);
        if proves_nothing {
            assert_eq!(answered.answer, SubmitAnswer::Uncertain, "{decision:?}: {answered:?}");
        }
    }
}

#[tokio::test]
async fn a_read_under_any_fault_brings_the_truth_or_nothing() {
    for decision in DECISIONS {
        let faults = scripted(CallKind::Show, decision);
        let fleet = Fleet::start_with(right_key(), &[], faults, patience(decision)).await;
        match fleet.read(fleet.show()).await {
            Ok(ReadAnswer::Instance(instance)) => {
                assert!(instance.id == fleet.instance && instance.is_idle(), "{decision:?}");
            }
            Ok(other) => panic!("{decision:?}: {other:?}"),
            Err(failure) => assert_ne!(failure, ReadFailure::Gone, "{decision:?}"),
        }
        assert_eq!(fleet.calls(CallKind::Show).len(), 1, "{decision:?}: nothing is repeated");
    }
}
