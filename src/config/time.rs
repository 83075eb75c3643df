//! Zones, local times and dates, days of the week and cron expressions.

use jiff::civil;
use jiff::tz::TimeZone;
use toml::de::DeValue;
use toml::value::{Date, Datetime, Time};

use crate::model::calendar::{CronProblem, Rule};

use super::kind::{Kind, print_text, text, wrong_type};
use super::problem::{Problem, closest, quoted};
use super::section::Item;

/// An IANA zone.
pub struct Zone;

impl Kind for Zone {
    type Value = TimeZone;

    fn parse(&self, item: &Item<'_>) -> Result<TimeZone, Vec<Problem>> {
        let name = text(item, "an IANA name, such as \"Europe/Berlin\"")?;
        // A zone without a name (a POSIX rule, say) could not be printed back.
        let zone = TimeZone::get(name).ok().filter(|zone| zone.iana_name().is_some_and(is_iana));
        if let Some(zone) = zone {
            return Ok(zone);
        }
        let help = match closest_zone(name) {
            Some(meant) => format!("did you mean {meant:?}?"),
            None => "write an IANA name, such as \"Europe/Berlin\" or \"UTC\"".into(),
        };
        Err(vec![Problem::new(format!("no time zone is named {}", quoted(name))).help(help)])
    }

    fn print(&self, zone: &TimeZone) -> String {
        print_text(zone.iana_name().expect("a zone without a name is refused"))
    }

    fn example(&self) -> String {
        "\"Europe/Berlin\"".into()
    }
}

/// Files beside the zones that are none of IANA's: what they mean depends on the machine, or
/// counts leap seconds.
fn is_iana(name: &str) -> bool {
    let is_other =
        ["localtime", "posixrules", "Factory"].iter().any(|other| name.eq_ignore_ascii_case(other));
    let folder = name.split_once('/').map(|(folder, _)| folder.to_ascii_lowercase());
    !is_other && !matches!(folder.as_deref(), Some("posix" | "right"))
}

/// People leave out the continent more often than they misspell it.
fn closest_zone(wrong: &str) -> Option<String> {
    let all = jiff::tz::db().available().map(|name| name.as_str().to_owned());
    let names: Vec<String> = all.filter(|name| is_iana(name)).collect();
    let city = |name: &str| name.rsplit('/').next().unwrap_or_default().replace('_', " ");
    let by_city = names.iter().find(|name| {
        name.contains('/') && city(name).eq_ignore_ascii_case(&wrong.replace('_', " "))
    });
    by_city.cloned().or_else(|| closest(wrong, names.iter().map(String::as_str)).map(str::to_owned))
}

/// A local date and time, or a date alone, which means its midnight.
pub struct LocalDateTime;

impl Kind for LocalDateTime {
    type Value = civil::DateTime;

    fn parse(&self, item: &Item<'_>) -> Result<civil::DateTime, Vec<Problem>> {
        let help = "write 2026-12-20T00:00:00 or 2026-12-20, without quotes";
        let wrong = |message: &str| vec![Problem::new(message).help(help)];
        match item.get_ref() {
            DeValue::Datetime(Datetime { offset: Some(_), .. }) => {
                let problem = Problem::new("a date-time here is local and has no offset");
                Err(vec![problem.help("leave the offset out: `time_zone` says which zone counts")])
            }
            DeValue::Datetime(Datetime { date: Some(date), time, offset: None }) => {
                let midnight = Time { hour: 0, minute: 0, second: None, nanosecond: None };
                civil_date(date)
                    .zip(civil_time(&time.unwrap_or(midnight)))
                    .map(|(date, time)| date.to_datetime(time))
                    .ok_or_else(|| wrong("there is no such date or time"))
            }
            DeValue::Datetime(_) => Err(wrong("a time alone does not say the day")),
            _ => Err(wrong_type(item, "a date-time", help)),
        }
    }

    fn print(&self, value: &civil::DateTime) -> String {
        value.to_string()
    }

    fn example(&self) -> String {
        "2026-12-20T00:00:00".into()
    }
}

fn civil_date(date: &Date) -> Option<civil::Date> {
    let year = i16::try_from(date.year).ok()?;
    civil::Date::new(year, i8::try_from(date.month).ok()?, i8::try_from(date.day).ok()?).ok()
}

/// Whole seconds: nobody opens a window at a fraction of one.
fn civil_time(time: &Time) -> Option<civil::Time> {
    let second = i8::try_from(time.second.unwrap_or(0)).ok()?;
    let (hour, minute) = (i8::try_from(time.hour).ok()?, i8::try_from(time.minute).ok()?);
    civil::Time::new(hour, minute, second, 0).ok()
}

/// A local time of day, `"23:30"`.
pub struct LocalTime;

impl Kind for LocalTime {
    type Value = civil::Time;

    fn parse(&self, item: &Item<'_>) -> Result<civil::Time, Vec<Problem>> {
        let help = "write \"23:30\", from \"00:00\" to \"23:59\"";
        let time = match item.get_ref() {
            DeValue::Datetime(Datetime { date: None, time: Some(time), offset: None }) => {
                civil_time(time)
            }
            DeValue::String(text) => time_of_day(text),
            _ => return Err(wrong_type(item, "a time of day", help)),
        };
        time.ok_or_else(|| {
            let shown = item.get_ref().as_str().map_or("this".into(), quoted);
            vec![Problem::new(format!("{shown} is not a time of day")).help(help)]
        })
    }

    fn print(&self, value: &civil::Time) -> String {
        let format = if value.second() == 0 { "%H:%M" } else { "%H:%M:%S" };
        print_text(&value.strftime(format).to_string())
    }

    fn example(&self) -> String {
        "\"23:30\"".into()
    }
}

/// `HH:MM` or `HH:MM:SS`.
fn time_of_day(text: &str) -> Option<civil::Time> {
    let parts: Vec<&str> = text.split(':').collect();
    let number = |part: &str| {
        let is_two_digits = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        is_two_digits.then(|| part.parse::<i8>().ok()).flatten()
    };
    match parts[..] {
        [hour, minute] => civil::Time::new(number(hour)?, number(minute)?, 0, 0).ok(),
        [hour, minute, second] => {
            civil::Time::new(number(hour)?, number(minute)?, number(second)?, 0).ok()
        }
        _ => None,
    }
}

/// Monday first, as ranges run.
const WEEK: [(&str, civil::Weekday); 7] = [
    ("Monday", civil::Weekday::Monday),
    ("Tuesday", civil::Weekday::Tuesday),
    ("Wednesday", civil::Weekday::Wednesday),
    ("Thursday", civil::Weekday::Thursday),
    ("Friday", civil::Weekday::Friday),
    ("Saturday", civil::Weekday::Saturday),
    ("Sunday", civil::Weekday::Sunday),
];

/// A day of the week, `"Sat"` or `"Saturday"`, or a range that does not wrap, `"Mon-Fri"`.
pub struct Days;

impl Kind for Days {
    type Value = Vec<civil::Weekday>;

    fn parse(&self, item: &Item<'_>) -> Result<Vec<civil::Weekday>, Vec<Problem>> {
        let help = "write \"Mon\", \"Tue\", … or a range such as \"Mon-Fri\"";
        let written = text(item, "a day of the week")?;
        let (first, last) = written.split_once('-').unwrap_or((written, written));
        let unknown = |name: &str| {
            let problem = Problem::new(format!("{} is not a day of the week", quoted(name)));
            let meant = closest(name, WEEK.iter().map(|(name, _)| &name[..3]));
            vec![
                problem.help(meant.map_or(help.into(), |meant| format!("did you mean {meant:?}?"))),
            ]
        };
        let first = place(first).ok_or_else(|| unknown(first))?;
        let last = place(last).ok_or_else(|| unknown(last))?;
        if first > last {
            let problem = Problem::new("a range of days does not wrap around the week's end");
            let help = format!("write {}, {}", range(first, WEEK.len() - 1), range(0, last));
            return Err(vec![problem.help(help)]);
        }
        Ok(WEEK[first..=last].iter().map(|(_, day)| *day).collect())
    }

    fn print(&self, days: &Vec<civil::Weekday>) -> String {
        let names: Vec<String> = days
            .iter()
            .filter_map(|day| WEEK.iter().find(|(_, known)| known == day))
            .map(|(name, _)| print_text(&name[..3]))
            .collect();
        names.join(", ")
    }

    fn example(&self) -> String {
        "\"Sat\"".into()
    }
}

/// A range of places in the week, as it is written.
fn range(first: usize, last: usize) -> String {
    let (start, end) = (&WEEK[first].0[..3], &WEEK[last].0[..3]);
    if first == last { format!("{start:?}") } else { format!("\"{start}-{end}\"") }
}

/// Position in the week of a day's full name or its first three letters.
fn place(name: &str) -> Option<usize> {
    let name = name.trim();
    WEEK.iter().position(|(full, _)| {
        name.eq_ignore_ascii_case(full) || name.eq_ignore_ascii_case(&full[..3])
    })
}

/// A cron expression of 5 or 6 fields (seconds first) that fires at some time.
pub struct Cron;

impl Kind for Cron {
    type Value = Rule;

    fn parse(&self, item: &Item<'_>) -> Result<Rule, Vec<Problem>> {
        let text = text(item, "a cron expression")?;
        Rule::cron(text).map_err(|problem| {
            let message = match &problem {
                CronProblem::Pattern(cause) => format!("{problem}: {cause}"),
                _ => problem.to_string(),
            };
            let help = match problem {
                CronProblem::NeverFires => "write a day that a month has",
                _ => {
                    "write minute hour day month weekday, such as \"0 1 * * Sat\"; \
                     a sixth field in front is the second"
                }
            };
            vec![Problem::new(message).help(help)]
        })
    }

    fn print(&self, rule: &Rule) -> String {
        match rule {
            Rule::Cron { text, .. } => print_text(text),
            Rule::Weekly { .. } | Rule::Once { .. } => unreachable!("parse makes only cron rules"),
        }
    }

    fn example(&self) -> String {
        "\"0 1 * * Sat\"".into()
    }
}
