//! One simulated instance: what it is, what runs on it, what it shows.

use std::sync::Arc;

use super::knobs::{Knobs, ServiceTask, TaskDuring};
use super::spec::{Change, ChangeSpec, InstanceSpec, Outcome, ProjectSpec};
use super::task::SimTask;
use super::value::SpanRange;
use crate::model::{
    CacheMode, CurrentTask, Instance, InstanceId, InstanceStatus, Millis, PartVersion, TaskId,
    UpgradeBody, Versions, Wall, draw,
};

/// One instance and everything that happened to it.
#[derive(Debug, Clone)]
pub(super) struct SimInstance {
    /// The list's row while nothing runs.
    pub base: Instance,
    pub engine: PartState,
    pub proxy: Option<PartState>,
    pub upgradable: bool,
    /// Somebody's other work.
    pub busy: Option<Arc<str>>,
    pub deleted: bool,
    pub data_lost: bool,
    pub tasks: Vec<SimTask>,
    /// Indices of the upgrade tasks that have not ended.
    pub running: Vec<usize>,
    pub applied: Vec<Applied>,
    pub takes: SpanRange,
    pub outcomes: Vec<Outcome>,
    /// How often "show" was answered.
    pub shows: u32,
    /// How many upgrade requests for it have reached the service.
    pub upgrade_requests: u32,
    /// What others do at one of those numbers, and how long it takes them.
    pub at: Vec<(Moment, Change, Millis)>,
}

/// When others act, as seen by who asks about the instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// Right after so many shows.
    AfterShows(u32),
    /// Right before the upgrade request of that number is decided.
    BeforeUpgrade(u32),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PartState {
    pub current: Arc<str>,
    pub latest: Arc<str>,
}

/// An upgrade that the cloud accepted: the ground truth that a judge compares with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    pub at: Wall,
    pub attempt: Option<Arc<str>>,
    pub task: TaskId,
    pub body: UpgradeBody,
    pub outcome: Outcome,
    pub ended_at: Option<Wall>,
}

impl SimInstance {
    /// The one instance of the spec.
    pub fn new(spec: &InstanceSpec, project: &ProjectSpec) -> SimInstance {
        let name = spec.name.clone();
        let id = spec.id.clone().unwrap_or_else(|| uuid(&project.id, &name));
        let spec_code = spec.spec_code.clone().unwrap_or_else(|| spec_code(spec.cache_mode));
        let zones = if spec.zones.is_empty() {
            vec![Arc::from(format!("{}a", project.region))]
        } else {
            spec.zones.clone()
        };
        let part = |current: &Arc<str>, latest: &Option<Arc<str>>| PartState {
            current: current.clone(),
            latest: latest.clone().unwrap_or_else(|| current.clone()),
        };
        SimInstance {
            base: Instance {
                id: InstanceId(id),
                name,
                status: InstanceStatus::from_word(&spec.status),
                engine: spec.engine.clone(),
                engine_version: spec.engine_version.clone(),
                cache_mode: spec.cache_mode,
                edition: spec.edition,
                spec_code,
                tags: spec.tags.clone(),
                zones,
                service_upgrade: false,
                service_task_id: None,
                current_task: CurrentTask::NotShown,
            },
            engine: part(&spec.engine_minor, &Some(spec.engine_latest.clone())),
            proxy: spec.proxy_minor.as_ref().map(|current| part(current, &spec.proxy_latest)),
            upgradable: spec.upgradable,
            busy: spec.task.clone(),
            deleted: false,
            data_lost: false,
            tasks: Vec::new(),
            running: Vec::new(),
            applied: Vec::new(),
            takes: spec.takes.unwrap_or_default(),
            outcomes: spec.outcomes.clone(),
            shows: 0,
            upgrade_requests: 0,
            at: spec.changes.iter().flat_map(moments).collect(),
        }
    }

    /// The row of the list.
    pub fn row(&self, now: Wall, knobs: &Knobs) -> Instance {
        let mut row = self.base.clone();
        if let Some(task) = self.visible_upgrade(now) {
            if row.status == InstanceStatus::Running {
                row.status = InstanceStatus::from_word(knobs.status_during.word());
            }
            row.service_upgrade = knobs.service_task != ServiceTask::Never;
            if knobs.service_task == ServiceTask::Filled {
                row.service_task_id = Some(task.id.clone());
            }
        }
        row
    }

    /// The answer of "show".
    pub fn detail(&self, now: Wall, knobs: &Knobs) -> Instance {
        let mut detail = self.row(now, knobs);
        let upgrading =
            self.visible_upgrade(now).is_some() && knobs.task_during == TaskDuring::Shown;
        detail.current_task = match &self.busy {
            Some(word) => CurrentTask::Busy(word.clone()),
            None if upgrading => CurrentTask::Busy("UPGRADING".into()),
            None => CurrentTask::Idle,
        };
        detail
    }

    pub fn versions(&self) -> Versions {
        let part = |state: &PartState| PartVersion {
            current: Some(state.current.clone()),
            latest: Some(state.latest.clone()),
            upgradable: self.is_supported() && self.upgradable && state.current != state.latest,
        };
        Versions {
            engine: part(&self.engine),
            proxy: self.proxy.as_ref().map(part).unwrap_or_default(),
        }
    }

    /// The upgrade that runs and shows.
    fn visible_upgrade(&self, now: Wall) -> Option<&SimTask> {
        self.running.iter().map(|index| &self.tasks[*index]).find(|task| task.shows_at <= now)
    }

    /// Whether minor upgrades exist for it (API facts, section 6.3); restated here so that the
    /// world does not lean on what it is to test.
    pub fn is_supported(&self) -> bool {
        let old = self.base.engine_version.starts_with("3.");
        &*self.base.engine == "Redis"
            && !old
            && self.base.edition != crate::model::Edition::Enterprise
    }

    /// Whether every part asked for is the newest already.
    pub fn is_newest(&self, body: &UpgradeBody) -> bool {
        let done = |asked: &Option<Arc<str>>, state: Option<&PartState>| match (asked, state) {
            (Some(_), Some(state)) => state.current == state.latest,
            _ => true,
        };
        done(&body.engine, Some(&self.engine)) && done(&body.proxy, self.proxy.as_ref())
    }

    /// Moves the versions that the body asks for.
    pub fn move_versions(&mut self, body: &UpgradeBody) {
        let move_part = |asked: &Option<Arc<str>>, state: &mut PartState| match asked.as_deref() {
            Some("latest") => state.current = state.latest.clone(),
            Some(named) => state.current = named.into(),
            None => {}
        };
        move_part(&body.engine, &mut self.engine);
        if let Some(proxy) = &mut self.proxy {
            move_part(&body.proxy, proxy);
        }
    }

    /// How its upgrade of that number, from 1, ends by its file.
    pub fn told_outcome(&self, number: usize) -> Option<Outcome> {
        self.outcomes.get(number - 1).or(self.outcomes.last()).copied()
    }
}

/// When the change happens, where that depends on who asks.
fn moments(change: &ChangeSpec) -> impl Iterator<Item = (Moment, Change, Millis)> {
    let takes = change.takes.map_or(Millis::ZERO, |span| span.0);
    let shows = change.after_shows.map(Moment::AfterShows);
    let upgrade = change.before_upgrade.map(Moment::BeforeUpgrade);
    shows.into_iter().chain(upgrade).map(move |moment| (moment, change.what, takes))
}

/// A UUID that depends on nothing but project and name.
fn uuid(project_id: &str, name: &str) -> Arc<str> {
    let high = draw::bits(0, "instance id", &format!("{project_id}/{name}"), 0);
    let low = draw::bits(0, "instance id", &format!("{project_id}/{name}"), 1);
    let text = format!("{high:016x}{low:016x}");
    format!("{}-{}-4{}-a{}-{}", &text[..8], &text[8..12], &text[13..16], &text[17..20], &text[20..])
        .into()
}

fn spec_code(mode: CacheMode) -> Arc<str> {
    match mode {
        CacheMode::Single => "redis.single.xu1.large.2",
        CacheMode::Ha | CacheMode::Unknown => "redis.ha.xu1.large.r2.2",
        CacheMode::Cluster => "redis.cluster.xu1.large.r2.24",
        CacheMode::Proxy => "redis.proxy.xu1.large.s1.8",
        CacheMode::HaRwSplit => "redis.rw.xu1.large.p2.2",
    }
    .into()
}
