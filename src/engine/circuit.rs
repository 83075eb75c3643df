//! A project's own pauses: the backoff after answers that never reached the cloud, the circuit
//! after unclear ones, the stop after refusals that no retry mends.

use std::sync::Arc;

use crate::model::{InstanceId, Millis, Steady, Wall, draw};

use super::Engine;
use super::event::Fact;
use super::index::ProjectIx;
use super::tables::Circuit;

/// Unclear answers in a row that open the circuit (docs/decisions.md: from POST to proof).
const UNCLEAR_RUN: u32 = 3;

/// Instances in a row answered 403 that stop the project.
const FORBIDDEN_RUN: usize = 3;

/// The project's backoff doubles from this to `BACKOFF_MAX`.
const BACKOFF_INITIAL: Millis = Millis::from_secs(10);
const BACKOFF_MAX: Millis = Millis::from_mins(15);

impl Engine {
    /// An answer that proves nothing, or no answer: three in a row open the circuit.
    pub(super) fn unclear_answer(&mut self, ix: ProjectIx) {
        let project = &mut self.projects[ix.at()];
        project.detail.unclear_run += 1;
        let probing = matches!(project.circuit, Circuit::HalfOpen { .. });
        let opens = project.detail.unclear_run >= UNCLEAR_RUN || probing;
        if opens {
            project.detail.circuit_opened_times += 1;
        }
        let times = project.detail.circuit_opened_times;
        self.touch_project(ix);
        if !opens {
            return;
        }
        let until = self.now + self.project_backoff(ix, "circuit", times);
        self.projects[ix.at()].circuit_opened_at.get_or_insert(self.now);
        let wall = self.wall_at(until);
        let project = &mut self.projects[ix.at()];
        project.circuit = Circuit::Open { until };
        project.detail.circuit_until = Some(wall);
        self.record_project(ix, Fact::CircuitOpened { until: wall });
        self.wake_project(ix, until);
        self.gate_changed();
    }

    /// An answer that is clear, whatever it says.
    pub(super) fn clear_answer(&mut self, ix: ProjectIx) {
        let detail = &mut self.projects[ix.at()].detail;
        if detail.unclear_run > 0 || detail.backoff_count > 0 {
            detail.unclear_run = 0;
            detail.backoff_count = 0;
            detail.backoff_until = None;
            self.touch_project(ix);
        }
    }

    /// The cloud accepted an upgrade: the circuit closes.
    pub(super) fn circuit_proved(&mut self, ix: ProjectIx) {
        self.projects[ix.at()].circuit_opened_at = None;
        let detail = &mut self.projects[ix.at()].detail;
        if detail.circuit_opened_times > 0 {
            detail.circuit_opened_times = 0;
            detail.circuit_until = None;
            self.touch_project(ix);
        }
        if self.projects[ix.at()].circuit != Circuit::Closed {
            self.projects[ix.at()].circuit = Circuit::Closed;
            self.record_project(ix, Fact::CircuitClosed);
            self.gate_changed();
        }
    }

    pub(super) fn circuit_due(&mut self, ix: ProjectIx) {
        let Circuit::Open { until } = self.projects[ix.at()].circuit else { return };
        if until > self.now {
            return self.wake_project(ix, until);
        }
        self.projects[ix.at()].circuit = Circuit::HalfOpen { read_succeeded: false };
        self.is_gate_dirty = true;
    }

    /// A read worked: after the circuit's backoff that lets one start through.
    pub(super) fn read_succeeded(&mut self, ix: ProjectIx) {
        let project = &mut self.projects[ix.at()];
        project.sweep_failures = 0;
        if let Circuit::HalfOpen { read_succeeded } = &mut project.circuit {
            *read_succeeded = true;
        }
    }

    /// The connection never stood: the whole project waits.
    pub(super) fn back_off_project(&mut self, ix: ProjectIx) -> Wall {
        self.projects[ix.at()].detail.backoff_count += 1;
        let count = self.projects[ix.at()].detail.backoff_count;
        let until = self.wall + self.project_backoff(ix, "not-sent", count);
        self.projects[ix.at()].detail.backoff_until = Some(until);
        self.touch_project(ix);
        let at = self.steady_at(until);
        self.wake_project(ix, at);
        until
    }

    pub(super) fn project_backoff_until(&self, ix: ProjectIx) -> Option<Wall> {
        self.projects[ix.at()].detail.backoff_until.filter(|&until| self.wall < until)
    }

    /// Any other answer ends a run of 403s.
    pub(super) fn not_forbidden(&mut self, ix: ProjectIx) {
        if !self.projects[ix.at()].detail.forbidden.is_empty() {
            self.projects[ix.at()].detail.forbidden.clear();
            self.touch_project(ix);
        }
    }

    /// 403 for one instance; three instances in a row stop the project.
    pub(super) fn forbidden(&mut self, ix: ProjectIx, instance: InstanceId) {
        let forbidden = &mut self.projects[ix.at()].detail.forbidden;
        if forbidden.last() != Some(&instance) {
            forbidden.push(instance);
        }
        let run = forbidden.len();
        self.touch_project(ix);
        if run >= FORBIDDEN_RUN {
            self.stop_project(ix, "403 for three instances in a row: check the permissions");
        }
    }

    /// Nothing starts here until an operator resumes it.
    pub(super) fn stop_project(&mut self, ix: ProjectIx, why: &str) {
        let why: Arc<str> = why.into();
        if self.projects[ix.at()].detail.stopped.is_some() {
            return;
        }
        self.projects[ix.at()].detail.stopped = Some(why.clone());
        self.projects[ix.at()].detail.stopped_at = Some(self.wall);
        self.touch_project(ix);
        self.record_project(ix, Fact::ProjectStopped { why });
        self.gate_changed();
    }

    pub(super) fn resume_project(&mut self, ix: ProjectIx) -> bool {
        if self.projects[ix.at()].detail.stopped.take().is_none() {
            return false;
        }
        self.projects[ix.at()].detail.forbidden.clear();
        self.projects[ix.at()].detail.stopped_at = None;
        self.touch_project(ix);
        self.record_project(ix, Fact::ProjectResumed);
        self.gate_changed();
        true
    }

    fn project_backoff(&self, ix: ProjectIx, purpose: &str, times: u32) -> Millis {
        let doubled = BACKOFF_INITIAL.0 << (times - 1).min(10);
        let most = doubled.min(BACKOFF_MAX.0);
        let name = self.projects[ix.at()].name.as_str();
        let drawn = draw::unit(self.seed, purpose, name, u64::from(times));
        // A floor of a second under full jitter, as for every start (rule S3).
        Millis(1_000 + (drawn * most as f64) as i64)
    }

    pub(super) fn circuit_open_until(&self, ix: ProjectIx) -> Option<Steady> {
        match self.projects[ix.at()].circuit {
            Circuit::Open { until } => Some(until),
            _ => None,
        }
    }
}
