//! What a finished run is judged by: the checker's rules, and the simulated cloud's ground truth.
//!
//! The checker sees what the engine decided; only the cloud knows what came of it.

use std::collections::BTreeMap;

use super::Host;
use crate::engine::check::Rule;
use crate::engine::rows::{AttemptRow, TargetRow};
use crate::engine::{Fact, Reason, TargetState};
use crate::model::{AttemptId, Part, TargetId, Versions};
use crate::sim::world::{Applied, Outcome, Span};

/// Everything that is wrong with a run that its cloud saw from the beginning, as one sentence each.
pub fn complaints(host: &Host) -> Vec<String> {
    let mut all = broken_rules(host);
    all.extend(contradictions(host));
    let late = host.upgrade_calls().iter().filter(|call| call.is_late);
    all.extend(late.map(|call| format!("S4: {} was begun after its ticket ran out", call.attempt)));
    all
}

/// Broken rules, with a last recount, and whatever else is wrong. All that can be asked where the
/// rows are older than the simulated cloud, which does not know what became of them before.
pub fn broken_rules(host: &Host) -> Vec<String> {
    let broken = host.violations().iter().map(ToString::to_string);
    let recounted = host.recount().into_iter().map(|each| format!("recount: {each}"));
    broken.chain(recounted).chain(host.problems().iter().cloned()).collect()
}

/// Rules S1, S2 and S13 by what the cloud really did.
fn contradictions(host: &Host) -> Vec<String> {
    let mut complaints = Vec::new();
    let intents: BTreeMap<&AttemptId, _> = host
        .store()
        .ledger()
        .iter()
        .filter_map(|event| match (&event.fact, &event.attempt) {
            (Fact::Intent { body, .. }, Some(attempt)) => Some((attempt, body)),
            _ => None,
        })
        .collect();
    let succeeded = successes(host);
    for (_, instance, mut truth) in host.world().truths() {
        truth.applied.retain(|applied| !is_erased(host, applied));
        let mut rounds: BTreeMap<(TargetId, u32), u32> = BTreeMap::new();
        for applied in &truth.applied {
            let attempt: AttemptId = match applied.attempt.as_deref().map(str::parse) {
                Some(Ok(attempt)) => attempt,
                _ => {
                    complaints
                        .push(format!("S2: {instance} was upgraded by {:?}", applied.attempt));
                    continue;
                }
            };
            // Nobody can be judged by what no store holds any more.
            if host.forgotten().contains(&attempt) {
                continue;
            }
            if intents.get(&attempt) != Some(&&applied.body) {
                complaints.push(format!("S2: {attempt} was applied without its intent"));
            }
            *rounds.entry((attempt.target.clone(), attempt.round)).or_default() += 1;
            complaints.extend(unknown(host, &attempt, applied));
        }
        for ((target, round), count) in rounds {
            if count > 1 {
                complaints.push(format!("S1: {count} upgrades of {target} in round {round}"));
            }
        }
        complaints.extend(overlap(instance, &truth.applied));
        let succeeded = succeeded.get(instance).map_or(&[][..], Vec::as_slice);
        complaints.extend(false_success(succeeded, &truth.versions));
    }
    complaints
}

/// The cloud itself has forgotten it, and no version tells of it: beyond what can be promised.
fn is_erased(host: &Host, applied: &Applied) -> bool {
    let forgets = host.world().knobs().records_kept != Span::default();
    !applied.outcome.moves_versions() && (forgets || applied.outcome == Outcome::VanishesUnchanged)
}

/// Two upgrades of one instance at once (rule S1).
fn overlap(instance: &str, applied: &[Applied]) -> Option<String> {
    applied
        .windows(2)
        .any(|pair| pair[0].ended_at.is_none_or(|ended| pair[1].at < ended))
        .then(|| format!("S1: two upgrades of {instance} ran at once"))
}

/// An applied upgrade that nobody knows of, at rest (rule S13).
fn unknown(host: &Host, attempt: &AttemptId, applied: &Applied) -> Option<String> {
    let row = host.store().target(&attempt.target)?;
    let is_last = row.round == attempt.round;
    if !is_last || !row.state.is_terminal() || row.needs_operator.is_some() {
        return None;
    }
    let is_known = row.task.as_ref() == Some(&applied.task)
        || matches!(row.reason, Some(Reason::Inferred | Reason::Operator | Reason::Gone))
        || (row.state == TargetState::Succeeded && row.task.is_none());
    (!is_known)
        .then(|| format!("{}: {attempt} was applied, and its target is {}", Rule::S13, row.state))
}

/// Targets that the versions proved, by instance, with the attempt that moved them.
type Successes<'a> = BTreeMap<&'a str, Vec<(&'a TargetRow, &'a AttemptRow)>>;

fn successes(host: &Host) -> Successes<'_> {
    let attempts = host.store().attempts();
    // Of a round the last one stays.
    let last: BTreeMap<(&TargetId, u32), &AttemptRow> =
        attempts.map(|attempt| ((&attempt.id.target, attempt.id.round), attempt)).collect();
    let mut by_instance = Successes::new();
    for row in host.store().targets() {
        let is_proved = row.state == TargetState::Succeeded && row.reason != Some(Reason::Operator);
        if let Some(attempt) = last.get(&(&row.id, row.round)).filter(|_| is_proved) {
            by_instance.entry(row.id.instance.as_str()).or_default().push((row, attempt));
        }
    }
    by_instance
}

/// A success that the cloud does not show (rule S13).
fn false_success(succeeded: &[(&TargetRow, &AttemptRow)], versions: &Versions) -> Option<String> {
    succeeded.iter().find_map(|(row, attempt)| {
        // What the cloud released since takes nothing back.
        let before = &attempt.versions_before;
        let unmoved = attempt
            .body
            .parts()
            .find(|part: &Part| versions.part(*part).current == before.part(*part).current);
        unmoved.map(|part| format!("S13: {} succeeded and its {part:?} has not moved", row.id))
    })
}
