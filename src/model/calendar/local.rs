//! From local time to instants and back: the one place that knows gaps and overlaps.
//!
//! An instant outside jiff's years (-9999 to 9999) is `None` throughout.

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use crate::model::time::Wall;

/// Transitions looked at for the one that made a gap: a zone may also change its abbreviation
/// alone, but not twice within a gap.
const TRANSITIONS_MAX: usize = 4;

/// The instants that carry one local time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Instants {
    One(Wall),
    /// The clock was set back over it.
    Two {
        first: Wall,
        second: Wall,
    },
    /// The clock was set forward over it, at `resumes`: the first instant with a later local time.
    None {
        resumes: Wall,
        /// The gap holds the whole date, as at the date line: the date does not exist.
        date_skipped: bool,
    },
}

pub(super) fn instants(zone: &TimeZone, local: DateTime) -> Option<Instants> {
    match zone.to_ambiguous_timestamp(local).offset() {
        AmbiguousOffset::Unambiguous { offset } => Some(Instants::One(instant(offset, local)?)),
        AmbiguousOffset::Fold { before, after } => {
            Some(Instants::Two { first: instant(before, local)?, second: instant(after, local)? })
        }
        AmbiguousOffset::Gap { before, after } => {
            let ahead_of_gap = after.to_timestamp(local).ok()?;
            let transition = zone
                .following(ahead_of_gap)
                .take(TRANSITIONS_MAX)
                .find(|transition| transition.offset() == after)?
                .timestamp();
            let date = local.date();
            let date_skipped = before.to_datetime(transition) <= date.at(0, 0, 0, 0)
                && after.to_datetime(transition) >= date.tomorrow().ok()?.at(0, 0, 0, 0);
            Some(Instants::None { resumes: Wall(transition.as_millisecond()), date_skipped })
        }
    }
}

/// The latest local time that the zone's clock had shown by the end of the millisecond `at`: a
/// start has opened at `at` exactly if it is not after this. The local time of `at` itself, except
/// on the second pass through an overlap, where the clock had already shown all of it.
pub(super) fn latest_shown(zone: &TimeZone, at: Wall) -> Option<DateTime> {
    let end_of_millisecond =
        Timestamp::from_millisecond(at.0).ok()? + SignedDuration::from_nanos(999_999);
    let local = zone.to_datetime(end_of_millisecond);
    if let AmbiguousOffset::Fold { before, after } = zone.to_ambiguous_timestamp(local).offset()
        && zone.to_offset(end_of_millisecond) == after
    {
        let set_back = zone
            .preceding(end_of_millisecond)
            .take(TRANSITIONS_MAX)
            .find(|transition| transition.offset() == after)?
            .timestamp();
        return before.to_datetime(set_back).checked_sub(SignedDuration::from_nanos(1)).ok();
    }
    Some(local)
}

/// The year that the zone's clock shows at `at`.
pub(super) fn year(zone: &TimeZone, at: Wall) -> Option<i16> {
    Some(zone.to_datetime(Timestamp::from_millisecond(at.0).ok()?).year())
}

fn instant(offset: Offset, local: DateTime) -> Option<Wall> {
    Some(Wall(offset.to_timestamp(local).ok()?.as_millisecond()))
}
