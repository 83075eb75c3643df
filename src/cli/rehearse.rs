//! `refit rehearse`: what a campaign will do, before it does it.
//!
//! The production engine runs in virtual time against a simulated cloud that holds this fleet: all
//! windows, freezes and clock changes of weeks, once for each seed. Nothing is sent anywhere, and no
//! secret is read; with `--live` the fleet is planned first, as `refit plan` does it.

mod axis;
mod html;
mod inventory;
mod json;
mod picture;
mod text;

use std::fs;
use std::io::{self, IsTerminal};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use clap::Args as ClapArgs;
use serde_json::json;

use crate::config::Loaded;
use crate::exit::Exit;
use crate::model::policy::{Start, Starts};
use crate::model::{Millis, Wall};
use crate::rehearse::Fleet;
use crate::rehearse::rehearsal::{Crashes, Rehearsal, Report, Run};
use crate::rehearse::scenario::{ActAt, Deed, Stage};
use crate::sim::world::{FaultProfile, Knobs, World};

pub use text::completes;

use super::durations::DurationArgs;
use super::failure::Failure;
use super::moment::{self, Relative};
use super::{Context, data_file, escape, settings};

/// A rehearsal that lasts longer than this in virtual time is cut off: every yearly window and
/// freeze has come by then.
const LASTS_AT_MOST: Millis = Millis::from_hours(400 * 24);

/// Seeds where nobody says how many, for fleets of up to so many instances.
const SEEDS: [(usize, u64); 3] = [(5_000, 20), (20_000, 5), (usize::MAX, 2)];

/// More seeds than this make a range no narrower.
const SEEDS_MAX: u64 = 100_000;

#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Only this campaign is told of; the others run beside it.
    campaign: Option<String>,

    /// The fleet, from a file that refit plan --export wrote, or of a simulated world; else from the
    /// store.
    #[arg(long, value_name = "FILE", conflicts_with = "live")]
    fleet: Option<PathBuf>,

    /// Reads the fleet from the cloud first, as refit plan does.
    #[arg(long)]
    live: bool,

    /// How many times; 20 by default, fewer of large fleets.
    #[arg(long, value_name = "COUNT")]
    seeds: Option<u64>,

    /// The first seed: the same seeds and files give the same report, byte for byte.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,

    /// What goes wrong: calm, realistic, hostile, or a file.
    #[arg(long, value_name = "PROFILE", default_value = "calm")]
    faults: String,

    #[command(flatten)]
    durations: DurationArgs,

    /// The daemon dies so many times, or at this share of all boundaries between deciding,
    /// committing, sending and answering: 3, or 0.001.
    #[arg(long, value_name = "COUNT|SHARE", value_parser = crashes, default_value = "0")]
    crashes: Crashes,

    /// What operators and others do, as a scenario file's acts.
    #[arg(long, value_name = "FILE")]
    acts: Option<PathBuf>,

    /// Also writes the report as a web page, with pictures, into this file.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    /// Plays a scenario file instead, and tells its timeline; needs no configuration.
    #[arg(long, value_name = "FILE", exclusive = true)]
    scenario: Option<PathBuf>,

    /// When it begins; now by default.
    #[arg(long, value_name = "TIME")]
    begin: Option<String>,

    /// When it ends at the latest; 400 days after the beginning by default.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

fn crashes(text: &str) -> Result<Crashes, String> {
    match (text.parse::<u32>(), text.parse::<f64>()) {
        (Ok(0), _) => Ok(Crashes::None),
        (Ok(count), _) => Ok(Crashes::Count(count)),
        (_, Ok(share)) if share > 0.0 && share < 1.0 => Ok(Crashes::Share(share)),
        _ => Err("it is neither a count nor a share between 0 and 1".into()),
    }
}

/// What was rehearsed, for whoever tells of it.
struct Rehearsed {
    rehearsal: Rehearsal,
    report: Report,
    /// Where the fleet is from.
    from: String,
    notes: Vec<String>,
}

/// Rehearses and reports.
///
/// # Errors
/// The configuration, or a file, cannot be used; or there is no fleet.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    if let Some(path) = &args.scenario {
        return play_scenario(path, context);
    }
    let loaded = settings::load(&context.globals)?;
    let campaign = args.campaign.as_deref().map(|name| settings::campaign(&loaded, name));
    let campaign = campaign.transpose()?;
    let mut durations = args.durations.declared()?;
    let found = inventory::find(args, context)?;
    if args.durations.counts_learned() {
        durations.learned = found.learned;
    }
    let now = moment::now();
    let clock = &context.site.clock;
    let instant = |option: &str, text: &Option<String>| {
        text.as_ref().map(|text| clock.read(option, text, now, Relative::FromNow)).transpose()
    };
    let begin = instant("--begin", &args.begin)?.unwrap_or(now);
    let until = instant("--until", &args.until)?.unwrap_or(begin + LASTS_AT_MOST);
    if until <= begin {
        return Err(Failure::usage("--until is not after the beginning"));
    }
    let fleet = found.fleet.reached_by(&loaded.config.settings);
    let acts = acts(args, &fleet, (begin, until), &loaded)?;
    let mut notes = fleet.notes.clone();
    let rehearsal = Rehearsal {
        settings: started(&loaded, &acts, &mut notes),
        fleet,
        durations,
        faults: data_file::faults(&args.faults)?,
        crashes: args.crashes,
        acts,
        begin,
        until,
        campaign,
    };
    let seeds = seeds(args, &rehearsal)?;
    let runs = play(&rehearsal, &seeds);
    let report = Report::of(&runs, begin, rehearsal.campaign.as_ref());
    let exit = if report.is_good() { Exit::Done } else { Exit::Findings };
    let rehearsed = Rehearsed { rehearsal, report, from: found.from, notes };
    if let Some(path) = &args.html {
        let name = path.display();
        fs::write(path, html::report(&rehearsed, context)).map_err(|error| {
            Failure::new(Exit::InputOutput, format!("{name} cannot be written")).because(&error)
        })?;
    }
    match context.output.is_json() {
        true => context.output.json(&json::report(&rehearsed))?,
        false => context.output.data(&text::report(&rehearsed, context))?,
    }
    Ok(exit)
}

/// Tells the timeline of a scenario file, and which rules it broke.
fn play_scenario(path: &Path, context: &Context) -> Result<Exit, Failure> {
    let text = data_file::text(path)?;
    let file = super::scenario::read(path, text).map_err(data_file::wrong)?;
    let played = file.scenario.play();
    if context.output.is_json() {
        let timeline: Vec<&str> = played.timeline.lines().collect();
        context.output.json(&json!({ "timeline": timeline, "broken": played.complaints }))?;
    } else {
        context.output.data(&played.timeline)?;
        for broken in &played.complaints {
            context.output.data(&format!("broken: {}\n", escape::line(broken)))?;
        }
    }
    Ok(if played.complaints.is_empty() { Exit::Done } else { Exit::Findings })
}

fn seeds(args: &Args, rehearsal: &Rehearsal) -> Result<Vec<u64>, Failure> {
    let instances = rehearsal.fleet.instances();
    let usual = SEEDS.iter().find(|(most, _)| instances <= *most).map_or(1, |(_, seeds)| *seeds);
    let count = args.seeds.unwrap_or(usual);
    if !(1..=SEEDS_MAX).contains(&count) {
        return Err(Failure::usage(format!("--seeds {count} is not from 1 to {SEEDS_MAX}")));
    }
    match args.seed.checked_add(count - 1) {
        Some(last) => Ok((args.seed..=last).collect()),
        None => Err(Failure::usage(format!("--seed {} leaves no room for {count}", args.seed))),
    }
}

fn acts(
    args: &Args,
    fleet: &Fleet,
    (begin, until): (Wall, Wall),
    loaded: &Loaded,
) -> Result<Vec<ActAt>, Failure> {
    let Some(path) = &args.acts else { return Ok(Vec::new()) };
    let stage = Stage { zone: &loaded.config.time_zone, begin, end: Some(until) };
    let world = World::new(fleet.world.clone(), Knobs::default(), FaultProfile::calm(), 0);
    data_file::script(path, stage, &world)
}

/// The settings as if everybody who has to let it start did so: what waits for an approval that no
/// act gives is approved at once, and shadow mode is over.
fn started(loaded: &Loaded, acts: &[ActAt], notes: &mut Vec<String>) -> crate::model::Settings {
    let mut settings = loaded.config.settings.clone();
    for (name, policy) in &mut settings.campaigns {
        let approves = |act: &ActAt| matches!(&act.deed, Deed::Approve(one) if one == name);
        if policy.start == Start::Approve && !acts.iter().any(approves) {
            policy.start = Start::Automatic;
            notes.push(format!("campaign {name} is taken to be approved at once"));
        }
    }
    for (name, policy) in &mut settings.projects {
        if policy.starts != Starts::On {
            policy.starts = Starts::On;
            notes.push(format!("project {name} is taken to start upgrades, though starts are off"));
        }
    }
    settings
}

/// Every seed, as many at once as the machine has cores; the order of the seeds stays.
fn play(rehearsal: &Rehearsal, seeds: &[u64]) -> Vec<Run> {
    let steps = match (rehearsal.crashes, seeds.first()) {
        (Crashes::Count(_), Some(first)) => rehearsal.steps_without_crashes(*first),
        _ => 0,
    };
    let (next, runs) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let is_watched = io::stderr().is_terminal();
    let work = || {
        while let Some(&seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
            let run = rehearsal.run(seed, Some(&seed) == seeds.first(), steps);
            let mut runs = runs.lock().expect("a thread that panics ends the process");
            runs.push(run);
            if is_watched {
                let told = format!("rehearsed: {} of {} seeds", runs.len(), seeds.len());
                anstream::eprint!("\r{told:<40}");
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(seeds.len());
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    if is_watched {
        anstream::eprint!("\r{:<40}\r", "");
    }
    let mut runs = runs.into_inner().expect("a thread that panics ends the process");
    runs.sort_by_key(|run| run.seed);
    runs
}
