//! Whether a project's cloud answers at all: several misses in a row become one event, the first
//! answer after them another. What happens per failure stays out of the ledger.
//!
//! This only tells. When to try again is decided where it always is: by each read's own backoff,
//! by the project's, by its circuit.

use std::sync::Arc;

use crate::model::{AnswerNote, Steady};

use super::Engine;
use super::event::Fact;
use super::index::ProjectIx;
use super::submit::note_text;
use super::view::Unreachable;

/// Reads and starts in a row without an answer that make the cloud unreachable. One may be a lost
/// packet; three come together within some ten seconds of the first, however little is read.
const MISSES: u32 = 3;

/// What was missed since the last answer.
#[derive(Debug)]
pub(super) struct Reach {
    misses: u32,
    since: Steady,
    /// Of the latest miss: the transport's error, or the status of a gateway with nothing behind.
    cause: Arc<str>,
    next_try: Steady,
}

impl Engine {
    /// A read, or a start, met nobody; it is tried again at `next_try`.
    pub(super) fn cloud_missed(&mut self, ix: ProjectIx, note: &AnswerNote, next_try: Steady) {
        let now = self.now;
        let reach = self.projects[ix.at()].reach.get_or_insert_with(|| Reach {
            misses: 0,
            since: now,
            cause: "".into(),
            next_try,
        });
        reach.misses = reach.misses.saturating_add(1);
        reach.cause = note_text(note).into();
        reach.next_try = if reach.next_try > now { reach.next_try.min(next_try) } else { next_try };
        if reach.misses == MISSES
            && let Some(Unreachable { since, cause, next_try }) = self.unreachable(ix)
        {
            self.record_project(ix, Fact::CloudUnreachable { since, cause, next_try });
        }
    }

    /// Any answer that came from the cloud, whatever it says.
    pub(super) fn cloud_answered(&mut self, ix: ProjectIx) {
        let Some(unreachable) = self.unreachable(ix) else {
            self.projects[ix.at()].reach = None;
            return;
        };
        self.projects[ix.at()].reach = None;
        let after = self.wall - unreachable.since;
        self.record_project(ix, Fact::CloudReachable { after });
    }

    /// Since when nobody answers there, and why; `None` while somebody does.
    pub(super) fn unreachable(&self, ix: ProjectIx) -> Option<Unreachable> {
        let reach = self.projects[ix.at()].reach.as_ref().filter(|each| each.misses >= MISSES)?;
        Some(Unreachable {
            since: self.wall_at(reach.since),
            cause: reach.cause.clone(),
            next_try: self.wall_at(reach.next_try),
        })
    }
}
