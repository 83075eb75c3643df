//! How a step is written down: events, touched rows, and the counters that follow every change.
//!
//! Every change of a target that a counter or a queue follows goes through [`Engine::edit`], which
//! keeps those of campaign, wave, project and groups equal to what the rows say; no other code adds
//! or subtracts. In place change only what none follows: failed reads, the look under way, and all
//! instants at once when the clock steps.

use std::sync::Arc;

use super::event::{Event, Fact};
use super::index::{CampaignIx, CredentialIx, ProjectIx, TargetIx};
use super::planted::Defect;
use super::rows::Flight;
use super::state::TargetState;
use super::tables::{Preparing, Tally, Target, WaveCounts};
use super::timers::Timer;
use super::{Changes, Engine};
use crate::model::{CampaignName, InstanceId, ProjectName, Steady, Versions};

impl Engine {
    /// Changes a target and all that follows from the change: counters, queues, timers, the row.
    pub(super) fn edit(&mut self, ix: TargetIx, change: impl FnOnce(&mut Target)) {
        self.touch_target(ix);
        self.change(ix, change);
    }

    /// Changes what is known of a target in flight; nothing where it is not.
    pub(super) fn edit_flight(&mut self, ix: TargetIx, change: impl FnOnce(&mut Flight)) {
        self.edit(ix, |target| {
            if let Some(flight) = &mut target.row.detail.flight {
                change(flight);
            }
        });
    }

    /// How far the checks before an intent have come: no part of the row, which is not written for
    /// it.
    pub(super) fn set_preparing(&mut self, ix: TargetIx, preparing: Preparing) {
        self.change(ix, |target| target.preparing = preparing);
    }

    fn change(&mut self, ix: TargetIx, change: impl FnOnce(&mut Target)) {
        let target = &mut self.targets[ix.at()];
        let before = target.tally();
        change(target);
        let after = target.tally();
        if before.state != after.state {
            target.read_failures = 0;
            // The list may have shown what it was to be skipped for.
            self.instances[target.instance.at()].listed = None;
        }
        if before.state != after.state || before.preparing != after.preparing {
            target.epoch = target.epoch.wrapping_add(1);
            target.look = None;
        }
        if before != after {
            self.count(ix, before, after);
        }
        self.requeue(ix);
        if before.occupies != after.occupies {
            self.requeue_siblings(ix);
        }
        if before.state.is_in_flight() && !after.state.is_in_flight() {
            self.doubt_siblings(ix);
        }
    }

    /// What other campaigns knew of the instance's versions is void once one has upgraded it.
    fn doubt_siblings(&mut self, ix: TargetIx) {
        self.doubt_versions(ix, |_| true);
    }

    /// Somebody else has upgraded the instance since another campaign read its versions.
    pub(super) fn doubt_other_versions(&mut self, ix: TargetIx, now: &Versions) {
        self.doubt_versions(ix, |known| known != now);
    }

    fn doubt_versions(&mut self, ix: TargetIx, is_void: impl Fn(&Versions) -> bool) {
        let instance = self.targets[ix.at()].instance;
        for at in 0..self.instances[instance.at()].targets.len() {
            let sibling = self.instances[instance.at()].targets[at];
            let row = &self.targets[sibling.at()].row;
            let knows = row.detail.versions.as_deref().is_some_and(&is_void);
            if sibling == ix || row.state != TargetState::Pending || !knows {
                continue;
            }
            self.edit(sibling, |target| {
                target.row.detail.versions_at = None;
                target.verdict_read = false;
                // A prepared one would start on what is void now.
                target.preparing = Preparing::No;
            });
            self.want_verdict(sibling);
        }
    }

    /// Counts a target that has just entered the tables.
    pub(super) fn count_new(&mut self, ix: TargetIx) {
        let after = self.targets[ix.at()].tally();
        let nothing = Tally {
            state: TargetState::Cancelled,
            occupies: false,
            strike: false,
            unacknowledged_failure: false,
            overdue: false,
            needs_operator: false,
            preparing: false,
            wave: after.wave,
        };
        let campaign = self.targets[ix.at()].campaign;
        self.campaigns[campaign.at()].counts[nothing.state as usize] += 1;
        self.count(ix, nothing, after);
    }

    fn count(&mut self, ix: TargetIx, before: Tally, after: Tally) {
        let target = &self.targets[ix.at()];
        let (campaign_ix, project_ix) = (target.campaign, target.project);
        let lane = target.lane;
        let campaign = &mut self.campaigns[campaign_ix.at()];
        campaign.counts[before.state as usize] -= 1;
        campaign.counts[after.state as usize] += 1;
        campaign.waves[before.wave as usize].count(before, Counted::Leaves);
        campaign.waves[after.wave as usize].count(after, Counted::Enters);
        add(&mut campaign.strikes, before.strike, after.strike);
        add(&mut campaign.overdue, before.overdue, after.overdue);
        add(&mut campaign.needs_operator, before.needs_operator, after.needs_operator);
        add(&mut campaign.preparing, before.preparing, after.preparing);
        add(&mut campaign.occupied, before.occupies, after.occupies);
        match (before.occupies, after.occupies) {
            (false, true) => campaign.ready.occupy(lane),
            (true, false) => campaign.ready.release(lane),
            _ => {}
        }
        campaign.budget_dirty |= before.strike != after.strike || after.state.is_terminal();
        let project = &mut self.projects[project_ix.at()];
        add(&mut project.occupied, before.occupies, after.occupies);
        match (before.preparing, after.preparing) {
            (false, true) => {
                project.preparing.insert(ix);
            }
            (true, false) => {
                project.preparing.remove(&ix);
            }
            _ => {}
        }
        match (before.state.is_in_flight(), after.state.is_in_flight()) {
            (false, true) => {
                project.in_flight.insert(ix);
            }
            (true, false) => {
                project.in_flight.remove(&ix);
            }
            _ => {}
        }
        if before.state != after.state || before.strike != after.strike {
            self.mark_campaign(campaign_ix);
        }
        if before.occupies && !after.occupies {
            self.mark_projects_of(campaign_ix);
        }
        self.mark_project(project_ix);
    }

    /// Puts a target into its queue, or takes it out, as its state now says.
    pub(super) fn requeue(&mut self, ix: TargetIx) {
        let target = &self.targets[ix.at()];
        let pending = target.row.state == TargetState::Pending;
        if let Some(at) = target.row.not_before.filter(|&at| pending && at > self.wall) {
            let at = self.steady_at(at);
            self.timers.push(at, Timer::Target(ix));
        }
        if !pending || !self.is_ready(ix) {
            return self.leave_queue(ix);
        }
        let class = self.enter_class(self.class_of(ix));
        if self.targets[ix.at()].is_queued && self.targets[ix.at()].class == class {
            return;
        }
        self.leave_queue(ix);
        let target = &mut self.targets[ix.at()];
        target.class = class;
        target.is_queued = true;
        let (key, lane, rank) = (target.queue_key(), target.lane, target.row.rank);
        let (campaign, project) = (target.campaign, target.project);
        self.campaigns[campaign.at()].ready.insert(key, lane, rank, ix);
        self.mark_project(project);
    }

    pub(super) fn leave_queue(&mut self, ix: TargetIx) {
        let target = &mut self.targets[ix.at()];
        if std::mem::take(&mut target.is_queued) {
            let (key, lane, rank) = (target.queue_key(), target.lane, target.row.rank);
            self.campaigns[target.campaign.at()].ready.remove(key, lane, rank, ix);
        }
    }

    /// What a campaign asks for may be something else now, and with it the class of what waits.
    pub(super) fn requeue_all(&mut self) {
        (0..self.targets.len() as u32).for_each(|at| self.requeue(TargetIx(at)));
    }

    pub(super) fn is_ready(&self, ix: TargetIx) -> bool {
        let target = &self.targets[ix.at()];
        target.row.not_before.is_none_or(|at| at <= self.wall)
            && target.row.held_by.is_none()
            // Late proof that an earlier attempt was taken: an operator has to look first.
            && (target.row.needs_operator.is_none() || target.row.detail.history().is_unread_told)
            && target.preparing == Preparing::No
            && (self.sibling_at_work(ix).is_none() || self.is_planted(Defect::UniqueIndexIgnored))
    }

    /// The target of another campaign that is upgrading the same instance, or about to.
    pub(super) fn sibling_at_work(&self, ix: TargetIx) -> Option<TargetIx> {
        let siblings = &self.instances[self.targets[ix.at()].instance.at()].targets;
        let mut others = siblings.iter().copied().filter(|&other| other != ix);
        others.find(|other| self.targets[other.at()].tally().occupies)
    }

    fn requeue_siblings(&mut self, ix: TargetIx) {
        let instance = self.targets[ix.at()].instance;
        for at in 0..self.instances[instance.at()].targets.len() {
            let sibling = self.instances[instance.at()].targets[at];
            if sibling != ix {
                self.requeue(sibling);
            }
        }
    }

    pub(super) fn record_target(&mut self, ix: TargetIx, fact: Fact) {
        let target = &self.targets[ix.at()];
        let id = target.row.id.clone();
        let state = Some(target.row.state);
        let attempt = (target.row.number > 0).then(|| self.attempt_id(ix));
        self.record(Some(id.campaign), Some(id.project), Some(id.instance), fact);
        if let Some(event) = self.out.events.last_mut() {
            (event.attempt, event.state) = (attempt, state);
        }
    }

    pub(super) fn record_campaign(&mut self, ix: CampaignIx, fact: Fact) {
        let name = self.campaigns[ix.at()].name.clone();
        self.record(Some(name), None, None, fact);
    }

    pub(super) fn record_window(&mut self, ix: CampaignIx, project: ProjectIx, fact: Fact) {
        let name = self.campaigns[ix.at()].name.clone();
        let project = self.projects[project.at()].name.clone();
        self.record(Some(name), Some(project), None, fact);
    }

    pub(super) fn record_project(&mut self, ix: ProjectIx, fact: Fact) {
        let name = self.projects[ix.at()].name.clone();
        self.record(None, Some(name), None, fact);
    }

    pub(super) fn record_process(&mut self, fact: Fact) {
        self.record(None, None, None, fact);
    }

    pub(super) fn anomaly(&mut self, what: impl Into<Arc<str>>) {
        self.record_process(Fact::Anomaly { what: what.into() });
    }

    fn record(
        &mut self,
        campaign: Option<CampaignName>,
        project: Option<ProjectName>,
        instance: Option<InstanceId>,
        fact: Fact,
    ) {
        self.seq += 1;
        let (actor, comment) = match &self.actor {
            Some((actor, comment)) => (Some(actor.clone()), comment.clone()),
            None => (None, None),
        };
        self.out.events.push(Event {
            seq: self.seq,
            at: self.wall,
            campaign,
            project,
            instance,
            attempt: None,
            actor,
            comment,
            state: None,
            fact,
        });
    }

    pub(super) fn touch_target(&mut self, ix: TargetIx) {
        let target = &mut self.targets[ix.at()];
        if !target.is_touched {
            target.is_touched = true;
            self.touched.targets.push(ix);
        }
    }

    pub(super) fn touch_campaign(&mut self, ix: CampaignIx) {
        let campaign = &mut self.campaigns[ix.at()];
        if !campaign.is_touched {
            campaign.is_touched = true;
            self.touched.campaigns.push(ix);
        }
        self.is_gate_dirty = true;
    }

    pub(super) fn touch_project(&mut self, ix: ProjectIx) {
        let project = &mut self.projects[ix.at()];
        if !project.is_touched {
            project.is_touched = true;
            self.touched.projects.push(ix);
        }
    }

    pub(super) fn touch_credential(&mut self, ix: CredentialIx) {
        let credential = &mut self.credentials[ix.at()];
        if !credential.is_touched {
            credential.is_touched = true;
            self.touched.credentials.push(ix);
        }
        self.is_gate_dirty = true;
    }

    pub(super) fn mark_project(&mut self, ix: ProjectIx) {
        let project = &mut self.projects[ix.at()];
        if !project.is_dirty {
            project.is_dirty = true;
            self.dirty_projects.push(ix);
        }
    }

    pub(super) fn mark_all_projects(&mut self) {
        (0..self.projects.len() as u32).for_each(|ix| self.mark_project(ProjectIx(ix)));
    }

    pub(super) fn mark_campaign(&mut self, ix: CampaignIx) {
        let campaign = &mut self.campaigns[ix.at()];
        if !campaign.is_dirty {
            campaign.is_dirty = true;
            self.dirty_campaigns.push(ix);
        }
    }

    /// A slot or a gate of the campaign changed: every project of it may act.
    pub(super) fn mark_projects_of(&mut self, ix: CampaignIx) {
        let projects: Vec<ProjectIx> = self.campaigns[ix.at()].calendars.keys().copied().collect();
        projects.into_iter().for_each(|project| self.mark_project(project));
    }

    /// Looks at the project again at `at`, unless that is going to happen earlier anyway.
    pub(super) fn wake_project(&mut self, ix: ProjectIx, at: Steady) {
        let project = &mut self.projects[ix.at()];
        if project.wakes_at.is_some_and(|pending| pending <= at) {
            return;
        }
        let pending = project.wakes_at.replace(at);
        self.timers.wake(pending, at, Timer::Project(ix));
    }

    /// Looks at the campaign again at `at`, unless that is going to happen earlier anyway.
    pub(super) fn wake_campaign(&mut self, ix: CampaignIx, at: Steady) {
        let campaign = &mut self.campaigns[ix.at()];
        if campaign.wakes_at.is_some_and(|pending| pending <= at) {
            return;
        }
        let pending = campaign.wakes_at.replace(at);
        self.timers.wake(pending, at, Timer::Campaign(ix));
    }

    pub(super) fn write_touched_rows(&mut self) {
        let touched = std::mem::take(&mut self.touched);
        let offset = self.offset;
        self.out.changes.targets.reserve_exact(touched.targets.len());
        for ix in touched.targets {
            let target = &mut self.targets[ix.at()];
            target.is_touched = false;
            self.out.changes.targets.push(target.row.clone());
        }
        for ix in touched.campaigns {
            let campaign = &mut self.campaigns[ix.at()];
            campaign.is_touched = false;
            self.out.changes.campaigns.extend(campaign.row());
        }
        for ix in touched.projects {
            let project = &mut self.projects[ix.at()];
            project.is_touched = false;
            self.out.changes.projects.push(project.row(offset));
        }
        for ix in touched.credentials {
            let credential = &mut self.credentials[ix.at()];
            credential.is_touched = false;
            self.out.changes.credentials.push(credential.row());
        }
    }

    pub(super) fn changes(&mut self) -> &mut Changes {
        &mut self.out.changes
    }
}

/// Whether a target is added to counters or taken off them.
#[derive(Clone, Copy, PartialEq)]
enum Counted {
    Enters,
    Leaves,
}

impl WaveCounts {
    fn count(&mut self, target: Tally, how: Counted) {
        let enters = how == Counted::Enters;
        for (counter, counts) in [
            (&mut self.open, !target.state.is_terminal()),
            (&mut self.succeeded, target.state == TargetState::Succeeded),
            (&mut self.failed, target.state == TargetState::Failed),
            (&mut self.skipped, target.state == TargetState::Skipped),
            (&mut self.unacknowledged_failures, target.unacknowledged_failure),
        ] {
            add(counter, counts && !enters, counts && enters);
        }
    }
}

fn add(counter: &mut u32, before: bool, after: bool) {
    match (before, after) {
        (false, true) => *counter += 1,
        (true, false) => {
            *counter = counter.checked_sub(1).expect("a counter gives back what it took");
        }
        _ => {}
    }
}
