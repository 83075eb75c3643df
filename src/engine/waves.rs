//! Waves: one opens after the one before is terminal, good, and baked (rule S7).

use crate::model::{Millis, Wall};

use super::Engine;
use super::event::Fact;
use super::index::{CampaignIx, LaneIx, TargetIx};
use super::planted::Defect;
use super::state::{CampaignState, PauseCause, Reason, TargetState};

impl Engine {
    /// Ends, bakes and opens waves as far as their targets allow.
    pub(super) fn advance_waves(&mut self, ix: CampaignIx) {
        if self.campaigns[ix.at()].detail.draining {
            return self.end_drained(ix);
        }
        while self.campaigns[ix.at()].state == Some(CampaignState::Running) {
            let campaign = &self.campaigns[ix.at()];
            if campaign.waves.iter().all(|wave| wave.open == 0) {
                return self.complete(ix);
            }
            let wave = campaign.detail.wave as usize;
            let counts = &campaign.waves[wave];
            if counts.open > 0 || wave + 1 >= campaign.waves.len() {
                return;
            }
            if counts.unacknowledged_failures > 0 {
                let targets = self.troubled(ix);
                return self.pause(ix, PauseCause::WaveFailed, &targets);
            }
            if !self.is_baked(ix) {
                return;
            }
            self.open_next_wave(ix);
        }
    }

    /// Ends the wave if that has not happened yet, and tells whether its bake is over.
    fn is_baked(&mut self, ix: CampaignIx) -> bool {
        let wall = self.wall;
        let campaign = &self.campaigns[ix.at()];
        let wave = campaign.detail.wave;
        if campaign.detail.wave_ended_at.is_none() {
            let counts = campaign.waves[wave as usize].clone();
            // A wave in which nothing was upgraded has nothing to watch.
            let executed = counts.succeeded + counts.failed > 0;
            let bake = campaign.detail.waves[wave as usize].bake;
            let bake = if executed { bake } else { Millis::ZERO };
            let from = match self.is_planted(Defect::BakeFromWaveStart) {
                true => self.first_start_in(ix, wave).unwrap_or(wall),
                false => wall,
            };
            let until = from + bake;
            let detail = &mut self.campaigns[ix.at()].detail;
            detail.wave_ended_at = Some(wall);
            detail.bake_until = Some(until);
            self.touch_campaign(ix);
            let (succeeded, failed, skipped) = (counts.succeeded, counts.failed, counts.skipped);
            self.record_campaign(ix, Fact::WaveEnded { wave, succeeded, failed, skipped });
            if bake > Millis::ZERO {
                self.record_campaign(ix, Fact::BakeStarted { wave, until });
            }
        }
        let until = self.campaigns[ix.at()].detail.bake_until.unwrap_or(wall);
        if until > wall {
            let at = self.steady_at(until);
            self.wake_campaign(ix, at);
        }
        until <= wall
    }

    fn first_start_in(&self, ix: CampaignIx, wave: u32) -> Option<Wall> {
        let rows = self.campaigns[ix.at()].targets.iter().map(|ix| &self.targets[ix.at()].row);
        let started = rows.filter(|row| row.wave == wave);
        started.filter_map(|row| row.detail.history().started_at).min()
    }

    /// A target of the open wave is pending again: the wave has not ended, and bakes anew once it has
    /// (rule S7).
    pub(super) fn unend_wave(&mut self, ix: TargetIx) {
        let target = &self.targets[ix.at()];
        let (campaign, wave) = (target.campaign, target.row.wave);
        let detail = &mut self.campaigns[campaign.at()].detail;
        if detail.wave == wave && detail.wave_ended_at.is_some() {
            detail.wave_ended_at = None;
            detail.bake_until = None;
            self.touch_campaign(campaign);
        }
    }

    pub(super) fn open_next_wave(&mut self, ix: CampaignIx) {
        let detail = &mut self.campaigns[ix.at()].detail;
        detail.wave += 1;
        detail.wave_ended_at = None;
        detail.bake_until = None;
        self.touch_campaign(ix);
        self.record_wave_opened(ix);
        self.mark_projects_of(ix);
    }

    pub(super) fn record_wave_opened(&mut self, ix: CampaignIx) {
        let detail = &self.campaigns[ix.at()].detail;
        let wave = detail.wave;
        let name = detail.waves[wave as usize].name.clone();
        self.record_campaign(ix, Fact::WaveOpened { wave, name });
    }

    /// Moves a pending target to another wave.
    pub(super) fn move_to_wave(&mut self, ix: TargetIx, wave: u32) {
        let campaign = self.targets[ix.at()].campaign;
        self.leave_queue(ix);
        self.edit(ix, |target| target.row.wave = wave);
        self.mark_campaign(campaign);
    }

    /// Puts a target into the lane of other groups; what it occupies, it occupies there.
    pub(super) fn move_to_lane(&mut self, ix: TargetIx, lane: LaneIx) {
        let target = &self.targets[ix.at()];
        let (campaign, before, rank) = (target.campaign, target.lane, target.row.rank);
        let key = target.queue_key();
        let (is_queued, occupies) = (target.is_queued, target.tally().occupies);
        let ready = &mut self.campaigns[campaign.at()].ready;
        ready.leave(before);
        if lane == before {
            return;
        }
        if is_queued {
            ready.remove(key, before, rank, ix);
            ready.insert(key, lane, rank, ix);
        }
        if occupies {
            ready.release(before);
            ready.occupy(lane);
        }
        self.targets[ix.at()].lane = lane;
        self.mark_campaign(campaign);
        self.mark_projects_of(campaign);
    }

    fn complete(&mut self, ix: CampaignIx) {
        let failed = self.campaigns[ix.at()].waves.iter().any(|wave| wave.failed > 0);
        let campaign = &mut self.campaigns[ix.at()];
        campaign.state = Some(CampaignState::Completed);
        campaign.detail.completed_with_failures = failed;
        self.touch_campaign(ix);
        self.record_campaign(ix, Fact::Completed { with_failures: failed });
    }

    /// Those that waited when the abort was ordered, and those that have come back since: an answer
    /// or a look may find that nothing was started.
    pub(super) fn cancel_pending(&mut self, ix: CampaignIx) {
        if self.campaigns[ix.at()].count(TargetState::Pending) == 0 {
            return;
        }
        for target in self.campaigns[ix.at()].targets.clone() {
            if self.targets[target.at()].row.state == TargetState::Pending {
                self.end_target(target, TargetState::Cancelled, Reason::Aborted);
                self.record_target(target, Fact::Cancelled { reason: Reason::Aborted });
            }
        }
    }

    fn end_drained(&mut self, ix: CampaignIx) {
        self.cancel_pending(ix);
        let campaign = &mut self.campaigns[ix.at()];
        if campaign.in_flight() > 0 || campaign.is_over() {
            return;
        }
        campaign.state = Some(CampaignState::Aborted);
        campaign.detail.draining = false;
        campaign.detail.causes.clear();
        self.touch_campaign(ix);
        self.record_campaign(ix, Fact::Aborted);
    }
}
