//! Deterministic simulation: engine, cloud, operators and crashes, from one seed.
//!
//! Here is what one life is and how it is judged; `tests/pure` leads them by the thousand.

mod dice;
pub mod faults;
mod fleet;
mod incidents;
pub mod judge;
pub mod operator;

use std::sync::Arc;

use refit::engine::planted::Planted;
use refit::model::{Millis, Settings, Wall};
use refit::rehearse::{Ended, Host, Mischief, Setup};
use refit::sim::world::{FaultProfile, Knobs, SpanRange, World};

pub use dice::Dice;

/// Steps of one run: about ten times what the busiest of a thousand seeds takes.
pub const STEPS_MAX: u64 = 400_000;

/// Midnight of 2026-03-26, UTC: days before Europe's clocks change.
const BEGIN: Wall = Wall(1_774_483_200_000);

/// What a life is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Faults all along, and no end asked for: nothing forbidden ever happens.
    Safety,
    /// Faults, then none, and an operator who tidies up: everything ends.
    Liveness,
}

impl Mode {
    pub const ALL: [Mode; 2] = [Mode::Safety, Mode::Liveness];

    pub fn word(self) -> &'static str {
        match self {
            Mode::Safety => "safety",
            Mode::Liveness => "liveness",
        }
    }

    /// How long things go wrong: windows open every day.
    fn faults_for(self) -> Millis {
        match self {
            Mode::Safety => Millis::from_hours(30),
            Mode::Liveness => Millis::from_hours(54),
        }
    }
}

/// Healed, everything ends within this.
const HEALED_FOR: Millis = Millis::from_hours(21 * 24);

/// One life, and all that is wrong with it.
pub struct Life {
    pub host: Host,
    pub complaints: Vec<String>,
}

/// The world, the settings and all that is going to happen.
pub fn host(dice: Dice, mode: Mode) -> Host {
    let world = fleet::world(dice);
    let settings = fleet::settings(dice, &world);
    let mut knobs = faults::knobs(dice);
    if mode == Mode::Liveness {
        // What never heals is nothing to wait for.
        knobs.set("upgrade_call=present").expect("the knob takes it");
        knobs.set("forbidden=none").expect("the knob takes it");
    }
    let mut host = Host::new(Setup {
        world: World::new(world, knobs, faults::profile(dice), dice.0),
        settings,
        begin: BEGIN + dice.minutes("begin", 0, 24 * 60),
        seed: dice.0,
        mischief: faults::mischief(dice),
    });
    incidents::arrange(&mut host, dice, mode.faults_for());
    host
}

/// The same fleet and settings where nothing goes wrong and every call takes equally long. One
/// campaign only: several take turns, and whose turn it is no row tells.
pub fn calm_host(dice: Dice) -> Host {
    let mut world = fleet::world(dice);
    world.latency = SpanRange { least: Millis(20), most: Millis(20) };
    for instance in world.projects.iter_mut().flat_map(|project| &mut project.instances) {
        instance.task = None;
    }
    let mut settings = fleet::settings(dice, &world);
    settings.campaigns.retain(|name, _| name.as_str() == "c0");
    Host::new(Setup {
        world: World::new(world, Knobs::default(), FaultProfile::calm(), dice.0),
        settings,
        begin: BEGIN + dice.minutes("begin", 0, 24 * 60),
        seed: dice.0,
        mischief: Mischief::default(),
    })
}

/// The whole life of one seed.
pub fn live(seed: u64, mode: Mode, planted: Planted) -> Life {
    let dice = Dice(seed);
    let mut host = host(dice, mode);
    host.plant(planted);
    let at_first = Arc::new(host.settings().clone());
    let mut complaints = Vec::new();
    let faults_end = host.now() + mode.faults_for();
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
    if complaints.is_empty() && mode == Mode::Liveness {
        heal(&mut host, at_first, &mut complaints);
    }
    complaints.extend(refit::rehearse::complaints(&host));
    Life { host, complaints }
}

/// From here on the cloud behaves, the file is as it was, and an operator tidies up every hour:
/// everything must end.
fn heal(host: &mut Host, at_first: Arc<Settings>, complaints: &mut Vec<String>) {
    host.calm();
    incidents::put_back(host, at_first);
    let until = host.now() + HEALED_FOR;
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

/// Every campaign of the file has ended. One that left the file waits for ever, and may.
fn is_over(host: &Host) -> bool {
    let in_file = |name| host.settings().campaigns.contains_key(name);
    let mut campaigns = host.store().campaigns().filter(|row| in_file(&row.name)).peekable();
    campaigns.peek().is_some() && campaigns.all(|row| row.state.is_over())
}

/// The ledger as the store writes it, one JSON object per line.
pub fn ledger_lines(host: &Host) -> String {
    let lines = host.store().ledger().iter().map(|event| serde_json::to_string(event).unwrap());
    lines.fold(String::new(), |all, line| all + &line + "\n")
}
