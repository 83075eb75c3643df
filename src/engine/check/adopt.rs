//! What a checker knows that begins with rows: all that an earlier process left.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Checker;
use super::facts::{AttemptFacts, OF_ANOTHER_PROCESS, Seen, TargetFacts};
use super::ledger::as_listed;
use crate::engine::rows::Rows;
use crate::model::{Steady, Versions};

impl Checker {
    /// Begins with what the store holds.
    pub(super) fn adopt_rows(&mut self, rows: &Rows) {
        // First, because the groups of a target are told from its instance.
        for row in &rows.instances {
            self.instance_mut(&row.project, &row.instance).listed = Some(Arc::new(as_listed(row)));
        }
        for row in &rows.campaigns {
            let facts = self.campaigns.entry(row.name.clone()).or_default();
            facts.state = Some(row.state);
            facts.causes = row.detail.causes.clone();
            facts.draining = row.detail.draining;
            facts.late = row.detail.late.map(|late| late.deadline);
            facts.wave = row.detail.wave;
            facts.bake = row.detail.bake_until.map(|until| (row.detail.wave, until));
            facts.consecutive_failures = row.detail.consecutive_failures;
        }
        for row in &rows.targets {
            let facts = TargetFacts::from_row(row);
            self.add(row.id.clone(), facts);
            let facts = self.instance_mut(&row.id.project, &row.id.instance);
            if let (Some(versions), Some(at)) = (&row.detail.versions, row.detail.versions_at) {
                let (at, what) = (Steady(at.0), Versions::clone(versions));
                let number = OF_ANOTHER_PROCESS;
                facts.versions = Some(Seen { asked_at: at, number, seen_at: at, what });
            }
        }
        for row in &rows.projects {
            let facts = self.projects.entry(row.name.clone()).or_default();
            facts.own_user = row.detail.own_user.clone().zip(row.detail.learned_with.clone());
        }
        // An earlier process heard the 200; this one may be the first to see the task's user.
        for row in &rows.targets {
            let flight = row.detail.flight.as_deref().filter(|flight| flight.is_accepted);
            let sent_with = flight.and_then(|flight| flight.sent_with.clone());
            if let (Some(task), Some(sent_with)) = (row.task.clone(), sent_with) {
                let project = self.projects.entry(row.id.project.clone()).or_default();
                project.accepted.insert(task, sent_with);
            }
        }
        for row in &rows.durations {
            self.durations.insert(row.class, row.samples.iter().collect());
        }
        for row in &rows.freezes {
            self.freezes.insert(row.scope.clone(), row.until);
        }
        let flights: BTreeMap<_, _> =
            rows.targets.iter().map(|row| (&row.id, row.detail.flight.as_deref())).collect();
        for row in &rows.attempts {
            if let Some(facts) = self.targets.get_mut(&row.id.target) {
                let flight = flights.get(&row.id.target).copied().flatten();
                facts.attempt = Some(AttemptFacts::from_row(row, flight));
            }
            self.take_attempt_row(row);
        }
    }
}
