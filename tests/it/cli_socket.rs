//! The command line against daemons that are not as they should be, played by the test.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use refit::engine::Status;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use tokio::process::Command;

use crate::cli_process::Ran;
use crate::daemon_process::within;

/// Answers by route, with a status each; 404 for any other.
struct Daemon {
    directory: tempfile::TempDir,
}

impl Daemon {
    fn answers(answers: &[(&str, u16, &str)]) -> Daemon {
        let directory = tempfile::tempdir().unwrap();
        let daemon = Daemon { directory };
        let listener = UnixListener::bind(daemon.socket()).unwrap();
        let answers = answers
            .iter()
            .map(|(route, status, body)| ((*route).to_owned(), (*status, (*body).to_owned())));
        tokio::spawn(serve(listener, answers.collect()));
        daemon
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("refit.sock")
    }

    async fn asked(&self, arguments: &[&str]) -> Ran {
        asked(&self.socket(), arguments).await
    }
}

async fn serve(listener: UnixListener, answers: BTreeMap<String, (u16, String)>) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = [0; 4096];
        let length = stream.read(&mut head).await.unwrap();
        let head = String::from_utf8_lossy(&head[..length]);
        let route = head.split([' ', '?']).nth(1).unwrap_or_default().to_owned();
        let (status, body) = answers.get(&route).cloned().unwrap_or((404, "nothing".to_owned()));
        let answer = format!(
            "HTTP/1.1 {status} -\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        // One that only looked whether somebody listens is gone already.
        stream.write_all(answer.as_bytes()).await.ok();
    }
}

async fn asked(socket: &Path, arguments: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_refit"));
    command.args(arguments).arg("--socket").arg(socket).env_clear().env("COLUMNS", "80");
    let output = within(command.output()).await.unwrap();
    Ran {
        exit: output.status.code().expect("it exits by itself"),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn no_fleet() -> String {
    serde_json::to_string(&Status::default()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_does_not_know_a_question_is_of_another_version_and_not_without_a_fleet() {
    let daemon = Daemon::answers(&[]);
    for question in [["status"].as_slice(), &["plan"], &["events"], &["why", "cache-1"]] {
        let ran = daemon.asked(question).await;
        assert_eq!((ran.exit, ran.stdout.as_str()), (69, ""), "{question:?}: {ran:?}");
        assert!(ran.said().contains("seems to be of another version"), "{question:?}: {ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_shown_without_asking_for_the_plan_of_the_whole_fleet() {
    let status = no_fleet();
    let event = r#"{"seq":1,"at":0,"campaign":"weekly","project":"sg","instance":"i-1",
                    "event":"task_status","word":"RUNNING"}"#;
    let page = format!(
        r#"{{"events":[{event}],"names":[{{"target":"weekly/sg/i-1","name":"cache\u202e-1"}}]}}"#
    );
    let daemon = Daemon::answers(&[("/v1/status", 200, &status), ("/v1/events", 200, &page)]);
    for form in ["human", "json"] {
        let ran = daemon.asked(&["events", "--format", form]).await;
        assert_eq!(ran.exit, 0, "{ran:?}");
        assert!(ran.stdout.contains("weekly/sg/"), "{}", ran.stdout);
    }
    let human = daemon.asked(&["events"]).await.stdout;
    assert!(human.contains("weekly/sg/cache\\u{202e}-1"), "by its name: {human}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_refused_as_a_whole_is_wrong_usage_and_needs_no_brake() {
    let daemon = Daemon::answers(&[("/v1/orders", 413, "too large")]);
    let ran = daemon.asked(&["pause", "weekly"]).await;
    assert_eq!(ran.exit, 2, "{ran:?}");
    assert!(!ran.stderr.contains("FREEZE"), "{}", ran.stderr);
    let broken = Daemon::answers(&[("/v1/orders", 500, "oh")]);
    let ran = broken.asked(&["pause", "weekly"]).await;
    assert_eq!(ran.exit, 69, "{ran:?}");
    assert!(ran.stderr.contains("touch "), "{}", ran.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reason_that_is_too_long_is_never_sent() {
    let daemon = Daemon::answers(&[(
        "/v1/orders",
        200,
        r#"{"result":"done","changed":true,"message":"m"}"#,
    )]);
    let long = "x".repeat(1_001);
    let ran = daemon.asked(&["pause", "weekly", "--reason", &long]).await;
    assert_eq!((ran.exit, ran.stdout.as_str()), (2, ""), "{ran:?}");
    assert!(ran.said().contains("1000 bytes at most"), "{}", ran.stderr);
    let ran = daemon.asked(&["pause", "weekly", "--reason", &long[1..]]).await;
    assert_eq!((ran.exit, ran.stdout.as_str()), (0, "m\n"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_shows_its_instants_in_the_zone_of_the_file() {
    let said = r#"{"result":"done","changed":true,
        "message":"everything is frozen until 2026-11-24 13:13:04 UTC; this will finish"}"#;
    let daemon = Daemon::answers(&[("/v1/orders", 200, said)]);
    let file = daemon.directory.path().join("refit.toml");
    std::fs::write(&file, "time_zone = \"Europe/Berlin\"\n").unwrap();
    let order = ["freeze", "--all", "--until", "1h", "--config", file.to_str().unwrap()];
    let ran = daemon.asked(&order).await;
    assert_eq!(ran.exit, 0, "{ran:?}");
    assert!(ran.stdout.contains("frozen until 2026-11-24 14:13:04 +01:00; this"), "{}", ran.stdout);
    for until in ["99999999d", "9999-12-31", "-2h"] {
        let option = format!("--until={until}");
        let ran = daemon.asked(&["freeze", "--all", &option]).await;
        assert_eq!((ran.exit, ran.stdout.as_str()), (2, ""), "{until}: {ran:?}");
    }
}
