//! A full disk, a disk that fails to sync, kill -9: what was acknowledged stays, and what a full
//! disk refused goes in later as it is.

use std::env;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use refit::engine::{Fact, TargetState};
use refit::store::{ReadOnly, Store, Unit};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::store_samples::{NOW, event, place, planned};

/// Set in a process that a test starts from its own binary: where its store stands.
const CHILD: &str = "REFIT_TEST_STORE";

/// This test again, in a process of its own.
fn again(test: &str) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args([&format!("store_faults::{test}"), "--exact", "--nocapture"]);
    command
}

/// A unit that needs a lot of room.
fn large(seq: u64, number: u32) -> Unit {
    let mut unit = planned(seq, number);
    let mut fact = event(seq, number, TargetState::Pending, Fact::Held);
    fact.comment = Some("x".repeat(4_000).into());
    unit.events = vec![fact];
    unit
}

/// So large may a file of the store become on the full disk: far more than it is when made.
const ROOM: u64 = 256 * 1_024;

/// Lets the files that this process writes grow so far. A limit, and not a small disk: that takes
/// no privilege, and what a write meets is the same: it ends short, then it fails.
fn limit_files(bytes: Option<u64>) {
    let maximum = getrlimit(Resource::Fsize).maximum;
    let current = bytes.or(maximum);
    setrlimit(Resource::Fsize, Rlimit { current, maximum }).unwrap();
}

#[tokio::test]
async fn a_full_disk_refuses_commits_and_recovers_when_space_returns() {
    let Some(path) = env::var_os(CHILD).map(PathBuf::from) else {
        let place = place();
        let test = again("a_full_disk_refuses_commits_and_recovers_when_space_returns");
        // A write beyond the limit fails only where its signal is ignored.
        let status = Command::new("/bin/sh")
            .args(["-c", r#"trap '' XFSZ; exec "$@""#, "sh"])
            .arg(test.get_program())
            .args(test.get_args())
            .env(CHILD, &place.path)
            .status()
            .unwrap();
        assert!(status.success(), "{status}");
        return;
    };
    let mut store = Store::open(&path, NOW).await.unwrap();
    limit_files(Some(ROOM));
    let refused = fill(&mut store).await;
    // Still full: refused again, and still nothing is lost. The log that overflowed has gone into
    // the database meanwhile, so that each file alone would have room.
    limit_files(Some(0));
    let error = store.commit(std::slice::from_ref(&refused)).await.unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
    limit_files(None);
    assert_recovers(&mut store, refused, &path).await;
}

/// Commits large units one by one until the store refuses, and returns that one.
async fn fill(store: &mut Store) -> Unit {
    for number in 1..1_000 {
        let unit = large(number.into(), number);
        if let Err(error) = store.commit(std::slice::from_ref(&unit)).await {
            assert!(number > 1, "nothing fits: {error:?}");
            assert!(error.is_retryable(), "{error:?}");
            return unit;
        }
    }
    panic!("the disk never fills");
}

async fn assert_recovers(store: &mut Store, refused: Unit, path: &Path) {
    let seq = refused.events[0].seq;
    store.commit(&[refused]).await.unwrap();
    store.commit(&[planned(seq + 1, 9_999)]).await.unwrap();
    let rows = store.load().await.unwrap();
    assert_eq!(rows.last_seq, seq + 1);
    assert_eq!(rows.targets.len() as u64, seq + 1);
    assert_eq!(ReadOnly::open(path).await.unwrap().verify().await.unwrap(), []);
}

/// Kills the writer after this many acknowledgements, each time on the store as it was left.
const KILLS: [usize; 8] = [1, 2, 3, 5, 8, 13, 40, 120];

#[tokio::test]
async fn kill_9_in_the_middle_of_commits_loses_nothing_that_was_acknowledged() {
    if let Some(path) = env::var_os(CHILD) {
        return commit_for_ever(Path::new(&path)).await;
    }
    let place = place();
    for acknowledgements in KILLS {
        let acknowledged = kill_after(acknowledgements, &place.path);
        let rows = place.open().await.load().await.unwrap();
        assert!(rows.last_seq >= acknowledged, "{} < {acknowledged}", rows.last_seq);
        assert_eq!(rows.targets.len() as u64, rows.last_seq);
        assert_eq!(ReadOnly::open(&place.path).await.unwrap().verify().await.unwrap(), []);
    }
}

async fn commit_for_ever(path: &Path) {
    let mut store = Store::open(path, NOW).await.unwrap();
    let mut seq = store.load().await.unwrap().last_seq;
    loop {
        let batch: Vec<Unit> =
            (1..=3).map(|n| planned(seq + n, u32::try_from(seq + n).unwrap())).collect();
        store.commit(&batch).await.unwrap();
        seq += 3;
        println!("acknowledged {seq}");
    }
}

/// Runs a writer until it has said that often that a commit is durable, and kills it. Returns the
/// last event that it acknowledged.
fn kill_after(acknowledgements: usize, path: &Path) -> u64 {
    let mut child = again("kill_9_in_the_middle_of_commits_loses_nothing_that_was_acknowledged")
        .env(CHILD, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let talk = BufReader::new(child.stdout.take().unwrap());
    let mut said = talk.lines().filter_map(|line| acknowledged(&line.unwrap()));
    let last = said.by_ref().take(acknowledgements).last().expect("the writer acknowledges");
    child.kill().unwrap();
    // What it said before it died counts too.
    let last = said.last().unwrap_or(last);
    child.wait().unwrap();
    last
}

/// The event up to which a writer's line says that all is durable.
fn acknowledged(line: &str) -> Option<u64> {
    line.split_once("acknowledged ")?.1.parse().ok()
}

/// Syncs that succeed before the disk fails: enough to create the store and for some commits.
const GOOD_SYNCS: u32 = 20;

/// After a failed sync the kernel may have dropped the pages: trying again could report success
/// for what never reached the disk.
#[tokio::test]
async fn a_failed_sync_ends_the_writer_and_keeps_what_was_acknowledged() {
    if let Some(path) = env::var_os(CHILD) {
        return commit_until_fatal(Path::new(&path)).await;
    }
    let place = place();
    let test = again("a_failed_sync_ends_the_writer_and_keeps_what_was_acknowledged");
    let injected = format!("inject=fsync,fdatasync:error=EIO:when={GOOD_SYNCS}+");
    let traced = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", &injected])
        .arg(test.get_program())
        .args(test.get_args())
        .env(CHILD, &place.path)
        .output()
        .expect("strace is not installed: `tests/run` installs it");
    let talk = String::from_utf8_lossy(&traced.stdout);
    assert!(traced.status.success(), "{talk}{}", String::from_utf8_lossy(&traced.stderr));
    let acknowledged = talk.lines().rev().find_map(acknowledged).expect("some commits succeed");
    assert!(place.open().await.load().await.unwrap().last_seq >= acknowledged);
    assert_eq!(ReadOnly::open(&place.path).await.unwrap().verify().await.unwrap(), []);
}

async fn commit_until_fatal(path: &Path) {
    let mut store = Store::open(path, NOW).await.unwrap();
    for number in 1..1_000 {
        match store.commit(&[planned(number.into(), number)]).await {
            Ok(()) => println!("acknowledged {number}"),
            Err(error) => return assert!(!error.is_retryable(), "{error:?}"),
        }
    }
    panic!("the disk never fails");
}
