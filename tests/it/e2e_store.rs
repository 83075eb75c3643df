//! What happens to the store under a running daemon: full, read-only, deleted, wanted twice.

use std::fs;

use refit::engine::{HoldKind, Status};
use refit::model::Millis;

use crate::e2e::disk_faults::{FailingDisk, Fault};
use crate::e2e::small_disk::SmallDisk;
use crate::e2e::{Daemon, Setup, Site, until};

const SILENCE: Millis = Millis::from_secs(3);

/// Room for anything that these tests store.
const ROOMY: u64 = 64 * 1_024 * 1_024;

/// Less than a store without anything in it takes.
const NO_ROOM: u64 = 32 * 1_024;

/// A few commits.
const LITTLE_ROOM: u64 = 64 * 1_024;

/// A start every two seconds; one is sent, the others are not yet.
async fn one_of_five_sent(site: &Site) -> Daemon {
    let daemon = site.start();
    until("the first request arrived", async || (!site.cloud.posts().is_empty()).then_some(()))
        .await;
    daemon
}

fn setup() -> Setup {
    Setup::fleet(5).with("projects.fleet.upgrade_rate", "{ per_minute = 30, burst = 1 }")
}

fn waits_for_the_store(status: &Status) -> bool {
    let hold = status.campaigns.first().and_then(|each| each.hold.as_ref());
    hold.is_some_and(|hold| hold.kind == HoldKind::Store)
}

async fn holds_while_writes_fail_and_goes_on_then(error: &'static str) {
    let site = Site::new(setup()).await;
    let mut daemon = one_of_five_sent(&site).await;
    let disk = FailingDisk::turn(&site, &daemon, Fault::write(error)).await;
    let held = site.until_status(&mut daemon, "the hold is `store`", waits_for_the_store).await;
    let sent = site.cloud.posts().len();
    let later = site.until_later(&mut daemon, held.at + SILENCE).await;
    assert!(waits_for_the_store(&later), "{later:#?}");
    assert_eq!(site.cloud.posts().len(), sent);
    disk.heal();
    ends_well(&site, daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_starts_as_hold_store_and_room_lets_them_go_on() {
    holds_while_writes_fail_and_goes_on_then("ENOSPC").await;
}

/// No call is made to fail here: what is written fills the disk.
#[tokio::test(flavor = "multi_thread")]
async fn a_small_disk_that_fills_stops_starts_and_room_lets_them_go_on() {
    let site = Site::new(setup()).await;
    let disk = SmallDisk::of(&site, ROOMY);
    let mut daemon = site.launch(disk.command(&site, ROOMY));
    until("the first request arrived", async || (!site.cloud.posts().is_empty()).then_some(()))
        .await;
    disk.leave(&daemon, LITTLE_ROOM);
    let held = site.until_status(&mut daemon, "the hold is `store`", waits_for_the_store).await;
    let sent = site.cloud.posts().len();
    assert!(sent < 5, "the disk never filled");
    let later = site.until_later(&mut daemon, held.at + SILENCE).await;
    assert!(waits_for_the_store(&later), "{later:#?}");
    assert_eq!(site.cloud.posts().len(), sent);
    disk.leave(&daemon, ROOMY);
    ends_well(&site, daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_too_small_for_a_store_ends_the_start_with_74_and_leaves_nothing_in_the_way() {
    let site = Site::new(setup()).await;
    let disk = SmallDisk::of(&site, NO_ROOM);
    for _ in 0..2 {
        let mut daemon = site.launch(disk.command(&site, NO_ROOM));
        assert_eq!(daemon.exit_code().await, 74, "{}", daemon.log());
        assert!(daemon.log().contains("refit.db"), "{}", daemon.log());
        assert!(!site.store().exists(), "half a store stands in the place of one");
    }
    assert_eq!(site.cloud.requests().len(), 0);
    disk.make_roomy(ROOMY);
    let daemon = site.launch(disk.command(&site, ROOMY));
    ends_well(&site, daemon).await;
}

async fn ends_well(site: &Site, mut daemon: Daemon) {
    site.until_rest(&mut daemon).await;
    site.stop(daemon).await;
    assert_eq!((site.cloud.posts().len(), site.cloud.applied()), (5, 5));
    site.judge().await;
}

/// Nothing that was synced is touched by a write that fails: it is tried again, on a connection of
/// its own.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_fails_stops_starts_and_is_made_again_once_the_disk_works() {
    holds_while_writes_fail_and_goes_on_then("EIO").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_turned_read_only_stops_starts_and_goes_on_once_it_can_be_written() {
    holds_while_writes_fail_and_goes_on_then("EROFS").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_deleted_under_the_daemon_ends_it_with_74_and_is_not_made_anew() {
    let site = Site::new(setup()).await;
    let mut daemon = one_of_five_sent(&site).await;
    fs::remove_file(site.store()).unwrap();
    assert_eq!(daemon.exit_code().await, 74, "{}", daemon.log());
    assert_eq!(site.cloud.posts().len(), 1);
    let before = site.cloud.requests().len();
    let mut again = site.start();
    assert_eq!(again.exit_code().await, 74, "{}", again.log());
    assert!(!site.store().exists());
    assert_eq!(site.cloud.requests().len(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_daemon_on_the_store_ends_with_73_and_the_first_goes_on() {
    let site = Site::new(setup()).await;
    let mut first = one_of_five_sent(&site).await;
    let mut second = site.start();
    assert_eq!(second.exit_code().await, 73, "{}", second.log());
    // Killed, the first leaves the store to the next at once.
    first.kill();
    site.run_to_verdict().await;
    assert_eq!(site.cloud.applied(), 5);
}
