//! What happens to the store under a running daemon: full, read-only, deleted, wanted twice.

use std::fs;

use refit::engine::{HoldKind, Status};
use refit::model::Millis;

use crate::e2e::disk_faults::{FailingDisk, Fault};
use crate::e2e::{Daemon, Setup, Site, until};

const SILENCE: Millis = Millis::from_secs(3);

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
    site.until_rest(&mut daemon).await;
    site.stop(daemon).await;
    assert_eq!((site.cloud.posts().len(), site.cloud.applied()), (5, 5));
    site.judge().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_starts_as_hold_store_and_room_lets_them_go_on() {
    holds_while_writes_fail_and_goes_on_then("ENOSPC").await;
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
