//! `[windows.NAME]` and `[freezes.NAME]`: when upgrades may start, and when never.

use std::collections::BTreeMap;

use jiff::civil;
use jiff::tz::TimeZone;

use crate::model::calendar::{Freeze, Rule, Window};
use crate::model::{CampaignName, Millis, ProjectName, Wall, WindowName};

use super::Context;
use super::duration::{ANY_TIME, Duration};
use super::kind::{Flag, List, Name};
use super::problem::Problem;
use super::section::Section;
use super::time::{Cron, Days, LocalDateTime, LocalTime, Zone};

/// A window is at most a week of elapsed time.
const WINDOW: Duration = Duration { least: Millis::from_secs(1), most: Millis::from_hours(7 * 24) };

/// Below this hardly anything starts.
const SHORT_WINDOW: Millis = Millis::from_mins(1);

/// The default cutoff, unless a quarter of the window is less.
const CUTOFF: Millis = Millis::from_mins(30);

pub fn windows(root: &mut Section<'_>, context: &Context<'_>) -> BTreeMap<WindowName, Window> {
    let mut windows = BTreeMap::new();
    for (name, mut section) in root.named("windows") {
        if !section.is_present() {
            continue;
        }
        let name = WindowName::from(name.into_inner());
        let found = window(&mut section, &name, context);
        section.close();
        windows.extend(found.map(|window| (name, window)));
    }
    windows
}

fn window(section: &mut Section<'_>, name: &WindowName, context: &Context<'_>) -> Option<Window> {
    let rule = rule(section);
    let duration = section.required("duration", &WINDOW);
    let default = Millis(duration.map_or(CUTOFF.0, |duration| duration.0 / 4)).min(CUTOFF);
    let cutoff = section.or_default("cutoff", &ANY_TIME, default);
    let zone = section.or_default("time_zone", &Zone, context.time_zone.clone());
    if let Some(duration) = duration {
        if cutoff >= duration {
            let message = format!("a cutoff of {cutoff} leaves nothing of a window of {duration}");
            section.problem_at("cutoff", Problem::new(message).help("write a shorter cutoff"));
        }
        if duration < SHORT_WINDOW {
            let problem = Problem::warning(format!("a window of {duration} hardly lets one start"));
            section.problem_at("duration", problem.help("write a minute or more"));
        }
    }
    let rule = rule?;
    if let Rule::Once { at } = &rule
        && is_past(*at, &zone, context.environment.now() - duration.unwrap_or(Millis::ZERO))
    {
        let problem = Problem::warning("this window closed in the past");
        section.problem_at("at", problem.help("write a date to come, or remove the window"));
    }
    Some(Window { name: name.clone(), rule, duration: duration?, cutoff, zone })
}

/// Exactly one of the three ways to say when a window opens.
fn rule(section: &mut Section<'_>) -> Option<Rule> {
    let [days, start, cron, at] =
        ["days", "start", "cron", "at"].map(|key| section.item(key).is_some());
    let ways: Vec<&str> = [("days", days || start), ("cron", cron), ("at", at)]
        .into_iter()
        .filter_map(|(key, is_written)| is_written.then_some(key))
        .collect();
    let help = "write days and start, or cron, or at";
    match ways[..] {
        ["days"] => {
            let days = section.required("days", &List(Days));
            let start = section.required("start", &LocalTime);
            let mut days: Vec<civil::Weekday> = days?.concat();
            days.sort_by_key(|day| day.to_monday_zero_offset());
            days.dedup();
            Some(Rule::Weekly { days, start: start? })
        }
        ["cron"] => section.required("cron", &Cron),
        ["at"] => section.required("at", &LocalDateTime).map(|at| Rule::Once { at }),
        [] => {
            let problem = Problem::new("nothing says when the window opens").help(help);
            section.lacks(vec!["days", "start", "cron", "at"], problem);
            None
        }
        [.., last] => {
            let problem = Problem::new("the window says twice when it opens").help(help);
            section.problem_at(last, problem);
            None
        }
    }
}

pub fn freezes(root: &mut Section<'_>, context: &Context<'_>) -> BTreeMap<WindowName, Freeze> {
    let mut freezes = BTreeMap::new();
    for (name, mut section) in root.named("freezes") {
        if !section.is_present() {
            continue;
        }
        let name = WindowName::from(name.into_inner());
        let found = freeze(&mut section, &name, context);
        section.close();
        freezes.extend(found.map(|freeze| (name, freeze)));
    }
    freezes
}

fn freeze(section: &mut Section<'_>, name: &WindowName, context: &Context<'_>) -> Option<Freeze> {
    let from = section.required("from", &LocalDateTime);
    let until = section.required("until", &LocalDateTime);
    let every_year = section.or_default("every_year", &Flag, false);
    let projects = List(Name { what: "project", known: &context.projects });
    let projects = section.optional("projects", &projects, "all").unwrap_or_default();
    let campaigns = List(Name { what: "campaign", known: &context.campaigns });
    let campaigns = section.optional("campaigns", &campaigns, "all").unwrap_or_default();
    let (from, until) = (from?, until?);
    let freeze = Freeze {
        name: name.clone(),
        from,
        until,
        every_year,
        zone: context.time_zone.clone(),
        projects: projects.into_iter().map(ProjectName::from).collect(),
        campaigns: campaigns.into_iter().map(CampaignName::from).collect(),
    };
    check_freeze(section, freeze, context.environment.now())
}

fn check_freeze(section: &Section<'_>, freeze: Freeze, now: Wall) -> Option<Freeze> {
    let refuse = |message: &str, help: &str| {
        section.problem_at("until", Problem::new(message).help(help));
        None
    };
    if freeze.until <= freeze.from {
        return refuse("the freeze ends before it begins", "write an end later than `from`");
    }
    if freeze.covers_everything() {
        let help = "write an end less than a year after `from`";
        return refuse("a freeze of a year that every year repeats never ends", help);
    }
    if !freeze.every_year && is_past(freeze.until, &freeze.zone, now) {
        let problem = Problem::warning("this freeze ended in the past");
        section.problem_at("until", problem.help("remove it, or write every_year = true"));
    }
    Some(freeze)
}

/// Whether a local time lies before an instant; an ambiguous one counts as its first.
fn is_past(at: civil::DateTime, zone: &TimeZone, instant: Wall) -> bool {
    zone.to_timestamp(at).is_ok_and(|found| found.as_millisecond() <= instant.0)
}
