//! Whether what is left of a campaign goes on by itself, and why it does not.
//!
//! Most of the time no window is open, and that tells nothing: what counts is what will hold a
//! target once its next interval has opened. The engine is asked for that instant, so that nothing
//! has to be played to it.

use crate::engine::rows::TargetRow;
use crate::engine::view::{CampaignStatus, Status};
use crate::engine::{CampaignState, Engine, Hold, HoldKind, TargetState};
use crate::model::{CampaignName, Steady, Wall};
use crate::rehearse::Host;

/// A look at what is left, at one instant of a run.
pub(in crate::rehearse) struct Look<'a> {
    host: &'a Host,
    engine: &'a Engine,
    now: Steady,
    overview: Status,
    /// Something in flight is expected to end by itself.
    is_moving: bool,
}

impl<'a> Look<'a> {
    /// `None` while no process runs.
    pub fn at(host: &'a Host) -> Option<Look<'a>> {
        let (engine, now) = host.engine().zip(host.steady())?;
        let moves = |row: &TargetRow| row.state.is_in_flight() && row.needs_operator.is_none();
        let is_moving = host.store().targets().any(moves);
        Some(Look { host, engine, now, overview: engine.overview(now), is_moving })
    }

    /// All of that campaign, or of every one, is over or stuck. `is_quiet` says that nothing has
    /// moved for long: what an operator is asked about may yet end by itself before.
    pub fn is_stuck(&self, campaign: Option<&CampaignName>, is_quiet: bool) -> bool {
        let asked = |status: &&CampaignStatus| campaign.is_none_or(|name| status.name == *name);
        let mut asked = self.overview.campaigns.iter().filter(asked);
        asked.all(|status| self.waits_for_ever(status, is_quiet))
    }

    fn waits_for_ever(&self, status: &CampaignStatus, is_quiet: bool) -> bool {
        let Some(state) = status.state else { return status.selection_empty };
        let is_idle = status.in_flight == 0;
        let is_stopped = matches!(state, CampaignState::Paused | CampaignState::AwaitingApproval)
            && !status.draining;
        let never_opens = status.intervals.values().all(Option::is_none);
        state.is_over()
            || is_idle && (is_stopped || never_opens)
            || is_quiet && !self.is_moving && self.is_all_stuck(status)
    }

    /// Later waves wait for the open one: where all of that is stuck, so are they.
    fn is_all_stuck(&self, status: &CampaignStatus) -> bool {
        let mut left = self.left(status).filter(|row| row.wave <= status.wave).peekable();
        left.peek().is_some() && left.all(|row| self.is_row_stuck(row))
    }

    fn is_row_stuck(&self, row: &TargetRow) -> bool {
        use HoldKind as K;
        if row.state.is_in_flight() {
            return row.needs_operator.is_some() && !self.will_end(row);
        }
        self.hold(row).is_some_and(|hold| match hold.kind {
            K::Held | K::NeedsOperator | K::NeverFits => true,
            K::ProjectStopped | K::Credential => true,
            K::CampaignPaused | K::CampaignRemoved | K::AwaitingApproval | K::BudgetTripped => true,
            K::Frozen => hold.earliest.is_none(),
            // What is in flight makes no room before an operator does.
            K::WaveNotOpen | K::DisruptionBudget | K::MaxInFlight => true,
            _ => false,
        })
    }

    /// Late, and an operator is asked; but the simulated cloud will be done with it.
    fn will_end(&self, row: &TargetRow) -> bool {
        let policy = self.host.settings().projects.get(&row.id.project);
        policy.is_some_and(|policy| {
            self.host.world().will_end(&policy.project_id, row.id.instance.as_str())
        })
    }

    /// Targets of the campaign that are not over.
    fn left(&self, status: &CampaignStatus) -> impl Iterator<Item = &'a TargetRow> {
        let name = status.name.clone();
        let rows = self.host.store().targets();
        rows.filter(move |row| row.id.campaign == name && !row.state.is_terminal())
    }

    /// What will hold a target that is left, once its next interval has opened.
    pub fn hold(&self, row: &TargetRow) -> Option<Hold> {
        // A freeze would hide it, and outlives it.
        if let Some(by) = &row.held_by {
            return Some(of(HoldKind::Held, format!("held by {by}")));
        }
        if let Some(why) = &row.needs_operator {
            return Some(of(HoldKind::NeedsOperator, why.to_string()));
        }
        self.engine.hold(&row.id, self.now + (self.opens(row) - self.host.now()))
    }

    /// When the next interval opens for it: now, where one is open, or none comes.
    fn opens(&self, row: &TargetRow) -> Wall {
        let now = self.host.now();
        let mut campaigns = self.overview.campaigns.iter();
        let interval = campaigns
            .find(|status| status.name == row.id.campaign)
            .and_then(|status| status.intervals.get(&row.id.project)?.as_ref());
        match row.state {
            TargetState::Pending => interval.map_or(now, |interval| interval.open.max(now)),
            _ => now,
        }
    }

    /// What keeps the campaign from its end: what a person has to lift before all else.
    pub fn reason(&self, campaign: &CampaignName) -> Option<Hold> {
        let status = self.overview.campaigns.iter().find(|status| status.name == *campaign)?;
        let holds =
            self.left(status).filter_map(|row| Some(((row.wave, row.rank), row, self.hold(row)?)));
        let first = holds.min_by_key(|(place, row, hold)| (weight(hold), *place, &row.id));
        first.map(|(_, _, hold)| hold)
    }
}

fn weight(hold: &Hold) -> u8 {
    match hold.kind {
        HoldKind::NeedsOperator => 0,
        HoldKind::Held => 1,
        HoldKind::Frozen if hold.earliest.is_none() => 2,
        // These wait for another of the same campaign, which tells more.
        HoldKind::WaveNotOpen | HoldKind::Baking => 4,
        _ => 3,
    }
}

fn of(kind: HoldKind, detail: String) -> Hold {
    let (since, earliest, next_command) = (None, None, None);
    Hold { kind, detail, since, earliest, next_command, alternatives: Vec::new() }
}
