//! What happened in each effective interval: starts, ends, what was left in flight, overruns.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{CampaignName, Millis, ProjectName, Wall, WindowName};

/// One effective interval of a campaign as it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowRun {
    pub campaign: CampaignName,
    /// Where it is the same interval.
    pub projects: BTreeSet<ProjectName>,
    /// May be [`LONG_AGO`](crate::model::calendar::LONG_AGO).
    pub open: Wall,
    /// `None`: no end is in sight.
    pub close: Option<Wall>,
    pub last_start: Option<Wall>,
    pub windows: Vec<WindowName>,
    /// Targets that went into flight in it and stayed there.
    pub starts: u32,
    /// Of these, those that ended, whenever that was.
    pub ends: u32,
    /// How much of the campaign was in flight there when it closed.
    pub in_flight_at_close: u32,
    /// Of the starts, those that were not over when it closed.
    pub overruns: u32,
    /// The longest time past the close; of what never ended, until the run did.
    pub longest_overrun: Millis,
    /// No process ran in it.
    pub missed: bool,
}

type Key = (CampaignName, Wall, Option<Wall>);

#[derive(Debug, Default)]
pub(super) struct Windows {
    all: Vec<WindowRun>,
    index: BTreeMap<Key, usize>,
    /// The latest of each campaign in each project.
    current: BTreeMap<(CampaignName, ProjectName), usize>,
    /// What each project had in flight when it closed there.
    at_close: BTreeMap<(usize, ProjectName), u32>,
}

/// The bounds of an interval, as its event tells them.
pub(super) struct Bounds<'a> {
    pub open: Wall,
    pub close: Option<Wall>,
    pub last_start: Option<Wall>,
    pub windows: &'a [WindowName],
}

impl Windows {
    pub fn opened(&mut self, campaign: &CampaignName, project: &ProjectName, bounds: &Bounds<'_>) {
        let at = self.window(campaign, bounds);
        self.all[at].projects.insert(project.clone());
        self.current.insert((campaign.clone(), project.clone()), at);
    }

    pub fn missed(&mut self, campaign: &CampaignName, project: &ProjectName, bounds: &Bounds<'_>) {
        let at = self.window(campaign, bounds);
        self.all[at].projects.insert(project.clone());
        self.all[at].missed = true;
    }

    fn window(&mut self, campaign: &CampaignName, bounds: &Bounds<'_>) -> usize {
        let all = &mut self.all;
        let key = (campaign.clone(), bounds.open, bounds.close);
        *self.index.entry(key).or_insert_with(|| {
            all.push(WindowRun {
                campaign: campaign.clone(),
                projects: BTreeSet::new(),
                open: bounds.open,
                close: bounds.close,
                last_start: bounds.last_start,
                windows: bounds.windows.to_vec(),
                starts: 0,
                ends: 0,
                in_flight_at_close: 0,
                overruns: 0,
                longest_overrun: Millis::ZERO,
                missed: false,
            });
            all.len() - 1
        })
    }

    /// One may close earlier than it was going to: an operator's freeze.
    pub fn closed(&mut self, campaign: &CampaignName, project: &ProjectName, in_flight: u32) {
        if let Some(&at) = self.current.get(&(campaign.clone(), project.clone())) {
            let known = self.at_close.entry((at, project.clone())).or_default();
            *known = in_flight.max(*known);
        }
    }

    /// A target goes into flight: in which window.
    pub fn started(&mut self, campaign: &CampaignName, project: &ProjectName) -> Option<usize> {
        let at = *self.current.get(&(campaign.clone(), project.clone()))?;
        self.all[at].starts += 1;
        Some(at)
    }

    /// It waits again: nothing was started.
    pub fn taken_back(&mut self, window: Option<usize>) {
        if let Some(at) = window {
            self.all[at].starts -= 1;
        }
    }

    pub fn ended(&mut self, window: Option<usize>, at: Wall) {
        self.left(window, at);
        if let Some(window) = window {
            self.all[window].ends += 1;
        }
    }

    /// A target of it is not in flight any more, or still is as the run ends.
    pub fn left(&mut self, window: Option<usize>, at: Wall) {
        let Some(window) = window.map(|window| &mut self.all[window]) else { return };
        if let Some(close) = window.close.filter(|close| at > *close) {
            window.overruns += 1;
            window.longest_overrun = window.longest_overrun.max(at - close);
        }
    }

    /// In the order of campaigns, then of openings.
    pub fn finish(self) -> Vec<WindowRun> {
        let mut all = self.all;
        for ((at, _), in_flight) in self.at_close {
            all[at].in_flight_at_close += in_flight;
        }
        all.sort_by(|a, b| {
            (&a.campaign, a.open, a.close, &a.projects).cmp(&(
                &b.campaign,
                b.open,
                b.close,
                &b.projects,
            ))
        });
        all
    }
}
