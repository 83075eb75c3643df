//! The gates a start has to pass, from the cheap global ones to the campaign's own (rules S4, S7,
//! S8, S9). One order for deciding, for holding and for the sender's last check.

use crate::model::policy::Starts;
use crate::model::{Millis, ProjectName, Wall};

use super::Engine;
use super::event::Fact;
use super::hold::HoldKind;
use super::index::{CampaignIx, ProjectIx, TargetIx};
use super::order::Scope;
use super::planted::Defect;
use super::state::{CampaignState, PauseCause, PauseCauses};
use super::tables::{CampaignCalendar, Circuit};
use super::timers::Timer;
use super::view::Gate;

/// How long before an opening targets are prepared, so that the first start needs no read.
pub(super) const PREPARE_AHEAD: Millis = Millis::from_secs(5);

/// Missed intervals that are told one by one, the latest of a project in a campaign. A window that
/// opens every few minutes and a year of downtime would make tens of thousands.
const MISSED_TOLD: usize = 50;

impl Engine {
    /// Whether anything may start in this campaign and project at `at`, caps and rates apart.
    pub(super) fn start_gate(
        &self,
        campaign: CampaignIx,
        project: ProjectIx,
        at: Wall,
    ) -> Result<(), HoldKind> {
        self.time_gate(campaign, project, at)?;
        self.campaign_gate(campaign)?;
        self.project_gate(project)?;
        self.process_gate()
    }

    /// Freezes and windows.
    pub(super) fn time_gate(
        &self,
        campaign: CampaignIx,
        project: ProjectIx,
        at: Wall,
    ) -> Result<(), HoldKind> {
        let freeze = self.operator_freeze(campaign, project, at);
        let is_frozen = freeze.is_some() && !self.is_planted(Defect::FreezeIgnored);
        if self.freeze_file.is_some() || is_frozen {
            return Err(HoldKind::Frozen);
        }
        let Some(calendar) = self.campaigns[campaign.at()].calendars.get(&project) else {
            return Err(HoldKind::OutsideWindow);
        };
        match &calendar.interval {
            Some(interval) if at < interval.open => Err(frozen_or_outside(calendar, at)),
            Some(interval) if at >= interval.known_until() => Err(frozen_or_outside(calendar, at)),
            Some(interval) if at >= interval.starts_until() => Err(HoldKind::PastCutoff),
            Some(_) => Ok(()),
            None => Err(frozen_or_outside(calendar, at)),
        }
    }

    pub(super) fn campaign_gate(&self, ix: CampaignIx) -> Result<(), HoldKind> {
        let campaign = &self.campaigns[ix.at()];
        let causes = &campaign.detail.causes;
        match campaign.state {
            Some(CampaignState::Paused) => Err(pause_kind(causes)),
            _ if causes.contains(&PauseCause::Removed) => Err(HoldKind::CampaignRemoved),
            Some(CampaignState::AwaitingApproval) => Err(HoldKind::AwaitingApproval),
            Some(CampaignState::Running) if !campaign.detail.draining => Ok(()),
            _ => Err(HoldKind::CampaignPaused),
        }
    }

    pub(super) fn project_gate(&self, ix: ProjectIx) -> Result<(), HoldKind> {
        let project = &self.projects[ix.at()];
        let policy = self.settings.projects.get(&project.name);
        if project.detail.stopped.is_some()
            || policy.is_none_or(|policy| policy.starts != Starts::On)
        {
            return Err(HoldKind::ProjectStopped);
        }
        if matches!(project.circuit, Circuit::Open { .. }) {
            return Err(HoldKind::CircuitOpen);
        }
        if self.credentials[project.credential.at()].stopped.is_some() {
            return Err(HoldKind::Credential);
        }
        Ok(())
    }

    pub(super) fn process_gate(&self) -> Result<(), HoldKind> {
        for (closed, kind) in [
            (self.is_clock_suspect, HoldKind::ClockSuspect),
            (self.is_store_failing, HoldKind::Store),
            (!self.is_owner, HoldKind::NotOwner),
            (self.is_stopping, HoldKind::Stopping),
        ] {
            if closed {
                return Err(kind);
            }
        }
        Ok(())
    }

    /// The operator's freeze that covers this campaign or project at `at`.
    pub(super) fn operator_freeze(
        &self,
        campaign: CampaignIx,
        project: ProjectIx,
        at: Wall,
    ) -> Option<&super::rows::FreezeRow> {
        let scopes = [
            Scope::All,
            Scope::Project(self.projects[project.at()].name.clone()),
            Scope::Campaign(self.campaigns[campaign.at()].name.clone()),
        ];
        let freezes = scopes.iter().filter_map(|scope| self.freezes.get(scope));
        freezes.into_iter().find(|freeze| freeze.is_active_at(at))
    }

    pub(super) fn build_gate(&self) -> Gate {
        let frozen = |scope: &Scope| {
            self.freezes.get(scope).is_some_and(|freeze| freeze.is_active_at(self.wall))
        };
        let campaigns = (0..self.campaigns.len() as u32).map(CampaignIx).filter(|&ix| {
            let name = &self.campaigns[ix.at()].name;
            self.campaign_gate(ix).is_err() || frozen(&Scope::Campaign(name.clone()))
        });
        let projects = (0..self.projects.len() as u32).map(ProjectIx).filter(|&ix| {
            let name = &self.projects[ix.at()].name;
            self.project_gate(ix).is_err() || frozen(&Scope::Project(name.clone()))
        });
        Gate {
            closed: self.freeze_file.is_some()
                || frozen(&Scope::All)
                || self.process_gate().is_err()
                || self.restoring.is_some(),
            campaigns: campaigns.map(|ix| self.campaigns[ix.at()].name.clone()).collect(),
            projects: projects.map(|ix| self.projects[ix.at()].name.clone()).collect(),
        }
    }

    pub(super) fn lift_ended_freezes(&mut self) {
        let ended: Vec<Scope> = self
            .freezes
            .values()
            .filter(|freeze| freeze.until.is_some_and(|until| until <= self.wall))
            .map(|freeze| freeze.scope.clone())
            .collect();
        for scope in ended {
            self.freezes.remove(&scope);
            self.changes().unfrozen.push(scope.clone());
            self.record_process(Fact::Unfrozen { scope });
            self.gate_changed();
        }
    }

    /// Windows, freezes or the wall clock changed: every campaign finds its interval again.
    pub(super) fn calendar_changed(&mut self) {
        for at in 0..self.campaigns.len() as u32 {
            self.calendar_due(CampaignIx(at));
        }
        let ends: Vec<Wall> = self.freezes.values().filter_map(|freeze| freeze.until).collect();
        for until in ends {
            let at = self.steady_at(until);
            self.timers.push(at, Timer::Freezes);
        }
        self.lift_ended_freezes();
    }

    /// An edge of the campaign's windows may have been reached.
    pub(super) fn calendar_due(&mut self, ix: CampaignIx) {
        if self.campaigns[ix.at()].is_over() {
            return;
        }
        let projects: Vec<ProjectIx> = self.campaigns[ix.at()].calendars.keys().copied().collect();
        for project in projects {
            self.interval_due(ix, project);
        }
    }

    fn interval_due(&mut self, ix: CampaignIx, project: ProjectIx) {
        let wall = self.wall;
        let announces = self.campaigns[ix.at()].state.is_some();
        let Some(calendar) = self.campaigns[ix.at()].calendars.get_mut(&project) else { return };
        let interval = calendar.calendar.interval_at_or_after(wall);
        calendar.interval = interval.clone();
        self.refresh_needs(ix, project);
        let Some(calendar) = self.campaigns[ix.at()].calendars.get_mut(&project) else { return };
        if let (Some(announced), Some(now)) = (&mut calendar.announced, &interval)
            && announced.close().is_none()
            && now.open <= announced.known_until()
        {
            announced.end = now.end.clone();
        }
        let ended = calendar.announced.take_if(|announced| {
            announces
                && (wall >= announced.known_until()
                    || interval
                        .as_ref()
                        .is_none_or(|now| now.open > announced.open && wall < now.open))
        });
        let opened = interval
            .clone()
            .filter(|interval| announces && interval.open <= wall && calendar.announced.is_none());
        if let Some(opened) = &opened {
            calendar.announced = Some(opened.clone());
        }
        if let Some(ended) = ended {
            let in_flight = self.in_flight_there(ix, project);
            let close = ended.known_until();
            self.record_window(ix, project, Fact::WindowClosed { close, in_flight });
            self.calendar_seen(ix, close);
        }
        if let Some(opened) = opened {
            self.calendar_seen(ix, opened.open);
            self.announce_opening(ix, project, opened);
        }
        self.wake_at_edge(ix, project);
        self.mark_project(project);
    }

    /// How much of the campaign is in flight in that project.
    fn in_flight_there(&self, ix: CampaignIx, project: ProjectIx) -> u32 {
        let in_flight = self.projects[project.at()].in_flight.iter();
        in_flight.filter(|target| self.targets[target.at()].campaign == ix).count() as u32
    }

    /// Wakes the campaign when the interval opens or ends, for all or for one class.
    pub(super) fn wake_at_edge(&mut self, ix: CampaignIx, project: ProjectIx) {
        let Some(calendar) = self.campaigns[ix.at()].calendars.get(&project) else { return };
        let Some(interval) = &calendar.interval else { return };
        let (opening, cutoff) = (interval.open, interval.starts_until());
        let edges = [opening - PREPARE_AHEAD, opening, cutoff, interval.known_until()];
        let edges = edges.into_iter().chain(calendar.fit_ends());
        if let Some(next) = edges.filter(|&edge| edge > self.wall).min() {
            self.wake_campaign(ix, self.steady_at(next));
        }
    }

    fn announce_opening(
        &mut self,
        ix: CampaignIx,
        project: ProjectIx,
        interval: crate::model::calendar::Interval,
    ) {
        // After a restart inside the interval it has been announced already.
        let name = self.projects[project.at()].name.clone();
        let campaign = &mut self.campaigns[ix.at()];
        let calendar = campaign.calendars.get_mut(&project);
        let restored = calendar.is_some_and(|calendar| std::mem::take(&mut calendar.restored));
        let before = campaign.detail.announced_opens.insert(name, interval.open);
        self.touch_campaign(ix);
        if restored && before == Some(interval.open) {
            return;
        }
        let fact = Fact::WindowOpened {
            open: interval.open,
            close: interval.close(),
            last_start: interval.last_start(),
            windows: interval.windows,
        };
        self.record_window(ix, project, fact);
    }

    fn calendar_seen(&mut self, ix: CampaignIx, until: Wall) {
        let detail = &mut self.campaigns[ix.at()].detail;
        let seen = detail.calendar_seen_until.map_or(until, |seen| seen.max(until));
        detail.calendar_seen_until = Some(seen);
        self.touch_campaign(ix);
    }

    /// After downtime: the intervals that passed unused are recorded, never caught up.
    pub(super) fn record_missed_windows(&mut self, ix: CampaignIx) {
        let campaign = &self.campaigns[ix.at()];
        let Some(seen) = campaign.detail.calendar_seen_until.filter(|_| !campaign.is_over()) else {
            return;
        };
        let wall = self.wall;
        let projects: Vec<ProjectIx> = campaign.calendars.keys().copied().collect();
        for project in projects {
            let calendar = &self.campaigns[ix.at()].calendars[&project].calendar;
            let mut missed = calendar.intervals_between(seen, wall);
            let latest = missed.split_off(missed.len().saturating_sub(MISSED_TOLD));
            if let (Some(first), Some(last)) = (missed.first(), missed.last()) {
                let (open, close) = (first.open, last.known_until());
                let count = missed.len() as u32;
                self.record_window(ix, project, Fact::WindowsMissed { count, open, close });
            }
            for missed in latest {
                let fact = Fact::WindowMissed {
                    open: missed.open,
                    close: missed.known_until(),
                    windows: missed.windows,
                };
                self.record_window(ix, project, fact);
            }
        }
        self.calendar_seen(ix, wall);
    }

    pub(super) fn project_name(&self, ix: ProjectIx) -> &ProjectName {
        &self.projects[ix.at()].name
    }

    pub(super) fn gate_for(&self, ix: TargetIx, at: Wall) -> Result<(), HoldKind> {
        let target = &self.targets[ix.at()];
        self.start_gate(target.campaign, target.project, at)?;
        if self.target_fits(ix, at) { Ok(()) } else { Err(HoldKind::DoesNotFit) }
    }
}

/// Of several causes the one that comes first in the order of holds.
fn pause_kind(causes: &PauseCauses) -> HoldKind {
    let is_own = |cause: &PauseCause| matches!(cause, PauseCause::Removed | PauseCause::Budget);
    if causes.iter().any(|cause| !is_own(cause)) {
        HoldKind::CampaignPaused
    } else if causes.contains(&PauseCause::Removed) {
        HoldKind::CampaignRemoved
    } else if causes.contains(&PauseCause::Budget) {
        HoldKind::BudgetTripped
    } else {
        HoldKind::CampaignPaused
    }
}

fn frozen_or_outside(calendar: &CampaignCalendar, at: Wall) -> HoldKind {
    if calendar.calendar.freeze_at(at).is_some() {
        HoldKind::Frozen
    } else {
        HoldKind::OutsideWindow
    }
}
