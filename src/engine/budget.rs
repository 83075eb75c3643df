//! The failure budget (rule S8), ends of targets, and the pauses that follow from them.

use std::sync::Arc;

use crate::model::InstanceId;
use crate::model::policy::MaxFailures;

use super::Engine;
use super::event::Fact;
use super::index::{CampaignIx, TargetIx};
use super::planted::Defect;
use super::rows::AttemptOutcome;
use super::state::{CampaignState, PauseCause, Reason, TargetState};

/// The same unlisted code this often in a row pauses the campaign.
const CODE_RUN: u32 = 3;

/// How many instances an event names.
const NAMED_AT_MOST: usize = 20;

impl Engine {
    pub(super) fn fail(&mut self, ix: TargetIx, reason: Reason) {
        self.end_target(ix, TargetState::Failed, reason.clone());
        let campaign = self.targets[ix.at()].campaign;
        self.campaigns[campaign.at()].detail.consecutive_failures += 1;
        self.touch_campaign(campaign);
        self.record_target(ix, Fact::Failed { reason });
    }

    pub(super) fn skip(&mut self, ix: TargetIx, reason: Reason) {
        self.end_target(ix, TargetState::Skipped, reason.clone());
        self.record_target(ix, Fact::Skipped { reason });
        self.backfill(ix);
    }

    /// Ends a target's round: the slot is freed, the attempt closed.
    pub(super) fn end_target(&mut self, ix: TargetIx, state: TargetState, reason: Reason) {
        let wall = self.wall;
        self.end_attempt(ix, AttemptOutcome::NotApplied);
        self.edit(ix, |target| {
            let row = &mut target.row;
            row.state = state;
            row.reason = Some(reason);
            row.entered_at = wall;
            row.not_before = None;
            row.overdue = false;
            row.needs_operator = None;
            row.held_by = None;
            // What was acknowledged was the delay, not this end.
            row.acknowledged = false;
            row.detail.flight = None;
            target.preparing = super::tables::Preparing::No;
        });
    }

    pub(super) fn end_success_run(&mut self, ix: CampaignIx) {
        let detail = &mut self.campaigns[ix.at()].detail;
        if detail.consecutive_failures > 0 {
            detail.consecutive_failures = 0;
            self.touch_campaign(ix);
        }
    }

    /// Pauses the campaign if its budget is reached.
    pub(super) fn judge_budget(&mut self, ix: CampaignIx) {
        let campaign = &mut self.campaigns[ix.at()];
        // What failed while it was paused is judged once it runs again.
        if campaign.state != Some(CampaignState::Running)
            || !std::mem::take(&mut campaign.budget_dirty)
            || !self.budget_is_reached(ix)
        {
            return;
        }
        let targets = self.troubled(ix);
        let (ids, names) = (self.ids_of(&targets), self.names_of(&targets));
        self.record_campaign(ix, Fact::BudgetTripped { targets: ids, names });
        self.pause(ix, PauseCause::Budget, &targets);
    }

    pub(super) fn budget_is_reached(&self, ix: CampaignIx) -> bool {
        let campaign = &self.campaigns[ix.at()];
        let Some(policy) = self.settings.campaigns.get(&campaign.name) else { return false };
        let budget = policy.failure_budget;
        let executed = campaign.count(TargetState::Succeeded) + campaign.count(TargetState::Failed);
        let share = match budget.max_failures {
            MaxFailures::Count(most) => {
                campaign.strikes >= most + u32::from(self.is_planted(Defect::BudgetOffByOne))
            }
            MaxFailures::Percent { percent, min_executed } => {
                let (strikes, percent) = (u64::from(campaign.strikes), u64::from(percent));
                executed >= min_executed
                    && strikes > 0
                    && strikes * 100 >= percent * u64::from(executed)
            }
        };
        share || campaign.detail.consecutive_failures >= budget.consecutive
    }

    /// What reached which limit, in words.
    pub(super) fn budget_used(&self, ix: CampaignIx) -> String {
        let campaign = &self.campaigns[ix.at()];
        let (strikes, run) = (campaign.strikes, campaign.detail.consecutive_failures);
        let Some(policy) = self.settings.campaigns.get(&campaign.name) else {
            return format!("{strikes} failures");
        };
        let budget = policy.failure_budget;
        let executed = campaign.count(TargetState::Succeeded) + campaign.count(TargetState::Failed);
        match budget.max_failures {
            _ if run >= budget.consecutive => {
                format!("{run} failures in a row reach consecutive = {}", budget.consecutive)
            }
            MaxFailures::Count(most) => {
                format!("{strikes} failures reach max_failures = {most}")
            }
            MaxFailures::Percent { percent, .. } => {
                format!("{strikes} failures of {executed} reach max_failures = {percent} %")
            }
        }
    }

    /// The targets whose failures count, some of them.
    pub(super) fn troubled(&self, ix: CampaignIx) -> Vec<TargetIx> {
        let targets = self.campaigns[ix.at()].targets.iter().copied();
        let troubled = targets.filter(|target| self.targets[target.at()].tally().strike);
        troubled.take(NAMED_AT_MOST).collect()
    }

    pub(super) fn ids_of(&self, targets: &[TargetIx]) -> Vec<InstanceId> {
        targets.iter().map(|ix| self.targets[ix.at()].row.id.instance.clone()).collect()
    }

    pub(super) fn names_of(&self, targets: &[TargetIx]) -> Vec<Arc<str>> {
        targets.iter().map(|ix| self.name_of(*ix).clone()).collect()
    }

    pub(super) fn pause(&mut self, ix: CampaignIx, cause: PauseCause, targets: &[TargetIx]) {
        let (ids, names) = (self.ids_of(targets), self.names_of(targets));
        let wall = self.wall;
        let campaign = &mut self.campaigns[ix.at()];
        let Some(state) = campaign.state.filter(|state| !state.is_over()) else { return };
        if !campaign.detail.causes.insert(cause.clone()) {
            return;
        }
        if state != CampaignState::Paused {
            campaign.detail.paused_from = Some(state);
            campaign.detail.paused_at = Some(wall);
            campaign.state = Some(CampaignState::Paused);
        }
        self.touch_campaign(ix);
        self.record_campaign(ix, Fact::Paused { cause, targets: ids, names });
        self.mark_projects_of(ix);
    }

    /// A code that no table lists, or that marks a defect: three in a row are no accident.
    pub(super) fn suspicious_code(&mut self, ix: TargetIx, code: Arc<str>) {
        let campaign = self.targets[ix.at()].campaign;
        let detail = &mut self.campaigns[campaign.at()].detail;
        let run = match detail.code_run.take() {
            Some((last, run)) if last == code => run + 1,
            _ => 1,
        };
        detail.code_run = Some((code.clone(), run));
        self.touch_campaign(campaign);
        if run >= CODE_RUN {
            let targets = self.troubled(campaign);
            self.pause(campaign, PauseCause::Code(code), &targets);
        }
    }

    pub(super) fn end_code_run(&mut self, ix: TargetIx) {
        let campaign = self.targets[ix.at()].campaign;
        if self.campaigns[campaign.at()].detail.code_run.take().is_some() {
            self.touch_campaign(campaign);
        }
    }

    /// Flags a target that only an operator can resolve. It keeps its slot.
    pub(super) fn call_operator(&mut self, ix: TargetIx, why: &str) {
        if self.targets[ix.at()].row.needs_operator.is_some() {
            return;
        }
        let why: Arc<str> = why.into();
        self.edit(ix, |target| target.row.needs_operator = Some(why.clone()));
        self.leave_unmeasured(ix);
        self.record_target(ix, Fact::NeedsOperator { why });
    }
}
