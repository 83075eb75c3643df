//! `refit run` from start to stop: a happy fleet, shadows, signals, the second daemon.

use rustix::process::Signal;
use serde_json::json;

use refit::engine::TargetState;
use refit::model::Millis;
use refit::sim::world::{CallFilter, CallKind, Decision, FaultProfile, Script, Span, Step};

use crate::daemon_process::{Site, Wishes, get, message, until};

fn upgrades_answered_late(delay: Millis) -> FaultProfile {
    let step = Step { delay: Some(Span(delay)), times: 1, ..Step::from(Decision::Ok) };
    scripted(vec![step])
}

fn scripted(steps: Vec<Step>) -> FaultProfile {
    let script = Script { calls: CallFilter::Only(CallKind::Upgrade), steps, ..Script::default() };
    FaultProfile { scripts: vec![script], ..FaultProfile::calm() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_is_upgraded_and_the_daemon_stops_cleanly() {
    let site = Site::new(Wishes { count: 6, ..Wishes::default() }).await;
    let mut daemon = site.run().await;
    let address = daemon.listens_on();
    assert_eq!(get(&address, "/healthz").await, (200, "ok\n".into()));
    let (status, body) = get(&address, "/readyz").await;
    assert_eq!((status, body.as_str()), (200, r#"{"ready":true,"reasons":[]}"#));
    assert_eq!(get(&address, "/v1/status").await.0, 404, "nothing of the fleet over TCP");

    daemon.says("completed").await;
    let (status, answer) = site.ask("GET", "/v1/status", "").await;
    assert_eq!((status, &answer["campaigns"][0]["counts"]), (200, &json!({ "succeeded": 6 })));

    let said = daemon.stop().await;
    assert_eq!(site.upgrades().len(), 6);
    let rows = site.rows().await;
    assert!(rows.targets.iter().all(|target| target.state == TargetState::Succeeded));
    assert!(!site.path("refit.sock").exists(), "the socket goes with the daemon");
    site.judge(&said).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_does_everything_but_the_upgrade() {
    let site = Site::new(Wishes::default()).await;
    let mut daemon = site.run_with(|command| command.arg("--no-starts")).await;
    daemon.says("planned 3 targets").await;
    // What would start at once without the switch has been looked at and has a reason to wait.
    let (status, plan) = site.ask("GET", "/v1/plan", "").await;
    assert_eq!((status, plan["campaigns"][0]["targets"].as_array().unwrap().len()), (200, 3));
    let (status, answer) = site.ask("GET", "/v1/status", "").await;
    let shadow = "shadow mode: the daemon runs with --no-starts";
    assert_eq!((status, &answer["doubts"]), (200, &json!([shadow])), "whatever waits first");
    let said = daemon.stop().await;
    assert!(said.iter().any(|line| message(line) == format!("nothing starts: {shadow}")));
    assert_eq!(site.upgrades().len(), 0);
    site.judge(&said).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_in_shadow_is_named_by_status() {
    let site = Site::new(Wishes::default()).await;
    let text = std::fs::read_to_string(site.config()).unwrap();
    let text = text.replace("region = ", "starts = \"off\"\nregion = ");
    std::fs::write(site.config(), text).unwrap();
    let daemon = site.run().await;
    let (code, text) = site.refit(&["status"]).await;
    assert_eq!(code, 0, "{text}");
    let line = "nothing starts: in project fleet: shadow mode, by starts = \"off\"";
    assert!(text.contains(line), "{text}");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_promises_no_start_at_the_next_opening() {
    let site = Site::new(Wishes::default()).await;
    let text = std::fs::read_to_string(site.config()).unwrap();
    let tomorrow = jiff::Timestamp::now() + jiff::Span::new().hours(24);
    let at = tomorrow.strftime("at = %FT%T").to_string();
    let text = text.replace("cron = \"* * * * *\"", &at);
    std::fs::write(site.config(), text).unwrap();
    let mut earliest = Vec::new();
    for arguments in [&[][..], &["--no-starts"]] {
        let mut daemon = site.run_with(|command| command.args(arguments)).await;
        if arguments.is_empty() {
            daemon.says("planned 3 targets").await;
        }
        let (status, plan) = site.ask("GET", "/v1/plan", "").await;
        assert_eq!(status, 200);
        let instance = plan["campaigns"][0]["targets"][0]["instance"].as_str().unwrap();
        let (_, why) = site.ask("GET", &format!("/v1/why/weekly/fleet/{instance}"), "").await;
        assert_eq!(why["hold"]["kind"], "outside_window", "{why}");
        earliest.push((why["hold"]["earliest"].is_null(), why["hold"]["detail"].clone()));
        daemon.stop().await;
    }
    let shadow = "no window is open; and then shadow mode";
    let open = "no window is open";
    assert_eq!(earliest, [(false, json!(open)), (true, json!(shadow))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_listens_on_the_socket_that_its_command_line_names() {
    let site = Site::new(Wishes::default()).await;
    let socket = site.path("other.sock").display().to_string();
    let daemon = site.run_with(|command| command.args(["--socket", &socket])).await;
    let (code, text) = site.refit(&["status", "--socket", &socket]).await;
    assert_eq!(code, 0, "{text}");
    assert!(!text.contains("no daemon"), "{text}");
    assert!(!site.path("refit.sock").exists());
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_in_the_middle_of_a_request_waits_for_its_answer_and_sends_no_other() {
    let late = upgrades_answered_late(Millis::from_secs(2));
    let site =
        Site::new(Wishes { faults: late, campaign: "max_in_flight = 1", ..Wishes::default() });
    let site = site.await;
    let mut daemon = site.run().await;
    daemon.says("starting engine").await;
    until(|| site.cloud.world(|world| world.in_flight()) == 1).await;

    let said = daemon.stop().await;
    assert!(said.iter().any(|line| message(line).contains(": accepted as task")), "{said:#?}");
    assert_eq!(site.upgrades().len(), 1);
    let rows = site.rows().await;
    let states: Vec<_> = rows.targets.iter().map(|target| target.state).collect();
    assert_eq!(states.iter().filter(|state| **state == TargetState::Running).count(), 1);
    assert_eq!(states.iter().filter(|state| **state == TargetState::Pending).count(), 2);

    // The next process takes up where this one left.
    let mut daemon = site.run().await;
    daemon.says("completed").await;
    let mut all = said;
    all.extend(daemon.stop().await);
    assert_eq!(site.upgrades().len(), 3);
    site.judge(&all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_daemon_on_one_store_ends_with_73_and_disturbs_nothing() {
    let site = Site::new(Wishes::default()).await;
    let mut first = site.run().await;
    let (exit, said) = site.refit(&["run"]).await;
    let holder = format!("process {}", first.child.id().unwrap());
    assert_eq!(exit, 73, "{said}");
    assert!(said.contains(&holder), "{said}");
    first.says("completed").await;

    // The lock goes with the process, however it ends.
    first.signal(Signal::KILL);
    first.ended().await;
    let third = site.run().await;
    let said = third.stop().await;
    site.judge(&said).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hang_ups_are_named_once_and_change_nothing() {
    let site = Site::new(Wishes::default()).await;
    let mut daemon = site.run().await;
    for _ in 0..3 {
        daemon.signal(Signal::HUP);
    }
    daemon.says("reload does not exist yet").await;
    daemon.says("completed").await;
    let said = daemon.stop().await;
    let named = said.iter().filter(|line| message(line).contains("SIGHUP")).count();
    assert_eq!(named, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_500_is_one_log_line_that_says_what_happens_next() {
    let before = scripted(vec![Step::from(Decision::Error500Before)]);
    let site = Site::new(Wishes { count: 1, faults: before, ..Wishes::default() }).await;
    let mut daemon = site.run().await;
    let line = daemon.says("may have started").await;
    let text = message(&line).to_owned();
    assert!(text.starts_with("fleet: 500 "), "it names the instance: {text}");
    assert!(text.contains("; looking; earliest resend "), "{text}");
    assert!(text.ends_with(", attempt 1 of 4"), "{text}");
    assert_eq!((&line["level"], &line["campaign"]), (&json!("WARN"), &json!("weekly")));
    let target = line["target"].as_str().unwrap();
    assert_eq!(line["attempt"], format!("{target}/1.1"));
    daemon.says("completed").await;
    let said = daemon.stop().await;
    let lines = said.iter().filter(|line| message(line).contains("may have started")).count();
    assert_eq!(lines, 1);
    assert!(said.iter().all(serde_json::Value::is_object), "every line is JSON: {said:#?}");
    assert_eq!(site.upgrades().len(), 2);
    site.judge(&said).await;
}
