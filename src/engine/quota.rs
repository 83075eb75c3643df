//! Rate quotas: a governor limiter on a clock and a state that the engine owns.
//!
//! So rehearsal paces exactly as production does, and a restart finds the state again instead of
//! being granted a whole burst (rule S6). Only `check` draws; looking ahead reads the same state.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{NotKeyed, StateStore};
use governor::{Quota, RateLimiter};

use crate::model::classify::RETRY_AFTER_MAX;
use crate::model::policy::Rate;
use crate::model::{LearnedLimit, Millis, Steady, Wall};

use super::rows::BucketRow;

/// The share of a stated limit that Refit takes: others use the same credential.
const LEARNED_PERCENT: u64 = 80;

/// A stated limit is forgotten after this.
const LEARNED_FOR: Millis = Millis::from_hours(24);

#[derive(Debug, Clone, Default)]
struct EngineClock(Arc<AtomicU64>);

impl Clock for EngineClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

/// The theoretical arrival time, in nanoseconds of the steady clock.
#[derive(Debug, Clone, Default)]
struct Arrival(Arc<AtomicU64>);

impl StateStore for Arrival {
    type Key = NotKeyed;

    fn measure_and_replace<T, F, E>(&self, _: &NotKeyed, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let before = Some(Nanos::new(self.0.load(Ordering::Relaxed)));
        let (outcome, after) = decide(before)?;
        self.0.store(after.as_u64(), Ordering::Relaxed);
        Ok(outcome)
    }
}

/// One quota of one project: starts or reads.
#[derive(Debug)]
pub(super) struct Bucket {
    clock: EngineClock,
    arrival: Arrival,
    limiter: RateLimiter<NotKeyed, Arrival, EngineClock, NoOpMiddleware<Duration>>,
    configured: Rate,
    effective: Rate,
    /// How many projects share a learned limit.
    sharers: u32,
    learned: Option<(LearnedLimit, Steady)>,
    paused_until: Option<Steady>,
}

impl Bucket {
    pub(super) fn new(rate: Rate) -> Bucket {
        let (clock, arrival) = (EngineClock::default(), Arrival::default());
        let limiter = RateLimiter::new(quota(rate), arrival.clone(), clock.clone());
        Bucket {
            clock,
            arrival,
            limiter,
            configured: rate,
            effective: rate,
            sharers: 1,
            learned: None,
            paused_until: None,
        }
    }

    /// The state as it was stored, in tokens of the rate that it was stored under; `set_rate` then
    /// brings it to the file's. A row from a clock that was ahead waits no longer than any would.
    pub(super) fn restore(
        rate: Rate,
        row: &BucketRow,
        (now, offset): (Steady, Millis),
        sharers: u32,
    ) -> Bucket {
        let mut bucket = Bucket::new(row.rate.unwrap_or(rate));
        bucket.sharers = sharers.max(1);
        let arrival_us = (row.arrival_us - offset.0 * 1_000).max(0).unsigned_abs();
        bucket.arrival.0.store(arrival_us * 1_000, Ordering::Relaxed);
        let latest_pause = now + RETRY_AFTER_MAX;
        bucket.paused_until =
            row.paused_until.map(|until| Steady(until.0 - offset.0).min(latest_pause));
        let learned = row.learned.zip(row.learned_at);
        bucket.learned = learned.map(|(limit, at)| (limit, Steady(at.0 - offset.0).min(now)));
        // The stored arrival is in the learned rate's terms already: nothing is converted.
        let stored_rate = bucket.rate();
        bucket.limit_to(stored_rate);
        let emptied = ns(now) + bucket.interval_ns() * u64::from(stored_rate.burst);
        bucket.arrival.0.fetch_min(emptied, Ordering::Relaxed);
        bucket.set_rate(now, rate);
        bucket
    }

    pub(super) fn row(&self, offset: Millis) -> BucketRow {
        let wall = |at: Steady| Wall(at.0 + offset.0);
        // Rounded up: a restart may wait a microsecond longer, never shorter.
        let arrival_us = self.arrival.0.load(Ordering::Relaxed).div_ceil(1_000);
        BucketRow {
            rate: Some(self.configured),
            arrival_us: arrival_us.cast_signed() + offset.0 * 1_000,
            paused_until: self.paused_until.map(wall),
            learned: self.learned.map(|(limit, _)| limit),
            learned_at: self.learned.map(|(_, at)| wall(at)),
        }
    }

    /// Takes one token if there is one.
    pub(super) fn draw(&mut self, now: Steady) -> bool {
        self.forget(now);
        if self.paused_until.is_some_and(|until| now < until) {
            return false;
        }
        self.set_clock(now);
        self.limiter.check().is_ok()
    }

    /// When the next token is there; `now` or earlier means at once.
    pub(super) fn next_at(&self, now: Steady) -> Steady {
        let tolerance = self.interval_ns() * u64::from(self.effective.burst - 1);
        let earliest_ns = self.arrival.0.load(Ordering::Relaxed).saturating_sub(tolerance);
        let earliest = Steady(earliest_ns.div_ceil(1_000_000).cast_signed());
        self.paused_until.map_or(earliest, |until| earliest.max(until)).max(now)
    }

    /// How many tokens there will be by `at` if none is drawn before.
    pub(super) fn tokens_by(&self, at: Steady) -> u32 {
        if self.paused_until.is_some_and(|until| at < until) {
            return 0;
        }
        let at_ns = ns(at);
        let arrival = self.arrival.0.load(Ordering::Relaxed).max(at_ns.saturating_sub(
            // Older credit than a whole burst is not kept.
            self.interval_ns() * u64::from(self.effective.burst),
        ));
        let tolerance = self.interval_ns() * u64::from(self.effective.burst - 1);
        let credit = (at_ns + tolerance).checked_sub(arrival);
        let burst = u64::from(self.effective.burst);
        credit.map_or(0, |credit| (credit / self.interval_ns() + 1).min(burst)) as u32
    }

    /// After a 429: nothing before `until`, and the stated limit is respected from now on.
    pub(super) fn pause(&mut self, until: Steady) {
        self.paused_until = Some(self.paused_until.map_or(until, |before| before.max(until)));
    }

    pub(super) fn paused_until(&self, now: Steady) -> Option<Steady> {
        self.paused_until.filter(|until| now < *until)
    }

    /// The limit that a 429 stated, where it is what paces this quota now.
    pub(super) fn learned(&self) -> Option<LearnedLimit> {
        let (limit, _) = self.learned?;
        (self.effective != self.configured).then_some(limit)
    }

    pub(super) fn learn(&mut self, now: Steady, limit: LearnedLimit, sharers: u32) {
        self.learned = Some((limit, now));
        self.sharers = sharers.max(1);
        self.apply_rate(now);
    }

    pub(super) fn set_rate(&mut self, now: Steady, rate: Rate) {
        self.configured = rate;
        self.apply_rate(now);
    }

    fn forget(&mut self, now: Steady) {
        if self.learned.is_some_and(|(_, at)| now - at >= LEARNED_FOR) {
            self.learned = None;
            self.apply_rate(now);
        }
    }

    /// Converts the state in tokens: what was missing before is missing after, never less.
    fn apply_rate(&mut self, now: Steady) {
        let rate = self.rate();
        if rate == self.effective {
            return;
        }
        let (old, now_ns) = (self.interval_ns(), ns(now));
        let missing_ns = self.arrival.0.load(Ordering::Relaxed).saturating_sub(now_ns);
        let missing = missing_ns.div_ceil(old).min(u64::from(self.effective.burst));
        let free = u64::from(self.effective.burst) - missing;
        self.effective = rate;
        let burst = u64::from(rate.burst);
        let missing = burst - free.min(burst);
        if missing_ns > 0 || missing > 0 {
            self.arrival.0.store(now_ns + missing * self.interval_ns(), Ordering::Relaxed);
        }
        self.limit_to(rate);
    }

    fn rate(&self) -> Rate {
        self.learned.map_or(self.configured, |(limit, _)| {
            slower(self.configured, learned_rate(limit, self.sharers))
        })
    }

    /// A limiter of this rate on the same state, whose instants count from zero.
    fn limit_to(&mut self, rate: Rate) {
        self.effective = rate;
        let start = self.clock.0.swap(0, Ordering::Relaxed);
        self.limiter = RateLimiter::new(quota(rate), self.arrival.clone(), self.clock.clone());
        self.clock.0.store(start, Ordering::Relaxed);
    }

    fn interval_ns(&self) -> u64 {
        interval(self.effective).as_nanos() as u64
    }

    fn set_clock(&self, now: Steady) {
        self.clock.0.store(ns(now), Ordering::Relaxed);
    }
}

fn ns(at: Steady) -> u64 {
    at.0.max(0).unsigned_abs() * 1_000_000
}

/// Between two tokens, rounded up so that the rate is never exceeded.
fn interval(rate: Rate) -> Duration {
    let per_ns = rate.per.0.max(1).unsigned_abs() * 1_000_000;
    Duration::from_nanos(per_ns.div_ceil(u64::from(rate.events.max(1))))
}

fn quota(rate: Rate) -> Quota {
    let burst = NonZeroU32::new(rate.burst).unwrap_or(NonZeroU32::MIN);
    Quota::with_period(interval(rate)).expect("an interval is never zero").allow_burst(burst)
}

fn learned_rate(limit: LearnedLimit, sharers: u32) -> Rate {
    let share = u64::from(limit.limit) * LEARNED_PERCENT / 100 / u64::from(sharers);
    // A share below one event per period becomes one event per longer period.
    if share == 0 {
        let per = limit.per.0 * i64::from(sharers) * 100 / LEARNED_PERCENT.cast_signed();
        return Rate { events: 1, per: Millis(per / i64::from(limit.limit.max(1))), burst: 1 };
    }
    Rate { events: share as u32, per: limit.per, burst: share as u32 }
}

/// The lower rate of the two, with the smaller burst. A stated limit counts whole windows, so its
/// burst is taken off its rate by halving both.
fn slower(configured: Rate, learned: Rate) -> Rate {
    let burst = configured.burst.min(learned.burst.div_ceil(2));
    let learned_interval = interval(learned).mul_f64(if learned.burst > 1 { 2.0 } else { 1.0 });
    if interval(configured) >= learned_interval {
        return Rate { burst, ..configured };
    }
    let per = Millis(learned_interval.as_millis() as i64 + 1);
    Rate { events: 1, per, burst }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::LimitScope;

    const RATE: Rate = Rate { events: 20, per: Millis::from_mins(1), burst: 5 };

    fn drain(bucket: &mut Bucket, from: i64, to: i64) -> u32 {
        (from..to).filter(|&ms| bucket.draw(Steady(ms))).count() as u32
    }

    #[test]
    fn starts_never_exceed_burst_plus_rate() {
        let mut bucket = Bucket::new(RATE);
        assert_eq!(drain(&mut bucket, 1_000_000, 1_000_001 + 60_000), 5 + 20);
    }

    #[test]
    fn looking_ahead_agrees_with_drawing() {
        let mut bucket = Bucket::new(RATE);
        let now = Steady(1_000_000);
        for left in (0..5).rev() {
            assert_eq!(bucket.tokens_by(now), left + 1);
            assert!(bucket.draw(now));
        }
        assert_eq!(bucket.tokens_by(now), 0);
        assert_eq!(bucket.next_at(now), now + Millis(3_000));
        assert_eq!(bucket.tokens_by(now + Millis(3_000)), 1);
        assert!(!bucket.draw(now + Millis(2_999)));
        assert!(bucket.draw(now + Millis(3_000)));
    }

    #[test]
    fn a_restart_grants_no_second_burst() {
        let mut bucket = Bucket::new(RATE);
        let now = Steady(1_000_000);
        assert_eq!((0..9).filter(|_| bucket.draw(now)).count(), 5);
        let row = bucket.row(Millis(500));
        let mut again = Bucket::restore(RATE, &row, (now, Millis(500)), 1);
        assert!(!again.draw(now + Millis(2_990)));
        assert!(again.draw(now + Millis(3_001)));
        assert!(!again.draw(now + Millis(3_002)));
    }

    #[test]
    fn a_stated_limit_is_respected_and_forgotten_after_a_day() {
        let fast = Rate { events: 100, per: Millis::from_secs(1), burst: 100 };
        let mut bucket = Bucket::new(fast);
        let now = Steady(1_000_000);
        let limit = LearnedLimit { scope: LimitScope::User, limit: 60, per: Millis::from_mins(1) };
        bucket.learn(now, limit, 1);
        assert!(drain(&mut bucket, now.0, now.0 + 60_000) <= 48);
        let later = now + LEARNED_FOR;
        assert!(drain(&mut bucket, later.0, later.0 + 1_000) >= 100);
    }

    #[test]
    fn a_restart_under_a_learned_limit_grants_no_second_burst() {
        let fast = Rate { events: 100, per: Millis::from_secs(1), burst: 100 };
        let limit = LearnedLimit { scope: LimitScope::User, limit: 60, per: Millis::from_mins(1) };
        let mut bucket = Bucket::new(fast);
        let now = Steady(1_772_409_600_000);
        bucket.learn(now, limit, 1);
        let before = drain(&mut bucket, now.0, now.0 + 1_000);
        assert!(before > 1);
        let mut again = Bucket::restore(fast, &bucket.row(Millis::ZERO), (now, Millis::ZERO), 1);
        assert_eq!(drain(&mut again, now.0 + 1_000, now.0 + 2_000), 0);
    }

    #[test]
    fn a_pause_holds_until_its_end() {
        let mut bucket = Bucket::new(RATE);
        bucket.pause(Steady(5_000));
        assert!(!bucket.draw(Steady(4_999)));
        assert_eq!(bucket.next_at(Steady(0)), Steady(5_000));
        assert!(bucket.draw(Steady(5_000)));
    }
}
