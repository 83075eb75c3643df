//! The checker's own line of elapsed time, across processes and clock steps.
//!
//! Within a process it grows with steady time. From one process to the next it grows by the wall
//! clock, since nothing else was measured, and never shrinks.

use crate::model::{Millis, Steady, Wall};

#[derive(Debug, Clone)]
pub(super) struct Clock {
    offset: Millis,
    /// Elapsed minus steady.
    shift: Millis,
    now: Steady,
    /// The last instant of the process before, until this one has said what time it is.
    handed_over: Option<(Steady, Wall)>,
    is_set: bool,
}

impl Clock {
    /// `last_at`: when an earlier process last wrote. The line goes on from there, as the instants
    /// of its rows have it.
    pub fn new(offset: Millis, last_at: Option<Wall>) -> Clock {
        let handed_over = last_at.map(|at| (Steady(at.0), at));
        Clock { offset, shift: Millis::ZERO, now: Steady(0), handed_over, is_set: false }
    }

    /// Another process begins.
    pub fn restart(&mut self, offset: Millis) {
        if self.is_set {
            self.handed_over = Some((self.elapsed(), self.wall()));
        }
        self.offset = offset;
    }

    pub fn set(&mut self, now: Steady) {
        self.now = now;
        self.is_set = true;
        if let Some((elapsed, wall)) = self.handed_over.take() {
            let since = (self.wall() - wall).max(Millis::ZERO);
            self.shift = elapsed + since - now;
        }
    }

    pub fn step(&mut self, offset: Millis) {
        self.offset = offset;
    }

    pub fn wall(&self) -> Wall {
        Wall(self.now.0) + self.offset
    }

    pub fn elapsed(&self) -> Steady {
        self.now + self.shift
    }

    /// When the wall clock, as it goes now, will show or showed `wall`.
    pub fn elapsed_at(&self, wall: Wall) -> Steady {
        self.elapsed() + (wall - self.wall())
    }

    /// A steady instant of this process on the line of elapsed time.
    pub fn elapsed_of(&self, steady: Steady) -> Steady {
        steady + self.shift
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_step_moves_the_wall_and_not_the_elapsed_time() {
        let mut clock = Clock::new(Millis::ZERO, None);
        clock.set(Steady(1_000));
        clock.step(Millis::from_hours(2));
        clock.set(Steady(1_500));
        assert_eq!(clock.elapsed(), Steady(1_500));
        assert_eq!(clock.wall(), Wall(1_500) + Millis::from_hours(2));
    }

    #[test]
    fn a_new_process_continues_by_the_wall_clock() {
        let mut clock = Clock::new(Millis::from_hours(1), None);
        clock.set(Steady(0));
        let wall = clock.wall();
        clock.restart(Millis::ZERO);
        clock.set(Steady(wall.0 + 5_000));
        assert_eq!(clock.elapsed(), Steady(5_000));
        clock.restart(Millis::ZERO);
        clock.set(Steady(wall.0));
        assert_eq!(clock.elapsed(), Steady(5_000), "a clock set back takes no time away");
    }

    #[test]
    fn whoever_begins_with_rows_goes_on_from_where_they_end() {
        for (wall, elapsed) in [(9_000, 10_000), (10_000, 10_000), (12_000, 12_000)] {
            let mut clock = Clock::new(Millis::ZERO, Some(Wall(10_000)));
            clock.restart(Millis::ZERO);
            clock.set(Steady(wall));
            assert_eq!(clock.elapsed(), Steady(elapsed), "at {wall}");
        }
    }
}
