//! The simulated cloud without a network: projects, instances, tasks, faults, in virtual time.
//!
//! Time is an argument and never runs backwards here; the first instant that the world is told is
//! its beginning. The same seed and the same calls give the same answers. Nothing in this module
//! signs, parses or sends: `sim::http` does.

mod access;
mod advance;
mod ask;
mod decision;
mod demo;
mod fault;
mod heard;
mod instance;
pub mod knobs;
mod listing;
mod position;
mod profile;
mod read;
mod reply;
mod spec;
mod task;
#[cfg(test)]
mod tests;
mod throttle;
mod truth;
mod under_way;
mod upgrade;
mod value;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use access::{Access, AgencyKeys, Bearer, IssuedToken, KeyRefusal, TokenRefusal, TokenScope};
pub use ask::{Ask, Include, ListQuery, NameFilter, TaskQuery};
pub use decision::{CallKind, Decision, Fate};
pub use instance::Applied;
pub use knobs::Knobs;
pub use profile::{CallFilter, FaultProfile, Rule, Script, Step};
pub use reply::{Content, ErrorBody, ProgressReport, RetryAfter, WorldReply};
pub use spec::{
    AccessKeySpec, Capability, Change, ChangeSpec, InstanceSpec, LimitSpec, Outcome, ProjectSpec,
    UserSpec, WorldSpec, upgrades_take,
};
pub use task::TaskState;
pub use truth::InstanceTruth;
pub use under_way::UnderWay;
pub use value::{BadValue, Limit, Share, Span, SpanRange};

use self::advance::Event;
use self::fault::{Faults, Occasion};
use self::instance::{Moment, SimInstance};
use self::listing::Listing;
use self::throttle::{Caller, Throttle, limits_of};
use crate::model::{IdMap, InstanceId, Millis, TaskId, Wall, draw};

/// The whole simulated cloud.
#[derive(Debug, Clone)]
pub struct World {
    seed: u64,
    knobs: Knobs,
    /// How the tasks of upgrades are called.
    task_name: Arc<str>,
    faults: Faults,
    begun: Option<Wall>,
    now: Wall,
    latency: SpanRange,
    takes: SpanRange,
    projects: Vec<Project>,
    project_by_id: BTreeMap<Arc<str>, usize>,
    access: Access,
    throttle: Throttle,
    /// What will happen, by instant and then by the order in which it was arranged.
    timeline: BTreeMap<(Wall, u64), Event>,
    arranged: u64,
    /// Scripted changes, arranged once the beginning is known.
    to_arrange: Vec<(Millis, Event)>,
    calls: u64,
    happened: Vec<TaskChange>,
    peak_in_flight: usize,
    in_flight: usize,
}

#[derive(Debug, Clone)]
struct Project {
    name: Arc<str>,
    id: Arc<str>,
    region: Arc<str>,
    user_id: Arc<str>,
    capability: Capability,
    limits: Vec<LimitSpec>,
    instances: Vec<SimInstance>,
    instance_by_id: IdMap<Arc<str>, usize>,
    /// Instance and task, in the order of creation.
    centre: Vec<(usize, usize)>,
    lists_answered: usize,
    listing: Listing,
    /// The list may have to leave instances out.
    hides: bool,
    in_flight: usize,
    peak_in_flight: usize,
}

/// A project as IAM lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectRow {
    pub id: Arc<str>,
    /// Its name in the world's file.
    pub name: Arc<str>,
    pub region: Arc<str>,
}

/// A task changed its state: a line of the cloud's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskChange {
    pub at: Wall,
    pub project: Arc<str>,
    pub instance: InstanceId,
    pub task: TaskId,
    pub attempt: Option<Arc<str>>,
    pub state: TaskState,
    pub outcome: Outcome,
}

/// Where in the world: indices of a project and of one of its instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    project: usize,
    instance: usize,
}

impl World {
    /// A world that has not begun.
    pub fn new(spec: WorldSpec, knobs: Knobs, faults: FaultProfile, seed: u64) -> World {
        let mut world = World {
            seed,
            faults: Faults::new(faults, &knobs, seed),
            begun: None,
            now: Wall(0),
            latency: spec.latency,
            takes: knobs.task_takes.0.unwrap_or(spec.takes),
            projects: Vec::new(),
            project_by_id: BTreeMap::new(),
            access: Access::new(&spec, &knobs, seed),
            throttle: Throttle::default(),
            timeline: BTreeMap::new(),
            arranged: 0,
            to_arrange: Vec::new(),
            calls: 0,
            happened: Vec::new(),
            peak_in_flight: 0,
            in_flight: 0,
            task_name: knobs.task_name.word().into(),
            knobs,
        };
        for project in &spec.projects {
            world.add_project(project);
        }
        world
    }

    fn add_project(&mut self, spec: &ProjectSpec) {
        let index = self.projects.len();
        let mut project = Project {
            name: spec.name.clone(),
            id: spec.id.clone(),
            region: spec.region.clone(),
            user_id: spec.user_id.clone(),
            capability: spec.upgrade_call,
            limits: limits_of(spec, &self.knobs),
            instances: Vec::new(),
            instance_by_id: IdMap::default(),
            centre: Vec::new(),
            lists_answered: 0,
            listing: Listing::default(),
            hides: false,
            in_flight: 0,
            peak_in_flight: 0,
        };
        for instance in spec.instances.iter().cloned().flat_map(InstanceSpec::each) {
            let place = Place { project: index, instance: project.instances.len() };
            let mut made = SimInstance::new(&instance, spec);
            if self.knobs.task_takes.0.is_some() || instance.takes.is_none() {
                made.takes = self.takes;
            }
            self.add_changes(&instance, place, &mut made);
            project.hides |= read::is_hidden(&made);
            project.instance_by_id.insert(made.base.id.0.clone(), place.instance);
            project.instances.push(made);
        }
        self.project_by_id.insert(spec.id.clone(), index);
        self.projects.push(project);
    }

    fn add_changes(&mut self, spec: &InstanceSpec, place: Place, made: &mut SimInstance) {
        for change in &spec.changes {
            if let Some(after) = change.after {
                let takes = change.takes.map_or(Millis::ZERO, |span| span.0);
                self.to_arrange.push((after.0, Event::Change { place, what: change.what, takes }));
            }
        }
        let id = made.base.id.as_str();
        if self.knobs.others.0 > draw::unit(self.seed, "others", id, 0) {
            let what = others_change(self.knobs.others_do, draw::unit(self.seed, "others", id, 1));
            made.at.push((Moment::AfterShows(1), what, Millis::ZERO));
        }
    }

    pub fn knobs(&self) -> &Knobs {
        &self.knobs
    }

    /// Keys, tokens and users.
    pub fn access(&mut self) -> &mut Access {
        &mut self.access
    }

    /// The id of the project with that name.
    pub fn project_id(&self, name: &str) -> Option<Arc<str>> {
        self.projects.iter().find(|project| &*project.name == name).map(|each| each.id.clone())
    }

    /// The projects, as IAM lists them.
    pub fn projects(&self) -> impl Iterator<Item = ProjectRow> {
        self.projects.iter().map(|project| ProjectRow {
            id: project.id.clone(),
            name: project.name.clone(),
            region: project.region.clone(),
        })
    }

    /// Decides a call that is not the service's own: IAM and the metadata address. The step's
    /// `delay` is the whole latency.
    pub fn decide_outside(&mut self, now: Wall, call: CallKind) -> Step {
        self.advance(now);
        self.calls += 1;
        let occasion =
            Occasion { call, project: "", instance_id: "", instance_name: "", age: self.age() };
        let mut step = self.faults.decide(occasion);
        step.delay = Some(Span(self.latency(&step)));
        step
    }

    /// The task changes since the last time this was asked; they pile up where nobody asks.
    pub fn take_task_changes(&mut self) -> Vec<TaskChange> {
        std::mem::take(&mut self.happened)
    }

    fn age(&self) -> Millis {
        self.begun.map_or(Millis::ZERO, |begun| self.now - begun)
    }

    fn find(&self, project: &str, instance: &str) -> Option<Place> {
        let project = *self.project_by_id.get(project)?;
        let instance = *self.projects[project].instance_by_id.get(instance)?;
        Some(Place { project, instance })
    }

    fn instance(&self, place: Place) -> &SimInstance {
        &self.projects[place.project].instances[place.instance]
    }

    fn instance_mut(&mut self, place: Place) -> &mut SimInstance {
        let project = &mut self.projects[place.project];
        project.listing.touch(place.instance);
        &mut project.instances[place.instance]
    }

    /// Gateway first: a limit that is reached, else what the faults say.
    fn decide(&mut self, call: CallKind, project: usize, instance: Option<&str>) -> Step {
        self.calls += 1;
        let Project { name, id, user_id, limits, instances, instance_by_id, .. } =
            &self.projects[project];
        let caller = Caller { user_id, project_id: id };
        if let Err(reached) = self.throttle.check(self.now, call, caller, limits) {
            let mut step = Step::from(Decision::Throttled);
            step.message = Some(reached.message.into());
            step.delay = Some(Span(reached.wait));
            return step;
        }
        let known = instance.and_then(|id| instance_by_id.get(id));
        let instance_name = known.map_or("", |index| &*instances[*index].base.name);
        let occasion = Occasion {
            call,
            project: name,
            instance_id: instance.unwrap_or(""),
            instance_name,
            age: self.begun.map_or(Millis::ZERO, |begun| self.now - begun),
        };
        self.faults.decide(occasion)
    }

    fn latency(&self, step: &Step) -> Millis {
        let base = if self.latency.is_zero() {
            Millis::ZERO
        } else {
            self.latency.at(draw::unit(self.seed, "latency", "", self.calls))
        };
        let held = match step.decision {
            Decision::Throttled => Millis::ZERO,
            Decision::Slow => {
                step.delay.map_or_else(|| self.faults.slowness(self.calls), |delay| delay.0)
            }
            _ => step.delay.map_or(Millis::ZERO, |delay| delay.0),
        };
        base + held
    }
}

fn others_change(kind: knobs::OthersDo, drawn: f64) -> Change {
    use knobs::OthersDo;
    match kind {
        OthersDo::Mixed => [
            Change::Deleted,
            Change::Frozen,
            Change::Faulty,
            Change::UpgradedByOther,
            Change::FinishedByOther,
        ][(drawn * 5.0) as usize],
        OthersDo::Delete => Change::Deleted,
        OthersDo::Freeze => Change::Frozen,
        OthersDo::Fault => Change::Faulty,
        OthersDo::Upgrade => Change::UpgradedByOther,
        OthersDo::Finish => Change::FinishedByOther,
    }
}
