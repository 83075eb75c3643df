//! What a configuration takes from outside its own text: variables, files, the time of day.
//!
//! A trait, so that tests and rehearsals load a file without touching their process or disk.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::model::Wall;

/// The outside, as far as `load` looks at it.
pub trait Environment {
    /// An environment variable, `$CREDENTIALS_DIRECTORY` and the like included.
    fn variable(&self, name: &str) -> Option<OsString>;

    /// Reads a file whole, but no more than `limit` bytes of it.
    ///
    /// # Errors
    /// The file cannot be opened or read, or is no regular file.
    fn read(&self, path: &Path, limit: u64) -> io::Result<FileContent>;

    /// To tell what lies in the past.
    fn now(&self) -> Wall;
}

/// A file as it was read.
#[derive(Debug, Clone)]
pub struct FileContent {
    /// At most the limit.
    pub bytes: Vec<u8>,
    /// Size of the whole file in bytes, or one more than the limit if it is longer than that.
    pub size: u64,
    /// Permission bits.
    pub mode: u32,
}

/// The process's own environment and disk.
#[derive(Debug, Clone, Copy)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn variable(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<FileContent> {
        // Asked before opening: opening a pipe waits for a writer, for ever.
        let metadata = std::fs::metadata(path)?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if !metadata.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
        let size = bytes.len() as u64;
        bytes.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(FileContent { bytes, size, mode: metadata.permissions().mode() & 0o7777 })
    }

    fn now(&self) -> Wall {
        Wall(jiff::Timestamp::now().as_millisecond())
    }
}
