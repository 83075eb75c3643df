//! A PostgreSQL server of the test's own, on a socket in its own directory.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, geteuid, kill_process};

/// Runs until it is dropped.
pub struct Postgres {
    server: Child,
    directory: tempfile::TempDir,
}

impl Postgres {
    /// Fails the test, and says what to do, on a machine without PostgreSQL.
    pub fn start() -> Postgres {
        let programs = programs();
        let directory = tempfile::tempdir().unwrap();
        let account = service_account();
        if let Some((user, group)) = account {
            chown(directory.path(), Some(user), Some(group)).unwrap();
        }
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let data = directory.path().join("data");
        let command = |program: &str| {
            let mut command = Command::new(programs.join(program));
            command.arg("-D").arg(&data).current_dir(directory.path()).env("LC_ALL", "C");
            if let Some((user, group)) = account {
                command.uid(user).gid(group);
            }
            command
        };
        let made = command("initdb")
            .args([
                "--auth=trust",
                "--username=refit",
                "--locale=C",
                "--encoding=UTF8",
                "--no-sync",
            ])
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let server = command("postgres")
            .arg("-k")
            .arg(directory.path())
            .args(["-c", "listen_addresses=", "-c", "fsync=off"])
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut postgres = Postgres { server, directory };
        postgres.wait_until_ready();
        postgres
    }

    pub fn url(&self) -> String {
        format!("postgres://refit@localhost/postgres?host={}", self.directory.path().display())
    }

    fn wait_until_ready(&mut self) {
        let mut talk = String::new();
        let mut lines = BufReader::new(self.server.stderr.take().unwrap());
        while !talk.contains("ready to accept connections") {
            let read = lines.read_line(&mut talk).unwrap();
            assert!(read > 0, "postgres ended before it was ready: {talk}");
        }
        // Its talk goes on until it ends; a full pipe would stop it.
        std::thread::spawn(move || lines.lines().for_each(drop));
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // SIGINT is PostgreSQL's fast shutdown: it takes its children and shared memory along.
        let stopped = kill_process(Pid::from_child(&self.server), Signal::INT);
        let ended = self.server.wait();
        assert!(std::thread::panicking() || (stopped.is_ok() && ended.is_ok()));
    }
}

/// The directory that holds `initdb` and `postgres`: on the path, or where Debian keeps them.
fn programs() -> PathBuf {
    let on_path = env::var_os("PATH").unwrap_or_default();
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let debian = debian.flatten().map(|version| version.path().join("bin"));
    env::split_paths(&on_path)
        .chain(debian)
        .find(|place| ["initdb", "postgres"].iter().all(|name| place.join(name).is_file()))
        .expect("PostgreSQL is not installed: `tests/run` installs the package `postgresql`")
}

/// PostgreSQL refuses to run as root; its package brings this user.
fn service_account() -> Option<(u32, u32)> {
    if !geteuid().is_root() {
        return None;
    }
    let users = fs::read_to_string(Path::new("/etc/passwd")).unwrap();
    let fields: Vec<&str> = users
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields[0] == "postgres")
        .expect("the user `postgres` comes with the package `postgresql`");
    Some((fields[2].parse().unwrap(), fields[3].parse().unwrap()))
}
