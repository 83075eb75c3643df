//! One window's occurrences, by instant.

use std::iter;

use jiff::SignedDuration;
use jiff::civil::DateTime;

use super::local::{self, Instants};
use super::{HORIZON, Window};
use crate::model::time::{Millis, Wall};

/// Dates in a row that a zone may have skipped where an occurrence is looked for: Samoa skipped
/// one in 2011, and no zone two running.
const SKIPPED_DATES_MAX: usize = 3;

/// One concrete `[open, close)` of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occurrence {
    /// The start as the rule has it, in the window's zone; the window belongs to this day.
    pub local: DateTime,
    pub open: Wall,
    /// First instant that is no longer inside.
    pub close: Wall,
    /// Counts from the end of the interval, which is `close` only where nothing else intervenes.
    pub cutoff: Millis,
    /// The clock was set forward over `local`, and `open` is where it resumed.
    pub shifted_by_gap: bool,
    /// `local` comes twice that day, and `open` is the first of the two.
    pub first_of_two: bool,
}

impl Window {
    /// The occurrences whose close is after `at`, by opening: those that contain `at` come first.
    /// Ends with the last one that opens within [`HORIZON`] of `at`. Starts that a gap moves to the
    /// same instant are one occurrence, the first of them.
    pub fn occurrences_after(&self, at: Wall) -> impl Iterator<Item = Occurrence> + '_ {
        let after_close = at - self.duration + Millis(1);
        iter::successors(self.first_from(after_close), |occurrence| {
            self.first_from(occurrence.open + Millis(1))
        })
        .take_while(move |occurrence| occurrence.open <= at + HORIZON)
    }

    /// The first occurrence that opens at `at` or later, within [`HORIZON`].
    pub(super) fn first_from(&self, at: Wall) -> Option<Occurrence> {
        let mut start = self.rule.first_after(local::latest_shown(&self.zone, at - Millis(1))?)?;
        for _ in 0..SKIPPED_DATES_MAX {
            match self.occurrence(start)? {
                Start::Opens(occurrence) => {
                    // Else whoever asks again from here would never get on.
                    assert!(occurrence.open >= at, "{start} opens before {}", at.rfc3339());
                    return Some(occurrence).filter(|found| found.open <= at + HORIZON);
                }
                Start::DateSkipped => {
                    let next_date = start.date().tomorrow().ok()?.at(0, 0, 0, 0);
                    start = self.rule.first_after(just_before(next_date)?)?;
                }
            }
        }
        None
    }

    /// The last occurrence that opens at `at` or earlier.
    pub(super) fn last_until(&self, at: Wall) -> Option<Occurrence> {
        let mut start = self.rule.last_until(local::latest_shown(&self.zone, at)?)?;
        for _ in 0..SKIPPED_DATES_MAX {
            match self.occurrence(start)? {
                Start::Opens(occurrence) => return Some(occurrence),
                Start::DateSkipped => {
                    start = self.rule.last_until(just_before(start.date().at(0, 0, 0, 0))?)?;
                }
            }
        }
        None
    }

    fn occurrence(&self, local: DateTime) -> Option<Start> {
        let instants = local::instants(&self.zone, local)?;
        let open = match instants {
            Instants::One(open) | Instants::Two { first: open, .. } => open,
            Instants::None { date_skipped: true, .. } => return Some(Start::DateSkipped),
            Instants::None { resumes, date_skipped: false } => resumes,
        };
        Some(Start::Opens(Occurrence {
            local,
            open,
            close: open + self.duration,
            cutoff: self.cutoff,
            shifted_by_gap: matches!(instants, Instants::None { .. }),
            first_of_two: matches!(instants, Instants::Two { .. }),
        }))
    }
}

/// What becomes of a local start.
enum Start {
    Opens(Occurrence),
    DateSkipped,
}

fn just_before(local: DateTime) -> Option<DateTime> {
    local.checked_sub(SignedDuration::from_nanos(1)).ok()
}
