//! `refit check`: the example passes, what is wrong decides the exit code.

use std::fs;

use crate::cli_process::{Ran, command, refit};

/// `check` on the example.
fn check(arguments: &[&str]) -> Ran {
    check_file("config/refit.toml", arguments)
}

/// `check` with the example's two secrets set.
fn check_file(file: &str, arguments: &[&str]) -> Ran {
    let mut all = vec!["check", "--config", file];
    all.extend(arguments);
    let output = command(&all)
        .env("HUAWEICLOUD_SDK_AK", "not-shown-access")
        .env("HUAWEICLOUD_SDK_SK", "not-shown-secret")
        .output()
        .expect("the binary under test runs");
    Ran {
        exit: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn the_example_is_valid_and_its_summary_names_zone_waves_and_next_command() {
    let ran = check(&[]);
    assert_eq!((ran.exit, ran.stderr.as_str()), (0, ""));
    for said in ["Asia/Singapore", "canary: 3, bake 1d; early: 10%, bake 6h; rest", "refit plan"] {
        assert!(ran.stdout.contains(said), "{said}: {}", ran.stdout);
    }
    assert!(!ran.stdout.contains("not-shown"), "{}", ran.stdout);
}

#[test]
fn the_default_waves_are_shown_as_such() {
    let ran = refit("check --config tests/fixtures/cli/windows.toml --format json");
    assert_eq!(ran.exit, 77, "its variable is not set");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("refit.toml");
    let text = fs::read_to_string("tests/fixtures/cli/windows.toml").unwrap();
    fs::write(&file, text.replace("NO_SUCH_VARIABLE", "COLUMNS")).unwrap();
    let ran = refit(&format!("check --config {}", file.display()));
    assert_eq!(ran.exit, 0, "{ran:?}");
    assert!(ran.stdout.contains("canary: 1, bake 15m; rest (the default)"), "{}", ran.stdout);
}

#[test]
fn the_effective_configuration_is_a_file_that_checks_clean_and_prints_itself() {
    let ran = check(&["--effective"]);
    assert_eq!((ran.exit, ran.stderr.as_str()), (0, ""));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("refit.toml");
    fs::write(&file, &ran.stdout).unwrap();
    let again = check_file(&file.display().to_string(), &["--effective"]);
    assert_eq!((again.exit, again.stderr.as_str()), (0, ""));
    let values = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.split("  # ").next().unwrap().to_owned()).collect()
    };
    assert_eq!(values(&again.stdout), values(&ran.stdout));
}

#[test]
fn json_says_what_was_found_and_what_it_decides() {
    let value: serde_json::Value =
        serde_json::from_str(&check(&["--effective", "--format", "json"]).stdout).unwrap();
    assert_eq!((&value["valid"], &value["time_zone"]), (&true.into(), &"Asia/Singapore".into()));
    assert_eq!(value["campaigns"][0]["waves"][0]["bake_ms"], 86_400_000);
    let keys = value["effective"].as_array().unwrap();
    assert!(keys.iter().any(|key| key["key"] == "time_zone" && key["origin"]["file"]["line"] == 2));
}

#[test]
fn a_missing_secret_is_exit_77_and_any_other_error_78() {
    let credential = refit("check --config config/refit.toml");
    assert_eq!((credential.exit, credential.stdout.matches("error").count()), (77, 2));
    let file = refit("check --config /nonexistent/refit.toml");
    assert_eq!(file.exit, 78);
    assert!(file.stdout.contains("/nonexistent/refit.toml"), "{}", file.stdout);
    let json = refit("check --config /nonexistent/refit.toml --format json");
    let value: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((json.exit, &value["valid"]), (78, &false.into()));
    assert_eq!(value["findings"][0]["severity"], "error");
}

#[test]
fn a_command_that_needs_the_file_shows_all_its_findings() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("refit.toml");
    fs::write(&file, "time_zon = 'UTC'\n[windows.night]\nstart = '25:00'\n").unwrap();
    let ran = refit(&format!("windows --config {}", file.display()));
    assert_eq!((ran.exit, ran.stdout.as_str()), (78, ""));
    for said in ["time_zon", "windows.night.start", "refit check --config"] {
        assert!(ran.stderr.contains(said), "{said}: {}", ran.stderr);
    }
}

#[test]
fn more_findings_than_are_shown_are_told_of() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("refit.toml");
    let told = |count: usize| {
        std::fs::write(&file, (0..count).map(|key| format!("x{key} = 1\n")).collect::<String>())
            .unwrap();
        refit(&format!("check --config {}", file.display())).said()
    };
    assert!(
        told(300).contains("200 errors and 1 warning; where there are more, they are not shown")
    );
    assert!(!told(100).contains("not shown"));
}
