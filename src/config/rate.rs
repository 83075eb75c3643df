//! Rates, `{ per_minute = 20, burst = 5 }`, and whether reads keep up with starts.

use crate::model::Millis;
use crate::model::policy::Rate;

use super::kind::{COUNT, wrong_type};
use super::problem::Problem;
use super::section::{Record, Section};

/// Reads that one upgrade takes; `check` warns where the rates allow fewer.
const READS_PER_START: u64 = 3;

/// What a rate looks like.
const EXAMPLE: &str = "write { per_minute = 20, burst = 5 }";

/// Units of a rate.
const UNITS: [(&str, Millis); 3] = [
    ("per_second", Millis::from_secs(1)),
    ("per_minute", Millis::from_mins(1)),
    ("per_hour", Millis::from_hours(1)),
];

pub fn per_minute(events: u32, burst: u32) -> Rate {
    Rate { events, per: Millis::from_mins(1), burst }
}

/// `{ per_minute = 20, burst = 5 }`: exactly one unit, and a burst that has a default.
pub fn rate(section: &mut Section<'_>, key: &'static str, default: Rate) -> Option<Rate> {
    let origin = section.origin(key);
    let rate = match section.item(key) {
        None => default,
        Some(item) if item.get_ref().as_table().is_none() => {
            for problem in wrong_type(item, "a table", EXAMPLE) {
                section.problem_at(key, problem);
            }
            return None;
        }
        Some(_) => written_rate(section.table(key, Record::Whole), default)?,
    };
    section.record(key, print_rate(rate), origin);
    Some(rate)
}

fn written_rate(mut section: Section<'_>, default: Rate) -> Option<Rate> {
    let burst = section.or_default("burst", &COUNT, default.burst);
    let mut found = Vec::new();
    let mut units = 0;
    for (unit, per) in UNITS {
        if section.item(unit).is_some() {
            units += 1;
            found.extend(section.required(unit, &COUNT).map(|events| Rate { events, per, burst }));
        }
    }
    if units != 1 {
        let problem = Problem::new("exactly one of per_second, per_minute and per_hour is needed");
        match units {
            0 => section.lacks(UNITS.map(|(unit, _)| unit).to_vec(), problem.help(EXAMPLE)),
            _ => section.problem(problem.help(EXAMPLE)),
        }
        found.clear();
    }
    section.close();
    found.pop()
}

fn print_rate(rate: Rate) -> String {
    let unit = UNITS.iter().find(|(_, per)| *per == rate.per);
    let unit = unit.expect("a rate is made from one of the units").0;
    format!("{{ {unit} = {}, burst = {} }}", rate.events, rate.burst)
}

/// One upgrade takes about three reads, so reads may be what limits starts.
pub fn warn_of_slow_reads(section: &Section<'_>, upgrades: Rate, reads: Rate) {
    let per_hour = |rate: Rate| {
        u64::from(rate.events) * Millis::from_hours(1).0.unsigned_abs() / rate.per.0.unsigned_abs()
    };
    if per_hour(reads) >= READS_PER_START * per_hour(upgrades) {
        return;
    }
    let limited = per_hour(reads) as f64 / (READS_PER_START * 60) as f64;
    let limited = format!("{limited:.1}");
    let limited = limited.strip_suffix(".0").unwrap_or(&limited);
    let message = format!("reads will limit you to {limited} a minute");
    let help = format!("raise read_rate to {READS_PER_START} times upgrade_rate, or more");
    let key = if section.has("read_rate") { "read_rate" } else { "upgrade_rate" };
    section.problem_at(key, Problem::warning(message).help(help));
}
