//! The configuration file: TOML to validated settings, findings with positions.
//!
//! In order: `source` reads the bytes, `section` and the kinds of value read keys, one file per
//! table turns keys into settings, and every finding of the way is reported at once. What is valid
//! here can be trusted everywhere: nothing after this asks again. No network is touched, and no
//! secret leaves `secret` but as a `SecretString`.

mod campaigns;
mod coverage;
mod credentials;
mod document;
mod duration;
pub mod effective;
mod endpoint;
mod environment;
mod finding;
mod kind;
mod notes;
mod problem;
mod projects;
mod rate;
mod redact;
mod render;
mod secret;
mod section;
mod select;
mod service;
mod source;
mod syntax;
mod time;
mod waves;
mod windows;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::model::access::{Endpoint, Secrets};
use crate::model::{CredentialName, ProjectName, Settings};

pub use document::Document;
pub use effective::{EffectiveKey, Origin, Setting};
pub use environment::{Environment, FileContent, ProcessEnvironment};
pub use finding::{Excerpt, Finding, Findings, Position, Severity, Subject};
pub use notes::FINDINGS_MAX;
pub use render::Colour;

use section::{Record, Section};

pub use source::FILE_LIMIT;

/// Where every command looks for the file if it is not told.
pub const DEFAULT_PATH: &str = "/etc/refit/refit.toml";

/// The annotated example; it loads, given its two environment variables.
pub const EXAMPLE: &str = include_str!("../../config/refit.toml");

/// A file that can be used.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub config: Config,
    /// Only warnings.
    pub warnings: Findings,
    effective: Vec<EffectiveKey>,
}

/// Everything a file decides, valid as a whole.
#[derive(Debug, Clone)]
pub struct Config {
    /// What the engine reads.
    pub settings: Settings,
    /// How each project is reached.
    pub endpoints: BTreeMap<ProjectName, Endpoint>,
    pub secrets: BTreeMap<CredentialName, Secrets>,
    pub store: StoreConfig,
    pub api: ApiConfig,
    /// Default of windows, zone of freezes.
    pub time_zone: TimeZone,
    /// SHA-256 of the effective policy in hex, for the settings' history.
    pub digest: Arc<str>,
}

/// Where the store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreConfig {
    /// The SQLite file.
    pub path: PathBuf,
}

/// Where the daemon listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiConfig {
    /// `None`: off.
    pub listen: Option<SocketAddr>,
    /// Unix socket of the controls.
    pub socket: PathBuf,
}

/// Reads and validates the file.
///
/// # Errors
/// Every finding of the file, warnings included, if at least one is an error;
/// [`Findings::exit`] is what the process should end with.
pub fn load(path: &Path, environment: &dyn Environment) -> Result<Loaded, Findings> {
    let document = Document::read(path, environment)?;
    let table = document.table()?;
    document.config(&table, environment)
}

/// Every key with its value and origin, in the order of the tables.
pub fn effective(loaded: &Loaded) -> Vec<EffectiveKey> {
    loaded.effective.clone()
}

/// What every table's reader needs besides its table.
struct Context<'a> {
    environment: &'a dyn Environment,
    base: &'a Path,
    time_zone: TimeZone,
    credentials: Vec<String>,
    projects: Vec<String>,
    windows: Vec<String>,
    freezes: Vec<String>,
    campaigns: Vec<String>,
}

/// Reads the whole document. `None` only if something was reported.
fn read(mut root: Section<'_>, base: &Path, environment: &dyn Environment) -> Option<Config> {
    let time_zone = root.or_default("time_zone", &time::Zone, TimeZone::UTC);
    let context = Context {
        environment,
        base,
        time_zone: time_zone.clone(),
        credentials: root.names("credentials"),
        projects: root.names("projects"),
        windows: root.names("windows"),
        freezes: root.names("freezes"),
        campaigns: root.names("campaigns"),
    };
    let store = service::store(root.table("store", Record::Keys), &context);
    let api = service::api(root.table("api", Record::Keys), &store, &context);
    let (credentials, secrets) = credentials::read(&mut root, &context);
    let (projects, endpoints) = projects::read(&mut root, &context);
    let windows = windows::windows(&mut root, &context);
    let freezes = windows::freezes(&mut root, &context);
    let campaigns = campaigns::read(&mut root, &context);
    let settings = Settings { credentials, projects, windows, freezes, campaigns };
    let is_complete = settings.credentials.len() == context.credentials.len()
        && settings.projects.len() == context.projects.len()
        && settings.windows.len() == context.windows.len()
        && settings.freezes.len() == context.freezes.len()
        && settings.campaigns.len() == context.campaigns.len();
    coverage::check(&root, &settings, environment.now());
    root.close();
    let digest = Arc::from("");
    is_complete.then_some(Config { settings, endpoints, secrets, store, api, time_zone, digest })
}
