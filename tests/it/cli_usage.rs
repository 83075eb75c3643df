//! The shape of the command line: help, usage errors, the missing daemon.

use std::io::Read;
use std::process::Stdio;

use clap::CommandFactory;
use refit::cli::Cli;
use refit::exit::Exit;

use crate::cli_process::{command, refit};

/// Every order to the daemon, complete.
const ORDERS: [&str; 16] = [
    "pause weekly",
    "resume weekly",
    "resume --project sg",
    "resume --credential ops",
    "abort weekly",
    "approve weekly --digest d",
    "promote weekly",
    "freeze --all --until 2h",
    "unfreeze --project sg",
    "resolve cache-1 --applied t1",
    "resolve cache-1 --applied",
    "resolve cache-1 --not-applied",
    "hold cache-1",
    "release cache-1",
    "skip cache-1 --reason vip",
    "retry cache-1",
];

#[test]
fn help_reads_well_at_80_columns() {
    let help = refit("--help");
    assert_eq!(help.exit, 0);
    assert!(help.stdout.lines().all(|line| line.chars().count() <= 80), "{}", help.stdout);
    for exit in Exit::ALL {
        let line = format!("  {:<3} {}", exit.code(), exit.meaning());
        assert!(help.stdout.contains(&line), "{line:?} in {}", help.stdout);
    }
}

#[test]
fn every_command_has_help_of_its_own() {
    let help = refit("--help").stdout;
    let commands = help.split("Commands:").nth(1).unwrap().split("\n\n").next().unwrap();
    let names = commands.lines().filter(|line| !line.starts_with("   "));
    for name in names.filter_map(|line| line.split_whitespace().next()) {
        let ran = refit(&format!("help {name}"));
        assert_eq!((ran.exit, ran.stderr.as_str()), (0, ""), "{name}");
        assert!(ran.stdout.lines().all(|line| line.chars().count() <= 80), "{}", ran.stdout);
    }
}

#[test]
fn the_documentation_lists_every_command_and_exit_code() {
    let documentation = include_str!("../../docs/commands.md");
    for command in Cli::command().get_subcommands() {
        let name = command.get_name();
        assert!(documentation.contains(&format!("`{name}`")), "{name}");
    }
    for exit in Exit::ALL {
        let row = format!("| {} | {} |", exit.code(), exit.meaning());
        assert!(documentation.contains(&row), "{row}");
    }
}

#[test]
fn wrong_usage_is_exit_2_and_says_what_is_missing() {
    for (arguments, said) in [
        ("pause", "<CAMPAIGN>"),
        ("resume", "<CAMPAIGN|--project <NAME>|--credential <NAME>>"),
        ("freeze", "--all"),
        ("freeze --all --project sg", "cannot be used with"),
        ("resolve cache-1", "--not-applied"),
        ("resolve cache-1 --failed --succeeded", "cannot be used with"),
        ("approve weekly", "--digest"),
        ("pase weekly", "pause"),
    ] {
        let ran = refit(arguments);
        assert_eq!((ran.exit, ran.stdout.as_str()), (2, ""), "{arguments}");
        assert!(ran.stderr.contains(said), "{arguments}: {}", ran.stderr);
    }
}

#[test]
fn without_a_daemon_every_order_is_exit_69_and_names_the_socket_and_the_way_to_start_one() {
    for order in ORDERS {
        let ran = refit(&format!("{order} --socket /nonexistent/refit.sock --config a.toml"));
        assert_eq!((ran.exit, ran.stdout.as_str()), (69, ""), "{order}");
        assert!(ran.stderr.contains("/nonexistent/refit.sock"), "{order}: {}", ran.stderr);
        assert!(ran.said().contains("FREEZE (a guess: a.toml cannot be read)"), "{order}: {ran:?}");
        let file = "tests/fixtures/cli/windows.toml";
        let ran = refit(&format!("{order} --socket /nonexistent/refit.sock --config {file}"));
        let next = format!("refit run --config {file}\n");
        assert!(ran.stderr.ends_with(&next), "{order}: {}", ran.stderr);
        assert!(ran.said().contains("FREEZE stops every start"), "{order}: {}", ran.stderr);
    }
}

#[test]
fn a_configuration_that_is_no_file_ends_every_command_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe.toml");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    for file in [pipe.to_str().unwrap(), "/dev/zero"] {
        for question in ["check", "windows", "run", "store verify", "store init --accept-loss"] {
            let ran = refit(&format!("{question} --config {file}"));
            assert_eq!(ran.exit, 78, "{question} {file}: {ran:?}");
            let said = [ran.stdout, ran.stderr].concat();
            assert!(said.contains("not a regular file"), "{question} {file}: {said}");
        }
        assert_eq!(refit(&format!("pause weekly --config {file}")).exit, 69);
    }
}

#[test]
fn no_slip_of_the_pen_leads_the_store_commands_to_another_store() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("refit.toml");
    std::fs::write(&file, "[store]\nurl = \"sqlite://refit.db\"\n[campaigns.weekly\n").unwrap();
    for order in [["store", "verify"].as_slice(), &["store", "init", "--accept-loss"]] {
        let mut command = command(&[order, &["--config", file.to_str().unwrap()]].concat());
        // Where a guess would find a store.
        let ran = command.env("STATE_DIRECTORY", directory.path()).output().unwrap();
        assert_eq!(ran.status.code(), Some(78), "{ran:?}");
    }
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "nothing was made");
}

#[test]
fn a_failure_is_json_where_json_is_asked_for() {
    let ran = refit("pause weekly --socket /nonexistent/refit.sock --format json");
    let failure: serde_json::Value = serde_json::from_str(&ran.stderr).unwrap();
    assert_eq!(failure["error"]["exit"], 69);
    for key in ["message", "causes", "next"] {
        assert!(failure["error"].get(key).is_some(), "{key}");
    }
}

#[test]
fn a_closed_pipe_ends_quietly() {
    for arguments in [
        ["--help"].as_slice(),
        &["windows", "--config", "tests/fixtures/cli/windows.toml", "--count", "1000"],
        &["windows", "--config", "tests/fixtures/cli/windows.toml", "--format", "json"],
    ] {
        let mut child = command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary under test runs");
        drop(child.stdout.take());
        let mut stderr = String::new();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        let exit = child.wait().unwrap().code();
        assert_eq!((exit, stderr.as_str()), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn an_error_fits_the_terminal_and_the_next_command_stays_whole() {
    let socket = "/nonexistent/a/folder/with/a/long/name/below/which/nobody/listens/refit.sock";
    let ran = refit(&format!("pause weekly --socket {socket} --config a/long/name/of/a/file.toml"));
    assert_eq!(ran.exit, 69);
    let (error, next): (Vec<&str>, Vec<&str>) =
        ran.stderr.lines().partition(|line| !line.starts_with("  next: "));
    assert!(error.len() > 1 && error.iter().all(|line| line.len() <= 80), "{}", ran.stderr);
    assert!(
        next.len() == 1 && next[0].contains("--config a/long/name/of/a/file.toml"),
        "{}",
        ran.stderr
    );
}
