//! `refit demo`, the real binary: a whole fleet, every fault, and the rules judged.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::cli_process::command;

/// Runs the demonstration with its temporary directory in `directory`.
fn demo(directory: &Path, arguments: &[&str]) -> std::process::Output {
    let arguments: Vec<&str> = ["demo"].into_iter().chain(arguments.iter().copied()).collect();
    command(&arguments).env("TMPDIR", directory).output().expect("the binary under test runs")
}

fn is_empty(directory: &Path) -> bool {
    fs::read_dir(directory).unwrap().next().is_none()
}

#[test]
fn a_demonstration_shows_every_fault_holds_every_rule_and_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let ran = demo(directory.path(), &["--seed", "1", "--format", "json"]);
    let talk = String::from_utf8(ran.stderr).unwrap();
    let report: Value = serde_json::from_slice(&ran.stdout).expect(&talk);
    let broken = &report["rules"]["broken"];
    assert_eq!(report["rules"]["summary"], "rules: 14 held, 1 not judged (S14)", "{broken}");
    assert_eq!(ran.status.code(), Some(0), "{talk}");
    assert!(is_empty(directory.path()));

    let campaign = |name: &str| {
        let campaigns = report["campaigns"].as_array().unwrap();
        campaigns.iter().find(|campaign| campaign["name"] == name).unwrap().clone()
    };
    assert_eq!(campaign("north")["counts"]["succeeded"], 110, "{report:#}");
    assert_eq!(campaign("south")["counts"]["succeeded"], 70, "{report:#}");
    // One task failed, and one instance was deleted between the last look and the upgrade.
    assert_eq!(campaign("odd-ones")["counts"]["failed"], 2, "{report:#}");

    // Whatever had started was adopted, and nothing else was; all the rest was sent again.
    let faults = report["faults"].as_array().unwrap();
    let fault = |cause: &str| {
        let fault = faults.iter().find(|fault| fault["cause"] == cause);
        let fault = fault.unwrap_or_else(|| panic!("no {cause:?} in {report:#}"));
        ["answers", "adopted", "sent_again"].map(|key| fault[key].as_u64().unwrap())
    };
    assert_eq!(fault("500, nothing had started"), [11, 0, 11]);
    assert_eq!(fault("500, and yet it had started"), [7, 7, 0]);
    assert_eq!(fault("answer lost, it had started"), [5, 5, 0]);
    assert_eq!(fault("request lost on its way"), [3, 0, 3]);
    assert_eq!(fault("429, too many requests"), [5, 0, 5]);
    // The plan of one campaign was approved, the failures of another acknowledged.
    let orders = report["orders"].as_array().unwrap();
    assert!(orders.iter().any(|order| order["what"].as_str().unwrap().starts_with("approve")));
    assert!(orders.iter().any(|order| order["what"] == "resume odd-ones"), "{report:#}");
}

#[test]
fn an_interrupted_demonstration_stops_its_daemon_reports_and_leaves_nothing_behind() {
    use std::io::{BufRead, BufReader, Read};
    use std::process::Stdio;

    let directory = tempfile::tempdir().unwrap();
    let mut running = command(&["demo", "--format", "json"])
        .env("TMPDIR", directory.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The first line of progress: the daemon turns.
    let mut talk = BufReader::new(running.stderr.take().unwrap());
    let mut line = String::new();
    talk.read_line(&mut line).unwrap();
    assert!(!is_empty(directory.path()), "{line}");
    let process = rustix::process::Pid::from_child(&running);
    rustix::process::kill_process(process, rustix::process::Signal::INT).unwrap();
    let mut rest = String::new();
    talk.read_to_string(&mut rest).unwrap();
    let ran = running.wait_with_output().unwrap();
    let report: Value = serde_json::from_slice(&ran.stdout).expect(&rest);
    assert_eq!(report["ended"], "interrupted");
    assert_eq!(ran.status.code(), Some(1), "{rest}");
    assert!(is_empty(directory.path()));
}
