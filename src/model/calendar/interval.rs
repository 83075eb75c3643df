//! Effective intervals: occurrences united, freezes subtracted, the cutoff that counts at the end.
//!
//! Found by hopping from occurrence to occurrence, never by walking time: of one window the last
//! occurrence that has opened also closes last, so two questions suffice (the last opening up to an
//! instant, the first from an instant).

use std::iter;

use super::{Calendar, HORIZON, Interval};
use crate::model::id::WindowName;
use crate::model::time::{Millis, Wall};

/// Occurrences chained into one interval, each way from the instant asked about: six weeks of an
/// hourly window, years of a daily one. Beyond it windows that never close are reported in parts:
/// such a part has no cutoff at its end, and its neighbours overlap or touch it.
const CHAIN_MAX: usize = 1_000;

impl Calendar {
    /// The first effective interval that closes after `at`: the one that contains `at`, else the
    /// next. `None` if nothing is open within [`HORIZON`].
    ///
    /// It may be one in which nothing can start, because a freeze left less than the cutoff:
    /// compare with `last_start`.
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

    /// The effective intervals that close after `at`, in order, up to [`HORIZON`] from it.
    pub fn intervals_after(&self, at: Wall) -> impl Iterator<Item = Interval> + '_ {
        iter::successors(self.interval_at_or_after(at), |interval| {
            self.interval_at_or_after(interval.close)
        })
        .take_while(move |interval| interval.open <= at + HORIZON)
    }

    /// The effective intervals that lie wholly inside `[from, until)`: what was missed if nothing
    /// ran in between.
    pub fn intervals_between(&self, from: Wall, until: Wall) -> Vec<Interval> {
        let mut found: Vec<Interval> = Vec::new();
        for interval in self.intervals_after(from).take_while(|interval| interval.open < until) {
            match found.last_mut() {
                Some(part) if interval.open <= part.close => {
                    let open = part.open;
                    *part = Interval { open, ..interval };
                }
                _ => found.push(interval),
            }
        }
        found.retain(|interval| from <= interval.open && interval.close <= until);
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
        let chain = self.chain_ahead(at, next_freeze.map(|freeze| freeze.from));
        let freeze = next_freeze.filter(|freeze| freeze.from < chain.until());
        let close = freeze.map_or(chain.until(), |freeze| freeze.from);
        let cutoff = match (&freeze, chain) {
            (None, Chain::GoesOn(_)) => Millis::ZERO,
            _ => self.cutoff_before(close),
        };
        Interval {
            open,
            close,
            last_start: close - cutoff,
            windows: self.contributors(open, close),
            ended_by: freeze.map(|freeze| freeze.freeze.name.clone()),
        }
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
                None => break,
            }
        }
        open.max(floor)
    }

    /// The end of the chain of occurrences around `at`; where it passes `freeze` does not matter.
    fn chain_ahead(&self, at: Wall, freeze: Option<Wall>) -> Chain {
        let ceiling = freeze.unwrap_or(Wall(i64::MAX));
        let mut close = at;
        for _ in 0..CHAIN_MAX {
            let later = self
                .windows
                .iter()
                .filter_map(|window| window.last_until(close))
                .map(|occurrence| occurrence.close)
                .max()
                .filter(|later| *later > close && close <= ceiling);
            match later {
                Some(later) => close = later,
                None => return Chain::Ends(close),
            }
        }
        Chain::GoesOn(close)
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
#[derive(Clone, Copy)]
enum Chain {
    Ends(Wall),
    /// Longer than [`CHAIN_MAX`] hops: not an end, only as far as was looked.
    GoesOn(Wall),
}

impl Chain {
    fn until(self) -> Wall {
        match self {
            Chain::Ends(until) | Chain::GoesOn(until) => until,
        }
    }
}
