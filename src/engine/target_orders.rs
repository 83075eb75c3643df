//! Orders about one target: what became of it, whether it goes, and whether it is tried again.

use std::sync::Arc;

use crate::model::TargetId;

use super::Engine;
use super::event::Fact;
use super::hold::target_command;
use super::index::TargetIx;
use super::order::{Refusal, Verdict};
use super::orders::{Answer, Refused, changed, not_now, unchanged, unknown};
use super::rows::{TargetDetail, VerifyAfter};
use super::state::{CampaignState, Reason, TargetState};

impl Engine {
    pub(super) fn order_resolve(&mut self, id: &TargetId, verdict: Verdict) -> Answer {
        let ix = self.known_target(id)?;
        let who = self.who(ix);
        let state = self.targets[ix.at()].row.state;
        let fits = match verdict {
            Verdict::Applied { .. } | Verdict::NotApplied => state == TargetState::Uncertain,
            Verdict::Succeeded | Verdict::Failed => {
                matches!(state, TargetState::Running | TargetState::Verifying)
            }
        };
        if !fits {
            return not_now(format!("{who} is {state}: this verdict does not fit"));
        }
        match &verdict {
            Verdict::Applied { task: Some(task) } => {
                self.enter_running(ix, task.clone());
                self.begin_watching(ix);
            }
            Verdict::Applied { task: None } => {
                self.attempt_applied(ix, None);
                self.edit(ix, |target| target.row.needs_operator = None);
                self.enter_verifying(ix, VerifyAfter::Resolved);
            }
            Verdict::NotApplied | Verdict::Succeeded | Verdict::Failed => {}
        }
        self.record_target(ix, Fact::Resolved { verdict: verdict.clone() });
        match verdict {
            Verdict::Applied { .. } => {}
            Verdict::NotApplied => self.not_applied(ix),
            Verdict::Succeeded => self.succeed(ix, Reason::Operator),
            Verdict::Failed => self.fail(ix, Reason::Operator),
        }
        changed(format!("{who} is {}", self.targets[ix.at()].row.state))
    }

    pub(super) fn order_hold(&mut self, id: &TargetId, actor: Arc<str>) -> Answer {
        let ix = self.known_target(id)?;
        let who = self.who(ix);
        self.is_pending(ix, "held")?;
        if self.targets[ix.at()].row.held_by.is_some() {
            return unchanged(format!("{who} is held already"));
        }
        self.edit(ix, |target| {
            target.row.held_by = Some(actor);
            target.preparing = super::tables::Preparing::No;
        });
        self.record_target(ix, Fact::Held);
        changed(format!("{who} is held until {}", target_command("release", id)))
    }

    pub(super) fn order_release(&mut self, id: &TargetId) -> Answer {
        let ix = self.known_target(id)?;
        let who = self.who(ix);
        if self.targets[ix.at()].row.held_by.is_none() {
            return unchanged(format!("{who} is not held"));
        }
        self.edit(ix, |target| target.row.held_by = None);
        self.record_target(ix, Fact::Released);
        changed(format!("{who} is released"))
    }

    pub(super) fn order_skip(&mut self, id: &TargetId) -> Answer {
        let ix = self.known_target(id)?;
        let who = self.who(ix);
        if self.targets[ix.at()].row.state == TargetState::Skipped {
            return unchanged(format!("{who} is skipped already"));
        }
        self.is_pending(ix, "skipped")?;
        self.skip(ix, Reason::Operator);
        changed(format!("{who} is skipped"))
    }

    pub(super) fn order_retry(&mut self, id: &TargetId) -> Answer {
        let ix = self.known_target(id)?;
        let who = self.who(ix);
        let (state, campaign) = (self.targets[ix.at()].row.state, self.targets[ix.at()].campaign);
        if state == TargetState::Pending && self.targets[ix.at()].row.round > 1 {
            return unchanged(format!("{who} is pending already"));
        }
        if !matches!(state, TargetState::Failed | TargetState::Skipped | TargetState::Cancelled) {
            return not_now(format!(
                "{who} is {state}: only what failed or was skipped can be retried"
            ));
        }
        if self.targets[ix.at()].row.reason == Some(Reason::Excluded) {
            return not_now(format!("{who} is excluded by campaign {} in the file", id.campaign));
        }
        if let Some(why) = self.still_skipped(ix) {
            return not_now(format!("{who} would be skipped again: {why}"));
        }
        let campaign_state = self.campaigns[campaign.at()].state;
        if campaign_state == Some(CampaignState::Aborted)
            || self.campaigns[campaign.at()].detail.draining
        {
            return not_now(format!("campaign {} was aborted: start a new campaign", id.campaign));
        }
        if let Some(other) = self.sibling_at_work(ix) {
            let other = &self.targets[other.at()].row.id.campaign;
            return not_now(format!("campaign {other} is upgrading this instance now"));
        }
        self.reopen_round(ix);
        self.unend_wave(ix);
        if campaign_state == Some(CampaignState::Completed) {
            self.campaigns[campaign.at()].state = Some(CampaignState::Running);
            self.touch_campaign(campaign);
            self.record_campaign(campaign, Fact::Reopened);
            self.calendar_due(campaign);
        }
        self.want_verdict(ix);
        let round = self.targets[ix.at()].row.round;
        changed(format!("{who} is pending again, round {round}"))
    }

    /// Which of the plan's own rules would skip it again, where one would.
    fn still_skipped(&self, ix: TargetIx) -> Option<String> {
        let row = &self.targets[ix.at()].row;
        let policy = self.settings.campaigns.get(&row.id.campaign);
        let reason = row.reason.as_ref()?;
        let why = match reason {
            Reason::SingleNode if policy.is_none_or(|policy| !policy.allow_single_node) => {
                let campaign = &row.id.campaign;
                format!("allow_single_node is not set in [campaigns.{campaign}]")
            }
            Reason::Unsupported => "the cloud has no minor upgrades for its kind".to_owned(),
            _ => return None,
        };
        Some(format!("{reason}: {why}"))
    }

    fn reopen_round(&mut self, ix: TargetIx) {
        let wall = self.wall;
        self.edit(ix, |target| {
            let row = &mut target.row;
            row.state = TargetState::Pending;
            row.reason = None;
            row.entered_at = wall;
            row.round += 1;
            row.number = 0;
            row.not_applied = 0;
            row.task = None;
            row.acknowledged = false;
            row.not_before = None;
            row.overdue = false;
            row.needs_operator = None;
            row.detail = TargetDetail::default();
            target.verdict_read = false;
        });
        let round = self.targets[ix.at()].row.round;
        self.record_target(ix, Fact::RetryOrdered { round });
    }

    fn is_pending(&self, ix: TargetIx, what: &str) -> Result<(), Refused> {
        let state = self.targets[ix.at()].row.state;
        if state == TargetState::Pending {
            return Ok(());
        }
        let why = if state.is_in_flight() {
            "its upgrade was sent and cannot be stopped"
        } else {
            "its round has ended"
        };
        let who = self.who(ix);
        Err((Refusal::NotNow, format!("{who} is {state} and cannot be {what}: {why}")))
    }

    /// As people call it, and as commands do.
    fn who(&self, ix: TargetIx) -> String {
        format!("{} ({})", self.name_of(ix), self.targets[ix.at()].row.id)
    }

    fn known_target(&self, id: &TargetId) -> Result<TargetIx, Refused> {
        self.find_target(id).ok_or_else(|| {
            if !self.campaign_index.contains_key(&id.campaign) {
                return self.unknown_campaign(&id.campaign);
            }
            let text = id.to_string();
            let ids: Vec<String> =
                self.targets.iter().map(|target| target.row.id.to_string()).collect();
            unknown("target", &text, ids.iter().map(String::as_str))
        })
    }
}
