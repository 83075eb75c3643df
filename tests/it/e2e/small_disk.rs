//! A disk that is really small: the state directory on a file system of a few pages, which fills by
//! itself and meets every write that a full disk can meet.
//!
//! Mounting needs a privilege that a container may lack. There a limit on the size of its files
//! stands in for it: nearly the same, but that each file has room of its own.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use super::daemon::Daemon;
use super::site::Site;

pub struct SmallDisk {
    state: PathBuf,
    is_mounted: bool,
}

impl SmallDisk {
    /// A disk of that size under the site's state directory, where nothing runs yet.
    pub fn of(site: &Site, bytes: u64) -> SmallDisk {
        let state = site.path("state");
        fs::create_dir_all(&state).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "refit-test"]).arg(&state);
        let is_mounted = mount.output().is_ok_and(|mounted| mounted.status.success());
        println!("a small disk by {}", if is_mounted { "tmpfs" } else { "a limit of file sizes" });
        SmallDisk { state, is_mounted }
    }

    /// The daemon's command on it: a file that may not grow fails as on a full disk, without the
    /// signal that would come with it.
    pub fn command(&self, site: &Site, bytes: u64) -> Command {
        let run = site.run_command();
        let limit = if self.is_mounted { "unlimited".into() } else { (bytes / 512).to_string() };
        let mut command = Command::new("/bin/sh");
        // Blocks of 512 bytes, as POSIX has them.
        command.args(["-c", r#"trap '' XFSZ; ulimit -S -f "$1"; shift; exec "$@""#, "sh", &limit]);
        command.arg(run.get_program()).args(run.get_args());
        command.env_clear().current_dir(run.get_current_dir().expect("it has a place"));
        command
    }

    /// From now on there is room for so many bytes more.
    pub fn leave(&self, daemon: &Daemon, bytes: u64) {
        if self.is_mounted {
            let found = rustix::fs::statvfs(&self.state).unwrap();
            self.resize((found.f_blocks - found.f_bfree) * found.f_frsize + bytes);
        } else {
            let files = fs::read_dir(&self.state).unwrap();
            let sizes = files.map(|file| file.unwrap().metadata().unwrap().len());
            let pid = Pid::from_raw(daemon.pid().cast_signed());
            let maximum = getrlimit(Resource::Fsize).maximum;
            let current = Some(sizes.max().unwrap_or_default() + bytes);
            prlimit(pid, Resource::Fsize, Rlimit { current, maximum }).unwrap();
        }
    }

    /// Before the next daemon, the disk gets that size.
    pub fn make_roomy(&self, bytes: u64) {
        if self.is_mounted {
            self.resize(bytes);
        }
    }

    fn resize(&self, bytes: u64) {
        let options = format!("remount,size={bytes}");
        let resized = Command::new("mount").args(["-o", &options]).arg(&self.state).status();
        assert!(resized.unwrap().success(), "{} cannot be resized", self.state.display());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if self.is_mounted {
            // Lazily: a daemon may still have it open where a test fails.
            drop(Command::new("umount").arg("-l").arg(&self.state).status());
        }
    }
}
