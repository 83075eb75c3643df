//! Windows, end to end: nothing starts after the cutoff, what runs is watched past the close, the
//! rest waits for the next window.

use jiff::{SignedDuration, Timestamp};
use refit::engine::{Fact, TargetState};
use refit::model::{Millis, Wall};

use crate::e2e::{Setup, Site, local};

/// Upgrades take longer than the first window has left after its last start.
const TAKES: Millis = Millis::from_secs(4);

const TARGETS: usize = 9;

fn wall(at: Timestamp) -> Wall {
    Wall(at.as_millisecond())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_ends_starts_at_its_cutoff_and_the_next_one_carries_on() {
    // Whole seconds, since that is what the file takes.
    let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap();
    let first = now + SignedDuration::from_secs(4);
    let close = first + SignedDuration::from_secs(6);
    let second = first + SignedDuration::from_secs(12);
    let setup = Setup::fleet(TARGETS)
        .takes(TAKES, TAKES)
        .with("windows.open.at", &local(first))
        .with("windows.open.duration", "\"6s\"")
        .with("windows.open.cutoff", "\"2s\"")
        .with("windows.later.at", &local(second))
        .with("windows.later.duration", "\"10m\"")
        .with("windows.later.cutoff", "\"1m\"")
        .with("campaigns.fleet.windows", "[\"open\", \"later\"]")
        .with("projects.fleet.upgrade_rate", "{ per_second = 1, burst = 1 }");
    let site = Site::new(setup).await;
    let mut daemon = site.start();
    let status = site.until_rest(&mut daemon).await;
    site.stop(daemon).await;
    assert_eq!(status.campaigns[0].counts[&TargetState::Succeeded] as usize, TARGETS);

    let cutoff = wall(close) - Millis::from_secs(2);
    let events = site.events().await;
    let starts = events.iter().filter(|event| matches!(event.fact, Fact::Intent { .. }));
    let (early, late): (Vec<Wall>, Vec<Wall>) =
        starts.map(|event| event.at).partition(|at| *at < wall(second));
    assert!(early.iter().all(|at| *at >= wall(first) && *at < cutoff), "{early:?}");
    assert!(!early.is_empty() && !late.is_empty(), "{early:?} {late:?}");
    // The window closed over work in flight, which was seen to its end before the next opened.
    let over = events.iter().filter(|event| {
        matches!(event.fact, Fact::Succeeded { .. })
            && event.at >= wall(close)
            && event.at < wall(second)
    });
    assert!(over.count() > 0, "{}", site.logs());
    site.judge().await;
}
