//! Forecasts: where the campaigns stand, played on in virtual time.
//!
//! The rows are those of a store, in the middle of whatever goes on. A world is built that agrees
//! with them, an engine is restored from them, and both run on, once for each seed: upgrades take
//! what was measured or declared, those that run already what is left of it, and nothing else goes
//! wrong. What no machine lifts is told as a proviso, never simulated away.

mod proviso;
mod told;
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use proviso::Proviso;
pub use told::{CampaignForecast, Forecast, Reason, TargetForecast};

use super::rehearsal::{Look, RunEnd, Stage, Tally, Times, Until};
use super::{Act, Durations, Host, Mischief, Setup, Spread, learned};
use crate::engine::TargetState;
use crate::engine::rows::{CampaignRow, Rows, TargetRow};
use crate::model::{CampaignName, InstanceId, Millis, ProjectName, Settings, TargetId, Wall};
use world::Beginning;

/// Targets that are played through, over all seeds: some seconds of a processor.
const PLAYED: usize = 20_000;

/// Of fewer seeds the ninth of ten is the last of all.
const SEEDS_ENOUGH: u64 = 10;

/// How far and how often it is looked ahead.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Seeds from 1 to so many.
    pub seeds: u64,
    /// Steps of one seed at most.
    pub steps: u64,
    /// No farther than so long from now.
    pub lasts: Millis,
    /// What is declared; what was learned is the rows' to tell.
    pub durations: Durations,
    /// Only this campaign has to be over.
    pub campaign: Option<CampaignName>,
    /// What every campaign needs of whoever asks, beside what the rows tell.
    pub provided: Vec<Proviso>,
}

impl Default for Ask {
    fn default() -> Ask {
        Ask {
            seeds: 20,
            // Many times what any fleet needs.
            steps: 20_000_000,
            lasts: Millis::from_hours(400 * 24),
            durations: Durations::default(),
            campaign: None,
            provided: Vec::new(),
        }
    }
}

impl Ask {
    /// The usual one of these rows. A thousand open targets are played through twenty times, two
    /// thousand ten times, and twenty thousand or more once.
    pub fn usual(rows: &Rows) -> Ask {
        let usual = Ask::default();
        let open = rows.targets.iter().filter(|row| !row.state.is_terminal()).count();
        let seeds = (PLAYED / open.max(1)).max(1) as u64;
        Ask { seeds: seeds.min(usual.seeds), ..usual }
    }
}

/// What one seed led to.
struct Told {
    end: RunEnd,
    over: BTreeMap<CampaignName, Wall>,
    times: BTreeMap<TargetId, Times>,
    /// Why those that are left are.
    left: BTreeMap<TargetId, String>,
    broken: Vec<String>,
}

/// Plays the rows on from `now`. The settings must be those that the rows were written by, or that
/// will be used from now on.
pub fn forecast(rows: &Rows, settings: &Settings, now: Wall, ask: &Ask) -> Forecast {
    let settings = &proviso::switched_on(&with_fingerprints(settings, rows));
    let rows = on_one_clock(rows, now);
    let durations = Durations { learned: learned(&rows), ..ask.durations.clone() };
    let ask = &Ask { durations, ..ask.clone() };
    let beginning = Beginning::of(&rows, settings, &ask.durations, now);
    let provided: BTreeMap<&CampaignName, Vec<Proviso>> = rows
        .campaigns
        .iter()
        .map(|row| (&row.name, proviso::provisos(&rows, settings, row, &ask.provided)))
        .collect();
    let play = Play { rows: &rows, settings, now, ask, beginning: &beginning, provided: &provided };
    let told: Vec<Told> = (1..=ask.seeds).map(|seed| play.seed(seed)).collect();
    let cut_off = told.iter().filter(|seed| seed.end == RunEnd::TooManySteps).count() as u64;
    let asked = |row: &&CampaignRow| ask.campaign.as_ref().is_none_or(|name| row.name == *name);
    let campaigns = rows.campaigns.iter().filter(asked);
    Forecast {
        at: now,
        seeds: ask.seeds,
        cut_off,
        campaigns: campaigns.map(|row| play.campaign(row, &told)).collect(),
        notes: play.notes(cut_off),
        broken: told.iter().flat_map(|seed| seed.broken.clone()).collect(),
    }
}

struct Play<'a> {
    rows: &'a Rows,
    settings: &'a Settings,
    now: Wall,
    ask: &'a Ask,
    beginning: &'a Beginning,
    provided: &'a BTreeMap<&'a CampaignName, Vec<Proviso>>,
}

impl Play<'_> {
    fn seed(&self, seed: u64) -> Told {
        let setup = Setup {
            settings: self.settings.clone(),
            world: self.beginning.world(self.settings, &self.ask.durations, seed),
            begin: self.now,
            seed,
            mischief: Mischief { seed, ..Mischief::default() },
        };
        let mut host = Host::resume(setup, self.rows.clone());
        for row in &self.rows.campaigns {
            let orders = self.provided[&row.name].iter().filter_map(|proviso| proviso.order(row));
            orders.for_each(|order| host.arrange(self.now, Act::Order(order)));
        }
        let mut stage = Stage {
            tally: Tally::new(self.now, false),
            campaign: self.ask.campaign.as_ref(),
            steps_left: self.ask.steps,
        };
        // What stands still at first is given its orders before it is looked at.
        stage.play(&mut host, self.now, Until::Instant);
        let end = stage.play(&mut host, self.now + self.ask.lasts, Until::NothingGoesOn);
        let counted = stage.tally.finish();
        let over = counted.campaigns.into_iter().filter_map(|(name, it)| Some((name, it.over_at?)));
        Told {
            end,
            over: over.collect(),
            times: counted.times,
            left: left(&host, end),
            broken: super::verdict::broken_rules(&host),
        }
    }

    /// What had to be assumed, and how much the numbers are worth.
    fn notes(&self, cut_off: u64) -> Vec<String> {
        let (mut notes, Ask { seeds, steps, .. }) = (self.beginning.fleet.notes.clone(), self.ask);
        let uncertain = |row: &&TargetRow| row.state == TargetState::Uncertain;
        let uncertain = self.rows.targets.iter().filter(uncertain).count();
        if uncertain > 0 {
            notes.push(format!(
                "of {uncertain} uncertain attempts each is taken to have been applied"
            ));
        }
        if *seeds == 1 {
            notes.push("so large a fleet is played once: p50 and p90 are that one run".to_owned());
        } else if *seeds < SEEDS_ENOUGH {
            notes.push(format!("of {seeds} seeds the p90 is the last"));
        }
        if cut_off > 0 {
            notes.push(format!(
                "{cut_off} of {seeds} seeds were given up after {steps} steps: what they had left \
                 counts as never"
            ));
        }
        notes
    }

    fn campaign(&self, row: &CampaignRow, told: &[Told]) -> CampaignForecast {
        let is_open = |it: &&TargetRow| it.id.campaign == row.name && !it.state.is_terminal();
        let names: BTreeMap<(&ProjectName, &InstanceId), &Arc<str>> =
            self.rows.instances.iter().map(|it| ((&it.project, &it.instance), &it.name)).collect();
        let mut targets: Vec<TargetForecast> = self
            .rows
            .targets
            .iter()
            .filter(is_open)
            .map(|it| {
                let name = names.get(&(&it.id.project, &it.id.instance));
                self.target(it, name.copied().unwrap_or(&it.id.instance.0), told)
            })
            .collect();
        let last = Wall(i64::MAX);
        let expected = |it: &TargetForecast| {
            let (starts, ends) = (it.starts.p50.unwrap_or(last), it.ends.p50.unwrap_or(last));
            (starts, ends, it.project.clone(), it.instance.clone())
        };
        targets.sort_by_cached_key(expected);
        CampaignForecast {
            name: row.name.clone(),
            state: row.state,
            provided: self.provided[&row.name].clone(),
            completes: match row.state.is_over() {
                true => Spread::default(),
                false => {
                    Spread::of(told.iter().map(|it| it.over.get(&row.name).copied()).collect())
                }
            },
            unfinished: targets.len() as u32,
            never: targets.iter().filter(|it| it.ends.p50.is_none()).count() as u32,
            reasons: told::reasons(&targets),
            targets,
        }
    }

    fn target(&self, row: &TargetRow, name: &Arc<str>, told: &[Told]) -> TargetForecast {
        let of = |pick: fn(&Times) -> Option<Wall>| {
            Spread::of(told.iter().map(|it| it.times.get(&row.id).and_then(pick)).collect())
        };
        let begun = row.detail.history().started_at.filter(|_| row.state.is_in_flight());
        let ends = of(|times| times.ended);
        let why = || told.iter().find_map(|it| it.left.get(&row.id).cloned());
        TargetForecast {
            project: row.id.project.clone(),
            instance: row.id.instance.clone(),
            name: name.clone(),
            state: row.state,
            starts: match begun {
                Some(_) => Spread { p50: begun, p90: begun },
                None => of(|times| times.started),
            },
            never: if ends.p50.is_none() { why() } else { None },
            ends,
        }
    }
}

/// Why each target that is left is, in a run that ended so.
fn left(host: &Host, end: RunEnd) -> BTreeMap<TargetId, String> {
    let Some(look) = Look::at(host) else { return BTreeMap::new() };
    let by = host.now().rfc3339();
    let cut_off = match end {
        RunEnd::Over | RunEnd::Stalled => None,
        RunEnd::TimeOver => Some(format!("not over by {by}")),
        RunEnd::TooManySteps => Some(format!("given up at {by}, after too many steps")),
    };
    let open = host.store().targets().filter(|row| !row.state.is_terminal());
    let why = |row: &TargetRow| match (&row.held_by, &row.needs_operator) {
        (Some(by), _) => format!("held by {by}"),
        (_, Some(why)) => format!("needs an operator: {why}"),
        _ => {
            let hold = look.hold(row).map(|hold| match &*hold.detail {
                "" => hold.kind.word().to_owned(),
                detail => format!("{}: {detail}", hold.kind.word()),
            });
            let told: Vec<String> = cut_off.iter().cloned().chain(hold).collect();
            if told.is_empty() { row.state.to_string() } else { told.join("; ") }
        }
    };
    open.map(|row| (row.id.clone(), why(row))).collect()
}

/// Secrets may not have been read, so no credential may seem to have changed: that would end its
/// stop.
fn with_fingerprints(settings: &Settings, rows: &Rows) -> Settings {
    let mut settings = settings.clone();
    for row in &rows.credentials {
        if let Some(policy) = settings.credentials.get_mut(&row.name) {
            policy.fingerprint = row.fingerprint.clone();
        }
    }
    settings
}

/// The simulated cloud's clock is ours: so is every instant of its clock that the rows keep. And
/// where ours was set back since they were written, they are brought back as a new process would.
fn on_one_clock(rows: &Rows, now: Wall) -> Rows {
    let mut rows = rows.clone();
    rows.bring_back_to(now);
    let mut ahead: BTreeMap<TargetId, Millis> = BTreeMap::new();
    for attempt in &mut rows.attempts {
        ahead.insert(attempt.id.target.clone(), attempt.cloud_intent_at - attempt.intent_at);
        attempt.cloud_intent_at = attempt.intent_at;
    }
    for row in &mut rows.targets {
        let history = row.detail.history.as_mut();
        let first = history.and_then(|history| history.first_uncertain.as_mut());
        if let (Some(first), Some(by)) = (first, ahead.get(&row.id)) {
            first.cloud_intent_at = first.cloud_intent_at - *by;
        }
    }
    rows
}
