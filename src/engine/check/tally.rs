//! The counters that caps, budgets and waves are judged by, kept in step with the targets.

use super::Checker;
use super::facts::{CampaignFacts, TargetFacts, WaveTally};
use crate::model::TargetId;

impl Checker {
    /// Changes a target's facts and the counters that depend on them.
    pub(super) fn change(&mut self, id: &TargetId, change: impl FnOnce(&mut TargetFacts)) {
        let Some(at) = self.targets.get_index_of(id) else { return };
        self.count(id, at, Side::Out);
        change(&mut self.targets[at]);
        self.count(id, at, Side::In);
    }

    pub(super) fn add(&mut self, id: TargetId, facts: TargetFacts) {
        let (at, _) = self.targets.insert_full(id.clone(), facts);
        self.count(&id, at, Side::In);
    }

    /// The target with that id, which stands at that place.
    fn count(&mut self, id: &TargetId, at: usize, side: Side) {
        let facts = &self.targets[at];
        let is_in_flight = facts.state.is_in_flight();
        self.campaigns.entry(id.campaign.clone()).or_default().count(facts, side);
        if is_in_flight {
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
