//! The fleet that a run begins with: a world, and the order in which planned campaigns take it.
//!
//! From a file, or from what a store knows. What a store does not know is assumed and said: it keeps
//! of an instance what decides, and only of those that some campaign selects.

mod file;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::rows::{InstanceRow, Rows, TargetRow};
use crate::engine::{Reason, TargetState};
use crate::model::policy::Settings;
use crate::model::{
    CacheMode, CampaignName, Edition, InstanceId, Millis, PartVersion, ProjectName, Versions,
};
use crate::sim::world::{InstanceSpec, ProjectSpec, SpanRange, WorldSpec, upgrades_take};

/// A campaign as it was planned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedCampaign {
    pub name: CampaignName,
    /// Keys the order of its targets.
    pub seed: u64,
    pub digest: Arc<str>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Fleet {
    /// Every instance by itself.
    pub world: WorldSpec,
    /// Campaigns that are not among these are planned in an order of each seed's own.
    pub planned: Vec<PlannedCampaign>,
    /// What had to be assumed, one sentence each.
    pub notes: Vec<String>,
}

/// What calls take where nobody says so: about what the cloud's gateway takes.
const LATENCY: SpanRange = SpanRange { least: Millis(50), most: Millis(300) };

/// Stands for a minor version that nobody has read.
const NOT_READ: &str = "not read";

/// Stands for the newer one that it is taken to be offered.
const NEWER: &str = "newer";

impl Fleet {
    /// What a file says.
    pub fn new(mut world: WorldSpec, planned: Vec<PlannedCampaign>) -> Fleet {
        for project in &mut world.projects {
            project.instances = std::mem::take(&mut project.instances)
                .into_iter()
                .flat_map(InstanceSpec::each)
                .collect();
        }
        Fleet { world, planned, notes: Vec::new() }
    }

    /// What the rows know of the fleet, as if nothing were under way: where something is, its
    /// instance has the versions that were read last.
    pub fn from_rows(rows: &Rows, settings: &Settings) -> Fleet {
        let mut targets: BTreeMap<(&ProjectName, &InstanceId), Vec<&TargetRow>> = BTreeMap::new();
        for row in &rows.targets {
            targets.entry((&row.id.project, &row.id.instance)).or_default().push(row);
        }
        let mut projects: BTreeMap<&ProjectName, ProjectSpec> = settings
            .projects
            .iter()
            .map(|(name, policy)| (name, project(name, &policy.project_id, &policy.region)))
            .collect();
        let mut guesses = Guesses::default();
        for row in &rows.instances {
            let of = targets.get(&(&row.project, &row.instance)).map_or(&[][..], Vec::as_slice);
            let Some(project) = projects.get_mut(&row.project) else { continue };
            project.instances.push(instance(row, of, &mut guesses));
        }
        let planned = rows.campaigns.iter().map(|row| PlannedCampaign {
            name: row.name.clone(),
            seed: row.detail.seed,
            digest: row.detail.digest.clone(),
        });
        Fleet {
            world: WorldSpec {
                name: "fleet".into(),
                latency: LATENCY,
                takes: upgrades_take(),
                projects: projects.into_values().collect(),
            },
            planned: planned.collect(),
            notes: guesses.notes(),
        }
    }

    /// The fleet as these settings reach it: of each of their projects the one that is called so,
    /// under the id that the settings give it.
    #[must_use]
    pub fn reached_by(mut self, settings: &Settings) -> Fleet {
        let mut left: Vec<ProjectSpec> = std::mem::take(&mut self.world.projects);
        for (name, policy) in &settings.projects {
            let called = |one: &ProjectSpec| *one.name == *name.0 || one.id == policy.project_id;
            let found = left.iter().position(called).map(|at| left.remove(at));
            if found.is_none() {
                self.notes
                    .push(format!("the fleet has no project {name}: it is taken to be empty"));
            }
            let mut spec =
                found.unwrap_or_else(|| project(name, &policy.project_id, &policy.region));
            spec.name = name.0.clone();
            spec.id = policy.project_id.clone();
            spec.region = policy.region.clone();
            self.world.projects.push(spec);
        }
        for other in left {
            let name = &other.name;
            self.notes.push(format!("project {name} of the fleet is not in the configuration"));
        }
        self
    }

    pub fn instances(&self) -> usize {
        self.world.projects.iter().map(|project| project.instances.len()).sum()
    }
}

fn project(name: &ProjectName, id: &Arc<str>, region: &Arc<str>) -> ProjectSpec {
    ProjectSpec { region: region.clone(), ..ProjectSpec::new(name.0.clone(), id.clone()) }
}

/// What is assumed of how many instances.
#[derive(Debug, Default)]
struct Guesses {
    unread: usize,
    enterprise: usize,
}

impl Guesses {
    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.unread > 0 {
            notes.push(format!(
                "the versions of {} were not read yet: they are taken to be upgradable",
                instances(self.unread)
            ));
        }
        if self.enterprise > 0 {
            notes.push(format!(
                "{} without minor upgrades are taken to be of the enterprise edition",
                instances(self.enterprise)
            ));
        }
        notes
    }
}

fn instances(count: usize) -> String {
    if count == 1 { "1 instance".into() } else { format!("{count} instances") }
}

/// An instance as the rows know it. What is pending is taken to be RUNNING and idle: the look
/// before its start would find out.
fn instance(row: &InstanceRow, targets: &[&TargetRow], guesses: &mut Guesses) -> InstanceSpec {
    let ended = |state: TargetState| targets.iter().filter(move |row| row.state == state);
    let skipped = || ended(TargetState::Skipped).filter_map(|row| row.reason.as_ref());
    let is_unsupported = skipped().any(|reason| *reason == Reason::Unsupported);
    let is_old = row.engine_version.starts_with("3.");
    let status = skipped().find_map(|reason| match reason {
        Reason::NotRunning(word) => Some(word.clone()),
        _ => None,
    });
    let versions = targets
        .iter()
        .filter_map(|row| Some((row.detail.versions_at, row.detail.versions.as_ref()?)))
        .max_by_key(|(at, _)| *at);
    let mut spec = InstanceSpec {
        name: row.name.clone(),
        id: Some(row.instance.0.clone()),
        engine_version: row.engine_version.clone(),
        cache_mode: row.cache_mode,
        edition: Edition::Basic,
        tags: row.tags.clone(),
        zones: row.zones.clone(),
        status: status.unwrap_or_else(|| "RUNNING".into()),
        ..InstanceSpec::default()
    };
    if is_unsupported && !is_old {
        spec.edition = Edition::Enterprise;
        guesses.enterprise += 1;
    }
    match versions {
        Some((_, versions)) => set_versions(&mut spec, versions),
        None => {
            let has_proxy = matches!(row.cache_mode, CacheMode::Proxy | CacheMode::HaRwSplit);
            spec.engine_minor = NOT_READ.into();
            spec.engine_latest = NEWER.into();
            spec.proxy_minor = has_proxy.then(|| NOT_READ.into());
            spec.proxy_latest = has_proxy.then(|| NEWER.into());
            guesses.unread += usize::from(!is_unsupported);
        }
    }
    spec
}

/// A part that cannot be upgraded although it is not the newest is told by the other part: the
/// world knows only whether the instance can be.
pub(super) fn set_versions(spec: &mut InstanceSpec, versions: &Versions) {
    let (engine, proxy) = (&versions.engine, &versions.proxy);
    let is_stuck = |part: &PartVersion| !part.upgradable && !part.is_current();
    let can = engine.upgradable || proxy.upgradable;
    spec.upgradable = can || !(is_stuck(engine) || is_stuck(proxy));
    let newest = |part: &PartVersion| {
        let stays = can && !part.upgradable;
        let newest = if stays { &part.current } else { &part.latest };
        newest.clone().or_else(|| part.current.clone())
    };
    let unknown = || Arc::from(NOT_READ);
    spec.engine_minor = engine.current.clone().unwrap_or_else(unknown);
    spec.engine_latest = newest(engine).unwrap_or_else(unknown);
    spec.proxy_minor = proxy.current.clone();
    spec.proxy_latest = proxy.current.as_ref().and_then(|_| newest(proxy));
}
