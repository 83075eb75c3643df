//! A store that is damaged, put back, locked by somebody else, or on a disk that fails: the daemon
//! refuses, ends or waits, says which file, and no upgrade is sent twice.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use refit::engine::{HoldKind, Status};
use refit::model::Millis;
use refit::sim::world::{CallKind, Decision, Span, Step};
use sqlx::{Connection, Executor};

use crate::e2e::disk_faults::{FailingDisk, Fault};
use crate::e2e::{Daemon, Setup, Site, until};

const TARGETS: usize = 5;

/// An I/O error, a damaged file.
const DAMAGED: i32 = 74;
const NEWER: i32 = 76;

const SILENCE: Millis = Millis::from_secs(3);

/// A start every two seconds.
fn setup() -> Setup {
    Setup::fleet(TARGETS).with("projects.fleet.upgrade_rate", "{ per_minute = 30, burst = 1 }")
}

async fn sent(site: &Site, count: usize) {
    until("so many were sent", async || (site.cloud.posts().len() >= count).then_some(())).await;
}

fn waits_for_the_store(status: &Status) -> bool {
    let hold = status.campaigns.first().and_then(|each| each.hold.as_ref());
    hold.is_some_and(|hold| hold.kind == HoldKind::Store)
}

async fn url_of(path: &Path) -> sqlx::AnyConnection {
    sqlx::any::install_default_drivers();
    let url = format!("sqlite://{}?mode=rw", path.display());
    sqlx::AnyConnection::connect(&url).await.unwrap()
}

/// Every file of the state directory.
fn copied(site: &Site) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(site.path("state")).unwrap().map(|entry| entry.unwrap());
    let named = entries.map(|entry| {
        let name = entry.file_name().into_string().unwrap();
        (name, fs::read(entry.path()).unwrap_or_default())
    });
    named.filter(|(name, _)| !name.ends_with("-shm") && !name.ends_with(".lock")).collect()
}

fn put_back(site: &Site, copy: &BTreeMap<String, Vec<u8>>) {
    let state = site.path("state");
    fs::remove_dir_all(&state).unwrap();
    fs::create_dir(&state).unwrap();
    copy.iter().for_each(|(name, bytes)| fs::write(state.join(name), bytes).unwrap());
}

fn overwrite(path: &Path, at: u64, bytes: &[u8]) {
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(bytes, at).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_store_ends_the_start_names_the_file_and_asks_the_cloud_nothing() {
    let site = Site::new(setup()).await;
    let mut daemon = site.start();
    sent(&site, 2).await;
    daemon.kill();
    let whole = copied(&site);
    let asked = site.cloud.requests().len();

    type Damage = fn(&Path, &Path);
    let damages: [(&str, Damage); 9] = [
        ("a bit of the header", |store, _| overwrite(store, 3, b"X")),
        ("a page", |store, _| overwrite(store, 4_096 * 4, &[0xa5; 4_096])),
        ("a bit of the log's header", |_, log| overwrite(log, 20, b"X")),
        ("a bit of the log's first page", |_, log| overwrite(log, 532, b"X")),
        ("cut in half", |store, _| {
            let file = fs::OpenOptions::new().write(true).open(store).unwrap();
            file.set_len(fs::metadata(store).unwrap().len() / 2).unwrap();
        }),
        ("empty", |store, _| fs::write(store, "").unwrap()),
        ("text", |store, _| fs::write(store, "x".repeat(8_192)).unwrap()),
        ("a directory", |store, _| {
            fs::remove_file(store).unwrap();
            fs::create_dir(store).unwrap();
        }),
        ("gone", |store, _| fs::remove_file(store).unwrap()),
    ];
    for (what, damage) in damages {
        put_back(&site, &whole);
        let log = site.path("state/refit.db-wal");
        damage(&site.store(), &log);
        let was_there = site.store().exists();
        // Twice: nothing was made that the next start would take for a store.
        for _ in 0..2 {
            let mut refused = site.start();
            assert_eq!(refused.exit_code().await, DAMAGED, "{what}: {}", refused.log());
            assert!(refused.log().contains("state/refit.db"), "{what}: {}", refused.log());
            assert_eq!(site.store().exists(), was_there, "{what}");
            assert_eq!(site.cloud.requests().len(), asked, "{what}");
        }
    }
    // The undamaged one is taken up again.
    put_back(&site, &whole);
    site.run_to_verdict().await;
    assert_eq!(site.cloud.applied(), TARGETS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_a_newer_refit_ends_the_start_with_76() {
    let site = Site::new(setup()).await;
    let daemon = site.start();
    sent(&site, 1).await;
    site.stop(daemon).await;
    let asked = site.cloud.requests().len();
    let mut connection = url_of(&site.store()).await;
    connection.execute("insert into migrations values (9999, '', 0)").await.unwrap();
    connection.close().await.unwrap();
    let mut refused = site.start();
    assert_eq!(refused.exit_code().await, NEWER, "{}", refused.log());
    assert_eq!(site.cloud.requests().len(), asked);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_backup_put_back_sends_no_instance_a_second_upgrade() {
    let site = Site::new(setup()).await;
    let daemon = site.start();
    sent(&site, 1).await;
    site.stop(daemon).await;
    let old = copied(&site);
    let daemon = site.start();
    sent(&site, 4).await;
    site.stop(daemon).await;

    put_back(&site, &old);
    let before = site.cloud.requests().last().unwrap().seq;
    let mut daemon = site.start();
    site.until_rest(&mut daemon).await;
    site.stop(daemon).await;
    // What was sent and forgotten was found out by looking.
    for truth in site.cloud.truths() {
        assert_eq!(truth.applied.len(), 1, "{truth:#?}");
    }
    for post in site.cloud.posts().iter().filter(|post| post.seq > before) {
        let looks = site.cloud.calls(CallKind::Show).into_iter();
        let mut looks = looks.filter(|look| look.instance == post.instance && look.seq < post.seq);
        assert!(looks.any(|look| look.seq > before), "{post:?} was sent without a look");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_store_in_the_place_of_ours_ends_a_running_daemon_with_74() {
    let (site, other) = (Site::new(setup()).await, Site::new(setup()).await);
    let elsewhere = other.start();
    sent(&other, 1).await;
    other.stop(elsewhere).await;
    let mut daemon = site.start();
    sent(&site, 1).await;
    let before = copied(&site);
    fs::copy(other.store(), site.path("state/other.db")).unwrap();
    fs::rename(site.path("state/other.db"), site.store()).unwrap();
    assert_eq!(daemon.exit_code().await, DAMAGED, "{}", daemon.log());
    let sent_by_then = site.cloud.posts().len();
    let mut again = site.start();
    assert_eq!(again.exit_code().await, DAMAGED, "{}", again.log());
    assert_eq!(site.cloud.posts().len(), sent_by_then);
    // Who puts the old one back loses what the daemon wrote since, and nothing is sent twice.
    put_back(&site, &before);
    let mut daemon = site.start();
    site.until_rest(&mut daemon).await;
    site.stop(daemon).await;
    assert!(site.cloud.truths().iter().all(|truth| truth.applied.len() == 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_another_process_holds_for_long_stops_starts_and_nothing_else() {
    let site = Site::new(setup()).await;
    let mut daemon = site.start();
    sent(&site, 1).await;
    let mut other = url_of(&site.store()).await;
    other.execute("pragma busy_timeout = 5000").await.unwrap();
    other.execute("begin immediate").await.unwrap();
    let held = site.until_status(&mut daemon, "the hold is `store`", waits_for_the_store).await;
    let sent = site.cloud.posts().len();
    let later = site.until_later(&mut daemon, held.at + SILENCE).await;
    assert!(waits_for_the_store(&later), "{later:#?}");
    assert_eq!(site.cloud.posts().len(), sent);
    other.execute("rollback").await.unwrap();
    other.close().await.unwrap();
    ends_well(&site, daemon).await;
}

async fn ends_well(site: &Site, mut daemon: Daemon) {
    site.until_rest(&mut daemon).await;
    site.stop(daemon).await;
    assert_eq!((site.cloud.posts().len(), site.cloud.applied()), (TARGETS, TARGETS));
    site.judge().await;
}

/// What the disk holds after a failed sync nobody knows; so nothing is built on it.
#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_fails_ends_the_process_with_74_and_the_next_finds_out_the_rest() {
    let site = Site::new(setup()).await;
    let mut daemon = site.start();
    sent(&site, 1).await;
    let disk = FailingDisk::turn(&site, &daemon, Fault::sync("EIO")).await;
    assert_eq!(daemon.exit_code().await, DAMAGED, "{}", daemon.log());
    disk.heal();
    let daemon = site.start();
    ends_well(&site, daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_cannot_be_written_from_the_start_ends_it_with_74() {
    for error in ["EROFS", "ENOSPC"] {
        let site = Site::new(setup()).await;
        let command = Fault::open(error).since_the_start(&site, &site.run_command());
        let mut daemon = site.launch(command);
        assert_eq!(daemon.exit_code().await, DAMAGED, "{error}: {}", daemon.log());
        assert_eq!(site.cloud.requests().len(), 0);
        site.run_to_verdict().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_finds_the_disk_full_is_logged_and_stored_once_there_is_room() {
    let late = Step { delay: Some(Span(Millis::from_secs(3))), ..Step::from(Decision::Slow) };
    let setup = setup()
        .script(CallKind::Upgrade, vec![late])
        .with("projects.fleet.request_timeout", "\"20s\"")
        .with("campaigns.fleet.max_in_flight", "1");
    let site = Site::new(setup).await;
    let mut daemon = site.start();
    sent(&site, 1).await;
    let disk = FailingDisk::turn(&site, &daemon, Fault::write("ENOSPC")).await;
    let task = site.cloud.posts()[0].task_id.clone().unwrap();
    until("the answer is in the log", async || {
        let log = daemon.log();
        let line = log.lines().find(|line| line.contains("answer not stored yet"))?;
        line.contains(task.as_str()).then_some(())
    })
    .await;
    site.until_status(&mut daemon, "the hold is `store`", waits_for_the_store).await;
    assert_eq!(site.cloud.posts().len(), 1);
    disk.heal();
    ends_well(&site, daemon).await;
}
