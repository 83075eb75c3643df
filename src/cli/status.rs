//! `refit status`: the fleet at a glance, and what stands in the way.

use std::fmt::Write;
use std::io::IsTerminal;
use std::time::Duration;

use clap::Args as ClapArgs;
use comfy_table::Cell;

use crate::engine::hold::{shell_word, unfreeze_command};
use crate::engine::rows::LateForecast;
use crate::engine::view::{CampaignStatus, ForecastView, FrozenBy, IntervalView, ProjectStatus};
use crate::engine::{CampaignState, Hold, HoldKind, Scope, Status, TargetState};
use crate::exit::Exit;
use crate::model::{Millis, Wall, WindowName};

use super::failure::Failure;
use super::moment::Clock;
use super::source::Source;
use super::{Context, escape, json, output, settings};

/// How often `--watch` redraws.
const WATCH_EVERY: Duration = Duration::from_secs(2);

/// Clears a terminal and goes to its first line.
const CLEAR: &str = "\u{1b}[2J\u{1b}[H";

#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Only this campaign.
    #[arg(long, value_name = "NAME")]
    campaign: Option<String>,
    /// Draw it anew every two seconds, until interrupted.
    #[arg(long, short)]
    watch: bool,
}

/// # Errors
/// Neither daemon nor store, or no such campaign.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    context.block_on(async {
        if !args.watch {
            return once(args, context).await;
        }
        tokio::select! {
            ended = watch(args, context) => ended,
            _ = tokio::signal::ctrl_c() => Ok(Exit::Done),
        }
    })
}

async fn once(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let source = Source::open(context).await?;
    let status = read(&source, args).await?;
    if let Some(caveat) = source.caveat(&context.site) {
        context.output.say(&format!("{caveat}\n"));
    }
    match context.output.is_json() {
        true => context.output.json(&json::status(&status))?,
        false => context.output.data(&to_human(&status, context))?,
    }
    Ok(Exit::Done)
}

async fn watch(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let clears = std::io::stdout().is_terminal() && !context.output.is_json();
    loop {
        // Opened anew each time: a daemon that ends is followed by its store, and back.
        let source = Source::open(context).await?;
        let status = read(&source, args).await?;
        if context.output.is_json() {
            context.output.json_line(&json::status(&status))?;
        } else {
            let caveat = source.caveat(&context.site).map(|text| format!("{text}\n\n"));
            let clear = if clears { CLEAR } else { "" };
            let text = to_human(&status, context);
            context.output.data(&format!("{clear}{}{text}", caveat.unwrap_or_default()))?;
        }
        tokio::time::sleep(WATCH_EVERY).await;
    }
}

async fn read(source: &Source, args: &Args) -> Result<Status, Failure> {
    let mut status = source.status().await?;
    if let Some(wanted) = &args.campaign {
        let known: Vec<&str> = status.campaigns.iter().map(|one| one.name.as_str()).collect();
        if !known.contains(&wanted.as_str()) {
            return Err(settings::unknown_campaign(wanted, known));
        }
        status.campaigns.retain(|one| one.name.as_str() == wanted);
    }
    Ok(status)
}

fn to_human(status: &Status, context: &Context) -> String {
    let clock = &context.site.clock;
    let mut text = format!("{}\n\n", clock.show(status.at));
    for doubt in &status.doubts {
        line(&mut text, &format!("nothing starts: {}", escape::line(doubt)));
    }
    for (at, (scope, until)) in status.freezes.iter().enumerate() {
        freeze(&mut text, scope, *until, status.frozen_by.get(at), context);
    }
    if !(status.doubts.is_empty() && status.freezes.is_empty()) {
        text.push('\n');
    }
    if status.campaigns.is_empty() {
        line(&mut text, "no campaign");
    } else {
        text.push_str(&table(status, context));
    }
    for campaign in &status.campaigns {
        let details = details(campaign, status.at, context);
        if !details.is_empty() {
            line(&mut text, &format!("\n{}", escape::line(campaign.name.as_str())));
            text.push_str(&details);
        }
    }
    for project in &status.projects {
        troubles(&mut text, project, status.at, context);
    }
    text
}

fn freeze(
    text: &mut String,
    scope: &Scope,
    until: Option<Wall>,
    by: Option<&FrozenBy>,
    context: &Context,
) {
    let (clock, output) = (&context.site.clock, &context.output);
    let until = until.map_or("lifted".to_owned(), |until| clock.show(until));
    line(text, &format!("frozen: {}, until {until}", escape::line(&scope.to_string())));
    if let Some(by) = by {
        let reason = by.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let since = clock.show(by.since);
        text.push_str(&output.entry("by", &escape::line(&format!("{}{reason}", by.actor))));
        text.push_str(&output.entry("since", &since));
    }
    text.push_str(&output.command("next", &unfreeze_command(scope)));
}

fn table(status: &Status, context: &Context) -> String {
    let header = ["CAMPAIGN", "STATE", "WAVE", "TODO", "NOW", "DONE", "FAILED", "SKIPPED"];
    let mut table = context.output.table(&header);
    output::align_numbers(&mut table, &[3, 4, 5, 6, 7]);
    for campaign in &status.campaigns {
        let count = |state| campaign.counts.get(&state).copied().unwrap_or(0);
        table.add_row([
            output::cell(campaign.name.as_str()),
            Cell::new(state(campaign)),
            output::cell(wave(campaign)),
            Cell::new(count(TargetState::Pending)),
            Cell::new(campaign.in_flight),
            Cell::new(count(TargetState::Succeeded)),
            Cell::new(count(TargetState::Failed)),
            Cell::new(count(TargetState::Skipped)),
        ]);
    }
    output::keep_whole(&mut table, &[1, 2, 3, 4, 5, 6, 7]);
    output::render(&table)
}

fn state(campaign: &CampaignStatus) -> String {
    match campaign.state {
        None if campaign.selection_empty => "empty".to_owned(),
        None => "planning".to_owned(),
        Some(_) if campaign.draining => "aborting".to_owned(),
        Some(state) => state.word().to_owned(),
    }
}

fn wave(campaign: &CampaignStatus) -> String {
    match campaign.state {
        None => "-".to_owned(),
        Some(state) if state.is_over() => "-".to_owned(),
        Some(_) => format!("{} {}/{}", campaign.wave_name, campaign.wave + 1, campaign.waves),
    }
}

/// What the table cannot say: one line each, and only where there is something to say.
fn details(campaign: &CampaignStatus, now: Wall, context: &Context) -> String {
    let clock = &context.site.clock;
    let output = &context.output;
    let mut text = String::new();
    let mut say = |key: &str, what: &str, command: Option<String>| {
        text.push_str(&output.entry(key, what));
        if let Some(command) = command {
            text.push_str(&output.command("next", &command));
        }
    };
    if campaign.selection_empty {
        let next = "refit check --effective".to_owned();
        say("empty", "selects no instance: compare select with their names", Some(next));
        return text;
    }
    let name = &campaign.name;
    let is_over = campaign.state.is_some_and(CampaignState::is_over);
    if !is_over {
        for window in windows(campaign, now, clock) {
            say("window", &window, None);
        }
    }
    if let Some(until) = campaign.bake_until.filter(|until| *until > now) {
        say("bake", &format!("until {}", clock.show(until)), None);
    }
    match &campaign.forecast {
        Some(forecast) => say("forecast", &completes(forecast, now, clock), None),
        None if is_over || campaign.state.is_none() => {}
        None => {
            let next = format!("refit forecast {}", shell_word(name.as_str()));
            say("forecast", "none yet: a running daemon makes one now and then", Some(next));
        }
    }
    if let Some(late) = &campaign.late {
        let next = format!("refit forecast {}", shell_word(name.as_str()));
        say("late", &misses(late, now, clock), Some(next));
    }
    if campaign.in_flight > 0 {
        say("in flight", &in_flight(campaign), None);
    }
    if let Some(cancelled) = campaign.counts.get(&TargetState::Cancelled) {
        say("cancelled", &cancelled.to_string(), None);
    }
    let events = |kind: &str| {
        let name = shell_word(name.as_str());
        Some(format!("refit events --campaign {name} --kind {kind}"))
    };
    if campaign.strikes > 0 {
        let what = format!("{} towards the failure budget", campaign.strikes);
        say("strikes", &what, events("failed"));
    }
    if campaign.overdue > 0 {
        say("overdue", &campaign.overdue.to_string(), events("overdue"));
    }
    if campaign.needs_operator > 0 {
        let what = format!("needed by {}", campaign.needs_operator);
        say("operator", &what, events("needs_operator"));
    }
    if campaign.state == Some(CampaignState::Paused) {
        let next = format!("refit resume {}", shell_word(name.as_str()));
        say("paused", &causes(campaign), Some(next));
    }
    if campaign.state == Some(CampaignState::AwaitingApproval) {
        let name = shell_word(name.as_str());
        let next = format!("refit approve {name} --digest {}", campaign.digest);
        say("approve", "its plan is waiting for it", Some(next));
    }
    if let Some(hold) = &campaign.hold {
        // The lines above have the commands for these already.
        let is_said = matches!(
            hold.kind,
            HoldKind::CampaignPaused | HoldKind::AwaitingApproval | HoldKind::BudgetTripped
        );
        let next = hold.next_command.clone().filter(|_| !is_said);
        say("waits", &waits(campaign, hold, now, clock), next);
    }
    text
}

/// `p50 Sun 02:10, p90 Mon 01:40; 3m ago`.
fn completes(forecast: &ForecastView, now: Wall, clock: &Clock) -> String {
    let at = |at: Option<Wall>| at.map_or("never".to_owned(), |at| clock.show_near(at, now));
    let minutes = Millis::from_mins((now - forecast.at).0.max(0) / 60_000);
    let age = if minutes == Millis::ZERO { "now".into() } else { format!("{minutes} ago") };
    format!("p50 {}, p90 {}; {age}", at(forecast.p50), at(forecast.p90))
}

fn misses(late: &LateForecast, now: Wall, clock: &Clock) -> String {
    let deadline = clock.show_near(late.deadline, now);
    format!("p90 is after the deadline {deadline}, since {}", clock.show_near(late.since, now))
}

/// The reason that all share, or how many wait for what, with the detail of the commonest.
fn waits(campaign: &CampaignStatus, hold: &Hold, now: Wall, clock: &Clock) -> String {
    let earliest = match hold.earliest.filter(|earliest| *earliest > now) {
        Some(earliest) => format!("; earliest {}", clock.show_near(earliest, now)),
        None => String::new(),
    };
    let detail = format!("{}{earliest}", escape::line(&hold.detail));
    let [first, rest @ ..] = &campaign.waits[..] else {
        return format!("{}: {detail}", hold.kind.word());
    };
    let pending = campaign.counts.get(&TargetState::Pending).copied().unwrap_or(0);
    let counted: u32 = campaign.waits.iter().map(|one| one.targets).sum();
    let part = if counted < pending { format!("of the first {counted}: ") } else { String::new() };
    if rest.is_empty() {
        return format!("{part}{}: {detail}", first.kind.word());
    }
    let noun = if first.targets == 1 { "target" } else { "targets" };
    let mut text = format!("{part}{} {noun}: {} ({detail})", first.targets, first.kind.word());
    for one in rest {
        text.push_str(&format!("; {}: {}", one.targets, one.kind.word()));
    }
    text
}

/// The running or next interval; with the projects that share it, where they differ.
fn windows(campaign: &CampaignStatus, now: Wall, clock: &Clock) -> Vec<String> {
    let mut shared: Vec<(&Option<IntervalView>, Vec<&str>)> = Vec::new();
    for (project, interval) in &campaign.intervals {
        match shared.iter_mut().find(|(known, _)| *known == interval) {
            Some((_, projects)) => projects.push(project.as_str()),
            None => shared.push((interval, vec![project.as_str()])),
        }
    }
    let differ = shared.len() > 1;
    let shown = shared.into_iter().map(|(interval, projects)| {
        let what = match interval {
            None => "none: no window opens again".to_owned(),
            Some(interval) => window(interval, now, clock),
        };
        match differ {
            true => format!("{}: {what}", escape::line(&projects.join(", "))),
            false => what,
        }
    });
    shown.collect()
}

fn window(interval: &IntervalView, now: Wall, clock: &Clock) -> String {
    let names: Vec<&str> = interval.windows.iter().map(WindowName::as_str).collect();
    let names = escape::line(&names.join(", "));
    let edges = [Some(interval.open), interval.last_start, interval.close];
    let clock = clock.for_all(edges.into_iter().flatten());
    if interval.open > now {
        return format!("opens {} ({names})", clock.show(interval.open));
    }
    let (Some(last_start), Some(close)) = (interval.last_start, interval.close) else {
        return match interval.is_always_open() {
            true => format!("always open ({names})"),
            false => format!("open, no end in sight ({names})"),
        };
    };
    if last_start <= now {
        return format!("past its cutoff, closes {} ({names})", clock.show_near(close, now));
    }
    let closes = clock.show_within(close, last_start);
    let last_start = clock.show_near(last_start, now);
    format!("open, last start {last_start}, closes {closes} ({names})")
}

fn in_flight(campaign: &CampaignStatus) -> String {
    let states = TargetState::ALL.into_iter().filter(|state| state.is_in_flight());
    let counts = states.filter_map(|state| {
        let count = campaign.counts.get(&state).copied().filter(|count| *count > 0)?;
        Some(format!("{count} {state}"))
    });
    counts.collect::<Vec<_>>().join(", ")
}

fn causes(campaign: &CampaignStatus) -> String {
    let causes = campaign.causes.iter().map(|cause| escape::line(&cause.to_string()));
    causes.collect::<Vec<_>>().join(", ")
}

/// Why a project starts nothing, where it does not.
fn troubles(text: &mut String, project: &ProjectStatus, now: Wall, context: &Context) {
    let (clock, output) = (&context.site.clock, &context.output);
    let name = escape::line(project.name.as_str());
    let mut say = |what: String, entries: &[(&str, Option<String>)]| {
        line(text, &format!("\nproject {name}: {what}"));
        for (key, entry) in entries {
            if let Some(entry) = entry {
                text.push_str(&match *key {
                    "next" | "or" => output.command(key, entry),
                    _ => output.entry(key, &escape::line(entry)),
                });
            }
        }
    };
    let at = |at: Option<Wall>| at.map(|at| clock.show(at));
    if let Some(why) = &project.stopped {
        let next = format!("refit resume --project {}", project.name);
        let since = at(project.stopped_since);
        say(
            "stopped".into(),
            &[("because", Some(why.to_string())), ("since", since), ("next", Some(next))],
        );
    }
    if let Some(why) = &project.credential_stopped {
        let credential = &project.credential;
        let hold = project.credential_hold.as_ref();
        let why = hold.map_or(&**why, |hold| &hold.detail);
        say(
            format!("credential {} is stopped", escape::line(credential.as_str())),
            &[
                ("because", Some(why.to_string())),
                ("since", at(project.credential_stopped_since)),
                ("next", hold.and_then(|hold| hold.next_command.clone())),
                ("or", hold.and_then(|hold| hold.alternatives.first().cloned())),
            ],
        );
    }
    if let Some(unreachable) = &project.unreachable {
        let next_try = Some(unreachable.next_try).filter(|next_try| *next_try > now);
        say(
            "cloud unreachable".into(),
            &[
                ("because", Some(unreachable.cause.to_string())),
                ("since", at(Some(unreachable.since))),
                ("next try", at(next_try).or_else(|| Some("now".to_owned()))),
            ],
        );
    }
    if let Some(why) = &project.list_refused {
        say(
            "the list of instances is refused, and asked for again".into(),
            &[("because", Some(why.to_string()))],
        );
    }
    if let Some(until) = project.circuit_open_until {
        say(format!("three unclear answers in a row; no start before {}", clock.show(until)), &[]);
    }
    let paused = [("upgrades", project.starts_paused_until), ("reads", project.reads_paused_until)];
    for (what, until) in paused {
        if let Some(until) = until.filter(|until| *until > now) {
            say(format!("the cloud answered 429: {what} pause until {}", clock.show(until)), &[]);
        }
    }
    if let Some(until) = project.backoff_until.filter(|_| project.unreachable.is_none()) {
        say(format!("an upgrade could not be sent; backs off until {}", clock.show(until)), &[]);
    }
}

fn line(text: &mut String, content: &str) {
    writeln!(text, "{content}").expect("a string takes every write");
}
