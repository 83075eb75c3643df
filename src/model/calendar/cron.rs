//! Cron rules: read, or refused with a reason; searched in local time.
//!
//! croner searches any type that can tell its civil time. Given zones it has rules of its own for
//! gaps and overlaps, which differ between fixed and repeating patterns; given none, as here, it
//! only enumerates local starts, and `local` decides for all rules alike.

use std::cmp::Ordering;

use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};
use croner::{CivilDateTime, Cron, CronDateTime, Resolution, Weekday};
use jiff::SignedDuration;
use jiff::civil::{self, DateTime};

use super::Rule;

const FIELDS: [Field; 6] = [
    Field { name: "second", least: 0, most: 59, words: &[] },
    Field { name: "minute", least: 0, most: 59, words: &[] },
    Field { name: "hour", least: 0, most: 23, words: &[] },
    Field { name: "day of month", least: 1, most: 31, words: &[] },
    Field { name: "month", least: 1, most: 12, words: &MONTHS },
    Field { name: "weekday", least: 0, most: 6, words: &WEEKDAYS },
];

const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];

const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// croner searches up to the year 5000, and the calendar repeats every 400 years: a pattern that
/// does not fire from here on never fires. From today the search would take eight times as long.
const LAST_CYCLE: DateTime = civil::datetime(4600, 1, 1, 0, 0, 0, 0);

/// Why a text is no cron rule.
#[derive(Debug, thiserror::Error)]
pub enum CronProblem {
    #[error("cron has 5 fields (minute hour day month weekday) or 6 (second first), not {found}")]
    FieldCount { found: usize },
    #[error("the {field} {text:?} has an empty item")]
    EmptyItem { field: &'static str, text: String },
    /// croner would read `MON` as 1 in any field, January included.
    #[error("{word} is no {field}")]
    ForeignWord { field: &'static str, word: &'static str },
    #[error("ranges do not wrap: write the {field} {text:?} as {instead:?}")]
    WrappedRange { field: &'static str, text: String, instead: String },
    #[error("{text:?} is no {field} ({least} to {most})")]
    Field {
        field: &'static str,
        text: String,
        least: u8,
        most: u8,
        #[source]
        source: CronError,
    },
    #[error("the cron pattern cannot be read")]
    Pattern(#[source] CronError),
    #[error("this cron never fires: no month that it names has such a day")]
    NeverFires,
}

impl Rule {
    /// Reads a pattern of 5 fields, or 6 with seconds first. Day of month and weekday together mean
    /// either of them, as in every cron; a `+` before the weekday means both.
    ///
    /// # Errors
    /// The text is no such pattern, or one that never fires, like `0 0 31 2 *`.
    pub fn cron(text: &str) -> Result<Rule, CronProblem> {
        let texts: Vec<&str> = text.split_whitespace().collect();
        let fields = match texts.len() {
            5 => &FIELDS[1..],
            6 => &FIELDS[..],
            found => return Err(CronProblem::FieldCount { found }),
        };
        for (field, text) in fields.iter().zip(&texts) {
            field.check(text)?;
        }
        let pattern = parse(text).map_err(CronProblem::Pattern)?;
        if pattern.find_next_occurrence(&Zoneless(LAST_CYCLE), true).is_err() {
            return Err(CronProblem::NeverFires);
        }
        Ok(Rule::Cron { text: text.trim().into(), pattern: Box::new(pattern) })
    }
}

/// The first start later than `local`.
pub(super) fn first_after(pattern: &Cron, local: DateTime) -> Option<DateTime> {
    Some(pattern.find_next_occurrence(&Zoneless(local), false).ok()?.0)
}

/// The last start not later than `local`.
pub(super) fn last_until(pattern: &Cron, local: DateTime) -> Option<DateTime> {
    let whole_second = local.with().subsec_nanosecond(0).build().ok()?;
    Some(pattern.find_previous_occurrence(&Zoneless(whole_second), true).ok()?.0)
}

fn parse(text: &str) -> Result<Cron, CronError> {
    let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build();
    parser.parse(text)
}

struct Field {
    name: &'static str,
    least: u8,
    most: u8,
    /// Names for `least` and what follows it.
    words: &'static [&'static str],
}

impl Field {
    /// croner's errors tell neither field nor text, so each field is tried alone first.
    fn check(&self, text: &str) -> Result<(), CronProblem> {
        let upper = text.to_uppercase();
        if upper.split(',').any(str::is_empty) {
            return Err(CronProblem::EmptyItem { field: self.name, text: text.into() });
        }
        let mut foreign = MONTHS.iter().chain(&WEEKDAYS).filter(|word| !self.words.contains(word));
        if let Some(word) = foreign.find(|word| upper.contains(**word)) {
            return Err(CronProblem::ForeignWord { field: self.name, word });
        }
        for item in upper.trim_start_matches('+').split(',') {
            if let Some(instead) = self.unwrapped(item) {
                let text = item.to_string();
                return Err(CronProblem::WrappedRange { field: self.name, text, instead });
            }
        }
        let alone: Vec<&str> =
            FIELDS.iter().map(|field| if field.name == self.name { text } else { "*" }).collect();
        parse(&alone.join(" ")).map(drop).map_err(|source| CronProblem::Field {
            field: self.name,
            text: text.into(),
            least: self.least,
            most: self.most,
            source,
        })
    }

    /// What a range like `22-2` means, in a form that cron takes; `None` if it does not wrap.
    fn unwrapped(&self, item: &str) -> Option<String> {
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (range, Some(step.parse().ok().filter(|step| *step > 0)?)),
            None => (item, None),
        };
        let (from, to) = range.split_once('-')?;
        let is_sunday_at_the_end = self.words.contains(&"SUN") && (to == "SUN" || to == "7");
        let (first, last) = (self.number(from)?, self.number(to)?);
        if first <= last || is_sunday_at_the_end {
            return None;
        }
        let named = range.chars().any(char::is_alphabetic);
        let write = |number: u8| match self.words.get(usize::from(number - self.least)) {
            Some(word) if named => word.to_string(),
            _ => number.to_string(),
        };
        Some(match step {
            Some(step) => {
                let wrapped = (first..=self.most).chain(self.least..=last).step_by(step);
                wrapped.map(write).collect::<Vec<_>>().join(",")
            }
            None => [(first, self.most), (self.least, last)]
                .map(|(from, to)| match from == to {
                    true => write(from),
                    false => format!("{}-{}", write(from), write(to)),
                })
                .join(","),
        })
    }

    fn number(&self, text: &str) -> Option<u8> {
        let number = match self.words.iter().zip(self.least..).find(|(word, _)| **word == text) {
            Some((_, number)) => number,
            None => text.parse().ok()?,
        };
        (self.least..=self.most).contains(&number).then_some(number)
    }
}

/// Local time without a zone, for croner's search (its own `jiff` feature is for jiff 0.2).
#[derive(Clone, Copy)]
struct Zoneless(DateTime);

impl CronDateTime for Zoneless {
    fn to_civil(&self) -> CivilDateTime {
        let local = self.0;
        CivilDateTime::new(
            croner::CivilDate::from_parts_unchecked(
                local.year().into(),
                local.month().unsigned_abs().into(),
                local.day().unsigned_abs().into(),
            ),
            croner::CivilTime::from_parts_unchecked(
                local.hour().unsigned_abs().into(),
                local.minute().unsigned_abs().into(),
                local.second().unsigned_abs().into(),
            ),
        )
    }

    fn civil_weekday(&self) -> Weekday {
        let days = self.0.weekday().to_sunday_zero_offset();
        Weekday::from_days_from_sunday(days.unsigned_abs().into())
    }

    fn resolve_civil(&self, civil: CivilDateTime) -> Result<Resolution<Self>, CronError> {
        let small = |part: u32| i8::try_from(part).map_err(|_| CronError::InvalidTime);
        let year = i16::try_from(civil.year()).map_err(|_| CronError::InvalidDate)?;
        let (month, day) = (small(civil.month())?, small(civil.day())?);
        let (hour, minute) = (small(civil.hour())?, small(civil.minute())?);
        DateTime::new(year, month, day, hour, minute, small(civil.second())?, 0)
            .map(|local| Resolution::Single(Zoneless(local)))
            .map_err(|_| CronError::InvalidDate)
    }

    fn checked_add_seconds(&self, seconds: i64) -> Option<Self> {
        self.0.checked_add(SignedDuration::from_secs(seconds)).ok().map(Zoneless)
    }

    fn cmp_instant(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        Rule::cron(text).expect_err(text).to_string()
    }

    #[test]
    fn five_fields_open_at_second_zero_and_six_name_it() {
        let start = civil::datetime(2026, 11, 24, 0, 0, 0, 0);
        for (text, expected) in [
            ("30 1 * * *", "2026-11-24T01:30:00"),
            ("15 30 1 * * *", "2026-11-24T01:30:15"),
            ("  0 22 * * mon-fri ", "2026-11-24T22:00:00"),
            ("0 22 * * sat-sun", "2026-11-28T22:00:00"),
            ("0 22 * * 7", "2026-11-29T22:00:00"),
            ("0 2 L FEB *", "2027-02-28T02:00:00"),
            ("0 2 * * WED#1", "2026-12-02T02:00:00"),
            // Either of them, then both.
            ("0 2 13 * FRI", "2026-11-27T02:00:00"),
            ("0 2 13 * +FRI", "2027-08-13T02:00:00"),
        ] {
            let Ok(Rule::Cron { pattern, .. }) = Rule::cron(text) else { panic!("{text}") };
            assert_eq!(first_after(&pattern, start), Some(expected.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn the_last_start_is_the_one_that_the_next_search_steps_off() {
        for text in ["*/7 3-5 * * *", "10 0 2 1,15 * *", "0 0 29 2 *"] {
            let Ok(Rule::Cron { pattern, .. }) = Rule::cron(text) else { panic!("{text}") };
            let mut local = civil::datetime(2027, 12, 30, 4, 59, 59, 999_999_999);
            for _ in 0..50 {
                let next = first_after(&pattern, local).unwrap();
                assert!(next > local);
                assert_eq!(last_until(&pattern, next), Some(next));
                let before = last_until(&pattern, local).unwrap();
                assert!(before <= local);
                assert_eq!(first_after(&pattern, before), Some(next), "{text}");
                local = next;
            }
        }
    }

    #[test]
    fn a_pattern_that_never_fires_is_refused() {
        for text in ["0 0 31 2 *", "0 0 0 30 FEB *", "0 0 31 4,6,9,11 *", "0 0 30 2 +MON"] {
            assert_eq!(
                refusal(text),
                "this cron never fires: no month that it names has such a day",
                "{text}"
            );
        }
        // With a weekday beside it, either of them fires.
        assert!(Rule::cron("0 0 31 2 MON").is_ok());
        assert!(Rule::cron("0 0 29 2 *").is_ok());
    }

    #[test]
    fn a_wrapped_range_is_refused_with_the_form_that_works() {
        for (text, message) in [
            ("0 22-2 * * *", r#"write the hour "22-2" as "22-23,0-2""#),
            ("0 0 * * FRI-MON", r#"write the weekday "FRI-MON" as "FRI-SAT,SUN-MON""#),
            ("0 0 * * 6-1", r#"write the weekday "6-1" as "6,0-1""#),
            ("0 0 1 nov-jan *", r#"write the month "NOV-JAN" as "NOV-DEC,JAN""#),
            ("0 20-4/3 * * *", r#"write the hour "20-4/3" as "20,23,2""#),
        ] {
            assert_eq!(refusal(text), format!("ranges do not wrap: {message}"));
        }
    }

    #[test]
    fn a_bad_field_is_named() {
        for (text, message) in [
            ("", "cron has 5 fields (minute hour day month weekday) or 6 (second first), not 0"),
            (
                "@daily",
                "cron has 5 fields (minute hour day month weekday) or 6 (second first), not 1",
            ),
            (
                "0 0 1 * * * 2027",
                "cron has 5 fields (minute hour day month weekday) or 6 (second first), not 7",
            ),
            ("60 0 * * *", r#""60" is no minute (0 to 59)"#),
            ("0 24 * * *", r#""24" is no hour (0 to 23)"#),
            ("0 0 0 * *", r#""0" is no day of month (1 to 31)"#),
            ("0 0 * 13 *", r#""13" is no month (1 to 12)"#),
            ("0 0 * * MONDAY", r#""MONDAY" is no weekday (0 to 6)"#),
            ("0 0 * * 8", r#""8" is no weekday (0 to 6)"#),
            ("0 x * * *", r#""x" is no hour (0 to 23)"#),
            ("0 3 * MON *", "MON is no month"),
            ("0 1,,2 * * *", r#"the hour "1,,2" has an empty item"#),
        ] {
            assert_eq!(refusal(text), message, "{text}");
        }
    }

    #[test]
    fn rules_are_equal_when_their_texts_are() {
        assert_eq!(Rule::cron("0 1 * * *").unwrap(), Rule::cron(" 0 1 * * * ").unwrap());
        assert_ne!(Rule::cron("0 1 * * *").unwrap(), Rule::cron("0 2 * * *").unwrap());
    }
}
