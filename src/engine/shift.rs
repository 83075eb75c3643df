//! The wall clock moved: which of the stored instants move with it.
//!
//! Every wait keeps its length. What an operator only reads (when a project was stopped, a campaign
//! paused or planned) and what stands in a calendar (freezes, windows) does not move, and neither
//! does a bake: it ends at a stored instant and is never shortened (rule S7). When a credential was
//! stopped does move: a refused key rests from there.

use crate::model::{Millis, Wall};

use super::rows::{AttemptRow, BucketRow, Flight, History, ProjectDetail, Rows, TargetRow};

/// A store that was written so far ahead of the clock was written under another clock.
const AHEAD: Millis = Millis::from_secs(5);

impl Rows {
    /// How far ahead of `now` the ledger ends; `None` within what clocks differ by. Rows do not tell
    /// it: some keep an instant for good that another clock once showed.
    fn ahead_of(&self, now: Wall) -> Option<Millis> {
        let ahead = self.last_at? - now;
        Some(ahead).filter(|ahead| *ahead > AHEAD)
    }

    /// Brings what was written under a clock ahead of `now` back onto this one; tells how far ahead
    /// that was.
    pub(crate) fn bring_back_to(&mut self, now: Wall) -> Option<Millis> {
        let by = self.ahead_of(now)?;
        self.shift(Millis::ZERO - by);
        self.last_at = Some(now);
        Some(by)
    }

    /// All that waits, with the limiters: no process holds these yet.
    fn shift(&mut self, by: Millis) {
        self.targets.iter_mut().for_each(|row| row.shift(by));
        self.attempts.iter_mut().for_each(|row| row.shift(by));
        for row in &mut self.credentials {
            move_all([&mut row.stopped_at], by);
        }
        for row in &mut self.projects {
            row.detail.shift(by);
            row.detail.starts.shift(by);
            row.detail.reads.shift(by);
        }
    }
}

impl TargetRow {
    /// One that has ended waits for nothing.
    pub(super) fn shift(&mut self, by: Millis) {
        if self.state.is_terminal() {
            return;
        }
        self.entered_at += by;
        move_all([&mut self.not_before, &mut self.detail.versions_at], by);
        if let Some(history) = &mut self.detail.history {
            let History { not_running_at, started_at, unread_since, .. } = &mut **history;
            move_all([not_running_at, started_at, unread_since], by);
        }
        if let Some(flight) = &mut self.detail.flight {
            flight.shift(by);
        }
    }
}

impl AttemptRow {
    /// `cloud_intent_at` is on the cloud's clock, which did not move.
    pub(super) fn shift(&mut self, by: Millis) {
        self.intent_at += by;
        self.not_after += by;
    }
}

impl Flight {
    fn shift(&mut self, by: Millis) {
        let instants = [
            &mut self.first_clean_at,
            &mut self.last_clean_at,
            &mut self.looks_from,
            &mut self.asked_to_wait_until,
            &mut self.observed_from,
            &mut self.first_miss_at,
            &mut self.running_since,
            &mut self.verifying_since,
            &mut self.settled_at,
            &mut self.finished_at,
            &mut self.unchanged_at,
        ];
        move_all(instants, by);
    }
}

impl ProjectDetail {
    /// The limiters of a running engine are steady: they move when they are written.
    pub(super) fn shift(&mut self, by: Millis) {
        let instants = [
            &mut self.backoff_until,
            &mut self.circuit_until,
            &mut self.watch_probed_at,
            &mut self.swept_at,
        ];
        move_all(instants, by);
    }
}

impl BucketRow {
    fn shift(&mut self, by: Millis) {
        self.arrival_us += by.0 * 1_000;
        move_all([&mut self.paused_until, &mut self.learned_at], by);
    }
}

fn move_all<const N: usize>(instants: [&mut Option<Wall>; N], by: Millis) {
    for instant in instants {
        *instant = instant.map(|at| at + by);
    }
}
