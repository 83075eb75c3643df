//! The first look at instances whose task has succeeded and whose versions have moved: one sweep of
//! the list for many, instead of a read each.
//!
//! A list row cannot show the field `task`, so it proves nothing of being idle: it only lets the
//! settling begin. The look that decides after it is always at the instance itself, and so is the
//! first look where the row leaves any doubt, or where reading one by one is cheaper.

use crate::model::call::PAGE_ROWS;
use crate::model::{Instance, InstanceStatus, InventoryPage, Millis};

use super::Engine;
use super::index::{ProjectIx, TargetIx};
use super::read_queue::Purpose;
use super::rows::VerifyAfter;
use super::state::TargetState;
use super::tables::Project;

/// A page of the list must spare so many looks: it is that much heavier, for the cloud and for us.
const LOOKS_PER_PAGE: usize = 5;

/// The sweep waits for company for this part of the poll interval.
const COMPANY_PART: i64 = 2;

impl Engine {
    /// The versions of a verifying target were read: what looks at the instance next.
    pub(super) fn look_after_versions(&mut self, ix: TargetIx) {
        let project = self.targets[ix.at()].project;
        if !self.may_settle_by_list(ix) {
            return self.want(project, Purpose::VerifyInstance(ix));
        }
        let wait = Millis(self.poll_interval(ix).0 / COMPANY_PART);
        let settling = &mut self.projects[project.at()].settling;
        settling.insert(ix);
        if settling.len() == 1 {
            self.want_at(project, Purpose::SettleSweep { offset: 0 }, self.now + wait);
        }
    }

    fn may_settle_by_list(&self, ix: TargetIx) -> bool {
        let row = &self.targets[ix.at()].row;
        let policy = self.settings.campaigns.get(&row.id.campaign);
        let flight = row.detail.flight.as_deref();
        flight.is_some_and(|flight| {
            flight.verify_after == Some(VerifyAfter::Success)
                && flight.settled_at.is_none()
                // What was found unsettled is looked at closely from then on.
                && flight.word.is_none()
        }) && policy.is_some_and(|policy| policy.settle > Millis::ZERO)
            && self.is_moved(ix)
    }

    /// Whether one sweep asks less of the cloud than a look at each that waits; if not, or if
    /// nobody knows how long the list is, these are wanted instead.
    pub(super) fn is_settle_sweep_worth_it(&mut self, project: ProjectIx) -> bool {
        let Project { list_rows, settling, .. } = &self.projects[project.at()];
        let pages = list_rows.map(|rows| rows.div_ceil(PAGE_ROWS).max(1));
        if pages.is_some_and(|pages| settling.len() >= pages * LOOKS_PER_PAGE) {
            return true;
        }
        self.look_at_each(project);
        false
    }

    pub(super) fn settle_page(&mut self, project: ProjectIx, offset: usize, page: &InventoryPage) {
        for instance in &page.instances {
            if is_running(instance)
                && let Some(ix) = self.settling_target(project, instance)
            {
                self.projects[project.at()].settling.remove(&ix);
                let until = self.begin_settling(ix);
                let at = self.steady_at(until);
                self.wake_target(ix, at);
            }
        }
        if page.rows >= PAGE_ROWS && !self.projects[project.at()].settling.is_empty() {
            return self.want(project, Purpose::SettleSweep { offset: offset + page.rows });
        }
        self.look_at_each(project);
    }

    fn settling_target(&self, project: ProjectIx, instance: &Instance) -> Option<TargetIx> {
        let known = self.find_instance(project, &instance.id)?;
        let mut targets = self.instances[known.at()].targets.iter().copied();
        let settling = &self.projects[project.at()].settling;
        targets.find(|ix| settling.contains(ix) && self.may_settle_by_list(*ix))
    }

    pub(super) fn look_at_each(&mut self, project: ProjectIx) {
        for ix in std::mem::take(&mut self.projects[project.at()].settling) {
            if self.targets[ix.at()].row.state == TargetState::Verifying {
                self.want(project, Purpose::VerifyInstance(ix));
            }
        }
    }
}

/// As far as a list row tells.
fn is_running(instance: &Instance) -> bool {
    instance.status == InstanceStatus::Running && !instance.service_upgrade
}
