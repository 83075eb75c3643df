//! Rehearsals: a whole fleet, its campaigns and their windows in virtual time, once for each seed.
//!
//! What runs is the production engine against the simulated cloud; every rule is checked. A run is
//! bounded by its steps and by an end of time, and ends early where nothing goes on by itself.

mod groups;
mod report;
mod run;
mod stall;
mod tally;
mod windows;

use std::collections::BTreeMap;

pub use groups::{GroupOf, GroupRun};
pub use report::{
    Band, CampaignReport, GroupReport, OutcomeReport, Report, SeedFinding, Unfinished, WaveReport,
    WindowReport,
};
pub use run::{CampaignRun, Outcome, Run, RunEnd};
pub use tally::{Bar, Times, WaveTimes};
pub use windows::WindowRun;

use crate::model::{CampaignName, Millis, Settings, Wall};
use crate::rehearse::durations::{Durations, Sources, rows_of};
use crate::rehearse::fleet::Fleet;
use crate::rehearse::scenario::ActAt;
use crate::rehearse::{Ended, Host, Mischief, Setup};
use crate::sim::world::{FaultProfile, Knobs, SpanRange, World};
pub(super) use stall::Look;
pub(super) use tally::Tally;

/// Steps of a run that any fleet gets, and more for each instance: a task of an hour that is
/// watched every fifteen seconds takes some 240.
const STEPS_LEAST: u64 = 2_000_000;
const STEPS_PER_INSTANCE: u64 = 2_000;

/// How often it is looked whether anything still goes on by itself.
const LOOK_EVERY: Millis = Millis::from_hours(24);

/// How long a process stays down that crashed.
const DOWN_FOR: SpanRange = SpanRange { least: Millis::from_secs(10), most: Millis::from_mins(5) };

/// Boundaries of one step at which a process may die.
const BOUNDARIES: f64 = 4.0;

/// Crashes of a run of which only the share is said.
const CRASHES_MOST: u32 = 1_000;

/// How often the daemon dies in a run.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Crashes {
    #[default]
    None,
    /// At so many boundaries, anywhere in the run.
    Count(u32),
    /// At this share of all boundaries.
    Share(f64),
}

/// All that is the same for every seed.
#[derive(Debug, Clone)]
pub struct Rehearsal {
    pub settings: Settings,
    pub fleet: Fleet,
    pub durations: Durations,
    pub faults: FaultProfile,
    pub crashes: Crashes,
    /// In the order of their instants.
    pub acts: Vec<ActAt>,
    pub begin: Wall,
    pub until: Wall,
    /// The campaign that is rehearsed; all others run beside it. `None`: all.
    pub campaign: Option<CampaignName>,
}

impl Rehearsal {
    /// How many of the instances take as long as what tells.
    pub fn sources(&self) -> Sources {
        self.durations.assign(&mut self.fleet.world.clone(), &self.settings, 0)
    }

    /// How many steps a run takes in which nothing crashes: what crashes are spread over.
    pub fn steps_without_crashes(&self, seed: u64) -> u64 {
        let calm = Rehearsal { crashes: Crashes::None, ..self.clone() };
        calm.run(seed, false, 0).steps
    }

    /// One seed from the beginning to the end. `is_detailed` keeps what only a picture needs;
    /// `steps` is what [`Rehearsal::steps_without_crashes`] tells, where crashes are counted.
    pub fn run(&self, seed: u64, is_detailed: bool, steps: u64) -> Run {
        let mut host = self.host(seed, steps);
        let mut stage = Stage {
            tally: Tally::new(self.begin, is_detailed),
            campaign: self.campaign.as_ref(),
            steps_left: STEPS_LEAST + STEPS_PER_INSTANCE * self.fleet.instances() as u64,
        };
        let mut said = Vec::new();
        for act in &self.acts {
            stage.play(&mut host, act.at, Until::Instant);
            let told = act.perform(&mut host);
            said.push((host.now(), format!("{}: {}", told.by, told.text)));
        }
        let end = stage.play(&mut host, self.until, Until::NothingGoesOn);
        Run { said, ..Run::of(seed, &host, stage.tally, end) }
    }

    fn host(&self, seed: u64, steps: u64) -> Host {
        let mut world = self.fleet.world.clone();
        self.durations.assign(&mut world, &self.settings, seed);
        let setup = Setup {
            settings: self.settings.clone(),
            world: World::new(world, Knobs::default(), self.faults.clone(), seed),
            begin: self.begin,
            seed,
            mischief: self.mischief(seed, steps),
        };
        let planned = self.fleet.planned.iter().map(|one| (one.name.clone(), one.seed));
        // It predicts by what was learned before, as the daemon would.
        let known = rows_of(&self.durations.learned);
        Host::resume(setup, known).with_campaign_seeds(planned.collect::<BTreeMap<_, _>>())
    }

    fn mischief(&self, seed: u64, steps: u64) -> Mischief {
        let (crash_share, crashes_most) = match self.crashes {
            Crashes::None => return Mischief { seed, ..Mischief::default() },
            // Twice the share that would do, so that hardly any run sees fewer.
            Crashes::Count(count) => {
                (2.0 * f64::from(count) / (BOUNDARIES * steps.max(1) as f64), count)
            }
            Crashes::Share(share) => (share, CRASHES_MOST),
        };
        Mischief { seed, crash_share, crashes_most, down_for: DOWN_FOR, ..Mischief::default() }
    }
}

/// How far a part of a run goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// To that instant, whatever happens.
    Instant,
    /// No farther than everything is over, or nothing goes on by itself.
    NothingGoesOn,
}

/// A run under way.
pub(super) struct Stage<'a> {
    pub tally: Tally,
    /// What has to be over; `None`: all.
    pub campaign: Option<&'a CampaignName>,
    pub steps_left: u64,
}

impl Stage<'_> {
    pub fn play(&mut self, host: &mut Host, last: Wall, until: Until) -> RunEnd {
        if until == Until::NothingGoesOn && self.is_over(host) {
            return RunEnd::Over;
        }
        loop {
            let next = last.min(host.now() + LOOK_EVERY);
            let begun = host.steps();
            let (campaign, steps_left) = (self.campaign, self.steps_left);
            let tally = &mut self.tally;
            let ended = host.run(next, steps_left, |host| {
                tally.observe(host) && until == Until::NothingGoesOn && is_over(host, campaign)
            });
            self.tally.observe(host);
            self.steps_left = self.steps_left.saturating_sub(host.steps() - begun);
            match ended {
                Ended::Satisfied => return RunEnd::Over,
                Ended::TooManySteps => return RunEnd::TooManySteps,
                Ended::Idle | Ended::TimeOver if host.now() >= last => return RunEnd::TimeOver,
                Ended::Idle | Ended::TimeOver => {}
            }
            if until == Until::NothingGoesOn && self.is_stalled(host) {
                return RunEnd::Stalled;
            }
        }
    }

    fn is_over(&self, host: &Host) -> bool {
        is_over(host, self.campaign)
    }

    /// Whatever is left waits for somebody, or for a window that never opens.
    fn is_stalled(&self, host: &Host) -> bool {
        Look::at(host).is_some_and(|look| look.is_stuck(self.campaign, self.tally.is_quiet(host)))
    }
}

/// Every campaign of the file, or that one, was planned and is over.
fn is_over(host: &Host, campaign: Option<&CampaignName>) -> bool {
    let mut names = host.settings().campaigns.keys();
    let is_over =
        |name: &CampaignName| host.store().campaign(name).is_some_and(|row| row.state.is_over());
    match campaign {
        Some(campaign) => is_over(campaign),
        None => names.all(is_over),
    }
}
