//! The real daemon against the simulated cloud: started, watched by its log, stopped, judged.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

use refit::config::{self, Environment, FileContent, Loaded};
use refit::engine::{Event, Rows};
use refit::judge::{self, Evidence};
use refit::model::Wall;
use refit::sim::http::{Running, SimOptions, start};
use refit::sim::log::{LogLine, RequestLine};
use refit::sim::world::{CallKind, FaultProfile, Knobs, SpanRange, World, WorldSpec};
use refit::store::{EventFilter, ReadOnly};

/// A guard against a test that hangs, far beyond what any of them takes.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Between looks at something that gives no sign of its own.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

const SECRET: &str = "simulated-secret-of-fleet";

/// A simulated cloud with one project, and a directory with a configuration that fits it.
pub struct Site {
    pub directory: tempfile::TempDir,
    pub cloud: Running,
    project_id: String,
    store: &'static str,
}

/// One process of `refit run`.
pub struct Daemon {
    pub child: Child,
    lines: Lines<BufReader<ChildStderr>>,
    /// Every line so far.
    pub said: Vec<Value>,
}

/// What a test may want otherwise.
pub struct Wishes {
    pub count: usize,
    pub faults: FaultProfile,
    /// Lines of `[campaigns.weekly]`.
    pub campaign: &'static str,
    /// Milliseconds that an upgrade takes.
    pub takes: i64,
    pub request_timeout: &'static str,
    /// Where the store is, below the site's directory.
    pub store: &'static str,
}

impl Default for Wishes {
    fn default() -> Wishes {
        Wishes {
            count: 3,
            faults: FaultProfile::calm(),
            campaign: "",
            takes: 300,
            request_timeout: "10s",
            store: "refit.db",
        }
    }
}

impl Site {
    pub async fn new(wishes: Wishes) -> Site {
        let takes = refit::model::Millis(wishes.takes);
        let spec = WorldSpec::fleet(wishes.count, SpanRange { least: takes, most: takes });
        let project_id = spec.projects[0].id.to_string();
        let world = World::new(spec, Knobs::default(), wishes.faults, 1);
        let cloud = start(world, SimOptions::in_memory()).await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        let site = Site { directory, cloud, project_id, store: wishes.store };
        std::fs::write(site.config(), site.toml(wishes.campaign, wishes.request_timeout)).unwrap();
        site
    }

    /// A window that is always open, rates that never hold anything up, waits of a second.
    fn toml(&self, campaign: &str, request_timeout: &str) -> String {
        let url = self.cloud.url();
        format!(
            r#"
[store]
url = "sqlite://{store}"
[api]
listen = "127.0.0.1:0"
[credentials.ops]
kind = "access-key"
access_key = "env:ACCESS_KEY"
secret_key = "env:SECRET_KEY"
[projects.fleet]
region = "sim-1"
project_id = "{project_id}"
dcs_endpoint = "{url}"
iam_endpoint = "{url}"
upgrade_rate = {{ per_second = 20, burst = 20 }}
read_rate = {{ per_second = 100, burst = 100 }}
poll_interval = "1s"
request_timeout = "{request_timeout}"
[windows.always]
cron = "* * * * *"
duration = "10m"
cutoff = "10s"
[campaigns.weekly]
windows = ["always"]
engine = "latest"
select = {{ names = ["*"] }}
settle = "1s"
observe_for = "2s"
{campaign}
[campaigns.weekly.retry]
initial = "1s"
max = "1s"
[[campaigns.weekly.waves]]
name = "all"
"#,
            store = self.store().display(),
            project_id = self.project_id,
        )
    }

    pub fn config(&self) -> PathBuf {
        self.path("refit.toml")
    }

    pub fn store(&self) -> PathBuf {
        self.path(self.store)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The binary under test with these arguments, the file and nothing of the machine's.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_refit"));
        command.args(arguments).arg("--config").arg(self.config());
        with_secrets(command)
    }

    /// `refit run` with its log as JSON, ready.
    pub async fn run(&self) -> Daemon {
        self.run_with(|command| command).await
    }

    pub async fn run_with(&self, change: impl FnOnce(&mut Command) -> &mut Command) -> Daemon {
        let mut daemon = self.launch(change);
        daemon.says("ready").await;
        daemon
    }

    /// `refit run` as it begins.
    pub fn launch(&self, change: impl FnOnce(&mut Command) -> &mut Command) -> Daemon {
        let mut command = self.command(&["run", "--log-format", "json"]);
        change(&mut command);
        Daemon::spawn(command)
    }

    /// Runs another command of the binary to its end.
    pub async fn refit(&self, arguments: &[&str]) -> (i32, String) {
        let output = within(self.command(arguments).output()).await.unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().expect("it exits"), String::from_utf8(text).unwrap())
    }

    /// One request over the daemon's socket.
    pub async fn ask(&self, method: &str, route: &str, body: &str) -> (u16, Value) {
        refit_socket(&self.path("refit.sock"), method, route, body).await
    }

    /// The upgrade requests that the cloud got.
    pub fn upgrades(&self) -> Vec<RequestLine> {
        let lines = self.cloud.lines().into_iter().filter_map(|line| match line {
            LogLine::Request(line) => Some(line),
            LogLine::Task(_) => None,
        });
        lines.filter(|line| line.call == Some(CallKind::Upgrade)).collect()
    }

    pub async fn events(&self) -> Vec<Event> {
        let store = ReadOnly::open(&self.store()).await.unwrap();
        let events = store.events(&EventFilter::default()).await.unwrap();
        store.close().await;
        events
    }

    pub async fn rows(&self) -> Rows {
        let store = ReadOnly::open(&self.store()).await.unwrap();
        let rows = store.load().await.unwrap();
        store.close().await;
        rows
    }

    pub fn loaded(&self) -> Loaded {
        config::load(&self.config(), &TestEnvironment).unwrap()
    }

    /// Every target has ended.
    pub async fn is_done(&self) -> bool {
        // A store that is just being made cannot be read yet.
        let Ok(store) = ReadOnly::open(&self.store()).await else { return false };
        let rows = store.load().await.unwrap();
        store.close().await;
        !rows.targets.is_empty() && rows.targets.iter().all(|target| target.state.is_terminal())
    }

    /// Judges everything that happened here by the rules, after the last process has ended.
    pub async fn judge(&self, outputs: &[Value]) {
        self.judge_store(&self.store(), outputs).await;
    }

    /// The same with a copy of the store.
    pub async fn judge_store(&self, store: &Path, outputs: &[Value]) {
        let mut evidence = Evidence {
            settings: self.loaded().config.settings,
            lines: self.cloud.lines(),
            final_versions: BTreeMap::new(),
            outputs: vec![judge::Output {
                name: "log".into(),
                bytes: outputs.iter().map(Value::to_string).collect::<String>().into_bytes(),
            }],
            secrets: vec![SECRET.into()],
            ..Evidence::default()
        };
        judge::load_store(store, &mut evidence).await.unwrap();
        let verdict = judge::judge(&evidence);
        assert!(!verdict.is_broken(), "{verdict:#?}");
        let store = ReadOnly::open(store).await.unwrap();
        assert_eq!(store.verify().await.unwrap(), []);
    }
}

/// With the secrets of the file and nothing else of the machine's environment.
pub fn with_secrets(mut command: Command) -> Command {
    command
        .env_clear()
        .env("ACCESS_KEY", "SIMULATEDFLEET")
        .env("SECRET_KEY", SECRET)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

impl Daemon {
    /// Starts a command that ends as `refit run --log-format json`.
    pub fn spawn(mut command: Command) -> Daemon {
        let spawned = command.stderr(Stdio::piped()).spawn();
        let mut child = spawned.expect("the binary under test runs");
        let stderr = child.stderr.take().expect("it was asked for");
        Daemon { child, lines: BufReader::new(stderr).lines(), said: Vec::new() }
    }

    /// Waits for a log line whose message contains this, and returns it.
    pub async fn says(&mut self, part: &str) -> Value {
        match self.says_or_ends(part).await {
            Some(line) => line,
            None => panic!("it ended without {part:?}: {:#?}", self.said),
        }
    }

    /// The same; `None` if it ends before.
    pub async fn says_or_ends(&mut self, part: &str) -> Option<Value> {
        loop {
            let line = within(self.lines.next_line()).await.unwrap()?;
            let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
            self.said.push(line);
            let line = self.said.last().unwrap();
            if message(line).contains(part) {
                return Some(line.clone());
            }
        }
    }

    pub fn signal(&self, signal: Signal) {
        let pid = self.child.id().expect("it still runs");
        let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Asks for a clean stop and waits for the end.
    pub async fn stop(mut self) -> Vec<Value> {
        self.signal(Signal::TERM);
        let status = self.ended().await;
        assert_eq!(status.code(), Some(0), "{:#?}", self.said);
        self.said
    }

    /// Waits for the end, with everything that was said until then.
    pub async fn ended(&mut self) -> ExitStatus {
        while let Some(line) = within(self.lines.next_line()).await.unwrap() {
            self.said.push(serde_json::from_str(&line).unwrap_or(Value::String(line)));
        }
        within(self.child.wait()).await.unwrap()
    }

    /// The reading end of its log.
    pub fn stderr_descriptor(&mut self) -> std::os::fd::OwnedFd {
        use std::os::fd::AsFd;
        let reader: &ChildStderr = self.lines.get_mut().get_ref();
        reader.as_fd().try_clone_to_owned().unwrap()
    }

    /// Where the probes listen, as the log says.
    pub fn listens_on(&self) -> String {
        let line = self.said.iter().find(|line| message(line) == "answering").unwrap();
        line["listen"].as_str().unwrap().to_owned()
    }
}

pub fn message(line: &Value) -> &str {
    line["message"].as_str().or(line.as_str()).unwrap_or_default()
}

/// Fails a test that hangs.
pub async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.expect("it happens long before this")
}

/// Looks until it is so.
pub async fn until(mut is_so: impl FnMut() -> bool) {
    within(async {
        while !is_so() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    })
    .await;
}

async fn refit_socket(socket: &Path, method: &str, route: &str, body: &str) -> (u16, Value) {
    // Only the first call in a process can install one.
    drop(rustls::crypto::ring::default_provider().install_default());
    let client = reqwest::Client::builder().unix_socket(socket).build().unwrap();
    let request = client
        .request(method.parse().unwrap(), format!("http://refit{route}"))
        .body(body.to_owned());
    let answer = within(request.send()).await.unwrap();
    let status = answer.status().as_u16();
    let text = within(answer.text()).await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// GET over TCP: status and body.
pub async fn get(address: &str, path: &str) -> (u16, String) {
    drop(rustls::crypto::ring::default_provider().install_default());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = within(client.get(format!("http://{address}{path}")).send()).await.unwrap();
    (answer.status().as_u16(), within(answer.text()).await.unwrap())
}

/// The environment that the daemon under test has.
struct TestEnvironment;

impl Environment for TestEnvironment {
    fn variable(&self, name: &str) -> Option<std::ffi::OsString> {
        match name {
            "ACCESS_KEY" => Some("SIMULATEDFLEET".into()),
            "SECRET_KEY" => Some(SECRET.into()),
            _ => None,
        }
    }

    fn read(&self, path: &Path, limit: u64) -> std::io::Result<FileContent> {
        config::ProcessEnvironment.read(path, limit)
    }

    fn now(&self) -> Wall {
        config::ProcessEnvironment.now()
    }
}
