//! How long upgrades take: what was measured of each class, and the percentiles of it.
//!
//! A duration runs from the intent to the first sight of the finished upgrade; the settling that
//! follows is policy and not counted. What was overdue, uncertain or told by an operator is never
//! measured: two such samples once stalled a whole class for ever.

use std::collections::VecDeque;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::instance::CacheMode;
use super::time::Millis;
use super::version::{Part, UpgradeBody};

/// Percentiles are told from so many samples on.
pub const SAMPLES_ENOUGH: usize = 8;

/// Of each class the latest so many count: enough for a steady p95, few enough to follow a change.
pub const SAMPLES_KEPT: usize = 64;

/// Upgrades that can be expected to take alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DurationClass {
    pub cache_mode: CacheMode,
    pub parts: Parts,
}

/// What an upgrade moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Parts {
    Engine,
    Proxy,
    Both,
}

impl Parts {
    /// `None` of an empty body.
    pub fn of(body: &UpgradeBody) -> Option<Parts> {
        let has = |part| body.parts().any(|one| one == part);
        match (has(Part::Engine), has(Part::Proxy)) {
            (true, true) => Some(Parts::Both),
            (true, false) => Some(Parts::Engine),
            (false, true) => Some(Parts::Proxy),
            (false, false) => None,
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Parts::Engine => "engine",
            Parts::Proxy => "proxy",
            Parts::Both => "engine and proxy",
        }
    }
}

impl fmt::Display for DurationClass {
    /// `ha, engine`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.cache_mode.word(), self.parts.word())
    }
}

/// The latest durations of one class, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Samples(VecDeque<Millis>);

impl Samples {
    /// Takes one more in; the oldest of too many goes.
    pub fn push(&mut self, took: Millis) {
        if self.0.len() >= SAMPLES_KEPT {
            self.0.pop_front();
        }
        self.0.push_back(took);
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = Millis> {
        self.0.iter().copied()
    }

    /// The shortest duration that at least `percent` of the samples do not exceed; `None` below
    /// [`SAMPLES_ENOUGH`].
    pub fn percentile(&self, percent: u32) -> Option<Millis> {
        if self.0.len() < SAMPLES_ENOUGH {
            return None;
        }
        let mut sorted: Vec<Millis> = self.iter().collect();
        sorted.sort_unstable();
        let rank = (sorted.len() * percent as usize).div_ceil(100);
        sorted.get(rank.saturating_sub(1)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(minutes: impl IntoIterator<Item = i64>) -> Samples {
        let mut samples = Samples::default();
        minutes.into_iter().for_each(|each| samples.push(Millis::from_mins(each)));
        samples
    }

    #[test]
    fn seven_samples_tell_nothing_and_eight_do() {
        assert_eq!(of(1..=7).percentile(50), None);
        assert_eq!(of(1..=8).percentile(50), Some(Millis::from_mins(4)));
        assert_eq!(of(1..=8).percentile(95), Some(Millis::from_mins(8)));
        assert_eq!(of(1..=8).percentile(0), Some(Millis::from_mins(1)));
    }

    #[test]
    fn the_order_in_which_they_came_does_not_count_but_the_latest_do() {
        assert_eq!(of((1..=20).rev()).percentile(95), Some(Millis::from_mins(19)));
        let samples = of([500].into_iter().chain(1..=SAMPLES_KEPT as i64));
        assert_eq!(samples.len(), SAMPLES_KEPT);
        assert_eq!(samples.percentile(100), Some(Millis::from_mins(SAMPLES_KEPT as i64)));
    }

    #[test]
    fn parts_are_those_of_the_body() {
        let body = |engine: Option<&str>, proxy: Option<&str>| UpgradeBody {
            engine: engine.map(Into::into),
            proxy: proxy.map(Into::into),
        };
        assert_eq!(Parts::of(&body(Some("latest"), None)), Some(Parts::Engine));
        assert_eq!(Parts::of(&body(None, Some("latest"))), Some(Parts::Proxy));
        assert_eq!(Parts::of(&body(Some("latest"), Some("latest"))), Some(Parts::Both));
        assert_eq!(Parts::of(&body(None, None)), None);
    }
}
