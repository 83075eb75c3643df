//! Instants as people read and write them: local time with its offset, or UTC.
//!
//! Instants are shown to the second. Those that are read side by side, such as the rows of a table,
//! are shown to the minute where none of them has seconds: [`Clock::for_all`].

use jiff::civil;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::model::{Millis, Wall};

use super::failure::Failure;

/// The zone that times are shown and read in, and how exactly.
#[derive(Debug, Clone)]
pub struct Clock {
    pub zone: TimeZone,
    precision: Precision,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Precision {
    Minutes,
    Seconds,
}

/// What a bare duration such as `2h` means for an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relative {
    /// Two hours ago.
    Ago,
    /// In two hours.
    FromNow,
}

const SECOND_MS: i64 = 1_000;

const MINUTE_MS: i64 = 60 * SECOND_MS;

/// From here on the day of the week is ambiguous.
const WEEK_HOURS: i64 = 6 * 24;

pub fn now() -> Wall {
    Wall(Timestamp::now().as_millisecond())
}

impl Clock {
    pub fn new(zone: TimeZone) -> Clock {
        Clock { zone, precision: Precision::Seconds }
    }

    pub fn utc() -> Clock {
        Clock::new(TimeZone::UTC)
    }

    /// The same instants, as exactly, in UTC.
    pub fn in_utc(&self) -> Clock {
        Clock { zone: TimeZone::UTC, precision: self.precision }
    }

    /// The clock for instants that are read side by side: to the minute if none has seconds.
    pub fn for_all(&self, instants: impl IntoIterator<Item = Wall>) -> Clock {
        let has_seconds = instants.into_iter().any(|at| at.0.rem_euclid(MINUTE_MS) >= SECOND_MS);
        let precision = if has_seconds { Precision::Seconds } else { Precision::Minutes };
        Clock { zone: self.zone.clone(), precision }
    }

    /// `Sat 2026-11-28 23:30:00 +08:00`.
    pub fn show(&self, at: Wall) -> String {
        self.format(at, "%a %Y-%m-%d ")
    }

    /// `2026-11-28 23:30:00 +08:00`: where there is no room for the weekday.
    pub fn show_date(&self, at: Wall) -> String {
        self.format(at, "%Y-%m-%d ")
    }

    /// `23:30:00 +08:00` on the day of `near`, else with its date.
    pub fn show_near(&self, at: Wall, near: Wall) -> String {
        let date = |instant: Wall| self.zoned(instant).map(|zoned| zoned.date());
        if date(at) == date(near) { self.format(at, "") } else { self.show(at) }
    }

    /// `23:30:00`: where the day stands beside it.
    pub fn show_time(&self, at: Wall) -> String {
        match self.zoned(at) {
            Some(zoned) => zoned.strftime(self.time_format()).to_string(),
            None => at.rfc3339(),
        }
    }

    /// As short as it can be read beside `start`: without what is the same there.
    pub fn show_within(&self, at: Wall, start: Wall) -> String {
        let (Some(zoned), Some(started)) = (self.zoned(at), self.zoned(start)) else {
            return at.rfc3339();
        };
        if at - start >= Millis::from_hours(WEEK_HOURS) {
            return self.show(at);
        }
        let mut text = self.show_time(at);
        if zoned.date() != started.date() {
            text.insert_str(0, &zoned.strftime("%a ").to_string());
        }
        if zoned.offset() != started.offset() {
            text.push_str(&zoned.strftime(" %:z").to_string());
        }
        text
    }

    fn format(&self, at: Wall, date: &str) -> String {
        let Some(zoned) = self.zoned(at) else { return at.rfc3339() };
        let date = zoned.strftime(date).to_string();
        let time = zoned.strftime(self.time_format()).to_string();
        let offset = if zoned.time_zone() == &TimeZone::UTC {
            "UTC".to_owned()
        } else {
            zoned.strftime("%:z").to_string()
        };
        format!("{date}{time} {offset}")
    }

    fn time_format(&self) -> &'static str {
        match self.precision {
            Precision::Minutes => "%H:%M",
            Precision::Seconds => "%H:%M:%S",
        }
    }

    fn zoned(&self, at: Wall) -> Option<jiff::ZonedDateTime> {
        Some(Timestamp::from_millisecond(at.0).ok()?.to_zoned_datetime(self.zone.clone()))
    }

    /// Reads an instant: RFC 3339, a local date or date-time, `now`, or a duration from now.
    ///
    /// # Errors
    /// None of these; the message names `option` and shows one of each.
    pub fn read(
        &self,
        option: &str,
        text: &str,
        now: Wall,
        relative: Relative,
    ) -> Result<Wall, Failure> {
        if text == "now" {
            return Ok(now);
        }
        if let Ok(instant) = text.parse::<Timestamp>() {
            return Ok(Wall(instant.as_millisecond()));
        }
        if let Some(instant) = local(text).and_then(|local| self.zone.to_timestamp(local).ok()) {
            return Ok(Wall(instant.as_millisecond()));
        }
        if let Some(by) = duration(text) {
            // Nobody means the milliseconds of the moment of typing.
            let now = Wall(now.0 / 1_000 * 1_000);
            return Ok(match relative {
                Relative::Ago => now - by,
                Relative::FromNow => now + by,
            });
        }
        Err(Failure::usage(format!("{option}: {text:?} is neither a time nor a duration")).next(
            format!("{option} 2026-12-01T09:30, {option} 2026-12-01T01:30:00Z or {option} 2h"),
        ))
    }
}

fn local(text: &str) -> Option<civil::DateTime> {
    let date = || text.parse::<civil::Date>().map(|date| date.at(0, 0, 0, 0));
    text.parse::<civil::DateTime>().or_else(|_| date()).ok()
}

/// `90s`, `2h`, `1d12h`; a day is 24 hours.
fn duration(text: &str) -> Option<Millis> {
    let (days, rest) = match text.split_once('d') {
        Some((days, rest)) => (days.parse::<i64>().ok()?, rest),
        None => (0, text),
    };
    let rest = if rest.is_empty() && days != 0 {
        SignedDuration::ZERO
    } else {
        rest.parse::<SignedDuration>().ok().filter(|rest| !rest.is_negative())?
    };
    let total = days.checked_mul(24).filter(|hours| *hours >= 0).map(Millis::from_hours)?;
    Some(total + Millis(i64::try_from(rest.as_millis()).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn singapore() -> Clock {
        Clock::new(TimeZone::get("Asia/Singapore").unwrap())
    }

    const NOW: Wall = Wall(1_796_000_000_000);

    fn read(text: &str, relative: Relative) -> Option<Wall> {
        singapore().read("--since", text, NOW, relative).ok()
    }

    #[test]
    fn times_show_their_day_and_offset() {
        let at = Wall("2026-11-28T15:30:00Z".parse::<Timestamp>().unwrap().as_millisecond());
        assert_eq!(singapore().show(at), "Sat 2026-11-28 23:30:00 +08:00");
        assert_eq!(Clock::utc().show(at), "Sat 2026-11-28 15:30:00 UTC");
        assert_eq!(singapore().show_near(at, at + Millis::from_mins(29)), "23:30:00 +08:00");
        assert_eq!(
            singapore().show_near(at, at + Millis::from_mins(30)),
            "Sat 2026-11-28 23:30:00 +08:00"
        );
    }

    #[test]
    fn instants_side_by_side_are_shown_alike() {
        let whole = Wall("2026-11-28T15:30:00Z".parse::<Timestamp>().unwrap().as_millisecond());
        let clock = Clock::utc().for_all([whole, whole + Millis::from_mins(5)]);
        assert_eq!(clock.show(whole), "Sat 2026-11-28 15:30 UTC");
        assert_eq!(clock.show_time(whole), "15:30");
        let clock = Clock::utc().for_all([whole, whole + Millis::from_secs(7)]);
        assert_eq!(clock.show(whole), "Sat 2026-11-28 15:30:00 UTC");
        assert_eq!(clock.show_time(whole), "15:30:00");
    }

    #[test]
    fn beside_its_start_a_time_says_only_what_differs() {
        let berlin = Clock::new(TimeZone::get("Europe/Berlin").unwrap()).for_all([]);
        let at = |text: &str| Wall(text.parse::<Timestamp>().unwrap().as_millisecond());
        let start = at("2026-03-28T22:00:00Z");
        assert_eq!(berlin.show_within(at("2026-03-28T22:30:00Z"), start), "23:30");
        assert_eq!(berlin.show_within(at("2026-03-29T00:30:00Z"), start), "Sun 01:30");
        assert_eq!(berlin.show_within(at("2026-03-29T01:30:00Z"), start), "Sun 03:30 +02:00");
        assert!(berlin.show_within(at("2026-04-28T01:30:00Z"), start).contains("2026-04-28"));
    }

    #[test]
    fn a_local_time_is_read_in_the_zone_and_an_offset_wins() {
        let utc = Wall("2026-12-01T01:30:00Z".parse::<Timestamp>().unwrap().as_millisecond());
        for text in ["2026-12-01T09:30", "2026-12-01T01:30:00Z", "2026-12-01T02:30:00+01:00"] {
            assert_eq!(read(text, Relative::Ago), Some(utc), "{text}");
        }
        assert_eq!(read("2026-12-01", Relative::Ago), Some(utc - Millis::from_mins(9 * 60 + 30)));
    }

    #[test]
    fn a_duration_counts_from_now_in_the_direction_of_its_option() {
        assert_eq!(read("2h", Relative::Ago), Some(NOW - Millis::from_hours(2)));
        assert_eq!(read("1d12h", Relative::FromNow), Some(NOW + Millis::from_hours(36)));
        assert_eq!(read("7d", Relative::FromNow), Some(NOW + Millis::from_hours(168)));
        assert_eq!(read("now", Relative::Ago), Some(NOW));
    }

    #[test]
    fn nonsense_is_refused_with_examples() {
        for text in ["", "d", "-2h", "yesterday", "-1d", "12"] {
            let failure = singapore().read("--since", text, NOW, Relative::Ago).unwrap_err();
            assert!(failure.next.unwrap().contains("--since 2h"), "{text}");
        }
    }
}
