//! What the operators wrote, validated: the policy that every decision reads.
//!
//! `config` builds these from the file; nothing here can be invalid (a zero limit, a wave after the
//! last, an unknown window), so the engine never has to ask.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::calendar::{Freeze, Window};
use super::id::{CampaignName, CredentialName, ProjectName, WindowName};
use super::time::{Millis, Wall};

/// Everything the engine decides by. Replaced whole on reload.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    pub credentials: BTreeMap<CredentialName, CredentialPolicy>,
    pub projects: BTreeMap<ProjectName, ProjectPolicy>,
    pub windows: BTreeMap<WindowName, Window>,
    pub freezes: BTreeMap<WindowName, Freeze>,
    pub campaigns: BTreeMap<CampaignName, CampaignPolicy>,
}

/// What the engine knows of a credential; its secrets stay with the cloud client.
#[derive(Debug, Clone, PartialEq)]
pub struct CredentialPolicy {
    /// A token or agency key can be renewed; a static key cannot.
    pub renewable: bool,
    /// Salted hash of the secret values: a changed one ends a credential stop.
    pub fingerprint: Arc<str>,
}

/// Whether upgrades are really sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Starts {
    #[default]
    On,
    /// Shadow mode: everything but the POST.
    Off,
    /// As [`Starts::Off`], in a process that only plans: its plan tells what would start.
    Planning,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ProjectPolicy {
    pub region: Arc<str>,
    /// The cloud's project id.
    pub project_id: Arc<str>,
    pub credential: CredentialName,
    /// Host and port of the DCS endpoint: projects on one host share an `ip` limit.
    pub host: Arc<str>,
    pub starts: Starts,
    pub max_in_flight: u32,
    pub upgrade_rate: Rate,
    pub read_rate: Rate,
    pub poll_interval: Millis,
    /// One whole request.
    pub request_timeout: Millis,
}

/// Starts or reads per time: `events` every `per`, and `burst` at once after a rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    pub events: u32,
    /// One second, minute or hour.
    pub per: Millis,
    pub burst: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub struct CampaignPolicy {
    pub projects: Vec<ProjectName>,
    pub windows: Vec<WindowName>,
    /// The version to bring the engine to, `latest` or a name; `None` leaves it alone.
    pub engine: Option<Arc<str>>,
    pub proxy: Option<Arc<str>>,
    pub select: Select,
    pub max_in_flight: u32,
    pub max_unavailable: Vec<GroupLimit>,
    /// After this a running task is overdue; after four times this it needs an operator.
    pub task_timeout: Millis,
    pub settle: Millis,
    /// Which duration of its class a target must have room for.
    pub fit: Fit,
    /// What counts until enough was measured; `None`: nothing is predicted before.
    pub expected_duration: Option<Millis>,
    /// When everything should be over: told, and never enforced.
    pub deadline: Option<Wall>,
    pub observe_for: Millis,
    pub start: Start,
    pub membership: Membership,
    pub allow_single_node: bool,
    pub retry: Retry,
    pub failure_budget: FailureBudget,
    /// At least one; only the last takes all that is left.
    pub waves: Vec<Wave>,
}

/// Which of the measured durations says whether a target still fits before the end of an interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Fit {
    /// One in twenty takes longer.
    #[default]
    P95,
    /// Every other one takes longer.
    P50,
    /// Nothing is predicted: the cutoff alone decides.
    Off,
}

impl Fit {
    /// Of the durations measured, the share that is not longer; `None` if none is looked at.
    pub fn percent(self) -> Option<u32> {
        match self {
            Fit::P95 => Some(95),
            Fit::P50 => Some(50),
            Fit::Off => None,
        }
    }
}

/// Which instances a campaign wants. The keys are ANDed, the values of one key ORed; an empty key
/// selects everything.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Select {
    pub names: Vec<Glob>,
    pub not_names: Vec<Glob>,
    pub ids: Vec<Arc<str>>,
    pub tags: BTreeMap<Arc<str>, Vec<Arc<str>>>,
    pub engine_versions: Vec<Arc<str>>,
}

/// A name pattern: `*` any run, `?` any one character, `[a-z]` a class.
#[derive(Debug, Clone)]
pub struct Glob {
    pub text: Arc<str>,
    pub matcher: globset::GlobMatcher,
}

impl Glob {
    /// # Errors
    /// The pattern cannot be compiled; the message says why.
    pub fn new(text: &str) -> Result<Glob, globset::Error> {
        let matcher = globset::GlobBuilder::new(text).literal_separator(false).build()?;
        Ok(Glob { text: text.into(), matcher: matcher.compile_matcher() })
    }
}

impl PartialEq for Glob {
    fn eq(&self, other: &Glob) -> bool {
        self.text == other.text
    }
}

/// What a selection looks at, of an instance or of what the store knows of one.
#[derive(Debug)]
pub struct Labels<'a> {
    pub id: &'a super::InstanceId,
    pub name: &'a str,
    pub engine_version: &'a str,
    pub tags: &'a BTreeMap<Arc<str>, Arc<str>>,
}

impl Select {
    pub fn matches(&self, instance: &super::Instance) -> bool {
        self.takes(&Labels {
            id: &instance.id,
            name: &instance.name,
            engine_version: &instance.engine_version,
            tags: &instance.tags,
        })
    }

    /// Whether an instance with these labels is selected.
    pub fn takes(&self, labels: &Labels<'_>) -> bool {
        let any = |globs: &[Glob]| globs.iter().any(|glob| glob.matcher.is_match(labels.name));
        (self.names.is_empty() || any(&self.names))
            && !any(&self.not_names)
            && (self.ids.is_empty() || self.ids.iter().any(|id| **id == *labels.id.0))
            && (self.engine_versions.is_empty()
                || self.engine_versions.iter().any(|version| **version == *labels.engine_version))
            && self.tags.iter().all(|(key, values)| {
                labels.tags.get(key).is_some_and(|value| values.contains(value))
            })
    }
}

/// A cap on how many members of one group may be in flight.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupLimit {
    pub per: GroupKey,
    pub limit: u32,
    pub untagged: Untagged,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum GroupKey {
    /// The value of this tag.
    Tag(Arc<str>),
    /// Each availability zone of the instance: it counts in all of them.
    Zone,
    Project,
}

/// What an instance without the tag counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Untagged {
    /// A group of its own.
    Alone,
    /// Not upgraded: skipped as excluded.
    Refuse,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    Automatic,
    /// Waits for an operator who names the plan's digest.
    Approve,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Membership {
    /// What was planned.
    Frozen,
    /// Newcomers join the last wave.
    Live,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Attempts that were sent and then found not applied.
    pub max_attempts: u32,
    pub initial: Millis,
    pub max: Millis,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailureBudget {
    pub max_failures: MaxFailures,
    /// Failures in a row that trip at once.
    pub consecutive: u32,
    /// Failures also consume concurrency, so that no more than `max_failures` can ever fail.
    pub strict: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxFailures {
    Count(u32),
    /// Of the targets executed so far, once there are `min_executed` of them.
    Percent {
        percent: u32,
        min_executed: u32,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wave {
    pub name: Arc<str>,
    pub size: WaveSize,
    /// The wait after the wave's last target ended.
    pub bake: Millis,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaveSize {
    Count(u32),
    /// Of all targets, rounded up.
    Percent(u32),
    /// All that is left; only the last wave.
    Rest,
}
