//! Bad and odd files, each with the messages it must get, exactly.
//!
//! `REFIT_BLESS=1` writes the messages anew; read the difference before it is committed.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use refit::config::{self, Colour, Findings};

use crate::config_environment::FakeEnvironment;

/// As many kinds of bad file as the product promises to explain, at the least.
const BAD_FILES_MIN: usize = 60;

/// What the fixtures refer to.
fn environment() -> FakeEnvironment {
    let mut environment = FakeEnvironment::usual();
    environment.set("EMPTY", "");
    environment.write("/run/keys/open", "s3cr3t-canary\n", 0o644);
    environment.write("/run/keys/empty", "\n", 0o600);
    environment.write("/run/keys/two-lines", "s3cr3t-canary\nmore\n", 0o600);
    environment.write("/run/keys/huge", "x".repeat(70_000), 0o600);
    environment
}

/// Loads each file of a directory and compares its findings with the file beside it.
fn compare(directory: &str, expected_code: impl Fn(&str) -> u8) -> usize {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(directory);
    let mut differing = Vec::new();
    let files = toml_files(&directory);
    for file in &files {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let findings = findings(file);
        assert_eq!(findings.exit().code(), expected_code(name), "{name}\n{findings}");
        let found = findings.render(Colour::Plain);
        assert!(!found.contains("hunter2") && !found.contains("s3cr3t"), "{name}\n{found}");
        let golden = file.with_extension("stderr");
        if std::env::var_os("REFIT_BLESS").is_some_and(|bless| bless == "1") {
            std::fs::write(&golden, &found).unwrap();
        }
        let wanted = std::fs::read_to_string(&golden).unwrap_or_default();
        if found != wanted {
            differing.push(format!("{name}\n--- wanted\n{wanted}--- found\n{found}"));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
    files.len()
}

fn toml_files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension() == Some(OsStr::new("toml")))
        .collect();
    files.sort();
    files
}

/// All findings of a file, loaded under its bare name.
fn findings(file: &Path) -> Findings {
    let name = file.file_name().unwrap().to_str().unwrap();
    let mut environment = environment();
    environment.write(name, std::fs::read(file).unwrap(), 0o644);
    config::load(Path::new(name), &environment)
        .map_or_else(|findings| findings, |loaded| loaded.warnings)
}

#[test]
fn every_bad_file_gets_its_messages() {
    let is_of_secrets = |name: &str| name.starts_with("secret-") && !name.contains("-and-");
    let count = compare("bad-config", |name| if is_of_secrets(name) { 77 } else { 78 });
    assert!(count >= BAD_FILES_MIN, "only {count} bad files");
}

#[test]
fn every_odd_file_loads_with_its_warnings() {
    assert!(compare("odd-config", |_| 0) > 0);
}

#[test]
fn every_finding_in_a_readable_file_has_a_place_and_says_what_to_write() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/bad-config");
    for file in toml_files(&directory) {
        let text = std::fs::read(&file).unwrap();
        let findings = findings(&file);
        let lines = text.split(|byte| *byte == b'\n').count();
        for finding in &findings.list {
            let is_utf_16 = text.starts_with(&[0xff, 0xfe]);
            let place = finding.position;
            assert!(is_utf_16 || place.is_some_and(|at| at.line <= lines), "{findings}");
            assert!(finding.message.len() < 300, "{findings}");
        }
        assert!(!findings.list.is_empty());
    }
}

#[test]
fn the_machine_form_names_place_key_and_reaction() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/bad-config");
    let found = findings(&directory.join("secret-and-unknown-key.toml")).to_json();
    assert_eq!(
        found,
        serde_json::json!([
            {
                "severity": "error",
                "subject": "credential",
                "key": "credentials.ops.secret_key",
                "message": "the environment variable HUAWEI_SK is not set",
                "help": "set HUAWEI_SK where refit runs",
                "file": "secret-and-unknown-key.toml",
                "line": 4,
                "column": 14,
            },
            {
                "severity": "error",
                "subject": "configuration",
                "key": "campaigns.weekly.settel",
                "message": "unknown key",
                "help": "did you mean `settle`?",
                "file": "secret-and-unknown-key.toml",
                "line": 18,
                "column": 1,
            },
        ])
    );
}
