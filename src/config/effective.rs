//! Every key with its value and where that value comes from: `refit check --effective`.
//!
//! Recorded by the reader as it reads, so that no key can be forgotten. Secrets stand here as
//! their references. The rendering is TOML and reads back as the same settings.

use std::fmt::Write;

use sha2::{Digest, Sha256};

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    File {
        line: usize,
    },
    Default,
    /// Derived from an environment variable that systemd sets.
    Environment,
}

/// Whether the key has a value at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Setting {
    /// `value` is TOML.
    Set,
    /// `value` is the word for what that means: `none`, `all`.
    Unset,
}

/// One key as it takes effect.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct EffectiveKey {
    /// Dotted, from the top.
    pub key: String,
    pub value: String,
    pub setting: Setting,
    pub origin: Origin,
    /// The table's header, empty at the top, and the key within it.
    #[serde(skip)]
    pub table: String,
    #[serde(skip)]
    pub name: String,
}

/// The keys as TOML, each with its origin as a comment, one table after the other.
pub fn render(keys: &[EffectiveKey]) -> String {
    let mut text = String::new();
    let mut table = "";
    for key in keys {
        if key.table != table {
            table = &key.table;
            write!(text, "\n[{table}]\n").expect("a string takes every write");
        }
        let origin = match key.origin {
            Origin::File { line } => format!("line {line}"),
            Origin::Default => "default".into(),
            Origin::Environment => "environment".into(),
        };
        let comment = match key.setting {
            Setting::Set => "",
            Setting::Unset => "# ",
        };
        writeln!(text, "{comment}{} = {}  # {origin}", key.name, key.value)
            .expect("a string takes every write");
    }
    text
}

/// SHA-256, in hex, of the effective policy: the same for two files that decide the same. Where
/// the store and the socket are is no policy.
pub fn digest(keys: &[EffectiveKey]) -> String {
    let mut hash = Sha256::new();
    for key in keys.iter().filter(|key| key.table != "store" && key.table != "api") {
        hash.update(key.key.as_bytes());
        hash.update(b"=");
        hash.update(key.value.as_bytes());
        hash.update(b"\n");
    }
    hex::encode(hash.finalize())
}
