//! The simulated cloud over HTTP: what a caller meets on the wire, and what the log says of it.

use std::net::SocketAddr;
use std::time::Duration;

use refit::model::TaskStatus;
use refit::sim::http::{Running, SimOptions, start};
use refit::sim::log::{LogLine, RequestLine};
use refit::sim::world::{
    CallFilter, CallKind, Decision, FaultProfile, Knobs, Script, SpanRange, Step, World, WorldSpec,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A guard against a test that hangs, far beyond what any exchange takes.
const PATIENCE: Duration = Duration::from_secs(60);

const AGENT: &str = "User-Agent: refit/0 (attempt=c/fleet/i/1.1; daemon=d1)";

struct Cloud {
    running: Running,
    project: String,
    instance: String,
    token: String,
}

/// What came back: none of it if the connection ended without an answer.
#[derive(Debug)]
struct Reply {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

impl Cloud {
    /// One instance, `fleet`, whose upgrades end at once, and a token for its project.
    async fn start(knobs: &[&str], faults: FaultProfile) -> Cloud {
        let spec = WorldSpec::fleet(1, SpanRange::default());
        let project = spec.projects[0].id.to_string();
        let mut set = Knobs::default();
        for knob in knobs {
            set.set(knob).unwrap();
        }
        let world = World::new(spec, set, faults, 1);
        let instance = world.instance_id("fleet").unwrap().to_string();
        let running = start(world, SimOptions::in_memory()).await.unwrap();
        let mut cloud = Cloud { running, project, instance, token: String::new() };
        cloud.token = cloud.new_token().await;
        cloud
    }

    async fn calm() -> Cloud {
        Cloud::start(&[], FaultProfile::calm()).await
    }

    async fn new_token(&self) -> String {
        let body = json!({ "auth": {
            "identity": { "methods": ["password"], "password": { "user": {
                "domain": { "name": "simulated" },
                "name": "refit-fleet",
                "password": "simulated-password-of-fleet",
            } } },
            "scope": { "project": { "id": self.project } },
        } });
        let reply = self.send("POST", "/v3/auth/tokens", &[], &body.to_string()).await.unwrap();
        assert_eq!(reply.status, 201, "{reply:?}");
        let mut lines = reply.head.lines();
        let token = lines.find_map(|line| line.strip_prefix("x-subject-token: ")).unwrap();
        token.to_owned()
    }

    async fn get(&self, path: &str) -> Option<Reply> {
        let token = format!("X-Auth-Token: {}", self.token);
        self.send("GET", &format!("/v2/{}{path}", self.project), &[&token], "").await
    }

    async fn upgrade(&self) -> Option<Reply> {
        let path =
            format!("/v2/{}/instances/{}/minor-version/upgrade", self.project, self.instance);
        let token = format!("X-Auth-Token: {}", self.token);
        self.send("POST", &path, &[&token, AGENT], r#"{"engine_minor_version":"latest"}"#).await
    }

    async fn send(&self, method: &str, path: &str, headers: &[&str], body: &str) -> Option<Reply> {
        let request = request(method, path, headers, body, "close");
        exchange(self.running.address, &request).await
    }

    fn requests(&self) -> Vec<RequestLine> {
        let lines = self.running.lines().into_iter();
        lines
            .filter_map(|line| match line {
                LogLine::Request(line) => Some(line),
                LogLine::Task(_) => None,
            })
            .collect()
    }

    fn upgrades(&self) -> Vec<RequestLine> {
        let requests = self.requests().into_iter();
        requests.filter(|line| line.call == Some(CallKind::Upgrade)).collect()
    }
}

fn request(method: &str, path: &str, headers: &[&str], body: &str, connection: &str) -> String {
    let mut text =
        format!("{method} {path} HTTP/1.1\r\nHost: cloud\r\nConnection: {connection}\r\n");
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    text
}

async fn exchange(address: SocketAddr, request: &str) -> Option<Reply> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.unwrap();
    match read {
        Ok(_) => {}
        // A connection that is dropped may end with a reset.
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
    reply(&bytes)
}

fn reply(bytes: &[u8]) -> Option<Reply> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Some(Reply { status, head, body: bytes[end + 4..].to_vec() })
}

fn upgrades(steps: &[Decision]) -> FaultProfile {
    FaultProfile {
        scripts: vec![Script {
            calls: CallFilter::Only(CallKind::Upgrade),
            steps: steps.iter().map(|step| Step::from(*step)).collect(),
            ..Script::default()
        }],
        ..FaultProfile::calm()
    }
}

#[tokio::test]
async fn an_upgrade_over_http_moves_the_version_and_stands_in_the_log() {
    let cloud = Cloud::calm().await;
    let list = cloud.get("/instances?limit=1000").await.unwrap().json();
    assert_eq!(list["instance_num"], 1);
    assert_eq!(list["instances"][0]["instance_id"], json!(cloud.instance));
    let path = format!("/instances/{}", cloud.instance);
    assert_eq!(cloud.get(&path).await.unwrap().json()["task"], Value::Null);
    let version = cloud.get(&format!("{path}/version")).await.unwrap().json();
    assert_eq!(version["engine_minor_version_upgradable"], true);

    let accepted = cloud.upgrade().await.unwrap().json();
    let task = accepted["task_id"].as_str().unwrap();
    let tasks = cloud.get(&format!("{path}/tasks")).await.unwrap().json();
    assert_eq!(tasks["tasks"][0]["id"], accepted["task_id"]);
    assert_eq!(tasks["tasks"][0]["status"], "SUCCESS");
    let progress = cloud.get(&format!("{path}/tasks/{task}/progress")).await.unwrap().json();
    assert_eq!(progress["progress"], 100);
    assert_eq!(cloud.get("/tasks").await.unwrap().json()["task_count"], "1");
    let version = cloud.get(&format!("{path}/version")).await.unwrap().json();
    assert_eq!(version["engine_minor_version"], version["latest_engine_minor_version"]);

    let [line] = &cloud.upgrades()[..] else { panic!("not one upgrade") };
    assert_eq!((line.decision, line.applied, line.status), (Decision::Ok, true, Some(200)));
    assert_eq!(line.attempt.as_deref(), Some("c/fleet/i/1.1"));
    assert_eq!(line.daemon.as_deref(), Some("d1"));
    assert_eq!(line.task_id.as_ref().unwrap().as_str(), task);
    let states: Vec<_> = cloud
        .running
        .lines()
        .into_iter()
        .filter_map(|line| match line {
            LogLine::Task(line) => Some(line.state),
            LogLine::Request(_) => None,
        })
        .collect();
    use refit::sim::world::TaskState;
    assert_eq!(states, [TaskState::Open, TaskState::Succeeded]);
    assert!(matches!(TaskStatus::from_word(TaskState::Succeeded.word()), TaskStatus::Succeeded));
    cloud.running.shutdown().await.unwrap();
}

#[tokio::test]
async fn errors_before_and_after_applying_look_alike_and_differ_in_the_log() {
    use Decision::{ApplyThen500, Error500Before};
    let cloud =
        Cloud::start(&["error_status=500"], upgrades(&[Error500Before, ApplyThen500])).await;
    for applied in [false, true] {
        let reply = cloud.upgrade().await.unwrap();
        assert_eq!((reply.status, &reply.json()["error_code"]), (500, &json!("DCS.5006")));
        assert_eq!(cloud.upgrades().last().unwrap().applied, applied);
    }
}

#[tokio::test]
async fn an_answer_can_be_lost_before_and_after_applying() {
    use Decision::{ApplyThenDrop, DropBeforeApply};
    let cloud = Cloud::start(&[], upgrades(&[DropBeforeApply, ApplyThenDrop])).await;
    for applied in [false, true] {
        assert!(cloud.upgrade().await.is_none());
        let line = cloud.upgrades().pop().unwrap();
        assert_eq!((line.applied, line.status), (applied, None));
    }
}

#[tokio::test]
async fn garbage_is_sent_as_it_is_called() {
    use Decision::{BadJson, BadTaskId, BadUtf8, Deep, DupKeys, Empty, Html, NoTaskId, Truncated};
    for decision in [BadJson, BadUtf8, Html, Empty, NoTaskId, Truncated, Deep, DupKeys, BadTaskId] {
        let cloud = Cloud::start(&[], upgrades(&[decision])).await;
        let reply = cloud.upgrade().await.unwrap();
        assert_eq!(reply.status, 200, "{decision:?}");
        let task = serde_json::from_slice::<Value>(&reply.body)
            .ok()
            .and_then(|body| body["task_id"].as_str().map(str::to_owned));
        assert!(task.is_none_or(|task| task.contains("<script>")), "{decision:?}");
        assert!(cloud.upgrades()[0].applied, "{decision:?}");
    }
}

#[tokio::test]
async fn a_truncated_answer_ends_before_its_announced_length() {
    let cloud = Cloud::start(&[], upgrades(&[Decision::Truncated])).await;
    let reply = cloud.upgrade().await.unwrap();
    let announced: usize = reply
        .head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .unwrap()
        .parse()
        .unwrap();
    assert!(reply.body.len() < announced && !reply.body.is_empty());
}

#[tokio::test]
async fn headers_without_an_end_never_end() {
    let cloud = Cloud::start(&[], upgrades(&[Decision::EndlessHeaders])).await;
    let path = format!("/v2/{}/instances/{}/minor-version/upgrade", cloud.project, cloud.instance);
    let token = format!("X-Auth-Token: {}", cloud.token);
    let text = request("POST", &path, &[&token], r#"{"engine_minor_version":"latest"}"#, "close");
    let mut stream = TcpStream::connect(cloud.running.address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut bytes = vec![0; 1 << 16];
    tokio::time::timeout(PATIENCE, stream.read_exact(&mut bytes)).await.unwrap().unwrap();
    assert!(bytes.starts_with(b"HTTP/1.1 200 OK\r\n"));
    assert!(reply(&bytes).is_none());
}

#[tokio::test]
async fn a_huge_answer_and_a_gzip_bomb_go_on_and_on() {
    for decision in [Decision::Huge, Decision::GzipBomb] {
        let cloud = Cloud::start(&[], upgrades(&[decision])).await;
        let path =
            format!("/v2/{}/instances/{}/minor-version/upgrade", cloud.project, cloud.instance);
        let token = format!("X-Auth-Token: {}", cloud.token);
        let text =
            request("POST", &path, &[&token], r#"{"engine_minor_version":"latest"}"#, "close");
        let mut stream = TcpStream::connect(cloud.running.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut bytes = vec![0; 900_000];
        tokio::time::timeout(PATIENCE, stream.read_exact(&mut bytes)).await.unwrap().unwrap();
        assert!(bytes.starts_with(b"HTTP/1.1 200 OK\r\n"), "{decision:?}");
    }
}

#[tokio::test]
async fn a_kept_connection_is_closed_without_a_word() {
    let profile = FaultProfile {
        scripts: vec![Script {
            calls: CallFilter::Only(CallKind::List),
            steps: vec![Step::from(Decision::CloseIdle)],
            ..Script::default()
        }],
        ..FaultProfile::calm()
    };
    let cloud = Cloud::start(&[], profile).await;
    let token = format!("X-Auth-Token: {}", cloud.token);
    let path = format!("/v2/{}/instances", cloud.project);
    let text = request("GET", &path, &[&token], "", "keep-alive");
    // The reader sees an answer that promises to go on, and then the end.
    let reply = exchange(cloud.running.address, &text).await.unwrap();
    assert_eq!((reply.status, &reply.json()["instance_num"]), (200, &json!(1)));
    assert!(!reply.head.to_lowercase().contains("connection: close"), "{}", reply.head);
}

#[tokio::test]
async fn a_wrong_signature_is_refused_and_the_fifth_locks_the_key() {
    let cloud = Cloud::calm().await;
    let date = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let authorization = format!(
        "Authorization: SDK-HMAC-SHA256 Access=SIMULATEDFLEET, \
         SignedHeaders=host;x-sdk-date, Signature={}",
        "0".repeat(64)
    );
    let path = format!("/v2/{}/instances", cloud.project);
    for number in 1..=6 {
        let headers = [&*authorization, &*format!("X-Sdk-Date: {date}")];
        let reply = cloud.send("GET", &path, &headers, "").await.unwrap();
        let body = reply.json();
        assert_eq!((reply.status, &body["error_code"]), (401, &json!("APIGW.0301")));
        let locked = body["error_msg"].as_str().unwrap().contains("failed to reach the limit");
        assert_eq!(locked, number == 6, "{body}");
    }
    let line = cloud.requests().pop().unwrap();
    assert_eq!(line.credential.as_deref(), Some("SIMULATEDFLEET"));
    assert_eq!(line.code.as_deref(), Some("APIGW.0301"));
}

#[tokio::test]
async fn tokens_end_after_their_life_and_calls_without_any_are_refused() {
    let cloud = Cloud::start(&["token_life=0"], FaultProfile::calm()).await;
    let reply = cloud.get("/instances").await.unwrap();
    assert_eq!((reply.status, &reply.json()["error_code"]), (401, &json!("APIGW.0307")));
    let path = format!("/v2/{}/instances", cloud.project);
    assert_eq!(cloud.send("GET", &path, &[], "").await.unwrap().status, 401);
}

#[tokio::test]
async fn the_metadata_address_may_insist_on_its_token() {
    let spec = WorldSpec::demo(1);
    let mut knobs = Knobs::default();
    knobs.set("metadata_token=required").unwrap();
    let world = World::new(spec, knobs, FaultProfile::calm(), 1);
    let running = start(world, SimOptions::in_memory()).await.unwrap();
    let get = |headers: Vec<String>| {
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        request("GET", "/openstack/latest/securitykey", &headers, "", "close")
    };
    let refused = exchange(running.address, &get(vec![])).await.unwrap();
    assert_eq!(refused.status, 401);
    let ttl = ["X-Metadata-Token-Ttl-Seconds: 21600"];
    let text = request("PUT", "/meta-data/latest/api/token", &ttl, "", "close");
    let token = exchange(running.address, &text).await.unwrap();
    let token = String::from_utf8(token.body).unwrap();
    let text = get(vec![format!("X-Metadata-Token: {token}")]);
    let keys = exchange(running.address, &text).await.unwrap().json();
    assert!(keys["credential"]["securitytoken"].is_string(), "{keys}");
}

#[tokio::test]
async fn contradictory_types_are_those_of_the_published_examples() {
    let cloud = Cloud::start(&["types=contradictory"], FaultProfile::calm()).await;
    let row = cloud.get("/instances").await.unwrap().json()["instances"][0].clone();
    assert_eq!(row["no_password_access"], true);
    assert_eq!(row["enterprise_project_id"], 0);
    assert_eq!(row["publicip_id"], json!({}));
    assert_eq!(cloud.get("/tasks").await.unwrap().json()["task_count"], 0);
}

#[tokio::test]
async fn a_limit_that_is_reached_answers_429_with_the_wait_its_knob_says() {
    let cloud =
        Cloud::start(&["read_limit=1/1h", "retry_after=absurd"], FaultProfile::calm()).await;
    assert_eq!(cloud.get("/instances").await.unwrap().status, 200);
    let reply = cloud.get("/instances").await.unwrap();
    assert_eq!((reply.status, &reply.json()["error_code"]), (429, &json!("APIGW.0308")));
    assert!(reply.head.contains("retry-after: 1000000000"), "{}", reply.head);
    assert!(reply.json()["error_msg"].as_str().unwrap().contains("limit:1,time:1 hour"));
}

#[tokio::test]
async fn a_redirect_points_elsewhere_and_applies_nothing() {
    let cloud = Cloud::start(&[], upgrades(&[Decision::Redirect])).await;
    let reply = cloud.upgrade().await.unwrap();
    assert_eq!(reply.status, 307);
    assert!(reply.head.contains("location: http://elsewhere.invalid/"), "{}", reply.head);
    assert!(!cloud.upgrades()[0].applied);
}

#[tokio::test]
async fn the_clouds_clock_may_be_ahead_of_everybodys() {
    let cloud = Cloud::start(&["clock_ahead=1d"], FaultProfile::calm()).await;
    let reply = cloud.get("/instances").await.unwrap();
    let date = reply.head.lines().find_map(|line| line.strip_prefix("date: ")).unwrap();
    let told = jiff::fmt::rfc2822::parse(date).unwrap().timestamp();
    let ahead = told.duration_since(jiff::Timestamp::now());
    assert!(ahead > jiff::SignedDuration::from_hours(23), "{ahead}");
    // The log keeps to the time of those who read it.
    let line = cloud.requests().pop().unwrap();
    assert!(line.t_wall < cloud.running.now() - refit::model::Millis::from_hours(23));
}
