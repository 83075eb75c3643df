//! What came of one seed.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::groups::GroupRun;
use super::stall::Look;
use super::tally::{Bar, CampaignTally, Counted, Tally, WaveTimes};
use super::windows::WindowRun;
use crate::engine::rows::TargetRow;
use crate::engine::{CampaignState, Hold, TargetState};
use crate::model::{CampaignName, Wall};
use crate::rehearse::{CallCounts, Host, complaints};

/// Names of one outcome; the rest is counted.
const NAMED: usize = 5;

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RunEnd {
    /// Every campaign is over.
    Over,
    /// Nothing that is left goes on by itself.
    Stalled,
    /// The time is over.
    TimeOver,
    /// More steps than a run of this size can need.
    TooManySteps,
}

#[derive(Debug)]
pub struct Run {
    pub seed: u64,
    pub end: RunEnd,
    pub ended_at: Wall,
    pub steps: u64,
    pub crashes: u32,
    pub campaigns: Vec<CampaignRun>,
    pub windows: Vec<WindowRun>,
    pub groups: Vec<GroupRun>,
    pub calls: CallCounts,
    /// Rules that were broken, and whatever else is wrong.
    pub broken: Vec<String>,
    /// What the acts led to, in order.
    pub said: Vec<(Wall, String)>,
}

#[derive(Debug)]
pub struct CampaignRun {
    pub name: CampaignName,
    /// `None`: it was never planned.
    pub state: Option<CampaignState>,
    /// Why it is paused in the end, if it is.
    pub causes: Vec<String>,
    pub digest: Arc<str>,
    pub over_at: Option<Wall>,
    pub budget_trips: Vec<Wall>,
    /// When it paused, and by which cause.
    pub pauses: Vec<(Wall, String)>,
    pub targets: u32,
    pub outcomes: Vec<Outcome>,
    pub waves: Vec<(Arc<str>, WaveTimes)>,
    pub bars: Vec<Bar>,
    /// What keeps it from its end, once its next interval has opened.
    pub hold: Option<Hold>,
    /// Nothing of it goes on by itself.
    pub is_stuck: bool,
    /// When each target ended that did, in order.
    pub ends: Vec<Wall>,
}

/// Targets that ended alike, or that are left alike.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Outcome {
    pub state: TargetState,
    /// Why it ended so, or why an operator has to look.
    pub reason: Option<String>,
    pub needs_operator: bool,
    pub targets: u32,
    /// The first of them.
    pub names: Vec<Arc<str>>,
}

impl Run {
    pub(super) fn of(seed: u64, host: &Host, tally: Tally, end: RunEnd) -> Run {
        let (look, is_quiet) = (Look::at(host), tally.is_quiet(host));
        let Counted { mut campaigns, windows, groups, times } = tally.finish();
        let outcomes = outcomes(host);
        let of = |name: &CampaignName| {
            let told = campaigns.remove(name).unwrap_or_default();
            let outcomes = outcomes.get(name).cloned().unwrap_or_default();
            let run = CampaignRun::of(name, host, told, outcomes);
            match &look {
                Some(look) if !run.is_over() => CampaignRun {
                    hold: look.reason(name),
                    is_stuck: look.is_stuck(Some(name), is_quiet),
                    ..run
                },
                _ => run,
            }
        };
        let mut run = Run {
            seed,
            end,
            ended_at: host.now(),
            steps: host.steps(),
            crashes: host.crashes(),
            campaigns: host.settings().campaigns.keys().map(of).collect(),
            windows,
            groups,
            calls: host.calls(),
            broken: complaints(host),
            said: Vec::new(),
        };
        for (target, times) in &times {
            let campaign = run.campaigns.iter_mut().find(|one| one.name == target.campaign);
            if let (Some(campaign), Some(ended)) = (campaign, times.ended) {
                campaign.ends.push(ended);
            }
        }
        run.campaigns.iter_mut().for_each(|campaign| campaign.ends.sort_unstable());
        run
    }
}

impl CampaignRun {
    pub fn is_over(&self) -> bool {
        self.state.is_some_and(|state| state.is_over())
    }

    fn of(
        name: &CampaignName,
        host: &Host,
        told: CampaignTally,
        outcomes: Vec<Outcome>,
    ) -> CampaignRun {
        let row = host.store().campaign(name);
        let names = row.map(|row| row.detail.waves.iter().map(|wave| wave.name.clone()));
        let waves = (0..).zip(names.into_iter().flatten());
        let mut waves: Vec<(Arc<str>, WaveTimes)> = waves
            .map(|(at, name)| (name, told.waves.get(&at).cloned().unwrap_or_default()))
            .collect();
        // The last wave ends with its campaign.
        if let Some((_, last)) = waves.last_mut().filter(|(_, last)| last.opened.is_some()) {
            last.ended = last.ended.or(told.over_at);
        }
        CampaignRun {
            name: name.clone(),
            state: row.map(|row| row.state),
            causes: row
                .map(|row| row.detail.causes.iter().map(ToString::to_string).collect())
                .unwrap_or_default(),
            digest: row.map(|row| row.detail.digest.clone()).unwrap_or_default(),
            over_at: told.over_at,
            targets: outcomes.iter().map(|outcome| outcome.targets).sum(),
            outcomes,
            waves,
            bars: told.bars(),
            budget_trips: told.budget_trips,
            pauses: told.pauses,
            hold: None,
            is_stuck: false,
            ends: Vec::new(),
        }
    }
}

/// Of each campaign, the targets that ended or are left alike.
fn outcomes(host: &Host) -> BTreeMap<CampaignName, Vec<Outcome>> {
    type Key = (TargetState, bool, Option<String>);
    let mut all: BTreeMap<&CampaignName, BTreeMap<Key, Vec<&TargetRow>>> = BTreeMap::new();
    for row in host.store().targets() {
        let (needs, reason) = match (&row.needs_operator, &row.reason) {
            (Some(why), _) => (true, Some(kind_of(why))),
            (None, reason) => (false, reason.as_ref().map(ToString::to_string)),
        };
        let of = all.entry(&row.id.campaign).or_default();
        of.entry((row.state, needs, reason)).or_default().push(row);
    }
    let name = |row: &&TargetRow| {
        let labels = host.store().instance(&row.id.project, &row.id.instance);
        labels.map_or_else(|| row.id.instance.0.clone(), |labels| labels.name.clone())
    };
    let outcome = |((state, needs_operator, reason), mut rows): (Key, Vec<&TargetRow>)| {
        rows.sort_unstable_by(|a, b| (a.wave, a.rank, &a.id).cmp(&(b.wave, b.rank, &b.id)));
        let (targets, names) = (rows.len() as u32, rows.iter().take(NAMED).map(name).collect());
        Outcome { state, reason, needs_operator, targets, names }
    };
    all.into_iter()
        .map(|(name, of)| (name.clone(), of.into_iter().map(outcome).collect()))
        .collect()
}

/// The sentence that calls an operator, without what is one target's own.
fn kind_of(why: &str) -> String {
    let is_own = |word: &&str| word.len() >= 16 || word.bytes().any(|byte| byte.is_ascii_digit());
    let words: Vec<&str> =
        why.split(' ').map(|word| if is_own(&word) { "…" } else { word }).collect();
    words.join(" ")
}
