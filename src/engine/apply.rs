//! One input, applied: each arm hands it to the file that knows its subject.

use std::sync::Arc;

use crate::model::Millis;
use crate::model::Settings;

use super::Engine;
use super::event::Fact;
use super::index::{CampaignIx, TargetIx};
use super::input::{FreezeFile, Input, Ownership, StoreHealth};
use super::state::TargetState;
use super::timers::Timer;

impl Engine {
    pub(super) fn apply(&mut self, input: Input) {
        match input {
            Input::Tick => {}
            Input::Settings(settings) => self.apply_settings(settings),
            Input::Restarted => self.restarted(),
            Input::ClockStepped { offset } => self.clock_stepped(offset),
            Input::ClockAgreed => self.clock_agreed(),
            Input::Submitted { attempt, answer } => self.submitted(&attempt, answer),
            Input::SendRefused { attempt, why } => self.send_refused(&attempt, why),
            Input::Read { id, result } => self.read_answered(id, result),
            Input::Renewed { credential, result } => self.renewed(&credential, result),
            Input::Order(order) => self.order(order),
            Input::Forecast(forecast) => self.forecast_made(forecast),
            Input::Store(health) => self.store_is(health),
            Input::FreezeFile(file) => self.freeze_file_is(file),
            Input::Ownership(ownership) => self.ownership_is(ownership),
            Input::Stopping => {
                if !self.is_stopping {
                    self.is_stopping = true;
                    self.record_process(Fact::Stopping);
                    self.gate_changed();
                }
            }
        }
    }

    fn apply_settings(&mut self, settings: Arc<Settings>) {
        let (campaigns, projects) = (settings.campaigns.len(), settings.projects.len());
        self.settings_at = self.wall;
        self.load_settings(settings);
        if let Some(rows) = self.restoring.take() {
            self.load_rows(*rows);
        }
        self.compare_campaigns_with_file();
        self.record_process(Fact::SettingsLoaded {
            campaigns: campaigns as u32,
            projects: projects as u32,
        });
        self.forget_listed();
        self.calendar_changed();
        self.requeue_all();
        self.gate_changed();
    }

    fn restarted(&mut self) {
        self.record_process(Fact::Restarted);
        for at in 0..self.targets.len() as u32 {
            self.reopen(TargetIx(at));
        }
        self.begin_due_sweeps();
        self.mark_all_projects();
    }

    /// What the target waited for when the process ended is asked for again.
    fn reopen(&mut self, ix: TargetIx) {
        match self.targets[ix.at()].row.state {
            TargetState::Submitting => {
                self.observe_anew(ix);
                self.count_as_sent(ix);
            }
            TargetState::Uncertain => {
                // Clean looks count in a row, and only a process that ran all the while knows that.
                self.reset_clean(ix);
                self.observe_anew(ix);
                self.schedule_look(ix, self.wall);
            }
            TargetState::Running => {
                self.unwatched(ix);
                self.schedule_watch(ix, self.now);
            }
            TargetState::Verifying => {
                self.unwatched(ix);
                self.resume_verifying(ix);
            }
            TargetState::Pending => self.want_verdict(ix),
            _ => {}
        }
    }

    /// The instants of the rows move with the wall clock (`shift.rs`). What is due by it may be due
    /// now.
    fn clock_stepped(&mut self, offset: Millis) {
        let by = offset - self.offset;
        self.offset = offset;
        self.wall = self.wall_at(self.now);
        self.settings_at += by;
        self.is_clock_suspect = true;
        for at in 0..self.targets.len() {
            let row = &mut self.targets[at].row;
            if row.state.is_terminal() {
                continue;
            }
            row.shift(by);
            if let Some(look) = &mut self.targets[at].look {
                look.begun_at += by;
            }
            self.touch_target(TargetIx(at as u32));
        }
        for attempt in self.attempts.values_mut() {
            attempt.shift(by);
            self.out.changes.attempts.push(attempt.clone());
        }
        for at in 0..self.projects.len() {
            let project = &mut self.projects[at];
            project.skew = project.skew.map(|skew| skew - by);
            project.detail.shift(by);
            self.touch_project(super::index::ProjectIx(at as u32));
        }
        for at in 0..self.credentials.len() as u32 {
            let credential = &mut self.credentials[at as usize];
            if let Some(stopped_at) = &mut credential.stopped_at {
                *stopped_at += by;
                self.touch_credential(super::index::CredentialIx(at));
            }
        }
        self.record_process(Fact::ClockStepped { offset });
        (0..self.campaigns.len() as u32).for_each(|at| self.mark_campaign(CampaignIx(at)));
        self.calendar_changed();
        self.gate_changed();
    }

    fn clock_agreed(&mut self) {
        if self.is_clock_suspect {
            self.is_clock_suspect = false;
            self.record_process(Fact::ClockAgreed);
            self.gate_changed();
        }
    }

    fn store_is(&mut self, health: StoreHealth) {
        let failing = health == StoreHealth::Failing;
        if failing != self.is_store_failing {
            self.is_store_failing = failing;
            self.record_process(if failing { Fact::StoreFailing } else { Fact::StoreWorking });
            self.gate_changed();
        }
    }

    fn freeze_file_is(&mut self, file: FreezeFile) {
        let was_frozen = self.freeze_file.is_some();
        self.freeze_file = match file {
            FreezeFile::Present(path) => Some(path),
            FreezeFile::Absent => None,
        };
        let frozen = self.freeze_file.is_some();
        if frozen != was_frozen {
            self.record_process(if frozen { Fact::FrozenByFile } else { Fact::UnfrozenByFile });
            self.gate_changed();
        }
    }

    fn ownership_is(&mut self, ownership: Ownership) {
        let owner = ownership == Ownership::Owner;
        if owner != self.is_owner {
            self.is_owner = owner;
            self.record_process(if owner { Fact::OwnershipGained } else { Fact::OwnershipLost });
            self.gate_changed();
        }
    }

    pub(super) fn gate_changed(&mut self) {
        self.is_gate_dirty = true;
        self.mark_all_projects();
    }

    pub(super) fn timer_fired(&mut self, timer: Timer) {
        match timer {
            Timer::Target(ix) => self.target_due(ix),
            Timer::Read(project, wanted) => self.want_due(project, wanted),
            Timer::Campaign(ix) => {
                self.campaigns[ix.at()].wakes_at = None;
                self.calendar_due(ix);
                self.mark_campaign(ix);
            }
            Timer::Project(ix) => {
                self.project_due(ix);
                self.mark_project(ix);
            }
            Timer::Credential(ix) => self.credential_due(ix),
            Timer::Freezes => self.lift_ended_freezes(),
        }
    }

    fn target_due(&mut self, ix: TargetIx) {
        match self.targets[ix.at()].row.state {
            TargetState::Pending => self.requeue(ix),
            TargetState::Running => self.judge_overdue(ix),
            TargetState::Verifying => self.verifying_due(ix),
            _ => {}
        }
    }

    fn project_due(&mut self, ix: super::index::ProjectIx) {
        self.projects[ix.at()].wakes_at = None;
        self.begin_due_sweep(ix);
        self.begin_due_watch(ix);
        self.circuit_due(ix);
    }
}
