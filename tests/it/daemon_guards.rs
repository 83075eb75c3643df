//! What stands between the daemon and harm: the FREEZE file, systemd's watchdog, a deaf log, a full
//! disk, a stepped clock.

use std::path::PathBuf;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
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
    let (_, status) = site.ask("GET", "/v1/status", "").await;
    assert!(status["doubts"].to_string().contains("FREEZE"), "{status}");
    assert_eq!(status["campaigns"][0]["hold"]["kind"], "frozen");
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

/// The daemon with the signal ignored that a write beyond the limit of `let_files_grow` would
/// bring: such a write fails instead.
fn on_a_disk_that_may_fill(site: &Site) -> Daemon {
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", r#"trap '' XFSZ; exec "$@""#, "sh", env!("CARGO_BIN_EXE_refit")])
        .args(["run", "--log-format", "json", "--config"])
        .arg(site.config());
    Daemon::spawn(with_secrets(command))
}

/// From now on every write of the daemon to a file fails (or none does any more), as on a full
/// disk. Needs no privilege, unlike a small disk of its own.
fn let_files_grow(daemon: &Daemon, may: bool) {
    let pid = Pid::from_raw(daemon.child.id().unwrap().cast_signed());
    let maximum = getrlimit(Resource::Fsize).maximum;
    let current = if may { maximum } else { Some(0) };
    prlimit(pid, Resource::Fsize, Rlimit { current, maximum }).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_starts_nothing_and_heals_by_itself() {
    let site = Site::new(Wishes::default()).await;
    std::fs::write(site.path("FREEZE"), "").unwrap();
    let mut daemon = on_a_disk_that_may_fill(&site);
    daemon.says("planned").await;
    let address = daemon.listens_on();
    let_files_grow(&daemon, false);

    std::fs::remove_file(site.path("FREEZE")).unwrap();
    daemon.says("the store cannot be written; trying again").await;
    let (status, body) = get(&address, "/readyz").await;
    assert_eq!((status, body.contains("the store cannot be written")), (503, true), "{body}");
    assert_eq!(get(&address, "/healthz").await.0, 200);
    assert_eq!(site.upgrades().len(), 0, "no upgrade without a durable intent");

    let_files_grow(&daemon, true);
    daemon.says("the store can be written again").await;
    daemon.says("completed").await;
    let said = daemon.stop().await;
    assert_eq!(site.upgrades().len(), 3);
    site.judge(&said).await;
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
