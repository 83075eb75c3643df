//! Windows and freezes: as operators meet them, with instants worked out by hand from the zones'
//! published changes, and against a brute-force oracle.

mod clock_changes;
mod freezes;
mod intervals;
mod oracle;
mod properties;

use jiff::civil::{self, Weekday};
use jiff::tz::TimeZone;
use refit::model::calendar::{Calendar, End, Freeze, Interval, LONG_AGO, Occurrence, Rule, Window};
use refit::model::{Millis, Wall};

pub fn wall(text: &str) -> Wall {
    Wall(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

pub fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}

fn weekly(days: &[Weekday], start: &str) -> Rule {
    Rule::Weekly { days: days.to_vec(), start: start.parse().unwrap() }
}

fn every_day(start: &str) -> Rule {
    weekly(&Weekday::Monday.cycle_forward().take(7).collect::<Vec<_>>(), start)
}

fn cron(text: &str) -> Rule {
    Rule::cron(text).unwrap()
}

fn once(at: &str) -> Rule {
    Rule::Once { at: at.parse().unwrap() }
}

/// With a cutoff of ten minutes.
fn window(name: &str, zone_name: &str, rule: Rule, hours: i64) -> Window {
    Window {
        name: name.into(),
        rule,
        duration: Millis::from_hours(hours),
        cutoff: Millis::from_mins(10),
        zone: zone(zone_name),
    }
}

fn with_cutoff(window: Window, minutes: i64) -> Window {
    Window { cutoff: Millis::from_mins(minutes), ..window }
}

fn freeze(name: &str, zone_name: &str, from: &str, until: &str) -> Freeze {
    Freeze {
        name: name.into(),
        from: from.parse().unwrap(),
        until: until.parse().unwrap(),
        every_year: false,
        zone: zone(zone_name),
        projects: Vec::new(),
        campaigns: Vec::new(),
    }
}

fn yearly(name: &str, zone_name: &str, from: &str, until: &str) -> Freeze {
    Freeze { every_year: true, ..freeze(name, zone_name, from, until) }
}

fn calendar(windows: &[Window], freezes: &[Freeze]) -> Calendar {
    Calendar { windows: windows.to_vec(), freezes: freezes.to_vec() }
}

fn minute(at: Wall) -> String {
    at.rfc3339().replace(":00.000Z", "Z")
}

/// `open / last start / close`, in UTC.
fn shown(interval: &Interval) -> String {
    let end = match &interval.end {
        End::At { close, last_start, .. } => {
            format!("{} / {}", minute(*last_start), minute(*close))
        }
        End::OutOfSight { .. } => "no end in sight".into(),
    };
    let open = if interval.open == LONG_AGO { "long ago".into() } else { minute(interval.open) };
    format!("{open} / {end}")
}

fn next(calendar: &Calendar, at: &str) -> String {
    calendar.interval_at_or_after(wall(at)).as_ref().map_or("never".into(), shown)
}

fn openings(window: &Window, after: &str, count: usize) -> Vec<String> {
    window.occurrences_after(wall(after)).take(count).map(|found| minute(found.open)).collect()
}

fn first(window: &Window, after: &str) -> Occurrence {
    window.occurrences_after(wall(after)).next().unwrap()
}
