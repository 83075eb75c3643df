//! Watching running tasks with the fewest reads that work in a project.
//!
//! It starts per instance. With the first accepted task the task centre and the instance list are
//! probed: where its id shows, one sweep serves all running targets. A strategy that misses three
//! times gives way to watching per instance for a week. What is younger than any upgrade of its
//! class that ever succeeded in the project is watched more patiently.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::call::PAGE_ROWS;
use crate::model::{
    IdMap, InventoryPage, Millis, ReadCall, Steady, Task, TaskId, TaskStatus, draw,
};

use super::Engine;
use super::event::{Fact, LearnedDuration};
use super::index::{ProjectIx, TargetIx};
use super::read_queue::Purpose;
use super::rows::{VerifyAfter, WatchStrategy};
use super::state::TargetState;
use super::tables::{Probe, Project, WatchSweep};

/// Watches in a row without the task, and the time they span, before it has vanished.
const VANISHED_MISSES: u32 = 5;
const VANISHED_AFTER: Millis = Millis::from_mins(2);

/// Sweeps in a row that miss a task before the strategy is given up.
const STRATEGY_MISSES: u32 = 3;

/// A strategy that failed is probed again after this.
const PROBE_AGAIN: Millis = Millis::from_hours(7 * 24);

/// Overdue tasks are watched this much slower, at most every ten minutes.
const OVERDUE_SLOWDOWN: i64 = 10;
const OVERDUE_INTERVAL_MAX: Millis = Millis::from_mins(10);

/// Before the shortest upgrade of the class known in the project has passed, one watch in this many
/// is enough: it finds what fails early.
const EARLY_SLOWDOWN: i64 = 20;

/// An overdue task needs an operator after this many times its timeout.
const OPERATOR_TIMEOUTS: i64 = 4;

impl Engine {
    /// The cloud has applied the attempt, as this task.
    pub(super) fn enter_running(&mut self, ix: TargetIx, task: TaskId) {
        let wall = self.wall;
        self.attempt_applied(ix, Some(task.clone()));
        self.edit(ix, |target| {
            target.row.state = TargetState::Running;
            target.row.entered_at = wall;
            target.row.task = Some(task);
            target.row.needs_operator = None;
            if let Some(flight) = &mut target.row.detail.flight {
                flight.running_since = Some(wall);
                flight.word = None;
            }
        });
    }

    /// The task is known: watch it to its end.
    pub(super) fn begin_watching(&mut self, ix: TargetIx) {
        self.schedule_overdue(ix);
        self.probe_strategies(ix);
        let at = self.watch_at(ix, self.watch_interval(ix));
        self.schedule_watch(ix, at);
    }

    /// The next watch of this target, at `at` or with the sweep that serves it.
    pub(super) fn schedule_watch(&mut self, ix: TargetIx, at: Steady) {
        if at == self.now {
            self.schedule_overdue(ix);
        }
        let project = self.targets[ix.at()].project;
        if self.projects[project.at()].detail.watch == WatchStrategy::PerInstance {
            return self.want_at(project, Purpose::Watch { target: ix, offset: 0 }, at);
        }
        let watch = &mut self.projects[project.at()].watch;
        let due = watch.due.map_or(at, |due| due.min(at));
        watch.due = Some(due);
        self.wake_project(project, due);
        self.begin_due_watch(project);
    }

    fn schedule_overdue(&mut self, ix: TargetIx) {
        let row = &self.targets[ix.at()].row;
        let since = row.detail.flight.as_deref().and_then(|flight| flight.running_since);
        let (since, timeout) = (since.unwrap_or(self.wall), self.task_timeout(ix));
        let wait = if row.overdue { Millis(timeout.0 * OPERATOR_TIMEOUTS) } else { timeout };
        if row.needs_operator.is_none() {
            let at = self.steady_at(since + wait).max(self.now + Millis(1));
            self.wake_target(ix, at);
        }
    }

    pub(super) fn judge_overdue(&mut self, ix: TargetIx) {
        let row = &self.targets[ix.at()].row;
        let Some(since) = row.detail.flight.as_deref().and_then(|flight| flight.running_since)
        else {
            return;
        };
        let (after, timeout) = (self.wall - since, self.task_timeout(ix));
        if !row.overdue && after >= timeout {
            self.edit(ix, |target| target.row.overdue = true);
            self.leave_unmeasured(ix);
            self.record_target(ix, Fact::Overdue { after });
            self.schedule_overdue(ix);
        } else if row.overdue && after >= Millis(timeout.0 * OPERATOR_TIMEOUTS) {
            self.call_operator(
                ix,
                &format!("its task has run for {after}, four times its timeout"),
            );
        }
    }

    /// The interval, spread by ± 20 %. The draw goes by how many intervals the task has run, not by
    /// the instant: a millisecond's difference must not lead to another course of the night, or no
    /// rehearsal would foretell one.
    fn watch_interval(&self, ix: TargetIx) -> Millis {
        let (interval, row) = (self.poll_interval(ix), &self.targets[ix.at()].row);
        let since = row.detail.flight.as_deref().and_then(|flight| flight.running_since);
        let run = (self.wall - since.unwrap_or(self.wall)).max(Millis::ZERO);
        let number = run.0.unsigned_abs() / interval.0.unsigned_abs().max(1);
        let drawn = draw::unit(self.seed_of(ix), "watch", &row.id.to_string(), number);
        draw::spread(interval, drawn)
    }

    /// When to watch again at this interval: an overdue task later, and one that is hardly over yet
    /// when that is to be expected, or after a long while.
    fn watch_at(&self, ix: TargetIx, interval: Millis) -> Steady {
        let (row, project) = (&self.targets[ix.at()].row, self.targets[ix.at()].project);
        if row.overdue {
            let slow = Millis(interval.0 * OVERDUE_SLOWDOWN);
            return self.now + slow.min(OVERDUE_INTERVAL_MAX.max(interval));
        }
        let soon = self.now + interval;
        let project = &self.projects[project.at()];
        let flight = row.detail.flight.as_deref();
        let since = flight.filter(|flight| flight.misses == 0 && project.watch.misses == 0);
        let since = since.and_then(|flight| flight.running_since);
        let Some((since, shortest)) = since.zip(self.shortest_alike(ix)) else {
            return soon;
        };
        let expected = self.steady_at(since + shortest) - self.poll_interval(ix);
        soon.max(expected.min(self.now + Millis(interval.0 * EARLY_SLOWDOWN)))
    }

    /// Of its own class: by that of a quicker one it would be asked for too often, and by that of a
    /// slower one its end would be seen late, and a longer duration learned than it took.
    fn shortest_alike(&self, ix: TargetIx) -> Option<Millis> {
        let class = self.class_in_flight(ix)?;
        let project = self.targets[ix.at()].project;
        let mut known = self.projects[project.at()].detail.shortest_upgrades.iter();
        known.find(|known| known.class == class).map(|known| known.took)
    }

    pub(super) fn watched_tasks(
        &mut self,
        ix: TargetIx,
        offset: usize,
        tasks: &[Task],
        more: bool,
    ) {
        let Some(id) = self.targets[ix.at()].row.task.clone() else {
            return self.task_missed(ix);
        };
        let project = self.targets[ix.at()].project;
        match tasks.iter().find(|task| task.id == id) {
            Some(task) => self.task_seen(ix, task),
            None if more => return self.want(project, Purpose::Watch { target: ix, offset }),
            None => self.task_missed(ix),
        }
        self.watch_on(ix);
    }

    fn watch_on(&mut self, ix: TargetIx) {
        if self.targets[ix.at()].row.state == TargetState::Running {
            let at = self.watch_at(ix, self.watch_interval(ix));
            self.schedule_watch(ix, at);
        }
    }

    fn task_seen(&mut self, ix: TargetIx, task: &Task) {
        self.learn_ours(ix, task);
        let flight = self.targets[ix.at()].row.detail.flight.as_deref();
        if flight.is_some_and(|flight| flight.misses > 0 || flight.gone_looks > 0) {
            self.edit_flight(ix, |flight| {
                (flight.misses, flight.first_miss_at, flight.gone_looks) = (0, None, 0);
            });
        }
        let code = task.error_code.clone();
        match &task.status {
            TaskStatus::Open => self.task_word(ix, "EXECUTING"),
            TaskStatus::Unknown(word) => self.task_word(ix, word),
            TaskStatus::Succeeded => {
                self.learn_duration(ix, task);
                self.enter_verifying(ix, VerifyAfter::Success);
                self.record_target(ix, Fact::TaskEnded { succeeded: true, code: None });
            }
            TaskStatus::Failed => {
                self.enter_verifying(ix, VerifyAfter::TaskFailed(code.clone()));
                self.record_target(ix, Fact::TaskEnded { succeeded: false, code });
            }
        }
    }

    fn task_word(&mut self, ix: TargetIx, word: &str) {
        let flight = self.targets[ix.at()].row.detail.flight.as_deref();
        if flight.is_some_and(|flight| flight.word.as_deref() == Some(word)) {
            return;
        }
        let word: Arc<str> = word.into();
        let noted = word.clone();
        self.edit_flight(ix, |flight| {
            flight.word = Some(noted);
        });
        self.record_target(ix, Fact::TaskStatus { word });
    }

    fn task_missed(&mut self, ix: TargetIx) {
        let wall = self.wall;
        let mut vanished = None;
        self.edit(ix, |target| {
            let Some(flight) = &mut target.row.detail.flight else { return };
            flight.misses += 1;
            let first = *flight.first_miss_at.get_or_insert(wall);
            if flight.misses >= VANISHED_MISSES && wall - first >= VANISHED_AFTER {
                vanished = Some(flight.misses);
            }
        });
        if let Some(misses) = vanished {
            self.enter_verifying(ix, VerifyAfter::Vanished);
            self.record_target(ix, Fact::TaskVanished { misses });
        }
    }

    /// By the cloud's own times where they say less than ours, which count from watch to watch.
    fn learn_duration(&mut self, ix: TargetIx, task: &Task) {
        let (target, wall) = (&self.targets[ix.at()], self.wall);
        let project = target.project;
        let flight = target.row.detail.flight.as_deref();
        let Some(since) = flight.and_then(|flight| flight.running_since) else { return };
        let told = task.created_at.zip(task.updated_at).map(|(begun, ended)| ended - begun);
        let told = told.filter(|&took| took > Millis::ZERO);
        let took = told.map_or(wall - since, |told| told.min(wall - since));
        let Some(class) = self.class_in_flight(ix) else { return };
        let known = &mut self.projects[project.at()].detail.shortest_upgrades;
        match known.iter_mut().find(|known| known.class == class) {
            Some(shortest) if took >= shortest.took => return,
            Some(shortest) => shortest.took = took,
            None => known.push(LearnedDuration { class, took }),
        }
        self.touch_project(project);
    }

    /// Looks for an accepted task in the centre and the list, once a week at most.
    fn probe_strategies(&mut self, ix: TargetIx) {
        let (target, wall) = (&self.targets[ix.at()], self.wall);
        let (ix_project, instance) = (target.project, target.row.id.instance.clone());
        let Some(task) = target.row.task.clone() else { return };
        let since = self.tasks_since(ix);
        let delay = self.poll_interval(ix);
        let project = &mut self.projects[ix_project.at()];
        let probed = project.detail.watch_probed_at.is_some_and(|at| wall - at < PROBE_AGAIN);
        if probed || project.watch.probe.is_some() {
            return;
        }
        project.watch.probe = Some(Probe { task, instance, since });
        // The task may take a moment to show.
        self.want_at(ix_project, Purpose::ProbeCentre, self.now + delay);
    }

    pub(super) fn probed_centre(&mut self, ix: ProjectIx, tasks: &[Task]) {
        let Some(probe) = &self.projects[ix.at()].watch.probe else { return };
        if tasks.iter().any(|task| task.id == probe.task) {
            self.choose_strategy(ix, WatchStrategy::TaskCentre, "the task centre shows our task");
        } else {
            self.want(ix, Purpose::ProbeList);
        }
    }

    pub(super) fn probed_list(&mut self, ix: ProjectIx, page: &InventoryPage) {
        let Some(probe) = &self.projects[ix.at()].watch.probe else { return };
        let shown = page.instances.iter().any(|instance| {
            instance.id == probe.instance && instance.service_task_id.as_ref() == Some(&probe.task)
        });
        if shown {
            self.choose_strategy(ix, WatchStrategy::InstanceList, "the list shows our task");
        } else {
            self.choose_strategy(
                ix,
                WatchStrategy::PerInstance,
                "only the instance shows our task",
            );
        }
    }

    fn choose_strategy(&mut self, ix: ProjectIx, strategy: WatchStrategy, why: &str) {
        let wall = self.wall;
        let project = &mut self.projects[ix.at()];
        let before = std::mem::replace(&mut project.detail.watch, strategy);
        project.detail.watch_probed_at = Some(wall);
        project.watch.probe = None;
        project.watch.misses = 0;
        self.touch_project(ix);
        if before != strategy {
            self.record_project(ix, Fact::WatchChanged { strategy, why: why.into() });
        }
    }

    /// The sweep or probe cannot work here: per instance from now on.
    pub(super) fn watch_unusable(&mut self, ix: ProjectIx, why: &str) {
        self.projects[ix.at()].watch.sweep = None;
        self.projects[ix.at()].watch.due = None;
        self.choose_strategy(ix, WatchStrategy::PerInstance, why);
        for target in self.running(ix) {
            let at = self.watch_at(target, self.watch_interval(target));
            self.schedule_watch(target, at);
        }
    }

    fn running(&self, ix: ProjectIx) -> Vec<TargetIx> {
        let in_flight = self.projects[ix.at()].in_flight.iter().copied();
        in_flight
            .filter(|target| self.targets[target.at()].row.state == TargetState::Running)
            .collect()
    }

    pub(super) fn begin_due_watch(&mut self, ix: ProjectIx) {
        let watch = &self.projects[ix.at()].watch;
        let Some(due) = watch.due.filter(|_| watch.sweep.is_none()) else { return };
        if due > self.now {
            return self.wake_project(ix, due);
        }
        self.projects[ix.at()].watch.due = None;
        let since = self.running(ix).into_iter().map(|target| self.tasks_since(target)).min();
        let Some(since) = since else { return };
        self.projects[ix.at()].watch.sweep = Some(WatchSweep {
            offset: 0,
            since,
            tasks: Vec::new(),
            instances: BTreeMap::new(),
            begun_at: self.wall,
        });
        self.want(ix, Purpose::WatchSweep);
    }

    pub(super) fn watch_sweep_call(&self, project: &Project) -> ReadCall {
        let (since, offset) = project
            .watch
            .sweep
            .as_ref()
            .map_or((self.wall, 0), |sweep| (sweep.since, sweep.offset));
        match project.detail.watch {
            WatchStrategy::InstanceList => ReadCall::InventoryPage { offset },
            WatchStrategy::TaskCentre | WatchStrategy::PerInstance => {
                ReadCall::TaskCentre { since, offset }
            }
        }
    }

    pub(super) fn watch_centre_page(&mut self, ix: ProjectIx, tasks: Arc<[Task]>, rows: usize) {
        let Some(sweep) = &mut self.projects[ix.at()].watch.sweep else { return };
        sweep.offset += rows;
        sweep.tasks.push(tasks);
        if rows >= PAGE_ROWS {
            return self.want(ix, Purpose::WatchSweep);
        }
        let pages = std::mem::take(&mut sweep.tasks);
        let tasks = pages.iter().flat_map(|page| page.iter());
        let tasks: IdMap<&TaskId, &Task> = tasks.map(|task| (&task.id, task)).collect();
        self.finish_watch_sweep(ix, |engine, _, target| {
            let id = engine.targets[target.at()].row.task.as_ref();
            let Some(task) = id.and_then(|id| tasks.get(id)) else { return false };
            engine.task_seen(target, task);
            true
        });
    }

    pub(super) fn watch_list_page(&mut self, ix: ProjectIx, page: &InventoryPage) {
        let Some(sweep) = &mut self.projects[ix.at()].watch.sweep else { return };
        sweep.offset += page.rows;
        let more = page.rows >= PAGE_ROWS && page.total.is_none_or(|total| sweep.offset < total);
        let rows = page.instances.iter().map(|row| (row.id.clone(), row.instance().clone()));
        sweep.instances.extend(rows);
        if more {
            return self.want(ix, Purpose::WatchSweep);
        }
        self.finish_watch_sweep(ix, |engine, sweep, target| {
            let row = &engine.targets[target.at()].row;
            let Some(shown) = sweep.instances.get(&row.id.instance) else { return false };
            if shown.service_task_id != row.task || shown.is_idle() {
                // Over, or replaced; an id may stay after the end. The instance's own list tells how
                // it ended.
                engine.want(ix, Purpose::Watch { target, offset: 0 });
            }
            true
        });
    }

    fn finish_watch_sweep(
        &mut self,
        ix: ProjectIx,
        see: impl Fn(&mut Engine, &WatchSweep, TargetIx) -> bool,
    ) {
        let Some(sweep) = self.projects[ix.at()].watch.sweep.take() else { return };
        let mut missed = false;
        for target in self.running(ix) {
            let flight = self.targets[target.at()].row.detail.flight.as_deref();
            let since = flight.and_then(|flight| flight.running_since);
            let seen = see(self, &sweep, target);
            missed |= !seen && since.is_some_and(|since| since < sweep.begun_at);
        }
        let watch = &mut self.projects[ix.at()].watch;
        watch.misses = if missed { watch.misses + 1 } else { 0 };
        if watch.misses >= STRATEGY_MISSES {
            return self.watch_unusable(ix, "a running task was missed three times");
        }
        // One draw for the sweep: the least of many would always be the shortest possible.
        let running = self.running(ix);
        let interval = running.first().map(|&target| self.watch_interval(target));
        let due =
            |interval: Millis| running.iter().map(|&target| self.watch_at(target, interval)).min();
        if let Some(due) = interval.and_then(due) {
            self.projects[ix.at()].watch.due = Some(due);
            self.wake_project(ix, due);
        }
    }
}
