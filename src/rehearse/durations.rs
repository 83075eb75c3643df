//! How long upgrades take in a run: as somebody declared, as the ledger measured them, or as the
//! world's file says; of each instance drawn anew for each seed.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::engine::rows::{DurationRow, Rows};
use crate::model::duration::{DurationClass, Parts, SAMPLES_ENOUGH, SAMPLES_KEPT, Samples};
use crate::model::policy::{CampaignPolicy, Labels, Settings};
use crate::model::{CacheMode, InstanceId, Millis, draw};
use crate::sim::world::{InstanceSpec, SpanRange, WorldSpec};

/// What was measured of each class.
pub type Learned = BTreeMap<DurationClass, Samples>;

/// Of what a store keeps.
pub fn learned(rows: &Rows) -> Learned {
    rows.durations.iter().map(|row| (row.class, row.samples.clone())).collect()
}

/// A store that holds nothing else.
pub(super) fn rows_of(learned: &Learned) -> Rows {
    let row = |(class, samples): (&DurationClass, &Samples)| DurationRow {
        class: *class,
        samples: samples.clone(),
    };
    Rows { durations: learned.iter().map(row).collect(), ..Rows::default() }
}

/// Where the durations of a run come from: the first of these that tells of an instance, else what
/// its campaign expects, its entry in the world's file says, or the world assumes.
#[derive(Debug, Clone, Default)]
pub struct Durations {
    /// The first that covers a class counts.
    pub classes: Vec<DeclaredClass>,
    /// Of all other classes.
    pub declared: Option<SpanRange>,
    /// Used of every class that has enough samples; the engine goes by it too.
    pub learned: Learned,
}

/// What somebody says of some classes.
#[derive(Debug, Clone, PartialEq)]
pub struct DeclaredClass {
    /// `None`: whatever the instance is.
    pub cache_mode: Option<CacheMode>,
    /// `None`: whatever is upgraded of it.
    pub parts: Option<Parts>,
    pub takes: Takes,
}

/// How long upgrades of a class are said to take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Takes {
    /// Evenly anything in it.
    Range(SpanRange),
    /// One half up to `p50`, all but one in twenty up to `p95`, which is no shorter.
    Percentiles { p50: Millis, p95: Millis },
}

impl DeclaredClass {
    /// Whether it tells of all that the other does.
    pub fn covers(&self, cache_mode: Option<CacheMode>, parts: Option<Parts>) -> bool {
        (self.cache_mode.is_none() || self.cache_mode == cache_mode)
            && (self.parts.is_none() || self.parts == parts)
    }
}

impl Takes {
    fn odds(self) -> Odds {
        match self {
            Takes::Range(range) => Odds::Range(range),
            Takes::Percentiles { p50, p95 } => Odds::Measured(as_if_measured(p50, p95)),
        }
    }
}

/// As many durations as a store keeps, of which these are the percentiles: from half the median to
/// it in even steps, from there to the p95, and beyond it in the same steps.
fn as_if_measured(p50: Millis, p95: Millis) -> Vec<Millis> {
    let (p50, p95) = (p50.0 as f64, p95.0 as f64);
    let at = |share: f64| match share < 0.5 {
        true => p50 * (0.5 + share),
        false => p50 + (p95 - p50) * (share - 0.5) / 0.45,
    };
    let share = |number: usize| (number as f64 + 0.5) / SAMPLES_KEPT as f64;
    (0..SAMPLES_KEPT).map(|number| Millis(at(share(number)).round() as i64)).collect()
}

/// How many instances take as long as what tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Sources {
    /// As is declared of their class.
    pub classes: usize,
    pub declared: usize,
    pub learned: usize,
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
        let expected = policies.iter().find(|policy| class_of(instance, policy).is_some());
        let expected = expected.and_then(|policy| policy.expected_duration).map(SpanRange::always);
        let (odds, source) = match (self.told(class), expected, instance.takes) {
            (Some((odds, Told::Class)), ..) => (odds, &mut sources.classes),
            (Some((odds, Told::Declared)), ..) => (odds, &mut sources.declared),
            (Some((odds, Told::Learned)), ..) => (odds, &mut sources.learned),
            (None, Some(expected), _) => (Odds::Range(expected), &mut sources.declared),
            (None, None, Some(takes)) => (Odds::Range(takes), &mut sources.file),
            (None, None, None) => (Odds::Range(assumed), &mut sources.assumed),
        };
        *source += 1;
        odds
    }

    /// What is told of a class; `None`: nothing.
    pub(super) fn of(&self, class: Option<DurationClass>) -> Option<Odds> {
        self.told(class).map(|(odds, _)| odds)
    }

    fn told(&self, class: Option<DurationClass>) -> Option<(Odds, Told)> {
        let covers = |declared: &&DeclaredClass| {
            class.is_some_and(|class| declared.covers(Some(class.cache_mode), Some(class.parts)))
        };
        let of_class = self.classes.iter().find(covers);
        let of_class = of_class.map(|declared| (declared.takes.odds(), Told::Class));
        let of_all = || self.declared.map(|range| (Odds::Range(range), Told::Declared));
        let learned = || Some((self.measured(class?)?, Told::Learned));
        of_class.or_else(of_all).or_else(learned)
    }

    /// `None` of a class that has too few samples.
    fn measured(&self, class: DurationClass) -> Option<Odds> {
        let samples = self.learned.get(&class)?;
        (samples.len() >= SAMPLES_ENOUGH).then(|| {
            let mut all: Vec<Millis> = samples.iter().collect();
            all.sort_unstable();
            Odds::Measured(all)
        })
    }
}

/// Which part of [`Durations`] told.
enum Told {
    Class,
    Declared,
    Learned,
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

    #[test]
    fn declared_percentiles_are_those_of_what_is_drawn() {
        let Odds::Measured(all) = (Takes::Percentiles { p50: MINUTE(40), p95: MINUTE(60) }).odds()
        else {
            panic!("percentiles are drawn from samples")
        };
        let mut samples = Samples::default();
        all.iter().for_each(|took| samples.push(*took));
        for (percent, minutes) in [(50, 40), (95, 60)] {
            let apart = samples.percentile(percent).unwrap() - MINUTE(minutes);
            assert!(apart.0.abs() < MINUTE(1).0, "p{percent} is {apart} off");
        }
        assert!(all.is_sorted() && all[0] >= MINUTE(20), "{all:?}");
    }

    #[test]
    fn what_is_declared_of_a_class_comes_first_then_of_all_then_what_was_measured() {
        let class = |cache_mode| DurationClass { cache_mode, parts: Parts::Engine };
        let mut measured = Samples::default();
        (0..SAMPLES_ENOUGH).for_each(|_| measured.push(MINUTE(7)));
        let learned =
            [CacheMode::Single, CacheMode::Cluster].map(|it| (class(it), measured.clone()));
        let takes = |minutes| Takes::Range(SpanRange::always(MINUTE(minutes)));
        let of =
            |cache_mode, parts, minutes| DeclaredClass { cache_mode, parts, takes: takes(minutes) };
        let mut durations = Durations {
            classes: vec![
                of(Some(CacheMode::Cluster), Some(Parts::Both), 90),
                of(Some(CacheMode::Cluster), None, 40),
            ],
            declared: None,
            learned: learned.into(),
        };
        let minutes = |durations: &Durations, cache_mode| {
            durations.of(Some(class(cache_mode))).map(|odds| odds.at(0.5, Millis::ZERO).0 / 60_000)
        };
        assert_eq!(minutes(&durations, CacheMode::Cluster), Some(40));
        assert_eq!(minutes(&durations, CacheMode::Single), Some(7));
        assert_eq!(minutes(&durations, CacheMode::Ha), None);
        durations.declared = Some(SpanRange::always(MINUTE(3)));
        assert_eq!(minutes(&durations, CacheMode::Cluster), Some(40));
        assert_eq!(minutes(&durations, CacheMode::Single), Some(3));
    }
}
