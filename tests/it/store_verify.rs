//! The ledger's own check: silent on what was committed, loud on what was changed behind it.

use sqlx::{Connection, Executor};

use refit::engine::event::LearnedDuration;
use refit::engine::rows::DurationRow;
use refit::engine::{Changes, Fact, Reason, TargetState};
use refit::model::duration::{DurationClass, Parts, Samples};
use refit::model::{CacheMode, Millis, UpgradeBody};
use refit::store::{Finding, ReadOnly, Unit};

use crate::store_samples::{Place, attempt_id, event, place, planned, target, target_id};

/// A target that was planned, intended and accepted.
async fn accepted_target() -> Place {
    let place = place();
    let mut intent = event(
        2,
        1,
        TargetState::Submitting,
        Fact::Intent {
            body: UpgradeBody::default(),
            not_after: crate::store_samples::NOW,
            versions: Default::default(),
            known_tasks: vec![],
        },
    );
    intent.attempt = Some(attempt_id(1, 1));
    let accepted = Fact::Accepted { task: "t-1".into(), late: false, note: Default::default() };
    let accepted = event(3, 1, TargetState::Running, accepted);
    let mut row = target(1, TargetState::Running);
    row.number = 1;
    row.task = Some("t-1".into());
    let changes = Changes { targets: vec![row], ..Changes::default() };
    let unit = Unit { events: vec![intent, accepted], changes, evidence: vec![] };
    let mut store = place.open().await;
    store.commit(&[planned(1, 1), unit, planned(4, 2)]).await.unwrap();
    place
}

/// Does to the database what no version of Refit does.
async fn tamper(place: &Place, statement: &'static str) {
    let url = format!("sqlite://{}?mode=rw", place.path.display());
    let mut connection = sqlx::AnyConnection::connect(&url).await.unwrap();
    connection.execute(statement).await.unwrap();
    connection.close().await.unwrap();
}

async fn findings(place: &Place) -> Vec<Finding> {
    ReadOnly::open(&place.path).await.unwrap().verify().await.unwrap()
}

#[tokio::test]
async fn the_ledger_folds_to_the_targets_as_they_are_stored() {
    assert_eq!(findings(&accepted_target().await).await, []);
}

#[tokio::test]
async fn a_changed_event_breaks_the_chain() {
    let place = accepted_target().await;
    tamper(&place, "update ledger set body = replace(body, 't-1', 't-2') where seq = 3").await;
    assert_eq!(findings(&place).await[0], Finding::ChainBroken { seq: 3 });
}

#[tokio::test]
async fn a_removed_event_leaves_a_gap() {
    let place = accepted_target().await;
    tamper(&place, "delete from ledger where seq = 2").await;
    assert_eq!(findings(&place).await[0], Finding::Gap { after: 1, found: 3 });
}

#[tokio::test]
async fn durations_that_the_ledger_does_not_tell_are_found() {
    let class = DurationClass { cache_mode: CacheMode::Ha, parts: Parts::Engine };
    let took = Millis::from_mins(20);
    let fact = Fact::Succeeded {
        reason: Reason::Verified,
        before: None,
        after: None,
        took,
        learned: Some(LearnedDuration { class, took }),
    };
    let mut samples = Samples::default();
    samples.push(took);
    let unit = Unit {
        events: vec![event(2, 1, TargetState::Succeeded, fact)],
        changes: Changes {
            targets: vec![target(1, TargetState::Succeeded)],
            durations: vec![DurationRow { class, samples }],
            ..Changes::default()
        },
        evidence: vec![],
    };
    let place = place();
    place.open().await.commit(&[planned(1, 1), unit]).await.unwrap();
    assert_eq!(findings(&place).await, []);
    tamper(&place, "update durations set samples = '[1]'").await;
    assert_eq!(findings(&place).await, [Finding::DurationsDiffer { class }]);
    tamper(&place, "delete from durations").await;
    assert_eq!(findings(&place).await, [Finding::DurationsDiffer { class }]);
}

#[tokio::test]
async fn a_row_that_the_ledger_does_not_explain_is_found() {
    let place = accepted_target().await;
    tamper(&place, "update targets set state = 'pending' where instance = 'instance-000001'").await;
    tamper(&place, "delete from targets where instance = 'instance-000002'").await;
    let found = findings(&place).await;
    assert_eq!(found.len(), 2);
    assert!(matches!(&found[0], Finding::Differs { target, .. } if *target == target_id(1)));
    assert_eq!(found[1], Finding::OneSided { target: target_id(2) });
}
