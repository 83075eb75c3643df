//! The daemon: turns the engine's loop against the store and the cloud.
//!
//! Decide, commit, act. `turn` holds the loop; around it stand the committer, which makes units
//! durable, and the sender, which acts. [`Daemon`] is embeddable: `refit run` adds signals and the
//! interfaces of `api`, `refit demo` and the benchmarks add their own ends.
//!
//! Not here: what to do and when (the engine's business), and how to ask (the interfaces').

mod backlog;
mod checked;
mod committer;
mod evidence;
mod forecasts;
mod freeze_file;
pub mod handle;
mod housekeeping;
pub mod logging;
pub mod narrate;
mod sender;
mod shadow;
pub mod signals;
mod status_line;
mod systemd;
mod turn;
mod watchdog;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::{self, Clock};
use crate::cloud::{Cloud, CloudError};
use crate::config::{self, Config, Loaded};
use crate::engine::input::{Ownership, StoreHealth};
use crate::engine::{self, Gate, Orphans, Status};
use crate::exit::Exit;
use crate::failpoint::{self, Point};
use crate::model::Settings;
use crate::store::{CommitError, SettingsRecord, Store, StoreError};

pub use crate::model::policy::Starts;
pub use forecasts::{ForecastText, Forecaster};
pub use freeze_file::{FREEZE_FILE, FreezePlaces};
pub use handle::Handle;

use checked::CheckedEngine;
use committer::Committer;
use forecasts::Forecasts;
use handle::{Beat, Health, Phase};
use housekeeping::{Chore, Clockwork, Verification};
use sender::{LastCheck, Sender};
use systemd::Notifier;
use turn::{Intake, Loop, Outlets};
use watchdog::Watchdog;

/// Answers that may wait for the loop; tasks beyond that wait with theirs.
const ANSWERS: usize = 1_024;

/// What a daemon is made from.
#[derive(Debug)]
pub struct Options {
    pub loaded: Loaded,
    pub starts: Starts,
    /// Decides the draws of campaigns that are not planned yet; `None`: drawn anew.
    pub seed: Option<u64>,
    /// Where systemd says that state lives: the second place of the `FREEZE` file.
    pub state_directory: Option<PathBuf>,
    /// Cancelled to ask for a clean stop.
    pub stop: CancellationToken,
    /// Fed about four times a second, for a live view.
    pub progress: Option<watch::Sender<Status>>,
}

/// How a clean stop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Submissions whose answers did not come in time: the next start looks what became of them.
    pub left_in_flight: usize,
}

/// Why the daemon did not start, or did not stop cleanly. One variant per reaction.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// In use, damaged, replaced, of a newer version: [`StoreError::exit`] says which.
    #[error("the store cannot be used")]
    Store(#[from] StoreError),
    /// A commit failed in a way after which the disk's content is unknown.
    #[error("the store can no longer be trusted")]
    Untrusted(#[source] CommitError),
    /// A stop ran out of time with answers in memory; they stand in the log.
    #[error("the store could not be written until the end of the stop")]
    NotStored,
    /// The file would lose sight of upgrades in flight.
    #[error("{0}")]
    Orphans(Orphans),
    /// A certificate, proxy or address cannot be used.
    #[error("the cloud cannot be reached as configured")]
    Cloud(#[source] CloudError),
    /// The system gives no thread or timer.
    #[error("cannot start the {what}")]
    Start {
        what: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A bug: the committer's task died.
    #[error("the committer is gone")]
    CommitterGone,
}

impl DaemonError {
    /// How the process ends that met this.
    pub fn exit(&self) -> Exit {
        match self {
            DaemonError::Store(error) => error.exit(),
            DaemonError::Untrusted(_) | DaemonError::NotStored => Exit::InputOutput,
            DaemonError::Cloud(_) | DaemonError::Orphans(_) => Exit::Configuration,
            DaemonError::Start { .. } | DaemonError::CommitterGone => Exit::Bug,
        }
    }
}

/// Opens, turns until `options.stop` is cancelled, and closes.
///
/// # Errors
/// [`DaemonError`].
pub async fn run(options: Options) -> Result<Ended, DaemonError> {
    Daemon::open(options).await?.run().await
}

/// A daemon whose store is open and whose engine stands; nothing turns yet.
#[derive(Debug)]
pub struct Daemon {
    turning: Loop,
    sender: Sender,
    clockwork: Clockwork,
    verification: Verification,
    forecasting: TaskTracker,
    handle: Handle,
}

impl Daemon {
    /// Locks and opens the store, restores the engine, prepares the cloud's client. Sends nothing.
    ///
    /// # Errors
    /// [`DaemonError`].
    pub async fn open(options: Options) -> Result<Daemon, DaemonError> {
        let clock = Clock::start();
        let config = &options.loaded.config;
        let mut store = Store::open(&config.store.path, clock::wall()).await?;
        failpoint::hit(Point::RestoreBegins);
        store.record_settings(&record(&options.loaded)).await?;
        let rows = store.load().await?;
        if let Some(left) =
            engine::orphans(&rows, &options.loaded.config.settings).into_iter().next()
        {
            return Err(DaemonError::Orphans(left));
        }
        let cloud = reach(config).map_err(DaemonError::Cloud)?;
        let engine = CheckedEngine::restore(rows, options.seed.unwrap_or_else(random));
        let notifier = Notifier::start().map_err(|error| start("notifier", error))?;
        let (clockwork, chores) =
            Clockwork::start().await.map_err(|error| start("housekeeping", error))?;
        Ok(assemble(
            options,
            clock,
            Interiors { store, cloud, engine, notifier, clockwork, chores },
        ))
    }

    /// Makes forecasts, now and then and when asked.
    #[must_use]
    pub fn forecasting_with(mut self, forecaster: Forecaster) -> Daemon {
        self.turning.forecasts.forecaster = Some(forecaster);
        self
    }

    /// For everyone who asks; outlives the daemon.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Turns until the stop that the options named is over.
    ///
    /// # Errors
    /// [`DaemonError`].
    pub async fn run(self) -> Result<Ended, DaemonError> {
        let beat = self.handle.beat.clone();
        let watchdog = Watchdog::start(beat).map_err(|error| start("watchdog", error))?;
        let ended = self.turning.run().await;
        // From here on nothing beats any more, and what is left to do is bounded.
        drop(watchdog);
        self.clockwork.end().await;
        self.verification.end().await;
        self.forecasting.close();
        self.forecasting.wait().await;
        self.sender.end().await;
        ended
    }
}

/// What a daemon owns from the start.
struct Interiors {
    store: Store,
    cloud: Cloud,
    engine: CheckedEngine,
    notifier: Notifier,
    clockwork: Clockwork,
    chores: mpsc::Receiver<Chore>,
}

/// Joins the parts by their channels.
fn assemble(options: Options, clock: Clock, interiors: Interiors) -> Daemon {
    let (questions_in, questions) = mpsc::channel(handle::QUESTIONS);
    let (answers_in, answers) = mpsc::channel(ANSWERS);
    // Closed until the engine has stepped for the first time.
    let (gate, gate_seen) = watch::channel(Gate { closed: true, ..Gate::default() });
    let (health, health_seen) = watch::channel(Health {
        phase: Phase::Starting,
        store: StoreHealth::Working,
        ownership: Ownership::Owner,
    });
    let beat = Beat::default();
    beat.set(clock.steady());
    let config = options.loaded.config;
    let freeze = FreezePlaces::of(&config.store.path, options.state_directory.as_deref());
    let check = LastCheck {
        starts: options.starts,
        stop: options.stop.clone(),
        freeze: freeze.clone(),
        gate: gate_seen,
        clock,
    };
    let verification = Verification::new(&config.store.path, check.stop.child_token());
    let forecasting = TaskTracker::new();
    let (forecasts, made) = Forecasts::new(check.stop.child_token(), forecasting.clone());
    let sender = Sender::new(interiors.cloud, check, answers_in);
    let shadow = shadow::shadow(&config.settings, options.starts);
    let turning = Loop {
        engine: interiors.engine,
        zone: config.time_zone,
        shadow,
        settings: Arc::new(effective_settings(config.settings, options.starts)),
        clock,
        verification: verification.clone(),
        forecasts,
        intake: Intake {
            answers,
            questions,
            chores: interiors.chores,
            forecasts: made,
            stop: options.stop,
        },
        outlets: Outlets {
            gate,
            health,
            progress: options.progress,
            notifier: interiors.notifier,
            beat: beat.clone(),
        },
        sender: sender.clone(),
        committer: Committer::start(interiors.store),
        freeze,
        state: turn::State::default(),
    };
    let handle = Handle { questions: questions_in, health: health_seen, beat, clock };
    let clockwork = interiors.clockwork;
    Daemon { turning, sender, clockwork, verification, forecasting, handle }
}

fn start(what: &'static str, error: impl std::error::Error + Send + Sync + 'static) -> DaemonError {
    DaemonError::Start { what, source: Box::new(error) }
}

/// What applies from now on, for the settings' history.
fn record(loaded: &Loaded) -> SettingsRecord {
    SettingsRecord {
        at: clock::wall(),
        digest: loaded.config.digest.to_string(),
        effective: config::effective::render(&config::effective(loaded)),
    }
}

/// The cloud's client, under an id of this process that the cloud's own log then shows.
fn reach(config: &Config) -> Result<Cloud, CloudError> {
    let daemon_id = uuid::Uuid::new_v4().simple().to_string();
    let (endpoints, secrets) = (config.endpoints.clone(), config.secrets.clone());
    Cloud::new(endpoints, secrets, &daemon_id, Arc::new(clock::wall))
}

/// Where this process starts nothing, no project does, whatever the file says.
fn effective_settings(mut settings: Settings, starts: Starts) -> Settings {
    for project in settings.projects.values_mut() {
        if project.starts == Starts::On {
            project.starts = starts;
        }
    }
    settings
}

fn random() -> u64 {
    uuid::Uuid::new_v4().as_u64_pair().0
}
