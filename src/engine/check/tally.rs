//! The counters that caps, budgets and waves are judged by, kept in step with the targets.

use super::Checker;
use super::facts::{CampaignFacts, TargetFacts, WaveTally};
use crate::model::TargetId;

impl Checker {
    /// Changes a target's facts and the counters that depend on them.
    pub(super) fn change(&mut self, id: &TargetId, change: impl FnOnce(&mut TargetFacts)) {
        let Some(mut facts) = self.targets.remove(id) else { return };
        self.count(id, &facts, Side::Out);
        change(&mut facts);
        self.count(id, &facts, Side::In);
        self.targets.insert(id.clone(), facts);
    }

    pub(super) fn add(&mut self, id: &TargetId, facts: &TargetFacts) {
        self.count(id, facts, Side::In);
    }

    fn count(&mut self, id: &TargetId, facts: &TargetFacts, side: Side) {
        let campaign = self.campaigns.entry(id.campaign.clone()).or_default();
        campaign.count(facts, side);
        if facts.state.is_in_flight() {
            side.apply(&mut self.projects.entry(id.project.clone()).or_default().in_flight);
            side.apply(&mut self.instance_mut(&id.project, &id.instance).in_flight);
        }
    }
}

/// Whether facts are taken out of the counters or put in.
#[derive(Debug, Clone, Copy)]
pub(super) enum Side {
    In,
    Out,
}

impl Side {
    fn apply(self, counter: &mut u32) {
        match self {
            Side::In => *counter += 1,
            Side::Out => *counter -= 1,
        }
    }
}

impl CampaignFacts {
    pub(super) fn count(&mut self, facts: &TargetFacts, side: Side) {
        let tally = &mut self.tally;
        let wave: &mut WaveTally = tally.waves.entry(facts.wave).or_default();
        side.apply(&mut wave.targets);
        if !facts.state.is_terminal() {
            side.apply(&mut wave.unfinished);
        }
        if facts.is_executed() {
            side.apply(&mut wave.executed);
        }
        if facts.is_failure() {
            side.apply(&mut wave.failures);
        }
        if facts.is_strike() {
            side.apply(&mut tally.strikes);
        }
        if facts.is_executed() {
            side.apply(&mut tally.executed);
        }
        if facts.state.is_in_flight() {
            side.apply(&mut tally.in_flight);
            for group in &facts.groups {
                side.apply(tally.groups.entry(group.clone()).or_default());
            }
        }
    }
}
