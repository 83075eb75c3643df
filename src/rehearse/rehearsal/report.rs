//! What the seeds of a rehearsal say together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::groups::GroupOf;
use super::run::{CampaignRun, Outcome, Run, RunEnd};
use super::tally::Bar;
use crate::engine::{CampaignState, TargetState};
use crate::model::{CampaignName, Millis, ProjectName, Wall, WindowName};
use crate::rehearse::CallCounts;
use crate::rehearse::spread::{Spread, percentile};

/// Steps of the course of completion.
const BANDS: usize = 100;

/// Of the seeds of one rehearsal.
#[derive(Debug)]
pub struct Report {
    pub seeds: Vec<u64>,
    pub begin: Wall,
    /// When the last run ended.
    pub end: Wall,
    pub ends: BTreeMap<RunEnd, Vec<u64>>,
    pub campaigns: Vec<CampaignReport>,
    pub groups: Vec<GroupReport>,
    /// In the seed in the middle, and in the one with most.
    pub calls: (CallCounts, CallCounts),
    pub steps: u64,
    pub crashes: u32,
    /// Rules that were broken.
    pub findings: Vec<SeedFinding>,
    /// What the acts led to in the first seed.
    pub said: Vec<(Wall, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeedFinding {
    pub seed: u64,
    pub what: String,
}

#[derive(Debug)]
pub struct CampaignReport {
    pub name: CampaignName,
    pub targets: u32,
    /// Of the first seed.
    pub digest: Arc<str>,
    pub completes: Spread<Wall>,
    /// Seeds in which it was not over, and why in the first of them.
    pub unfinished: Vec<u64>,
    pub why: Option<Unfinished>,
    /// Seeds in which its budget tripped, and when in the first of them.
    pub budget_trips: Vec<(u64, Wall)>,
    /// By which cause it paused, in how many seeds.
    pub pauses: BTreeMap<String, usize>,
    pub outcomes: Vec<OutcomeReport>,
    pub waves: Vec<WaveReport>,
    pub windows: Vec<WindowReport>,
    pub bands: Vec<Band>,
    /// Of the first seed.
    pub bars: Vec<Bar>,
}

/// Why a campaign was not over, with what the rest waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfinished {
    /// It never will be.
    Stuck(String),
    /// Not by then; it would have gone on.
    By(Wall, String),
    /// Its run was cut off for its length.
    TooManySteps(String),
}

/// How many targets end, or are left, alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutcomeReport {
    pub state: TargetState,
    pub reason: Option<String>,
    pub needs_operator: bool,
    /// Seeds in which any does.
    pub seeds: usize,
    /// In the seed in the middle, and in the one with most.
    pub p50: u32,
    pub most: u32,
    /// Some of them, of the first seed in which any does.
    pub names: Vec<Arc<str>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaveReport {
    pub name: Arc<str>,
    pub opens: Spread<Wall>,
    pub ends: Spread<Wall>,
    pub baked: Spread<Wall>,
}

/// One effective interval over all seeds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowReport {
    pub projects: BTreeSet<ProjectName>,
    /// May be [`LONG_AGO`](crate::model::calendar::LONG_AGO).
    pub open: Wall,
    pub close: Option<Wall>,
    pub last_start: Option<Wall>,
    pub windows: Vec<WindowName>,
    /// Seeds in which it was reached.
    pub seeds: usize,
    /// In the seed in the middle of those.
    pub starts: u32,
    pub ends: u32,
    /// In the worst.
    pub in_flight_at_close: u32,
    pub overruns: u32,
    pub longest_overrun: Millis,
    /// Seeds in which no process ran in it.
    pub missed: usize,
}

/// When so many targets have ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Band {
    pub targets: usize,
    pub p10: Option<Wall>,
    pub p50: Option<Wall>,
    pub p90: Option<Wall>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupReport {
    pub campaign: Option<CampaignName>,
    pub of: GroupOf,
    pub limit: u32,
    /// In any seed; which, and when.
    pub most: u32,
    pub most_at: Option<Wall>,
    pub seed: u64,
    /// Of the first seed.
    pub course: Vec<(Wall, u32)>,
}

impl Report {
    /// Of runs in the order of their seeds; at least one. Only that campaign is told of, if one is
    /// named.
    pub fn of(runs: &[Run], begin: Wall, campaign: Option<&CampaignName>) -> Report {
        let mut ends: BTreeMap<RunEnd, Vec<u64>> = BTreeMap::new();
        for run in runs {
            ends.entry(run.end).or_default().push(run.seed);
        }
        let broken = |run: &Run| {
            let seed = run.seed;
            run.broken.iter().map(move |what| SeedFinding { seed, what: what.clone() }).collect()
        };
        let asked = |name: &CampaignName| campaign.is_none_or(|asked| name == asked);
        let names = runs.first().map(|run| run.campaigns.iter().map(|one| &one.name));
        Report {
            seeds: runs.iter().map(|run| run.seed).collect(),
            begin,
            end: runs.iter().map(|run| run.ended_at).max().unwrap_or(begin),
            ends,
            campaigns: names
                .into_iter()
                .flatten()
                .filter(|name| asked(name))
                .map(|name| CampaignReport::of(name, runs))
                .collect(),
            groups: groups(runs, asked),
            calls: calls(runs),
            steps: runs.iter().map(|run| run.steps).sum(),
            crashes: runs.iter().map(|run| run.crashes).sum(),
            findings: runs.iter().flat_map(|run| -> Vec<SeedFinding> { broken(run) }).collect(),
            said: runs.first().map(|run| run.said.clone()).unwrap_or_default(),
        }
    }

    /// No rule was broken, and every campaign was over in every seed.
    pub fn is_good(&self) -> bool {
        self.findings.is_empty() && self.campaigns.iter().all(|one| one.unfinished.is_empty())
    }
}

impl CampaignReport {
    fn of(name: &CampaignName, runs: &[Run]) -> CampaignReport {
        let each: Vec<(u64, &CampaignRun)> = runs
            .iter()
            .filter_map(|run| Some((run.seed, run.campaigns.iter().find(|it| it.name == *name)?)))
            .collect();
        let unfinished = || each.iter().filter(|(_, run)| !run.is_over());
        let why = |(seed, campaign): &(u64, &CampaignRun)| {
            let run = runs.iter().find(|run| run.seed == *seed)?;
            Some(Unfinished::of(run, campaign))
        };
        let mut pauses = BTreeMap::new();
        for (_, run) in &each {
            let causes: BTreeSet<&String> = run.pauses.iter().map(|(_, cause)| cause).collect();
            causes.into_iter().for_each(|cause| *pauses.entry(cause.clone()).or_default() += 1);
        }
        let trips = each.iter().filter_map(|(seed, run)| Some((*seed, *run.budget_trips.first()?)));
        CampaignReport {
            name: name.clone(),
            targets: each.iter().map(|(_, run)| run.targets).max().unwrap_or_default(),
            digest: each.first().map(|(_, run)| run.digest.clone()).unwrap_or_default(),
            completes: Spread::of(each.iter().map(|(_, run)| run.over_at).collect()),
            unfinished: unfinished().map(|(seed, _)| *seed).collect(),
            why: unfinished().next().and_then(why),
            budget_trips: trips.collect(),
            pauses,
            outcomes: outcomes(&each),
            waves: waves(&each),
            windows: windows(name, runs),
            bands: bands(&each),
            bars: each.first().map(|(_, run)| run.bars.clone()).unwrap_or_default(),
        }
    }
}

impl Unfinished {
    fn of(run: &Run, campaign: &CampaignRun) -> Unfinished {
        let waits = waits(campaign);
        match run.end {
            _ if campaign.is_stuck => Unfinished::Stuck(waits),
            RunEnd::TimeOver => Unfinished::By(run.ended_at, waits),
            RunEnd::TooManySteps => Unfinished::TooManySteps(waits),
            RunEnd::Over | RunEnd::Stalled => Unfinished::Stuck(waits),
        }
    }
}

/// What is left waits for.
fn waits(run: &CampaignRun) -> String {
    let Some(state) = run.state else {
        return "it was never planned: it selects no instance, or some project cannot be read"
            .into();
    };
    // The window that is not open just now is not what it waits for.
    if state == CampaignState::Paused {
        let causes: Vec<&str> = run.causes.iter().map(|cause| &**cause).collect();
        return format!("paused: {}", causes.join(", "));
    }
    match &run.hold {
        Some(hold) if hold.detail.is_empty() => hold.kind.word().to_owned(),
        Some(hold) => format!("{}: {}", hold.kind.word(), hold.detail),
        None => format!("it is {state}"),
    }
}

fn outcomes(each: &[(u64, &CampaignRun)]) -> Vec<OutcomeReport> {
    type Key<'a> = (TargetState, bool, &'a Option<String>);
    let mut all: BTreeMap<Key<'_>, Vec<&Outcome>> = BTreeMap::new();
    for outcome in each.iter().flat_map(|(_, run)| &run.outcomes) {
        let key = (outcome.state, outcome.needs_operator, &outcome.reason);
        all.entry(key).or_default().push(outcome);
    }
    all.into_values()
        .map(|found| {
            let mut counts: Vec<u32> = found.iter().map(|outcome| outcome.targets).collect();
            counts.resize(each.len(), 0);
            let first = found[0];
            OutcomeReport {
                state: first.state,
                reason: first.reason.clone(),
                needs_operator: first.needs_operator,
                seeds: found.len(),
                p50: middle(&mut counts),
                most: counts.iter().copied().max().unwrap_or_default(),
                names: first.names.clone(),
            }
        })
        .collect()
}

/// The value in the middle; sorts them.
fn middle<T: Copy + Ord + Default>(values: &mut [T]) -> T {
    values.sort_unstable();
    values.get((values.len().div_ceil(2)).saturating_sub(1)).copied().unwrap_or_default()
}

fn waves(each: &[(u64, &CampaignRun)]) -> Vec<WaveReport> {
    let most = each.iter().map(|(_, run)| &run.waves).max_by_key(|waves| waves.len());
    let names = most.into_iter().flatten().map(|(name, _)| name.clone());
    names
        .enumerate()
        .map(|(at, name)| {
            let of = |pick: fn(&super::WaveTimes) -> Option<Wall>| {
                let picked =
                    each.iter().map(|(_, run)| run.waves.get(at).and_then(|(_, it)| pick(it)));
                Spread::of(picked.collect())
            };
            WaveReport {
                name,
                opens: of(|wave| wave.opened),
                ends: of(|wave| wave.ended),
                baked: of(|wave| wave.baked_until),
            }
        })
        .collect()
}

fn windows(name: &CampaignName, runs: &[Run]) -> Vec<WindowReport> {
    let mut all: BTreeMap<(Wall, Option<Wall>), Vec<&super::WindowRun>> = BTreeMap::new();
    for window in runs.iter().flat_map(|run| &run.windows).filter(|it| it.campaign == *name) {
        all.entry((window.open, window.close)).or_default().push(window);
    }
    all.into_values()
        .map(|found| {
            let middle_of = |pick: fn(&super::WindowRun) -> u32| {
                middle(&mut found.iter().map(|window| pick(window)).collect::<Vec<_>>())
            };
            let most_of = |pick: fn(&super::WindowRun) -> u32| {
                found.iter().map(|window| pick(window)).max().unwrap_or_default()
            };
            let first = found[0];
            WindowReport {
                projects: found.iter().flat_map(|window| window.projects.clone()).collect(),
                open: first.open,
                close: first.close,
                last_start: first.last_start,
                windows: first.windows.clone(),
                seeds: found.len(),
                starts: middle_of(|window| window.starts),
                ends: middle_of(|window| window.ends),
                in_flight_at_close: most_of(|window| window.in_flight_at_close),
                overruns: most_of(|window| window.overruns),
                longest_overrun: found
                    .iter()
                    .map(|it| it.longest_overrun)
                    .max()
                    .unwrap_or_default(),
                missed: found.iter().filter(|window| window.missed).count(),
            }
        })
        .collect()
}

fn bands(each: &[(u64, &CampaignRun)]) -> Vec<Band> {
    let targets = each.iter().map(|(_, run)| run.ends.len()).max().unwrap_or_default();
    let steps = BANDS.min(targets);
    let mut bands: Vec<Band> = Vec::with_capacity(steps);
    for step in 1..=steps {
        let count = (targets * step).div_ceil(steps);
        let mut at: Vec<Option<Wall>> =
            each.iter().map(|(_, run)| run.ends.get(count - 1).copied()).collect();
        at.sort_unstable_by_key(|at| (at.is_none(), *at));
        let of = |percent| percentile(&at, percent);
        bands.push(Band { targets: count, p10: of(10), p50: of(50), p90: of(90) });
    }
    bands
}

fn groups(runs: &[Run], asked: impl Fn(&CampaignName) -> bool) -> Vec<GroupReport> {
    let mut all: BTreeMap<(Option<CampaignName>, GroupOf), GroupReport> = BTreeMap::new();
    for run in runs {
        for group in run.groups.iter().filter(|it| it.campaign.as_ref().is_none_or(&asked)) {
            let key = (group.campaign.clone(), group.of.clone());
            let report = all.entry(key).or_insert_with(|| GroupReport {
                campaign: group.campaign.clone(),
                of: group.of.clone(),
                limit: group.limit,
                most: 0,
                most_at: None,
                seed: run.seed,
                course: Vec::new(),
            });
            if group.most > report.most {
                (report.most, report.most_at) = (group.most, group.most_at);
                report.seed = run.seed;
            }
            if !group.course.is_empty() {
                report.course = group.course.clone();
            }
        }
    }
    all.into_values().collect()
}

fn calls(runs: &[Run]) -> (CallCounts, CallCounts) {
    let mut all: Vec<CallCounts> = runs.iter().map(|run| run.calls).collect();
    all.sort_by_key(CallCounts::all);
    let most = all.last().copied().unwrap_or_default();
    (all.get((all.len().div_ceil(2)).saturating_sub(1)).copied().unwrap_or_default(), most)
}
