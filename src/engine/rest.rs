//! What stands still must have something that moves it on: a recount, from the tables alone, that
//! finds lost wake-ups (rules L1 and L3).
//!
//! For hosts that check; deciding needs nothing of it. It holds between steps, and costs a walk
//! through all timers and targets.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Millis, Steady};

use super::Engine;
use super::index::{CampaignIx, ProjectIx, TargetIx};
use super::read_queue::{Purpose, Wanted};
use super::rows::WatchStrategy;
use super::state::TargetState;
use super::tables::{Circuit, Preparing, Renewal};
use super::timers::Timer;

/// What is on its way to somebody who waits.
#[derive(Default)]
struct OnTheWay {
    /// Targets that a read of their own will reach: timed, queued or outstanding.
    read: BTreeSet<TargetIx>,
    /// Projects with such a read for all their running targets, or for all that settle.
    watch_sweep: BTreeSet<ProjectIx>,
    settle_sweep: BTreeSet<ProjectIx>,
    timers: BTreeMap<TargetIx, BTreeSet<Steady>>,
}

impl OnTheWay {
    fn add(&mut self, project: ProjectIx, purpose: Purpose) {
        match purpose {
            Purpose::WatchSweep => {
                self.watch_sweep.insert(project);
            }
            Purpose::SettleSweep { .. } => {
                self.settle_sweep.insert(project);
            }
            // Read-ahead moves nothing on.
            Purpose::Versions(_) => {}
            _ => self.read.extend(purpose.target()),
        }
    }

    fn has_timer(&self, ix: TargetIx, is_right: impl Fn(Steady) -> bool) -> bool {
        self.timers.get(&ix).is_some_and(|timers| timers.iter().any(|&at| is_right(at)))
    }
}

impl Engine {
    /// Who waits for something that will never come, one sentence each; empty if all is well.
    pub fn lost_wakes(&self) -> Vec<String> {
        let on_the_way = self.on_the_way();
        let targets = (0..self.targets.len() as u32).map(TargetIx);
        let stuck = targets.filter_map(|ix| {
            let why = self.why_stuck(ix, &on_the_way)?;
            Some(format!("{}: {why}", self.targets[ix.at()].row.id))
        });
        let projects = (0..self.projects.len() as u32).map(ProjectIx);
        let asleep = projects.filter_map(|ix| {
            let why = self.why_asleep(ix)?;
            Some(format!("project {}: {why}", self.projects[ix.at()].name))
        });
        stuck.chain(asleep).collect()
    }

    fn on_the_way(&self) -> OnTheWay {
        let mut found = OnTheWay::default();
        let mut add = |project: ProjectIx, wanted: Wanted| {
            if self.is_current(wanted) {
                found.add(project, wanted.purpose);
            }
        };
        for (at, timer) in self.timers.iter() {
            if let Timer::Read(project, wanted) = timer {
                assert!(at > self.now, "a timer that was due has fired");
                add(project, wanted);
            }
        }
        for at in 0..self.projects.len() {
            let project = ProjectIx(at as u32);
            self.projects[at].queue.iter().for_each(|&wanted| add(project, wanted));
        }
        self.outstanding.values().for_each(|sent| add(sent.project, sent.wanted));
        for (at, timer) in self.timers.iter() {
            if let Timer::Target(ix) = timer {
                found.timers.entry(ix).or_default().insert(at);
            }
        }
        found
    }

    fn why_stuck(&self, ix: TargetIx, on_the_way: &OnTheWay) -> Option<&'static str> {
        let target = &self.targets[ix.at()];
        let is_read = on_the_way.read.contains(&ix);
        match target.row.state {
            TargetState::Pending => self.why_pending_is_stuck(ix, on_the_way),
            TargetState::Uncertain => (!is_read).then_some("uncertain, and nobody looks"),
            TargetState::Running if !is_read && !self.is_swept_for(target.project, on_the_way) => {
                Some("running, and nobody watches")
            }
            TargetState::Running => {
                let is_judged = target.row.needs_operator.is_some()
                    || on_the_way.has_timer(ix, |at| at > self.now);
                (!is_judged).then_some("running, and nobody will find it overdue")
            }
            TargetState::Verifying if !is_read && !self.is_settling(ix, on_the_way) => {
                Some("verifying, and nobody looks")
            }
            _ => None,
        }
    }

    fn why_pending_is_stuck(&self, ix: TargetIx, on_the_way: &OnTheWay) -> Option<&'static str> {
        let target = &self.targets[ix.at()];
        let waits_until = target.row.not_before.filter(|&at| at > self.wall);
        match (target.preparing, waits_until) {
            (Preparing::Versions | Preparing::Look, _) if !on_the_way.read.contains(&ix) => {
                Some("it keeps a slot, and nobody reads what it waits for")
            }
            (Preparing::No, Some(until))
                if !on_the_way.has_timer(ix, |at| at == self.steady_at(until)) =>
            {
                Some("it waits for an instant that nobody awaits")
            }
            (Preparing::No, _) if self.is_ready(ix) != target.is_queued => {
                Some("its queue does not know whether it is ready")
            }
            (Preparing::No, _)
                if target.is_queued && self.known_class(ix) != Some(target.class) =>
            {
                Some("it waits among targets of another class")
            }
            _ => None,
        }
    }

    /// A sweep serves the project's running targets, or will.
    fn is_swept_for(&self, ix: ProjectIx, on_the_way: &OnTheWay) -> bool {
        let project = &self.projects[ix.at()];
        project.detail.watch != WatchStrategy::PerInstance
            && (on_the_way.watch_sweep.contains(&ix)
                || project.watch.due.is_some_and(|due| self.wakes_by(ix, due)))
    }

    /// It waits for the end of its settling, or for the sweep of all that settle.
    fn is_settling(&self, ix: TargetIx, on_the_way: &OnTheWay) -> bool {
        let target = &self.targets[ix.at()];
        let project = &self.projects[target.project.at()];
        let flight = target.row.detail.flight.as_deref();
        let settled = flight.and_then(|flight| flight.settled_at).map(|at| self.steady_at(at));
        let shared =
            project.settling.contains(&ix) && on_the_way.settle_sweep.contains(&target.project);
        shared
            || settled.is_some_and(|settled| {
                let latest = settled.max(self.now + Millis(1));
                on_the_way.has_timer(ix, |at| at >= settled && at <= latest)
            })
    }

    fn wakes_by(&self, ix: ProjectIx, due: Steady) -> bool {
        let wakes_at = self.projects[ix.at()].wakes_at;
        wakes_at.is_some_and(|at| at <= due.max(self.now + Millis(1)))
    }

    fn why_asleep(&self, ix: ProjectIx) -> Option<&'static str> {
        let project = &self.projects[ix.at()];
        let has_reads = project.queue.iter().any(|&wanted| self.is_current(wanted));
        let next_read = project.reads.next_at(self.now);
        if has_reads && self.credential_has_room(ix) && !self.wakes_by(ix, next_read) {
            return Some("reads wait for a token, and nobody awaits it");
        }
        if let Circuit::Open { until } = project.circuit
            && !self.wakes_by(ix, until)
        {
            return Some("its circuit is open, and nobody awaits the end");
        }
        let credential = &self.credentials[project.credential.at()];
        let may_start = self.project_gate(ix).is_ok()
            && self.process_gate().is_ok()
            && credential.stopped.is_none()
            && credential.renewal != Renewal::UnderWay
            && project.reads.paused_until(self.now).is_none();
        if !may_start {
            return None;
        }
        let backoff = self.project_backoff_until(ix).map(|until| self.steady_at(until));
        let token = project.starts.next_at(self.now);
        let due = backoff.map_or(token, |until| until.max(token));
        if due > self.now {
            let waits = self.has_armed_start(ix) || self.has_free_candidate(ix);
            return (waits && !self.wakes_by(ix, due))
                .then_some("starts wait for a token, and nobody awaits it");
        }
        let is_idle = !self.targets_of(ix).any(|target| self.is_preparing(target));
        if is_idle && self.has_free_candidate(ix) {
            return Some("a token, a slot and a target are there, and nothing is prepared");
        }
        (self.has_armed_start(ix)).then_some("a token and a prepared target are there, and wait")
    }

    fn targets_of(&self, project: ProjectIx) -> impl Iterator<Item = TargetIx> {
        let all = (0..self.targets.len() as u32).map(TargetIx);
        all.filter(move |ix| self.targets[ix.at()].project == project)
    }

    fn is_preparing(&self, ix: TargetIx) -> bool {
        self.targets[ix.at()].preparing != Preparing::No
    }

    /// A prepared target that only a token can still keep from starting.
    fn has_armed_start(&self, project: ProjectIx) -> bool {
        self.credential_has_room(project)
            && self.circuit_lets_through(project)
            && self.targets_of(project).any(|ix| {
                matches!(self.targets[ix.at()].preparing, Preparing::Armed(_))
                    && self.gate_for(ix, self.wall).is_ok()
                    && self.has_budget_for_intent(ix)
            })
    }

    /// A waiting target for which every cap has room and every gate stands open.
    fn has_free_candidate(&self, project: ProjectIx) -> bool {
        // A half-open circuit prepares one at a time.
        let is_probing = matches!(self.projects[project.at()].circuit, Circuit::HalfOpen { .. })
            && self.targets_of(project).any(|ix| self.is_preparing(ix));
        let open: BTreeSet<CampaignIx> = (0..self.campaigns.len() as u32)
            .map(CampaignIx)
            .filter(|&campaign| {
                self.campaign_has_slot(campaign)
                    && self.start_gate(campaign, project, self.wall).is_ok()
            })
            .collect();
        !is_probing
            && self.project_has_slot(project)
            && self.targets_of(project).any(|ix| {
                let target = &self.targets[ix.at()];
                let campaign = &self.campaigns[target.campaign.at()];
                target.is_queued
                    && open.contains(&target.campaign)
                    && target.row.wave <= campaign.detail.wave
                    && self.fits(target.campaign, project, target.class, self.wall)
                    && campaign.ready.full_group(target.lane).is_none()
            })
    }
}
