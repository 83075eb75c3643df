//! The body of `refit simulate`: a simulated cloud that anyone may experiment with, until it is
//! told to stop.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

use super::http::{SimOptions, start};
use super::log::{Keep, Sink};
use super::world::knobs::BadKnob;
use super::world::{FaultProfile, Knobs, SpanRange, World, WorldSpec};
use crate::model::Millis;

/// How long upgrades of a fleet without a world file take: what a person waits for.
const FLEET_TAKES: SpanRange = SpanRange { least: Millis(300), most: Millis(3_000) };

/// What to simulate.
#[derive(Debug, Clone)]
pub struct CommandOptions {
    /// Port 0: any free one.
    pub listen: SocketAddr,
    pub seed: u64,
    pub world: WorldSource,
    pub faults: FaultProfile,
    /// Each of the form `name=value`.
    pub knobs: Vec<String>,
    /// Every duration of the world is multiplied with it.
    pub scale: f64,
    /// Overwritten.
    pub log: Option<PathBuf>,
}

/// Where the world comes from.
#[derive(Debug, Clone)]
pub enum WorldSource {
    /// That of `refit demo`.
    Demo,
    /// So many ordinary instances in one project.
    Fleet(usize),
    Spec(Box<WorldSpec>),
}

/// Why nothing is simulated.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error(transparent)]
    Knob(#[from] BadKnob),
    #[error("the address {address} is in use")]
    InUse { address: SocketAddr },
    #[error("cannot listen on {address}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("the log {path} cannot be written")]
    Log { path: String, source: io::Error },
    #[error("cannot wait for signals, or say where the cloud is")]
    System(#[source] io::Error),
}

/// Where the cloud is, and what opens its projects. None of it is a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Announcement {
    /// Base URL of DCS, IAM and the metadata address.
    pub url: String,
    pub projects: Vec<AnnouncedProject>,
}

/// One project and its first key and user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AnnouncedProject {
    pub name: Arc<str>,
    pub id: Arc<str>,
    pub region: Arc<str>,
    pub instances: usize,
    pub access_key: Option<Arc<str>>,
    pub secret_key: Option<Arc<str>>,
    pub domain: Option<Arc<str>>,
    pub user: Option<Arc<str>>,
    pub password: Option<Arc<str>>,
}

/// Simulates until SIGINT or SIGTERM; `announce` is told once where.
///
/// # Errors
/// Where a knob, the address or the log is of no use.
pub async fn run(
    options: CommandOptions,
    announce: impl FnOnce(&Announcement) -> io::Result<()>,
) -> Result<(), CommandError> {
    let spec = world_spec(options.world, options.seed).opened().scaled(options.scale);
    let faults = options.faults;
    let mut knobs = Knobs::default();
    for knob in &options.knobs {
        knobs.set(knob)?;
    }
    let (log_path, log) = match &options.log {
        None => (String::new(), None),
        Some(path) => {
            let shown = path.display().to_string();
            let file = File::create(path)
                .map_err(|source| CommandError::Log { path: shown.clone(), source })?;
            (shown, Some(Box::new(file) as Sink))
        }
    };
    let mut interrupted = signal(SignalKind::interrupt()).map_err(CommandError::System)?;
    let mut terminated = signal(SignalKind::terminate()).map_err(CommandError::System)?;
    let projects = spec.projects.iter().map(announced).collect();
    let world = World::new(spec, knobs, faults, options.seed);
    let http = SimOptions { listen: options.listen, log, keep: Keep::Nothing };
    let running = start(world, http).await.map_err(|source| listening(options.listen, source))?;
    announce(&Announcement { url: running.url(), projects }).map_err(CommandError::System)?;
    tokio::select! {
        _ = interrupted.recv() => {}
        _ = terminated.recv() => {}
    }
    running.shutdown().await.map_err(|source| CommandError::Log { path: log_path, source })
}

fn world_spec(source: WorldSource, seed: u64) -> WorldSpec {
    match source {
        WorldSource::Demo => WorldSpec::demo(seed),
        WorldSource::Fleet(count) => {
            let mut world = WorldSpec::fleet(count, FLEET_TAKES);
            // As README's first campaign selects them.
            world.projects[0].instances[0].name = "cache".into();
            world
        }
        WorldSource::Spec(world) => *world,
    }
}

fn listening(address: SocketAddr, source: io::Error) -> CommandError {
    match source.kind() {
        io::ErrorKind::AddrInUse => CommandError::InUse { address },
        _ => CommandError::Listen { address, source },
    }
}

fn announced(project: &super::world::ProjectSpec) -> AnnouncedProject {
    let key = project.access_keys.first();
    let user = project.users.first();
    AnnouncedProject {
        name: project.name.clone(),
        id: project.id.clone(),
        region: project.region.clone(),
        instances: project.instances.iter().map(|instance| instance.count).sum(),
        access_key: key.map(|key| key.access.clone()),
        secret_key: key.map(|key| key.secret.clone()),
        domain: user.map(|user| user.domain.clone()),
        user: user.map(|user| user.name.clone()),
        password: user.map(|user| user.password.clone()),
    }
}
