//! What the virtual host looks at beside the checker's rules: that a step leaves nothing to do, that
//! nobody waits for a wake-up that got lost, that the store holds what the engine holds.

use super::compare;
use super::host::Host;
use super::store::MemoryStore;
use crate::engine::{Engine, Input};
use crate::model::{Millis, Steady, draw};

/// So many problems are kept; one is already too many.
const PROBLEMS_MAX: usize = 100;

/// Every so many steps the whole state is compared with the store …
const COMPARE_EVERY: u64 = 256;

/// … but of a fleet larger than this, what goes through all of it is done only once in as many
/// steps as it has targets: it then costs no more than the steps themselves.
const SMALL_FLEET: usize = 1_000;

/// Of a fleet larger than that, about one step in so many is asked whether it left anything to do.
const REST_EVERY: f64 = 64.0;

impl Host {
    /// Right after a step there is nothing to do. In a large fleet only drawn steps are asked.
    pub(super) fn check_rest(&mut self, now: Steady) {
        let is_large = self.store.count_targets() > SMALL_FLEET;
        if is_large && draw::unit(self.seed, "rest", "", self.steps) * REST_EVERY >= 1.0 {
            return;
        }
        let Some(process) = &mut self.process else { return };
        let again = process.engine.step(now, Input::Tick);
        if !again.events.is_empty() || !again.changes.is_empty() || !again.requests.is_empty() {
            self.problem(format!("a tick right after a step led to {again:?}"));
        }
        let wakes_at = self.engine().and_then(Engine::wake_at);
        if wakes_at.is_some_and(|at| at <= now) {
            self.problem(format!("it wants to wake at {wakes_at:?}, which is not after {now:?}"));
        }
    }

    /// Whether to go through the whole fleet again, `every` so many steps if it is small.
    fn is_worth_it(&self, last: u64, every: u64) -> bool {
        let targets = self.store.count_targets();
        let every = if targets <= SMALL_FLEET { every } else { every.max(targets as u64) };
        self.steps - last >= every
    }

    /// Nothing waits for a wake-up that got lost.
    pub(super) fn check_wakes(&mut self) {
        if !self.is_worth_it(self.wakes_checked_at, 0) {
            return;
        }
        self.wakes_checked_at = self.steps;
        let lost = self.engine().map(Engine::lost_wakes).unwrap_or_default();
        lost.into_iter().for_each(|lost| self.problem(lost));
    }

    /// The rows that steps touched are all rows that changed.
    pub(super) fn compare_rows(&mut self) {
        if !self.is_worth_it(self.rows_compared_at, COMPARE_EVERY) {
            return;
        }
        self.rows_compared_at = self.steps;
        // What waits for a failing store is no difference.
        let Some(process) = self.process.as_ref().filter(|_| self.uncommitted.is_empty()) else {
            return;
        };
        let differences = compare::differences(&process.engine, &self.store);
        differences.into_iter().for_each(|difference| self.problem(difference));
    }

    /// What a process that began now would hold otherwise than the store does, and the rows that a
    /// second one would change, the tokens of its first reads apart; empty if all is well.
    pub fn rebuild(&self) -> Vec<String> {
        let mut store = self.store.clone();
        let now = Steady(self.wall().0);
        let begin = |store: &mut MemoryStore| {
            let mut engine = Engine::restore(store.rows(), Millis::ZERO, self.seed);
            let step = engine.step(now, Input::Settings(self.settings.clone()));
            store.commit(&step);
            compare::differences(&engine, store)
        };
        let mut complaints = begin(&mut store);
        let once = store.rows();
        complaints.extend(begin(&mut store));
        complaints.extend(compare::parting(once, store.rows()));
        complaints
    }

    fn problem(&mut self, problem: String) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(format!("at {}: {problem}", self.now.rfc3339()));
        }
    }
}
