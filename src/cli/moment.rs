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

/// Farther away no instant is meant, and some can no longer be written.
const FARTHEST: Millis = Millis::from_hours(100 * 366 * 24);

/// What an instant of the engine's sentences ends in.
const UTC: &str = " UTC";

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

    /// `23:30:00`, with its weekday where `beside`, showing the same instant, has another date.
    pub fn show_beside(&self, at: Wall, beside: &Clock) -> String {
        let date = |clock: &Clock| clock.zoned(at).map(|zoned| zoned.date());
        match self.zoned(at).filter(|_| date(self) != date(beside)) {
            Some(zoned) => format!("{} {}", zoned.strftime("%a"), self.show_time(at)),
            None => self.show_time(at),
        }
    }

    /// As short as it can be read beside `start`: without what is the same there.
    pub fn show_within(&self, at: Wall, start: Wall) -> String {
        let (Some(zoned), Some(started)) = (self.zoned(at), self.zoned(start)) else {
            return at.rfc3339();
        };
        let mut text = self.show_time(at);
        if at - start >= Millis::from_hours(WEEK_HOURS) {
            text.insert_str(0, &zoned.strftime("%Y-%m-%d ").to_string());
        } else if zoned.date() != started.date() {
            text.insert_str(0, &zoned.strftime("%a ").to_string());
        }
        if zoned.offset() != started.offset() {
            text.push_str(&zoned.strftime(" %:z").to_string());
        }
        text
    }

    /// `Sat 2026-11-28` and `23:30`: for two lines below each other.
    pub fn day_and_time(&self, at: Wall) -> (String, String) {
        let day = self.zoned(at).map(|zoned| zoned.strftime("%a %Y-%m-%d").to_string());
        (day.unwrap_or_else(|| at.rfc3339()), self.show_time(at))
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
    /// None of these, or farther away than anybody means; the message names `option`.
    pub fn read(
        &self,
        option: &str,
        text: &str,
        now: Wall,
        relative: Relative,
    ) -> Result<Wall, Failure> {
        let Some(at) = self.instant(text, now, relative) else {
            let examples =
                format!("{option} 2026-12-01T09:30, {option} 2026-12-01T01:30:00Z or {option} 2h");
            let message = format!("{option}: {text:?} is neither a time nor a duration");
            return Err(Failure::usage(message).next(examples));
        };
        if (at - now).0.abs() > FARTHEST.0 {
            let message = format!("{option}: {text:?} is more than a hundred years away");
            return Err(Failure::usage(message).next("leave it out where no end is meant"));
        }
        Ok(at)
    }

    fn instant(&self, text: &str, now: Wall, relative: Relative) -> Option<Wall> {
        if text == "now" {
            return Some(now);
        }
        if let Ok(instant) = text.parse::<Timestamp>() {
            return Some(Wall(instant.as_millisecond()));
        }
        if let Some(instant) = local(text).and_then(|local| self.zone.to_timestamp(local).ok()) {
            return Some(Wall(instant.as_millisecond()));
        }
        // Nobody means the milliseconds of the moment of typing.
        let now = Wall(now.0 / SECOND_MS * SECOND_MS);
        duration(text).map(|by| match relative {
            Relative::Ago => now - by,
            Relative::FromNow => now + by,
        })
    }

    /// The text with its instants in this zone. The engine knows none, so its sentences carry them
    /// as `2026-11-29 01:00:00 UTC`.
    pub fn localized(&self, text: &str) -> String {
        let mut result = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(end) = rest.find(UTC) {
            let (before, after) = rest.split_at(end + UTC.len());
            match instant_before(&before[..end]) {
                Some((begin, at)) => {
                    result.push_str(&before[..begin]);
                    result.push_str(&self.show_date(at));
                }
                None => result.push_str(before),
            }
            rest = after;
        }
        result.push_str(rest);
        result
    }
}

/// The instant in UTC that the text ends in, and where it begins.
fn instant_before(text: &str) -> Option<(usize, Wall)> {
    let begin = text.len().checked_sub("2026-11-29 01:00:00".len())?;
    let local = civil::DateTime::strptime("%Y-%m-%d %H:%M:%S", text.get(begin..)?).ok()?;
    let at = TimeZone::UTC.to_timestamp(local).ok()?;
    Some((begin, Wall(at.as_millisecond())))
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
    fn the_instants_of_a_sentence_are_shown_in_the_zone() {
        let text = "frozen until 2026-11-28 17:00:00 UTC, not 16:00:00 UTC; in UTC";
        assert_eq!(
            singapore().localized(text),
            "frozen until 2026-11-29 01:00:00 +08:00, not 16:00:00 UTC; in UTC"
        );
        assert_eq!(Clock::utc().localized(text), text);
        assert_eq!(singapore().localized("größe UTC"), "größe UTC");
    }

    #[test]
    fn an_instant_beyond_all_meaning_is_refused() {
        for text in ["99999999d", "40000d", "9999-12-31", "0001-01-01T00:00:00Z"] {
            assert_eq!(read(text, Relative::FromNow), None, "{text}");
        }
        assert!(read("3650d", Relative::FromNow).is_some());
    }

    #[test]
    fn a_time_shows_its_weekday_where_the_clock_beside_it_has_another_day() {
        let at = |text: &str| Wall(text.parse::<Timestamp>().unwrap().as_millisecond());
        let (utc, local) = (Clock::utc(), singapore());
        assert_eq!(utc.show_beside(at("2026-11-28T15:30:00Z"), &local), "15:30:00");
        assert_eq!(utc.show_beside(at("2026-11-28T17:30:00Z"), &local), "Sat 17:30:00");
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
