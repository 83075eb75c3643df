//! What happens to the store under a running daemon: full, read-only, deleted, replaced, wanted twice.

use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command};

use refit::engine::{HoldKind, Status};
use refit::model::Millis;
use rustix::process::{Pid, Signal, kill_process};

use crate::e2e::{Daemon, Setup, Site, until};

/// Set in a process that a test starts from its own binary, in a mount namespace of its own.
const CHILD: &str = "REFIT_TEST_SMALL_DISK";

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

/// Runs the test again where it may mount; says whether this is that run.
fn is_in_namespace_of_its_own(test: &str) -> bool {
    if env::var_os(CHILD).is_some() {
        return true;
    }
    let status = Command::new("unshare")
        .args(["--map-root-user", "--mount", "--"])
        .arg(env::current_exe().unwrap())
        .args([&format!("e2e_store::{test}"), "--exact", "--nocapture"])
        .env(CHILD, "1")
        .status()
        .unwrap();
    assert!(status.success(), "{status}; this test needs root or user namespaces");
    false
}

fn mount_small_disk(at: &Path) {
    fs::create_dir(at).unwrap();
    let mount = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=16m", "refit-test"])
        .arg(at)
        .status()
        .unwrap();
    assert!(mount.success(), "this test mounts a small disk");
}

/// Takes all room that is left.
fn fill(disk: &Path) {
    let mut ballast =
        OpenOptions::new().create(true).append(true).open(disk.join("ballast")).unwrap();
    while ballast.write_all(&[0; 4096]).is_ok() {}
}

fn waits_for_the_store(status: &Status) -> bool {
    let hold = status.campaigns.first().and_then(|each| each.hold.as_ref());
    hold.is_some_and(|hold| hold.kind == HoldKind::Store)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_starts_as_hold_store_and_room_lets_them_go_on() {
    if !is_in_namespace_of_its_own(
        "a_full_disk_stops_starts_as_hold_store_and_room_lets_them_go_on",
    ) {
        return;
    }
    let site = Site::new(setup()).await;
    let disk = site.path("state");
    mount_small_disk(&disk);
    let mut daemon = one_of_five_sent(&site).await;
    fill(&disk);
    let held = site.until_status(&mut daemon, "the hold is `store`", waits_for_the_store).await;
    let sent = site.cloud.posts().len();
    let later = site.until_later(&mut daemon, held.at + SILENCE).await;
    assert!(waits_for_the_store(&later), "{later:#?}");
    assert_eq!(site.cloud.posts().len(), sent);
    fs::remove_file(disk.join("ballast")).unwrap();
    site.until_rest(&mut daemon).await;
    site.stop(daemon).await;
    assert_eq!((site.cloud.posts().len(), site.cloud.applied()), (5, 5));
    site.judge().await;
    assert!(Command::new("umount").arg(&disk).status().unwrap().success());
}

/// Refuses every write of a daemon to its store, as a file system does that turned read-only.
struct ReadOnlyDisk(Child);

impl ReadOnlyDisk {
    async fn turn(site: &Site, daemon: &Daemon) -> ReadOnlyDisk {
        let files = ["", "-wal"].map(|end| format!("{}{end}", site.store().display()));
        let talk = site.path("strace.txt");
        let strace = Command::new("strace")
            .args(["-f", "-o", "/dev/null", "-e", "inject=write,pwrite64:error=EROFS"])
            .args(["-P", &files[0], "-P", &files[1], "-p", &daemon.pid().to_string()])
            .stderr(File::create(&talk).unwrap())
            .spawn()
            .expect("strace is not installed: `tests/run` installs it");
        until("strace holds the daemon", async || {
            fs::read_to_string(&talk).unwrap().contains("attached").then_some(())
        })
        .await;
        ReadOnlyDisk(strace)
    }

    fn heal(mut self) {
        kill_process(Pid::from_child(&self.0), Signal::INT).unwrap();
        self.0.wait().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_turned_read_only_stops_starts_and_goes_on_once_it_can_be_written() {
    let site = Site::new(setup()).await;
    let mut daemon = one_of_five_sent(&site).await;
    let disk = ReadOnlyDisk::turn(&site, &daemon).await;
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
