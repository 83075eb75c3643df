//! Answers to people: how the fleet stands, what the plan says. On demand only, never at every
//! step; `holds` tells why one target is not moving.

use std::collections::BTreeMap;

use crate::model::calendar::Interval;
use crate::model::policy::Starts;
use crate::model::{Millis, ProjectName, Steady, Wall};

use super::Engine;
use super::hold::{Hold, HoldKind};
use super::holds::{freeze_file_words, process_hold};
use super::index::{CampaignIx, ClassIx, ProjectIx, TargetIx};
use super::state::{CampaignState, TargetState};
use super::tables::{CampaignCalendar, Circuit};
use super::view::{
    CampaignPlan, CampaignStatus, FrozenBy, IntervalView, Plan, PlanVerdict, PlannedTarget,
    ProjectStatus, Status,
};

/// How many intervals are looked through for one that fits.
const INTERVALS_AHEAD: usize = 400;

/// By project, wave and class: a plan has few of these and many targets.
type FirstIntervals = BTreeMap<(ProjectIx, u32, Option<ClassIx>), Option<IntervalView>>;

impl Engine {
    /// The whole fleet, with what every campaign waits for.
    pub fn status(&self, now: Steady) -> Status {
        let mut status = self.overview(now);
        for (at, campaign) in status.campaigns.iter_mut().enumerate() {
            let ix = CampaignIx(at as u32);
            (campaign.hold, campaign.waits) = self.campaign_waits(ix, status.at);
        }
        status
    }

    /// The same without the holds: the part that costs the same however many targets there are.
    pub fn overview(&self, now: Steady) -> Status {
        let wall = self.wall_at(now.max(self.now));
        Status {
            at: wall,
            campaigns: (0..self.campaigns.len() as u32)
                .map(|ix| self.campaign_status(CampaignIx(ix)))
                .collect(),
            projects: (0..self.projects.len() as u32)
                .map(|ix| self.project_status(ProjectIx(ix)))
                .collect(),
            freezes: self.freezes.values().map(|row| (row.scope.clone(), row.until)).collect(),
            frozen_by: self.freezes.values().map(FrozenBy::from).collect(),
            doubts: self.doubts(),
        }
    }

    fn doubts(&self) -> Vec<String> {
        let process = self.process_gate().err().map(|kind| process_hold(kind).detail);
        let file = self.freeze_file.as_deref().map(freeze_file_words);
        process.into_iter().chain(file).collect()
    }

    fn campaign_status(&self, ix: CampaignIx) -> CampaignStatus {
        let campaign = &self.campaigns[ix.at()];
        let counts = TargetState::ALL.into_iter().map(|state| (state, campaign.count(state)));
        let wave = campaign.detail.waves.get(campaign.detail.wave as usize);
        let policy = self.settings.campaigns.get(&campaign.name);
        CampaignStatus {
            name: campaign.name.clone(),
            state: campaign.state,
            selection_empty: campaign.selection_empty,
            causes: campaign.detail.causes.iter().cloned().collect(),
            draining: campaign.detail.draining,
            digest: campaign.detail.digest.clone(),
            counts: counts.filter(|(_, count)| *count > 0).collect(),
            in_flight: campaign.in_flight(),
            overdue: campaign.overdue,
            needs_operator: campaign.needs_operator,
            strikes: campaign.strikes,
            wave: campaign.detail.wave,
            wave_name: wave.map_or_else(|| "".into(), |wave| wave.name.clone()),
            waves: campaign.detail.waves.len() as u32,
            bake_until: campaign.detail.bake_until,
            intervals: self.interval_views(ix),
            hold: None,
            waits: Vec::new(),
            deadline: policy.and_then(|policy| policy.deadline),
            forecast: campaign.forecast.filter(|_| !campaign.is_over()),
            late: campaign.detail.late.filter(|_| !campaign.is_over()),
        }
    }

    fn interval_views(&self, ix: CampaignIx) -> BTreeMap<ProjectName, Option<IntervalView>> {
        let calendars = self.campaigns[ix.at()].calendars.iter();
        calendars
            .map(|(project, calendar)| {
                let view = calendar.interval.as_ref().map(IntervalView::from);
                (self.project_name(*project).clone(), view)
            })
            .collect()
    }

    fn project_status(&self, ix: ProjectIx) -> ProjectStatus {
        let project = &self.projects[ix.at()];
        let credential = &self.credentials[project.credential.at()];
        ProjectStatus {
            name: project.name.clone(),
            in_flight: project.in_flight.len() as u32,
            stopped: project.detail.stopped.clone(),
            stopped_since: project.detail.stopped_at,
            circuit_open_until: match project.circuit {
                Circuit::Open { until } => Some(self.wall_at(until)),
                _ => None,
            },
            backoff_until: self.project_backoff_until(ix),
            starts_paused_until: project.starts.paused_until(self.now).map(|at| self.wall_at(at)),
            reads_paused_until: project.reads.paused_until(self.now).map(|at| self.wall_at(at)),
            unreachable: self.unreachable(ix),
            list_refused: project.sweep_refused.clone(),
            credential: credential.name.clone(),
            credential_stopped: credential.stopped.clone(),
            credential_stopped_since: credential.stopped_at,
            credential_hold: self.credential_hold(project.credential),
            watch: project.detail.watch,
            sweeps: project.detail.sweeps,
            skew: project.skew,
        }
    }

    pub fn plan(&self, now: Steady) -> Plan {
        let wall = self.wall_at(now.max(self.now));
        let campaigns = (0..self.campaigns.len() as u32).map(CampaignIx);
        Plan { at: wall, campaigns: campaigns.map(|ix| self.campaign_plan(ix, wall)).collect() }
    }

    fn campaign_plan(&self, ix: CampaignIx, wall: Wall) -> CampaignPlan {
        let campaign = &self.campaigns[ix.at()];
        let mut intervals = BTreeMap::new();
        let targets: Vec<PlannedTarget> = campaign
            .targets
            .iter()
            .map(|&target| self.planned_target(target, wall, &mut intervals))
            .collect();
        let unread = targets.iter().any(|target| target.verdict == PlanVerdict::Unread);
        CampaignPlan {
            name: campaign.name.clone(),
            digest: campaign.detail.digest.clone(),
            complete: (campaign.state.is_some() && !unread) || campaign.selection_empty,
            selection_empty: campaign.selection_empty,
            waves: campaign.detail.waves.iter().map(|wave| wave.name.clone()).collect(),
            targets,
        }
    }

    fn planned_target(
        &self,
        ix: TargetIx,
        wall: Wall,
        intervals: &mut FirstIntervals,
    ) -> PlannedTarget {
        let target = &self.targets[ix.at()];
        let row = &target.row;
        let verdict = match row.state {
            TargetState::Skipped => match &row.reason {
                Some(reason) => PlanVerdict::Skipped { reason: reason.clone() },
                None => PlanVerdict::State { state: row.state, reason: None },
            },
            TargetState::Pending if !target.verdict_read => PlanVerdict::Unread,
            TargetState::Pending => self.pending_verdict(ix, wall, intervals),
            state => PlanVerdict::State { state, reason: row.reason.clone() },
        };
        PlannedTarget {
            project: row.id.project.clone(),
            instance: row.id.instance.clone(),
            name: self.instances[target.instance.at()].name.clone(),
            wave: row.wave,
            verdict,
        }
    }

    fn pending_verdict(
        &self,
        ix: TargetIx,
        wall: Wall,
        intervals: &mut FirstIntervals,
    ) -> PlanVerdict {
        let target = &self.targets[ix.at()];
        let key = (target.project, target.row.wave, self.known_class(ix));
        let interval = intervals.entry(key).or_insert_with(|| self.first_interval(ix, wall));
        let part = |part: &crate::model::PartVersion| {
            part.upgradable.then(|| part.current.clone()).flatten()
        };
        let policy = self.settings.campaigns.get(&target.row.id.campaign);
        let versions = target.row.detail.versions.as_ref();
        let engine = policy.and_then(|policy| policy.engine.as_ref()).and(versions);
        let proxy = policy.and_then(|policy| policy.proxy.as_ref()).and(versions);
        let engine = engine.and_then(|versions| part(&versions.engine));
        let proxy = proxy.and_then(|versions| part(&versions.proxy));
        let interval = interval.clone();
        match self.standing_hold(ix, wall) {
            Some(hold) => PlanVerdict::Blocked { hold, engine, proxy, interval },
            None => PlanVerdict::Upgrade { engine, proxy, interval },
        }
    }

    /// What no time ends, only somebody: the first of these holds, in the documented order. Waits
    /// for an approval are none: the plan is what gets approved.
    fn standing_hold(&self, ix: TargetIx, wall: Wall) -> Option<Hold> {
        let target = &self.targets[ix.at()];
        let (campaign, project) = (target.campaign, target.project);
        if self.freeze_file.is_some() || self.thawed(campaign, project, wall).is_none() {
            return Some(self.told(ix, HoldKind::Frozen, wall));
        }
        let class = self.known_class(ix);
        let fit = class.and_then(|class| self.fit_kind(campaign, project, class, wall));
        if fit == Some(HoldKind::NeverFits) {
            return Some(self.told(ix, HoldKind::NeverFits, wall));
        }
        if let Err(kind) = self.campaign_gate(campaign)
            && (kind == HoldKind::CampaignRemoved
                || self.campaigns[campaign.at()].state == Some(CampaignState::Paused))
        {
            return Some(self.told(ix, kind, wall));
        }
        let policy = self.settings.projects.get(&target.row.id.project);
        let only_plans = policy.is_some_and(|policy| policy.starts == Starts::Planning)
            && self.projects[project.at()].detail.stopped.is_none();
        match self.project_gate(project) {
            Err(HoldKind::ProjectStopped) if only_plans => {}
            Err(kind @ (HoldKind::ProjectStopped | HoldKind::Credential)) => {
                return Some(self.told(ix, kind, wall));
            }
            _ => {}
        }
        target.row.held_by.as_ref().map(|_| self.told(ix, HoldKind::Held, wall))
    }

    /// The first instant from `at` that no operator's freeze covers; `None` if one has no end.
    fn thawed(&self, campaign: CampaignIx, project: ProjectIx, at: Wall) -> Option<Wall> {
        let mut at = at;
        while let Some(freeze) = self.operator_freeze(campaign, project, at) {
            at = freeze.until?;
        }
        Some(at)
    }

    /// The first interval in which the target may start and has room to end, if every wave before
    /// its own ends at once: its bakes and operators' freezes are waited out, but for a freeze
    /// without an end. It opens when the wave may start in it.
    fn first_interval(&self, ix: TargetIx, wall: Wall) -> Option<IntervalView> {
        let target = &self.targets[ix.at()];
        let (campaign, project, wave) = (target.campaign, target.project, target.row.wave);
        let detail = &self.campaigns[campaign.at()].detail;
        let calendar = self.campaigns[campaign.at()].calendars.get(&project)?;
        let thawed = |at: Wall| self.thawed(campaign, project, at).unwrap_or(at);
        let mut at = thawed(wall);
        for earlier in detail.wave..wave {
            at = next_open(calendar, at)?;
            let bake = detail.waves.get(earlier as usize).map_or(Millis::ZERO, |wave| wave.bake);
            at = thawed(at + bake);
        }
        let interval = startable(calendar, at, self.need_of(ix).map(|need| need.room()))?;
        let open = if at > wall { interval.open.max(at) } else { interval.open };
        Some(IntervalView { open, ..IntervalView::from(&interval) })
    }
}

/// The first interval in which something may start from `at` on, and has so much room, if told.
pub(super) fn startable(
    calendar: &CampaignCalendar,
    at: Wall,
    room: Option<Millis>,
) -> Option<Interval> {
    let has_room = |interval: &Interval| match (room, interval.close()) {
        (Some(room), Some(close)) => interval.open.max(at) + room <= close,
        _ => true,
    };
    let intervals = calendar.calendar.intervals_after(at).take(INTERVALS_AHEAD);
    intervals.into_iter().find(|found| found.allows_starts_after(at) && has_room(found))
}

fn next_open(calendar: &CampaignCalendar, at: Wall) -> Option<Wall> {
    startable(calendar, at, None).map(|interval| interval.open.max(at))
}
