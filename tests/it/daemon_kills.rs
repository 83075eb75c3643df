//! SIGKILL between any two effects of the daemon, and again while it recovers: the next process
//! finds out what became of everything, and nothing is sent twice.
//!
//! A first run writes down which failpoints it passes and how often; then one run dies at each of
//! them, early and late. Killing at random would hardly ever hit the moments that count.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;

use rustix::process::Signal;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use refit::failpoint::Point;
use refit::sim::world::{CallFilter, CallKind, Decision, FaultProfile, Script, Step};

use crate::daemon_process::{Daemon, Site, Wishes, within};

const SIGKILL: i32 = 9;

/// Runs at once: each mostly waits.
const AT_ONCE: usize = 8;

/// Sends are few and all are tried; of commits there are more.
const KILLS_PER_POINT: u64 = 6;

/// Between looks at the store.
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_millis(200);

/// Two instances; each first answer is a 500, for one of them after the upgrade had begun.
async fn site() -> Site {
    let step = |decision| Script {
        calls: CallFilter::Only(CallKind::Upgrade),
        steps: vec![Step::from(decision)],
        ..Script::default()
    };
    let mut before = step(Decision::Error500Before);
    before.instance = Some("fleet-0001".into());
    let faults = FaultProfile {
        scripts: vec![before, step(Decision::ApplyThen500)],
        ..FaultProfile::calm()
    };
    Site::new(Wishes { count: 2, faults, request_timeout: "1s", ..Wishes::default() }).await
}

/// Runs until every target has ended, then stops it; or until it died by itself.
async fn run_through(site: &Site, mut daemon: Daemon) -> (Option<i32>, Vec<Value>) {
    let is_ready = daemon.says_or_ends("ready").await.is_some();
    let status = tokio::select! {
        status = daemon.ended() => Some(status),
        () = done(site), if is_ready => None,
    };
    let status = match status {
        Some(status) => status,
        None => {
            daemon.signal(Signal::TERM);
            daemon.ended().await
        }
    };
    let as_wanted = status.signal() == Some(SIGKILL) || status.success();
    assert!(as_wanted, "{status}: {:#?}", daemon.said);
    (status.signal(), daemon.said)
}

async fn done(site: &Site) {
    within(async {
        while !site.is_done().await {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    })
    .await;
}

/// How often an undisturbed run passes each point.
async fn passed() -> BTreeMap<String, u64> {
    let site = site().await;
    let log = site.path("failpoints");
    let daemon = site.launch(|command| command.env("REFIT_FAILPOINT_LOG", &log));
    let (signal, said) = run_through(&site, daemon).await;
    assert_eq!(signal, None);
    site.judge(&said).await;
    let mut passed = BTreeMap::new();
    for name in std::fs::read_to_string(log).unwrap().lines() {
        *passed.entry(name.to_owned()).or_default() += 1;
    }
    passed
}

/// Dies at the hits in turn, one process each, then runs to the end. Returns how many it died at.
async fn killed_at(hits: &[(&str, u64)]) -> usize {
    let site = site().await;
    let mut outputs = Vec::new();
    let mut deaths = 0;
    for (name, at) in hits {
        let daemon = site.launch(|command| command.env("REFIT_FAILPOINT", format!("{name}:{at}")));
        let (signal, said) = run_through(&site, daemon).await;
        deaths += usize::from(signal == Some(SIGKILL));
        outputs.extend(said);
    }
    let (signal, said) = run_through(&site, site.launch(|command| command)).await;
    assert_eq!(signal, None, "an undisturbed process ends by itself");
    outputs.extend(said);
    assert!(site.is_done().await);
    let applied = site.upgrades().iter().filter(|line| line.applied).count();
    assert_eq!(applied, 2, "one upgrade per instance, after {hits:?}");
    site.judge(&outputs).await;
    deaths
}

/// The hits to die at: all of them if they are few, else the first, the last and some between.
fn spread(count: u64) -> impl Iterator<Item = u64> {
    let kills = count.min(KILLS_PER_POINT);
    (0..kills).map(move |number| 1 + number * (count - 1) / (kills - 1).max(1))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_failpoint_is_recovered_from() {
    let passed = passed().await;
    for point in Point::ALL {
        assert!(passed.contains_key(point.name()), "{} is never passed", point.name());
    }
    let mut hits = Vec::new();
    for (name, count) in passed {
        hits.extend(spread(count).map(|number| (name.clone(), number)));
    }
    let wanted = hits.len();
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    let mut runs = JoinSet::new();
    for (name, number) in hits {
        let permits = Arc::clone(&permits);
        runs.spawn(async move {
            let _permit = permits.acquire().await.unwrap();
            killed_at(&[(&name, number)]).await
        });
    }
    let deaths: usize = runs.join_all().await.into_iter().sum();
    println!("killed at {deaths} of {wanted} failpoint hits");
    // The last hits depend on timing: a run may pass a point once less than the one that counted.
    assert!(deaths * 10 >= wanted * 8, "only {deaths} of {wanted} hits were reached");
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_during_recovery_change_nothing() {
    let deaths = killed_at(&[
        ("after_send", 1),
        ("restore_begins", 1),
        ("restore_ends", 1),
        ("before_commit", 1),
        ("after_commit", 1),
        ("before_ready", 1),
    ]);
    assert_eq!(deaths.await, 6);
}
