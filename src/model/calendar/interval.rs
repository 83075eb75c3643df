//! Effective intervals: occurrences united, freezes subtracted, the cutoff that counts at the end.
//!
//! Found by hopping from occurrence to occurrence, never by walking time: of one window the last
//! occurrence that has opened also closes last, so two questions suffice (the last opening up to an
//! instant, the first from an instant).

use std::iter;

use super::{Calendar, End, HORIZON, Interval, LONG_AGO};
use crate::model::id::WindowName;
use crate::model::time::{Millis, Wall};

/// Occurrences chained into one interval, each way from the instant asked about: six weeks of an
/// hourly window, years of a daily one. Where they go on beyond it, the end is out of sight.
const CHAIN_MAX: usize = 1_000;

/// How many of these are taken for known where the end is out of sight. A cutoff is shorter than
/// the occurrence that it belongs to, so that the last two would do to keep clear of one.
const CHAIN_KNOWN: usize = CHAIN_MAX / 2;

impl Interval {
    /// Whether `at` is inside, as far as is known.
    pub fn contains(&self, at: Wall) -> bool {
        self.open <= at && at < self.known_until()
    }

    /// Where it ends, or how far it is known to go on: the time to ask the calendar again.
    pub fn known_until(&self) -> Wall {
        match self.end {
            End::At { close, .. } => close,
            End::OutOfSight { known_until } => known_until,
        }
    }

    /// A target may start only before this; where the end is out of sight, not without asking the
    /// calendar again.
    pub fn starts_until(&self) -> Wall {
        match self.end {
            End::At { last_start, .. } => last_start,
            End::OutOfSight { known_until } => known_until,
        }
    }

    /// `None`: no end is in sight.
    pub fn close(&self) -> Option<Wall> {
        match self.end {
            End::At { close, .. } => Some(close),
            End::OutOfSight { .. } => None,
        }
    }

    /// `None`: no end is in sight, so that no cutoff counts.
    pub fn last_start(&self) -> Option<Wall> {
        match self.end {
            End::At { last_start, .. } => Some(last_start),
            End::OutOfSight { .. } => None,
        }
    }

    /// The freeze whose start ends it, if one does.
    pub fn ended_by(&self) -> Option<&WindowName> {
        match &self.end {
            End::At { freeze, .. } => freeze.as_ref(),
            End::OutOfSight { .. } => None,
        }
    }

    /// Whether anything can start in it at `at` or later.
    pub fn allows_starts_after(&self, at: Wall) -> bool {
        self.starts_until() > self.open.max(at)
    }
}

impl Calendar {
    /// The first effective interval that closes after `at`: the one that contains `at`, else the
    /// next. `None` if nothing is open within [`HORIZON`].
    ///
    /// It may be one in which nothing can start, because a freeze left less than the cutoff:
    /// [`Interval::allows_starts_after`] tells.
    pub fn interval_at_or_after(&self, at: Wall) -> Option<Interval> {
        let horizon = at + HORIZON;
        let mut at = at;
        while at <= horizon {
            if let Some((_, thaws)) = self.freeze_at(at) {
                at = thaws;
            } else if self.is_covered(at) {
                return Some(self.interval_around(at));
            } else {
                at = self.next_opening(at)?;
            }
        }
        None
    }

    /// The effective intervals that close after `at`, in order, up to [`HORIZON`] from it. One
    /// whose end is out of sight is the last.
    pub fn intervals_after(&self, at: Wall) -> impl Iterator<Item = Interval> + '_ {
        iter::successors(self.interval_at_or_after(at), |interval| {
            self.interval_at_or_after(interval.close()?)
        })
        .take_while(move |interval| interval.open <= at + HORIZON)
    }

    /// The effective intervals that lie wholly inside `[from, until)`: what was missed if nothing
    /// ran in between.
    pub fn intervals_between(&self, from: Wall, until: Wall) -> Vec<Interval> {
        let mut found: Vec<Interval> = Vec::new();
        let mut at = from;
        while at < until {
            let next = self.interval_at_or_after(at).filter(|interval| interval.open < until);
            let Some(interval) = next else { break };
            at = interval.known_until();
            match found.last_mut() {
                // Its end was out of sight, and this is how it goes on.
                Some(part) if interval.open <= part.known_until() => {
                    let open = part.open;
                    *part = Interval { open, ..interval };
                }
                _ => found.push(interval),
            }
        }
        found.retain(|interval| from <= interval.open && interval.known_until() <= until);
        found
    }

    fn is_covered(&self, at: Wall) -> bool {
        self.windows
            .iter()
            .filter_map(|window| window.last_until(at))
            .any(|occurrence| at < occurrence.close)
    }

    fn next_opening(&self, at: Wall) -> Option<Wall> {
        let openings = self.windows.iter().filter_map(|window| window.first_from(at));
        openings.map(|occurrence| occurrence.open).min()
    }

    /// `at` is covered and not frozen.
    fn interval_around(&self, at: Wall) -> Interval {
        let open = self.chain_back(at, self.last_thaw(at));
        let next_freeze = self.next_freeze(at);
        let end = match self.chain_ahead(at, next_freeze.map(|freeze| freeze.from)) {
            Chain::GoesOn { known_until } => End::OutOfSight { known_until },
            Chain::Reaches(until) => {
                let freeze = next_freeze.filter(|freeze| freeze.from < until);
                let close = freeze.map_or(until, |freeze| freeze.from);
                let last_start = close - self.cutoff_before(close);
                End::At { close, last_start, freeze: freeze.map(|one| one.freeze.name.clone()) }
            }
        };
        let mut interval = Interval { open, end, windows: Vec::new() };
        interval.windows = self.contributors(open, interval.known_until());
        interval
    }

    /// The opening of the chain of occurrences around `at`, not before `thaw`.
    fn chain_back(&self, at: Wall, thaw: Option<Wall>) -> Wall {
        let floor = thaw.unwrap_or(Wall(i64::MIN));
        let mut open = at;
        for _ in 0..CHAIN_MAX {
            let earlier = self
                .windows
                .iter()
                .filter_map(|window| window.first_from(open - window.duration))
                .map(|occurrence| occurrence.open)
                .min()
                .filter(|earlier| *earlier < open && floor < open);
            match earlier {
                Some(earlier) => open = earlier,
                None => return open.max(floor),
            }
        }
        if open <= floor { floor } else { LONG_AGO }
    }

    /// The end of the chain of occurrences around `at`; where it passes `freeze` does not matter.
    fn chain_ahead(&self, at: Wall, freeze: Option<Wall>) -> Chain {
        let ceiling = freeze.unwrap_or(Wall(i64::MAX));
        let (mut close, mut known_until) = (at, at);
        for hop in 0..CHAIN_MAX {
            let later = self
                .windows
                .iter()
                .filter_map(|window| window.last_until(close))
                .map(|occurrence| occurrence.close)
                .max()
                .filter(|later| *later > close && close <= ceiling);
            match later {
                Some(later) => close = later,
                None => return Chain::Reaches(close),
            }
            if hop < CHAIN_KNOWN {
                known_until = close;
            }
        }
        Chain::GoesOn { known_until }
    }

    /// The largest cutoff among the occurrences that contain the instant just before `close`.
    fn cutoff_before(&self, close: Wall) -> Millis {
        self.windows
            .iter()
            .filter_map(|window| window.last_until(close - Millis(1)))
            .filter(|occurrence| occurrence.close >= close)
            .map(|occurrence| occurrence.cutoff)
            .max()
            .unwrap_or(Millis::ZERO)
    }

    fn contributors(&self, open: Wall, close: Wall) -> Vec<WindowName> {
        self.windows
            .iter()
            .filter(|window| {
                window
                    .last_until(close - Millis(1))
                    .is_some_and(|occurrence| occurrence.close > open)
            })
            .map(|window| window.name.clone())
            .collect()
    }
}

/// How far the occurrences reach from an instant without a break.
enum Chain {
    /// To their end, or past the freeze that was asked about.
    Reaches(Wall),
    /// Further than [`CHAIN_MAX`] hops.
    GoesOn { known_until: Wall },
}
