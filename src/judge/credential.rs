//! S12 from the cloud's log: one request at a time until a credential is proven, and next to none
//! after the first refusal.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Findings;
use super::evidence::Evidence;
use crate::sim::log::RequestLine;
use crate::sim::world::CallKind;

/// Requests that were under way when the first refusal arrived.
const BEGUN_AT_MOST: usize = 4;

pub(super) fn judge(evidence: &Evidence, findings: &mut Findings) {
    let mut by_user: BTreeMap<(Arc<str>, Arc<str>), Vec<&RequestLine>> = BTreeMap::new();
    for line in evidence.requests() {
        let signed = line.call.is_some_and(|call| !call.is_iam() && call != CallKind::Metadata);
        if let (true, Some(daemon), Some(credential)) = (signed, &line.daemon, &line.credential) {
            by_user.entry((daemon.clone(), credential.clone())).or_default().push(line);
        }
    }
    for ((daemon, credential), lines) in by_user {
        let proven = lines.iter().position(|line| matches!(line.status, Some(200..=299)));
        let early = &lines[..proven.map_or(lines.len(), |at| at + 1)];
        let overlap = early.windows(2).any(|pair| {
            let answered = pair[0].t_wall + pair[0].latency_ms;
            pair[0].status.is_some() && pair[1].t_wall < answered
        });
        findings.expect(12, !overlap, || {
            format!("{daemon}: two requests at once with the unproven {credential}")
        });
        let refused = longest_run_of_refusals(&lines);
        findings.expect(12, refused <= BEGUN_AT_MOST, || {
            format!("{daemon}: {refused} refusals in a row with {credential}")
        });
    }
}

fn longest_run_of_refusals(lines: &[&RequestLine]) -> usize {
    let (mut longest, mut run) = (0, 0);
    for line in lines {
        run = if line.status == Some(401) { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}
