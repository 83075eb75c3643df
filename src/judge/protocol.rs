//! S1, S2, S3 and S10: every upgrade the cloud received belongs to one committed attempt, no second
//! one follows without proof, and nothing was sent that had not been looked at.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::Findings;
use super::evidence::{Evidence, Sent};
use crate::engine::Fact;
use crate::engine::rows::{AttemptOutcome, AttemptRow};
use crate::model::{AttemptId, InstanceId, Millis, ProjectName, TargetId, Wall};
use crate::sim::world::CallKind;

/// From the intent to the cloud's log: the ticket's life and one connection (rule S3).
const ARRIVES_WITHIN: Millis = Millis::from_secs(10);

/// A look proves idleness for this long; the log shows it a request's time later (rule S10).
const LOOK_LASTS: Millis = Millis::from_secs(65);

/// A version answer counts for this long (rule S10).
const VERSIONS_LAST: Millis = Millis::from_hours(24);

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
    judge_waits(evidence, findings);
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

/// The same process showed the instance within the last minute, before it sent; its version had
/// been read within the last day.
fn judge_looked_at(evidence: &Evidence, sent: &Sent, findings: &mut Findings) {
    let mut reads = evidence.requests().filter(|line| {
        line.instance == sent.line.instance
            && line.project == sent.line.project
            && line.status == Some(200)
            && line.seq < sent.line.seq
    });
    let (mut looked, mut versions) = (false, false);
    for line in &mut reads {
        let age = sent.at() - line.t_wall;
        let by_this_process = line.daemon == sent.line.daemon;
        looked |= line.call == Some(CallKind::Show) && by_this_process && age <= LOOK_LASTS;
        versions |= line.call == Some(CallKind::Version) && age <= VERSIONS_LAST;
    }
    findings.expect(10, looked, || format!("{} was sent without a fresh look", sent.attempt));
    findings.expect(10, versions, || format!("{} was sent with no version read", sent.attempt));
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
    judge_open_attempts(evidence, findings);
}

/// At most one open attempt per instance, over all campaigns and processes, at any time.
fn judge_open_attempts(evidence: &Evidence, findings: &mut Findings) {
    let mut by_instance: BTreeMap<(&ProjectName, &InstanceId), Vec<&AttemptRow>> = BTreeMap::new();
    for attempt in &evidence.attempts {
        let target = &attempt.id.target;
        by_instance.entry((&target.project, &target.instance)).or_default().push(attempt);
    }
    for attempts in by_instance.values_mut() {
        attempts.sort_by_key(|attempt| (attempt.intent_at, attempt.ended_at.is_none()));
        for pair in attempts.windows(2) {
            let over = pair[0].ended_at.is_some_and(|end| end <= pair[1].intent_at);
            findings.expect(1, over, || {
                format!("{} was opened while {} was open", pair[1].id, pair[0].id)
            });
        }
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
pub(super) fn is_resolved(evidence: &Evidence, attempt: &AttemptRow) -> bool {
    evidence.events_of(&attempt.id.target).any(|event| matches!(event.fact, Fact::Resolved { .. }))
}

/// No intent comes before the instant that a 429, a conflict or a backoff put it off to.
fn judge_waits(evidence: &Evidence, findings: &mut Findings) {
    let mut put_off: BTreeMap<TargetId, Wall> = BTreeMap::new();
    for event in &evidence.ledger {
        let Some(target) = event.target() else { continue };
        match event.fact {
            Fact::Throttled { until, .. } => drop(put_off.insert(target, until)),
            Fact::Conflict { not_before, .. } => drop(put_off.insert(target, not_before)),
            Fact::NotApplied { not_before: Some(at) } => drop(put_off.insert(target, at)),
            Fact::RetryOrdered { .. } => drop(put_off.remove(&target)),
            Fact::Intent { .. } => {
                let early = put_off.remove(&target).filter(|&until| event.at < until);
                findings.look(
                    3,
                    early.map(|until| {
                        format!("{target} was not to be sent before {}", until.rfc3339())
                    }),
                );
            }
            _ => {}
        }
    }
}
