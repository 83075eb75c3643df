//! Rules S1, S2 and S3: one open attempt, its intent before its request, one ticket, and a new
//! attempt only where the one before is known to have done nothing.

use super::facts::AttemptFacts;
use super::{Checker, Rule};
use crate::engine::event::{Event, Fact};
use crate::engine::input::Input;
use crate::engine::order::Verdict;
use crate::engine::request::Submit;
use crate::engine::rows::{AttemptOutcome, AttemptRow};
use crate::engine::state::TargetState;
use crate::engine::{Request, Step};
use crate::model::{AttemptId, Millis, SubmitAnswer, TargetId, Wall};

/// A ticket is good for so long (rule S3).
pub(super) const TICKET_FOR: Millis = Millis::from_secs(5);

/// No backoff is shorter (states: backoff).
const BACKOFF_FLOOR: Millis = Millis::from_secs(1);

impl Checker {
    pub(super) fn attempt_mut(&mut self, id: &AttemptId) -> Option<&mut AttemptFacts> {
        let target = self.targets.get_mut(&id.target)?;
        let is_sent = target.state == TargetState::Submitting;
        target.attempt.as_mut().filter(|attempt| is_sent && attempt.id == *id)
    }

    /// The attempt of an intent: numbered on, and after nothing that may still have happened.
    pub(super) fn check_attempt(&mut self, event: &Event, target: &TargetId, attempt: &AttemptId) {
        let now = self.clock.elapsed();
        let Some(facts) = self.targets.get(target) else { return };
        let mut complaints = Vec::new();
        if attempt.target != *target || attempt.round != facts.round {
            complaints.push(format!("attempt {attempt} is of another target or round"));
        }
        if attempt.number != facts.number + 1 {
            complaints.push(format!("attempt {attempt} follows number {}", facts.number));
        }
        if let Some(before) = facts.attempt.as_ref().filter(|before| !before.is_definite) {
            complaints.push(format!("attempt {attempt} follows {}, whose end is open", before.id));
        }
        if facts.applied.is_some() {
            complaints.push(format!("attempt {attempt} follows one that was applied"));
        }
        let waits_until = facts.not_before.max(facts.asked_to_wait_until);
        if let Some(until) = waits_until.filter(|until| now < *until) {
            complaints
                .push(format!("attempt {attempt} is {} before its backoff ends", until - now));
        }
        for complaint in complaints {
            self.violate(Rule::S3, event.seq, complaint);
        }
        let in_flight = self.instance(&target.project, &target.instance);
        if in_flight.is_some_and(|facts| facts.in_flight > 0) {
            let detail = format!("attempt {attempt}: the instance is in flight already");
            self.violate(Rule::S1, event.seq, detail);
        }
    }

    /// The request of an intent, and its row, stand in the same step and say the same.
    pub(super) fn check_written_ahead(&mut self, event: &Event, attempt: &AttemptId, step: &Step) {
        let Fact::Intent { body, not_after, versions, known_tasks } = &event.fact else { return };
        let submits: Vec<&Submit> = submits(step).filter(|each| each.attempt == *attempt).collect();
        if submits.len() != 1 {
            let detail = format!("intent {attempt} has {} requests", submits.len());
            self.violate(Rule::S2, event.seq, detail);
        }
        let row = step.changes.attempts.iter().rev().find(|row| row.id == *attempt);
        let agrees = row.is_some_and(|row| {
            row.body == *body
                && row.not_after == *not_after
                && row.versions_before == *versions
                && row.known_tasks == *known_tasks
                && row.intent_at == event.at
                && row.outcome == AttemptOutcome::Open
                && row.ended_at.is_none()
        });
        if !agrees {
            let detail = format!("intent {attempt} has no row that says the same");
            self.violate(Rule::S2, event.seq, detail);
        }
        if body.is_empty() {
            self.violate(Rule::S2, event.seq, format!("the body of {attempt} is empty"));
        }
    }

    /// A request without its intent in the same step breaks rule S2; a ticket out twice or for too
    /// long breaks rule S3.
    pub(super) fn check_submit(&mut self, submit: &Submit, step: &Step) {
        let seq = self.last_seq;
        let intent = step.events.iter().find(|event| {
            matches!(event.fact, Fact::Intent { .. })
                && event.attempt.as_ref() == Some(&submit.attempt)
        });
        let Some(Event { fact: Fact::Intent { body, not_after, .. }, .. }) = intent else {
            let detail = format!("{} is sent without its intent", submit.attempt);
            return self.violate(Rule::S2, seq, detail);
        };
        let target = &submit.attempt.target;
        let says_the_same = submit.body == *body
            && submit.project == target.project
            && submit.instance == target.instance;
        if !says_the_same {
            let detail = format!("{} is sent otherwise than intended", submit.attempt);
            self.violate(Rule::S2, seq, detail);
        }
        let ends = self.clock.elapsed_of(submit.not_after);
        let same = ends == self.clock.elapsed_at(*not_after);
        if !same || ends > self.clock.elapsed() + TICKET_FOR {
            let detail = format!("the ticket {} is good for too long", submit.attempt);
            self.violate(Rule::S3, seq, detail);
        }
    }

    /// What an answer is said to have been must be what it was.
    pub(super) fn check_told_truly(&mut self, event: &Event, input: &Input) {
        let Some(attempt) = &event.attempt else { return };
        let answer = match input {
            Input::Submitted { attempt: answered, answer } if answered == attempt => {
                Some(&answer.answer)
            }
            _ => None,
        };
        let refused = matches!(input, Input::SendRefused { attempt: each, .. } if each == attempt);
        let is_true = match &event.fact {
            Fact::SendRefused { .. } => refused,
            Fact::Accepted { task, .. } => {
                matches!(answer, Some(SubmitAnswer::Accepted { task: told }) if told == task)
            }
            Fact::NotSent { .. } => matches!(answer, Some(SubmitAnswer::NotSent)),
            Fact::Throttled { .. } => matches!(answer, Some(SubmitAnswer::Throttled { .. })),
            Fact::ReportedCurrent { .. } => matches!(answer, Some(SubmitAnswer::ReportedCurrent)),
            Fact::CredentialRefused { .. } => {
                matches!(answer, Some(SubmitAnswer::CredentialRefused { .. }))
            }
            Fact::CapabilityAbsent { .. } => matches!(answer, Some(SubmitAnswer::CapabilityAbsent)),
            Fact::Rejected { .. } => {
                matches!(answer, Some(SubmitAnswer::Rejected { .. } | SubmitAnswer::Forbidden))
            }
            _ => true,
        };
        if !is_true {
            let detail = format!("{attempt}: the ledger tells another answer than came");
            self.violate(Rule::S3, event.seq, detail);
        }
    }

    /// A refusal because "an upgrade runs" may be about our own lost one.
    pub(super) fn check_conflict(&mut self, event: &Event, target: &TargetId, input: &Input) {
        let Some(facts) = self.targets.get(target) else { return };
        let Input::Submitted { answer, .. } = input else { return };
        let is_upgrading = answer.answer == SubmitAnswer::Conflict { upgrading: true };
        let frees = matches!(event.state, Some(TargetState::Pending | TargetState::Failed));
        if facts.state == TargetState::Submitting && facts.was_uncertain && is_upgrading && frees {
            let detail = format!("{target}: 4116 after an uncertain attempt needs a look");
            self.violate(Rule::S3, event.seq, detail);
        }
    }

    /// The end of a wait after `not_applied` or a conflict is at least the floor away.
    pub(super) fn check_backoff(&mut self, event: &Event, not_before: Wall) {
        let until = self.clock.elapsed_at(not_before);
        if until < self.clock.elapsed() + BACKOFF_FLOOR {
            self.violate(Rule::S3, event.seq, "a backoff is shorter than a second");
        }
    }

    /// At most one attempt of a round is ever applied.
    pub(super) fn count_applied(&mut self, event: &Event, target: &TargetId) {
        let is_applied = matches!(
            event.fact,
            Fact::Accepted { .. }
                | Fact::Adopted { .. }
                | Fact::Inferred { .. }
                | Fact::Resolved { verdict: Verdict::Applied { .. } }
        );
        let Some(facts) = self.targets.get_mut(target).filter(|_| is_applied) else { return };
        let number = event.attempt.as_ref().map_or(facts.number, |attempt| attempt.number);
        let before = facts.applied.replace(number);
        if before.is_some_and(|before| before != number) {
            self.violate(Rule::S1, event.seq, format!("{target}: two attempts were applied"));
        }
    }

    /// Rows of attempts: at most one open per instance.
    pub(super) fn take_attempt_row(&mut self, row: &AttemptRow) {
        self.check_known(row);
        let target = &row.id.target;
        let facts = self.instance_mut(&target.project, &target.instance);
        if row.ended_at.is_some() {
            facts.open.remove(&row.id);
        } else {
            facts.open.insert(row.id.clone());
            if facts.open.len() > 1 {
                let detail = format!("{} attempts of one instance are open", facts.open.len());
                self.violate(Rule::S1, self.last_seq, detail);
            }
        }
        let attempt = self.targets.get_mut(target).and_then(|facts| facts.attempt.as_mut());
        if let Some(attempt) = attempt.filter(|attempt| attempt.id == row.id) {
            attempt.row = Some(row.clone());
        }
    }

    /// After a restart every ticket of the process before counts as sent.
    pub(super) fn check_no_ticket_survived(&mut self) {
        let survivors: Vec<TargetId> = self
            .targets
            .iter()
            .filter(|(_, facts)| facts.state == TargetState::Submitting)
            .map(|(id, _)| id.clone())
            .collect();
        for target in survivors {
            let detail = format!("{target} is still submitting after a restart");
            self.violate(Rule::S3, self.last_seq, detail);
        }
    }
}

pub(super) fn submits(step: &Step) -> impl Iterator<Item = &Submit> {
    step.requests.iter().filter_map(|request| match request {
        Request::Submit(submit) => Some(submit),
        Request::Read(_) | Request::Renew { .. } => None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::example::{Scene, answered, attempt, body, target};
    use super::*;
    use crate::model::{AnswerNote, UpgradeBody};

    #[test]
    fn a_good_upgrade_breaks_no_rule() {
        let mut scene = Scene::new();
        scene.upgrade("a");
        scene.upgrade("b");
        scene.expect_good();
    }

    #[test]
    fn a_second_open_attempt_of_an_instance_breaks_s1() {
        let mut scene = Scene::new();
        scene.start("a");
        let mut row = scene.intent("b").changes.attempts[0].clone();
        row.id = AttemptId { target: target("a"), round: 2, number: 1 };
        let changes = crate::engine::Changes { attempts: vec![row], ..Default::default() };
        scene.give(Input::Tick, Step { changes, ..Step::default() });
        let found = scene.checker.violations();
        assert!(found.iter().any(|each| each.rule == Rule::S1), "{found:?}");
    }

    #[test]
    fn a_request_without_its_intent_breaks_s2() {
        let mut scene = Scene::new();
        scene.precheck("a");
        let step = scene.intent("a");
        let requests = step.requests.clone();
        scene.give(Input::Tick, step);
        scene.give(Input::Tick, Step { requests, ..Step::default() });
        scene.expect(Rule::S2);
    }

    #[test]
    fn an_intent_without_its_row_or_with_another_body_breaks_s2() {
        let mut scene = Scene::new();
        scene.precheck("a");
        let mut step = scene.intent("a");
        step.changes.attempts.clear();
        scene.give(Input::Tick, step);
        scene.expect(Rule::S2);

        let mut scene = Scene::new();
        scene.precheck("a");
        let mut step = scene.intent("a");
        if let Request::Submit(submit) = &mut step.requests[0] {
            submit.body = UpgradeBody { proxy: Some("latest".into()), ..body() };
        }
        scene.give(Input::Tick, step);
        scene.expect(Rule::S2);
    }

    #[test]
    fn a_ticket_that_is_good_for_longer_than_five_seconds_breaks_s3() {
        let mut scene = Scene::new();
        scene.precheck("a");
        let mut step = scene.intent("a");
        if let Request::Submit(submit) = &mut step.requests[0] {
            submit.not_after += Millis(1);
        }
        scene.give(Input::Tick, step);
        scene.expect(Rule::S3);
    }

    #[test]
    fn a_ticket_that_survives_a_restart_breaks_s3() {
        let mut scene = Scene::new();
        scene.start("a");
        scene.checker.restart(Millis::ZERO);
        scene.give(Input::Restarted, Step::default());
        scene.expect(Rule::S3);
    }

    #[test]
    fn an_answer_that_never_came_breaks_s3() {
        let mut scene = Scene::new();
        scene.start("a");
        let fact = Fact::NotSent {
            note: AnswerNote::default(),
            project_backoff_until: scene.wall() + Millis::from_secs(1),
        };
        let step = scene.step("a", fact, TargetState::Pending, |_| {});
        let answer = answered(SubmitAnswer::Uncertain);
        scene.give(Input::Submitted { attempt: attempt("a", 1), answer }, step);
        scene.expect(Rule::S3);
    }

    #[test]
    fn a_start_before_the_end_of_its_backoff_breaks_s3() {
        let mut scene = Scene::new();
        scene.start("a");
        let fact = Fact::Conflict {
            count: 1,
            not_before: scene.wall() + Millis::from_secs(30),
            note: AnswerNote::default(),
        };
        let step = scene.step("a", fact, TargetState::Pending, |_| {});
        let input = scene.submitted("a", SubmitAnswer::Conflict { upgrading: false });
        scene.give(input, step);
        scene.wait(Millis::from_secs(29));
        let step = scene.intent("a");
        scene.give(Input::Tick, step);
        scene.expect(Rule::S3);
    }

    #[test]
    fn a_4116_after_an_uncertain_attempt_must_be_looked_into() {
        let mut scene = Scene::new();
        scene.start("a");
        scene.lose("a");
        let verdict = Fact::Resolved { verdict: Verdict::NotApplied };
        let step = scene.step("a", verdict, TargetState::Pending, |_| {});
        scene.give(Input::Tick, step);
        scene.start("a");
        let fact = Fact::Conflict {
            count: 1,
            not_before: scene.wall() + Millis::from_secs(30),
            note: AnswerNote::default(),
        };
        let step = scene.step("a", fact, TargetState::Pending, |_| {});
        let input = scene.submitted("a", SubmitAnswer::Conflict { upgrading: true });
        scene.give(input, step);
        scene.expect(Rule::S3);
    }
}
