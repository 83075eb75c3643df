//! What the demonstration is about: a world, the faults that are sure to be seen in it, and the
//! secrets whose every trace is looked for afterwards.
//!
//! The seed decides which instance meets which fault; how often each fault comes is fixed, so that
//! every run shows all of them.

use std::sync::Arc;

use uuid::Uuid;

use crate::model::{Millis, draw};
use crate::sim::world::{
    CallFilter, CallKind, Decision, FaultProfile, Limit, Rule, Script, Share, Step, WorldSpec,
};

/// A script of one instance: how many ordinary instances of a project get it, for which call, and
/// what happens to the first such calls.
struct Mishap {
    north: usize,
    south: usize,
    call: CallKind,
    steps: &'static [Decision],
}

/// Rare enough that three unclear answers in a row, which open a project's circuit, stay an
/// exception; each cause often enough to be seen.
const MISHAPS: [Mishap; 7] = [
    upgrade(4, 3, &[Decision::Error500Before]),
    upgrade(1, 1, &[Decision::Error500Before, Decision::Error500Before]),
    upgrade(4, 3, &[Decision::ApplyThen500]),
    upgrade(3, 2, &[Decision::ApplyThenDrop]),
    upgrade(2, 1, &[Decision::DropBeforeApply]),
    upgrade(3, 2, &[Decision::Throttled]),
    Mishap { north: 1, south: 1, call: CallKind::Show, steps: &[Decision::Throttled] },
];

const fn upgrade(north: usize, south: usize, steps: &'static [Decision]) -> Mishap {
    Mishap { north, south, call: CallKind::Upgrade, steps }
}

/// What a 429 states: generous and of a short window, or its pause would outlast the audience.
const STATED_LIMIT: Limit = Limit { calls: 1_000, per: Millis::from_secs(2) };

/// World, faults and secrets of one run.
pub struct Scenario {
    pub world: WorldSpec,
    pub faults: FaultProfile,
    pub canaries: Canaries,
}

/// Secrets made for this run alone, one per credential.
pub struct Canaries {
    pub secret_key: String,
    pub password: String,
}

impl Scenario {
    pub fn new(seed: u64) -> Scenario {
        let mut world = WorldSpec::demo(seed);
        let faults = faults(&world, seed);
        // With characters that URLs, JSON and base64 write differently.
        let canary = || format!("canary/{}+\"&=", Uuid::new_v4().simple());
        let canaries = Canaries { secret_key: canary(), password: canary() };
        let [north, south] = &mut world.projects[..] else {
            unreachable!("the world of the demo has two projects");
        };
        north.access_keys[0].secret = canaries.secret_key.as_str().into();
        south.users[0].password = canaries.password.as_str().into();
        Scenario { world, faults, canaries }
    }
}

impl Canaries {
    pub fn all(&self) -> Vec<String> {
        vec![self.secret_key.clone(), self.password.clone()]
    }
}

fn faults(world: &WorldSpec, seed: u64) -> FaultProfile {
    let mut scripts = Vec::new();
    for project in &world.projects {
        let mut unlucky = ordinary(world, &project.name, seed).into_iter();
        for mishap in &MISHAPS {
            let count = if &*project.name == "north" { mishap.north } else { mishap.south };
            let chosen = unlucky.by_ref().take(count);
            scripts.extend(chosen.map(|name| script(&name, mishap)));
        }
    }
    let reads = Rule {
        calls: CallFilter::Read,
        decisions: [(Decision::Error500Before, Share(0.01)), (Decision::Truncated, Share(0.002))]
            .into(),
        ..Rule::default()
    };
    FaultProfile { name: "demo".into(), rules: vec![reads], scripts, ..FaultProfile::calm() }
}

/// The names of a project's ordinary instances, in an order that the seed draws.
fn ordinary(world: &WorldSpec, project: &str, seed: u64) -> Vec<Arc<str>> {
    let spec = world.project(project).expect("it is one of the world's");
    let is_ordinary = |tags: &std::collections::BTreeMap<Arc<str>, Arc<str>>| {
        tags.get("service") != Some(&"odd".into())
    };
    let mut names: Vec<Arc<str>> = spec
        .instances
        .iter()
        .filter(|instance| is_ordinary(&instance.tags))
        .map(|instance| instance.name.clone())
        .collect();
    names.sort_by_key(|name| draw::bits(seed, "mishap", name, 0));
    names
}

fn script(name: &str, mishap: &Mishap) -> Script {
    let step = |decision: &Decision| match decision {
        Decision::Throttled => Step {
            message: Some(STATED_LIMIT.sentence("user").into()),
            retry_after: Some("1".into()),
            ..Step::from(*decision)
        },
        _ => Step::from(*decision),
    };
    Script {
        calls: CallFilter::Only(mishap.call),
        instance: Some(name.to_owned()),
        steps: mishap.steps.iter().map(step).collect(),
        ..Script::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seed_meets_every_mishap_as_often() {
        for seed in [1, 2, 3] {
            let scenario = Scenario::new(seed);
            let count = |decision| {
                let scripts = scenario.faults.scripts.iter();
                scripts.flat_map(|script| &script.steps).filter(|s| s.decision == decision).count()
            };
            assert_eq!(count(Decision::Error500Before), 11);
            assert_eq!(count(Decision::ApplyThen500), 7);
            assert_eq!(count(Decision::ApplyThenDrop), 5);
            assert_eq!(count(Decision::DropBeforeApply), 3);
            assert_eq!(count(Decision::Throttled), 7);
        }
    }

    #[test]
    fn no_two_runs_share_a_secret_and_the_world_knows_them() {
        let (one, other) = (Scenario::new(1), Scenario::new(1));
        assert_ne!(one.canaries.all(), other.canaries.all());
        let north = one.world.project("north").unwrap();
        assert_eq!(&*north.access_keys[0].secret, one.canaries.secret_key);
    }
}
