//! Killed at every failpoint, and started again: no target is ever sent a second upgrade because
//! the first was lost track of.

use std::collections::BTreeMap;
use std::path::PathBuf;

use futures_util::stream::{self, StreamExt};
use refit::failpoint::Point;
use refit::model::Millis;
use refit::sim::world::Decision;

use crate::e2e::{Daemon, Setup, Site, until};

/// Sites that run at once; they mostly wait.
const AT_ONCE: usize = 10;

/// Of the points that a run hits often, every hit up to this one is killed at, then every n-th.
const FIRST_HITS: u64 = 6;
const EVERY_NTH: u64 = 5;

/// One target whose upgrade goes well, one whose answer is lost after it started, one that is
/// refused once with nothing started.
fn setup() -> Setup {
    let setup = Setup::fleet(3).takes(Millis(200), Millis(300));
    setup
        .first_upgrades_meet(&[
            ("fleet-0002", Decision::ApplyThenDrop),
            ("fleet-0003", Decision::Error500Before),
        ])
        .with("projects.fleet.request_timeout", "\"1s\"")
}

/// Where to die: at the n-th hit of a point, counted from 1.
type Death = (Point, u64);

fn order(death: Death) -> String {
    format!("{}:{}", death.0.name(), death.1)
}

/// Runs until the process dies at its failpoint, or until rest and a clean stop; says whether it
/// died.
async fn run_to_death(site: &Site, death: Death) -> bool {
    let mut daemon = site.start_with(&[("REFIT_FAILPOINT", &order(death))]);
    until("it has died, or is at rest", async || {
        let ended = !daemon.is_running();
        (ended || site.is_at_rest().await).then_some(())
    })
    .await;
    if daemon.is_running() {
        daemon.terminate();
    }
    let status = daemon.ended().await;
    let killed = Daemon::was_killed(status);
    assert!(killed || status.success(), "{death:?}: {status}\n{}", site.logs());
    killed
}

/// Dies at each of these in turn, a process each; then runs to the end. Says which it died at.
async fn die_and_finish(deaths: Vec<Death>) -> Vec<Death> {
    let site = Site::new(setup()).await;
    let mut died = Vec::new();
    for death in deaths {
        if run_to_death(&site, death).await {
            died.push(death);
        }
    }
    site.run_to_verdict().await;
    assert_eq!(site.cloud.applied(), 3, "{}", site.logs());
    died
}

/// Every list of deaths at a site of its own, a few at once.
async fn all(lists: Vec<Vec<Death>>) -> Vec<Death> {
    let sites = stream::iter(lists.into_iter().map(die_and_finish));
    let died: Vec<Vec<Death>> = sites.buffer_unordered(AT_ONCE).collect().await;
    died.concat()
}

/// How often one undisturbed run hits each point.
async fn hits_of_one_run() -> BTreeMap<&'static str, u64> {
    let site = Site::new(setup()).await;
    let log: PathBuf = site.path("failpoints");
    let mut daemon = site.start_with(&[("REFIT_FAILPOINT_LOG", log.to_str().unwrap())]);
    site.until_rest(&mut daemon).await;
    site.stop(daemon).await;
    site.judge().await;
    let text = std::fs::read_to_string(log).unwrap();
    let count = |point: Point| text.lines().filter(|line| *line == point.name()).count();
    Point::ALL.map(|point| (point.name(), count(point) as u64)).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sigkill_at_every_failpoint_and_a_restart_send_no_second_upgrade() {
    let hits = hits_of_one_run().await;
    let mut lists: Vec<Vec<Death>> = Vec::new();
    for point in Point::ALL {
        let most = hits[point.name()];
        assert!(most > 0, "no run hits {point:?}");
        let chosen = (1..=most).filter(|hit| *hit <= FIRST_HITS || hit.is_multiple_of(EVERY_NTH));
        lists.extend(chosen.map(|hit| vec![(point, hit)]));
    }
    let wanted = lists.len();
    let died = all(lists).await;
    for point in Point::ALL {
        let of_point = died.iter().filter(|(other, _)| *other == point).count();
        println!("{}: {of_point} kills, {} hits in a run", point.name(), hits[point.name()]);
        assert!(of_point > 0, "nothing died at {point:?}");
    }
    let points = Point::ALL.iter().filter(|point| died.iter().any(|(died, _)| died == *point));
    println!(
        "killed at {} of {} points, at {} of {wanted} hits",
        points.count(),
        Point::ALL.len(),
        died.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sigkill_in_the_recovery_from_a_sigkill_sends_no_second_upgrade() {
    let firsts = [(Point::BeforeSend, 1), (Point::AfterSend, 2), (Point::BeforeAnswer, 12)];
    let seconds = [
        (Point::RestoreBegins, 1),
        (Point::RestoreEnds, 1),
        (Point::BeforeReady, 1),
        (Point::BeforeCommit, 1),
        (Point::AfterCommit, 1),
        (Point::BeforeAnswer, 2),
        (Point::BeforeCommit, 4),
        (Point::AfterSend, 1),
    ];
    let lists: Vec<Vec<Death>> = firsts
        .into_iter()
        .flat_map(|first| seconds.map(|second| vec![first, second, second]))
        .collect();
    let wanted = lists.len() * 3;
    let died = all(lists).await;
    println!("killed {} of {wanted} times", died.len());
    assert!(died.len() * 4 >= wanted * 3, "{died:?}");
}
