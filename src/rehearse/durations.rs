//! How long upgrades take in a run: as the ledger measured them, as somebody declared, or as the
//! world's file says; of each instance drawn anew for each seed.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::engine::rows::Rows;
use crate::model::duration::{DurationClass, Parts, SAMPLES_ENOUGH, Samples};
use crate::model::policy::{CampaignPolicy, Labels, Settings};
use crate::model::{InstanceId, Millis, draw};
use crate::sim::world::{InstanceSpec, SpanRange, WorldSpec};

/// What was measured of each class.
pub type Learned = BTreeMap<DurationClass, Samples>;

/// As a store keeps it.
pub fn learned(rows: &Rows) -> Learned {
    rows.durations.iter().map(|row| (row.class, row.samples.clone())).collect()
}

/// Where the durations of a run come from.
#[derive(Debug, Clone, Default)]
pub struct Durations {
    /// Used of every class that has enough samples.
    pub learned: Learned,
    /// Used of all others; `None`: what their campaign expects, the world's file says, or assumes.
    pub declared: Option<SpanRange>,
}

/// How many instances take as long as what tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Sources {
    pub learned: usize,
    pub declared: usize,
    /// As the instance's own entry in the fleet file says.
    pub file: usize,
    /// As the world assumes of all instances.
    pub assumed: usize,
}

/// Draws durations from what was measured of one class, or from a range.
#[derive(Debug, Clone)]
pub(super) enum Odds {
    Measured(Vec<Millis>),
    Range(SpanRange),
}

impl Odds {
    /// The duration at `draw` of the way through all that are longer than `elapsed`. Where none is,
    /// it is taken to end within half of what it took already: nothing tells better.
    pub fn at(&self, draw: f64, elapsed: Millis) -> Millis {
        let beyond = SpanRange { least: elapsed, most: Millis(elapsed.0 + elapsed.0 / 2) };
        match self {
            Odds::Measured(all) => {
                let longer: Vec<Millis> =
                    all.iter().copied().filter(|took| *took > elapsed).collect();
                let at = (draw * longer.len() as f64) as usize;
                longer.get(at).copied().unwrap_or_else(|| beyond.at(draw))
            }
            Odds::Range(range) if range.most > elapsed => {
                SpanRange { least: range.least.max(elapsed), most: range.most }.at(draw)
            }
            Odds::Range(_) => beyond.at(draw),
        }
    }
}

impl Durations {
    /// Gives every instance of the world one duration, drawn for this seed.
    pub fn assign(&self, world: &mut WorldSpec, settings: &Settings, seed: u64) -> Sources {
        let mut sources = Sources::default();
        let assumed = world.takes;
        for project in &mut world.projects {
            let policies: Vec<&CampaignPolicy> = settings
                .campaigns
                .values()
                .filter(|policy| policy.projects.iter().any(|name| *name.0 == *project.name))
                .collect();
            for instance in &mut project.instances {
                let odds = self.odds_of(instance, &policies, assumed, &mut sources);
                let key = format!("{}/{}", project.name, instance.name);
                let takes = odds.at(draw::unit(seed, "duration", &key, 0), Millis::ZERO);
                instance.takes = Some(SpanRange { least: takes, most: takes });
            }
        }
        sources
    }

    fn odds_of(
        &self,
        instance: &InstanceSpec,
        policies: &[&CampaignPolicy],
        assumed: SpanRange,
        sources: &mut Sources,
    ) -> Odds {
        let class = policies.iter().find_map(|policy| class_of(instance, policy));
        if let Some(measured) = class.and_then(|class| self.measured(class)) {
            sources.learned += 1;
            return measured;
        }
        let expected = policies.iter().find(|policy| class_of(instance, policy).is_some());
        let expected = expected.and_then(|policy| policy.expected_duration).map(SpanRange::always);
        let (range, source) = match (self.declared.or(expected), instance.takes) {
            (Some(declared), _) => (declared, &mut sources.declared),
            (None, Some(takes)) => (takes, &mut sources.file),
            (None, None) => (assumed, &mut sources.assumed),
        };
        *source += 1;
        Odds::Range(range)
    }

    /// `None` of a class that has too few samples.
    pub(super) fn measured(&self, class: DurationClass) -> Option<Odds> {
        let samples = self.learned.get(&class)?;
        (samples.len() >= SAMPLES_ENOUGH).then(|| {
            let mut all: Vec<Millis> = samples.iter().collect();
            all.sort_unstable();
            Odds::Measured(all)
        })
    }
}

/// What an upgrade by that campaign would be, if it takes the instance.
fn class_of(instance: &InstanceSpec, policy: &CampaignPolicy) -> Option<DurationClass> {
    let id = InstanceId(instance.id.clone().unwrap_or_default());
    let labels = Labels {
        id: &id,
        name: &instance.name,
        engine_version: &instance.engine_version,
        tags: &instance.tags,
    };
    if !policy.select.takes(&labels) {
        return None;
    }
    let moves = |asked: &Option<Arc<str>>, runs: Option<&Arc<str>>, newest: Option<&Arc<str>>| {
        asked.is_some() && runs.is_some() && runs != newest
    };
    let engine = moves(&policy.engine, Some(&instance.engine_minor), Some(&instance.engine_latest));
    let proxy = moves(&policy.proxy, instance.proxy_minor.as_ref(), instance.proxy_latest.as_ref());
    let parts = match (engine, proxy) {
        (true, true) => Parts::Both,
        (true, false) => Parts::Engine,
        (false, true) => Parts::Proxy,
        (false, false) => return None,
    };
    Some(DurationClass { cache_mode: instance.cache_mode, parts })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: fn(i64) -> Millis = Millis::from_mins;

    #[test]
    fn what_has_run_for_a_while_is_drawn_from_what_takes_longer() {
        let odds = Odds::Measured((1..=10).map(MINUTE).collect());
        assert_eq!(odds.at(0.0, Millis::ZERO), MINUTE(1));
        assert_eq!(odds.at(0.0, MINUTE(7)), MINUTE(8));
        assert_eq!(odds.at(0.99, MINUTE(7)), MINUTE(10));
        let range = Odds::Range(SpanRange { least: MINUTE(5), most: MINUTE(15) });
        assert_eq!(range.at(0.0, MINUTE(2)), MINUTE(5));
        assert_eq!(range.at(0.5, MINUTE(5)), MINUTE(10));
    }

    #[test]
    fn what_has_run_longer_than_any_ends_within_half_of_that() {
        for odds in [
            Odds::Measured(vec![MINUTE(3)]),
            Odds::Range(SpanRange { least: MINUTE(1), most: MINUTE(2) }),
        ] {
            assert_eq!(odds.at(0.0, MINUTE(20)), MINUTE(20));
            assert_eq!(odds.at(1.0, MINUTE(20)), MINUTE(30));
        }
    }
}
