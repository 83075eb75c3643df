//! An outside made of maps, so that loading a configuration needs no process and no disk.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use refit::config::{Environment, FileContent};
use refit::model::Wall;

/// 2026-11-01T00:00:00Z: every fixture is written against this day.
const NOW: Wall = Wall(1_793_491_200_000);

#[derive(Default)]
pub struct FakeEnvironment {
    pub variables: BTreeMap<String, OsString>,
    /// Content and permission bits, or the error number that reading it gives.
    pub files: BTreeMap<PathBuf, Result<(Vec<u8>, u32), i32>>,
}

impl FakeEnvironment {
    /// One with the variables and files that the example and the fixtures refer to.
    pub fn usual() -> FakeEnvironment {
        let mut environment = FakeEnvironment::default();
        environment.set("HUAWEICLOUD_SDK_AK", "AKIDEXAMPLE");
        environment.set("HUAWEICLOUD_SDK_SK", "s3cr3t-canary");
        environment
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.insert(name.into(), value.into());
    }

    pub fn write(&mut self, path: &str, content: impl Into<Vec<u8>>, mode: u32) {
        self.files.insert(path.into(), Ok((content.into(), mode)));
    }
}

impl Environment for FakeEnvironment {
    fn variable(&self, name: &str) -> Option<OsString> {
        self.variables.get(name).cloned()
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<FileContent> {
        let (bytes, mode) = match self.files.get(path) {
            Some(Ok((bytes, mode))) => (bytes.clone(), *mode),
            Some(Err(number)) => return Err(io::Error::from_raw_os_error(*number)),
            None => return Err(io::ErrorKind::NotFound.into()),
        };
        let size = (bytes.len() as u64).min(limit + 1);
        let bytes = bytes.into_iter().take(usize::try_from(limit).unwrap()).collect();
        Ok(FileContent { bytes, size, mode })
    }

    fn now(&self) -> Wall {
        NOW
    }
}
