//! What is wrong, or odd, about a configuration: every finding at once, each with its place.
//!
//! A finding carries its own excerpt, in which secrets are already hidden, so nothing that prints
//! one can leak what the file holds. Rendering is in `render`; where the excerpt comes from, in
//! `source`.

use std::ops::Range;
use std::path::PathBuf;

use crate::exit::Exit;

/// An error keeps the daemon from starting; a warning is only said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Error,
    Warning,
}

/// What the finding is about; it decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    Configuration,
    /// A secret that cannot be had, or must not be used as it stands.
    Credential,
}

/// A place in the file; both numbers count from 1, the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

/// The one line of the file that a finding points into, with secrets hidden.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    pub text: String,
    /// Bytes of `text` that carry the caret.
    pub mark: Range<usize>,
}

/// One thing that is wrong or odd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub severity: Severity,
    pub subject: Subject,
    /// Dotted key, `campaigns.weekly.settle`; empty where the whole file is meant.
    pub key: String,
    /// What is wrong, without the key.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
    pub position: Option<Position>,
    pub excerpt: Option<Excerpt>,
}

/// All that was found in one file, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Findings {
    pub file: PathBuf,
    pub list: Vec<Finding>,
}

impl Findings {
    pub fn has_errors(&self) -> bool {
        self.errors().next().is_some()
    }

    /// How a command ends that found this: done without an error, `Credential` if every error
    /// concerns one.
    pub fn exit(&self) -> Exit {
        if !self.has_errors() {
            Exit::Done
        } else if self.errors().all(|finding| finding.subject == Subject::Credential) {
            Exit::Credential
        } else {
            Exit::Configuration
        }
    }

    fn errors(&self) -> impl Iterator<Item = &Finding> {
        self.list.iter().filter(|finding| finding.severity == Severity::Error)
    }
}

impl std::error::Error for Findings {}
