//! The packaged unit, as systemd itself reads it.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

const UNIT: &str = include_str!("../../config/refit.service");

/// A root directory that holds the unit and something executable in the binary's place.
fn root(unit: &str) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let write = |path: &str, content: &str, mode| {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    write("etc/systemd/system/refit.service", unit, 0o644);
    write("usr/bin/refit", "#!/bin/sh\n", 0o755);
    root
}

/// What `systemd-analyze verify` has to say; its exit status is 0 even for misspelt keys.
fn verify(root: &Path) -> String {
    let output = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .arg(format!("--root={}", root.display()))
        .arg("refit.service")
        .output()
        .expect("systemd-analyze is installed (package systemd)");
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn systemd_takes_the_unit_without_a_word() {
    assert_eq!(verify(root(UNIT).path()), "");
}

#[test]
fn a_misspelt_key_would_have_been_seen() {
    let misspelt = UNIT.replace("WatchdogSec=", "WatchdogSecs=");
    assert!(verify(root(&misspelt).path()).contains("WatchdogSecs"));
}

#[test]
fn the_unit_keeps_its_promises() {
    let has = |line: &str| assert!(UNIT.lines().any(|found| found == line), "{line}");
    for line in [
        "Type=notify",
        "DynamicUser=yes",
        "StateDirectory=refit",
        "RuntimeDirectory=refit",
        "ConfigurationDirectory=refit",
        "Restart=on-failure",
        "RestartPreventExitStatus=73 76 77 78",
        "KillMode=mixed",
        "LimitCORE=0",
        "OOMPolicy=continue",
    ] {
        has(line);
    }
    for key in ["LoadCredential=", "WatchdogSec=", "StartLimitBurst=", "SystemCallFilter="] {
        assert!(UNIT.lines().any(|line| line.starts_with(key)), "{key}");
    }
}

/// A list that is taken away ends what was allowed before it, not what comes after it.
#[test]
fn a_process_that_makes_forecasts_may_lower_its_priority() {
    let filters: Vec<_> =
        UNIT.lines().filter_map(|line| line.strip_prefix("SystemCallFilter=")).collect();
    assert_eq!(filters, ["@system-service", "~@privileged @resources", "setpriority"]);
}
