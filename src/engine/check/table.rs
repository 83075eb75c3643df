//! Rule S11: the transitions that the state tables allow, and no others.

use crate::engine::event::Fact;
use crate::engine::order::Verdict;
use crate::engine::state::{CampaignState, Reason, TargetState};

/// Whether the tables let `fact` lead a target from `from` (`None`: not planned) to `to`.
pub(super) fn allows_target(from: Option<TargetState>, fact: &Fact, to: TargetState) -> bool {
    use TargetState as T;
    let Some(from) = from else {
        return matches!(fact, Fact::TargetPlanned { .. } | Fact::Joined { .. })
            && to == T::Pending;
    };
    let stays = from == to;
    match fact {
        Fact::Intent { .. } => (from, to) == (T::Pending, T::Submitting),
        Fact::SendRefused { .. }
        | Fact::NotSent { .. }
        | Fact::Throttled { .. }
        | Fact::CredentialRefused { .. }
        | Fact::CapabilityAbsent { .. } => (from, to) == (T::Submitting, T::Pending),
        Fact::Accepted { late: false, .. } => (from, to) == (T::Submitting, T::Running),
        Fact::Accepted { late: true, .. } => {
            matches!(from, T::Submitting | T::Uncertain) && to == T::Running
        }
        Fact::Conflict { .. } => matches!(
            (from, to),
            (T::Pending, T::Pending | T::Failed)
                | (T::Submitting, T::Pending | T::Uncertain | T::Failed)
        ),
        Fact::ReportedCurrent { .. } => (from, to) == (T::Submitting, T::Verifying),
        Fact::Rejected { .. } => from == T::Submitting && matches!(to, T::Submitting | T::Failed),
        Fact::BecameUncertain { .. } => {
            matches!(from, T::Submitting | T::Uncertain) && to == T::Uncertain
        }
        Fact::LookedClean { .. } | Fact::LookedBusy { .. } => from == T::Uncertain && stays,
        Fact::Adopted { .. } => (from, to) == (T::Uncertain, T::Running),
        Fact::Inferred { .. } => (from, to) == (T::Uncertain, T::Verifying),
        Fact::NotApplied { .. } => from == T::Uncertain && matches!(to, T::Pending | T::Failed),
        Fact::TaskStatus { .. } | Fact::Overdue { .. } => from == T::Running && stays,
        Fact::TaskEnded { .. } | Fact::TaskVanished { .. } => {
            (from, to) == (T::Running, T::Verifying)
        }
        Fact::Settling { .. } | Fact::Unsettled { .. } => from == T::Verifying && stays,
        Fact::Succeeded { reason, .. } => {
            let by_operator = *reason == Reason::Operator && from == T::Running;
            (from == T::Verifying || by_operator) && to == T::Succeeded
        }
        Fact::Failed { reason } => allows_failure(from, reason) && to == T::Failed,
        Fact::Skipped { reason } => allows_skip(from, reason) && to == T::Skipped,
        // Moved up to fill an earlier wave.
        Fact::Joined { .. } => from == T::Pending && stays,
        Fact::Cancelled { .. } => (from, to) == (T::Pending, T::Cancelled),
        Fact::Resolved { verdict } => allows_resolution(from, verdict, to),
        Fact::RetryOrdered { .. } => {
            matches!(from, T::Failed | T::Skipped | T::Cancelled) && to == T::Pending
        }
        // An operator's hold on a target in flight only counts once it is pending again.
        Fact::Held | Fact::Released => !from.is_terminal() && stays,
        Fact::NeedsOperator { .. } => stays,
        Fact::EvidenceLate { .. } | Fact::Anomaly { .. } => stays,
        _ => false,
    }
}

fn allows_failure(from: TargetState, reason: &Reason) -> bool {
    use TargetState as T;
    match reason {
        Reason::StillBusy => matches!(from, T::Pending | T::Submitting),
        Reason::Forbidden | Reason::Rejected(_) => from == T::Submitting,
        // Its event follows `not_applied`, which has led to pending.
        Reason::RetriesExhausted => matches!(from, T::Pending | T::Uncertain),
        Reason::VersionUnchanged | Reason::TaskFailed(_) => from == T::Verifying,
        Reason::Gone => matches!(from, T::Uncertain | T::Running | T::Verifying),
        Reason::Operator => matches!(from, T::Running | T::Verifying),
        _ => false,
    }
}

fn allows_skip(from: TargetState, reason: &Reason) -> bool {
    match reason {
        Reason::AlreadyCurrent => matches!(from, TargetState::Pending | TargetState::Verifying),
        Reason::NotUpgradable
        | Reason::Unsupported
        | Reason::NotRunning(_)
        | Reason::Gone
        | Reason::Excluded
        | Reason::SingleNode
        | Reason::Operator => from == TargetState::Pending,
        _ => false,
    }
}

fn allows_resolution(from: TargetState, verdict: &Verdict, to: TargetState) -> bool {
    use TargetState as T;
    match verdict {
        Verdict::Applied { task: Some(_) } => (from, to) == (T::Uncertain, T::Running),
        Verdict::Applied { task: None } => (from, to) == (T::Uncertain, T::Verifying),
        // `not_applied` may follow, and leads on.
        Verdict::NotApplied => from == T::Uncertain && matches!(to, T::Uncertain | T::Pending),
        Verdict::Succeeded => {
            matches!(from, T::Running | T::Verifying) && (to == from || to == T::Succeeded)
        }
        Verdict::Failed => {
            matches!(from, T::Running | T::Verifying) && (to == from || to == T::Failed)
        }
    }
}

/// A second event of the same step may name the end that the first already brought.
pub(super) fn confirms(fact: &Fact, state: TargetState) -> bool {
    match fact {
        Fact::Failed { .. } => state == TargetState::Failed,
        Fact::Succeeded { .. } => state == TargetState::Succeeded,
        Fact::Skipped { .. } => state == TargetState::Skipped,
        _ => false,
    }
}

/// Where `fact` leads a campaign from `from` (`None`: not planned); `Err` if nowhere.
pub(super) fn campaign_after(
    from: Option<CampaignState>,
    fact: &Fact,
) -> Result<Option<CampaignState>, ()> {
    use CampaignState as C;
    let Some(from) = from else {
        return match fact {
            Fact::Planned { .. } => Ok(Some(C::Planned)),
            Fact::SelectionEmpty => Ok(None),
            _ => Err(()),
        };
    };
    let to = match (from, fact) {
        // Also right after an approval.
        (C::Planned | C::Running, Fact::Started) => C::Running,
        (C::Planned | C::AwaitingApproval, Fact::ApprovalNeeded { .. }) => C::AwaitingApproval,
        (C::AwaitingApproval, Fact::Approved { .. }) => C::Running,
        (C::AwaitingApproval, Fact::ApprovalVoid { .. }) => C::AwaitingApproval,
        (
            C::Running,
            Fact::WaveEnded { .. }
            | Fact::BakeStarted { .. }
            | Fact::WaveOpened { .. }
            | Fact::Promoted { .. }
            | Fact::BudgetTripped { .. },
        ) => C::Running,
        (C::Planned | C::AwaitingApproval | C::Running | C::Paused, Fact::Paused { .. }) => {
            C::Paused
        }
        (C::Paused, Fact::Resumed { to, .. }) => *to,
        (_, Fact::Acknowledged { .. }) => from,
        (state, Fact::AbortOrdered) if !state.is_over() => state,
        (state, Fact::Aborted) if !state.is_over() => C::Aborted,
        (C::Running, Fact::Completed { .. }) => C::Completed,
        (C::Completed, Fact::Reopened) => C::Running,
        (
            _,
            Fact::WindowOpened { .. }
            | Fact::WindowClosed { .. }
            | Fact::WindowMissed { .. }
            | Fact::WindowsMissed { .. }
            | Fact::ForecastLate { .. }
            | Fact::ForecastInTime { .. }
            | Fact::Frozen { .. }
            | Fact::Unfrozen { .. }
            | Fact::Anomaly { .. }
            | Fact::SelectionEmpty,
        ) => from,
        _ => return Err(()),
    };
    Ok(Some(to))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::AnswerNote;

    #[test]
    fn nothing_leads_out_of_a_terminal_state_but_a_retry() {
        let facts = [
            Fact::SendRefused { why: crate::engine::input::SendRefusal::TooLate },
            Fact::Accepted { task: "t".into(), late: true, note: AnswerNote::default() },
            Fact::NotApplied { not_before: None },
            Fact::Adopted { task: "t".into() },
            Fact::TaskEnded { succeeded: true, code: None },
            Fact::Cancelled { reason: Reason::Aborted },
            Fact::Failed { reason: Reason::VersionUnchanged },
        ];
        for from in TargetState::ALL.into_iter().filter(|state| state.is_terminal()) {
            for (fact, to) in facts.iter().flat_map(|fact| TargetState::ALL.map(|to| (fact, to))) {
                assert!(!allows_target(Some(from), fact, to), "{from} {fact:?} {to}");
            }
        }
        let retry = Fact::RetryOrdered { round: 2 };
        assert!(allows_target(Some(TargetState::Failed), &retry, TargetState::Pending));
        assert!(!allows_target(Some(TargetState::Succeeded), &retry, TargetState::Pending));
    }

    #[test]
    fn an_uncertain_target_is_never_sent_again_without_evidence() {
        let intent = Fact::Intent {
            body: crate::model::UpgradeBody::default(),
            not_after: crate::model::Wall(0),
            versions: crate::model::Versions::default(),
            known_tasks: Vec::new(),
        };
        for from in TargetState::ALL {
            let allowed = allows_target(Some(from), &intent, TargetState::Submitting);
            assert_eq!(allowed, from == TargetState::Pending, "{from}");
        }
        let throttled = Fact::Throttled {
            limit: None,
            until: crate::model::Wall(0),
            note: AnswerNote::default(),
        };
        assert!(!allows_target(Some(TargetState::Uncertain), &throttled, TargetState::Pending));
    }

    #[test]
    fn an_aborted_campaign_stays_aborted() {
        for fact in [Fact::Started, Fact::Reopened, Fact::AbortOrdered] {
            assert_eq!(campaign_after(Some(CampaignState::Aborted), &fact), Err(()));
        }
        assert_eq!(campaign_after(None, &Fact::Started), Err(()));
    }
}
