//! What may stand at the path instead of a configuration, on a real disk.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use refit::config::{self, Findings, ProcessEnvironment};
use tempfile::TempDir;

use crate::config_environment::FakeEnvironment;

fn refused(path: &Path) -> Findings {
    let findings = config::load(path, &ProcessEnvironment).expect_err("this is no configuration");
    assert_eq!(findings.exit().code(), 78, "{findings}");
    assert_eq!(findings.list.len(), 1, "{findings}");
    assert!(findings.to_string().contains(&path.display().to_string()), "{findings}");
    assert!(findings.list[0].help.is_some(), "{findings}");
    findings
}

fn assert_says(path: &Path, message: &str) {
    let findings = refused(path);
    assert!(findings.list[0].message.contains(message), "{findings}");
}

fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("refit.toml");
    (directory, path)
}

#[test]
fn a_missing_file_is_named() {
    let (_directory, path) = place();
    assert_says(&path, "there is no such file");
    assert_says(&path.join("below/refit.toml"), "there is no such file");
}

#[test]
fn a_directory_is_no_file() {
    let (directory, _) = place();
    assert_says(directory.path(), "it is a directory");
}

#[test]
fn a_loop_of_symbolic_links_ends() {
    let (directory, path) = place();
    symlink(&path, directory.path().join("other")).unwrap();
    symlink(directory.path().join("other"), &path).unwrap();
    assert_says(&path, "form a loop");
}

#[test]
fn a_pipe_is_not_waited_for() {
    let (_directory, path) = place();
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    assert_says(&path, "not a regular file");
}

#[test]
fn a_file_of_100_megabytes_is_not_read_whole() {
    let (_directory, path) = place();
    fs::File::create(&path).unwrap().set_len(100 * 1024 * 1024).unwrap();
    assert_says(&path, "larger than 1048576 bytes");
}

#[test]
fn a_file_that_may_not_be_read_is_named() {
    // Root reads everything, so the refusal is made up.
    let path = Path::new("/etc/refit/refit.toml");
    let mut environment = FakeEnvironment::default();
    environment.files.insert(path.into(), Err(rustix::io::Errno::ACCESS.raw_os_error()));
    let findings = config::load(path, &environment).unwrap_err();
    assert_eq!(findings.exit().code(), 78);
    assert!(findings.list[0].message.contains("permission denied"), "{findings}");
}

#[test]
fn a_file_on_disk_loads_with_its_secrets_beside_it() {
    let (directory, path) = place();
    let key = directory.path().join("key");
    fs::write(&key, "s3cr3t-canary\n").unwrap();
    let text = crate::config_load::SMALLEST
        .replace("env:HUAWEICLOUD_SDK_AK", "file:key")
        .replace("env:HUAWEICLOUD_SDK_SK", "file:key");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    config::load(&path, &ProcessEnvironment).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let findings = config::load(&path, &ProcessEnvironment).unwrap_err();
    assert_eq!(findings.exit().code(), 77, "{findings}");
    assert_eq!(findings.list.len(), 2, "{findings}");
}

#[test]
fn line_ends_of_windows_change_nothing() {
    let load = |text: String| {
        let mut environment = FakeEnvironment::usual();
        environment.write("refit.toml", text, 0o644);
        config::load(Path::new("refit.toml"), &environment).unwrap().config
    };
    let unix = load(config::EXAMPLE.to_owned());
    let windows = load(config::EXAMPLE.replace('\n', "\r\n"));
    assert_eq!(unix.settings, windows.settings);
    assert_eq!(unix.digest, windows.digest);
}
