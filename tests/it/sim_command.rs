//! `refit simulate` as a process: what it says, what it refuses, what it writes.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};

use refit::sim::log::{LogLine, parse};
use refit::sim::world::{Decision, knobs};
use serde_json::Value;

use crate::cli_process::{command, refit, refit_with};

/// Ends the process with the test, however the test ends.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn the_knobs_are_listed_with_their_rows() {
    let ran = refit("simulate --knobs --format json");
    let table: Value = serde_json::from_str(&ran.stdout).unwrap();
    let rows = table.as_array().unwrap();
    assert_eq!(rows.len(), knobs::ALL.len());
    let unknowns = (1..=15).map(|number| format!("unknown {number}"));
    let faults = (26..=32).chain([34, 35]).chain(37..=41).map(|number| format!("fault {number}"));
    for row in unknowns.chain(faults) {
        assert!(rows.iter().any(|knob| knob["row"] == *row), "{row}");
        assert!(refit("simulate --knobs").stdout.contains(&format!("[{row}]")), "{row}");
    }
}

#[test]
fn a_bad_file_is_exit_65_with_its_place_and_a_bad_knob_exit_2() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("world.toml");
    fs::write(&path, "name = \"x\"\nproject = []\ntake = \"5s\"\n").unwrap();
    let path = path.to_str().unwrap();
    let ran = refit_with(&["simulate", "--world", path]);
    assert_eq!(ran.exit, 65, "{}", ran.stderr);
    assert!(ran.said().contains("error: unknown field `take`"), "{}", ran.stderr);
    assert!(
        ran.said().contains(&format!("--> {path}:3:1 | 3 | take = \"5s\" | ^^^^")),
        "{}",
        ran.stderr
    );
    let ran = refit("simulate --faults no-such-file");
    assert_eq!(ran.exit, 65, "{}", ran.stderr);
    let ran = refit("simulate --knob duplicate=4115");
    assert_eq!(ran.exit, 2, "{}", ran.stderr);
    assert!(ran.said().contains("one of 4116 4026 4017 runs_twice"), "{}", ran.stderr);
    assert_eq!(refit("simulate --scale 0").exit, 2);
    let ran = refit("simulate --scale -1");
    assert!(ran.exit == 2 && ran.said().contains("-1 is not above 0"), "{}", ran.stderr);
    let ran = refit("simulate --listen 0.0.0.0:0");
    assert!(ran.exit == 2 && ran.said().contains("on loopback only"), "{}", ran.stderr);
    let ran = refit("simulate --fleet 0");
    assert_eq!(ran.exit, 2, "{}", ran.stderr);
    assert!(ran.said().contains("at least one instance"), "{}", ran.stderr);
}

#[test]
fn a_misspelt_word_names_what_was_probably_meant() {
    let ran = refit("simulate --knob duplicat=4116");
    assert_eq!(ran.exit, 2, "{}", ran.stderr);
    assert!(ran.said().contains("did you mean duplicate"), "{}", ran.stderr);
    let ran = refit("simulate --faults nonsense");
    assert_eq!(ran.exit, 65, "{}", ran.stderr);
    assert!(ran.said().contains("calm, realistic, hostile"), "{}", ran.stderr);
    let ran = refit("simulate --faults realistc");
    assert!(ran.said().contains("did you mean realistic?"), "{}", ran.stderr);
}

#[test]
fn a_bad_fault_file_is_exit_65_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("faults.toml");
    fs::write(&path, "[[rule]]\ncalls = \"upgrde\"\ndecisions = {}\n").unwrap();
    let path = path.to_str().unwrap();
    let ran = refit_with(&["simulate", "--faults", path]);
    assert_eq!(ran.exit, 65, "{}", ran.stderr);
    assert!(
        ran.said().contains(&format!("{path}:2:9 | 2 | calls = \"upgrde\" | ^^^^^^^^")),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_port_in_use_is_exit_69_with_a_command_that_finds_another() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ran = refit_with(&["simulate", "--listen", &address]);
    assert_eq!(ran.exit, 69, "{}", ran.stderr);
    assert!(ran.said().contains(&format!("the address {address} is in use")), "{}", ran.stderr);
    assert!(ran.said().contains("next: refit simulate --listen 127.0.0.1:0"), "{}", ran.stderr);
}

/// The fleet of README's fourth step, and the file of its second with what the fourth puts into it.
#[test]
fn the_readme_s_own_file_plans_the_simulated_fleet() {
    let child = command(&["simulate", "--fleet", "3"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut process = Process(child);
    let mut said = BufReader::new(process.0.stdout.take().unwrap()).lines();
    let url = said.next().unwrap().unwrap().strip_prefix("listening on ").unwrap().to_owned();

    let readme = include_str!("../../README.md");
    let mut blocks =
        readme.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let (file, project) = (blocks.next().unwrap(), blocks.next().unwrap());
    let lines = file.lines().filter(|line| !line.starts_with("projects.sg-prod"));
    assert_eq!(file.lines().count() - 1, 9, "README calls it short");
    let file = lines.chain(project.lines()).collect::<Vec<_>>().join("\n");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("refit.toml");
    fs::write(&path, file.replace("http://127.0.0.1:18080", &url)).unwrap();

    let mut plan = command(&["plan", "--config", path.to_str().unwrap()]);
    let keys = readme.lines().find_map(|line| line.strip_prefix("export HUAWEICLOUD_SDK_AK=SIM"));
    for key in format!("HUAWEICLOUD_SDK_AK=SIM{}", keys.unwrap()).split(' ') {
        let (name, value) = key.split_once('=').unwrap();
        plan.env(name, value);
    }
    let output = plan.output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("3 to upgrade") && text.contains("cache-0001"), "{text}");
}

#[test]
fn it_says_where_it_is_logs_what_it_hears_and_stops_cleanly() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.jsonl");
    let arguments = ["simulate", "--fleet", "3", "--log", path.to_str().unwrap()];
    let child = command(&arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut process = Process(child);
    let mut said = BufReader::new(process.0.stdout.take().unwrap()).lines();
    let first = said.next().unwrap().unwrap();
    let address = first.strip_prefix("listening on http://").unwrap();
    let project = said.next().unwrap().unwrap();
    assert!(project.ends_with(" instances=3") && project.len() <= 80, "{project}");
    assert_eq!(said.next().unwrap().unwrap(), "  access_key=SIMULATEDFLEET");

    let mut stream = TcpStream::connect(address).unwrap();
    let request = "GET /v2/x/instances HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");

    let pid = rustix::process::Pid::from_child(&process.0);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(process.0.wait().unwrap().success());
    let lines = parse(&fs::read_to_string(&path).unwrap()).unwrap();
    let [LogLine::Request(line)] = &lines[..] else { panic!("not one request: {lines:?}") };
    assert_eq!((line.decision, line.status), (Decision::Rejected, Some(401)));
}
