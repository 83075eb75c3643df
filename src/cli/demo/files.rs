//! The directory of one run: a real `refit.toml`, the secrets it refers to, the store, the log.
//!
//! Everything lies in one temporary directory that only its owner may enter, and that goes when
//! this value goes, however the run ended.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use tempfile::TempDir;

use crate::judge::Output;
use crate::model::{Millis, Wall};
use crate::sim::world::ProjectSpec;

use super::scenario::Scenario;

/// What the file holds apart from the projects and the window.
const CAMPAIGNS: &str = include_str!("campaigns.toml");

/// The daemon's log.
pub const LOG: &str = "refit.log";

/// Only the owner may read what is written here.
const PRIVATE: u32 = 0o600;

/// The files of one run.
pub struct Files {
    directory: TempDir,
}

impl Files {
    /// # Errors
    /// The system's directory for temporary files takes none.
    pub fn create() -> io::Result<Files> {
        Ok(Files { directory: tempfile::Builder::new().prefix("refit-demo-").tempdir()? })
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn config(&self) -> PathBuf {
        self.at("refit.toml")
    }

    pub fn store(&self) -> PathBuf {
        self.at("refit.db")
    }

    /// Opens the file that takes the daemon's log.
    ///
    /// # Errors
    /// As the system says.
    pub fn open_log(&self) -> io::Result<File> {
        create(&self.at(LOG))
    }

    /// Writes the secrets and the configuration; its window opens at `open`.
    ///
    /// # Errors
    /// As the system says.
    pub fn write(&self, scenario: &Scenario, url: &str, open: Wall) -> io::Result<()> {
        let [north, south] = &scenario.world.projects[..] else {
            unreachable!("the world of the demo has two projects");
        };
        self.secret("north.access-key", &north.access_keys[0].access)?;
        self.secret("north.secret-key", &scenario.canaries.secret_key)?;
        self.secret("south.password", &scenario.canaries.password)?;
        let text = [
            credentials(south),
            project(north, "north-key", url),
            project(south, "south-user", url),
            window(open),
            CAMPAIGNS.to_owned(),
        ];
        create(&self.config())?.write_all(text.join("\n").as_bytes())
    }

    /// Every file of the run but the secrets themselves, as it stands now.
    ///
    /// # Errors
    /// One of them cannot be read.
    pub fn outputs(&self) -> io::Result<Vec<Output>> {
        let mut outputs = Vec::new();
        for entry in fs::read_dir(self.directory.path())? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name.starts_with("refit.") {
                outputs.push(Output { bytes: fs::read(self.at(&name))?, name });
            }
        }
        Ok(outputs)
    }

    fn secret(&self, name: &str, value: &str) -> io::Result<()> {
        create(&self.at(name))?.write_all(value.as_bytes())
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(path)
}

fn credentials(south: &ProjectSpec) -> String {
    let user = &south.users[0];
    format!(
        "[store]\n\
         url = \"sqlite://refit.db\"\n\n\
         [api]\n\
         listen = \"off\"\n\n\
         [credentials.north-key]\n\
         kind = \"access-key\"\n\
         access_key = \"file:north.access-key\"\n\
         secret_key = \"file:north.secret-key\"\n\n\
         [credentials.south-user]\n\
         kind = \"password\"\n\
         domain = \"{}\"\n\
         user = \"{}\"\n\
         password = \"file:south.password\"\n",
        user.domain, user.name
    )
}

fn project(spec: &ProjectSpec, credential: &str, url: &str) -> String {
    format!(
        "[projects.{}]\n\
         region = \"{}\"\n\
         project_id = \"{}\"\n\
         credentials = \"{credential}\"\n\
         dcs_endpoint = \"{url}\"\n\
         iam_endpoint = \"{url}\"\n\
         max_in_flight = 36\n\
         upgrade_rate = {{ per_second = 12, burst = 6 }}\n\
         read_rate = {{ per_second = 150, burst = 150 }}\n\
         poll_interval = \"500ms\"\n\
         request_timeout = \"2s\"\n",
        spec.name, spec.region, spec.id
    )
}

fn window(open: Wall) -> String {
    let at = Timestamp::from_millisecond(open.0).unwrap_or(Timestamp::UNIX_EPOCH);
    format!(
        "[windows.tonight]\n\
         at = {}\n\
         duration = \"10m\"\n\
         cutoff = \"1m\"\n",
        at.strftime("%Y-%m-%dT%H:%M:%S")
    )
}

/// The next whole second at least this far ahead: a window opens on one.
pub fn whole_second_after(now: Wall, ahead: Millis) -> Wall {
    let at = (now + ahead).0;
    Wall(at + (1_000 - at.rem_euclid(1_000)) % 1_000)
}
