//! Inventory sweeps: which instances exist, page by page, and what follows when a sweep is full.
//!
//! Paging is not promised to be stable, so rows are de-duplicated by id, and an instance is gone
//! only after two full sweeps without it (API facts, section 3.1). A page may be shorter than asked
//! for; the total that it states tells whether more follow. A sweep that ends short of that total
//! proves nothing of what it did not show. Whole instances are kept until the end only while a
//! campaign may still take them in: a fleet's worth is many MiB.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::num::NonZeroU64;
use std::sync::Arc;

use foldhash::fast::FixedState;

use crate::model::call::PAGE_ROWS;
use crate::model::policy::Membership;
use crate::model::{AnswerNote, CacheMode, Instance, InventoryPage, Listed, Millis, draw};

use super::Engine;
use super::event::Fact;
use super::index::{CampaignIx, InstanceIx, ProjectIx, TargetIx};
use super::planning::refusal;
use super::read_queue::Purpose;
use super::rows::InstanceRow;
use super::state::{Reason, TargetState};
use super::submit::note_text;
use super::tables::{KnownInstance, Sweep};

/// Between two full sweeps of a project; a restart counts from the last one that is known.
pub(super) const SWEEP_EVERY: Millis = Millis::from_hours(1);

/// For each page of the list a sweep may take so much longer to come again: a fleet of 100,000 is
/// listed three times a day. Its reads are for upgrades, and what a sweep would show of a target
/// late, the last look before its start shows in time.
const SWEEP_EVERY_PER_PAGE: Millis = Millis::from_mins(5);

/// A sweep that is asked for early keeps this distance from the last.
const SWEEP_SOON: Millis = Millis::from_secs(30);

/// Pages after which a sweep ends whatever they say: a million rows, more than any project has.
const SWEEP_PAGES_MAX: usize = 1_000;

/// Sweeps in a row that end short before what they showed is planned from: the total may count
/// rows that the list never shows, for what it counts is inferred (API facts, section 3.1).
const SHORT_SWEEPS: u32 = 2;

/// Sweeps in a row that are refused before it is told.
const REFUSED_SWEEPS: u32 = 3;

/// Listed instances freed per step: well under a millisecond's work.
const FREED_PER_STEP: usize = 256;

/// Full sweeps without an instance after which it is missing.
const MISSING_SWEEPS: u64 = 2;

impl Engine {
    pub(super) fn begin_due_sweeps(&mut self) {
        (0..self.projects.len() as u32).for_each(|ix| self.begin_due_sweep(ProjectIx(ix)));
    }

    pub(super) fn begin_due_sweep(&mut self, ix: ProjectIx) {
        let project = &self.projects[ix.at()];
        if project.sweep.is_some() || !self.is_swept(ix) {
            return;
        }
        if project.sweep_due > self.now {
            let due = project.sweep_due;
            return self.wake_project(ix, due);
        }
        let project = &mut self.projects[ix.at()];
        project.sweeps_begun += 1;
        project.sweep = Some(Sweep::default());
        self.want(ix, Purpose::Sweep);
    }

    /// Only projects that an unfinished campaign uses are swept.
    fn is_swept(&self, ix: ProjectIx) -> bool {
        let uses = |campaign: &super::tables::Campaign| {
            !campaign.is_over() && campaign.calendars.contains_key(&ix)
        };
        self.campaigns.iter().any(uses)
    }

    pub(super) fn sweep_soon(&mut self, ix: ProjectIx) {
        let last = self.projects[ix.at()].detail.swept_at.map(|at| self.steady_at(at));
        let due = last.map_or(self.now, |last| (last + SWEEP_SOON).max(self.now + Millis(1)));
        let project = &mut self.projects[ix.at()];
        project.sweep_due = project.sweep_due.min(due);
        self.begin_due_sweep(ix);
    }

    /// The list was refused: three times in a row is no accident, and somebody has to know.
    pub(super) fn sweep_refused(&mut self, ix: ProjectIx, note: &AnswerNote) {
        let project = &mut self.projects[ix.at()];
        project.sweep_refusals = project.sweep_refusals.saturating_add(1);
        if project.sweep_refusals == REFUSED_SWEEPS {
            let why: Arc<str> = note_text(note).into();
            project.sweep_refused = Some(why.clone());
            self.record_project(ix, Fact::InventoryRefused { why });
        }
    }

    pub(super) fn sweep_page(&mut self, ix: ProjectIx, page: &InventoryPage) {
        self.projects[ix.at()].sweep_refusals = 0;
        self.projects[ix.at()].sweep_refused = None;
        let takes_in = self.campaigns.iter().any(|campaign| campaign.state.is_none())
            || !self.live_campaigns(ix).is_empty();
        let Some(offset) = self.projects[ix.at()].sweep.as_ref().map(|sweep| sweep.offset) else {
            return;
        };
        for (at, row) in page.instances.iter().enumerate() {
            let known = self.find_listed(ix, offset + at, row);
            let is_first = match known {
                Some(known) => self.instance_seen(known, row),
                None if self.is_selected(ix, row) => true,
                None => continue,
            };
            let Some(sweep) = &mut self.projects[ix.at()].sweep else { return };
            if takes_in || known.is_none() {
                // A list that ends then frees no ids of its own.
                let own_id = known.map(|known| self.instances[known.at()].id.clone());
                let id = own_id.unwrap_or_else(|| row.id.clone());
                sweep.taken_in.insert(id, takes_in.then(|| row.instance().clone()));
            } else if is_first {
                sweep.counted += 1;
            }
        }
        let Some(sweep) = &mut self.projects[ix.at()].sweep else { return };
        sweep.offset += page.rows;
        sweep.pages += 1;
        let (shown, pages, total) = (sweep.offset, sweep.pages, page.total);
        let is_full = total.map_or(page.rows < PAGE_ROWS, |total| shown >= total);
        if !is_full && page.rows > 0 && pages < SWEEP_PAGES_MAX {
            return self.want(ix, Purpose::Sweep);
        }
        self.projects[ix.at()].list_rows = Some(total.unwrap_or(shown));
        if is_full {
            self.projects[ix.at()].short_sweeps = 0;
            self.finish_sweep(ix);
        } else {
            self.end_short_sweep(ix, shown, total);
        }
    }

    /// The list ended before its total: nothing is gone for that, and it is swept again. If that
    /// ends short as well, the plan is made from what there is.
    fn end_short_sweep(&mut self, ix: ProjectIx, shown: usize, total: Option<usize>) {
        let of = total.map_or_else(|| "an unknown number of".to_owned(), |total| total.to_string());
        let what = format!("the instance list ended after {shown} of {of} rows").into();
        self.record_project(ix, Fact::Anomaly { what });
        let Some(sweep) = self.projects[ix.at()].sweep.take() else { return };
        let project = &mut self.projects[ix.at()];
        project.short_sweeps += 1;
        if project.short_sweeps < SHORT_SWEEPS {
            let due = self.now + SWEEP_SOON;
            self.projects[ix.at()].sweep_due = due;
            return self.wake_project(ix, due);
        }
        self.await_next_sweep(ix);
        self.take_in(ix, sweep);
    }

    fn is_selected(&self, ix: ProjectIx, instance: &Instance) -> bool {
        let selects = |campaign: &super::tables::Campaign| {
            let policy = self.settings.campaigns.get(&campaign.name);
            campaign.calendars.contains_key(&ix)
                && policy.is_some_and(|policy| policy.select.matches(instance))
        };
        self.campaigns.iter().any(selects)
    }

    fn finish_sweep(&mut self, ix: ProjectIx) {
        let Some(sweep) = self.projects[ix.at()].sweep.take() else { return };
        let project = &mut self.projects[ix.at()];
        project.detail.sweeps += 1;
        let number = project.detail.sweeps;
        self.await_next_sweep(ix);
        let instances = sweep.taken_in.len() as u32 + sweep.counted;
        self.record_project(ix, Fact::InventorySwept { instances, sweep: number });
        self.skip_missing(ix);
        self.take_in(ix, sweep);
    }

    fn await_next_sweep(&mut self, ix: ProjectIx) {
        let drawn = draw::unit(self.seed, "sweep", self.projects[ix.at()].name.as_str(), 0);
        let rows = self.projects[ix.at()].list_rows.unwrap_or_default();
        let by_size = Millis(SWEEP_EVERY_PER_PAGE.0 * rows.div_ceil(PAGE_ROWS) as i64);
        let due = self.now + draw::spread(SWEEP_EVERY.max(by_size), drawn);
        let wall = self.wall;
        let project = &mut self.projects[ix.at()];
        project.detail.swept_at = Some(wall);
        project.sweep_due = due;
        self.touch_project(ix);
        self.wake_project(ix, due);
    }

    /// What a sweep showed joins the campaigns that take it in.
    fn take_in(&mut self, ix: ProjectIx, sweep: Sweep) {
        self.projects[ix.at()].is_swept_by_us = true;
        let instances: Vec<Arc<Instance>> = sweep.taken_in.into_values().flatten().collect();
        self.join_newcomers(ix, &instances);
        let unplanned = self.campaigns.iter().any(|campaign| campaign.state.is_none());
        if unplanned {
            self.projects[ix.at()].inventory = instances;
            self.plan_what_can_be();
        } else {
            self.surplus.extend(instances);
        }
    }

    /// A whole list's worth, freed at once, would make this step or the next a long one.
    pub(super) fn free_some_surplus(&mut self) {
        let left = self.surplus.len().saturating_sub(FREED_PER_STEP);
        self.surplus.truncate(left);
        if left == 0 {
            self.surplus = Vec::new();
        }
    }

    /// The instance of a row: where the list showed it last, if it shows the same there again.
    fn find_listed(&mut self, ix: ProjectIx, at: usize, row: &Listed) -> Option<InstanceIx> {
        let last = self.projects[ix.at()].list_order.get(at).copied();
        if let Some(last) = last.filter(|last| self.instances[last.at()].has_listed(row)) {
            return Some(last);
        }
        let known = self.find_instance(ix, &row.id)?;
        let order = &mut self.projects[ix.at()].list_order;
        if order.len() <= at {
            // Any place will do for rows of nobody's: their digests do not fit.
            order.resize(at + 1, known);
        }
        order[at] = known;
        Some(known)
    }

    /// Each instance's row counts as new when the list next shows it.
    pub(super) fn forget_listed(&mut self) {
        self.instances.iter_mut().for_each(|known| known.listed = None);
    }

    /// Whether it is the first row of this sweep that shows the instance.
    fn instance_seen(&mut self, known: InstanceIx, row: &Listed) -> bool {
        let entry = &mut self.instances[known.at()];
        let project = entry.project;
        let sweep = self.projects[project.at()].detail.sweeps + 1;
        let begun = self.projects[project.at()].sweeps_begun;
        let is_first = std::mem::replace(&mut entry.seen_in_begun, begun) != begun;
        entry.seen_in_sweep = sweep;
        if entry.has_listed(row) {
            return is_first;
        }
        entry.listed = NonZeroU64::new(row.digest());
        let instance: &Instance = row;
        let facts = Facts::of(instance).hash();
        if entry.facts != facts {
            entry.facts = facts;
            entry.name = instance.name.clone();
            entry.cache_mode = instance.cache_mode;
            let row = InstanceRow::new(&self.projects[project.at()].name, instance);
            self.regroup(known, &row);
            self.changes().instances.push(row);
        }
        self.skip_unwanted(known, instance);
        is_first
    }

    /// Pending targets that the campaign no longer selects or would not send: what the list shows
    /// may have changed, and so may the file.
    fn skip_unwanted(&mut self, known: InstanceIx, instance: &Instance) {
        for at in 0..self.instances[known.at()].targets.len() {
            let ix = self.instances[known.at()].targets[at];
            let target = &self.targets[ix.at()];
            if target.row.state != TargetState::Pending {
                continue;
            }
            let Some(policy) = self.settings.campaigns.get(&target.row.id.campaign) else {
                continue;
            };
            let selected = policy.select.matches(instance);
            let reason = if selected { refusal(policy, instance) } else { Some(Reason::Excluded) };
            if let Some(reason) = reason {
                self.skip(ix, reason);
            }
        }
    }

    /// The groups of an instance's targets follow its tags and zones, or `max_unavailable` would
    /// count by those that it once had (rule S5).
    fn regroup(&mut self, known: InstanceIx, labels: &InstanceRow) {
        for at in 0..self.instances[known.at()].targets.len() {
            let ix = self.instances[known.at()].targets[at];
            let campaign = self.targets[ix.at()].campaign;
            let lane = self.lane_for(campaign, labels);
            self.move_to_lane(ix, lane);
        }
    }

    fn skip_missing(&mut self, ix: ProjectIx) {
        let sweeps = self.projects[ix.at()].detail.sweeps;
        let missing: Vec<TargetIx> = self
            .instances
            .iter()
            .filter(|known| known.project == ix && known.is_missing(sweeps))
            .flat_map(|known| known.targets.iter().copied())
            .filter(|target| self.targets[target.at()].row.state == TargetState::Pending)
            .collect();
        for target in missing {
            self.skip(target, Reason::Gone);
        }
    }

    /// Two full sweeps have not shown the target's instance.
    pub(super) fn is_missing(&self, ix: TargetIx) -> bool {
        let target = &self.targets[ix.at()];
        let sweeps = self.projects[target.project.at()].detail.sweeps;
        self.instances[target.instance.at()].is_missing(sweeps)
    }

    /// Campaigns that newcomers join.
    fn live_campaigns(&self, ix: ProjectIx) -> Vec<CampaignIx> {
        (0..self.campaigns.len() as u32)
            .map(CampaignIx)
            .filter(|campaign| {
                let campaign = &self.campaigns[campaign.at()];
                let policy = self.settings.campaigns.get(&campaign.name);
                campaign.state.is_some_and(|state| !state.is_over())
                    && !campaign.detail.draining
                    && campaign.calendars.contains_key(&ix)
                    && policy.is_some_and(|policy| policy.membership == Membership::Live)
            })
            .collect()
    }

    fn join_newcomers(&mut self, ix: ProjectIx, instances: &[Arc<Instance>]) {
        let live = self.live_campaigns(ix);
        for instance in instances {
            for &campaign in &live {
                self.join_if_new(campaign, ix, instance);
            }
        }
    }
}

impl KnownInstance {
    /// So many full sweeps there were; the last ones have not shown it.
    fn is_missing(&self, sweeps: u64) -> bool {
        sweeps >= self.seen_in_sweep + MISSING_SWEEPS
    }

    /// Going through the row again would lead to nothing.
    fn has_listed(&self, row: &Listed) -> bool {
        self.listed.is_some_and(|digest| digest.get() == row.digest())
    }
}

/// What an instance's row holds of it: the same facts need no new row.
#[derive(Hash)]
pub(super) struct Facts<'a> {
    name: &'a str,
    tags: &'a BTreeMap<Arc<str>, Arc<str>>,
    zones: &'a [Arc<str>],
    cache_mode: CacheMode,
    engine_version: &'a str,
}

impl<'a> Facts<'a> {
    fn of(instance: &'a Instance) -> Facts<'a> {
        Facts {
            name: &instance.name,
            tags: &instance.tags,
            zones: &instance.zones,
            cache_mode: instance.cache_mode,
            engine_version: &instance.engine_version,
        }
    }

    pub(super) fn of_row(row: &'a InstanceRow) -> Facts<'a> {
        Facts {
            name: &row.name,
            tags: &row.tags,
            zones: &row.zones,
            cache_mode: row.cache_mode,
            engine_version: &row.engine_version,
        }
    }

    pub(super) fn hash(&self) -> u64 {
        FixedState::default().hash_one(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Input, Rows};
    use crate::model::{CacheMode, CurrentTask, Edition, InstanceStatus, Steady};

    fn instance() -> Instance {
        Instance {
            id: "i-1".into(),
            name: "cache".into(),
            status: InstanceStatus::Running,
            engine: "Redis".into(),
            engine_version: "5.0".into(),
            cache_mode: CacheMode::Ha,
            edition: Edition::Basic,
            spec_code: "redis.ha.xu1.large.r2.8".into(),
            tags: [].into(),
            zones: Vec::new(),
            service_upgrade: false,
            service_task_id: None,
            current_task: CurrentTask::NotShown,
        }
    }

    #[test]
    fn what_a_sweep_leaves_over_is_freed_over_several_steps_and_to_the_last() {
        let mut engine = Engine::restore(Rows::default(), Millis::ZERO, 1);
        let listed = Arc::new(instance());
        engine.surplus = vec![listed.clone(); 2 * FREED_PER_STEP + 1];
        let left_after_a_step = || {
            engine.step(Steady(0), Input::Tick);
            Arc::strong_count(&listed) - 1
        };
        let left: Vec<usize> = std::iter::repeat_with(left_after_a_step).take(3).collect();
        assert_eq!(left, [FREED_PER_STEP + 1, 1, 0]);
    }
}
