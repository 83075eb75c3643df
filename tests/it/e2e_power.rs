//! A loss of power: what the daemon told the disk is written down as it runs, and from that come
//! the images that a disk may hold afterwards. Each opens, its ledger is whole, and it knows every
//! upgrade request that the cloud had got until then; and a daemon that starts from such an image
//! finds out the rest without a second upgrade.

use std::path::{Path, PathBuf};

use futures_util::stream::{self, StreamExt};
use refit::engine::Fact;
use refit::failpoint::Point;
use refit::model::{Wall, draw};
use refit::sim::world::Decision;
use refit::store::{EventFilter, ReadOnly, Store};

use crate::e2e::disk::{self, Disk, Image};
use crate::e2e::trace::{self, Call};
use crate::e2e::{Daemon, Setup, Site, until};

/// Losses of power that are gone through in all.
const IMAGES: usize = 600;

/// Runs at once; they mostly wait.
const AT_ONCE: usize = 4;

/// Where runs die whose last image is then started from.
const DEATHS: [(Point, u64); 12] = [
    (Point::RestoreEnds, 1),
    (Point::BeforeReady, 1),
    (Point::BeforeCommit, 3),
    (Point::AfterCommit, 3),
    (Point::BeforeSend, 1),
    (Point::BeforeSend, 3),
    (Point::AfterSend, 1),
    (Point::AfterSend, 3),
    (Point::BeforeAnswer, 9),
    (Point::BeforeCommit, 9),
    (Point::AfterCommit, 12),
    (Point::BeforeCommit, 20),
];

const TARGETS: usize = 4;

/// One answer is lost, and one request refused.
fn setup() -> Setup {
    let setup = Setup::fleet(TARGETS).with("projects.fleet.request_timeout", "\"1s\"");
    setup.first_upgrades_meet(&[
        ("fleet-0002", Decision::ApplyThenDrop),
        ("fleet-0003", Decision::Error500Before),
    ])
}

fn state(site: &Site) -> PathBuf {
    site.path("state").canonicalize().unwrap()
}

/// Runs under strace until the process dies at that point, or else until rest and a clean stop;
/// returns what it did to its files.
async fn recorded(site: &Site, death: Option<(Point, u64)>) -> Vec<Call> {
    let mut command = site.run_command();
    if let Some((point, hit)) = death {
        command.env("REFIT_FAILPOINT", format!("{}:{hit}", point.name()));
    }
    let prefix = site.path("calls");
    let mut daemon = site.launch(trace::traced(&command, &prefix));
    until("it has died, or is at rest", async || {
        (!daemon.is_running() || site.is_at_rest().await).then_some(())
    })
    .await;
    if daemon.is_running() {
        daemon.terminate();
    }
    let status = daemon.ended().await;
    assert_eq!(Daemon::was_killed(status), death.is_some(), "{death:?}: {}", site.logs());
    until("strace has written down its end", async || trace::is_whole(&prefix).then_some(())).await;
    trace::calls(&prefix, &state(site))
}

/// When which attempts had reached the cloud.
fn sent(site: &Site) -> Vec<(Wall, String)> {
    let posts = site.cloud.posts().into_iter();
    posts.map(|post| (post.t_wall, post.attempt.unwrap().to_string())).collect()
}

/// That an image is a whole store which knows what was sent before the power went; or what is
/// wrong.
async fn knows(image: &Image, sent: &[String]) -> Result<(), String> {
    let directory = tempfile::tempdir().unwrap();
    disk::restore(image, directory.path());
    let path = directory.path().join("refit.db");
    let mut store = Store::open(&path, Wall(0)).await.map_err(|error| error.to_string())?;
    store.load().await.map_err(|error| error.to_string())?;
    drop(store);
    let store = ReadOnly::open(&path).await.map_err(|error| error.to_string())?;
    let findings = store.verify().await.map_err(|error| error.to_string())?;
    let events = store.events(&EventFilter::default()).await.map_err(|error| error.to_string())?;
    store.close().await;
    if !findings.is_empty() {
        return Err(format!("{findings:?}"));
    }
    let intents = events.iter().filter(|event| matches!(event.fact, Fact::Intent { .. }));
    let intents: Vec<String> =
        intents.filter_map(|event| event.attempt.as_ref().map(ToString::to_string)).collect();
    let unknown = sent.iter().find(|attempt| !intents.contains(attempt));
    unknown.map_or(Ok(()), |attempt| Err(format!("{attempt} was sent and is not known")))
}

/// What came of losing the power often.
#[derive(Default)]
struct Losses {
    all: usize,
    /// At places where something could be lost.
    dirty: usize,
    wrong: Vec<String>,
}

/// Loses the power of that disk `count` times at places of a recording.
async fn lose_often(
    mut disk: Disk,
    (calls, sent): &(Vec<Call>, Vec<(Wall, String)>),
    count: usize,
    seed: u64,
) -> Losses {
    let mut places: Vec<(usize, u64)> = (0..count)
        .map(|number| {
            // More of them early, where the store is made.
            let drawn = draw::unit(seed, "power", "place", number as u64).powi(2);
            ((drawn * (calls.len() + 1) as f64) as usize, seed * 1_000 + number as u64)
        })
        .collect();
    places.sort_unstable();
    let mut losses = Losses { all: count, ..Losses::default() };
    let mut places = places.into_iter().peekable();
    for (number, call) in calls.iter().enumerate() {
        while let Some((_, seed)) = places.next_if(|(place, _)| *place == number) {
            losses.dirty += usize::from(disk.is_dirty());
            // The cloud's clock has milliseconds.
            let is_before = |at: &Wall| (at.0.unsigned_abs() + 1) * 1_000 <= call.at;
            let before = sent.iter().filter(|(at, _)| is_before(at));
            let before: Vec<String> = before.map(|(_, attempt)| attempt.clone()).collect();
            if let Err(wrong) = knows(&disk.lose_power(seed), &before).await {
                losses.wrong.push(format!("call {number}, seed {seed}: {wrong}"));
            }
        }
        disk.apply(&call.what);
    }
    losses
}

/// A run that dies, then the power goes, then a daemon starts from what is on the disk. Returns the
/// calls until then and what had been sent.
async fn die_and_go_on(number: usize) -> (Vec<Call>, Vec<(Wall, String)>) {
    let site = Site::new(setup()).await;
    let calls = recorded(&site, Some(DEATHS[number])).await;
    let sent = sent(&site);
    let mut disk = Disk::default();
    calls.iter().for_each(|call| disk.apply(&call.what));
    disk::restore(&disk.lose_power(number as u64), Path::new(&site.path("state")));
    site.run_to_verdict().await;
    assert_eq!(site.cloud.applied(), TARGETS, "{:?}: {}", DEATHS[number], site.logs());
    (calls, sent)
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_loss_of_power_every_request_that_was_sent_is_known_and_none_is_sent_again() {
    let whole = Site::new(setup()).await;
    let calls = recorded(&whole, None).await;
    let mut recordings = vec![(calls, sent(&whole))];
    let died = stream::iter((0..DEATHS.len()).map(die_and_go_on));
    recordings.extend(died.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await);
    let each = IMAGES.div_ceil(recordings.len());
    let losses = recordings.iter().enumerate().map(async |(number, recording)| {
        lose_often(Disk::default(), recording, each, number as u64).await
    });
    let losses: Vec<Losses> = stream::iter(losses).buffer_unordered(2).collect().await;
    let wrong: Vec<&String> = losses.iter().flat_map(|losses| &losses.wrong).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let of_all = |count: fn(&Losses) -> usize| losses.iter().map(count).sum::<usize>();
    let (all, dirty) = (of_all(|losses| losses.all), of_all(|losses| losses.dirty));
    println!("{all} losses of power, {dirty} of them with something to lose");
    assert!(dirty * 2 > all, "{dirty} of {all} had anything to lose");

    // What this test is worth: a disk that only pretends to sync is found out.
    let found = lose_often(Disk::pretending(), &recordings[0], each, 0).await.wrong;
    assert!(found.len() * 4 > each, "{found:#?}");
}
