//! A stage for the figures that need everything: the simulated cloud over HTTP, a real
//! `refit.toml`, a real store and the real daemon, in one temporary directory.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::cli::failure::Failure;
use crate::config::{self, ProcessEnvironment};
use crate::daemon::{Daemon, DaemonError, Ended, Handle, Options, Starts};
use crate::engine::view::CampaignStatus;
use crate::exit::Exit;
use crate::model::{Millis, Wall};
use crate::sim::http::{Running, SimOptions, start};
use crate::sim::log::{Keep, LogLine, RequestLine};
use crate::sim::world::{AccessKeySpec, FaultProfile, Knobs, SpanRange, World, WorldSpec};

/// Decides every draw, so that a run can be repeated.
const SEED: u64 = 7;

/// Secrets are refused unless only their owner may read them.
const PRIVATE: u32 = 0o600;

/// Between two looks at the daemon's status.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What the cloud holds and what `refit.toml` says of it.
#[derive(Debug, Clone)]
pub struct Play {
    /// Each with a credential of its own.
    pub projects: usize,
    /// Per project.
    pub instances: usize,
    /// How long the cloud's tasks take.
    pub takes: Millis,
    /// The lines of the window's table.
    pub window: String,
    /// Of the campaign, and of each project.
    pub max_in_flight: usize,
    pub starts_per_minute: u32,
    pub burst: u32,
    pub reads_per_second: u32,
    pub poll_interval: Millis,
    pub settle: Millis,
}

impl Play {
    /// One project whose instances may all be started at once.
    pub fn fast(instances: usize) -> Play {
        Play {
            projects: 1,
            instances,
            takes: Millis::from_hours(1),
            window: ALWAYS.into(),
            max_in_flight: instances,
            starts_per_minute: 600_000,
            burst: 1_000,
            reads_per_second: 10_000,
            poll_interval: Millis::from_hours(1),
            settle: Millis::ZERO,
        }
    }

    pub fn world(&self) -> WorldSpec {
        let takes = SpanRange { least: self.takes, most: self.takes };
        let mut world = WorldSpec::fleet(self.instances, takes);
        let one = world.projects.pop().expect("a fleet is one project");
        world.projects = (0..self.projects)
            .map(|number| {
                let mut project = one.clone();
                project.name = project_name(number).into();
                project.id = format!("{number:032x}").into();
                project.user_id = format!("{number:032x}").into();
                project.access_keys = vec![AccessKeySpec {
                    access: format!("BENCH{number}").into(),
                    secret: format!("secret-{number}").into(),
                    security_token: None,
                }];
                project.users.clear();
                project
            })
            .collect();
        world
    }

    fn toml(&self, url: &str) -> String {
        let mut text = "[store]\nurl = \"sqlite://refit.db\"\n\n\
                        [api]\nlisten = \"off\"\nsocket = \"refit.sock\"\n\n"
            .to_owned();
        for number in 0..self.projects {
            text += &self.project(number, url);
        }
        text += &format!("[windows.bench]\n{}\n\n", self.window);
        text += &format!(
            "[campaigns.all]\nwindows = [\"bench\"]\nengine = \"latest\"\n\
             max_in_flight = {}\nsettle = \"{}ms\"\n\
             select = {{ names = [\"*\"] }}\n\
             failure_budget = {{ max_failures = 1000, consecutive = 1000 }}\n\n\
             [[campaigns.all.waves]]\nname = \"all\"\n",
            self.max_in_flight * self.projects,
            self.settle.0,
        );
        text
    }

    fn project(&self, number: usize, url: &str) -> String {
        let name = project_name(number);
        let Play { max_in_flight, starts_per_minute, burst, reads_per_second, .. } = self;
        format!(
            "[credentials.{name}]\nkind = \"access-key\"\n\
             access_key = \"file:{name}.access\"\nsecret_key = \"file:{name}.secret\"\n\n\
             [projects.{name}]\nregion = \"sim-1\"\nproject_id = \"{number:032x}\"\n\
             credentials = \"{name}\"\ndcs_endpoint = \"{url}\"\niam_endpoint = \"{url}\"\n\
             max_in_flight = {max_in_flight}\n\
             upgrade_rate = {{ per_minute = {starts_per_minute}, burst = {burst} }}\n\
             read_rate = {{ per_second = {reads_per_second}, burst = {reads_per_second} }}\n\
             poll_interval = \"{}ms\"\n\n",
            self.poll_interval.0,
        )
    }
}

/// A window that is open, whenever that is.
pub const ALWAYS: &str = "cron = \"0 0 0 * * *\"\nduration = \"24h\"\ncutoff = \"1s\"";

/// The lines of a window that opens once, at a whole second.
pub fn opens_at(open: Wall) -> String {
    let at = Timestamp::from_millisecond(open.0).unwrap_or(Timestamp::UNIX_EPOCH);
    format!("at = {}\nduration = \"12h\"\ncutoff = \"1s\"", at.strftime("%Y-%m-%dT%H:%M:%S"))
}

pub fn project_name(number: usize) -> String {
    format!("fleet-{number}")
}

/// The simulated cloud that answers, and the files of one daemon.
pub struct Stage {
    directory: TempDir,
    pub cloud: Running,
}

impl Stage {
    /// # Errors
    /// The machine gives no port or no disk.
    pub async fn set(play: &Play, keep: Keep) -> Result<Stage, Failure> {
        let directory = tempfile::Builder::new()
            .prefix("refit-bench-")
            .tempdir()
            .map_err(broken("no directory for temporary files"))?;
        let world = World::new(play.world(), Knobs::default(), FaultProfile::calm(), SEED);
        let cloud = start(world, SimOptions { keep, ..SimOptions::in_memory() })
            .await
            .map_err(broken("no simulated cloud"))?;
        let stage = Stage { directory, cloud };
        stage.write(play).map_err(broken("no configuration"))?;
        Ok(stage)
    }

    pub fn config(&self) -> PathBuf {
        self.directory.path().join("refit.toml")
    }

    pub fn store(&self) -> PathBuf {
        self.directory.path().join("refit.db")
    }

    fn write(&self, play: &Play) -> io::Result<()> {
        for number in 0..play.projects {
            let name = project_name(number);
            let at = |kind: &str| self.directory.path().join(format!("{name}.{kind}"));
            write_private(&at("access"), &format!("BENCH{number}"))?;
            write_private(&at("secret"), &format!("secret-{number}"))?;
        }
        fs::write(self.config(), play.toml(&self.cloud.url()))
    }

    /// Opens the daemon on the files and lets it turn.
    ///
    /// # Errors
    /// The configuration is refused, or the daemon does not start.
    pub async fn turn(&self, starts: Starts) -> Result<Turning, Failure> {
        let loaded =
            config::load(&self.config(), &ProcessEnvironment).map_err(Failure::configuration)?;
        let stop = CancellationToken::new();
        let options = Options {
            loaded,
            starts,
            seed: Some(SEED),
            state_directory: None,
            stop: stop.clone(),
            progress: None,
        };
        let daemon = Daemon::open(options).await.map_err(broken("the daemon does not start"))?;
        let handle = daemon.handle();
        let began = Instant::now();
        Ok(Turning { handle, began, stop, task: tokio::spawn(daemon.run()) })
    }

    /// What the cloud was asked so far, where its log is kept.
    pub fn requests(&self) -> Vec<RequestLine> {
        let requests = self.cloud.lines().into_iter().filter_map(|line| match line {
            LogLine::Request(line) => Some(line),
            LogLine::Task(_) => None,
        });
        requests.collect()
    }
}

/// A daemon that turns.
pub struct Turning {
    pub handle: Handle,
    /// When the loop began; opening the store lies before it.
    pub began: Instant,
    stop: CancellationToken,
    task: JoinHandle<Result<Ended, DaemonError>>,
}

impl Turning {
    /// Waits until the campaign is as wanted.
    ///
    /// # Errors
    /// The daemon has ended or is silent, or it takes longer than `within`.
    pub async fn until(
        &self,
        what: &str,
        within: Duration,
        is_so: impl Fn(&CampaignStatus) -> bool,
    ) -> Result<(), Failure> {
        let waiting = async {
            loop {
                let status = self.handle.status().await.map_err(broken("the daemon is silent"))?;
                if status.campaigns.iter().any(&is_so) {
                    return Ok(());
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let too_long = || {
            let message = format!("not {what} within {} s", within.as_secs());
            Err(Failure::new(Exit::NotNow, message))
        };
        tokio::time::timeout(within, waiting).await.unwrap_or_else(|_| too_long())
    }

    /// Stops it cleanly.
    ///
    /// # Errors
    /// It did not end cleanly.
    pub async fn end(self) -> Result<(), Failure> {
        self.stop.cancel();
        let ended = self.task.await.map_err(broken("the daemon panicked"))?;
        ended.map(drop).map_err(broken("the daemon did not end cleanly"))
    }
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(path)?;
    file.write_all(text.as_bytes())
}

/// The figure cannot be measured here, because of `error`.
pub fn broken<E: std::error::Error>(what: &'static str) -> impl Fn(E) -> Failure {
    move |error| Failure::new(Exit::NotNow, what).because(&error)
}
