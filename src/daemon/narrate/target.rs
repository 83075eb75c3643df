//! Sentences of one target: what was sent and answered, and how it went on.

use crate::engine::Fact;
use crate::model::AnswerNote;

use super::words::{Times, in_brackets, moved, parts, refusal, resolved, running, seen, stated};

/// From the plan to the answer of the upgrade request.
pub(super) fn submission(fact: &Fact, times: &Times<'_>) -> Option<String> {
    Some(match fact {
        Fact::TargetPlanned { wave, name, .. } => format!("{name} planned, wave {}", wave + 1),
        Fact::Joined { wave, name, .. } => format!("{name} joined wave {}", wave + 1),
        Fact::Intent { body, not_after, versions, .. } => {
            format!(
                "starting {} (to be sent before {})",
                parts(body, versions),
                times.time(*not_after)
            )
        }
        Fact::SendRefused { why } => format!("not sent after all: {}", refusal(*why)),
        Fact::Accepted { task, late: false, .. } => format!("accepted as task {task}"),
        Fact::Accepted { task, late: true, .. } => format!("late answer: accepted as task {task}"),
        Fact::NotSent { note, project_backoff_until } => {
            format!(
                "{}: not sent; project waits until {}",
                seen(note),
                times.time(*project_backoff_until)
            )
        }
        Fact::Throttled { limit, until, note } => {
            format!(
                "{}: throttled{}; waits until {}",
                seen(note),
                stated(limit),
                times.time(*until)
            )
        }
        Fact::Conflict { count, not_before, note } => {
            format!("{}: busy ({count}); looked at again {}", seen(note), times.time(*not_before))
        }
        Fact::ReportedCurrent { note } => format!("{}: said to be current; verifying", seen(note)),
        Fact::CredentialRefused { note } => format!("{}: credential refused", seen(note)),
        Fact::CapabilityAbsent { note } => format!("{}: the call does not exist here", seen(note)),
        Fact::Rejected { note } => format!("{}: rejected", seen(note)),
        Fact::BecameUncertain { why, earliest_resend, number, of, note } => format!(
            "{}: may have started; looking; earliest resend {}, attempt {number} of {of}",
            if *note == AnswerNote::default() { why.to_string() } else { seen(note) },
            times.time(*earliest_resend),
        ),
        _ => return None,
    })
}

/// From the answer to the end, and what operators order.
pub(super) fn course(fact: &Fact, times: &Times<'_>) -> Option<String> {
    Some(match fact {
        Fact::LookedClean { clean } => format!("clean look {clean}: nothing was started"),
        Fact::LookedBusy { word } => format!("busy ({word}) without a task of ours"),
        Fact::Adopted { task } => format!("had started: adopted task {task}"),
        Fact::Inferred { versions } => format!("had been applied: runs {}", running(versions)),
        Fact::NotApplied { not_before: Some(at) } => {
            format!("not applied; sent again from {}", times.time(*at))
        }
        Fact::NotApplied { not_before: None } => "not applied; no attempt is left".into(),
        Fact::NeedsOperator { why } => format!("needs an operator: {why}"),
        Fact::Overdue { after } => format!("overdue: not over after {after}"),
        Fact::TaskStatus { word } => format!("task is {word}"),
        Fact::TaskEnded { succeeded: true, .. } => "task succeeded; verifying".into(),
        Fact::TaskEnded { code, .. } => format!("task failed{}; verifying", in_brackets(code)),
        Fact::TaskVanished { misses } => {
            format!("task no longer shown ({misses} looks); the version decides")
        }
        Fact::Settling { until } => format!("upgraded; settles until {}", times.time(*until)),
        Fact::Unsettled { word } => format!("not settled: {word}"),
        Fact::Succeeded { reason, before, after, took } => {
            format!("succeeded ({reason}) in {took}{}", moved(before, after))
        }
        Fact::Failed { reason } => format!("failed: {reason}"),
        Fact::Skipped { reason } => format!("skipped: {reason}"),
        Fact::Cancelled { reason } => format!("cancelled: {reason}"),
        Fact::Held => "held".into(),
        Fact::Released => "released".into(),
        Fact::Resolved { verdict } => format!("resolved: {}", resolved(verdict)),
        Fact::RetryOrdered { round } => format!("opened again, round {round}"),
        Fact::EvidenceLate { what } => format!("late evidence: {what}"),
        _ => return None,
    })
}
