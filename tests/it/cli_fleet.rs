//! The commands against a simulated fleet: with a daemon, and with nothing but its store.

use std::fs;
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::Value;
use sqlx::{Connection, Executor};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::cli_process::Ran;
use crate::daemon_process::{Site, Wishes, within};

/// Long enough that nothing ends while a test looks.
const FOREVER: i64 = 600_000;

pub async fn refit(site: &Site, arguments: &[&str]) -> Ran {
    let mut command = site.command(arguments);
    let output = within(command.env("COLUMNS", "80").output()).await.unwrap();
    Ran {
        exit: output.status.code().expect("it exits by itself"),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

async fn json(site: &Site, arguments: &[&str]) -> Value {
    let arguments: Vec<&str> = arguments.iter().copied().chain(["--format", "json"]).collect();
    let ran = refit(site, &arguments).await;
    assert_eq!(ran.exit, 0, "{arguments:?}: {}", ran.stderr);
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

fn has_keys(value: &Value, keys: &[&str]) {
    for key in keys {
        assert!(value.get(key).is_some(), "{key} in {value}");
    }
}

fn fits_80_columns(ran: &Ran) {
    assert!(ran.stdout.lines().all(|line| line.chars().count() <= 80), "{}", ran.stdout);
}

/// Every question that is answered with or without a daemon.
async fn questions_are_answered(site: &Site) {
    let status = json(site, &["status"]).await;
    has_keys(&status, &["at", "campaigns", "projects", "freezes", "doubts"]);
    has_keys(
        &status["campaigns"][0],
        &["name", "state", "counts", "in_flight", "wave_name", "waves", "intervals", "hold"],
    );
    let human = refit(site, &["status"]).await;
    assert_eq!(human.exit, 0, "{}", human.stderr);
    assert!(human.stdout.contains("weekly"), "{}", human.stdout);
    fits_80_columns(&human);

    let why = json(site, &["why", "fleet-0001"]).await;
    has_keys(&why, &["target", "name", "state", "reason", "hold"]);
    has_keys(&why["hold"], &["kind", "detail", "since", "earliest", "next_command"]);
    assert!(why["state"].is_string(), "also of a pending one: {why}");
    let id = why["target"].as_str().unwrap();
    let bare_id = id.rsplit('/').next().unwrap();
    let short = ["weekly/fleet-0001", "fleet/fleet-0001"];
    for called in [id, bare_id, "weekly/fleet/fleet-0001"].into_iter().chain(short) {
        assert_eq!(json(site, &["why", called]).await["target"], *id, "{called}");
    }
    let human = refit(site, &["why", "fleet-0001"]).await;
    let kind = why["hold"]["kind"].as_str().unwrap();
    assert!(human.stdout.contains(&format!("because   {kind}: ")), "{}", human.stdout);

    let unknown = refit(site, &["why", "fleet-0007"]).await;
    assert_eq!((unknown.exit, unknown.stdout.as_str()), (2, ""));
    assert!(unknown.stderr.contains("did you mean fleet-000"), "{}", unknown.stderr);

    let events = refit(site, &["events", "--kind", "target_planned", "--format", "json"]).await;
    assert_eq!((events.exit, events.stdout.lines().count()), (0, 3), "{}", events.stderr);
    let event: Value = serde_json::from_str(events.stdout.lines().next().unwrap()).unwrap();
    has_keys(&event, &["seq", "at", "event", "target", "state"]);
    assert!(event["at"].as_str().unwrap().ends_with('Z'), "{event}");
    let one = refit(site, &["events", "--target", "fleet-0001", "--since", "1h"]).await;
    assert!(one.stdout.contains("weekly/fleet/fleet-0001"), "{}", one.stdout);
    assert!(!one.stdout.contains("fleet-0002"), "{}", one.stdout);
    let unknown = refit(site, &["events", "--campaign", "weakly"]).await;
    assert_eq!(unknown.exit, 2);
    assert!(unknown.stderr.contains("did you mean weekly?"), "{}", unknown.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_daemon_a_plan_reads_the_fleet_and_upgrades_nothing() {
    let site = Site::new(Wishes::default()).await;
    let nothing = refit(&site, &["status"]).await;
    assert_eq!(nothing.exit, 69, "neither daemon nor store: {}", nothing.stderr);
    assert!(nothing.stderr.contains("refit.sock"), "{}", nothing.stderr);

    let human = refit(&site, &["plan"]).await;
    assert_eq!(human.exit, 0, "{}", human.stderr);
    assert!(human.stdout.contains("campaign weekly: 3 to upgrade"), "{}", human.stdout);
    fits_80_columns(&human);
    let plan = json(&site, &["plan", "--campaign", "weekly"]).await;
    has_keys(&plan["campaigns"][0], &["name", "digest", "complete", "waves", "targets"]);
    let target = &plan["campaigns"][0]["targets"][0];
    has_keys(target, &["target", "project", "instance", "name", "wave", "verdict", "engine"]);
    assert_eq!(target["verdict"], "upgrade");
    has_keys(&target["interval"], &["open", "close", "last_start", "windows"]);
    assert!(site.upgrades().is_empty(), "a plan starts nothing");

    let status = refit(&site, &["status"]).await;
    assert!(status.stderr.contains("No daemon is running"), "{}", status.stderr);
    let hint =
        "forecast  none yet: a running daemon makes one now and then\n  next      refit forecast ";
    assert!(status.stdout.contains(hint), "{}", status.stdout);
    assert!(status.stdout.contains("nothing starts: no daemon is running"), "{}", status.stdout);
    questions_are_answered(&site).await;
    let verified = refit(&site, &["store", "verify"]).await;
    assert_eq!(verified.exit, 0, "{verified:?}");
    site.judge(&[human.stdout.into(), human.stderr.into()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_daemon_answers_every_question_with_one_voice() {
    let campaign = "max_in_flight = 1\n";
    let site = Site::new(Wishes { takes: FOREVER, campaign, ..Wishes::default() }).await;
    let mut daemon = site.run().await;
    daemon.says("accepted").await;
    questions_are_answered(&site).await;
    let plan = json(&site, &["plan"]).await;
    let targets = plan["campaigns"][0]["targets"].as_array().unwrap();
    assert_eq!(targets.iter().filter(|target| target["verdict"] == "state").count(), 1);
    let status = refit(&site, &["status"]).await;
    assert!(status.stdout.contains("1 running"), "{}", status.stdout);
    assert_eq!(status.stderr, "");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_idempotent_and_what_makes_no_sense_is_exit_75() {
    let campaign = "max_in_flight = 1\n";
    let site = Site::new(Wishes { takes: FOREVER, campaign, ..Wishes::default() }).await;
    let mut daemon = site.run().await;
    daemon.says("accepted").await;
    let plan = json(&site, &["plan"]).await;
    let targets = plan["campaigns"][0]["targets"].as_array().unwrap();
    let sent = targets.iter().find(|target| target["verdict"] == "state").unwrap();
    let waiting = targets.iter().find(|target| target["verdict"] != "state").unwrap();
    let (sent, waiting) = (sent["name"].as_str().unwrap(), waiting["name"].as_str().unwrap());
    for (order, exit) in [
        (vec!["pause", "weekly"], 0),
        (vec!["resume", "weekly"], 0),
        (vec!["freeze", "--campaign", "weekly", "--until", "2h"], 0),
        (vec!["unfreeze", "--campaign", "weekly"], 0),
        (vec!["hold", waiting, "--reason", "vip"], 0),
        (vec!["release", waiting], 0),
        (vec!["skip", waiting], 0),
        (vec!["retry", waiting], 0),
        (vec!["skip", sent], 75),
        (vec!["promote", "weekly"], 75),
        (vec!["pause", "weekyl"], 2),
        (vec!["resume", "--project", "flete"], 2),
        (vec!["skip", "fleet-9999"], 2),
        (vec!["freeze", "--all", "--until", "2001-01-01"], 2),
    ] {
        for _ in 0..2 {
            let ran = refit(&site, &order).await;
            assert_eq!(ran.exit, exit, "{order:?}: {ran:?}");
            assert!(ran.stdout.is_empty() != (exit == 0), "{order:?}: {ran:?}");
        }
    }
    let reply = json(&site, &["pause", "weekly"]).await;
    assert_eq!((&reply["result"], &reply["changed"]), (&"done".into(), &true.into()));
    let aborted = refit(&site, &["abort", "weekly"]).await;
    assert_eq!(aborted.exit, 0);
    assert!(aborted.stderr.contains("cannot be cancelled"), "{}", aborted.stderr);
    let status = refit(&site, &["status"]).await.stdout;
    let row = status.lines().find(|line| line.starts_with("weekly  ")).unwrap();
    assert!(row.ends_with(" 0") && status.contains("  cancelled 2\n"), "{status}");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn following_the_events_goes_on_when_the_daemon_is_replaced() {
    let campaign = "max_in_flight = 1\n";
    let site = Site::new(Wishes { takes: FOREVER, campaign, ..Wishes::default() }).await;
    let daemon = site.run().await;
    let mut follow = site.command(&["events", "--follow", "--format", "json"]);
    let mut follow = follow.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines();
    let mut happens = async |event: &str| {
        let wanted = format!("\"event\":\"{event}\"");
        while let Some(line) = within(lines.next_line()).await.unwrap() {
            if line.contains(&wanted) {
                return;
            }
        }
        panic!("it ended before {event}");
    };
    assert_eq!(refit(&site, &["pause", "weekly"]).await.exit, 0);
    happens("paused").await;
    daemon.stop().await;
    let daemon = site.run().await;
    assert_eq!(refit(&site, &["resume", "weekly"]).await.exit, 0);
    happens("resumed").await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_with_a_wrong_key_is_exit_77_after_at_most_two_requests() {
    let site = Site::new(Wishes::default()).await;
    let mut command = site.command(&["plan"]);
    let output = within(command.env("SECRET_KEY", "wrong-secret").output()).await.unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!(output.status.code(), Some(77), "{said}");
    assert!(said.contains("project fleet") && !said.contains("wrong-secret"), "{said}");
    assert!(site.cloud.lines().len() <= 2, "{:?}", site.cloud.lines());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_another_process_holds_is_exit_73() {
    let site = Site::new(Wishes { takes: FOREVER, ..Wishes::default() }).await;
    let daemon = site.run().await;
    fs::remove_file(site.path("refit.sock")).unwrap();
    for command in [["plan", "--utc"].as_slice(), &["store", "init", "--accept-loss"]] {
        let ran = refit(&site, command).await;
        assert_eq!(ran.exit, 73, "{command:?}: {ran:?}");
    }
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_says_that_no_daemon_runs_while_one_drives_the_store() {
    let site = Site::new(Wishes { takes: FOREVER, ..Wishes::default() }).await;
    let mut daemon = site.run().await;
    daemon.says("accepted").await;
    let elsewhere = ["--socket", "/nonexistent/refit.sock"];
    let pid = format!("process {}", daemon.child.id().unwrap());
    for question in [["status"].as_slice(), &["why", "fleet-0001"], &["events"]] {
        let ran = refit(&site, &[question, &elsewhere].concat()).await;
        assert_eq!(ran.exit, 0, "{question:?}: {ran:?}");
        assert!(ran.stderr.contains(&pid), "{question:?}: {}", ran.stderr);
        let said = [ran.stdout, ran.stderr].concat();
        assert!(!said.to_lowercase().contains("no daemon"), "{question:?}: {said}");
        assert!(!said.contains("nothing starts"), "{question:?}: {said}");
    }
    let pause = refit(&site, &[["pause", "weekly"], elsewhere].concat()).await;
    assert_eq!(pause.exit, 69, "{pause:?}");
    assert!(pause.said().contains(&pid), "{}", pause.stderr);
    let brake = site.path("FREEZE").display().to_string();
    assert!(pause.said().contains(&brake), "{}", pause.stderr);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_gone_is_told_as_lost_and_not_as_new() {
    let site = Site::new(Wishes::default()).await;
    assert_eq!(refit(&site, &["plan"]).await.exit, 0);
    fs::remove_file(site.store()).unwrap();
    for command in [["status"].as_slice(), &["events"], &["store", "verify"], &["plan"]] {
        let ran = refit(&site, command).await;
        assert_eq!((ran.exit, ran.stdout.as_str()), (74, ""), "{command:?}: {ran:?}");
        assert!(ran.said().contains("refit.db.generation is there"), "{command:?}: {ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_directory_is_named_with_the_command_that_makes_it() {
    let site = Site::new(Wishes { store: "not/yet/refit.db", ..Wishes::default() }).await;
    let directory = site.path("not/yet").display().to_string();
    for command in [["run"].as_slice(), &["plan"], &["store", "verify"]] {
        let ran = refit(&site, command).await;
        assert_eq!((ran.exit, ran.stdout.as_str()), (74, ""), "{command:?}: {ran:?}");
        let said = format!("the directory {directory} does not exist");
        assert!(ran.said().contains(&said), "{command:?}: {}", ran.stderr);
        let next = format!("next: mkdir -p {directory}\n");
        assert!(ran.stderr.ends_with(&next), "{command:?}: {}", ran.stderr);
    }
    let check = refit(&site, &["check"]).await;
    assert!(check.stdout.contains("its directory does not exist yet"), "{}", check.stdout);
    assert_eq!(refit(&site, &["status"]).await.exit, 69, "there is no daemon, and never was one");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_that_is_shown_can_be_typed_as_it_stands() {
    let site = Site::new(Wishes::default()).await;
    assert_eq!(refit(&site, &["plan"]).await.exit, 0);
    let why = refit(&site, &["why", "fleet-0001"]).await;
    let history = why.stdout.lines().find_map(|line| line.strip_prefix("  history   refit "));
    let history: Vec<&str> = history.unwrap().split(' ').collect();
    // Typed as it stands, without the options that the site adds to what it runs.
    let mut typed = Command::new(env!("CARGO_BIN_EXE_refit"));
    let output = within(typed.args(&history).output()).await.unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("weekly/fleet/fleet-0001"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_stands_still_is_told_soon_and_controls_name_the_brake() {
    let campaign = "max_in_flight = 1\n";
    let site = Site::new(Wishes { takes: FOREVER, campaign, ..Wishes::default() }).await;
    let mut daemon = site.run().await;
    daemon.says("accepted").await;
    daemon.signal(Signal::STOP);
    let socket = site.path("refit.sock").display().to_string();
    let brake = site.path("FREEZE");
    let (status, why, plan, pause) = tokio::join!(
        refit(&site, &["status"]),
        refit(&site, &["why", "fleet-0001"]),
        refit(&site, &["plan"]),
        refit(&site, &["pause", "weekly"]),
    );
    for ran in [&status, &why, &plan, &pause] {
        assert_eq!((ran.exit, ran.stdout.as_str()), (69, ""), "{ran:?}");
        let said = format!("the daemon at {socket} does not answer within 5 s");
        assert!(ran.stderr.contains(&said), "{}", ran.stderr);
    }
    let command = format!("next: touch {}\n", brake.display());
    assert!(pause.stderr.contains(&command), "{}", pause.stderr);
    assert!(!status.stderr.contains("touch"), "{}", status.stderr);

    fs::write(&brake, "").unwrap();
    daemon.signal(Signal::CONT);
    daemon.says("frozen: the file FREEZE is there").await;
    let status = json(&site, &["status"]).await;
    let there = format!("the file {} is there", brake.display());
    assert_eq!(status["doubts"][0], there);
    let hold = &status["campaigns"][0]["hold"];
    assert_eq!((&hold["detail"], &hold["earliest"]), (&there.into(), &Value::Null));
    assert_eq!(hold["next_command"], format!("rm {}", brake.display()));
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_store_is_exit_74_and_begins_anew_only_on_demand() {
    let site = Site::new(Wishes::default()).await;
    assert_eq!(refit(&site, &["plan"]).await.exit, 0);
    fs::write(site.store(), "no database").unwrap();
    for command in [["status"].as_slice(), &["plan"], &["store", "verify"], &["events"]] {
        let ran = refit(&site, command).await;
        assert_eq!((ran.exit, ran.stdout.as_str()), (74, ""), "{command:?}: {ran:?}");
        assert!(ran.stderr.contains("store init --accept-loss"), "{command:?}: {}", ran.stderr);
    }
    assert_eq!(refit(&site, &["store", "init"]).await.exit, 2, "it wants to be asked for");
    let anew = json(&site, &["store", "init", "--accept-loss"]).await;
    assert!(!anew["moved"].as_array().unwrap().is_empty(), "{anew}");
    assert_eq!(refit(&site, &["plan"]).await.exit, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_a_newer_version_is_exit_76() {
    let site = Site::new(Wishes::default()).await;
    assert_eq!(refit(&site, &["plan"]).await.exit, 0);
    sqlx::any::install_default_drivers();
    let url = format!("sqlite://{}?mode=rw", site.store().display());
    let mut connection = sqlx::AnyConnection::connect(&url).await.unwrap();
    connection.execute("insert into migrations values (9999, '', 0)").await.unwrap();
    connection.close().await.unwrap();
    for command in [["status"].as_slice(), &["plan"], &["events"]] {
        let ran = refit(&site, command).await;
        assert_eq!(ran.exit, 76, "{command:?}: {ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_names_the_approval_that_it_waits_for_with_and_without_a_daemon() {
    let campaign = "start = \"approve\"\n";
    let site = Site::new(Wishes { campaign, ..Wishes::default() }).await;
    let alone = refit(&site, &["plan"]).await;
    let digest = json(&site, &["plan"]).await["campaigns"][0]["digest"].clone();
    let daemon = site.run().await;
    let asked = refit(&site, &["plan"]).await;
    let next = format!("weekly --digest {}\n", digest.as_str().unwrap());
    for plan in [alone, asked] {
        assert!(plan.stdout.contains("nothing starts before it is approved\n"), "{plan:?}");
        assert!(plan.stdout.contains(&next), "{plan:?}");
    }
    assert_eq!(json(&site, &["plan"]).await["campaigns"][0]["awaits_approval"], true);
    daemon.stop().await;
}
