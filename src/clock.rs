//! The process's clocks, and the guard that notices when they part.
//!
//! Steady time is set to the wall clock once, when the process starts, and grows with
//! CLOCK_BOOTTIME from then on: it counts suspends, never goes back and never jumps. The engine's
//! wall offset starts at zero and changes only by what [`ClockGuard`] reports, so that a stepped
//! wall clock moves windows and nothing else.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use crate::model::{Millis, Steady, Wall};

/// Wall and boot time may part by this much before the engine is told: less is slewing.
const STEP: Millis = Millis::from_secs(5);

/// After a step nothing starts until two samples this far apart agree.
const AGREE_OVER: Millis = Millis::from_secs(10);

/// How closely they have to agree: the most that a slewing clock moves in ten seconds, rounded up.
const AGREE_WITHIN: Millis = Millis::from_secs(1);

/// Where this process's steady time is anchored.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// Steady time minus CLOCK_BOOTTIME.
    anchor: Millis,
}

impl Clock {
    /// Sets steady time to the wall clock. Once per process: two clocks may differ.
    pub fn start() -> Clock {
        Clock { anchor: Millis(wall().0 - boot_millis()) }
    }

    pub fn steady(&self) -> Steady {
        Steady(boot_millis() + self.anchor.0)
    }

    /// Wall minus steady, now: zero at the start, and for as long as the two run alike.
    pub fn offset(&self) -> Millis {
        Millis(wall().0 - self.steady().0)
    }
}

/// The wall clock, unguarded: for log lines and file stamps, never for a decision.
pub fn wall() -> Wall {
    let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => Wall(millis(since)),
        Err(before) => Wall(-millis(before.duration())),
    }
}

/// Asked of the kernel without the C library, so that a test that shifts the wall clock of a
/// process by way of that library leaves this one alone, as a real step does.
fn boot_millis() -> i64 {
    let time = clock_gettime(ClockId::Boottime);
    time.tv_sec * 1_000 + time.tv_nsec / 1_000_000
}

/// Processor time of the calling thread so far: what others do on its core is not in it.
pub fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

/// What the guard has to tell the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockNews {
    /// Wall and steady time have parted: this is wall minus steady from now on.
    Stepped { offset: Millis },
    /// Two samples ten seconds apart agree again.
    Agreed,
}

/// Judges samples of the offset, about one a second. Pure: the samples are its only clock.
#[derive(Debug, Default)]
pub struct ClockGuard {
    /// What the engine was told last.
    told: Millis,
    /// The sample that later ones must agree with, while the clock is in doubt.
    doubt: Option<(Steady, Millis)>,
}

impl ClockGuard {
    pub fn sample(&mut self, now: Steady, offset: Millis) -> Option<ClockNews> {
        if differ(offset, self.told) > STEP {
            self.told = offset;
            self.doubt = Some((now, offset));
            return Some(ClockNews::Stepped { offset });
        }
        let (since, first) = self.doubt?;
        if differ(offset, first) > AGREE_WITHIN {
            self.doubt = Some((now, offset));
            return None;
        }
        if now - since < AGREE_OVER {
            return None;
        }
        self.doubt = None;
        Some(ClockNews::Agreed)
    }
}

fn differ(one: Millis, other: Millis) -> Millis {
    Millis((one - other).0.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Millis = Millis::from_hours(1);

    fn news(guard: &mut ClockGuard, samples: &[(i64, Millis)]) -> Vec<ClockNews> {
        samples
            .iter()
            .filter_map(|(seconds, offset)| guard.sample(Steady(seconds * 1_000), *offset))
            .collect()
    }

    #[test]
    fn a_slewing_clock_is_no_step() {
        let mut guard = ClockGuard::default();
        assert_eq!(
            news(&mut guard, &[(0, Millis(0)), (1, Millis(4_000)), (2, Millis(-5_000))]),
            []
        );
    }

    #[test]
    fn a_step_is_told_once_and_ends_when_ten_seconds_agree() {
        let mut guard = ClockGuard::default();
        let samples: Vec<_> = (0..30).map(|second| (second, HOUR)).collect();
        let expected = [ClockNews::Stepped { offset: HOUR }, ClockNews::Agreed];
        assert_eq!(news(&mut guard, &samples), expected);
    }

    #[test]
    fn agreement_waits_for_ten_quiet_seconds() {
        let mut guard = ClockGuard::default();
        let before = [(0, HOUR), (9, HOUR + Millis(1_500)), (18, HOUR + Millis(1_500))];
        assert_eq!(news(&mut guard, &before), [ClockNews::Stepped { offset: HOUR }]);
        assert_eq!(news(&mut guard, &[(19, HOUR + Millis(1_500))]), [ClockNews::Agreed]);
    }

    #[test]
    fn a_second_step_in_doubt_is_told_too() {
        let mut guard = ClockGuard::default();
        let told = news(&mut guard, &[(0, HOUR), (3, Millis(0))]);
        let expected =
            [ClockNews::Stepped { offset: HOUR }, ClockNews::Stepped { offset: Millis(0) }];
        assert_eq!(told, expected);
    }

    #[test]
    fn steady_time_starts_at_the_wall_clock_and_never_goes_back() {
        let clock = Clock::start();
        assert!(clock.offset().0.abs() < STEP.0);
        let first = clock.steady();
        assert!(clock.steady() >= first);
    }
}
