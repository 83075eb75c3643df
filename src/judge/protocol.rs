//! S1, S2, S3, S10 and S13: every upgrade the cloud received belongs to one committed attempt,
//! every applied one is known, and nothing was sent that had not been looked at.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::Findings;
use super::evidence::{Evidence, Sent};
use crate::engine::TargetState;
use crate::engine::rows::{AttemptOutcome, AttemptRow};
use crate::model::{AttemptId, Millis, TaskId};
use crate::sim::world::CallKind;

/// From the intent to the cloud's log: the ticket's life and one connection (rule S3).
const ARRIVES_WITHIN: Millis = Millis::from_secs(10);

/// A look proves idleness for this long; the log shows it a request's time later (rule S10).
const LOOK_LASTS: Millis = Millis::from_secs(65);

/// The least that a backoff adds after the observation (rule S3).
const BACKOFF_FLOOR: Millis = Millis::from_secs(1);

pub(super) fn judge(evidence: &Evidence, findings: &mut Findings) {
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for sent in evidence.sent() {
        let first = seen.insert(sent.attempt);
        findings.expect(3, first, || format!("{} was received twice", sent.attempt));
        match evidence.attempt(sent.attempt) {
            None => findings.look(2, Some(format!("{} was sent and is not stored", sent.attempt))),
            Some(attempt) => judge_sent(evidence, &sent, attempt, findings),
        }
        judge_looked_at(evidence, &sent, findings);
    }
    judge_applied_once(evidence, findings);
    judge_resends(evidence, findings);
    judge_known(evidence, findings);
}

fn judge_sent(evidence: &Evidence, sent: &Sent, attempt: &AttemptRow, findings: &mut Findings) {
    let id = sent.attempt;
    let hash = hex::encode(Sha256::digest(attempt.body.to_json()));
    let same = sent.line.body_sha256.as_deref() == Some(hash.as_str());
    findings.expect(2, same, || format!("{id} was sent with another body than was committed"));
    let committed = attempt.intent_at <= sent.at();
    findings.expect(2, committed, || format!("{id} was received before its intent"));
    let in_time = sent.at() <= attempt.intent_at + ARRIVES_WITHIN;
    findings.expect(3, in_time, || {
        format!("{id} was received {} after its intent", sent.at() - attempt.intent_at)
    });
    let wanted = evidence.settings.campaigns.get(&attempt.id.target.campaign);
    let asked = wanted.is_none_or(|policy| {
        (attempt.body.engine.is_none() || attempt.body.engine == policy.engine)
            && (attempt.body.proxy.is_none() || attempt.body.proxy == policy.proxy)
            && !attempt.body.is_empty()
    });
    findings.expect(10, asked, || format!("{id} asks for what its campaign does not"));
}

/// The same process showed the instance within the last minute, before it sent.
fn judge_looked_at(evidence: &Evidence, sent: &Sent, findings: &mut Findings) {
    let looked = evidence.requests().any(|line| {
        line.call == Some(CallKind::Show)
            && line.instance == sent.line.instance
            && line.daemon == sent.line.daemon
            && line.status == Some(200)
            && line.seq < sent.line.seq
            && sent.at() - line.t_wall <= LOOK_LASTS
    });
    findings.expect(10, looked, || format!("{} was sent without a fresh look", sent.attempt));
}

/// At most one upgrade applied per instance, campaign and round.
fn judge_applied_once(evidence: &Evidence, findings: &mut Findings) {
    let mut applied: BTreeMap<(String, u32), Vec<&str>> = BTreeMap::new();
    for sent in evidence.sent().filter(|sent| sent.line.applied) {
        if let Ok(id) = sent.attempt.parse::<AttemptId>() {
            let key = (id.target.to_string(), id.round);
            applied.entry(key).or_default().push(sent.attempt);
        }
    }
    for ((target, round), attempts) in applied {
        findings.expect(1, attempts.len() == 1, || {
            format!("{target} was upgraded {} times in round {round}", attempts.len())
        });
    }
    let mut open: BTreeSet<String> = BTreeSet::new();
    for attempt in evidence.attempts.iter().filter(|attempt| attempt.ended_at.is_none()) {
        let target = &attempt.id.target;
        let key = format!("{}/{}", target.project, target.instance);
        let first = open.insert(key.clone());
        findings.expect(1, first, || format!("{key} has two open attempts"));
    }
}

/// A second attempt follows a definite end of the first, and what looks proved took its time.
fn judge_resends(evidence: &Evidence, findings: &mut Findings) {
    let mut by_target: BTreeMap<String, Vec<&AttemptRow>> = BTreeMap::new();
    for attempt in &evidence.attempts {
        let key = format!("{} round {}", attempt.id.target, attempt.id.round);
        by_target.entry(key).or_default().push(attempt);
    }
    for (target, mut attempts) in by_target {
        attempts.sort_by_key(|attempt| attempt.id.number);
        for pair in attempts.windows(2) {
            let (first, second) = (pair[0], pair[1]);
            let over = first.ended_at.is_some_and(|end| end <= second.intent_at);
            let definite = matches!(
                first.outcome,
                AttemptOutcome::NotApplied | AttemptOutcome::NotSent { .. }
            );
            findings.expect(3, over && definite, || {
                format!("{target}: attempt {} began while {} was open", second.id, first.id)
            });
            if first.outcome == AttemptOutcome::NotApplied && !is_resolved(evidence, first) {
                judge_observed(evidence, first, second, findings);
            }
        }
    }
}

fn judge_observed(
    evidence: &Evidence,
    first: &AttemptRow,
    second: &AttemptRow,
    findings: &mut Findings,
) {
    let policy = evidence.settings.campaigns.get(&first.id.target.campaign);
    let observe_for = policy.map_or(Millis::ZERO, |policy| policy.observe_for);
    let earliest = first.intent_at + observe_for + BACKOFF_FLOOR;
    findings.expect(3, second.intent_at >= earliest, || {
        let gap = second.intent_at - first.intent_at;
        format!("{} was sent again after {gap}, observe_for is {observe_for}", first.id)
    });
}

/// An operator's verdict needs no looks.
fn is_resolved(evidence: &Evidence, attempt: &AttemptRow) -> bool {
    evidence
        .events_of(&attempt.id.target)
        .any(|event| matches!(event.fact, crate::engine::Fact::Resolved { .. }))
}

/// Every applied upgrade is known at rest, every recorded task existed, every success is real.
fn judge_known(evidence: &Evidence, findings: &mut Findings) {
    let tasks: BTreeSet<&TaskId> = evidence.tasks().map(|task| &task.task_id).collect();
    for sent in evidence.sent().filter(|sent| sent.line.applied) {
        let row = evidence.attempt(sent.attempt).and_then(|attempt| {
            evidence.rows.targets.iter().find(|row| row.id == attempt.id.target)
        });
        let Some(row) = row else { continue };
        let at_rest = row.state.is_terminal();
        let outcome = evidence.attempt(sent.attempt).map(|attempt| &attempt.outcome);
        let known = match outcome {
            Some(AttemptOutcome::Applied { task: Some(task) }) => {
                sent.line.task_id.as_ref() == Some(task)
            }
            Some(AttemptOutcome::Applied { task: None }) => true,
            _ => row.needs_operator.is_some(),
        };
        findings.expect(13, known || !at_rest, || {
            format!("{} was applied as {:?} and is not known", sent.attempt, sent.line.task_id)
        });
    }
    for attempt in &evidence.attempts {
        if let AttemptOutcome::Applied { task: Some(task) } = &attempt.outcome {
            let existed = tasks.contains(task);
            findings.expect(13, existed, || format!("{}: task {task} never existed", attempt.id));
        }
    }
    judge_final_versions(evidence, findings);
}

fn judge_final_versions(evidence: &Evidence, findings: &mut Findings) {
    for row in evidence.rows.targets.iter().filter(|row| row.state == TargetState::Succeeded) {
        let Some(project) = evidence.settings.projects.get(&row.id.project) else { continue };
        let key = (project.project_id.clone(), row.id.instance.clone());
        let (Some(truth), Some(believed)) =
            (evidence.final_versions.get(&key), row.detail.versions.as_ref())
        else {
            continue;
        };
        let same = truth.engine.current == believed.engine.current
            && (believed.proxy.current.is_none() || truth.proxy.current == believed.proxy.current);
        findings.expect(13, same, || format!("{} runs another version than recorded", row.id));
    }
}
