//! The configuration file for commands that never speak to the cloud: read whole, without secrets.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use crate::config::{self, Environment, FileContent, Loaded, ProcessEnvironment};
use crate::model::{CampaignName, Wall, closest};

use super::failure::Failure;
use super::globals::Globals;

/// What stands where a secret or a certificate file would; nothing is ever signed or sent with it.
const STAND_IN: &str = "-----BEGIN CERTIFICATE-----";

/// Variables that systemd sets: absent means absent.
const SYSTEMD: [&str; 2] = ["STATE_DIRECTORY", "RUNTIME_DIRECTORY"];

/// Permissions of a stand-in.
const PRIVATE: u32 = 0o600;

/// Reads the file as an operator may who has no access to its credentials.
///
/// # Errors
/// Every finding, credentials apart.
pub fn load(globals: &Globals) -> Result<Loaded, Failure> {
    config::load(&globals.config, &WithoutSecrets { file: globals.config.clone() })
        .map_err(Failure::configuration)
}

/// The campaign of that name.
///
/// # Errors
/// There is none; the closest are named.
pub fn campaign(loaded: &Loaded, name: &str) -> Result<CampaignName, Failure> {
    let known = &loaded.config.settings.campaigns;
    let name = CampaignName::from(name);
    if known.contains_key(&name) {
        return Ok(name);
    }
    Err(unknown_campaign(name.as_str(), known.keys().map(CampaignName::as_str)))
}

pub fn unknown_campaign<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Failure {
    let hint = closest::hint(name, known);
    Failure::usage(format!("no campaign is called {name:?}{hint}"))
        .next("refit check, which shows what the file holds")
}

/// The process's environment, in which every secret is a stand-in.
struct WithoutSecrets {
    file: PathBuf,
}

impl Environment for WithoutSecrets {
    fn variable(&self, name: &str) -> Option<OsString> {
        let found = ProcessEnvironment.variable(name);
        if SYSTEMD.contains(&name) { found } else { Some(STAND_IN.into()) }
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<FileContent> {
        if path == self.file {
            return ProcessEnvironment.read(path, limit);
        }
        let bytes = STAND_IN.as_bytes().to_vec();
        Ok(FileContent { size: bytes.len() as u64, bytes, mode: PRIVATE })
    }

    fn now(&self) -> Wall {
        ProcessEnvironment.now()
    }
}
