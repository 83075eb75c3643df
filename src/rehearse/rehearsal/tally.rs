//! What is counted while a run goes on: from each new event of the ledger, once, so that a run of
//! 100,000 targets is not gone through again and again.

use std::collections::BTreeMap;

use super::groups::{GroupRun, Groups};
use super::windows::{Bounds, WindowRun, Windows};
use crate::engine::{Event, Fact};
use crate::model::{CampaignName, Millis, TargetId, Wall};
use crate::rehearse::Host;

/// Longer than any doubt that ends without an operator, and than a daily window is apart from the
/// next.
const QUIET_FOR: Millis = Millis::from_hours(24);

/// When a target first went into flight, and when it ended for the last time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Times {
    pub started: Option<Wall>,
    pub ended: Option<Wall>,
}

/// A wave as it went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WaveTimes {
    pub opened: Option<Wall>,
    /// When its last target ended.
    pub ended: Option<Wall>,
    pub baked_until: Option<Wall>,
}

/// So many targets of one wave were in flight in one window, from the first start to the last end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bar {
    pub wave: u32,
    pub from: Wall,
    pub until: Wall,
    pub targets: u32,
}

#[derive(Debug, Default)]
pub(in crate::rehearse) struct CampaignTally {
    /// When it was over, for the last time.
    pub over_at: Option<Wall>,
    pub budget_trips: Vec<Wall>,
    pub pauses: Vec<(Wall, String)>,
    pub waves: BTreeMap<u32, WaveTimes>,
    bars: BTreeMap<(u32, Option<usize>), Bar>,
}

impl CampaignTally {
    pub fn bars(&self) -> Vec<Bar> {
        self.bars.values().cloned().collect()
    }
}

#[derive(Debug)]
struct InFlight {
    groups: Vec<usize>,
    window: Option<usize>,
    wave: u32,
}

pub(in crate::rehearse) struct Tally {
    told: usize,
    in_flight: BTreeMap<TargetId, InFlight>,
    times: BTreeMap<TargetId, Times>,
    campaigns: BTreeMap<CampaignName, CampaignTally>,
    windows: Windows,
    groups: Groups,
    /// When a target last changed its state.
    moved_at: Wall,
    /// When it last looked.
    seen_at: Wall,
}

impl Tally {
    /// `is_detailed` keeps what only a picture needs.
    pub fn new(begin: Wall, is_detailed: bool) -> Tally {
        Tally {
            told: 0,
            in_flight: BTreeMap::new(),
            times: BTreeMap::new(),
            campaigns: BTreeMap::new(),
            windows: Windows::default(),
            groups: Groups::new(is_detailed),
            moved_at: begin,
            seen_at: begin,
        }
    }

    /// Nothing has moved for so long that what asks for an operator will not end by itself.
    pub fn is_quiet(&self, host: &Host) -> bool {
        host.now() - self.moved_at >= QUIET_FOR
    }

    /// Takes in what is new since it last looked, and tells whether a campaign ended by it.
    pub fn observe(&mut self, host: &Host) -> bool {
        let ledger = host.store().ledger();
        let mut is_over = false;
        // Behind the end of an older copy is nothing, and what it holds has been told.
        for event in ledger.iter().skip(self.told) {
            is_over |= matches!(event.fact, Fact::Completed { .. } | Fact::Aborted);
            self.tell(host, event);
        }
        self.told = ledger.len();
        self.seen_at = host.now();
        is_over
    }

    fn tell(&mut self, host: &Host, event: &Event) {
        let at = host.now();
        match (event.state, &event.campaign) {
            (Some(_), Some(_)) => self.tell_target(host, event),
            (None, Some(campaign)) => self.tell_campaign(at, campaign, event),
            _ => {}
        }
    }

    fn tell_target(&mut self, host: &Host, event: &Event) {
        let (at, state) = (host.now(), event.state);
        if matches!(event.fact, Fact::Intent { .. }) {
            return self.started(host, event);
        }
        // What stays in flight, or waits as before, changes no count.
        if state.is_none_or(|state| state.is_in_flight())
            || matches!(event.fact, Fact::TargetPlanned { .. } | Fact::Joined { .. })
        {
            return;
        }
        let Some(id) = event.target() else { return };
        let is_terminal = state.is_some_and(|state| state.is_terminal());
        self.moved_at = at;
        if let Some(flight) = self.in_flight.remove(&id) {
            self.groups.leave(at, &flight.groups);
            match is_terminal {
                true => self.windows.ended(flight.window, at),
                false => self.windows.taken_back(flight.window),
            }
            let campaign = self.campaigns.entry(id.campaign.clone()).or_default();
            if let Some(bar) = campaign.bars.get_mut(&(flight.wave, flight.window)) {
                bar.until = bar.until.max(at);
            }
        }
        if is_terminal || matches!(event.fact, Fact::RetryOrdered { .. }) {
            self.times.entry(id).or_default().ended = is_terminal.then_some(at);
        }
    }

    fn started(&mut self, host: &Host, event: &Event) {
        let Some(id) = event.target() else { return };
        let at = host.now();
        let labels = host.store().instance(&id.project, &id.instance);
        let groups = self.groups.enter(at, host.settings(), &id, labels);
        let window = self.windows.started(&id.campaign, &id.project);
        let wave = host.store().target(&id).map_or(0, |row| row.wave);
        let campaign = self.campaigns.entry(id.campaign.clone()).or_default();
        let bar = Bar { wave, from: at, until: at, targets: 0 };
        campaign.bars.entry((wave, window)).or_insert(bar).targets += 1;
        self.times.entry(id.clone()).or_default().started.get_or_insert(at);
        self.in_flight.insert(id, InFlight { groups, window, wave });
        self.moved_at = at;
    }

    fn tell_campaign(&mut self, at: Wall, campaign: &CampaignName, event: &Event) {
        let tally = self.campaigns.entry(campaign.clone()).or_default();
        match &event.fact {
            Fact::Completed { .. } | Fact::Aborted => tally.over_at = Some(at),
            Fact::Reopened => tally.over_at = None,
            Fact::BudgetTripped { .. } => tally.budget_trips.push(at),
            Fact::Paused { cause, .. } => tally.pauses.push((at, cause.to_string())),
            Fact::WaveOpened { wave, .. } => {
                tally.waves.entry(*wave).or_default().opened.get_or_insert(at);
            }
            Fact::WaveEnded { wave, .. } => tally.waves.entry(*wave).or_default().ended = Some(at),
            Fact::BakeStarted { wave, until } => {
                tally.waves.entry(*wave).or_default().baked_until = Some(*until);
            }
            _ => self.tell_window(campaign, event),
        }
    }

    fn tell_window(&mut self, campaign: &CampaignName, event: &Event) {
        let Some(project) = &event.project else { return };
        match &event.fact {
            Fact::WindowOpened { open, close, last_start, windows } => {
                let (close, last_start) = (*close, *last_start);
                let bounds = Bounds { open: *open, close, last_start, windows };
                self.windows.opened(campaign, project, &bounds);
            }
            Fact::WindowMissed { open, close, windows } => {
                let close = Some(*close);
                let bounds = Bounds { open: *open, close, last_start: None, windows };
                self.windows.missed(campaign, project, &bounds);
            }
            Fact::WindowClosed { in_flight, .. } => {
                self.windows.closed(campaign, project, *in_flight);
            }
            _ => {}
        }
    }

    /// What it counted.
    pub fn finish(mut self) -> Counted {
        for flight in self.in_flight.values() {
            self.windows.left(flight.window, self.seen_at);
        }
        Counted {
            campaigns: self.campaigns,
            windows: self.windows.finish(),
            groups: self.groups.finish(),
            times: self.times,
        }
    }
}

pub(in crate::rehearse) struct Counted {
    pub campaigns: BTreeMap<CampaignName, CampaignTally>,
    pub windows: Vec<WindowRun>,
    pub groups: Vec<GroupRun>,
    pub times: BTreeMap<TargetId, Times>,
}
