//! Stores that are refused: damaged, replaced, gone, too new, in use. Nothing is created then.

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};

use sqlx::{Connection, Executor};

use refit::store::{ReadOnly, Store, StoreError};

use crate::store_samples::{NOW, Place, place, planned};

/// A store with enough targets for several pages, stopped cleanly.
async fn filled() -> Place {
    let place = place();
    let mut store = place.open().await;
    let units: Vec<_> = (0..200).map(|n| planned(u64::from(n) + 1, n)).collect();
    store.commit(&units).await.unwrap();
    store.close(NOW).await.unwrap();
    place
}

fn listing(place: &Place) -> Vec<(String, u64)> {
    let mut found: Vec<_> = fs::read_dir(place.directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        // The lock is taken to look, and connections make the others; they come and go.
        .filter(|name| ![".lock", "-shm", "-wal"].iter().any(|end| name.ends_with(end)))
        .map(|name| {
            let length = fs::metadata(place.directory.path().join(&name)).unwrap().len();
            (name, length)
        })
        .collect();
    found.sort();
    found
}

/// Opens, expecting a refusal that leaves every file as it was.
async fn refusal(place: &Place) -> StoreError {
    let before = listing(place);
    let error = Store::open(&place.path, NOW).await.expect_err("it must be refused");
    assert_eq!(listing(place), before, "{error}");
    let message = error.to_string();
    assert!(message.contains(&*place.path.to_string_lossy()), "{message}");
    error
}

fn overwrite(place: &Place, at: u64, bytes: &[u8]) {
    let file = fs::OpenOptions::new().write(true).open(&place.path).unwrap();
    file.write_all_at(bytes, at).unwrap();
}

#[tokio::test]
async fn a_damaged_store_is_refused_and_nothing_is_created_in_its_place() {
    type Damage = fn(&Place);
    let damages: [(&str, Damage); 9] = [
        ("magic", |place| overwrite(place, 3, b"X")),
        ("page size", |place| overwrite(place, 16, &[0x03, 0x00])),
        ("application id", |place| overwrite(place, 68, b"Rfix")),
        ("schema page", |place| overwrite(place, 100, &[0xff; 64])),
        ("data page", |place| overwrite(place, 4096 * 30, &[0xa5; 4096])),
        ("truncated", |place| {
            let length = fs::metadata(&place.path).unwrap().len();
            let file = fs::OpenOptions::new().write(true).open(&place.path).unwrap();
            file.set_len(length / 2).unwrap();
        }),
        ("zero length", |place| fs::write(&place.path, "").unwrap()),
        ("text", |place| fs::write(&place.path, "x".repeat(8192)).unwrap()),
        ("a directory", |place| {
            fs::remove_file(&place.path).unwrap();
            fs::create_dir(&place.path).unwrap();
        }),
    ];
    for (name, damage) in damages {
        let place = filled().await;
        damage(&place);
        let error = refusal(&place).await;
        assert!(matches!(error, StoreError::Damaged { .. }), "{name}: {error:?}");
        assert_eq!(error.exit().code(), 74);
        assert!(error.to_string().contains("--accept-loss"));
    }
}

#[tokio::test]
async fn a_store_that_is_gone_is_refused_while_its_generation_file_is_there() {
    let place = filled().await;
    fs::remove_file(&place.path).unwrap();
    let error = refusal(&place).await;
    assert!(matches!(error, StoreError::Replaced { .. }), "{error:?}");
    assert!(!place.path.exists());
}

#[tokio::test]
async fn a_log_without_its_store_is_refused() {
    let place = place();
    fs::write(place.beside("-wal"), "left behind").unwrap();
    let error = refusal(&place).await;
    assert!(matches!(error, StoreError::Replaced { .. }), "{error:?}");
    assert!(!place.path.exists());
}

#[tokio::test]
async fn a_store_of_another_generation_is_refused() {
    let (place, other) = (filled().await, filled().await);
    fs::copy(&other.path, &place.path).unwrap();
    let error = refusal(&place).await;
    assert!(matches!(error, StoreError::Replaced { .. }), "{error:?}");
}

#[tokio::test]
async fn a_store_without_its_generation_file_gets_it_again() {
    let place = filled().await;
    let generation = fs::read_to_string(place.beside(".generation")).unwrap();
    fs::remove_file(place.beside(".generation")).unwrap();
    assert_eq!(place.open().await.load().await.unwrap().targets.len(), 200);
    assert_eq!(fs::read_to_string(place.beside(".generation")).unwrap(), generation);
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let place = filled().await;
    let url = format!("sqlite://{}?mode=rw", place.path.display());
    let mut connection = sqlx::AnyConnection::connect(&url).await.unwrap();
    connection.execute("insert into migrations values (9999, '', 0)").await.unwrap();
    connection.close().await.unwrap();
    let error = refusal(&place).await;
    assert!(matches!(error, StoreError::NewerSchema { found: 9999, .. }), "{error:?}");
    assert_eq!(error.exit().code(), 76);
    assert_eq!(ReadOnly::open(&place.path).await.unwrap_err().exit().code(), 76);
}

#[tokio::test]
async fn a_second_owner_is_refused_and_told_who_has_it() {
    let place = place();
    let store = place.open().await;
    let error = Store::open(&place.path, NOW).await.unwrap_err();
    let expected = std::process::id();
    assert!(matches!(error, StoreError::InUse { pid: Some(pid), .. } if pid == expected));
    assert_eq!(error.exit().code(), 73);
    drop(store);
    place.open().await;
}

#[tokio::test]
async fn a_link_to_the_store_leads_to_the_same_lock() {
    let (place, elsewhere) = (place(), place());
    std::os::unix::fs::symlink(&place.path, &elsewhere.path).unwrap();
    let error = Store::open(&elsewhere.path, NOW).await.unwrap_err();
    assert!(matches!(error, StoreError::Io { .. }), "nothing may be created: {error:?}");
    let _store = place.open().await;
    let error = Store::open(&elsewhere.path, NOW).await.unwrap_err();
    assert!(matches!(error, StoreError::InUse { .. }), "{error:?}");
}

#[tokio::test]
async fn a_store_of_another_user_is_refused() {
    let place = filled().await;
    // Only root can give a file away; anyone else finds the same wish refused by the kernel.
    if std::os::unix::fs::chown(&place.path, Some(65_534), None).is_err() {
        assert!(!rustix::process::geteuid().is_root());
        return;
    }
    let error = refusal(&place).await;
    assert!(matches!(error, StoreError::WrongOwner { owner: 65_534, .. }), "{error:?}");
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_an_error_of_its_own() {
    let place = place();
    let path = place.directory.path().join("missing").join("refit.db");
    let error = Store::open(&path, NOW).await.unwrap_err();
    assert!(matches!(error, StoreError::NoDirectory { .. }), "{error:?}");
    assert!(error.to_string().contains("missing"), "{error}");
}

#[tokio::test]
async fn a_reader_creates_nothing() {
    let place = place();
    let error = ReadOnly::open(&place.path).await.unwrap_err();
    assert!(matches!(error, StoreError::Missing { .. }), "{error:?}");
    assert_eq!(listing(&place), []);
}

#[tokio::test]
async fn only_the_owner_may_read_what_the_store_knows() {
    let place = place();
    let _store = place.open().await;
    for suffix in ["", "-wal", ".lock", ".generation"] {
        let mode = fs::metadata(place.beside(suffix)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{suffix}: {mode:o}");
    }
}

#[tokio::test]
async fn what_a_first_start_left_half_done_is_no_store() {
    let place = place();
    fs::write(place.beside(".draft"), "half").unwrap();
    assert!(place.open().await.opened().first_start);
    assert!(!place.beside(".draft").exists());
}

#[tokio::test]
async fn a_store_that_is_replaced_while_it_runs_takes_no_more_commits() {
    type Replacement = fn(&Place);
    let replacements: [(&str, Replacement); 4] = [
        ("removed", |place| fs::remove_file(&place.path).unwrap()),
        ("swapped", |place| {
            fs::copy(&place.path, place.beside(".copy")).unwrap();
            fs::rename(place.beside(".copy"), &place.path).unwrap();
        }),
        ("log removed", |place| fs::remove_file(place.beside("-wal")).unwrap()),
        ("generation", |place| fs::write(place.beside(".generation"), "another").unwrap()),
    ];
    for (name, replace) in replacements {
        let place = place();
        let mut store = place.open().await;
        store.commit(&[planned(1, 1)]).await.unwrap();
        store.still_ours().unwrap();
        replace(&place);
        let error = store.still_ours().unwrap_err();
        assert!(matches!(error, StoreError::Replaced { .. }), "{name}: {error:?}");
        assert!(!store.commit(&[planned(2, 2)]).await.unwrap_err().is_retryable(), "{name}");
    }
}

#[tokio::test]
async fn accepting_the_loss_keeps_the_old_files_and_begins_anew() {
    let place = filled().await;
    overwrite(&place, 0, b"not a database");
    let damaged = fs::read(&place.path).unwrap();
    let (mut store, moved) = Store::init_accept_loss(&place.path, NOW).await.unwrap();
    assert!(store.opened().first_start);
    assert_eq!(store.load().await.unwrap().last_seq, 0);
    assert_eq!(fs::read(&moved[0]).unwrap(), damaged);
    assert!(moved.iter().all(|path| path.exists()), "{moved:?}");
    store.commit(&[planned(1, 1)]).await.unwrap();
    drop(store);
    let error = Store::init_accept_loss(&place.path, NOW).await.unwrap_err();
    assert!(matches!(error, StoreError::Io { .. }), "nothing is written over: {error:?}");
    assert_eq!(fs::read(&moved[0]).unwrap(), damaged);
}

#[tokio::test]
async fn a_store_that_was_moved_aside_can_still_be_read() {
    let (place, _) = killed().await;
    let (_new, moved) = Store::init_accept_loss(&place.path, NOW).await.unwrap();
    assert_eq!(ReadOnly::open(&moved[0]).await.unwrap().last_seq().await.unwrap(), 3);
}

/// A store that was killed, three commits of which stand in its log only; and that log.
async fn killed() -> (Place, Vec<u8>) {
    let running = place();
    let mut store = running.open().await;
    for n in 1..=3 {
        store.commit(&[planned(n, u32::try_from(n).unwrap())]).await.unwrap();
    }
    let killed = place();
    for suffix in ["", "-wal", ".generation"] {
        fs::copy(running.beside(suffix), killed.beside(suffix)).unwrap();
    }
    let log = fs::read(killed.beside("-wal")).unwrap();
    (killed, log)
}

/// SQLite moves the log into the database when its last writer leaves, damaged or not. Whoever tries
/// to mend the store wants both as the crash left them.
#[tokio::test]
async fn a_damaged_store_keeps_its_log_and_is_left_as_it_was() {
    let (place, log) = killed().await;
    let length = fs::metadata(&place.path).unwrap().len();
    fs::OpenOptions::new().write(true).open(&place.path).unwrap().set_len(length / 2).unwrap();
    let before = fs::read(&place.path).unwrap();
    // A connection is closed by a thread of its own; by the end of the second try the first is.
    for _ in 0..2 {
        let error = refusal(&place).await;
        assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
    }
    assert!(fs::read(&place.path).unwrap() == before, "the store was changed");
    assert!(fs::read(place.beside("-wal")).unwrap() == log, "the log was changed");
}

/// Header and frame lengths of the log, with pages of 4,096 bytes.
const LOG_HEADER: usize = 32;
const LOG_FRAME: usize = 24 + 4096;

#[tokio::test]
async fn a_log_whose_acknowledged_commits_are_damaged_is_refused() {
    for (name, at) in [
        ("header", 20),
        ("the first frame's page", LOG_HEADER + 500),
        ("the first frame's mark", LOG_HEADER + 9),
        ("a later frame", LOG_HEADER + LOG_FRAME + 500),
    ] {
        let (place, mut log) = killed().await;
        log[at] ^= 0x10;
        fs::write(place.beside("-wal"), &log).unwrap();
        let error = refusal(&place).await;
        assert!(matches!(error, StoreError::Damaged { .. }), "{name}: {error:?}");
        assert_eq!(fs::read(place.beside("-wal")).unwrap(), log, "{name}");
    }
}

#[tokio::test]
async fn a_log_that_a_crash_tore_opens_with_all_that_was_whole() {
    for (kept, lost) in [("whole", 0), ("a part of the last frame", 100)] {
        let (place, log) = killed().await;
        fs::write(place.beside("-wal"), &log[..log.len() - lost]).unwrap();
        let rows = place.open().await.load().await.unwrap();
        let expected = if lost == 0 { 3 } else { 2 };
        assert_eq!(rows.last_seq, expected, "{kept}");
    }
}
