//! Commits: whole units or nothing, the last row of a key, rule S1, and reading back.

use refit::engine::rows::AttemptOutcome;
use refit::engine::{Changes, Fact, TargetState};
use refit::model::Wall;
use refit::store::{EventFilter, EventOrder, ReadOnly, Unit};

use crate::store_samples::{
    NOW, attempt, attempt_id, event, evidence, place, planned, target, target_id,
};

fn intends(attempt: refit::engine::rows::AttemptRow) -> Unit {
    Unit { changes: Changes { attempts: vec![attempt], ..Changes::default() }, ..Unit::default() }
}

#[tokio::test]
async fn what_was_committed_is_there_after_a_restart() {
    let place = place();
    let mut store = place.open().await;
    assert!(store.opened().first_start);
    store.commit(&[planned(1, 1), planned(2, 2)]).await.unwrap();
    let before = store.load().await.unwrap();
    store.close(Wall(NOW.0 + 1)).await.unwrap();

    let mut store = place.open().await;
    assert!(!store.opened().first_start);
    assert_eq!(store.opened().clean_stop_at, Some(Wall(NOW.0 + 1)));
    assert_eq!(before.last_seq, 2);
    assert_eq!(before.targets.len(), 2);
    assert_eq!(store.load().await.unwrap(), before);
}

#[tokio::test]
async fn a_stop_counts_as_clean_only_once() {
    let place = place();
    place.open().await.close(NOW).await.unwrap();
    drop(place.open().await);
    assert_eq!(place.open().await.opened().clean_stop_at, None);
}

#[tokio::test]
async fn the_last_row_of_a_key_wins_and_every_event_is_kept() {
    let place = place();
    let mut store = place.open().await;
    let states = [TargetState::Pending, TargetState::Submitting, TargetState::Running];
    let units: Vec<Unit> = (1..)
        .zip(states)
        .map(|(seq, state)| Unit {
            events: vec![event(seq, 7, state, Fact::Held)],
            changes: Changes { targets: vec![target(7, state)], ..Changes::default() },
            evidence: vec![],
        })
        .collect();
    store.commit(&units).await.unwrap();
    let rows = store.load().await.unwrap();
    assert_eq!(rows.targets, [target(7, TargetState::Running)]);
    assert_eq!(rows.last_seq, 3);
    let reader = ReadOnly::open(&place.path).await.unwrap();
    let events = reader.events(&EventFilter::default()).await.unwrap();
    assert_eq!(events, units.into_iter().flat_map(|unit| unit.events).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_second_open_attempt_on_an_instance_is_refused_and_nothing_of_its_batch_is_kept() {
    let place = place();
    let mut store = place.open().await;
    store.commit(&[intends(attempt(attempt_id(1, 1), AttemptOutcome::Open, None))]).await.unwrap();
    let mut other_campaign = attempt_id(1, 1);
    other_campaign.target.campaign = "other".into();
    let second = intends(attempt(other_campaign, AttemptOutcome::Open, None));
    let refused = store.commit(&[planned(1, 5), second]).await.unwrap_err();
    assert!(!refused.is_retryable(), "{refused:?}");
    let rows = store.load().await.unwrap();
    assert_eq!((rows.attempts.len(), rows.targets.len(), rows.last_seq), (1, 0, 0));
}

#[tokio::test]
async fn the_next_attempt_may_open_in_the_batch_that_ends_the_one_before() {
    let place = place();
    let mut store = place.open().await;
    store.commit(&[intends(attempt(attempt_id(1, 2), AttemptOutcome::Open, None))]).await.unwrap();
    let next = intends(attempt(attempt_id(1, 3), AttemptOutcome::Open, None));
    let ended = intends(attempt(attempt_id(1, 2), AttemptOutcome::NotApplied, Some(NOW)));
    store.commit(&[ended, next]).await.unwrap();
    let open = store.load().await.unwrap().attempts;
    assert_eq!(open.iter().map(|row| &row.id).collect::<Vec<_>>(), [&attempt_id(1, 3)]);
    let reader = ReadOnly::open(&place.path).await.unwrap();
    assert_eq!(reader.attempts(&target_id(1)).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_gap_in_the_ledger_is_refused() {
    let place = place();
    let mut store = place.open().await;
    let refused = store.commit(&[planned(1, 1), planned(3, 2)]).await.unwrap_err();
    assert!(!refused.is_retryable());
    assert_eq!(store.load().await.unwrap().targets, []);
}

#[tokio::test]
async fn evidence_is_kept_once_however_often_it_is_committed() {
    let place = place();
    let mut store = place.open().await;
    let unit = |body| Unit { evidence: vec![evidence(1, body)], ..Unit::default() };
    store.commit(&[unit("{}")]).await.unwrap();
    store.commit(&[unit("{}"), unit("{\"task_id\":\"t\"}")]).await.unwrap();
    let reader = ReadOnly::open(&place.path).await.unwrap();
    let mut found = reader.evidence(&attempt_id(1, 1)).await.unwrap();
    found.sort_by(|a, b| a.body.cmp(&b.body));
    assert_eq!(found, [evidence(1, "{\"task_id\":\"t\"}"), evidence(1, "{}")]);
}

#[tokio::test]
async fn events_are_found_by_campaign_target_name_time_and_place() {
    let place = place();
    let mut store = place.open().await;
    let mut paused = event(3, 2, TargetState::Pending, Fact::AbortOrdered);
    paused.campaign = Some("other".into());
    paused.at = Wall(NOW.0 + 10);
    let units = [planned(1, 1), planned(2, 2), Unit { events: vec![paused], ..Unit::default() }];
    store.commit(&units).await.unwrap();
    let reader = ReadOnly::open(&place.path).await.unwrap();
    let seqs = async |filter: EventFilter| {
        let events = reader.events(&filter).await.unwrap();
        events.iter().map(|event| event.seq).collect::<Vec<_>>()
    };
    let all = EventFilter::default;
    assert_eq!(seqs(all()).await, [1, 2, 3]);
    assert_eq!(seqs(EventFilter { after_seq: 1, ..all() }).await, [2, 3]);
    assert_eq!(seqs(EventFilter { limit: Some(1), ..all() }).await, [1]);
    let newest = EventFilter { order: EventOrder::NewestFirst, limit: Some(2), ..all() };
    assert_eq!(seqs(newest).await, [3, 2]);
    let campaign = EventFilter { campaign: Some("weekly".into()), ..all() };
    assert_eq!(seqs(campaign).await, [1, 2]);
    assert_eq!(seqs(EventFilter { target: Some(target_id(2)), ..all() }).await, [2]);
    assert_eq!(seqs(EventFilter { kind: Some("abort_ordered".into()), ..all() }).await, [3]);
    assert_eq!(seqs(EventFilter { since: Some(Wall(NOW.0 + 1)), ..all() }).await, [3]);
}

#[tokio::test]
async fn a_reader_sees_what_a_running_writer_commits() {
    let place = place();
    let mut store = place.open().await;
    let reader = ReadOnly::open(&place.path).await.unwrap();
    assert_eq!(reader.last_seq().await.unwrap(), 0);
    store.commit(&[planned(1, 1)]).await.unwrap();
    assert_eq!(reader.load().await.unwrap(), store.load().await.unwrap());
    assert_eq!(reader.targets(&"weekly".into()).await.unwrap().len(), 1);
    assert_eq!(reader.campaigns().await.unwrap(), []);
}

#[tokio::test]
async fn ten_thousand_targets_load_as_they_were_written() {
    let place = place();
    let mut store = place.open().await;
    let units: Vec<Unit> = (0..10_000).map(|n| planned(u64::from(n) + 1, n)).collect();
    for batch in units.chunks(200) {
        store.commit(batch).await.unwrap();
    }
    let rows = store.load().await.unwrap();
    let expected: Vec<_> = units.into_iter().flat_map(|unit| unit.changes.targets).collect();
    assert_eq!(rows.targets, expected);
    assert_eq!(rows.last_seq, 10_000);
}
