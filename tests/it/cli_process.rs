//! Runs the real binary and keeps what it said; goldens live in `tests/fixtures/cli/`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What one run of `refit` left behind.
#[derive(Debug)]
pub struct Ran {
    pub exit: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// What it said, as if lines had no end.
    pub fn said(&self) -> String {
        self.stderr.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

/// Runs `refit` with these arguments, separated by blanks, at 80 columns and without any setting of
/// the machine.
pub fn refit(arguments: &str) -> Ran {
    refit_with(&arguments.split_whitespace().collect::<Vec<_>>())
}

pub fn refit_with(arguments: &[&str]) -> Ran {
    let output = command(arguments).output().expect("the binary under test runs");
    Ran {
        exit: output.status.code().expect("it exits by itself"),
        stdout: String::from_utf8(output.stdout).expect("it writes UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("it writes UTF-8"),
    }
}

pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_refit"));
    command
        .args(arguments)
        .env_clear()
        .env("COLUMNS", "80")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null());
    command
}

/// Compares with the golden file of that name; `REFIT_GOLDEN=write` writes it anew.
pub fn golden(name: &str, text: &str) {
    let path = fixture(name);
    if std::env::var_os("REFIT_GOLDEN").is_some_and(|wish| wish == "write") {
        std::fs::write(&path, text).expect("the fixtures can be written");
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(wanted == text, "{} differs; it is now:\n{text}", path.display());
}

pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/cli").join(name)
}
