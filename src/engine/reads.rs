//! Reads: who may read next, and within which limits.
//!
//! A read is drawn only when the project's quota, its credential and the
//! class's turn allow it (rules S6 and S12), and is dropped unread if its reason is gone.

use crate::model::answer::Answered;
use crate::model::call::PAGE_ROWS;
use crate::model::{Millis, ReadAnswer, ReadCall, ReadFailure, Steady, Wall};

use super::Engine;
use super::index::{ProjectIx, TargetIx};
use super::read_queue::{Purpose, Wanted};
use super::request::{Read, ReadId, Request};
use super::timers::Timer;

/// Requests at once with a proven credential: were it revoked, no more than these would fail
/// before the first refusal is seen, and the cloud locks a key after five (rule S12).
pub(super) const PROVEN_IN_FLIGHT: u32 = 4;

/// An instance's tasks since its intent that a watch goes through at most: ours is among the first,
/// and a page may be as short as a single row (API facts, section 8 no. 10).
const WATCHED_ROWS_MAX: usize = 100;

/// A read that was sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outstanding {
    pub(super) project: ProjectIx,
    pub(super) wanted: Wanted,
    /// Of the credential, when it was sent.
    pub(super) generation: u32,
    /// What the answer shows stood at this instant at the earliest.
    pub(super) sent_at: Steady,
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
            let Some(wanted) = self.projects[ix.at()].queue.head(class) else { break };
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
        let (generation, sent_at) = (self.credential_used(project), self.now);
        self.last_read += 1;
        let id = ReadId(self.last_read);
        self.outstanding.insert(id, Outstanding { project, wanted, generation, sent_at });
        let project = self.projects[project.at()].name.clone();
        let is_proof = wanted.purpose.is_proof();
        self.out.requests.push(Request::Read(Read { id, project, call, is_proof }));
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
        let Some(sent) = self.outstanding.remove(&id) else {
            return self.anomaly(format!("an answer to read {}, which was never sent", id.0));
        };
        let Outstanding { project, wanted, generation, sent_at } = sent;
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
        // Of what cannot be read nobody knows who wrote the status.
        let is_read =
            !matches!(&result, Err(failure) if failure.answer == ReadFailure::Unreachable);
        let works = result.is_ok() || (is_read && shows_credential_works(status));
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
                        self.end_unread(target);
                        self.note_if_found(target, &answered.answer);
                    }
                    self.read_brought(project, wanted.purpose, answered.answer, sent_at);
                } else if let Some(target) = wanted.purpose.target() {
                    self.late_answer(target, answered.answer, sent_at);
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

    fn read_brought(
        &mut self,
        project: ProjectIx,
        purpose: Purpose,
        answer: ReadAnswer,
        sent_at: Steady,
    ) {
        match (purpose, answer) {
            (Purpose::Sweep, ReadAnswer::InventoryPage(page)) => self.sweep_page(project, &page),
            (Purpose::WatchSweep, ReadAnswer::InventoryPage(page)) => {
                self.watch_list_page(project, &page);
            }
            (Purpose::SettleSweep { offset }, ReadAnswer::InventoryPage(page)) => {
                self.settle_page(project, offset, &page);
            }
            (Purpose::WatchSweep, ReadAnswer::Tasks { tasks, rows }) => {
                self.watch_centre_page(project, tasks, rows);
            }
            (Purpose::ProbeCentre, ReadAnswer::Tasks { tasks, .. }) => {
                self.probed_centre(project, &tasks);
            }
            (Purpose::ProbeList, ReadAnswer::InventoryPage(page)) => {
                self.probed_list(project, &page);
            }
            (
                Purpose::Versions(target) | Purpose::VersionsAgain(target),
                ReadAnswer::Versions(versions),
            ) => self.precheck_versions(target, versions, sent_at),
            (Purpose::LastLook(target), ReadAnswer::Instance(instance)) => {
                self.last_look(target, &instance, sent_at);
            }
            (Purpose::LookInstance(target), ReadAnswer::Instance(instance)) => {
                self.look_brought(target, |look| look.instance = Some(instance));
            }
            (Purpose::LookVersions(target), ReadAnswer::Versions(versions)) => {
                self.look_brought(target, |look| look.versions = Some(versions));
            }
            (Purpose::LookTasks { target, offset }, ReadAnswer::Tasks { tasks, rows }) => {
                let is_news = self.look_tasks_brought(target, &tasks);
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
                self.verify_versions(target, versions, sent_at);
            }
            (Purpose::VerifyInstance(target), ReadAnswer::Instance(instance)) => {
                self.verify_instance(target, &instance);
            }
            (purpose, _) => {
                self.anomaly(format!("an answer of another kind to {purpose:?}"));
            }
        }
    }

    /// Nobody waits for it any more, but it tells what a start or a later look has to know.
    fn late_answer(&mut self, ix: TargetIx, answer: ReadAnswer, sent_at: Steady) {
        match answer {
            ReadAnswer::Versions(versions) => self.precheck_versions(ix, versions, sent_at),
            ReadAnswer::Tasks { tasks, .. }
                if self.targets[ix.at()].row.state == super::TargetState::Uncertain =>
            {
                let suspects = self.suspects(ix, None, &tasks);
                self.keep_suspects(ix, suspects.all);
            }
            _ => {}
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
