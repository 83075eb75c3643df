//! A disk that fails under a daemon: strace makes its calls on the store's files fail.

use std::fs::{self, File};
use std::process::{Child, Command};

use rustix::process::{Pid, Signal, kill_process};

use super::daemon::Daemon;
use super::site::{Site, until};

/// Which calls fail, and how.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    calls: &'static str,
    error: &'static str,
}

impl Fault {
    pub fn write(error: &'static str) -> Fault {
        Fault { calls: "write,pwrite64", error }
    }

    pub fn sync(error: &'static str) -> Fault {
        Fault { calls: "fsync,fdatasync", error }
    }

    pub fn open(error: &'static str) -> Fault {
        Fault { calls: "openat", error }
    }

    /// The command with its disk failing from its first call on; it is a child of ours all the
    /// same.
    pub fn since_the_start(self, site: &Site, command: &Command) -> Command {
        let mut strace = Command::new("strace");
        strace.arg("-D").args(self.arguments(site)).arg("--");
        strace.arg(command.get_program()).args(command.get_args());
        strace.env_clear().current_dir(command.get_current_dir().expect("it has a place"));
        strace
    }

    fn arguments(self, site: &Site) -> Vec<String> {
        let store = site.store().display().to_string();
        let inject = format!("inject={}:error={}", self.calls, self.error);
        let mut arguments: Vec<String> =
            ["-f", "-o", "/dev/null", "-e", &inject].map(String::from).into();
        for end in ["", "-wal", ".draft", ".draft-journal", ".lock"] {
            // The lock file is written once, at the start, and a failure there is forgiven.
            if end != ".lock" || self.calls == "openat" {
                arguments.extend(["-P".into(), format!("{store}{end}")]);
            }
        }
        arguments
    }
}

/// Fails calls of a daemon that runs, as a file system does that is full, broken or turned
/// read-only.
pub struct FailingDisk(Child);

impl FailingDisk {
    pub async fn turn(site: &Site, daemon: &Daemon, fault: Fault) -> FailingDisk {
        let talk = site.path("strace.txt");
        let strace = Command::new("strace")
            .args(fault.arguments(site))
            .args(["-p", &daemon.pid().to_string()])
            .stderr(File::create(&talk).unwrap())
            .spawn()
            .expect("strace is not installed: `tests/run` installs it");
        let mut disk = FailingDisk(strace);
        until("strace holds the daemon", async || {
            let said = fs::read_to_string(&talk).unwrap();
            assert!(disk.0.try_wait().unwrap().is_none(), "strace may not attach: {said}");
            said.contains("attached").then_some(())
        })
        .await;
        disk
    }

    pub fn heal(mut self) {
        // Gone already where the daemon is.
        kill_process(Pid::from_child(&self.0), Signal::INT).ok();
        self.0.wait().unwrap();
    }
}
