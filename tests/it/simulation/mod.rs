//! Deterministic simulation: engine, cloud, operators and crashes, from one seed.
//!
//! `REFIT_SEED=n` runs one seed and prints its ledger; `REFIT_SEEDS=m` runs so many, from `REFIT_SEED`
//! on where both are given: a soak. A failure names its seed first.

mod dice;
mod faults;
mod fleet;
pub mod judge;
mod operator;

use std::collections::BTreeSet;
use std::env;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use clap::Parser;
use refit::cli::Cli;
use refit::engine::HoldKind;
use refit::engine::input::{FreezeFile, StoreHealth};
use refit::model::policy::Fit;
use refit::model::{Millis, Wall};
use refit::rehearse::{Act, Ended, Host, Network, Setup};
use refit::sim::world::World;

use dice::Dice;

/// Steps of one run: about ten times what the busiest of a thousand seeds takes.
const STEPS_MAX: u64 = 400_000;

/// Faults go on for so long; then they heal, and operators tidy up.
const FAULTS_FOR: Millis = Millis::from_hours(54);

/// Healed, everything ends within this.
const HEALED_FOR: Millis = Millis::from_hours(21 * 24);

/// Midnight of 2026-03-26, UTC: days before Europe's clocks change.
const BEGIN: Wall = Wall(1_774_483_200_000);

fn host(dice: Dice) -> Host {
    let world = fleet::world(dice);
    let settings = fleet::settings(dice, &world);
    let begin = BEGIN + dice.minutes("begin", 0, 24 * 60);
    let mut host = Host::new(Setup {
        world: World::new(world, faults::knobs(dice), faults::profile(dice), dice.0),
        settings,
        begin,
        seed: dice.0,
        mischief: faults::mischief(dice),
    });
    for (number, act) in incidents(dice, &host).into_iter().enumerate() {
        let at = begin + dice.minutes(&format!("incident {number}"), 1, FAULTS_FOR.0 / 60_000);
        host.arrange(at, act.0);
        if let Some((after, end)) = act.1 {
            host.arrange(at + after, end);
        }
    }
    host
}

/// What happens to the machine and the file; some of it ends by itself.
fn incidents(dice: Dice, host: &Host) -> Vec<(Act, Option<(Millis, Act)>)> {
    let mut incidents = Vec::new();
    let mut maybe = |purpose: &str, share: f64, act: Act, end: Option<Act>| {
        if dice.chance(purpose, share) {
            let lasts = dice.minutes(&format!("{purpose} lasts"), 1, 60);
            incidents.push((act, end.map(|end| (lasts, end))));
        }
    };
    let hours = |purpose: &str| Millis(dice.number(purpose, -7_200_000, 7_200_000));
    maybe("clock steps", 0.2, Act::ClockStep(hours("clock step")), None);
    maybe("clock steps again", 0.1, Act::ClockStep(hours("second step")), None);
    maybe(
        "store fails",
        0.2,
        Act::Store(StoreHealth::Failing),
        Some(Act::Store(StoreHealth::Working)),
    );
    maybe(
        "freeze file",
        0.1,
        Act::FreezeFile(FreezeFile::Present("FREEZE".into())),
        Some(Act::FreezeFile(FreezeFile::Absent)),
    );
    maybe("network down", 0.3, Act::Network(Network::Down), Some(Act::Network(Network::Up)));
    maybe("clean stop", 0.3, Act::Stop { back_after: dice.seconds("stopped for", 1, 3_600) }, None);
    maybe("reload", 0.3, Act::Settings(reloaded(dice, host)), None);
    incidents
}

/// Other limits than before; what was selected stays.
fn reloaded(dice: Dice, host: &Host) -> Arc<refit::model::Settings> {
    let mut settings = host.settings().clone();
    for (name, project) in &mut settings.projects {
        project.max_in_flight = dice.small(&format!("reloaded cap {name}"), 1, 20);
        project.upgrade_rate.events = dice.small(&format!("reloaded rate {name}"), 1, 40);
        project.read_rate.events = dice.small(&format!("reloaded reads {name}"), 30, 200);
    }
    for (name, campaign) in &mut settings.campaigns {
        campaign.max_in_flight = dice.small(&format!("reloaded cap {name}"), 1, 20);
        campaign.fit = *dice.pick(&format!("reloaded fit {name}"), &[Fit::P95, Fit::P50, Fit::Off]);
        campaign.expected_duration = dice
            .chance(&format!("reloaded declares {name}"), 0.5)
            .then(|| dice.minutes(&format!("reloaded duration {name}"), 5, 45));
        campaign.failure_budget.consecutive = dice.small(&format!("reloaded run {name}"), 1, 5);
    }
    Arc::new(settings)
}

/// The whole life of one seed.
fn run(dice: Dice) -> (Host, Vec<String>) {
    let mut host = host(dice);
    let mut complaints = Vec::new();
    let faults_end = host.now() + FAULTS_FOR;
    for turn in 0.. {
        let until = faults_end.min(host.now() + operator::pause_between(dice, turn));
        let ended = host.run(until, STEPS_MAX, |_| false);
        if ended == Ended::TooManySteps {
            complaints.push(format!("L1: {STEPS_MAX} steps, and no end"));
        }
        if ended != Ended::TimeOver || host.now() >= faults_end {
            break;
        }
        if dice.chance(&format!("turn {turn}"), 0.5) {
            operator::meddle(&mut host, dice, turn);
        }
    }
    if complaints.is_empty() {
        heal(&mut host, &mut complaints);
    }
    complaints.extend(judge::complaints(&host));
    (host, complaints)
}

/// The life of one seed, for tests of what it leaves.
pub fn life(seed: u64) -> Host {
    run(Dice(seed)).0
}

/// The life of one seed as far as so long after its beginning, with everything that goes wrong.
pub fn cut_short(seed: u64, after: Millis) -> Host {
    let mut host = host(Dice(seed));
    let until = host.now() + after;
    host.run(until, STEPS_MAX, |_| false);
    host
}

/// From here on the cloud behaves and an operator tidies up every hour: everything must end.
fn heal(host: &mut Host, complaints: &mut Vec<String>) {
    host.calm();
    let until = host.now() + HEALED_FOR;
    let is_over = |host: &Host| {
        let mut campaigns = host.store().campaigns().peekable();
        campaigns.peek().is_some() && campaigns.all(|row| row.state.is_over())
    };
    while host.now() < until && !is_over(host) {
        let hour = until.min(host.now() + Millis::from_hours(1));
        if host.run(hour, STEPS_MAX, is_over) == Ended::TooManySteps {
            complaints.push(format!("L1: {STEPS_MAX} steps, and no end"));
            return;
        }
        operator::tidy(host);
    }
    complaints.extend(judge::stalled(host));
}

/// Runs the seeds on as many threads as there are processors; panics with the first that fails.
fn run_seeds(first: u64, count: u64) {
    let next = AtomicU64::new(first);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let failures: Vec<(u64, Vec<String>)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let mut failures = Vec::new();
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= first + count {
                            return failures;
                        }
                        let complaints = catch_unwind(|| run(Dice(seed)).1)
                            .unwrap_or_else(|_| vec!["it panics, as told above".into()]);
                        if !complaints.is_empty() {
                            failures.push((seed, complaints));
                        }
                    }
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no seed panics")).collect()
    });
    let Some((seed, complaints)) = failures.first() else { return };
    let seeds: Vec<u64> = failures.iter().map(|(seed, _)| *seed).collect();
    panic!(
        "seed {seed} fails (REFIT_SEED={seed} repeats it; all that fail: {seeds:?}):\n{}",
        complaints.join("\n")
    );
}

#[test]
fn a_thousand_seeds_keep_every_rule_and_come_to_an_end() {
    let (first, count) = (env_number("REFIT_SEED"), env_number("REFIT_SEEDS"));
    if let (Some(seed), None) = (first, count) {
        let (host, complaints) = run(Dice(seed));
        println!("{}", ledger_lines(&host));
        println!("seed {seed}: {} steps, {} crashes", host.steps(), host.crashes());
        assert!(complaints.is_empty(), "seed {seed} fails:\n{}", complaints.join("\n"));
        return;
    }
    run_seeds(first.unwrap_or(0), count.unwrap_or(1_000));
}

#[test]
fn the_same_seed_gives_the_same_ledger_byte_for_byte() {
    for seed in 0..20 {
        let (once, again) = (run(Dice(seed)).0, run(Dice(seed)).0);
        assert!(!ledger_lines(&once).is_empty(), "seed {seed} did nothing");
        assert_eq!(ledger_lines(&once), ledger_lines(&again), "seed {seed}");
    }
}

/// A shell's words: those of our commands are plain or in single quotes.
fn shell_words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut is_quoted = false;
    for letter in command.chars() {
        match letter {
            '\'' => is_quoted = !is_quoted,
            ' ' if !is_quoted => words.push(String::new()),
            letter => words.last_mut().expect("it begins with one").push(letter),
        }
    }
    words
}

#[test]
fn every_command_that_a_hold_names_is_one_that_refit_takes() {
    let look = |host: &Host, missing: &mut BTreeSet<HoldKind>| {
        let (Some(engine), Some(now)) = (host.engine(), host.steady()) else { return };
        let holds = host.store().targets().filter_map(|row| engine.hold(&row.id, now));
        for hold in holds.collect::<Vec<_>>() {
            for command in hold.next_command.iter().chain(&hold.alternatives) {
                let words = shell_words(command);
                if words[0] == "refit" {
                    let parsed = Cli::try_parse_from(&words);
                    assert!(parsed.is_ok(), "{command}: {}", parsed.unwrap_err());
                    missing.remove(&hold.kind);
                } else {
                    assert_eq!(words, ["rm", "FREEZE"]);
                }
            }
        }
    };
    use HoldKind as K;
    let named = [
        K::Frozen,
        K::OutsideWindow,
        K::PastCutoff,
        K::CampaignPaused,
        K::Credential,
        K::Held,
        K::AwaitingApproval,
        K::Baking,
        K::BudgetTripped,
        K::NeedsOperator,
    ];
    let mut missing = BTreeSet::from(named);
    for seed in (0..30).map(Dice) {
        let mut host = host(seed);
        for turn in 0..30 {
            host.run(host.now() + operator::pause_between(seed, turn), STEPS_MAX, |_| false);
            operator::meddle(&mut host, seed, turn);
            look(&host, &mut missing);
        }
        if missing.is_empty() {
            return;
        }
    }
    panic!("never seen: {missing:?}");
}

fn env_number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().expect("a seed or count is a number"))
}

/// The ledger as the store writes it, one JSON object per line.
fn ledger_lines(host: &Host) -> String {
    let lines = host.store().ledger().iter().map(|event| serde_json::to_string(event).unwrap());
    lines.fold(String::new(), |all, line| all + &line + "\n")
}
