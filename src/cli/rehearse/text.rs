//! A rehearsal's report as tables and sentences.

use std::collections::BTreeSet;

use comfy_table::Cell;

use crate::cli::moment::Clock;
use crate::cli::output::{self, Output};
use crate::cli::{Context, escape};
use crate::model::calendar::LONG_AGO;
use crate::model::{Millis, ProjectName, Wall};
use crate::rehearse::rehearsal::{
    CampaignReport, Crashes, GroupOf, GroupReport, OutcomeReport, RunEnd, Unfinished, WindowReport,
};
use crate::rehearse::{CallCounts, Spread};

use super::Rehearsed;

/// Rows of a table that are told one by one; of more, the first and the last.
const ROWS_MAX: usize = 40;

/// Groups that are told, the fullest first.
const GROUPS_MAX: usize = 12;

/// Broken rules that are told.
const FINDINGS_MAX: usize = 20;

pub fn report(rehearsed: &Rehearsed, context: &Context) -> String {
    let (report, output) = (&rehearsed.report, &context.output);
    let clock = context.site.clock.for_all([]);
    let sentences = introduction(rehearsed, &clock);
    let mut text: String = sentences.iter().map(|sentence| output.sentence(sentence)).collect();
    for (at, said) in &report.said {
        let said = escape::line(said);
        text.push_str(&output.wrapped(&format!("{}  {said}", clock.show(*at)), 4));
    }
    for campaign in &report.campaigns {
        text.push('\n');
        text.push_str(&self::campaign(campaign, report.seeds.len(), output, &clock));
    }
    text.push_str(&groups(&report.groups, output, &clock));
    text.push('\n');
    for sentence in conclusion(rehearsed) {
        text.push_str(&output.sentence(&sentence));
    }
    for finding in report.findings.iter().take(FINDINGS_MAX) {
        let told = format!("seed {}: {}", finding.seed, escape::line(&finding.what));
        text.push_str(&output.wrapped(&told, 2));
    }
    text
}

/// What was rehearsed, in sentences.
pub fn introduction(rehearsed: &Rehearsed, clock: &Clock) -> Vec<String> {
    let Rehearsed { rehearsal, report, from, notes } = rehearsed;
    let seeds = match report.seeds.as_slice() {
        [only] => format!("seed {only}"),
        [first, .., last] => format!("{} seeds, {first} to {last}", report.seeds.len()),
        [] => "no seed".to_owned(),
    };
    let crashes = match rehearsal.crashes {
        Crashes::None => String::new(),
        _ => format!(", {} of the daemon", count(u64::from(report.crashes), "crash", "crashes")),
    };
    let faults = escape::line(&rehearsal.faults.name);
    let title = format!(
        "Rehearsed from {} with the {} of {}: {seeds}, faults {}{crashes}.",
        clock.show(report.begin),
        count(rehearsal.fleet.instances() as u64, "instance", "instances"),
        escape::line(from),
        if faults.is_empty() { "of a file".into() } else { faults },
    );
    let notes = notes.iter().map(|note| format!("Note: {}.", escape::line(note)));
    [title, durations(rehearsed)].into_iter().chain(notes).collect()
}

fn durations(rehearsed: &Rehearsed) -> String {
    let (sources, rehearsal) = (rehearsed.rehearsal.sources(), &rehearsed.rehearsal);
    let takes = rehearsal.fleet.world.takes;
    let declared = match rehearsal.durations.declared {
        Some(declared) => format!("declared, {}", range(declared)),
        None => "as their campaigns expect".to_owned(),
    };
    let parts = [
        (sources.classes, "as declared of their class".to_owned()),
        (sources.declared, declared),
        (sources.learned, "as measured before".to_owned()),
        (sources.file, "as each says in the fleet's file".to_owned()),
        (sources.assumed, format!("from the fleet's range, {}", range(takes))),
    ];
    let parts: Vec<String> = parts
        .into_iter()
        .filter(|(instances, _)| *instances > 0)
        .map(|(instances, how)| format!("{} {how}", number(instances as u64)))
        .collect();
    format!("How long upgrades take: {}.", parts.join("; "))
}

fn range(range: crate::sim::world::SpanRange) -> String {
    match range.least == range.most {
        true => range.least.to_string(),
        false => format!("{} to {}", range.least, range.most),
    }
}

fn campaign(campaign: &CampaignReport, seeds: usize, output: &Output, clock: &Clock) -> String {
    let name = escape::line(campaign.name.as_str());
    let targets = count(u64::from(campaign.targets), "target", "targets");
    let mut text = format!("campaign {name}: {targets}\n");
    for (key, told) in facts(campaign, seeds, clock) {
        text.push_str(&output.entry(key, &escape::line(&told)));
    }
    if !campaign.windows.is_empty() {
        text.push_str(&windows(&campaign.windows, output, clock));
    }
    text.push_str(&waves(campaign, output, clock));
    text.push_str(&outcomes(&campaign.outcomes, output));
    text
}

/// What there is to say of a campaign as a whole, each with its key.
pub fn facts(
    campaign: &CampaignReport,
    seeds: usize,
    clock: &Clock,
) -> Vec<(&'static str, String)> {
    let mut facts = vec![("completes", completes(&campaign.completes, clock))];
    if let Some(why) = &campaign.why {
        let (key, told) = match why {
            Unfinished::Stuck(waits) => ("never", waits.clone()),
            Unfinished::By(at, waits) => {
                facts.retain(|_| campaign.completes.p50.is_some());
                ("not over", format!("by {}; {waits}", clock.show(*at)))
            }
            Unfinished::TooManySteps(waits) => ("not over", format!("cut off; {waits}")),
        };
        let (told, seeds_of) = (clock.localized(&told), campaign.unfinished.len());
        facts.push((key, format!("in {seeds_of} of {seeds} seeds: {told}")));
    }
    if let Some((seed, at)) = campaign.budget_trips.first() {
        let trips = campaign.budget_trips.len();
        let told = format!("trips in {trips} of {seeds} seeds; {} in seed {seed}", clock.show(*at));
        facts.push(("budget", told));
    }
    for (cause, paused) in &campaign.pauses {
        facts.push(("pauses", format!("by {cause} in {paused} of {seeds} seeds")));
    }
    if campaign.windows.is_empty() {
        facts.push(("windows", "none opened".to_owned()));
    }
    facts.push(("digest", campaign.digest.to_string()));
    facts
}

pub fn completes(spread: &Spread<Wall>, clock: &Clock) -> String {
    match (spread.p50, spread.p90) {
        (Some(p50), Some(p90)) if p50 == p90 => clock.show(p50),
        (Some(p50), Some(p90)) => {
            format!("p50 {}, p90 {}", clock.show(p50), clock.show(p90))
        }
        (Some(p50), None) => format!("p50 {}, p90 never", clock.show(p50)),
        (None, _) => "never, in most seeds".to_owned(),
    }
}

fn windows(windows: &[WindowReport], output: &Output, clock: &Clock) -> String {
    let header = ["WINDOW", "UNTIL", "STARTS", "ENDS", "AT CLOSE", "OVER", "LONGEST"];
    let mut table = output.table(&header);
    let projects: BTreeSet<&ProjectName> = windows.iter().flat_map(|it| &it.projects).collect();
    let is_shared = |window: &WindowReport| window.projects.len() == projects.len();
    let names = |window: &WindowReport| {
        window.projects.iter().map(ProjectName::as_str).collect::<Vec<_>>().join(", ")
    };
    let mut row = |window: &WindowReport| {
        let until = window.close.map_or("no end".into(), |at| clock.show_within(at, window.open));
        let missed = if window.missed > 0 { " (missed)" } else { "" };
        let only = if is_shared(window) { String::new() } else { format!(" {}", names(window)) };
        table.add_row([
            Cell::new(if window.open == LONG_AGO {
                "always".into()
            } else {
                clock.show(window.open)
            }),
            output::cell(format!("{until}{only}{missed}")),
            Cell::new(window.starts),
            Cell::new(window.ends),
            Cell::new(window.in_flight_at_close),
            Cell::new(window.overruns),
            Cell::new(overrun(window.longest_overrun)),
        ]);
    };
    let left_out = windows.len().saturating_sub(ROWS_MAX);
    let (head, tail) = if left_out > 0 {
        (&windows[..ROWS_MAX / 2], &windows[windows.len() - ROWS_MAX / 2..])
    } else {
        (windows, &[][..])
    };
    head.iter().for_each(&mut row);
    tail.iter().for_each(&mut row);
    output::align_numbers(&mut table, &[2, 3, 4, 5, 6]);
    output::keep_whole(&mut table, &[0, 1]);
    let mut text = format!("\n{}", output::render(&table));
    if left_out > 0 {
        let told = format!(
            "({} in between; --format json and --html show all.)",
            count(left_out as u64, "window", "windows")
        );
        text.push_str(&output.sentence(&told));
    }
    text
}

fn waves(campaign: &CampaignReport, output: &Output, clock: &Clock) -> String {
    if campaign.waves.len() < 2 {
        return String::new();
    }
    let mut table = output.table(&["WAVE", "OPENS P50", "ENDS P50", "ENDS P90"]);
    let show = |at: Option<Wall>| at.map_or("never".to_owned(), |at| clock.show_date(at));
    for wave in &campaign.waves {
        table.add_row([
            output::cell(&wave.name),
            Cell::new(show(wave.opens.p50)),
            Cell::new(show(wave.ends.p50)),
            Cell::new(match (wave.ends.p50, wave.ends.p90) {
                (Some(p50), Some(p90)) => clock.show_within(p90, p50),
                (_, p90) => show(p90),
            }),
        ]);
    }
    format!("\n{}", output::render(&table))
}

fn outcomes(outcomes: &[OutcomeReport], output: &Output) -> String {
    let mut table = output.table(&["TARGETS", "REASON", "P50", "MOST", "SUCH AS"]);
    for outcome in outcomes {
        let names: Vec<&str> = outcome.names.iter().take(2).map(|name| &**name).collect();
        table.add_row([
            Cell::new(state(outcome)),
            output::cell(outcome.reason.as_deref().unwrap_or("-")),
            Cell::new(outcome.p50),
            Cell::new(outcome.most),
            output::cell(names.join(", ")),
        ]);
    }
    output::align_numbers(&mut table, &[2, 3]);
    output::keep_whole(&mut table, &[0, 2, 3]);
    format!("\n{}", output::render(&table))
}

fn groups(groups: &[GroupReport], output: &Output, clock: &Clock) -> String {
    if groups.is_empty() {
        return String::new();
    }
    let fullest = fullest(groups);
    let left_out = fullest.len().saturating_sub(GROUPS_MAX);
    let mut table = output.table(&["IN FLIGHT AT ONCE", "MOST", "LIMIT", "FIRST AT", "SEED"]);
    for group in fullest.into_iter().take(GROUPS_MAX) {
        table.add_row([
            output::cell(label(group)),
            Cell::new(group.most),
            Cell::new(group.limit),
            Cell::new(group.most_at.map_or("-".to_owned(), |at| clock.show(at))),
            Cell::new(group.seed),
        ]);
    }
    output::align_numbers(&mut table, &[1, 2, 4]);
    output::keep_whole(&mut table, &[0, 3]);
    let mut text = format!("\n{}", output::render(&table));
    if left_out > 0 {
        text.push_str(&output.sentence(&format!("({left_out} groups that were less full.)")));
    }
    text
}

/// The fullest first.
pub fn fullest(groups: &[GroupReport]) -> Vec<&GroupReport> {
    let mut fullest: Vec<&GroupReport> = groups.iter().collect();
    fullest.sort_by_key(|group| std::cmp::Reverse(per_mille(group)));
    fullest
}

fn per_mille(group: &GroupReport) -> u64 {
    u64::from(group.most) * 1_000 / u64::from(group.limit.max(1))
}

pub fn label(group: &GroupReport) -> String {
    match (&group.campaign, &group.of) {
        (_, GroupOf::Project(name)) => format!("project {name}"),
        (Some(campaign), GroupOf::Campaign) => format!("campaign {campaign}"),
        (Some(campaign), GroupOf::Unavailable(name)) => format!("{campaign}: {name}"),
        (None, GroupOf::Campaign) => "all".to_owned(),
        (None, GroupOf::Unavailable(name)) => name.to_string(),
    }
}

/// The same where the campaign is known.
pub fn short_label(group: &GroupReport) -> String {
    match &group.of {
        GroupOf::Unavailable(name) => name.to_string(),
        _ => label(group),
    }
}

fn calls((middle, most): (CallCounts, CallCounts)) -> String {
    let more = match most.all() == middle.all() {
        true => String::new(),
        false => format!(" ({} at the most)", number(most.all())),
    };
    let kinds = [
        (middle.upgrade, "upgrades"),
        (middle.inventory, "pages of instances"),
        (middle.instance, "single instances"),
        (middle.versions, "versions"),
        (middle.instance_tasks, "task lists"),
        (middle.task_centre, "pages of the task centre"),
    ];
    let kinds = kinds.into_iter().filter(|(calls, _)| *calls > 0);
    let kinds: Vec<String> =
        kinds.map(|(calls, what)| format!("{} {what}", number(calls))).collect();
    format!("Calls of the cloud: {}{more}: {}.", number(middle.all()), kinds.join(", "))
}

/// What it cost, how it ended, and whether the rules were kept, in sentences.
pub fn conclusion(rehearsed: &Rehearsed) -> Vec<String> {
    let report = &rehearsed.report;
    let mut sentences = vec![calls(report.calls)];
    for (end, seeds) in &report.ends {
        let why = match end {
            RunEnd::Over => continue,
            RunEnd::Stalled => "nothing that is left goes on by itself",
            RunEnd::TimeOver => "the time was over before the campaigns were",
            RunEnd::TooManySteps => "it took more steps than a run may",
        };
        sentences.push(format!("In {} of {} seeds {why}.", seeds.len(), report.seeds.len()));
    }
    sentences.push(match report.findings.len() {
        0 => format!("Every rule was kept in every one of {} steps.", number(report.steps)),
        broken => format!("{} of the rules.", count(broken as u64, "breach", "breaches")),
    });
    sentences
}

/// `1 crash`, `2,000 crashes`.
fn count(count: u64, one: &str, many: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{} {many}", number(count)) }
}

/// `12,345`.
pub fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// To the minute, upwards: an overrun of some seconds is one.
pub fn minutes(length: Millis) -> String {
    Millis::from_mins((length.0 + 59_999) / 60_000).to_string()
}

pub fn overrun(longest: Millis) -> String {
    match longest {
        Millis::ZERO => "-".to_owned(),
        longest => minutes(longest),
    }
}

pub fn state(outcome: &OutcomeReport) -> String {
    match outcome.needs_operator {
        true => format!("{}, needs an operator", outcome.state),
        false => outcome.state.to_string(),
    }
}
