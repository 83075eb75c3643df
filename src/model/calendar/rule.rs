//! The local starts of a rule, next and last. No zone here: gaps and overlaps come afterwards.

use std::iter;

use jiff::civil::{Date, DateTime, Time, Weekday};

use super::{Rule, cron};

/// One week and its first day again: a weekly start may lie just across either end.
const WEEK_DAYS: usize = 8;

impl Rule {
    /// The first start later than `local`.
    pub(super) fn first_after(&self, local: DateTime) -> Option<DateTime> {
        match self {
            Rule::Weekly { days, start } => {
                let ahead = iter::successors(Some(local.date()), |date| date.tomorrow().ok());
                starts_on(days, *start, ahead).find(|start| *start > local)
            }
            Rule::Cron { pattern, .. } => cron::first_after(pattern, local),
            Rule::Once { at } => Some(*at).filter(|at| *at > local),
        }
    }

    /// The last start not later than `local`.
    pub(super) fn last_until(&self, local: DateTime) -> Option<DateTime> {
        match self {
            Rule::Weekly { days, start } => {
                let back = iter::successors(Some(local.date()), |date| date.yesterday().ok());
                starts_on(days, *start, back).find(|start| *start <= local)
            }
            Rule::Cron { pattern, .. } => cron::last_until(pattern, local),
            Rule::Once { at } => Some(*at).filter(|at| *at <= local),
        }
    }
}

fn starts_on(
    days: &[Weekday],
    start: Time,
    dates: impl Iterator<Item = Date>,
) -> impl Iterator<Item = DateTime> {
    dates
        .take(WEEK_DAYS)
        .filter(|date| days.contains(&date.weekday()))
        .map(move |date| date.to_datetime(start))
}
