//! Reads: who may read next, and within which limits.
//!
//! Five classes, drawn in order; watching takes at most half, and every class that waits gets at
//! least one in ten. A read is drawn only when the project's quota, its credential and the
//! class's turn allow it (rules S6 and S12), and is dropped unread if its reason is gone.

use std::collections::VecDeque;

use crate::model::answer::Answered;
use crate::model::call::PAGE_ROWS;
use crate::model::{AnswerNote, Millis, ReadAnswer, ReadCall, ReadFailure, Steady, Wall, draw};

use super::Engine;
use super::event::{Fact, Quota};
use super::index::{ProjectIx, TargetIx};
use super::request::{Read, ReadId, Request};
use super::timers::Timer;

/// Requests at once with a proven credential: were it revoked, no more than these would fail
/// before the first refusal is seen, and the cloud locks a key after five (rule S12).
pub(super) const PROVEN_IN_FLIGHT: u32 = 4;

/// Draws after which the shares of the classes are counted afresh.
const FRAME: u32 = 10;

/// Of each frame, at most these go to watching while others wait.
const WATCH_SHARE: u32 = 5;

/// An empty queue of at most this capacity keeps its memory.
const KEPT_CAPACITY: usize = 4_096;

/// An instance's tasks since its intent that a watch goes through at most: ours is among the first,
/// and a page may be as short as a single row (API facts, section 8 no. 10).
const WATCHED_ROWS_MAX: usize = 100;

/// The first wait after a failed read; doubles up to `READ_BACKOFF_MAX`.
const READ_BACKOFF: Millis = Millis::from_secs(1);
const READ_BACKOFF_MAX: Millis = Millis::from_secs(60);

/// A 429's pause when it names no time.
const THROTTLE_PAUSE: Millis = Millis::from_secs(60);

/// No Retry-After is obeyed for longer (rule S3).
const RETRY_AFTER_MAX: Millis = Millis::from_hours(1);

/// In the order in which they are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    Reconcile,
    Watch,
    Verify,
    Precheck,
    Inventory,
}

const CLASSES: usize = 5;

/// What a read is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Purpose {
    /// The next page of the inventory sweep.
    Sweep,
    /// The next page of a watch sweep, of the task centre or of the instance list.
    WatchSweep,
    /// Does the task centre show the first accepted task?
    ProbeCentre,
    /// Does the instance list show it?
    ProbeList,
    /// Read ahead for the plan.
    Versions(TargetIx),
    /// Read again because the answer is too old to start on.
    VersionsAgain(TargetIx),
    /// The last look before an intent.
    LastLook(TargetIx),
    LookInstance(TargetIx),
    LookVersions(TargetIx),
    LookTasks {
        target: TargetIx,
        offset: usize,
    },
    Watch {
        target: TargetIx,
        offset: usize,
    },
    VerifyVersions(TargetIx),
    VerifyInstance(TargetIx),
    /// One page of the list for all that wait to begin settling.
    SettleSweep {
        offset: usize,
    },
}

impl Purpose {
    fn class(self) -> Class {
        match self {
            Purpose::LookInstance(_) | Purpose::LookVersions(_) | Purpose::LookTasks { .. } => {
                Class::Reconcile
            }
            Purpose::Watch { .. }
            | Purpose::WatchSweep
            | Purpose::ProbeCentre
            | Purpose::ProbeList => Class::Watch,
            Purpose::VerifyVersions(_)
            | Purpose::VerifyInstance(_)
            | Purpose::SettleSweep { .. } => Class::Verify,
            Purpose::Versions(_) | Purpose::VersionsAgain(_) | Purpose::LastLook(_) => {
                Class::Precheck
            }
            Purpose::Sweep => Class::Inventory,
        }
    }

    pub(super) fn target(self) -> Option<TargetIx> {
        match self {
            Purpose::Versions(target)
            | Purpose::VersionsAgain(target)
            | Purpose::LastLook(target)
            | Purpose::LookInstance(target)
            | Purpose::LookVersions(target)
            | Purpose::LookTasks { target, .. }
            | Purpose::Watch { target, .. }
            | Purpose::VerifyVersions(target)
            | Purpose::VerifyInstance(target) => Some(target),
            Purpose::Sweep
            | Purpose::WatchSweep
            | Purpose::ProbeCentre
            | Purpose::ProbeList
            | Purpose::SettleSweep { .. } => None,
        }
    }
}

/// A read that waits, with the epoch of the target that wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Wanted {
    pub(super) purpose: Purpose,
    pub(super) epoch: u32,
}

/// A read that was sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outstanding {
    pub(super) project: ProjectIx,
    pub(super) wanted: Wanted,
    /// Of the credential, when it was sent.
    pub(super) generation: u32,
}

/// One project's waiting reads.
#[derive(Debug, Default)]
pub(super) struct ReadQueue {
    waiting: [VecDeque<Wanted>; CLASSES],
    /// Draws of this frame, per class.
    drawn: [u32; CLASSES],
}

impl ReadQueue {
    fn push(&mut self, wanted: Wanted) {
        // Last looks go before read-ahead: a slot waits for them.
        let queue = &mut self.waiting[wanted.purpose.class() as usize];
        match wanted.purpose {
            Purpose::LastLook(_) | Purpose::VersionsAgain(_) => queue.push_front(wanted),
            _ => queue.push_back(wanted),
        }
    }

    /// All that wait, class by class.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Wanted> {
        self.waiting.iter().flatten()
    }

    fn push_front(&mut self, wanted: Wanted) {
        self.waiting[wanted.purpose.class() as usize].push_front(wanted);
    }

    /// The class whose turn it is.
    fn turn(&self) -> Option<usize> {
        let waits = |class: usize| !self.waiting[class].is_empty();
        let left = FRAME.saturating_sub(self.drawn.iter().sum());
        let starved = |class: &usize| waits(*class) && self.drawn[*class] == 0;
        let starving = (0..CLASSES).filter(starved).count() as u32;
        if starving > 0 && left <= starving {
            return (0..CLASSES).find(starved);
        }
        let watch = Class::Watch as usize;
        let others_wait = (0..CLASSES).any(|class| class != watch && waits(class));
        let watch_is_due = !others_wait || self.drawn[watch] < WATCH_SHARE;
        (0..CLASSES).find(|&class| waits(class) && (class != watch || watch_is_due))
    }

    fn pop(&mut self, class: usize) -> Option<Wanted> {
        let queue = &mut self.waiting[class];
        let wanted = queue.pop_front();
        if queue.is_empty() && queue.capacity() > KEPT_CAPACITY {
            // Read-ahead of a whole fleet was in it, once.
            *queue = VecDeque::new();
        }
        wanted
    }

    fn count(&mut self, class: usize) {
        if self.drawn.iter().sum::<u32>() >= FRAME {
            self.drawn = [0; CLASSES];
        }
        self.drawn[class] += 1;
    }
}

impl Engine {
    /// Wants a read for this purpose as soon as quota and credential allow it.
    pub(super) fn want(&mut self, project: ProjectIx, purpose: Purpose) {
        let epoch = self.epoch_of(purpose);
        self.projects[project.at()].queue.push(Wanted { purpose, epoch });
        self.mark_project(project);
    }

    /// Wants it at `at`.
    pub(super) fn want_at(&mut self, project: ProjectIx, purpose: Purpose, at: Steady) {
        if at <= self.now {
            return self.want(project, purpose);
        }
        let epoch = self.epoch_of(purpose);
        self.timers.push(at, Timer::Read(project, Wanted { purpose, epoch }));
    }

    /// A timer that wanted a read fired.
    pub(super) fn want_due(&mut self, project: ProjectIx, wanted: Wanted) {
        if self.is_current(wanted) {
            self.projects[project.at()].queue.push(wanted);
            self.mark_project(project);
        }
    }

    fn epoch_of(&self, purpose: Purpose) -> u32 {
        purpose.target().map_or(0, |target| self.targets[target.at()].epoch)
    }

    pub(super) fn is_current(&self, wanted: Wanted) -> bool {
        // Read-ahead outlives changes of the preparation; it is dropped once the verdict is in.
        if let Purpose::Versions(target) = wanted.purpose {
            let target = &self.targets[target.at()];
            return target.row.state == super::TargetState::Pending && !target.verdict_read;
        }
        wanted.epoch == self.epoch_of(wanted.purpose)
    }

    /// Draws reads while quota, credential and shares allow.
    pub(super) fn draw_reads(&mut self, ix: ProjectIx) {
        while let Some(class) = self.projects[ix.at()].queue.turn() {
            let Some(&wanted) = self.projects[ix.at()].queue.waiting[class].front() else { break };
            if !self.is_current(wanted) {
                self.projects[ix.at()].queue.pop(class);
                continue;
            }
            if wanted.purpose == (Purpose::SettleSweep { offset: 0 })
                && !self.is_settle_sweep_worth_it(ix)
            {
                self.projects[ix.at()].queue.pop(class);
                continue;
            }
            if !self.credential_has_room(ix) {
                break;
            }
            let now = self.now;
            let project = &mut self.projects[ix.at()];
            if !project.reads.draw(now) {
                let at = project.reads.next_at(now).max(now + Millis(1));
                self.wake_project(ix, at);
                break;
            }
            project.queue.pop(class);
            project.queue.count(class);
            self.touch_project(ix);
            self.send_read(ix, wanted);
        }
    }

    /// Whether another request may be begun with the project's credential (rule S12).
    pub(super) fn credential_has_room(&self, project: ProjectIx) -> bool {
        let credential = &self.credentials[self.projects[project.at()].credential.at()];
        let most = if credential.proven { PROVEN_IN_FLIGHT } else { 1 };
        credential.stopped.is_none()
            && credential.renewal != super::tables::Renewal::UnderWay
            && credential.in_flight < most
            && !self.is_stopping
            && self.is_owner
    }

    fn send_read(&mut self, project: ProjectIx, wanted: Wanted) {
        let call = self.call_for(project, wanted.purpose);
        self.begin_look_if_first(wanted.purpose);
        let generation = self.credential_used(project);
        self.last_read += 1;
        let id = ReadId(self.last_read);
        self.outstanding.insert(id, Outstanding { project, wanted, generation });
        let project = self.projects[project.at()].name.clone();
        self.out.requests.push(Request::Read(Read { id, project, call }));
    }

    fn call_for(&self, project: ProjectIx, purpose: Purpose) -> ReadCall {
        let project = &self.projects[project.at()];
        let instance = |target: TargetIx| self.targets[target.at()].row.id.instance.clone();
        match purpose {
            Purpose::Sweep => ReadCall::InventoryPage {
                offset: project.sweep.as_ref().map_or(0, |sweep| sweep.offset),
            },
            Purpose::WatchSweep => self.watch_sweep_call(project),
            Purpose::ProbeCentre => ReadCall::TaskCentre {
                since: project.watch.probe.as_ref().map_or(Wall(0), |probe| probe.since),
                offset: 0,
            },
            Purpose::ProbeList => ReadCall::InventoryPage { offset: 0 },
            Purpose::SettleSweep { offset } => ReadCall::InventoryPage { offset },
            Purpose::Versions(target)
            | Purpose::VersionsAgain(target)
            | Purpose::LookVersions(target)
            | Purpose::VerifyVersions(target) => ReadCall::Versions { instance: instance(target) },
            Purpose::LastLook(target)
            | Purpose::LookInstance(target)
            | Purpose::VerifyInstance(target) => ReadCall::Instance { instance: instance(target) },
            Purpose::LookTasks { target, offset } | Purpose::Watch { target, offset } => {
                let since = self.tasks_since(target);
                ReadCall::InstanceTasks { instance: instance(target), since, offset }
            }
        }
    }

    /// An answer to a read came.
    pub(super) fn read_answered(
        &mut self,
        id: ReadId,
        result: Result<Answered<ReadAnswer>, Answered<ReadFailure>>,
    ) {
        let Some(Outstanding { project, wanted, generation }) = self.outstanding.remove(&id) else {
            return self.anomaly(format!("an answer to read {}, which was never sent", id.0));
        };
        self.mark_project(project);
        let server_time = match &result {
            Ok(answered) => answered.server_time,
            Err(answered) => answered.server_time,
        };
        self.learn_skew(project, server_time);
        let status = match &result {
            Ok(answered) => answered.note.status,
            Err(failure) => failure.note.status,
        };
        let works = result.is_ok() || shows_credential_works(status);
        self.credential_answered(project, generation, works);
        if !matches!(&result, Err(failure) if failure.answer == ReadFailure::Unreachable) {
            self.cloud_answered(project);
        }
        match result {
            Ok(answered) => {
                self.read_succeeded(project);
                if self.is_current(wanted) {
                    if let Some(target) = wanted.purpose.target() {
                        self.targets[target.at()].read_failures = 0;
                        self.note_if_found(target, &answered.answer);
                    }
                    self.read_brought(project, wanted.purpose, answered.answer);
                }
            }
            Err(failure) => {
                if let ReadFailure::CredentialRefused { renewable } = failure.answer {
                    self.credential_refused(project, generation, renewable, &failure.note);
                }
                self.read_failed(project, wanted, failure.answer, &failure.note);
            }
        }
    }

    fn read_brought(&mut self, project: ProjectIx, purpose: Purpose, answer: ReadAnswer) {
        match (purpose, answer) {
            (Purpose::Sweep, ReadAnswer::InventoryPage { instances, rows, total }) => {
                self.sweep_page(project, instances, rows, total);
            }
            (Purpose::WatchSweep, ReadAnswer::InventoryPage { instances, rows, total }) => {
                self.watch_list_page(project, instances, rows, total);
            }
            (
                Purpose::SettleSweep { offset },
                ReadAnswer::InventoryPage { instances, rows, .. },
            ) => self.settle_page(project, offset, &instances, rows),
            (Purpose::WatchSweep, ReadAnswer::Tasks { tasks, rows }) => {
                self.watch_centre_page(project, tasks, rows);
            }
            (Purpose::ProbeCentre, ReadAnswer::Tasks { tasks, .. }) => {
                self.probed_centre(project, &tasks);
            }
            (Purpose::ProbeList, ReadAnswer::InventoryPage { instances, .. }) => {
                self.probed_list(project, &instances);
            }
            (
                Purpose::Versions(target) | Purpose::VersionsAgain(target),
                ReadAnswer::Versions(versions),
            ) => self.precheck_versions(target, versions),
            (Purpose::LastLook(target), ReadAnswer::Instance(instance)) => {
                self.last_look(target, &instance);
            }
            (Purpose::LookInstance(target), ReadAnswer::Instance(instance)) => {
                self.look_brought(target, |look| look.instance = Some(instance));
            }
            (Purpose::LookVersions(target), ReadAnswer::Versions(versions)) => {
                self.look_brought(target, |look| look.versions = Some(versions));
            }
            (Purpose::LookTasks { target, offset }, ReadAnswer::Tasks { tasks, rows }) => {
                let is_news = self.look_tasks_brought(target, tasks);
                if is_news && offset + rows < PAGE_ROWS {
                    self.want(project, Purpose::LookTasks { target, offset: offset + rows });
                } else {
                    self.look_brought(target, |look| look.tasks_done = true);
                }
            }
            (Purpose::Watch { target, offset }, ReadAnswer::Tasks { tasks, rows }) => {
                let more = rows > 0 && offset + rows < WATCHED_ROWS_MAX;
                self.watched_tasks(target, offset + rows, &tasks, more);
            }
            (Purpose::VerifyVersions(target), ReadAnswer::Versions(versions)) => {
                self.verify_versions(target, versions);
            }
            (Purpose::VerifyInstance(target), ReadAnswer::Instance(instance)) => {
                self.verify_instance(target, &instance);
            }
            (purpose, _) => {
                self.anomaly(format!("an answer of another kind to {purpose:?}"));
            }
        }
    }

    fn read_failed(
        &mut self,
        project: ProjectIx,
        wanted: Wanted,
        failure: ReadFailure,
        note: &AnswerNote,
    ) {
        match failure {
            ReadFailure::Throttled { limit, retry_after } => {
                self.throttled(project, Quota::Reads, limit, retry_after);
                self.put_back(project, wanted);
            }
            ReadFailure::CredentialRefused { .. } => self.put_back(project, wanted),
            ReadFailure::Gone => match wanted.purpose.target() {
                Some(target) if self.is_current(wanted) => self.read_gone(target, wanted.purpose),
                _ => {
                    self.read_again_later(project, wanted);
                }
            },
            ReadFailure::CapabilityAbsent => match wanted.purpose {
                Purpose::ProbeCentre => self.want(project, Purpose::ProbeList),
                Purpose::WatchSweep => {
                    self.watch_unusable(project, "the project has no such call");
                }
                _ => {
                    let code = note.code.as_deref().unwrap_or("404");
                    let why = format!("{code}: a call does not exist here");
                    self.stop_project(project, &why);
                    self.read_again_later(project, wanted);
                }
            },
            ReadFailure::Unreachable | ReadFailure::Forbidden | ReadFailure::Rejected => {
                // Whichever of them knows the read decides when it comes again.
                let look_at = self.look_failed(wanted.purpose);
                let precheck_at = self.precheck_failed(project, wanted);
                let read_at = self.read_again_later(project, wanted);
                if failure == ReadFailure::Unreachable {
                    let again_at = look_at.or(precheck_at).or(read_at);
                    self.cloud_missed(project, note, again_at.unwrap_or(self.now));
                }
            }
        }
    }

    /// A precheck that cannot be read gives its slot back: others go first.
    fn precheck_failed(&mut self, project: ProjectIx, wanted: Wanted) -> Option<Steady> {
        let (Purpose::LastLook(ix) | Purpose::VersionsAgain(ix)) = wanted.purpose else {
            return None;
        };
        if !self.is_current(wanted) {
            return None;
        }
        let failures = self.targets[ix.at()].read_failures + 1;
        let not_before = self.wall + self.read_backoff(project, wanted.purpose, failures);
        self.edit(ix, |target| {
            target.read_failures = failures;
            target.preparing = super::tables::Preparing::No;
            target.row.not_before = Some(not_before);
        });
        Some(self.steady_at(not_before))
    }

    fn put_back(&mut self, project: ProjectIx, wanted: Wanted) {
        if self.is_current(wanted) {
            self.projects[project.at()].queue.push_front(wanted);
        }
    }

    fn read_again_later(&mut self, project: ProjectIx, wanted: Wanted) -> Option<Steady> {
        if !self.is_current(wanted) {
            return None;
        }
        let failures = match wanted.purpose.target() {
            Some(target) => {
                let target = &mut self.targets[target.at()];
                target.read_failures += 1;
                target.read_failures
            }
            None => {
                let project = &mut self.projects[project.at()];
                project.sweep_failures += 1;
                project.sweep_failures
            }
        };
        let at = self.now + self.read_backoff(project, wanted.purpose, failures);
        self.timers.push(at, Timer::Read(project, wanted));
        Some(at)
    }

    /// Full jitter over a floor of half a second.
    pub(super) fn read_backoff(
        &self,
        project: ProjectIx,
        purpose: Purpose,
        failures: u32,
    ) -> Millis {
        let most = READ_BACKOFF.0 << failures.min(6);
        let most = most.min(READ_BACKOFF_MAX.0);
        let id = match purpose.target() {
            Some(target) => self.targets[target.at()].row.id.to_string(),
            None => self.projects[project.at()].name.to_string(),
        };
        let drawn = draw::unit(self.seed, "read-backoff", &id, u64::from(failures));
        Millis(READ_BACKOFF.0 / 2 + (drawn * most as f64) as i64)
    }

    /// A 429: learns the limit, pauses that quota.
    pub(super) fn throttled(
        &mut self,
        ix: ProjectIx,
        quota: Quota,
        limit: Option<crate::model::LearnedLimit>,
        retry_after: Option<Millis>,
    ) -> Steady {
        let window = limit.map_or(THROTTLE_PAUSE, |limit| limit.per);
        let pause = retry_after.map_or(window, |after| Millis(after.0.max(window.0)));
        let until = self.now + Millis(pause.0.clamp(1_000, RETRY_AFTER_MAX.0));
        for bound in self.bound_by(ix, limit) {
            let sharers = self.bound_by(ix, limit).len() as u32;
            let now = self.now;
            let project = &mut self.projects[bound.at()];
            let bucket = match quota {
                Quota::Starts => &mut project.starts,
                Quota::Reads => &mut project.reads,
            };
            let news = bucket.paused_until(now).is_none();
            bucket.pause(until);
            if let Some(limit) = limit {
                bucket.learn(now, limit, sharers);
            }
            self.touch_project(bound);
            if news {
                let until = self.wall_at(until);
                self.record_project(bound, Fact::QuotaPaused { quota, until, limit });
            }
            self.wake_project(bound, until);
        }
        until
    }

    /// The projects that a stated limit binds.
    fn bound_by(&self, ix: ProjectIx, limit: Option<crate::model::LearnedLimit>) -> Vec<ProjectIx> {
        use crate::model::LimitScope;
        let host = |ix: ProjectIx| {
            self.settings.projects.get(&self.projects[ix.at()].name).map(|policy| &policy.host)
        };
        let all = (0..self.projects.len() as u32).map(ProjectIx);
        match limit.map(|limit| limit.scope) {
            Some(LimitScope::User) => {
                let credential = self.projects[ix.at()].credential;
                all.filter(|other| self.projects[other.at()].credential == credential).collect()
            }
            Some(LimitScope::Ip) => all.filter(|other| host(*other) == host(ix)).collect(),
            Some(LimitScope::Api | LimitScope::App) | None => vec![ix],
        }
    }

    fn learn_skew(&mut self, project: ProjectIx, server_time: Option<Wall>) {
        if let Some(server) = server_time {
            self.projects[project.at()].skew = Some(server - self.wall);
        }
    }
}

/// Whether an answer with this status came from behind the gateway's authentication.
pub(super) fn shows_credential_works(status: Option<u16>) -> bool {
    matches!(status, Some(400 | 402..=406 | 409..=428))
}
