//! What stands between the daemon and harm: the FREEZE file, systemd's watchdog, a log nobody reads.

use std::io::Write;
use std::path::{Path, PathBuf};

use tokio::net::UnixDatagram;
use tokio::process::Command;

use crate::daemon_process::{Daemon, Site, Wishes, get, message, until, with_secrets, within};

#[tokio::test(flavor = "multi_thread")]
async fn the_freeze_file_stops_every_start_until_it_is_gone() {
    let site = Site::new(Wishes::default()).await;
    std::fs::write(site.path("FREEZE"), "").unwrap();
    let mut daemon = site.run().await;
    daemon.says("planned").await;
    let (_, status) = site.ask("GET", "/v1/status", "").await;
    assert!(status["doubts"].to_string().contains("FREEZE"), "{status}");
    assert_eq!(status["campaigns"][0]["hold"]["kind"], "frozen");
    assert_eq!(site.upgrades().len(), 0);

    std::fs::remove_file(site.path("FREEZE")).unwrap();
    daemon.says("FREEZE is gone").await;
    daemon.says("completed").await;
    let said = daemon.stop().await;
    assert_eq!(site.upgrades().len(), 3);
    site.judge(&said).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_directory_is_a_place_for_the_freeze_file_too() {
    let site = Site::new(Wishes::default()).await;
    let state = site.path("state");
    std::fs::create_dir(&state).unwrap();
    std::fs::write(state.join("FREEZE"), "").unwrap();
    let mut daemon = site.run_with(|command| command.env("STATE_DIRECTORY", &state)).await;
    daemon.says("planned").await;
    daemon.stop().await;
    assert_eq!(site.upgrades().len(), 0);
}

/// Reads what systemd would be told.
struct Systemd {
    socket: UnixDatagram,
    path: PathBuf,
    heard: Vec<String>,
}

impl Systemd {
    fn new(site: &Site) -> Systemd {
        let path = site.path("notify");
        Systemd { socket: UnixDatagram::bind(&path).unwrap(), path, heard: Vec::new() }
    }

    /// Waits for a message that begins so.
    async fn hears(&mut self, start: &str) -> String {
        let mut buffer = [0; 4096];
        loop {
            let length = within(self.socket.recv(&mut buffer)).await.unwrap();
            let text = String::from_utf8_lossy(&buffer[..length]).trim().to_owned();
            self.heard.push(text.clone());
            if text.starts_with(start) {
                return text;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn systemd_hears_readiness_signs_of_life_progress_and_the_stop() {
    let site = Site::new(Wishes::default()).await;
    let mut systemd = Systemd::new(&site);
    let daemon = site.launch(|command| {
        command.env("NOTIFY_SOCKET", &systemd.path).env("WATCHDOG_USEC", "500000")
    });
    systemd.hears("READY=1").await;
    systemd.hears("WATCHDOG=1").await;
    let status = systemd.hears("STATUS=always open (always), 3/3 done").await;
    assert_eq!(status, "STATUS=always open (always), 3/3 done", "there is no cutoff");
    systemd.hears("WATCHDOG=1").await;
    let heard = std::mem::take(&mut systemd.heard);
    assert!(!heard.iter().any(|text| text.starts_with("STOPPING")), "{heard:?}");
    let stopping = tokio::spawn(daemon.stop());
    systemd.hears("STOPPING=1").await;
    stopping.await.unwrap();
}

/// What a pipe holds, and how close to that a writer of whole lines comes.
const PIPE: u64 = 65_536;
const ALMOST: u64 = 4_096;

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_nobody_reads_stops_nothing() {
    let site = Site::new(Wishes { count: 12, ..Wishes::default() }).await;
    // Far more lines than a pipe holds, and nobody to take them.
    let mut daemon = site.launch(|command| command.env("RUST_LOG", "trace"));
    let pipe = daemon.stderr_descriptor();
    until(|| rustix::io::ioctl_fionread(&pipe).unwrap() + ALMOST > PIPE).await;
    until(|| site.upgrades().len() == 12).await;
    let (status, answer) = site.ask("GET", "/v1/status", "").await;
    assert_eq!((status, answer["campaigns"].as_array().unwrap().len()), (200, 1));
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_swapped_under_the_daemon_ends_it_with_74() {
    let site = Site::new(Wishes { takes: 60_000, ..Wishes::default() }).await;
    let mut daemon = site.run().await;
    daemon.says("accepted").await;
    let address = daemon.listens_on();
    assert_eq!(get(&address, "/readyz").await.0, 200);
    std::fs::rename(site.store(), site.path("elsewhere.db")).unwrap();
    assert_eq!(daemon.ended().await.code(), Some(74), "{:#?}", daemon.said);
}

/// The daemon in a mount namespace of its own, its store on a disk of two MiB, frozen.
fn on_a_small_disk(site: &Site) -> Daemon {
    let disk = site.path("disk");
    std::fs::create_dir(&disk).unwrap();
    let script = r#"mount -t tmpfs -o size=2m refit-test "$0" && touch "$0/FREEZE" && exec "$@""#;
    let mut command = Command::new("unshare");
    command
        .args(["--map-root-user", "--mount", "--", "/bin/sh", "-c", script])
        .arg(&disk)
        .arg(env!("CARGO_BIN_EXE_refit"))
        .args(["run", "--log-format", "json", "--config"])
        .arg(site.config());
    let mut command = with_secrets(command);
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    Daemon::spawn(command)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_starts_nothing_and_heals_by_itself() {
    let site = Site::new(Wishes { store: "disk/refit.db", ..Wishes::default() }).await;
    let mut daemon = on_a_small_disk(&site);
    daemon.says("planned").await;
    let address = daemon.listens_on();
    // The same place, as seen from within the namespace.
    let root = PathBuf::from(format!("/proc/{}/root", daemon.child.id().unwrap()));
    let disk = root.join(site.path("disk").strip_prefix("/").unwrap());
    let ballast = disk.join("ballast");
    fill(&ballast);

    std::fs::remove_file(disk.join("FREEZE")).unwrap();
    daemon.says("the store cannot be written; trying again").await;
    let (status, body) = get(&address, "/readyz").await;
    assert_eq!((status, body.contains("the store cannot be written")), (503, true), "{body}");
    assert_eq!(get(&address, "/healthz").await.0, 200);
    assert_eq!(site.upgrades().len(), 0, "no upgrade without a durable intent");

    std::fs::remove_file(ballast).unwrap();
    daemon.says("the store can be written again").await;
    daemon.says("completed").await;
    for name in ["refit.db", "refit.db-wal"] {
        std::fs::copy(disk.join(name), site.path(name)).unwrap();
    }
    let said = daemon.stop().await;
    assert_eq!(site.upgrades().len(), 3);
    site.judge_store(&site.path("refit.db"), &said).await;
}

/// Writes until nothing more fits.
fn fill(ballast: &Path) {
    let mut file = std::fs::File::create(ballast).unwrap();
    while file.write_all(&[0; 4_096]).is_ok() {}
}

/// Shifts the wall clock of a process by what stands in a file; the boot clock is left alone.
fn library_that_shifts_the_clock() -> PathBuf {
    let found = std::fs::read_dir("/usr/lib").unwrap().find_map(|directory| {
        let library = directory.unwrap().path().join("faketime/libfaketime.so.1");
        library.exists().then_some(library)
    });
    found.expect("libfaketime is installed (package libfaketime)")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wall_clock_that_steps_stops_starts_until_it_agrees_with_itself() {
    let one_at_a_time = Wishes { campaign: "max_in_flight = 1", takes: 1_000, ..Wishes::default() };
    let site = Site::new(one_at_a_time).await;
    let shift = site.path("shift");
    std::fs::write(&shift, "+0").unwrap();
    let mut daemon = site
        .run_with(|command| {
            command
                .env("LD_PRELOAD", library_that_shifts_the_clock())
                .env("FAKETIME_TIMESTAMP_FILE", &shift)
                .env("FAKETIME_NO_CACHE", "1")
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        })
        .await;
    daemon.says("accepted").await;
    std::fs::write(&shift, "+60").unwrap();
    daemon.says("wall clock stepped by ").await;
    let stepped = daemon.said.len();
    daemon.says("wall clock agrees again").await;
    let meanwhile = &daemon.said[stepped..];
    assert!(!meanwhile.iter().any(|line| message(line).contains(": starting ")), "{meanwhile:#?}");
    assert!(meanwhile.iter().any(|line| message(line).contains(": succeeded ")), "reads go on");
    daemon.says("completed").await;
    daemon.stop().await;
    assert_eq!(site.upgrades().len(), 3);
}
