//! Rule S11: the ledger is contiguous, follows the tables, and its fold equals the rows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::facts::{InstanceFacts, TargetFacts};
use super::table::{allows_target, campaign_after, confirms};
use super::{Checker, Rule};
use crate::engine::Step;
use crate::engine::event::{Event, Fact};
use crate::engine::input::Input;
use crate::engine::order::Verdict;
use crate::engine::rows::{CampaignRow, Changes, InstanceRow, TargetRow};
use crate::engine::state::TargetState;
use crate::model::policy::CampaignPolicy;
use crate::model::{
    CampaignName, CurrentTask, Edition, Instance, InstanceStatus, Steady, TargetId,
};

impl Checker {
    pub(super) fn policy(&self, campaign: &CampaignName) -> Option<Arc<CampaignPolicy>> {
        self.campaigns.get(campaign).and_then(|facts| facts.policy.clone())
    }

    pub(super) fn check_sequence(&mut self, events: &[Event]) {
        for event in events {
            if event.seq != self.last_seq + 1 {
                let detail = format!("entry {} follows entry {}", event.seq, self.last_seq);
                self.violate(Rule::S11, event.seq, detail);
            }
            if event.at != self.clock.wall() {
                self.violate(Rule::S11, event.seq, "an entry tells another time than it is");
            }
            self.last_seq = event.seq;
        }
    }

    pub(super) fn apply_event(&mut self, event: &Event, input: &Input, step: &Step) {
        match (event.target(), &event.campaign) {
            (Some(target), Some(campaign)) => {
                self.check_target_fact(event, &target, input, step);
                self.check_transition(event, &target);
                self.apply_target_event(event, &target, input);
                self.count_run(campaign, &event.fact);
            }
            (_, Some(campaign)) => self.apply_campaign_event(event, campaign),
            (_, None) => {
                self.apply_project_event(event, input);
                if let Fact::CredentialResumed { credential } = &event.fact {
                    self.trust_credential(credential);
                }
            }
        }
        match &event.fact {
            Fact::Frozen { scope, until } => {
                self.freezes.insert(scope.clone(), *until);
            }
            Fact::Unfrozen { scope } => {
                self.freezes.remove(scope);
            }
            _ => {}
        }
    }

    /// Rules that one target's event is judged by before it counts.
    fn check_target_fact(&mut self, event: &Event, target: &TargetId, input: &Input, step: &Step) {
        self.check_told_truly(event, input);
        match &event.fact {
            Fact::LookedClean { clean } => self.check_clean_look(event, target, *clean),
            Fact::LookedBusy { .. } => self.take_busy_look(target),
            Fact::NotApplied { not_before } => {
                self.check_not_applied(event, target, &step.events);
                not_before.iter().for_each(|until| self.check_backoff(event, *until));
            }
            Fact::Conflict { not_before, .. } => {
                self.check_conflict(event, target, input);
                self.check_backoff(event, *not_before);
            }
            Fact::Adopted { task } => self.check_adopted(event, target, task),
            Fact::Succeeded { .. } => {
                self.check_success(event, target);
                self.take_duration(event, target);
            }
            _ => {}
        }
        self.count_applied(event, target);
    }

    pub(super) fn check_transition(&mut self, event: &Event, target: &TargetId) {
        let from = self.targets.get(target).map(|facts| facts.state);
        let Some(to) = event.state else {
            let detail = format!("{target}: an event without a state");
            return self.violate(Rule::S11, event.seq, detail);
        };
        let is_confirmed = from == Some(to) && confirms(&event.fact, to);
        if !allows_target(from, &event.fact, to) && !is_confirmed {
            let from = from.map_or("nothing", TargetState::word);
            let detail = format!("{target}: {:?} leads from {from} to {to}", event.fact);
            self.violate(Rule::S11, event.seq, detail);
        }
        if let Fact::RetryOrdered { round } = &event.fact {
            let before = self.targets.get(target).map_or(0, |facts| facts.round);
            if *round != before + 1 {
                self.violate(Rule::S11, event.seq, format!("round {round} follows {before}"));
            }
            self.unbake(target);
        }
    }

    fn apply_target_event(&mut self, event: &Event, target: &TargetId, input: &Input) {
        let Some(state) = event.state else { return };
        if let Fact::TargetPlanned { wave, .. } | Fact::Joined { wave, .. } = &event.fact {
            self.join(target, *wave);
            return;
        }
        let asked = self.asked;
        let waits_until = match &event.fact {
            Fact::NotApplied { not_before: Some(until) }
            | Fact::Conflict { not_before: until, .. } => Some(self.clock.elapsed_at(*until)),
            _ => None,
        };
        let settled_at = match &event.fact {
            Fact::Settling { until } => Some(self.clock.elapsed_at(*until)),
            _ => None,
        };
        let (looks_from, now) = (self.looks_from(target, input), self.clock.elapsed());
        self.change(target, |facts| {
            facts.state = state;
            facts.held &= !state.is_terminal();
            facts.fold(&event.fact, looks_from, asked);
            facts.watched.fold(&event.fact, now);
            facts.not_before = waits_until.or(facts.not_before);
            facts.settled_at = settled_at.or(facts.settled_at);
        });
    }

    /// Looks count from the answer; after a restart, from when the ticket's request must be over.
    fn looks_from(&self, target: &TargetId, input: &Input) -> Steady {
        let now = self.clock.elapsed();
        if !matches!(input, Input::Restarted) {
            return now;
        }
        let timeout = self.settings.projects.get(&target.project).map(|p| p.request_timeout);
        let attempt = self.targets.get(target).and_then(|facts| facts.attempt.as_ref());
        match (attempt, timeout) {
            (Some(attempt), Some(timeout)) => {
                attempt.intent_at + super::attempts::TICKET_FOR + timeout
            }
            _ => now,
        }
    }

    /// A newcomer; or a pending target that moves up to fill an earlier wave.
    fn join(&mut self, target: &TargetId, wave: u32) {
        if self.targets.contains_key(target) {
            self.change(target, |facts| facts.wave = wave);
        } else {
            self.begin_target(target, wave);
        }
    }

    fn begin_target(&mut self, target: &TargetId, wave: u32) {
        let id = target.clone();
        let facts = TargetFacts {
            wave,
            state: TargetState::Pending,
            round: 1,
            number: 0,
            task: None,
            overdue: false,
            needs_operator: false,
            held: false,
            acknowledged: false,
            not_before: None,
            asked_to_wait_until: None,
            was_uncertain: false,
            sought: None,
            applied: None,
            attempt: None,
            groups: Vec::new(),
            settled_at: None,
            watched: Default::default(),
        };
        self.add(id, facts);
    }

    fn apply_campaign_event(&mut self, event: &Event, name: &CampaignName) {
        let facts = self.campaigns.entry(name.clone()).or_default();
        let from = facts.state;
        match campaign_after(from, &event.fact) {
            Ok(to) => facts.state = to,
            Err(()) => {
                let from = from.map_or("nothing", |state| state.word());
                let detail = format!("campaign {name}: {:?} while it is {from}", event.fact);
                self.violate(Rule::S11, event.seq, detail);
            }
        }
        let facts = self.campaigns.entry(name.clone()).or_default();
        match &event.fact {
            Fact::Paused { cause, .. } => {
                facts.causes.insert(cause.clone());
            }
            Fact::Resumed { left, .. } => facts.causes = left.iter().cloned().collect(),
            Fact::AbortOrdered => facts.draining = true,
            Fact::ForecastLate { deadline, .. } => facts.late = Some(*deadline),
            Fact::ForecastInTime { .. } => facts.late = None,
            Fact::Aborted => {
                facts.draining = false;
                facts.causes.clear();
                if facts.tally.waves.values().any(|wave| wave.unfinished > 0) {
                    let detail = format!("{name} aborted before all its targets ended");
                    self.violate(Rule::S11, event.seq, detail);
                }
            }
            Fact::Completed { .. }
                if facts.tally.waves.values().any(|wave| wave.unfinished > 0) =>
            {
                let detail = format!("{name} completed before all its targets");
                self.violate(Rule::S11, event.seq, detail);
            }
            _ => {}
        }
        self.count_run(name, &event.fact);
        self.apply_wave_event(event, name);
    }

    /// What rows say beyond the events: flags and attempts.
    pub(super) fn apply_rows(&mut self, changes: &Changes) {
        // The last row of an id wins; an attempt that ends makes room for one that begins.
        let last: BTreeMap<_, _> = changes.attempts.iter().map(|row| (&row.id, row)).collect();
        let mut rows: Vec<_> = last.into_values().collect();
        rows.sort_by_key(|row| row.ended_at.is_none());
        for row in rows {
            self.take_attempt_row(row);
        }
    }

    /// Flags count from the step's beginning: what an input led to comes before what is decided.
    pub(super) fn take_flags(&mut self, changes: &Changes) {
        for row in &changes.targets {
            self.change(&row.id, |facts| {
                facts.overdue = row.overdue;
                facts.needs_operator = row.needs_operator.is_some();
                facts.acknowledged = row.acknowledged;
            });
        }
    }

    pub(super) fn check_rows(&mut self, events: &[Event], changes: &Changes) {
        let mut rows: Vec<&TargetRow> = Vec::new();
        let mut known = BTreeSet::new();
        for row in changes.targets.iter().rev() {
            if known.insert(&row.id) {
                rows.push(row);
            }
        }
        for row in rows {
            if let Some(detail) = self.differs(row) {
                self.violate(Rule::S11, self.last_seq, detail);
            }
        }
        for event in events.iter().filter(|event| moves(&event.fact)) {
            let Some(target) = event.target() else { continue };
            if !known.contains(&target) {
                let detail = format!("{target}: {:?} and no row", event.fact);
                self.violate(Rule::S11, event.seq, detail);
            }
        }
        for row in &changes.durations {
            if let Some(detail) = self.durations_differ(row) {
                self.violate(Rule::S11, self.last_seq, detail);
            }
        }
        for row in &changes.campaigns {
            if let Some(detail) = self.campaign_differs(row) {
                self.violate(Rule::S11, self.last_seq, detail);
            }
        }
    }

    /// How a row differs from the fold of the ledger.
    pub(super) fn differs(&self, row: &TargetRow) -> Option<String> {
        let Some(facts) = self.targets.get(&row.id) else {
            return Some(format!("{}: a row and no event", row.id));
        };
        let same = facts.state == row.state
            && facts.round == row.round
            && facts.number == row.number
            && facts.wave == row.wave
            && facts.task == row.task
            && facts.held == row.held_by.is_some();
        (!same).then(|| {
            format!(
                "{}: its row says {} {}.{} task {:?}, the ledger {} {}.{} task {:?}",
                row.id,
                row.state,
                row.round,
                row.number,
                row.task,
                facts.state,
                facts.round,
                facts.number,
                facts.task,
            )
        })
    }

    pub(super) fn campaign_differs(&self, row: &CampaignRow) -> Option<String> {
        let facts = self.campaigns.get(&row.name)?;
        let same = facts.state == Some(row.state)
            && facts.draining == row.detail.draining
            && facts.wave == row.detail.wave
            && facts.causes == row.detail.causes
            && facts.late == row.detail.late.map(|late| late.deadline);
        (!same).then(|| {
            format!(
                "campaign {}: its row says {} in wave {} draining {} causes {:?}, the ledger {} in \
                 wave {} draining {} causes {:?}",
                row.name,
                row.state,
                row.detail.wave,
                row.detail.draining,
                row.detail.causes,
                facts.state.map_or("nothing", |state| state.word()),
                facts.wave,
                facts.draining,
                facts.causes,
            )
        })
    }
}

impl TargetFacts {
    fn fold(&mut self, fact: &Fact, looks_from: Steady, asked: u64) {
        match fact {
            Fact::Accepted { task, .. } | Fact::Adopted { task } => self.task = Some(task.clone()),
            Fact::Resolved { verdict: Verdict::Applied { task } } => self.task = task.clone(),
            Fact::BecameUncertain { .. } => {
                self.was_uncertain = true;
                self.seek();
                if let Some(attempt) = &mut self.attempt {
                    attempt.clean_looks.clear();
                    attempt.looks_from = looks_from;
                    attempt.looked_up_to = asked;
                }
            }
            Fact::LookedBusy { .. } => {
                if let Some(attempt) = &mut self.attempt {
                    attempt.looked_up_to = asked;
                }
            }
            Fact::Held => self.held = true,
            Fact::Released => self.held = false,
            Fact::RetryOrdered { round } => {
                self.round = *round;
                self.number = 0;
                self.task = None;
                self.applied = None;
                self.attempt = None;
                self.was_uncertain = false;
                self.sought = None;
                self.not_before = None;
                self.asked_to_wait_until = None;
            }
            _ => {}
        }
        if self.state == TargetState::Pending
            && let Some(attempt) = &mut self.attempt
        {
            attempt.is_definite = true;
        }
    }
}

impl InstanceFacts {
    pub(super) fn has_shown_task(&self, id: &crate::model::TaskId) -> bool {
        self.task_ids.contains(id)
    }
}

/// Facts that change a target's row.
fn moves(fact: &Fact) -> bool {
    !matches!(fact, Fact::EvidenceLate { .. } | Fact::Anomaly { .. } | Fact::TaskStatus { .. })
}

/// What the inventory said before this process: enough to select by. What proves that an instance
/// may be upgraded comes from a look of this process.
pub(super) fn as_listed(row: &InstanceRow) -> Instance {
    Instance {
        id: row.instance.clone(),
        name: row.name.clone(),
        status: InstanceStatus::Running,
        engine: "Redis".into(),
        engine_version: row.engine_version.clone(),
        cache_mode: row.cache_mode,
        edition: Edition::Unknown,
        spec_code: "".into(),
        tags: row.tags.clone(),
        zones: row.zones.clone(),
        service_upgrade: false,
        service_task_id: None,
        current_task: CurrentTask::NotShown,
    }
}

#[cfg(test)]
mod tests {
    use super::super::example::Scene;
    use super::*;
    use crate::engine::state::CampaignState;
    use crate::model::Millis;

    #[test]
    fn a_gap_in_the_ledger_breaks_s11() {
        let mut scene = Scene::new();
        scene.seq += 1;
        let event = scene.project_event(Fact::ProjectResumed);
        scene.give(Input::Tick, Step { events: vec![event], ..Step::default() });
        scene.expect(Rule::S11);
    }

    #[test]
    fn an_event_that_the_tables_do_not_allow_breaks_s11() {
        let mut scene = Scene::new();
        let settling = Fact::Settling { until: scene.wall() };
        let step = scene.step("a", settling, TargetState::Verifying, |_| {});
        scene.give(Input::Tick, step);
        scene.expect(Rule::S11);
    }

    #[test]
    fn a_row_that_says_something_else_than_the_ledger_breaks_s11() {
        let mut scene = Scene::new();
        let step = scene.step("a", Fact::Held, TargetState::Pending, |_| {});
        scene.give(Input::Tick, step);
        scene.expect(Rule::S11);

        let mut scene = Scene::new();
        let missed = Fact::WindowClosed { close: scene.wall(), in_flight: 0 };
        let step = scene.campaign_step(missed, |row| row.state = CampaignState::Completed);
        scene.give(Input::Tick, step);
        scene.expect(Rule::S11);
    }

    #[test]
    fn an_event_without_its_row_breaks_s11() {
        let mut scene = Scene::new();
        let mut step = scene.step("a", Fact::Held, TargetState::Pending, |row| {
            row.held_by = Some("ann".into());
        });
        step.changes.targets.clear();
        scene.give(Input::Tick, step);
        scene.expect(Rule::S11);
    }

    #[test]
    fn a_campaign_that_completes_early_breaks_s11() {
        let mut scene = Scene::new();
        scene.wait(Millis::from_secs(1));
        let fact = Fact::Completed { with_failures: false };
        let step = scene.campaign_step(fact, |row| row.state = CampaignState::Completed);
        scene.give(Input::Tick, step);
        scene.expect(Rule::S11);
    }
}
