//! A world that agrees with the rows: each instance with the versions that it was last seen with,
//! and what is in flight running on it.
//!
//! Nobody knows of an uncertain attempt whether it was applied; here it was, so that it takes the
//! time of an upgrade. What an operator has to look at stays as it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::TargetState;
use crate::engine::rows::{AttemptRow, Rows, TargetRow, VerifyAfter};
use crate::model::duration::{DurationClass, Parts};
use crate::model::{
    CacheMode, InstanceId, Millis, ProjectName, Settings, TargetId, TaskId, UpgradeBody, Wall, draw,
};
use crate::rehearse::durations::{Durations, Odds};
use crate::rehearse::fleet::{Fleet, set_versions};
use crate::sim::world::{
    FaultProfile, InstanceSpec, Knobs, Outcome, SpanRange, UnderWay, World, WorldSpec,
};

/// The word of an instance that stays as it is until somebody looks at it.
const BUSY: &str = "WAITING";

/// What is in flight, and what becomes of it.
#[derive(Debug, Clone)]
struct InFlight {
    /// The cloud's id of the project.
    project: Arc<str>,
    instance: InstanceId,
    /// As the durations of a run are drawn for it.
    key: String,
    /// It may have ended so long ago without anybody having seen it.
    unseen: Millis,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    Runs {
        task: TaskId,
        body: UpgradeBody,
        began: Wall,
        odds: Odds,
    },
    /// Never ends: an operator has to look.
    Stuck {
        task: TaskId,
        body: UpgradeBody,
        began: Wall,
    },
    StaysBusy,
}

/// What every seed's world begins with.
#[derive(Debug, Clone)]
pub(super) struct Beginning {
    pub fleet: Fleet,
    now: Wall,
    in_flight: Vec<InFlight>,
}

impl Beginning {
    pub fn of(rows: &Rows, settings: &Settings, durations: &Durations, now: Wall) -> Beginning {
        let mut fleet = Fleet::from_rows(rows, settings);
        let learned: BTreeMap<&ProjectName, Option<&Arc<str>>> =
            rows.projects.iter().map(|row| (&row.name, row.detail.own_user.as_ref())).collect();
        for project in &mut fleet.world.projects {
            let name = ProjectName(project.name.clone());
            if let Some(user) = learned.get(&name).copied().flatten() {
                project.user_id = user.clone();
            }
        }
        let attempts: BTreeMap<&TargetId, &AttemptRow> =
            rows.attempts.iter().map(|attempt| (&attempt.id.target, attempt)).collect();
        let places = places(&fleet.world);
        let mut beginning = Beginning { fleet, now, in_flight: Vec::new() };
        for row in rows.targets.iter().filter(|row| row.state.is_in_flight()) {
            let place = places.get(&(row.id.project.0.clone(), row.id.instance.0.clone()));
            if let (Some(attempt), Some(place)) = (attempts.get(&row.id), place) {
                beginning.put(row, attempt, *place, (settings, durations));
            }
        }
        beginning
    }

    fn put(
        &mut self,
        row: &TargetRow,
        attempt: &AttemptRow,
        (project, instance): (usize, usize),
        (settings, durations): (&Settings, &Durations),
    ) {
        let Some(policy) = settings.projects.get(&row.id.project) else { return };
        let campaign = settings.campaigns.get(&row.id.campaign);
        let expected = campaign.and_then(|policy| policy.expected_duration).map(SpanRange::always);
        let assumed = self.fleet.world.takes;
        let spec = &mut self.fleet.world.projects[project].instances[instance];
        set_versions(spec, &attempt.versions_before);
        // What it was sent to, it can be brought to.
        spec.upgradable = true;
        let what = what(
            row,
            attempt,
            spec,
            odds(spec, &attempt.body, durations, expected.or(spec.takes).unwrap_or(assumed)),
        );
        if let Some(what) = what {
            self.in_flight.push(InFlight {
                project: policy.project_id.clone(),
                instance: row.id.instance.clone(),
                key: format!("{}/{}", row.id.project, spec.name),
                unseen: draw::spread(policy.poll_interval, 1.0),
                what,
            });
        }
    }

    /// The world of one seed, begun.
    pub fn world(&self, settings: &Settings, durations: &Durations, seed: u64) -> World {
        let mut spec: WorldSpec = self.fleet.world.clone();
        durations.assign(&mut spec, settings, seed);
        let mut world = World::new(spec, Knobs::default(), FaultProfile::calm(), seed);
        world.advance(self.now);
        for InFlight { project, instance, key, unseen, what } in &self.in_flight {
            let (task, body, began, takes, outcome) = match what {
                What::StaysBusy => {
                    world.keep_busy(project, instance, BUSY);
                    continue;
                }
                What::Stuck { task, body, began } => {
                    (task, body, *began, Millis::ZERO, Outcome::Stuck)
                }
                What::Runs { task, body, began, odds } => {
                    let elapsed = (self.now - *began - *unseen).max(Millis::ZERO);
                    let takes = odds.at(draw::unit(seed, "duration", key, 0), elapsed);
                    (task, body, *began, takes, Outcome::Success)
                }
            };
            let (task, body) = (task.clone(), body.clone());
            world.put_under_way(project, instance, UnderWay { task, body, began, takes, outcome });
        }
        world
    }
}

/// Where each instance is in the world, by the names of its project and its id.
fn places(world: &WorldSpec) -> BTreeMap<(Arc<str>, Arc<str>), (usize, usize)> {
    let mut places = BTreeMap::new();
    for (at, project) in world.projects.iter().enumerate() {
        for (number, instance) in project.instances.iter().enumerate() {
            if let Some(id) = &instance.id {
                places.insert((project.name.clone(), id.clone()), (at, number));
            }
        }
    }
    places
}

/// What becomes of one that is in flight; `None` if what is read of it now decides. Gives the
/// instance the versions that belong to it.
fn what(
    row: &TargetRow,
    attempt: &AttemptRow,
    spec: &mut InstanceSpec,
    odds: Odds,
) -> Option<What> {
    let (body, began) = (attempt.body.clone(), attempt.intent_at);
    let flight = row.detail.flight.as_deref();
    let known = row.task.clone().or_else(|| flight?.candidates.first().cloned());
    let task = known.unwrap_or_else(|| format!("of-{}", attempt.id).as_str().into());
    match row.state {
        TargetState::Running if row.needs_operator.is_some() => {
            Some(What::Stuck { task, body, began })
        }
        _ if row.needs_operator.is_some() => Some(What::StaysBusy),
        TargetState::Submitting | TargetState::Uncertain | TargetState::Running => {
            Some(What::Runs { task, body, began, odds })
        }
        TargetState::Verifying => {
            let after = flight.and_then(|flight| flight.verify_after.as_ref());
            match after {
                // It failed, unless the versions say otherwise.
                Some(VerifyAfter::TaskFailed(_)) => {
                    if let Some(versions) = &row.detail.versions {
                        set_versions(spec, versions);
                    }
                }
                // The cloud said that it is current.
                Some(VerifyAfter::ReportedCurrent) => {
                    spec.engine_latest = spec.engine_minor.clone();
                    spec.proxy_latest.clone_from(&spec.proxy_minor);
                }
                _ => moved(spec, &body),
            }
            None
        }
        _ => None,
    }
}

/// The versions as the body asks for them.
fn moved(spec: &mut InstanceSpec, body: &UpgradeBody) {
    let newest = |asked: &Arc<str>, latest: &Arc<str>| match &**asked {
        "latest" => latest.clone(),
        _ => asked.clone(),
    };
    if let Some(asked) = &body.engine {
        spec.engine_minor = newest(asked, &spec.engine_latest);
    }
    if let (Some(asked), Some(latest)) = (&body.proxy, &spec.proxy_latest) {
        spec.proxy_minor = Some(newest(asked, latest));
    }
}

fn odds(
    spec: &InstanceSpec,
    body: &UpgradeBody,
    durations: &Durations,
    otherwise: SpanRange,
) -> Odds {
    let cache_mode: CacheMode = spec.cache_mode;
    let class = Parts::of(body).map(|parts| DurationClass { cache_mode, parts });
    durations.of(class).unwrap_or(Odds::Range(otherwise))
}
