//! One place to run in: a directory with keys, configuration, store and logs, beside a simulated
//! cloud.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use refit::api::Why;
use refit::config::{self, ProcessEnvironment};
use refit::engine::{CampaignState, Event, Status};
use refit::judge::{Output, Verdict};
use refit::model::{InstanceId, Settings, TargetId, Wall};
use refit::sim::world::World;
use refit::store::{EventFilter, ReadOnly};
use tempfile::TempDir;

use super::cloud::Cloud;
use super::daemon::Daemon;
use super::setup::{FLEET, Setup, set};
use super::{socket, verdict};

/// No condition takes this long, on the busiest machine: a task that is shown no more is missed for
/// two minutes, and versions that stay are read for another.
const DEADLINE: Duration = Duration::from_secs(300);

/// Between two looks at a condition.
const POLL: Duration = Duration::from_millis(40);

/// Polls until the condition yields something.
pub async fn until<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = condition().await {
            return found;
        }
        assert!(begun.elapsed() < DEADLINE, "it never came that {what}");
        tokio::time::sleep(POLL).await;
    }
}

pub struct Site {
    pub cloud: Cloud,
    pub secrets: Vec<String>,
    directory: TempDir,
    runs: AtomicU32,
}

impl Site {
    /// Starts the cloud and writes the files.
    pub async fn new(setup: Setup) -> Site {
        let Setup { world, knobs, faults, seed, mut file } = setup;
        let spec = world.clone();
        let cloud = Cloud::start(World::new(world, knobs, faults, seed)).await;
        let directory = tempfile::tempdir().unwrap();
        let mut site = Site { cloud, secrets: Vec::new(), directory, runs: AtomicU32::new(0) };
        let mut lines = format!(
            "[store]\nurl = \"sqlite://{}\"\n[api]\nsocket = {:?}\n",
            site.store().display(),
            site.socket()
        );
        for project in &spec.projects {
            let key = &project.access_keys[0];
            let (name, url) = (&project.name, site.cloud.running.url());
            site.write_secret(&format!("{name}.secret"), &key.secret);
            lines += &format!(
                "[projects.{name}]\nproject_id = \"{}\"\ndcs_endpoint = {url:?}\n\
                 iam_endpoint = {url:?}\n[credentials.{name}]\nkind = \"access-key\"\n\
                 access_key = \"file:{name}.access\"\nsecret_key = \"file:{name}.secret\"\n",
                project.id
            );
            site.write_key(&format!("{name}.access"), &key.access);
        }
        merge(&mut file, lines.parse().unwrap());
        fs::write(site.config(), file.to_string()).unwrap();
        site
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn config(&self) -> PathBuf {
        self.path("refit.toml")
    }

    /// In a directory of its own, so that a test may put a file system there.
    pub fn store(&self) -> PathBuf {
        self.path("state/refit.db")
    }

    pub fn socket(&self) -> PathBuf {
        self.path("refit.sock")
    }

    fn write_secret(&mut self, name: &str, secret: &str) {
        self.write_key(name, secret);
        self.secrets.push(secret.to_owned());
    }

    /// From the next run on the daemon asks IAM for tokens, with the password of its user.
    pub fn use_password(&mut self) {
        self.write_secret("fleet.password.secret", "simulated-password-of-fleet");
        let by_password = "{ kind = \"password\", domain = \"simulated\", \
                           user = \"refit-fleet\", password = \"file:fleet.password.secret\" }";
        self.set("credentials.fleet", by_password);
    }

    /// As the configuration wants key files: for their owner only.
    pub fn write_key(&self, name: &str, text: &str) {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        options.open(self.path(name)).unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Changes one key of the file for the next run, and says what it was.
    pub fn set(&self, path: &str, value: &str) -> String {
        let mut file: toml::Table = fs::read_to_string(self.config()).unwrap().parse().unwrap();
        let before = set(&mut file, path, value);
        fs::write(self.config(), file.to_string()).unwrap();
        before.map(|value| value.to_string()).unwrap_or_default()
    }

    pub fn settings(&self) -> Settings {
        config::load(&self.config(), &ProcessEnvironment).unwrap().config.settings
    }

    /// Starts the daemon.
    pub fn start(&self) -> Daemon {
        self.start_with(&[])
    }

    /// Starts the daemon with more in its environment.
    pub fn start_with(&self, environment: &[(&str, &str)]) -> Daemon {
        let mut command = self.run_command();
        command.envs(environment.iter().copied());
        self.launch(command)
    }

    /// Starts the daemon with the draws of that seed.
    pub fn start_seeded(&self, seed: u64) -> Daemon {
        let mut command = self.run_command();
        command.args(["--seed", &seed.to_string()]);
        self.launch(command)
    }

    /// `refit run`, for a test that starts it in a way of its own.
    pub fn run_command(&self) -> Command {
        self.refit(&["run", "--log-format", "json"])
    }

    /// Starts a command that is, or becomes, the daemon.
    pub fn launch(&self, command: Command) -> Daemon {
        fs::create_dir_all(self.path("state")).unwrap();
        let run = self.runs.fetch_add(1, Ordering::Relaxed) + 1;
        Daemon::start(command, self.path(&format!("run-{run}.log")))
    }

    /// A command of the real binary with this site's configuration.
    pub fn refit(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_refit"));
        command.args(arguments).arg("--config").arg(self.config());
        command.env_clear().current_dir(self.directory.path());
        command
    }

    /// Runs a command to its end; its exit code and what it printed.
    pub async fn ran(&self, arguments: &[&str]) -> (i32, String) {
        let mut command = tokio::process::Command::from(self.refit(arguments));
        let output = command.output().await.unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(text).unwrap())
    }

    /// What the daemon says, once it answers.
    pub async fn status(&self) -> Status {
        until("the daemon answers", async || socket::status(&self.socket()).await).await
    }

    pub async fn why(&self, instance: &InstanceId) -> Why {
        let target = self.target(instance).to_string();
        until("the daemon answers", async || socket::why(&self.socket(), &target).await).await
    }

    /// The instance's target in the first project.
    pub fn target(&self, instance: &InstanceId) -> TargetId {
        TargetId { campaign: FLEET.into(), project: FLEET.into(), instance: instance.clone() }
    }

    /// Waits until the daemon's status satisfies the condition.
    pub async fn until_status(
        &self,
        daemon: &mut Daemon,
        what: &str,
        condition: impl Fn(&Status) -> bool,
    ) -> Status {
        let mut last = None;
        let begun = Instant::now();
        loop {
            if let Some(status) = socket::status(&self.socket()).await {
                if condition(&status) {
                    return status;
                }
                last = Some(status);
            }
            let shown = || format!("{last:#?}\n{}", self.logs());
            assert!(daemon.is_running(), "the daemon ended before {what}\n{}", shown());
            assert!(begun.elapsed() < DEADLINE, "it never came that {what}: {}", shown());
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until every target of every campaign ended or shows that it needs an operator.
    pub async fn until_rest(&self, daemon: &mut Daemon) -> Status {
        self.until_status(daemon, "everything is at rest", is_at_rest).await
    }

    /// Waits until the daemon's loop, which must still turn, has come past this instant.
    pub async fn until_later(&self, daemon: &mut Daemon, at: Wall) -> Status {
        self.until_status(daemon, "time passes", |status| status.at >= at).await
    }

    /// The cloud's id of the project with that name.
    pub fn project_id(&self, name: &str) -> Arc<str> {
        self.cloud.running.world(|world| world.project_id(name)).unwrap()
    }

    /// Whether a daemon answers and says so.
    pub async fn is_at_rest(&self) -> bool {
        socket::status(&self.socket()).await.is_some_and(|status| is_at_rest(&status))
    }

    /// A clean stop: SIGTERM, exit 0.
    pub async fn stop(&self, mut daemon: Daemon) {
        daemon.terminate();
        let code = daemon.exit_code().await;
        assert_eq!(code, 0, "{}", daemon.log());
    }

    /// Runs one daemon until rest, stops it, and judges.
    pub async fn run_to_verdict(&self) -> Verdict {
        let mut daemon = self.start();
        self.until_rest(&mut daemon).await;
        self.stop(daemon).await;
        self.judge().await
    }

    /// The judge's verdict, which must hold; no daemon needs to run.
    pub async fn judge(&self) -> Verdict {
        for truth in self.cloud.truths() {
            let ours = truth.applied.iter().filter(|applied| applied.attempt.is_some()).count();
            assert!(ours <= 1, "{ours} upgrades of one instance: {truth:#?}\n{}", self.logs());
        }
        verdict::held(self).await
    }

    /// The whole ledger.
    pub async fn events(&self) -> Vec<Event> {
        let store = ReadOnly::open(&self.store()).await.unwrap();
        let events = store.events(&EventFilter::default()).await.unwrap();
        store.close().await;
        events
    }

    /// Everything that the runs wrote, except the configuration and the keys.
    pub fn files(&self) -> Vec<Output> {
        let mut files = Vec::new();
        for folder in [self.directory.path().to_owned(), self.path("state")] {
            for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
                let name = entry.file_name().into_string().unwrap();
                let is_secret = name.ends_with(".secret");
                if entry.file_type().unwrap().is_file() && !is_secret {
                    files.push(verdict::output(name, fs::read(entry.path()).unwrap()));
                }
            }
        }
        files
    }

    /// The logs of all runs, for messages of failures.
    pub fn logs(&self) -> String {
        let runs = 1..=self.runs.load(Ordering::Relaxed);
        runs.map(|run| {
            let bytes = fs::read(self.path(&format!("run-{run}.log"))).unwrap();
            format!("--- run {run}\n{}", String::from_utf8_lossy(&bytes))
        })
        .collect()
    }
}

/// Every campaign is planned and every target ended or needs an operator.
pub fn is_at_rest(status: &Status) -> bool {
    !status.campaigns.is_empty()
        && status.campaigns.iter().all(|campaign| {
            let open = campaign.counts.iter().filter(|(state, _)| !state.is_terminal());
            let open: u32 = open.map(|(_, count)| count).sum();
            match campaign.state {
                None | Some(CampaignState::Planned | CampaignState::AwaitingApproval) => false,
                Some(CampaignState::Completed | CampaignState::Aborted) => true,
                Some(CampaignState::Running | CampaignState::Paused) => {
                    open == campaign.needs_operator
                }
            }
        })
}

/// Adds the second table's keys to the first's, table by table.
fn merge(into: &mut toml::Table, from: toml::Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(toml::Value::Table(inner)), toml::Value::Table(more)) => merge(inner, more),
            (_, value) => drop(into.insert(key, value)),
        }
    }
}
