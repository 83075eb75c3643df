//! `refit windows`: when windows open next, and what freezes leave of them for each campaign.

use std::fmt::Write;

use clap::Args as ClapArgs;
use comfy_table::{Cell, ContentArrangement};
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::model::calendar::{
    Calendar, Frozen, HORIZON, Interval, LONG_AGO, Occurrence, Rule, Window,
};
use crate::model::policy::CampaignPolicy;
use crate::model::{CampaignName, Millis, ProjectName, Settings, Wall, WindowName};

use super::failure::Failure;
use super::moment::{self, Clock, Relative};
use super::{Context, escape, json, output, settings};

const DAY: Millis = Millis::from_hours(24);

/// Occurrences and intervals listed at most: ten years of a nightly window.
const COUNT_MAX: u32 = 3_660;

#[derive(Debug, ClapArgs)]
pub struct Args {
    /// How many occurrences and intervals of each to list.
    #[arg(long, value_name = "N", default_value_t = 4,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(COUNT_MAX)))]
    count: u32,
    /// List what is open at or after this time (default: now).
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    from: Option<String>,
    /// Only this campaign and its windows.
    #[arg(long, value_name = "NAME")]
    campaign: Option<String>,
}

/// # Errors
/// The configuration cannot be used, or knows no such campaign.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let loaded = settings::load(&context.globals)?;
    let campaign =
        args.campaign.as_ref().map(|name| settings::campaign(&loaded, name)).transpose()?;
    let now = moment::now();
    let clock = &context.site.clock;
    let from = match &args.from {
        Some(text) => clock.read("--from", text, now, Relative::FromNow)?,
        None => now,
    };
    let listing = Listing {
        settings: &loaded.config.settings,
        from,
        count: args.count as usize,
        campaign,
        context,
    };
    if context.output.is_json() {
        context.output.json(&listing.to_json())?;
    } else {
        context.output.data(&listing.to_human())?;
    }
    Ok(Exit::Done)
}

struct Listing<'a> {
    settings: &'a Settings,
    from: Wall,
    count: usize,
    campaign: Option<CampaignName>,
    context: &'a Context,
}

/// One campaign in the projects that share its calendar.
struct Group<'a> {
    campaign: &'a CampaignName,
    policy: &'a CampaignPolicy,
    projects: Vec<&'a ProjectName>,
    calendar: Calendar,
}

impl Listing<'_> {
    fn windows(&self) -> impl Iterator<Item = &Window> {
        let wanted = self.campaign.as_ref().map(|name| &self.settings.campaigns[name].windows);
        self.settings
            .windows
            .values()
            .filter(move |window| wanted.is_none_or(|wanted| wanted.contains(&window.name)))
    }

    fn groups(&self) -> Vec<Group<'_>> {
        let mut groups: Vec<Group<'_>> = Vec::new();
        for (campaign, policy) in &self.settings.campaigns {
            if self.campaign.as_ref().is_some_and(|wanted| wanted != campaign) {
                continue;
            }
            for project in &policy.projects {
                let calendar = Calendar::for_campaign(self.settings, campaign, project);
                let same = groups
                    .iter_mut()
                    .find(|group| group.campaign == campaign && group.calendar == calendar);
                match same {
                    Some(group) => group.projects.push(project),
                    None => {
                        groups.push(Group { campaign, policy, projects: vec![project], calendar })
                    }
                }
            }
        }
        groups
    }

    fn occurrences(&self, window: &Window) -> Vec<Occurrence> {
        window.occurrences_after(self.from).take(self.count).collect()
    }

    fn intervals(&self, group: &Group<'_>) -> Vec<Interval> {
        group.calendar.intervals_after(self.from).take(self.count).collect()
    }

    /// Freezes from now to the end of the last interval listed: those that took something away.
    /// Where no end is in sight, the next ones.
    fn freezes<'g>(&self, group: &'g Group<'_>, intervals: &[Interval]) -> Vec<Frozen<'g>> {
        let last = intervals.last();
        let until = last.map_or(self.from, |one| one.close().unwrap_or(self.from + HORIZON));
        let mut freezes = group.calendar.freezes_between(self.from, until);
        if last.is_some_and(|last| last.close().is_none()) {
            freezes.truncate(self.count);
        }
        freezes
    }

    /// The zone to show a window in: its own, unless UTC was asked for.
    fn clock(&self, zone: &TimeZone) -> Clock {
        match self.context.globals.utc {
            true => Clock::utc(),
            false => Clock::new(zone.clone()),
        }
    }

    /// The zone of the campaign's windows where they agree, else the file's.
    fn clock_of(&self, policy: &CampaignPolicy) -> Clock {
        let mut zones = policy.windows.iter().filter_map(|name| self.settings.windows.get(name));
        let first = zones.next().map(|window| &window.zone);
        match first {
            Some(zone) if zones.all(|window| window.zone == *zone) => self.clock(zone),
            _ => self.context.site.clock.clone(),
        }
    }

    fn to_human(&self) -> String {
        let mut text = String::new();
        for window in self.windows() {
            self.window(&mut text, window);
        }
        for group in self.groups() {
            self.campaign(&mut text, &group);
        }
        text
    }

    fn window(&self, text: &mut String, window: &Window) {
        let zone = window.zone.iana_name().unwrap_or("UTC");
        let name = escape::line(window.name.as_str());
        let (rule, duration, cutoff) = (rule(&window.rule), window.duration, window.cutoff);
        line(text, &format!("window {name}: {rule} {zone}, {duration}, cutoff {cutoff}"));
        let clock = self.clock(&window.zone);
        let rows: Vec<Row> = self
            .occurrences(window)
            .iter()
            .map(|one| Row {
                open: one.open,
                last_start: Some(one.close - one.cutoff),
                close: Some(one.close),
                notes: occurrence_notes(one),
            })
            .collect();
        match rows.is_empty() {
            true => line(text, "  does not open any more\n"),
            false => text.push_str(&self.rows(&rows, &clock)),
        }
    }

    fn campaign(&self, text: &mut String, group: &Group<'_>) {
        let projects: Vec<&str> = group.projects.iter().map(|name| name.as_str()).collect();
        let (name, projects) = (escape::line(group.campaign.as_str()), projects.join(", "));
        line(text, &format!("campaign {name} in {projects}: may start upgrades"));
        let clock = self.clock_of(group.policy);
        let intervals = self.intervals(group);
        let several = group.policy.windows.len() > 1;
        let rows: Vec<Row> = intervals
            .iter()
            .map(|interval| Row {
                open: interval.open,
                last_start: interval.last_start(),
                close: interval.close(),
                notes: interval_notes(interval, several),
            })
            .collect();
        match rows.is_empty() {
            true => line(text, "  never: no window opens outside a freeze\n"),
            false => {
                text.push_str(&self.rows(&rows, &clock));
                self.frozen(text, &self.freezes(group, &intervals), &clock);
            }
        }
    }

    fn frozen(&self, text: &mut String, freezes: &[Frozen<'_>], clock: &Clock) {
        if freezes.is_empty() {
            return;
        }
        // Into the table's paragraph: its last line break goes.
        text.truncate(text.trim_end().len());
        text.push('\n');
        let clock = clock.for_all(freezes.iter().flat_map(|one| [one.from, one.until]));
        for frozen in freezes {
            let name = escape::line(frozen.freeze.name.as_str());
            let (from, until) =
                (clock.show(frozen.from), clock.show_within(frozen.until, frozen.from));
            line(text, &format!("  freeze {name}: {from} to {until}"));
        }
        text.push('\n');
    }

    fn rows(&self, rows: &[Row], clock: &Clock) -> String {
        let shown = rows.iter().flat_map(|row| [Some(row.open), row.last_start, row.close]);
        let clock = &clock.for_all(shown.flatten());
        let is_local = clock.zone != TimeZone::UTC;
        let mut rendered = self.table(rows, clock, is_local);
        let width = self.context.output.width().unwrap_or(usize::MAX);
        // The header is the narrower, but for marks that make it bold.
        let fits = rendered.lines().skip(1).all(|line| line.chars().count() <= width);
        if !fits {
            rendered = self.table(rows, clock, false);
        }
        let mut lines = rendered.lines();
        let mut text = format!("{}\n", lines.next().unwrap_or_default());
        for (row, rendered) in rows.iter().zip(lines) {
            line(&mut text, rendered);
            if is_local && !fits {
                line(&mut text, &format!("    in UTC: {}", utc_range(row, clock)));
            }
            for note in &row.notes {
                line(&mut text, &format!("    {note}"));
            }
        }
        text.push('\n');
        text
    }

    /// One line per row, below that of the header.
    fn table(&self, rows: &[Row], clock: &Clock, with_utc: bool) -> String {
        let header = ["  OPENS", "LAST START", "CLOSES", "IN UTC"];
        let mut table = self.context.output.table(&header[..if with_utc { 4 } else { 3 }]);
        // Rows must stay lines for the notes below them.
        table.set_content_arrangement(ContentArrangement::Disabled);
        for row in rows {
            let last_start = match row.last_start {
                None => "-".to_owned(),
                Some(last_start) if last_start <= row.open => "never".to_owned(),
                Some(last_start) => clock.show_within(last_start, row.open),
            };
            let open = match row.open {
                LONG_AGO if row.close.is_none() => "always open".to_owned(),
                LONG_AGO => "long ago".to_owned(),
                open => clock.show(open),
            };
            let close = match row.close {
                None => "no end in sight".to_owned(),
                Some(close) => clock.show_within(close, row.open),
            };
            let mut cells =
                vec![Cell::new(format!("  {open}")), Cell::new(last_start), Cell::new(close)];
            if with_utc {
                cells.push(Cell::new(utc_range(row, clock)));
            }
            table.add_row(cells);
        }
        output::render(&table)
    }

    fn to_json(&self) -> Value {
        let windows: Vec<Value> = self.windows().map(|window| self.window_json(window)).collect();
        let campaigns: Vec<Value> =
            self.groups().iter().map(|group| self.campaign_json(group)).collect();
        json!({ "from": self.from.rfc3339(), "windows": windows, "campaigns": campaigns })
    }

    fn window_json(&self, window: &Window) -> Value {
        let clock = self.clock(&window.zone);
        let occurrences = self.occurrences(window);
        let occurrences = occurrences.iter().map(|one| {
            let clock = clock.for_all([one.open, one.close]);
            json!({
                "open": one.open.rfc3339(),
                "open_local": clock.show(one.open),
                "last_start": (one.close - one.cutoff).rfc3339(),
                "close": one.close.rfc3339(),
                "close_local": clock.show(one.close),
                "shifted_by_gap": one.shifted_by_gap,
                "first_of_two": one.first_of_two,
            })
        });
        json!({
            "name": window.name,
            "rule": rule(&window.rule),
            "time_zone": window.zone.iana_name(),
            "duration_ms": window.duration,
            "cutoff_ms": window.cutoff,
            "occurrences": occurrences.collect::<Vec<_>>(),
        })
    }

    fn campaign_json(&self, group: &Group<'_>) -> Value {
        let clock = self.clock_of(group.policy);
        let intervals = self.intervals(group);
        let freezes = self.freezes(group, &intervals);
        let freezes = freezes.iter().map(|frozen| {
            json!({
                "name": frozen.freeze.name,
                "from": frozen.from.rfc3339(),
                "until": frozen.until.rfc3339(),
            })
        });
        let shown = intervals.iter().map(|interval| {
            let clock =
                clock.for_all([Some(interval.open), interval.close()].into_iter().flatten());
            json!({
                "open": json::instant(interval.open),
                "open_local": json::instant(interval.open).map(|_| clock.show(interval.open)),
                "open_ended": interval.close().is_none(),
                "last_start": interval.last_start().map(Wall::rfc3339),
                "close": interval.close().map(Wall::rfc3339),
                "close_local": interval.close().map(|close| clock.show(close)),
                "windows": interval.windows,
                "ended_by": interval.ended_by(),
            })
        });
        json!({
            "name": group.campaign,
            "projects": group.projects,
            "intervals": shown.collect::<Vec<_>>(),
            "freezes": freezes.collect::<Vec<_>>(),
        })
    }
}

/// One occurrence or interval as it is shown.
struct Row {
    open: Wall,
    last_start: Option<Wall>,
    close: Option<Wall>,
    notes: Vec<String>,
}

/// `15:30-19:30`, or `Fri 17:00-23:00` where that is another day than the local one beside it.
fn utc_range(row: &Row, clock: &Clock) -> String {
    let utc = clock.in_utc();
    let open = Some(row.open).filter(|open| *open != LONG_AGO);
    match (open, row.close) {
        (None, None) => String::new(),
        (None, Some(close)) => format!("to {}", utc.show_beside(close, clock)),
        (Some(open), None) => format!("from {}", utc.show_beside(open, clock)),
        // Within a day, an earlier time can only be that of the next.
        (Some(open), Some(close)) if close - open < DAY => {
            format!("{}-{}", utc.show_beside(open, clock), utc.show_time(close))
        }
        (Some(open), Some(close)) => {
            format!("{} to {}", utc.show_beside(open, clock), utc.show_within(close, open))
        }
    }
}

fn occurrence_notes(one: &Occurrence) -> Vec<String> {
    let at = one.local.strftime("%H:%M");
    let mut notes = Vec::new();
    if one.shifted_by_gap {
        notes.push(format!("moved: the clock change skips {at} that day"));
    }
    if one.first_of_two {
        notes.push(format!("{at} comes twice that day: it opens at the first, once"));
    }
    notes
}

fn interval_notes(interval: &Interval, several: bool) -> Vec<String> {
    let mut notes = Vec::new();
    if several {
        let names: Vec<&str> = interval.windows.iter().map(WindowName::as_str).collect();
        notes.push(format!("by {}", escape::line(&names.join(", "))));
    }
    if let Some(freeze) = interval.ended_by() {
        notes.push(format!("ended early by freeze {}", escape::line(freeze.as_str())));
    }
    if !interval.allows_starts_after(interval.open) {
        notes.push("nothing starts in it: it is no longer than its cutoff".to_owned());
    }
    notes
}

fn rule(rule: &Rule) -> String {
    match rule {
        Rule::Weekly { days, start } => {
            let days: Vec<String> = days.iter().map(|day| short(*day)).collect();
            format!("{} {}", days.join(", "), start.strftime("%H:%M"))
        }
        Rule::Cron { text, .. } => format!("cron {}", escape::line(text)),
        Rule::Once { at } => format!("once {}", at.strftime("%Y-%m-%d %H:%M")),
    }
}

fn short(day: jiff::civil::Weekday) -> String {
    format!("{day:?}").chars().take(3).collect()
}

fn line(text: &mut String, content: &str) {
    writeln!(text, "{content}").expect("a string takes every write");
}
