//! Rule S6: over any interval T, starts (and reads) ≤ burst + rate·T, restarts included.
//!
//! An exact cell-rate algorithm in integers, apart from the engine's governor: time is counted in
//! parts of a millisecond, as many as the rate has events, so that nothing is ever rounded.

use super::facts::Quotas;
use super::{Checker, Rule};
use crate::engine::event::Quota;
use crate::model::policy::Rate;
use crate::model::{LearnedLimit, LimitScope, Millis, ProjectName, Steady};

/// Of a stated limit Refit may use so much, in per cent (docs/decisions.md: quotas).
const LEARNED_PERCENT: i64 = 80;

/// A learned limit is forgotten after this (docs/decisions.md: quotas).
const LEARNED_FOR: Millis = Millis::from_hours(24);

/// No Retry-After binds for longer (rule S3).
pub(super) const RETRY_AFTER_MAX: Millis = Millis::from_hours(1);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bucket {
    rate: Rate,
    /// Theoretical arrival of the next event, in `1/events` milliseconds.
    arrival: i128,
}

impl Bucket {
    /// A full bucket.
    pub fn new(rate: Rate) -> Bucket {
        Bucket { rate, arrival: i128::MIN / 2 }
    }

    /// Takes one, and says whether there was one.
    pub fn take(&mut self, now: Steady) -> bool {
        let (now, per) = (self.units(now), i128::from(self.rate.per.0));
        let earliest = self.arrival - per * i128::from(self.rate.burst.saturating_sub(1));
        self.arrival = self.arrival.max(now) + per;
        now >= earliest
    }

    /// Another rate: what is free stays free in tokens, up to the new burst.
    pub fn convert(&mut self, rate: Rate, now: Steady) {
        if rate == self.rate {
            return;
        }
        let missing = (self.arrival - self.units(now)).max(0) as f64 / self.rate.per.0 as f64;
        let free = (f64::from(self.rate.burst) - missing).min(f64::from(rate.burst));
        let owed = (f64::from(rate.burst) - free) * rate.per.0 as f64;
        *self = Bucket { rate, arrival: 0 };
        // The engine counts in whole microseconds: one millisecond of tolerance.
        self.arrival = self.units(now) + owed.floor() as i128 - i128::from(rate.events);
    }

    fn units(&self, at: Steady) -> i128 {
        i128::from(at.0) * i128::from(self.rate.events)
    }
}

impl Quotas {
    pub fn configure(&mut self, rate: Rate, now: Steady) {
        match &mut self.configured {
            Some(bucket) => bucket.convert(rate, now),
            None => self.configured = Some(Bucket::new(rate)),
        }
    }

    fn learn(&mut self, limit: LearnedLimit, burst: u32, now: Steady) {
        let events = (i64::from(limit.limit) * LEARNED_PERCENT / 100).max(1);
        let events = u32::try_from(events).unwrap_or(u32::MAX);
        // What was sent before the limit was known is not held against it.
        let rate = Rate { events, per: limit.per, burst: burst.min(events).max(1) };
        self.learned = Some((Bucket::new(rate), now + LEARNED_FOR));
    }

    /// Takes one from every bucket that binds; the first complaint.
    fn take(&mut self, now: Steady) -> Option<String> {
        let paused = self.paused_until.filter(|until| now < *until);
        let configured = self.configured.as_mut().is_some_and(|bucket| !bucket.take(now));
        let learned = match &mut self.learned {
            Some((bucket, until)) if now < *until => !bucket.take(now),
            _ => false,
        };
        if let Some(until) = paused {
            return Some(format!("a 429 asked to wait for another {}", until - now));
        }
        if configured {
            return Some("more than burst + rate × time".into());
        }
        learned.then(|| "more than four fifths of the limit that a 429 stated".into())
    }
}

impl Checker {
    /// Counts one start or read.
    pub(super) fn take(&mut self, quota: Quota, project: &ProjectName, seq: u64) {
        let now = self.clock.elapsed();
        let facts = self.projects.entry(project.clone()).or_default();
        let quotas = match quota {
            Quota::Starts => &mut facts.starts,
            Quota::Reads => &mut facts.reads,
        };
        if let Some(complaint) = quotas.take(now) {
            let what = match quota {
                Quota::Starts => "start",
                Quota::Reads => "read",
            };
            self.violate(Rule::S6, seq, format!("{what} in project {project}: {complaint}"));
        }
    }

    /// A 429: its pause binds the project, its limit whomever it names.
    pub(super) fn throttled(
        &mut self,
        quota: Quota,
        project: &ProjectName,
        limit: Option<LearnedLimit>,
        retry_after: Option<Millis>,
    ) {
        let now = self.clock.elapsed();
        let pause = retry_after.unwrap_or(Millis::ZERO).clamp(Millis::ZERO, RETRY_AFTER_MAX);
        self.quotas(quota, project).paused_until = Some(now + pause);
        let Some(limit) = limit else { return };
        for (other, burst) in self.bound_by(quota, project, limit.scope) {
            self.quotas(quota, &other).learn(limit, burst, now);
        }
    }

    fn quotas(&mut self, quota: Quota, project: &ProjectName) -> &mut Quotas {
        let facts = self.projects.entry(project.clone()).or_default();
        match quota {
            Quota::Starts => &mut facts.starts,
            Quota::Reads => &mut facts.reads,
        }
    }

    fn bound_by(
        &self,
        quota: Quota,
        project: &ProjectName,
        scope: LimitScope,
    ) -> Vec<(ProjectName, u32)> {
        let Some(own) = self.settings.projects.get(project) else { return Vec::new() };
        self.settings
            .projects
            .iter()
            .filter(|(name, other)| match scope {
                LimitScope::User => other.credential == own.credential,
                LimitScope::Ip => other.host == own.host,
                LimitScope::Api | LimitScope::App => *name == project,
            })
            .map(|(name, other)| match quota {
                Quota::Starts => (name.clone(), other.upgrade_rate.burst),
                Quota::Reads => (name.clone(), other.read_rate.burst),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { events: 7, per: Millis::from_mins(1), burst: 3 };

    #[test]
    fn a_bucket_gives_its_burst_and_then_the_rate_exactly() {
        let mut bucket = Bucket::new(RATE);
        let start = Steady(1_000_000);
        for _ in 0..3 {
            assert!(bucket.take(start));
        }
        // 60,000 / 7 = 8,571.4…: the next is free only at the following millisecond.
        assert!(!bucket.clone().take(start + Millis(8_571)));
        assert!(bucket.take(start + Millis(8_572)));
        assert!(bucket.take(start + Millis(17_143)));
    }

    #[test]
    fn a_changed_rate_keeps_the_free_tokens() {
        let mut bucket = Bucket::new(RATE);
        let start = Steady(1_000_000);
        bucket.take(start);
        bucket.convert(Rate { events: 1, per: Millis::from_mins(1), burst: 5 }, start);
        assert!(bucket.take(start) && bucket.take(start));
        assert!(!bucket.take(start), "two of three were free");
    }

    #[test]
    fn a_stated_limit_binds_at_four_fifths() {
        let mut quotas = Quotas::default();
        quotas
            .configure(Rate { events: 1_000, per: Millis::from_secs(1), burst: 1_000 }, Steady(0));
        let limit = LearnedLimit { scope: LimitScope::Api, limit: 10, per: Millis::from_mins(1) };
        quotas.learn(limit, 1_000, Steady(0));
        for _ in 0..8 {
            assert_eq!(quotas.take(Steady(0)), None);
        }
        assert!(quotas.take(Steady(0)).is_some());
        assert_eq!(quotas.take(Steady(0) + LEARNED_FOR), None, "forgotten after a day");
    }
}
