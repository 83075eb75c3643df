//! Answers to people: why a target is not moving, how the fleet stands, what the plan says. On
//! demand only, never for all targets at every step.

use std::collections::BTreeMap;

use crate::model::policy::Starts;
use crate::model::{Millis, ProjectName, Steady, TargetId, Wall};

use super::Engine;
use super::hold::{Hold, HoldKind};
use super::index::{CampaignIx, ProjectIx, TargetIx};
use super::state::{CampaignState, PauseCause, TargetState};
use super::tables::{CampaignCalendar, Circuit, Preparing};
use super::view::{
    CampaignPlan, CampaignStatus, IntervalView, Plan, PlanVerdict, PlannedTarget, ProjectStatus,
    Status,
};

/// How many intervals are looked through for one that fits.
const INTERVALS_AHEAD: usize = 400;

impl Engine {
    /// Why this target is not moving: the first failing gate, in the documented order. `None` for
    /// an unknown target or one that ended.
    pub fn hold(&self, target: &TargetId, now: Steady) -> Option<Hold> {
        let ix = self.find_target(target)?;
        let wall = self.wall_at(now.max(self.now));
        match self.targets[ix.at()].row.state {
            state if state.is_terminal() => None,
            TargetState::Pending => Some(self.pending_hold(ix, wall)),
            _ => Some(self.sent_hold(ix)),
        }
    }

    fn pending_hold(&self, ix: TargetIx, wall: Wall) -> Hold {
        let target = &self.targets[ix.at()];
        let (campaign, project) = (target.campaign, target.project);
        if let Err(kind) = self.time_gate(campaign, project, wall) {
            return self.time_hold(ix, kind, wall);
        }
        if let Err(kind) = self.campaign_gate(campaign)
            && !matches!(kind, HoldKind::AwaitingApproval | HoldKind::BudgetTripped)
        {
            return self.campaign_hold(ix, kind);
        }
        if let Err(kind) = self.project_gate(project) {
            return self.project_hold(ix, kind);
        }
        if let Some(until) = self.project_backoff_until(project) {
            let detail = format!("project {} does not reach the cloud", target.row.id.project);
            return hold(HoldKind::CircuitOpen, detail).earliest(until);
        }
        if let Err(kind) = self.process_gate() {
            return self.process_hold(kind);
        }
        if let Some(by) = &target.row.held_by {
            return self.held(ix, by);
        }
        if let Err(kind) = self.campaign_gate(campaign) {
            return self.campaign_hold(ix, kind);
        }
        self.turn_hold(ix, wall)
    }

    fn held(&self, ix: TargetIx, by: &str) -> Hold {
        let command = format!("refit release {}", self.targets[ix.at()].row.id);
        hold(HoldKind::Held, format!("held by {by}")).command(command)
    }

    /// Waves, prechecks, backoffs and caps.
    fn turn_hold(&self, ix: TargetIx, wall: Wall) -> Hold {
        let target = &self.targets[ix.at()];
        let (row, campaign) = (&target.row, &self.campaigns[target.campaign.at()]);
        let detail = &campaign.detail;
        if row.wave > detail.wave {
            let waves = &detail.waves;
            let name = &waves[row.wave as usize].name;
            if let Some(until) = detail.bake_until.filter(|&until| until > wall) {
                let open = &waves[detail.wave as usize].name;
                let command = format!("refit promote {}", campaign.name);
                let detail = format!("wave {open} bakes before {name}");
                return hold(HoldKind::Baking, detail).earliest(until).command(command);
            }
            let open = &waves[detail.wave as usize].name;
            let left = campaign.waves[detail.wave as usize].open;
            let detail = format!("wave {name} waits for {left} targets of wave {open}");
            return hold(HoldKind::WaveNotOpen, detail);
        }
        let siblings = &self.instances[target.instance.at()].targets;
        let other = siblings
            .iter()
            .find(|&&other| other != ix && self.targets[other.at()].tally().occupies);
        if let Some(other) = other {
            let other = &self.targets[other.at()].row.id.campaign;
            return hold(HoldKind::OtherCampaign, format!("campaign {other} is upgrading it"));
        }
        if let Some(hold) = self.wait_hold(ix, wall) {
            return hold;
        }
        if let Some((kind, detail)) =
            self.cap_hold(ix).filter(|_| target.preparing == Preparing::No)
        {
            return hold(kind, detail);
        }
        let project = &self.projects[target.project.at()];
        let next = project.starts.next_at(self.now);
        if next > self.now {
            let detail = "the upgrade rate of the project".to_owned();
            return hold(HoldKind::RateLimited, detail).earliest(self.wall_at(next));
        }
        hold(HoldKind::RateLimited, "next in line; waits for its last look".to_owned())
    }

    fn wait_hold(&self, ix: TargetIx, wall: Wall) -> Option<Hold> {
        let target = &self.targets[ix.at()];
        let row = &target.row;
        if !target.verdict_read {
            let detail = "versions: not read yet".to_owned();
            return Some(hold(HoldKind::Precheck, detail));
        }
        if let Some(until) = row.not_before.filter(|&until| until > wall) {
            let built = match (&row.detail.conflict, row.detail.not_running_at) {
                (_, Some(_)) => hold(HoldKind::Precheck, "not_running: looked at again".to_owned()),
                (Some(word), _) => {
                    let times = row.detail.conflicts;
                    hold(
                        HoldKind::Conflict,
                        format!("the instance is busy ({word}), {times} times"),
                    )
                }
                (None, None) if row.not_applied == 0 => {
                    let detail = "the last read or request was refused".to_owned();
                    hold(HoldKind::Backoff, detail)
                }
                (None, None) => {
                    let n = row.not_applied;
                    hold(HoldKind::Backoff, format!("after {n} attempts found not applied"))
                }
            };
            return Some(built.earliest(until));
        }
        None
    }

    fn sent_hold(&self, ix: TargetIx) -> Hold {
        let row = &self.targets[ix.at()].row;
        if let Some(why) = &row.needs_operator {
            let command = format!("refit resolve {} --applied | --not-applied", row.id);
            let command = match row.state {
                TargetState::Uncertain => command,
                _ => format!("refit resolve {} --succeeded | --failed", row.id),
            };
            return hold(HoldKind::NeedsOperator, why.to_string())
                .since(row.entered_at)
                .command(command);
        }
        if row.overdue {
            let task = row.task.as_ref().map_or("its task", |task| task.as_str());
            let detail = format!("{task} runs longer than {}", self.task_timeout(ix));
            return hold(HoldKind::Overdue, detail).since(row.entered_at);
        }
        if row.state == TargetState::Uncertain {
            let flight = row.detail.flight.as_deref();
            let clean = flight.map_or(0, |flight| flight.clean_looks);
            let detail = format!("may have started; {clean} clean looks so far");
            return hold(HoldKind::Uncertain, detail)
                .since(row.entered_at)
                .earliest(self.earliest_resend(ix));
        }
        hold(HoldKind::InProgress, row.state.to_string()).since(row.entered_at)
    }

    fn time_hold(&self, ix: TargetIx, kind: HoldKind, wall: Wall) -> Hold {
        let target = &self.targets[ix.at()];
        let calendar = self.campaigns[target.campaign.at()].calendars.get(&target.project);
        let next = calendar.and_then(|calendar| next_open(calendar, wall));
        let built = match kind {
            HoldKind::Frozen if self.is_frozen_by_file => {
                hold(kind, "the FREEZE file stands beside the store".to_owned())
            }
            HoldKind::Frozen => {
                let freeze = self.operator_freeze(target.campaign, target.project, wall);
                match freeze {
                    Some(freeze) => {
                        let built = hold(kind, format!("{} by {}", freeze.scope, freeze.actor))
                            .since(freeze.from)
                            .command("refit unfreeze".to_owned());
                        return Hold { earliest: freeze.until, ..built };
                    }
                    None => {
                        let frozen =
                            calendar.and_then(|calendar| calendar.calendar.freeze_at(wall));
                        let name = frozen.map_or("a freeze", |(freeze, _)| freeze.name.as_str());
                        hold(kind, format!("freeze {name}"))
                    }
                }
            }
            HoldKind::PastCutoff => hold(kind, "too late in this window".to_owned()),
            _ => hold(kind, "no window is open".to_owned()),
        };
        Hold { earliest: next, ..built }
    }

    fn campaign_hold(&self, ix: TargetIx, kind: HoldKind) -> Hold {
        let campaign = &self.campaigns[self.targets[ix.at()].campaign.at()];
        let name = &campaign.name;
        let causes: Vec<String> =
            campaign.detail.causes.iter().map(PauseCause::to_string).collect();
        match kind {
            HoldKind::AwaitingApproval => {
                let digest = &campaign.detail.digest;
                hold(kind, format!("plan {digest} is not approved"))
                    .command(format!("refit approve {name} --digest {digest}"))
            }
            HoldKind::CampaignRemoved => hold(kind, format!("[campaigns.{name}] left the file")),
            _ if campaign.state == Some(CampaignState::Paused) => {
                hold(kind, causes.join(", ")).command(format!("refit resume {name}"))
            }
            _ => hold(kind, campaign.state.map_or("not planned", |state| state.word()).to_owned()),
        }
    }

    fn project_hold(&self, ix: TargetIx, kind: HoldKind) -> Hold {
        let project = &self.projects[self.targets[ix.at()].project.at()];
        let credential = &self.credentials[project.credential.at()];
        match kind {
            HoldKind::Credential => {
                let why = credential.stopped.as_deref().unwrap_or("refused");
                hold(kind, format!("{}: {why}", credential.name))
                    .command(format!("refit resume --credential {}", credential.name))
            }
            HoldKind::CircuitOpen => {
                let until = self.circuit_open_until(self.targets[ix.at()].project);
                let built = hold(kind, "three unclear answers in a row".to_owned());
                Hold { earliest: until.map(|until| self.wall_at(until)), ..built }
            }
            _ => match &project.detail.stopped {
                Some(why) => hold(kind, why.to_string())
                    .command(format!("refit resume --project {}", project.name)),
                None => hold(kind, "shadow mode: starts are off".to_owned()),
            },
        }
    }

    fn process_hold(&self, kind: HoldKind) -> Hold {
        let detail = match kind {
            HoldKind::ClockSuspect => "wall and boot clock have parted; two samples must agree",
            HoldKind::Store => "the store cannot be written",
            HoldKind::NotOwner => "another process owns the store",
            _ => "the daemon is stopping",
        };
        hold(kind, detail.to_owned())
    }

    pub fn status(&self, now: Steady) -> Status {
        let now = now.max(self.now);
        let wall = self.wall_at(now);
        Status {
            at: wall,
            campaigns: (0..self.campaigns.len() as u32)
                .map(|ix| self.campaign_status(CampaignIx(ix), now))
                .collect(),
            projects: (0..self.projects.len() as u32)
                .map(|ix| self.project_status(ProjectIx(ix)))
                .collect(),
            freezes: self.freezes.values().map(|row| (row.scope.clone(), row.until)).collect(),
            doubts: self.doubts(),
        }
    }

    fn doubts(&self) -> Vec<String> {
        let process = self.process_gate().err().map(|kind| self.process_hold(kind).detail);
        let file =
            self.is_frozen_by_file.then(|| "the FREEZE file stands beside the store".to_owned());
        process.into_iter().chain(file).collect()
    }

    fn campaign_status(&self, ix: CampaignIx, now: Steady) -> CampaignStatus {
        let campaign = &self.campaigns[ix.at()];
        let counts = TargetState::ALL.into_iter().map(|state| (state, campaign.count(state)));
        let wave = campaign.detail.waves.get(campaign.detail.wave as usize);
        let first_pending = campaign
            .targets
            .iter()
            .find(|target| self.targets[target.at()].row.state == TargetState::Pending);
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
            hold: first_pending
                .and_then(|target| self.hold(&self.targets[target.at()].row.id, now)),
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
        ProjectStatus {
            name: project.name.clone(),
            in_flight: project.in_flight.len() as u32,
            stopped: project.detail.stopped.clone(),
            circuit_open_until: match project.circuit {
                Circuit::Open { until } => Some(self.wall_at(until)),
                _ => None,
            },
            backoff_until: self.project_backoff_until(ix),
            credential_stopped: self.credentials[project.credential.at()].stopped.clone(),
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
        intervals: &mut BTreeMap<(ProjectIx, u32), Option<IntervalView>>,
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
        intervals: &mut BTreeMap<(ProjectIx, u32), Option<IntervalView>>,
    ) -> PlanVerdict {
        if let Some(hold) = self.standing_hold(ix, wall) {
            return PlanVerdict::Blocked { hold };
        }
        let target = &self.targets[ix.at()];
        let key = (target.project, target.row.wave);
        let interval = intervals.entry(key).or_insert_with(|| {
            self.first_interval(target.campaign, target.project, target.row.wave, wall)
        });
        let part = |part: &crate::model::PartVersion| {
            part.upgradable.then(|| part.current.clone()).flatten()
        };
        let policy = self.settings.campaigns.get(&target.row.id.campaign);
        let versions = target.row.detail.versions.as_ref();
        let engine = policy.and_then(|policy| policy.engine.as_ref()).and(versions);
        let proxy = policy.and_then(|policy| policy.proxy.as_ref()).and(versions);
        PlanVerdict::Upgrade {
            engine: engine.and_then(|versions| part(&versions.engine)),
            proxy: proxy.and_then(|versions| part(&versions.proxy)),
            interval: interval.clone(),
        }
    }

    /// What no time ends, only somebody: the first of these holds, in the documented order. Waits
    /// for an approval are none: the plan is what gets approved.
    fn standing_hold(&self, ix: TargetIx, wall: Wall) -> Option<Hold> {
        let target = &self.targets[ix.at()];
        let (campaign, project) = (target.campaign, target.project);
        if self.is_frozen_by_file || self.thawed(campaign, project, wall).is_none() {
            return Some(self.time_hold(ix, HoldKind::Frozen, wall));
        }
        if let Err(kind) = self.campaign_gate(campaign)
            && (kind == HoldKind::CampaignRemoved
                || self.campaigns[campaign.at()].state == Some(CampaignState::Paused))
        {
            return Some(self.campaign_hold(ix, kind));
        }
        let policy = self.settings.projects.get(&target.row.id.project);
        let only_plans = policy.is_some_and(|policy| policy.starts == Starts::Planning)
            && self.projects[project.at()].detail.stopped.is_none();
        match self.project_gate(project) {
            Err(HoldKind::ProjectStopped) if only_plans => {}
            Err(kind @ (HoldKind::ProjectStopped | HoldKind::Credential)) => {
                return Some(self.project_hold(ix, kind));
            }
            _ => {}
        }
        target.row.held_by.as_ref().map(|by| self.held(ix, by))
    }

    /// The first instant from `at` that no operator's freeze covers; `None` if one has no end.
    fn thawed(&self, campaign: CampaignIx, project: ProjectIx, at: Wall) -> Option<Wall> {
        let mut at = at;
        while let Some(freeze) = self.operator_freeze(campaign, project, at) {
            at = freeze.until?;
        }
        Some(at)
    }

    /// The first interval in which the wave may start, if every wave before it ends at once: its
    /// bakes and operators' freezes are waited out. It opens when the wave may start in it.
    fn first_interval(
        &self,
        campaign: CampaignIx,
        project: ProjectIx,
        wave: u32,
        wall: Wall,
    ) -> Option<IntervalView> {
        let detail = &self.campaigns[campaign.at()].detail;
        let calendar = self.campaigns[campaign.at()].calendars.get(&project)?;
        let mut at = self.thawed(campaign, project, wall)?;
        for earlier in detail.wave..wave {
            at = next_open(calendar, at)?;
            let bake = detail.waves.get(earlier as usize).map_or(Millis::ZERO, |wave| wave.bake);
            at = self.thawed(campaign, project, at + bake)?;
        }
        let interval = startable(calendar, at)?;
        let open = if at > wall { interval.open.max(at) } else { interval.open };
        Some(IntervalView { open, ..IntervalView::from(&interval) })
    }
}

fn startable(calendar: &CampaignCalendar, at: Wall) -> Option<crate::model::calendar::Interval> {
    let intervals = calendar.calendar.intervals_after(at).take(INTERVALS_AHEAD);
    intervals.into_iter().find(|interval| interval.allows_starts_after(at))
}

fn next_open(calendar: &CampaignCalendar, at: Wall) -> Option<Wall> {
    startable(calendar, at).map(|interval| interval.open.max(at))
}

fn hold(kind: HoldKind, detail: String) -> Hold {
    Hold { kind, detail, since: None, earliest: None, next_command: None }
}

impl Hold {
    fn since(self, at: Wall) -> Hold {
        Hold { since: Some(at), ..self }
    }

    fn earliest(self, at: Wall) -> Hold {
        Hold { earliest: Some(at), ..self }
    }

    fn command(self, command: String) -> Hold {
        Hold { next_command: Some(command), ..self }
    }
}
