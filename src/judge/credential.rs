//! S12 from the cloud's log: one request at a time until a credential is proven, and next to none
//! after the first refusal, until it is renewed or an operator resumes it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Findings;
use super::evidence::Evidence;
use crate::engine::Fact;
use crate::model::{Millis, Wall};
use crate::sim::log::RequestLine;
use crate::sim::world::CallKind;

/// The longest that a request may be configured to take.
const LONGEST_REQUEST: Millis = Millis::from_secs(40);

/// Requests that were already under way when the first refusal came: four at once, less that one.
const ALREADY_BEGUN: usize = 3;

pub(super) fn judge(evidence: &Evidence, findings: &mut Findings) {
    let resumed: Vec<Wall> = evidence
        .ledger
        .iter()
        .filter(|event| matches!(event.fact, Fact::CredentialResumed { .. }))
        .map(|event| event.at)
        .collect();
    let mut by_user: BTreeMap<(Arc<str>, Arc<str>), Vec<&RequestLine>> = BTreeMap::new();
    for line in evidence.requests().filter(|line| line.call != Some(CallKind::Metadata)) {
        if let (Some(daemon), Some(credential)) = (&line.daemon, &line.credential) {
            by_user.entry((daemon.clone(), credential.clone())).or_default().push(line);
        }
    }
    let patience = evidence.settings.projects.values().map(|policy| policy.request_timeout).min();
    for ((daemon, credential), lines) in by_user {
        let mut follower = Follower::new(patience.unwrap_or(LONGEST_REQUEST));
        for line in lines {
            let breach = follower.follow(line, &resumed);
            findings.look(
                12,
                breach.map(|what| format!("{daemon}: {what} {credential} (line {})", line.seq)),
            );
        }
    }
}

/// One credential in one process, request by request in the order of arrival.
struct Follower {
    /// Nobody waits longer for an answer.
    patience: Millis,
    /// When the first answer that proved it left.
    proven_at: Option<Wall>,
    /// When the last answer left, or was no longer waited for.
    busy_until: Option<Wall>,
    /// When the first refusal left, and how many requests have come since.
    refused: Option<(Wall, usize)>,
}

impl Follower {
    fn new(patience: Millis) -> Follower {
        Follower { patience, proven_at: None, busy_until: None, refused: None }
    }

    fn follow(&mut self, line: &RequestLine, resumed: &[Wall]) -> Option<&'static str> {
        let came = line.t_wall;
        let succeeded = matches!(line.status, Some(200..=299));
        let is_over = self
            .refused
            .is_some_and(|(refused, _)| resumed.iter().any(|&at| refused <= at && at <= came));
        if is_over || (line.call.is_some_and(CallKind::is_iam) && succeeded) {
            self.renewed();
        }
        if line.call.is_some_and(CallKind::is_iam) {
            // Asked with the password itself, before there is anything to prove.
            return None;
        }
        // No answer left: the caller learnt that when the connection ended, no later than now.
        let answered = line.status.map_or(came, |_| came + line.latency_ms.min(self.patience));
        let is_proven = self.proven_at.is_some_and(|at| at <= came);
        let overlaps = !is_proven && self.busy_until.is_some_and(|until| came < until);
        self.busy_until = self.busy_until.max(Some(answered));
        if succeeded {
            let first = self.proven_at.map_or(answered, |at| at.min(answered));
            self.proven_at = Some(first);
        }
        let is_late = self.count_late(line, answered);
        if overlaps {
            return Some("two requests at once with the unproven");
        }
        is_late.then_some("begun after the refusal of")
    }

    /// Whether more came after the refusal than can have been under way.
    fn count_late(&mut self, line: &RequestLine, answered: Wall) -> bool {
        match &mut self.refused {
            Some((at, since)) if line.t_wall >= *at => {
                *since += 1;
                *since > ALREADY_BEGUN
            }
            Some(_) => false,
            None => {
                self.refused = (line.status == Some(401)).then_some((answered, 0));
                false
            }
        }
    }

    /// A new token, or an operator's word, after a refusal; a token for one more project renews
    /// nothing.
    fn renewed(&mut self) {
        if self.refused.take().is_some() {
            *self = Follower::new(self.patience);
        }
    }
}
