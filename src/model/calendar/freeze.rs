//! Freezes as instants: where each one begins and ends, and which one holds when.
//!
//! A bound in an overlap is read so that the freeze is the longer: `from` is the first of the two
//! instants, `until` the second. A bound inside a gap is the instant at which the clock resumes:
//! no local time lies between, so nothing is lost. In common years 29 February is the 28th; where
//! that would end a yearly freeze before it begins, it ends on 1 March instead.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::local::{self, Instants};
use super::{Calendar, Freeze};
use crate::model::id::{CampaignName, ProjectName};
use crate::model::time::Wall;

/// Years before the one asked about in which a yearly freeze may have begun that still holds: one
/// for New Year, one more for the zone's own New Year. A longer one covers every instant anyway.
const YEARS_BACK: i16 = 2;

/// A leap cycle, to tell whether a yearly freeze leaves anything free.
const LEAP_CYCLE: std::ops::Range<i16> = 2024..2033;

/// One concrete `[from, until)` of a freeze.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Frozen<'c> {
    pub freeze: &'c Freeze,
    pub from: Wall,
    /// First instant that is no longer frozen by it.
    pub until: Wall,
}

impl Freeze {
    /// Whether its scope holds this campaign and this project; an empty list holds all.
    pub fn applies_to(&self, campaign: &CampaignName, project: &ProjectName) -> bool {
        (self.campaigns.is_empty() || self.campaigns.contains(campaign))
            && (self.projects.is_empty() || self.projects.contains(project))
    }

    /// Whether it leaves no instant free: a yearly one that lasts a year or longer.
    pub fn covers_everything(&self) -> bool {
        self.every_year
            && LEAP_CYCLE.clone().all(|year| {
                match (self.local_bounds(year), self.local_bounds(year + 1)) {
                    (Some((_, until)), Some((next, _))) => until >= next,
                    _ => false,
                }
            })
    }

    /// Its stretches that touch `[from, until)`, or lie next to it by up to a year, by beginning.
    fn around(&self, from: Wall, until: Wall) -> impl Iterator<Item = Frozen<'_>> {
        let asked = local::year(&self.zone, from).zip(local::year(&self.zone, until));
        let years = match asked {
            Some((first, last)) if self.every_year => first - YEARS_BACK..=last + 1,
            _ => self.from.year()..=self.from.year(),
        };
        years.filter_map(|year| self.in_year(year))
    }

    /// The stretch that begins in `year`.
    fn in_year(&self, year: i16) -> Option<Frozen<'_>> {
        let (from, until) = self.local_bounds(year)?;
        let (from, until) = (earliest(&self.zone, from)?, latest(&self.zone, until)?);
        (from < until).then_some(Frozen { freeze: self, from, until })
    }

    fn local_bounds(&self, year: i16) -> Option<(DateTime, DateTime)> {
        let from = in_year(self.from, year)?;
        let until_year = year.checked_add(self.until.year() - self.from.year())?;
        let until = in_year(self.until, until_year)?;
        if until > from || self.until.day() != 29 {
            return Some((from, until));
        }
        Some((from, until.date().tomorrow().ok()?.to_datetime(until.time())))
    }
}

impl Calendar {
    /// The freeze that holds at `at`, and when it ends; of several the one that ends last. Another
    /// may begin at that very instant.
    pub fn freeze_at(&self, at: Wall) -> Option<(&Freeze, Wall)> {
        self.freezes
            .iter()
            .flat_map(|freeze| freeze.around(at, at))
            .filter(|frozen| frozen.from <= at && at < frozen.until)
            .max_by_key(|frozen| frozen.until)
            .map(|frozen| (frozen.freeze, frozen.until))
    }

    /// Every stretch of a freeze that overlaps `[from, until)`, by beginning.
    pub fn freezes_between(&self, from: Wall, until: Wall) -> Vec<Frozen<'_>> {
        let mut found: Vec<_> = self
            .freezes
            .iter()
            .flat_map(|freeze| freeze.around(from, until))
            .filter(|frozen| frozen.from < until && from < frozen.until)
            .collect();
        found.sort_by_key(|frozen| (frozen.from, frozen.until));
        found
    }

    /// The end of the last freeze that ended at `at` or earlier.
    pub(super) fn last_thaw(&self, at: Wall) -> Option<Wall> {
        self.freezes
            .iter()
            .flat_map(|freeze| freeze.around(at, at))
            .map(|frozen| frozen.until)
            .filter(|until| *until <= at)
            .max()
    }

    /// The first freeze that begins after `at`.
    pub(super) fn next_freeze(&self, at: Wall) -> Option<Frozen<'_>> {
        self.freezes
            .iter()
            .flat_map(|freeze| freeze.around(at, at))
            .filter(|frozen| frozen.from > at)
            .min_by_key(|frozen| frozen.from)
    }
}

/// The same month, day and time in another year; 29 February is the 28th where there is none.
fn in_year(local: DateTime, year: i16) -> Option<DateTime> {
    let first = local.date().first_of_month().with().year(year).build().ok()?;
    let day = local.day().min(first.days_in_month());
    Some(first.with().day(day).build().ok()?.to_datetime(local.time()))
}

fn earliest(zone: &TimeZone, local: DateTime) -> Option<Wall> {
    Some(match local::instants(zone, local)? {
        Instants::One(at) | Instants::Two { first: at, .. } => at,
        Instants::None { resumes, .. } => resumes,
    })
}

fn latest(zone: &TimeZone, local: DateTime) -> Option<Wall> {
    Some(match local::instants(zone, local)? {
        Instants::One(at) | Instants::Two { second: at, .. } => at,
        Instants::None { resumes, .. } => resumes,
    })
}
