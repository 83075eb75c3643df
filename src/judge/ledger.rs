//! S11 from the store alone: the ledger has no gap, ends are final within their round, and its
//! fold equals the rows.

use std::collections::BTreeMap;

use super::Findings;
use super::evidence::Evidence;
use crate::engine::{Fact, TargetState};
use crate::model::TargetId;

pub(super) fn judge(evidence: &Evidence, findings: &mut Findings) {
    let mut folded: BTreeMap<TargetId, (TargetState, u32)> = BTreeMap::new();
    for (at, event) in evidence.ledger.iter().enumerate() {
        let expected = at as u64 + 1;
        findings.expect(11, event.seq == expected, || {
            format!("seq {} stands where {expected} should", event.seq)
        });
        let (Some(target), Some(state)) = (event.target(), event.state) else { continue };
        let reopened = matches!(event.fact, Fact::RetryOrdered { .. });
        let before = folded.get(&target).copied();
        let round = before.map_or(1, |(_, round)| round + u32::from(reopened));
        if let Some((before, _)) = before {
            let final_breach = before.is_terminal() && state != before && !reopened;
            let late_end = before.is_terminal() && !reopened && is_end(&event.fact);
            let in_table = before.is_terminal() || may_follow(before, state);
            findings.expect(11, !final_breach && !late_end && in_table, || {
                format!("{target} went from {before} to {state} by {:?}", event.fact)
            });
        }
        folded.insert(target, (state, round));
    }
    for row in &evidence.rows.targets {
        let fold = folded.get(&row.id).copied();
        findings.expect(11, fold == Some((row.state, row.round)), || {
            format!("{} is {} in the rows and {fold:?} in the ledger", row.id, row.state)
        });
    }
    findings.expect(11, evidence.rows.last_seq == evidence.ledger.len() as u64, || {
        format!("the ledger's last seq is {}", evidence.rows.last_seq)
    });
}

/// The states that may follow one that is not terminal, by whatever event.
fn may_follow(before: TargetState, state: TargetState) -> bool {
    use TargetState::{
        Cancelled, Failed, Pending, Running, Skipped, Submitting, Succeeded, Uncertain, Verifying,
    };
    let next: &[TargetState] = match before {
        Pending => &[Submitting, Failed, Skipped, Cancelled],
        Submitting => &[Uncertain, Running, Verifying, Pending, Failed],
        Uncertain => &[Running, Verifying, Pending, Failed],
        Running => &[Verifying, Succeeded, Failed],
        Verifying => &[Succeeded, Failed, Skipped],
        Succeeded | Failed | Skipped | Cancelled => &[Pending],
    };
    before == state || next.contains(&state)
}

fn is_end(fact: &Fact) -> bool {
    matches!(
        fact,
        Fact::Succeeded { .. }
            | Fact::Failed { .. }
            | Fact::Skipped { .. }
            | Fact::Cancelled { .. }
    )
}
