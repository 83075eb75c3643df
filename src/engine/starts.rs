//! Starting: which target is prepared next, and which prepared one gets its intent.
//!
//! A target is prepared (version answer fresh, last look RUNNING and idle) only when a slot and a
//! start token are at hand or about to be; the token itself is drawn last, in the step that
//! commits the intent (rules S2, S5, S6, S10).

use crate::model::policy::MaxFailures;
use crate::model::{Millis, Steady, TaskId, UpgradeBody};

use super::Engine;
use super::event::Fact;
use super::gates::PREPARE_AHEAD;
use super::hold::HoldKind;
use super::index::{CampaignIx, ProjectIx, TargetIx};
use super::planted::Defect;
use super::read_queue::Purpose;
use super::ready::{QueueKey, Rank};
use super::request::{Request, Submit};
use super::rows::{AttemptOutcome, AttemptRow, Flight};
use super::state::TargetState;
use super::tables::{Armed, Circuit, Preparing, Renewal};
use super::timers::Timer;

/// A look proves idleness for this long (rule S10).
const LOOK_LASTS: Millis = Millis::from_secs(60);

/// A version answer counts for this long (rule S10), with an hour kept in hand.
const VERSIONS_LAST: Millis = Millis::from_hours(23);

/// Tokens that fall due within this time are prepared for.
const TOKENS_AHEAD: Millis = Millis::from_secs(2);

/// The ticket's life (rule S3).
pub(super) const TICKET_LASTS: Millis = Millis::from_secs(5);

impl Engine {
    pub(super) fn decide_starts(&mut self, ix: ProjectIx) {
        self.release_spoilt(ix);
        self.start_armed(ix);
        self.prepare_more(ix);
    }

    /// Targets give their slot back whose gate has closed, whose look is too old, or whose reads
    /// cannot run: others, perhaps of another project, may use it meanwhile.
    fn release_spoilt(&mut self, ix: ProjectIx) {
        let is_open = self.project_gate(ix).is_ok() && self.process_gate().is_ok();
        if !is_open || !self.may_read(ix) {
            let preparing: Vec<TargetIx> =
                self.projects[ix.at()].preparing.iter().copied().collect();
            for target in preparing {
                let is_armed = matches!(self.targets[target.at()].preparing, Preparing::Armed(_));
                if !is_open || !is_armed {
                    self.unprepare(target);
                }
            }
        }
        let armed: Vec<TargetIx> =
            self.projects[ix.at()].armed.iter().map(|armed| armed.target).collect();
        for target in armed {
            let Preparing::Armed(at) = self.targets[target.at()].preparing else { continue };
            let is_old = self.now - at >= LOOK_LASTS;
            if is_old || self.is_overbooked(target) || !self.may_prepare(target) {
                self.unprepare(target);
            }
        }
        let targets = &self.targets;
        let is_armed = |ix: TargetIx| matches!(targets[ix.at()].preparing, Preparing::Armed(_));
        self.projects[ix.at()].armed.retain(|armed| is_armed(armed.target));
        let asked_at = |armed: &Armed| match self.targets[armed.target.at()].preparing {
            Preparing::Armed(at) => Some(at),
            _ => None,
        };
        if let Some(oldest) = self.projects[ix.at()].armed.iter().filter_map(asked_at).min() {
            self.wake_project(ix, oldest + LOOK_LASTS);
        }
    }

    /// Whether reads of the project can be begun, sooner or later in the order of their turn.
    fn may_read(&self, ix: ProjectIx) -> bool {
        let project = &self.projects[ix.at()];
        let credential = &self.credentials[project.credential.at()];
        credential.stopped.is_none()
            && credential.renewal != Renewal::UnderWay
            && project.reads.paused_until(self.now).is_none()
    }

    /// A reload has lowered a cap below what is in flight and prepared.
    fn is_overbooked(&self, ix: TargetIx) -> bool {
        let target = &self.targets[ix.at()];
        let (campaign, project) =
            (&self.campaigns[target.campaign.at()], &self.projects[target.project.at()]);
        let most = self.settings.campaigns.get(&campaign.name).map_or(0, |each| each.max_in_flight);
        let most_here =
            self.settings.projects.get(&project.name).map_or(0, |each| each.max_in_flight);
        self.occupied_in(target.campaign) > most
            || project.occupied > most_here
            || campaign.ready.is_overfull(target.lane)
    }

    fn may_prepare(&self, ix: TargetIx) -> bool {
        let target = &self.targets[ix.at()];
        let ahead = self.wall + PREPARE_AHEAD;
        self.campaign_gate(target.campaign).is_ok()
            && target.row.held_by.is_none()
            && self.target_fits(ix, self.wall)
            && (self.time_gate(target.campaign, target.project, self.wall).is_ok()
                || self.time_gate(target.campaign, target.project, ahead).is_ok()
                || self.is_planted(Defect::CutoffNotRechecked))
    }

    pub(super) fn unprepare(&mut self, ix: TargetIx) {
        if self.targets[ix.at()].preparing != Preparing::No {
            self.set_preparing(ix, Preparing::No);
        }
    }

    fn start_armed(&mut self, ix: ProjectIx) {
        let all: Vec<Armed> = self.projects[ix.at()].armed.iter().cloned().collect();
        for armed in all {
            let target = armed.target;
            if self.project_backoff_until(ix).is_some() || !self.credential_has_room(ix) {
                break;
            }
            if self.last_gate(target).is_err() || !self.has_budget_for_intent(target) {
                continue;
            }
            if !self.circuit_lets_through(ix) {
                break;
            }
            // The token is drawn last: it is lost if nothing is sent.
            let Some(body) = self.body_for(target) else {
                self.doubt_own_versions(target);
                continue;
            };
            let now = self.now;
            if !self.projects[ix.at()].starts.draw(now) {
                let at = self.projects[ix.at()].starts.next_at(now).max(now + Millis(1));
                self.wake_project(ix, at);
                break;
            }
            self.touch_project(ix);
            self.projects[ix.at()].armed.retain(|other| other.target != target);
            self.commit_intent(armed, body);
        }
    }

    /// What a prepared target has to pass once more.
    fn last_gate(&self, ix: TargetIx) -> Result<(), HoldKind> {
        match self.gate_for(ix, self.wall) {
            Err(HoldKind::PastCutoff) if self.is_planted(Defect::CutoffNotRechecked) => Ok(()),
            other => other,
        }
    }

    /// What was read of its versions leaves nothing to ask for, after a reload perhaps: they are
    /// read again, and that gives the verdict.
    fn doubt_own_versions(&mut self, ix: TargetIx) {
        self.edit(ix, |target| {
            target.row.detail.versions_at = None;
            target.verdict_read = false;
            target.preparing = Preparing::No;
        });
        self.want_verdict(ix);
    }

    /// After the circuit's backoff one start may go, once a read succeeded.
    pub(super) fn circuit_lets_through(&self, ix: ProjectIx) -> bool {
        let project = &self.projects[ix.at()];
        let sending = || {
            let submitting =
                |ix: &TargetIx| self.targets[ix.at()].row.state == TargetState::Submitting;
            project.in_flight.iter().any(submitting)
        };
        match project.circuit {
            Circuit::Closed => true,
            Circuit::Open { .. } => false,
            Circuit::HalfOpen { read_succeeded } => read_succeeded && !sending(),
        }
    }

    /// With `strict`, failures consume concurrency (rule S8).
    pub(super) fn has_budget_for_intent(&self, ix: TargetIx) -> bool {
        let campaign = self.targets[ix.at()].campaign;
        self.strict_cap(campaign).is_none_or(|cap| self.campaigns[campaign.at()].in_flight() < cap)
    }

    /// How many may be in flight at most with a strict budget.
    fn strict_cap(&self, ix: CampaignIx) -> Option<u32> {
        let campaign = &self.campaigns[ix.at()];
        let budget = self.settings.campaigns.get(&campaign.name)?.failure_budget;
        match budget.max_failures {
            MaxFailures::Count(most) if budget.strict => {
                // A troubled target in flight is a strike and a slot: it counts once.
                Some(most.saturating_sub(campaign.strikes))
            }
            _ => None,
        }
    }

    fn prepare_more(&mut self, ix: ProjectIx) {
        if self.project_gate(ix).is_err()
            || self.process_gate().is_err()
            || self.freeze_file.is_some()
        {
            return;
        }
        if !self.may_read(ix) {
            // A credential marks its projects when it is let in again; a pause just ends.
            if let Some(until) = self.projects[ix.at()].reads.paused_until(self.now) {
                self.wake_project(ix, until);
            }
            return;
        }
        if let Some(until) = self.project_backoff_until(ix) {
            let at = self.steady_at(until);
            return self.wake_project(ix, at);
        }
        let now = self.now;
        let starts = &self.projects[ix.at()].starts;
        let mut tokens = starts.tokens_by(now + TOKENS_AHEAD);
        if matches!(self.projects[ix.at()].circuit, Circuit::HalfOpen { .. }) {
            tokens = tokens.min(1);
        }
        while self.projects[ix.at()].preparing.len() < tokens as usize {
            match self.next_candidate(ix) {
                Some(target) => self.prepare(target),
                None => return,
            }
        }
        // Tokens are short: look again when the next one comes near.
        let next = self.projects[ix.at()].starts.next_at(now);
        let near = next - TOKENS_AHEAD;
        let at = if near > now { near } else { next };
        if at > now && self.has_candidates(ix) {
            self.wake_project(ix, at);
        }
    }

    pub(super) fn project_has_slot(&self, ix: ProjectIx) -> bool {
        let project = &self.projects[ix.at()];
        let policy = self.settings.projects.get(&project.name);
        policy.is_some_and(|policy| project.occupied < policy.max_in_flight)
    }

    pub(super) fn campaign_has_slot(&self, ix: CampaignIx) -> bool {
        let campaign = &self.campaigns[ix.at()];
        let policy = self.settings.campaigns.get(&campaign.name);
        policy.is_some_and(|policy| self.occupied_in(ix) < policy.max_in_flight)
            && self.strict_cap(ix).is_none_or(|cap| campaign.occupied < cap)
    }

    /// Slots of the campaign that are taken.
    fn occupied_in(&self, ix: CampaignIx) -> u32 {
        let campaign = &self.campaigns[ix.at()];
        let is_freed = self.is_planted(Defect::SlotFreedOnTimeout);
        campaign.occupied - if is_freed { campaign.overdue } else { 0 }
    }

    /// The campaigns take turns, so that a large one does not starve a small one.
    fn next_candidate(&mut self, ix: ProjectIx) -> Option<TargetIx> {
        if !self.project_has_slot(ix) {
            return None;
        }
        let count = self.campaigns.len();
        let first = self.projects[ix.at()].turn;
        for step in 0..count {
            let at = (first + step) % count;
            let campaign = CampaignIx(at as u32);
            if !self.campaign_may_prepare(campaign, ix) {
                continue;
            }
            if let Some(target) = self.first_ready(campaign, ix) {
                self.projects[ix.at()].turn = (at + 1) % count;
                return Some(target);
            }
        }
        None
    }

    fn campaign_may_prepare(&self, campaign: CampaignIx, project: ProjectIx) -> bool {
        let ahead = self.wall + PREPARE_AHEAD;
        self.campaigns[campaign.at()].calendars.contains_key(&project)
            && self.campaign_gate(campaign).is_ok()
            && self.campaign_has_slot(campaign)
            && (self.time_gate(campaign, project, self.wall).is_ok()
                || self.time_gate(campaign, project, ahead).is_ok())
    }

    fn first_ready(&mut self, campaign: CampaignIx, project: ProjectIx) -> Option<TargetIx> {
        let waves = 0..=self.campaigns[campaign.at()].detail.wave;
        waves.into_iter().find_map(|wave| self.first_that_fits(campaign, project, wave))
    }

    /// The best of the wave among the classes that still fit before the interval's end.
    fn first_that_fits(
        &mut self,
        campaign: CampaignIx,
        project: ProjectIx,
        wave: u32,
    ) -> Option<TargetIx> {
        let mut best: Option<Rank> = None;
        for at in 0..self.campaigns[campaign.at()].ready.classes().len() {
            let class = self.campaigns[campaign.at()].ready.classes()[at];
            if self.fits(campaign, project, class, self.wall) {
                let key = QueueKey { project, wave, class };
                let first = self.campaigns[campaign.at()].ready.first(key);
                best = best.into_iter().chain(first).min();
            }
        }
        best.map(|(_, target)| target)
    }

    fn has_candidates(&self, project: ProjectIx) -> bool {
        self.campaigns.iter().any(|campaign| {
            let ready = &campaign.ready;
            let is_waiting = |wave: u32, class| !ready.is_empty(QueueKey { project, wave, class });
            let classes = ready.classes();
            (0..=campaign.detail.wave)
                .any(|wave| classes.iter().any(|&class| is_waiting(wave, class)))
        }) || !self.projects[project.at()].armed.is_empty()
    }

    /// Takes a slot and asks for what is missing: a fresh version answer, then the last look.
    fn prepare(&mut self, ix: TargetIx) {
        let target = &self.targets[ix.at()];
        let project = target.project;
        if self.has_fresh_versions(ix) {
            self.set_preparing(ix, Preparing::Look);
            self.want(project, Purpose::LastLook(ix));
        } else {
            self.set_preparing(ix, Preparing::Versions);
            self.want(project, Purpose::VersionsAgain(ix));
        }
    }

    fn has_fresh_versions(&self, ix: TargetIx) -> bool {
        let target = &self.targets[ix.at()];
        let versions_at = target.row.detail.versions_at;
        let is_own = target.versions_own || self.is_planted(Defect::VersionsOfEarlierProcess);
        is_own && versions_at.is_some_and(|at| self.wall - at < VERSIONS_LAST)
    }

    /// The last look was good: the target waits for its token. The look may have waited long for
    /// its turn, and the version answer grown too old meanwhile; or its own answer was long on the
    /// way, over a suspended machine perhaps: what it shows is as old as the question.
    pub(super) fn arm(&mut self, ix: TargetIx, known_task: Option<TaskId>, asked_at: Steady) {
        if !self.has_fresh_versions(ix) || self.now - asked_at >= LOOK_LASTS {
            return self.prepare(ix);
        }
        self.set_preparing(ix, Preparing::Armed(asked_at));
        let project = self.targets[ix.at()].project;
        self.projects[project.at()].armed.push_back(Armed { target: ix, known_task });
        self.wake_project(project, asked_at + LOOK_LASTS);
    }

    fn commit_intent(&mut self, armed: Armed, body: UpgradeBody) {
        let (ix, wall) = (armed.target, self.wall);
        let target = &self.targets[ix.at()];
        let project = target.project;
        let interval = self.campaigns[target.campaign.at()].calendars[&project].interval.as_ref();
        let mut starts_until = interval.map_or(wall, |interval| interval.starts_until());
        if self.is_planted(Defect::CutoffNotRechecked) {
            starts_until = wall + TICKET_LASTS;
        }
        let class = self.known_class(ix);
        let fits_until = class.and_then(|class| self.fits_until(target.campaign, project, class));
        let not_after = (wall + TICKET_LASTS).min(starts_until);
        let not_after = fits_until.map_or(not_after, |until| not_after.min(until));
        assert!(wall <= not_after, "the gate lets nothing through after the last start");
        let skew = self.projects[project.at()].skew.unwrap_or_default();
        let flight = Flight { sent_with: Some(self.fingerprint_in(project)), ..Flight::default() };
        self.edit(ix, |target| {
            let row = &mut target.row;
            row.state = TargetState::Submitting;
            row.entered_at = wall;
            row.number += 1;
            row.not_before = None;
            row.detail.history_mut().started_at.get_or_insert(wall);
            row.detail.flight = Some(Box::new(flight));
            target.preparing = Preparing::No;
        });
        let row = &self.targets[ix.at()].row;
        let versions = row.detail.versions.as_deref().cloned().unwrap_or_default();
        let attempt = AttemptRow {
            id: self.attempt_id(ix),
            body: body.clone(),
            intent_at: wall,
            not_after,
            versions_before: versions.clone(),
            known_tasks: armed.known_task.into_iter().collect(),
            cloud_intent_at: wall + skew,
            outcome: AttemptOutcome::Open,
            ended_at: None,
        };
        let submit = Submit {
            attempt: attempt.id.clone(),
            project: row.id.project.clone(),
            instance: row.id.instance.clone(),
            body: body.clone(),
            not_after: self.steady_at(not_after),
        };
        let known_tasks = attempt.known_tasks.clone();
        self.changes().attempts.push(attempt.clone());
        self.attempts.insert(ix, attempt);
        let generation = self.credential_used(project);
        self.sending.insert(ix, generation);
        self.record_target(ix, Fact::Intent { body, not_after, versions, known_tasks });
        self.out.requests.push(Request::Submit(submit));
    }

    pub(super) fn attempt_id(&self, ix: TargetIx) -> crate::model::AttemptId {
        let row = &self.targets[ix.at()].row;
        crate::model::AttemptId { target: row.id.clone(), round: row.round, number: row.number }
    }

    /// The parts that the campaign asks for and this instance can upgrade; `None` if there is none
    /// (rule S10).
    pub(super) fn body_for(&self, ix: TargetIx) -> Option<UpgradeBody> {
        let target = &self.targets[ix.at()];
        let policy = self.settings.campaigns.get(&target.row.id.campaign)?;
        let versions = target.row.detail.versions.as_ref()?;
        let wanted = |wish: &Option<std::sync::Arc<str>>, part: &crate::model::PartVersion| {
            wish.clone().filter(|wish| part.upgradable && part.current.as_ref() != Some(wish))
        };
        let proxy = wanted(&policy.proxy, &versions.proxy);
        let body = UpgradeBody { engine: wanted(&policy.engine, &versions.engine), proxy };
        Some(body).filter(|body| !body.is_empty())
    }

    /// After a backoff or a conflict: back in the queue at `not_before`.
    pub(super) fn wake_target(&mut self, ix: TargetIx, at: Steady) {
        self.timers.push(at, Timer::Target(ix));
    }

    /// Whether the group, campaign or project cap is what stops this target, in that order.
    pub(super) fn cap_hold(&self, ix: TargetIx) -> Option<(HoldKind, String)> {
        let target = &self.targets[ix.at()];
        let campaign = &self.campaigns[target.campaign.at()];
        if let Some(group) = campaign.ready.full_group(target.lane) {
            let (used, limit) = (group.used, group.limit);
            let detail = format!("{} has {used} of {limit} unavailable", group.label);
            return Some((HoldKind::DisruptionBudget, detail));
        }
        if !self.campaign_has_slot(target.campaign) {
            let detail = format!("{} in flight in the campaign", campaign.occupied);
            return Some((HoldKind::MaxInFlight, detail));
        }
        if !self.project_has_slot(target.project) {
            let occupied = self.projects[target.project.at()].occupied;
            return Some((HoldKind::MaxInFlight, format!("{occupied} in flight in the project")));
        }
        None
    }
}
