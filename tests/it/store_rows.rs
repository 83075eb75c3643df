//! Every row type comes back from the database as it went in, whatever it holds.

use std::sync::Arc;

use proptest::collection::{btree_map, btree_set, vec};
use proptest::option::of;
use proptest::prelude::*;

use refit::engine::rows::{
    AttemptOutcome, AttemptRow, BucketRow, CampaignDetail, CampaignRow, CredentialRow, DurationRow,
    FirstUncertain, Flight, FreezeRow, History, InstanceRow, ProjectDetail, ProjectRow,
    TargetDetail, TargetRow, VerifyAfter, WatchStrategy,
};
use refit::engine::state::PauseCause;
use refit::engine::{CampaignState, Changes, Reason, Rows, Scope, TargetState};
use refit::model::duration::{DurationClass, Parts, Samples};
use refit::model::policy::{Rate, Wave, WaveSize};
use refit::model::{
    AttemptId, CacheMode, LearnedLimit, LimitScope, Millis, PartVersion, TargetId, TaskId,
    UpgradeBody, Versions, Wall,
};
use refit::store::Unit;

use crate::store_samples::place;

/// Anything that JSON and SQL could stumble over, NUL apart: PostgreSQL has no text with it, and
/// what the cloud says arrives with control characters escaped.
fn text() -> impl Strategy<Value = Arc<str>> {
    "[^\\x00]{0,12}".prop_map(Arc::from)
}

fn name() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9_.é-]{1,12}"
}

fn wall() -> impl Strategy<Value = Wall> {
    any::<i64>().prop_map(Wall)
}

fn task() -> impl Strategy<Value = TaskId> {
    name().prop_map(TaskId::from)
}

fn target_id() -> impl Strategy<Value = TargetId> {
    (name(), name(), name()).prop_map(|(campaign, project, instance)| TargetId {
        campaign: campaign.into(),
        project: project.into(),
        instance: instance.into(),
    })
}

fn versions() -> impl Strategy<Value = Versions> {
    let part = || {
        (of(text()), of(text()), any::<bool>())
            .prop_map(|(current, latest, upgradable)| PartVersion { current, latest, upgradable })
    };
    (part(), part()).prop_map(|(engine, proxy)| Versions { engine, proxy })
}

fn reason() -> impl Strategy<Value = Reason> {
    prop_oneof![
        Just(Reason::Verified),
        Just(Reason::SingleNode),
        text().prop_map(Reason::Rejected),
        of(text()).prop_map(Reason::TaskFailed),
        text().prop_map(Reason::NotRunning),
    ]
}

fn verify_after() -> impl Strategy<Value = VerifyAfter> {
    prop_oneof![
        Just(VerifyAfter::Success),
        of(text()).prop_map(VerifyAfter::TaskFailed),
        Just(VerifyAfter::Resolved),
    ]
}

fn flight() -> impl Strategy<Value = Flight> {
    let candidates = vec(task(), 0..3);
    let at = vec(of(wall()), 8);
    (at, vec(any::<u32>(), 3), of(verify_after()), of(text()), candidates).prop_map(
        |(at, counts, verify_after, word, candidates)| Flight {
            sent_with: word.clone(),
            is_accepted: counts[0] % 2 == 0,
            is_upgrade_seen: counts[1] % 2 == 0,
            asked_to_wait_until: at[0],
            observed_from: at[1],
            clean_looks: counts[0],
            first_clean_at: at[0],
            last_clean_at: at[1],
            looks_from: at[2],
            misses: counts[1],
            first_miss_at: at[3],
            running_since: at[4],
            verify_after,
            verifying_since: at[5],
            settled_at: at[6],
            finished_at: at[2],
            is_unmeasured: counts[2] % 2 == 0,
            unchanged_at: at[7],
            candidates,
            gone_looks: counts[2],
            word,
        },
    )
}

fn history() -> impl Strategy<Value = History> {
    let first = (wall(), vec(task(), 0..3), of(text())).prop_map(
        |(cloud_intent_at, known_tasks, sent_with)| FirstUncertain {
            cloud_intent_at,
            known_tasks,
            sent_with,
        },
    );
    (any::<u32>(), of(text()), of(wall()), any::<bool>(), of(first), of(wall())).prop_map(
        |(conflicts, conflict, not_running_at, was_uncertain, first, started_at)| History {
            conflicts,
            conflict,
            not_running_at,
            was_uncertain,
            first_uncertain: first.map(Box::new),
            started_at,
            unread_since: started_at,
            is_unread_told: was_uncertain,
        },
    )
}

fn target_detail() -> impl Strategy<Value = TargetDetail> {
    (of(versions()), of(wall()), of(history()), of(flight())).prop_map(
        |(versions, versions_at, history, flight)| TargetDetail {
            versions: versions.map(Into::into),
            versions_at,
            history: history.map(Box::new),
            flight: flight.map(Box::new),
        },
    )
}

fn target() -> impl Strategy<Value = TargetRow> {
    let place = (target_id(), any::<u32>(), any::<u64>());
    let state = (proptest::sample::select(&TargetState::ALL[..]), of(reason()), wall());
    let counts = (any::<u32>(), any::<u32>(), any::<u32>());
    let flags = (any::<bool>(), any::<bool>());
    let words = (of(text()), of(text()), of(task()), of(wall()));
    (place, state, counts, flags, words, target_detail()).prop_map(
        |(place, state, counts, flags, words, detail)| TargetRow {
            id: place.0,
            wave: place.1,
            rank: place.2,
            state: state.0,
            reason: state.1,
            entered_at: state.2,
            round: counts.0,
            number: counts.1,
            not_applied: counts.2,
            not_before: words.3,
            task: words.2,
            overdue: flags.0,
            needs_operator: words.0,
            held_by: words.1,
            acknowledged: flags.1,
            detail,
        },
    )
}

fn outcome() -> impl Strategy<Value = AttemptOutcome> {
    prop_oneof![
        Just(AttemptOutcome::Open),
        Just(AttemptOutcome::Uncertain),
        Just(AttemptOutcome::NotApplied),
        of(task()).prop_map(|task| AttemptOutcome::Applied { task }),
        text().prop_map(|why| AttemptOutcome::NotSent { why }),
    ]
}

/// Open attempts: the others are not read at a restart.
fn attempt() -> impl Strategy<Value = AttemptRow> {
    let id = (target_id(), any::<u32>(), any::<u32>());
    let body = (of(text()), of(text()));
    (id, body, vec(wall(), 3), versions(), vec(task(), 0..3), outcome()).prop_map(
        |((target, round, number), (engine, proxy), at, versions_before, known_tasks, outcome)| {
            AttemptRow {
                id: AttemptId { target, round, number },
                body: UpgradeBody { engine, proxy },
                intent_at: at[0],
                not_after: at[1],
                versions_before,
                known_tasks,
                cloud_intent_at: at[2],
                outcome,
                ended_at: None,
            }
        },
    )
}

fn campaign() -> impl Strategy<Value = CampaignRow> {
    let state = prop_oneof![
        Just(CampaignState::Planned),
        Just(CampaignState::AwaitingApproval),
        Just(CampaignState::Paused),
    ];
    let cause = prop_oneof![Just(PauseCause::Removed), text().prop_map(PauseCause::Code)];
    let size = prop_oneof![Just(WaveSize::Rest), any::<u32>().prop_map(WaveSize::Count)];
    let wave = (text(), size, any::<i64>()).prop_map(|(name, size, bake)| Wave {
        name,
        size,
        bake: Millis(bake),
    });
    let lists = (btree_set(cause, 0..3), vec(wave, 0..3));
    let numbers = (any::<u64>(), any::<u32>(), of((text(), any::<u32>())));
    (name(), state, text(), wall(), of(wall()), lists, numbers).prop_map(
        |(name, state, digest, planned_at, bake_until, (causes, waves), numbers)| CampaignRow {
            name: name.into(),
            state,
            detail: CampaignDetail {
                seed: numbers.0,
                digest,
                planned_at,
                paused_from: Some(state),
                causes,
                waves,
                wave: numbers.1,
                bake_until,
                code_run: numbers.2,
                ..CampaignDetail::default()
            },
        },
    )
}

fn project() -> impl Strategy<Value = ProjectRow> {
    let limit = (any::<u32>(), any::<i64>()).prop_map(|(limit, per)| LearnedLimit {
        scope: LimitScope::User,
        limit,
        per: Millis(per),
    });
    let rate = (any::<u32>(), any::<i64>(), any::<u32>()).prop_map(|(events, per, burst)| Rate {
        events,
        per: Millis(per),
        burst,
    });
    let bucket = (of(rate), any::<i64>(), of(wall()), of(limit)).prop_map(
        |(rate, arrival_us, paused_until, learned)| BucketRow {
            rate,
            arrival_us,
            paused_until,
            learned,
            learned_at: paused_until,
        },
    );
    (name(), bucket, of(text()), of(wall()), any::<u64>()).prop_map(
        |(name, starts, stopped, backoff_until, sweeps)| ProjectRow {
            name: name.into(),
            detail: ProjectDetail {
                starts,
                stopped,
                backoff_until,
                watch: WatchStrategy::TaskCentre,
                sweeps,
                ..ProjectDetail::default()
            },
        },
    )
}

fn instance() -> impl Strategy<Value = InstanceRow> {
    let lists = (btree_map(text(), text(), 0..3), vec(text(), 0..3));
    (name(), name(), text(), lists, text()).prop_map(
        |(project, instance, name, (tags, zones), engine_version)| InstanceRow {
            project: project.into(),
            instance: instance.into(),
            name,
            tags,
            zones,
            cache_mode: CacheMode::HaRwSplit,
            engine_version,
        },
    )
}

fn credential() -> impl Strategy<Value = CredentialRow> {
    (name(), text(), of(text()), of(wall()), any::<u32>()).prop_map(
        |(name, fingerprint, stopped, stopped_at, refusals)| CredentialRow {
            name: name.into(),
            fingerprint,
            stopped,
            stopped_at,
            refusals,
        },
    )
}

fn freeze() -> impl Strategy<Value = FreezeRow> {
    let scope = prop_oneof![
        Just(Scope::All),
        name().prop_map(|name| Scope::Project(name.into())),
        name().prop_map(|name| Scope::Campaign(name.into())),
    ];
    (scope, wall(), of(wall()), text(), of(text())).prop_map(
        |(scope, from, until, actor, reason)| FreezeRow { scope, from, until, actor, reason },
    )
}

fn duration() -> impl Strategy<Value = DurationRow> {
    let cache_mode = prop_oneof![Just(CacheMode::Ha), Just(CacheMode::HaRwSplit)];
    let parts = prop_oneof![Just(Parts::Engine), Just(Parts::Proxy), Just(Parts::Both)];
    (cache_mode, parts, vec(0..i64::MAX, 0..80)).prop_map(|(cache_mode, parts, took)| {
        let mut samples = Samples::default();
        took.into_iter().for_each(|each| samples.push(Millis(each)));
        DurationRow { class: DurationClass { cache_mode, parts }, samples }
    })
}

fn changes() -> impl Strategy<Value = Changes> {
    let of_targets = (vec(target(), 0..6), vec(attempt(), 0..6), vec(instance(), 0..6));
    let of_others = (
        vec(campaign(), 0..4),
        vec(project(), 0..4),
        vec(credential(), 0..4),
        vec(freeze(), 0..4),
        vec(duration(), 0..4),
    );
    (of_targets, of_others).prop_map(|(a, b)| Changes {
        targets: a.0,
        attempts: a.1,
        instances: a.2,
        campaigns: b.0,
        projects: b.1,
        credentials: b.2,
        freezes: b.3,
        durations: b.4,
        unfrozen: vec![],
    })
}

/// The rows in one order, so that two sets can be compared.
fn sorted<T: Clone, K: Ord>(rows: &[T], key: impl Fn(&T) -> K) -> Vec<T> {
    let mut rows = rows.to_vec();
    rows.sort_by_key(key);
    rows
}

fn assert_same(rows: Rows, changes: &Changes) {
    assert_eq!(
        sorted(&rows.targets, |row| row.id.clone()),
        sorted(&changes.targets, |row| row.id.clone())
    );
    assert_eq!(
        sorted(&rows.attempts, |row| row.id.clone()),
        sorted(&changes.attempts, |row| row.id.clone())
    );
    let of_instance = |row: &InstanceRow| (row.project.clone(), row.instance.clone());
    assert_eq!(sorted(&rows.instances, of_instance), sorted(&changes.instances, of_instance));
    assert_eq!(
        sorted(&rows.campaigns, |row| row.name.clone()),
        sorted(&changes.campaigns, |row| row.name.clone())
    );
    assert_eq!(
        sorted(&rows.projects, |row| row.name.clone()),
        sorted(&changes.projects, |row| row.name.clone())
    );
    assert_eq!(
        sorted(&rows.credentials, |row| row.name.clone()),
        sorted(&changes.credentials, |row| row.name.clone())
    );
    assert_eq!(
        sorted(&rows.freezes, |row| row.scope.clone()),
        sorted(&changes.freezes, |row| row.scope.clone())
    );
    assert_eq!(
        sorted(&rows.durations, |row| row.class),
        sorted(&changes.durations, |row| row.class)
    );
}

/// Leaves one row per key, as the store does.
fn distinct(mut changes: Changes) -> Changes {
    fn keep<T, K: Ord>(rows: &mut Vec<T>, key: impl Fn(&T) -> K) {
        let mut seen = std::collections::BTreeSet::new();
        rows.retain(|row| seen.insert(key(row)));
    }
    keep(&mut changes.targets, |row| row.id.clone());
    keep(&mut changes.attempts, |row| {
        (row.id.target.project.clone(), row.id.target.instance.clone())
    });
    keep(&mut changes.instances, |row| (row.project.clone(), row.instance.clone()));
    keep(&mut changes.campaigns, |row| row.name.clone());
    keep(&mut changes.projects, |row| row.name.clone());
    keep(&mut changes.credentials, |row| row.name.clone());
    keep(&mut changes.freezes, |row| row.scope.clone());
    keep(&mut changes.durations, |row| row.class);
    changes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn every_row_comes_back_as_it_went_in(changes in changes().prop_map(distinct)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let place = place();
            let mut store = place.open().await;
            let unit = Unit { changes: changes.clone(), ..Unit::default() };
            store.commit(&[unit]).await.unwrap();
            assert_same(store.load().await.unwrap(), &changes);
        });
    }
}

#[tokio::test]
async fn a_lifted_freeze_is_gone_and_one_set_again_stands() {
    let place = place();
    let mut store = place.open().await;
    let freeze =
        |scope| FreezeRow { scope, from: Wall(1), until: None, actor: "ana".into(), reason: None };
    let project = || Scope::Project("sg-prod".into());
    let set = |scope| Unit {
        changes: Changes { freezes: vec![freeze(scope)], ..Changes::default() },
        ..Unit::default()
    };
    let lift = |scope| Unit {
        changes: Changes { unfrozen: vec![scope], ..Changes::default() },
        ..Unit::default()
    };
    store.commit(&[set(Scope::All), set(project())]).await.unwrap();
    store.commit(&[lift(Scope::All), lift(project()), set(project())]).await.unwrap();
    assert_eq!(store.load().await.unwrap().freezes, [freeze(project())]);
}
