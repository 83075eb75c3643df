//! What a world is made of, as its file says it: projects, users, limits, instances and what
//! others will do to them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::value::{Limit, Span, SpanRange};
use crate::model::{CacheMode, Edition, LimitScope, Millis};

/// A whole world.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table that describes a world")]
pub struct WorldSpec {
    #[serde(default)]
    pub name: String,
    /// How long calls take.
    #[serde(default)]
    pub latency: SpanRange,
    /// How long upgrades take, where an instance does not say so itself.
    #[serde(default = "upgrades_take")]
    pub takes: SpanRange,
    #[serde(rename = "project")]
    pub projects: Vec<ProjectSpec>,
}

/// The assumption of API facts, section 8 no. 8.
pub fn upgrades_take() -> SpanRange {
    SpanRange { least: Millis::from_mins(5), most: Millis::from_mins(60) }
}

/// One project in one region, with one user.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProjectSpec {
    pub name: Arc<str>,
    /// 32 hex digits.
    pub id: Arc<str>,
    #[serde(default = "region")]
    pub region: Arc<str>,
    #[serde(default = "user_id")]
    pub user_id: Arc<str>,
    #[serde(default, rename = "access_key")]
    pub access_keys: Vec<AccessKeySpec>,
    #[serde(default, rename = "user")]
    pub users: Vec<UserSpec>,
    /// The metadata address hands out keys for this project.
    #[serde(default)]
    pub agency: bool,
    #[serde(default)]
    pub upgrade_call: Capability,
    #[serde(default, rename = "limit")]
    pub limits: Vec<LimitSpec>,
    #[serde(default, rename = "instance")]
    pub instances: Vec<InstanceSpec>,
}

impl ProjectSpec {
    /// An empty project that has everything else as a file without a word about it.
    pub fn new(name: Arc<str>, id: Arc<str>) -> ProjectSpec {
        ProjectSpec {
            name,
            id,
            region: region(),
            user_id: user_id(),
            access_keys: Vec::new(),
            users: Vec::new(),
            agency: false,
            upgrade_call: Capability::Present,
            limits: Vec::new(),
            instances: Vec::new(),
        }
    }
}

fn region() -> Arc<str> {
    "sim-1".into()
}

fn user_id() -> Arc<str> {
    "d53977d1adfb49c5b025ba7d33a13fd7".into()
}

/// A key pair that the project accepts.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessKeySpec {
    pub access: Arc<str>,
    pub secret: Arc<str>,
    /// Temporary keys need theirs with each call.
    #[serde(default)]
    pub security_token: Option<Arc<str>>,
}

impl AccessKeySpec {
    /// The one that opens a simulated project where its file names none.
    pub fn simulated(project: &str) -> AccessKeySpec {
        AccessKeySpec {
            access: format!("SIMULATED{}", project.to_uppercase()).into(),
            secret: format!("simulated-secret-of-{project}").into(),
            security_token: None,
        }
    }
}

/// A user who gets tokens for the project.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserSpec {
    pub domain: Arc<str>,
    pub name: Arc<str>,
    pub password: Arc<str>,
}

/// Whether the upgrade call exists in a project.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capability {
    #[default]
    Present,
    /// 404 from the gateway.
    Absent,
    /// It exists and was never enabled for this account.
    NotEnabled,
}

/// A limit of the gateway.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitSpec {
    pub calls: super::profile::CallFilter,
    pub policy: LimitScope,
    pub limit: Limit,
}

/// One instance, or `count` alike.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InstanceSpec {
    /// With `count` above 1, `-0001` and so on is added.
    pub name: Arc<str>,
    /// A UUID; derived from project and name where it is absent.
    pub id: Option<Arc<str>>,
    pub count: usize,
    pub engine: Arc<str>,
    pub engine_version: Arc<str>,
    pub cache_mode: CacheMode,
    pub edition: Edition,
    /// Derived from the cache mode where it is absent.
    pub spec_code: Option<Arc<str>>,
    pub tags: BTreeMap<Arc<str>, Arc<str>>,
    pub zones: Vec<Arc<str>>,
    pub status: Arc<str>,
    /// The field `task` of "show": somebody else's work, for ever.
    pub task: Option<Arc<str>>,
    pub engine_minor: Arc<str>,
    pub engine_latest: Arc<str>,
    pub proxy_minor: Option<Arc<str>>,
    pub proxy_latest: Option<Arc<str>>,
    /// `false` where the version cannot be upgraded although it is not the newest.
    pub upgradable: bool,
    pub takes: Option<SpanRange>,
    /// How the first, second, … upgrade ends; the last counts for all that follow. Empty: success,
    /// or as the fault profile draws.
    pub outcomes: Vec<Outcome>,
    #[serde(rename = "change")]
    pub changes: Vec<ChangeSpec>,
}

impl Default for InstanceSpec {
    fn default() -> InstanceSpec {
        InstanceSpec {
            name: "cache".into(),
            id: None,
            count: 1,
            engine: "Redis".into(),
            engine_version: "6.0".into(),
            cache_mode: CacheMode::Ha,
            edition: Edition::Basic,
            spec_code: None,
            tags: BTreeMap::new(),
            zones: Vec::new(),
            status: "RUNNING".into(),
            task: None,
            engine_minor: "6.0.16.1".into(),
            engine_latest: "6.0.16.9".into(),
            proxy_minor: None,
            proxy_latest: None,
            upgradable: true,
            takes: None,
            outcomes: Vec::new(),
            changes: Vec::new(),
        }
    }
}

impl InstanceSpec {
    /// Each of them by itself, with its name.
    pub fn each(self) -> impl Iterator<Item = InstanceSpec> {
        let count = self.count;
        (1..=count).map(move |number| InstanceSpec {
            name: match count {
                1 => self.name.clone(),
                _ => format!("{}-{number:04}", self.name).into(),
            },
            count: 1,
            ..self.clone()
        })
    }
}

/// How an upgrade ends.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    #[default]
    Success,
    /// FAILED; no version moves.
    Failed,
    /// FAILED, and yet the versions have moved.
    FailedButMoved,
    /// SUCCESS; no version moves.
    VersionUnchanged,
    /// Never ends.
    Stuck,
    /// The task's record is gone half way; the versions move.
    Vanishes,
    /// The task's record is gone half way; no version moves.
    VanishesUnchanged,
    /// Shows a word that nobody has documented, then SUCCESS.
    UnknownWord,
    /// Its progress falls, then SUCCESS.
    ProgressBackwards,
    /// The instance is in ERROR from half way on; the task fails.
    TurnsFaulty,
    /// The instance is FROZEN from half way on; the task fails.
    TurnsFrozen,
    /// The instance is deleted half way.
    Deleted,
}

impl Outcome {
    /// Every outcome, for documentation and tests.
    pub const ALL: [Outcome; 12] = [
        Outcome::Success,
        Outcome::Failed,
        Outcome::FailedButMoved,
        Outcome::VersionUnchanged,
        Outcome::Stuck,
        Outcome::Vanishes,
        Outcome::VanishesUnchanged,
        Outcome::UnknownWord,
        Outcome::ProgressBackwards,
        Outcome::TurnsFaulty,
        Outcome::TurnsFrozen,
        Outcome::Deleted,
    ];
}

/// Something that others do to an instance, once.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeSpec {
    pub what: Change,
    /// So long after the world began …
    #[serde(default)]
    pub after: Option<Span>,
    /// … or right after the instance was shown so often, by itself …
    #[serde(default)]
    pub after_shows: Option<u32>,
    /// … or right before the service decides the upgrade request of this number, from 1: between
    /// the caller's last look and its request, however slow either is.
    #[serde(default)]
    pub before_upgrade: Option<u32>,
    /// For work that ends: how long it takes.
    #[serde(default)]
    pub takes: Option<Span>,
}

impl ChangeSpec {
    /// Work that takes no time and, until it is said when, never begins.
    pub fn of(what: Change) -> ChangeSpec {
        ChangeSpec { what, after: None, after_shows: None, before_upgrade: None, takes: None }
    }
}

/// What others do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    Deleted,
    Frozen,
    Unfrozen,
    Faulty,
    Recovered,
    /// Somebody else starts the same upgrade.
    UpgradedByOther,
    /// Versions are newest at once: somebody else's upgrade, already over.
    FinishedByOther,
    /// A backup, or other work, begins.
    Busy,
    /// The cloud offers a newer version.
    Released,
    /// It serves another team from now on: it bears the tags of its project's first instance.
    Retagged,
}

impl WorldSpec {
    /// The world with a key for each project that nothing would open: an exported fleet has none.
    pub fn opened(mut self) -> WorldSpec {
        for project in &mut self.projects {
            if project.access_keys.is_empty() && project.users.is_empty() && !project.agency {
                project.access_keys.push(AccessKeySpec::simulated(&project.name));
            }
        }
        self
    }

    /// The world with every duration multiplied, so that a demonstration ends in a minute.
    pub fn scaled(mut self, factor: f64) -> WorldSpec {
        let scale = |span: Span| Span(Millis((span.0.0 as f64 * factor).round() as i64));
        self.takes = self.takes.scaled(factor);
        for instance in self.projects.iter_mut().flat_map(|project| &mut project.instances) {
            instance.takes = instance.takes.map(|range| range.scaled(factor));
            for change in &mut instance.changes {
                change.after = change.after.map(scale);
                change.takes = change.takes.map(scale);
            }
        }
        self
    }

    /// The project with that name.
    pub fn project(&self, name: &str) -> Option<&ProjectSpec> {
        self.projects.iter().find(|project| &*project.name == name)
    }
}
