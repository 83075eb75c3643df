//! Sentences of one campaign and of its windows.

use crate::engine::Fact;
use crate::model::calendar::LONG_AGO;

use super::words::{Times, listed, named};

/// Its plan, waves, pauses and end.
pub(super) fn campaign(fact: &Fact, times: &Times<'_>) -> Option<String> {
    Some(match fact {
        Fact::Planned { digest, targets, waves } => {
            let names: Vec<_> = waves.iter().map(|(name, size)| format!("{name} {size}")).collect();
            format!("planned {targets} targets ({}), digest {digest}", names.join(", "))
        }
        Fact::SelectionEmpty => "selects no instance".into(),
        Fact::Started => "started".into(),
        Fact::ApprovalNeeded { digest } => format!("waits for approval of {digest}"),
        Fact::Approved { digest } => format!("approved {digest}"),
        Fact::ApprovalVoid { digest } => {
            format!("plan changed: approvals are void, the digest is now {digest}")
        }
        Fact::WaveEnded { wave, succeeded, failed, skipped } => format!(
            "wave {} ended: {succeeded} succeeded, {failed} failed, {skipped} skipped",
            wave + 1
        ),
        Fact::BakeStarted { wave, until } => {
            format!("wave {} bakes until {}", wave + 1, times.date(*until))
        }
        Fact::WaveOpened { wave, name } => format!("wave {} ({name}) opened", wave + 1),
        Fact::Promoted { wave } => format!("wave {} promoted: its bake ended early", wave + 1),
        Fact::Paused { cause, targets, names } => {
            format!("paused: {cause}{}", named(targets, names))
        }
        Fact::BudgetTripped { targets, names } => {
            format!("failure budget tripped{}", named(targets, names))
        }
        Fact::Resumed { to, left } if left.is_empty() => format!("resumed: {to}"),
        Fact::Resumed { to, left } => {
            let left: Vec<_> = left.iter().map(ToString::to_string).collect();
            format!("still {to}: {} cannot be cleared", left.join(", "))
        }
        Fact::Acknowledged { targets, names } => {
            format!("failures acknowledged{}", named(targets, names))
        }
        Fact::AbortOrdered => "abort ordered: nothing new starts, work in flight drains".into(),
        Fact::Aborted => "aborted".into(),
        Fact::Completed { with_failures: false } => "completed".into(),
        Fact::Completed { with_failures: true } => "completed with failures".into(),
        Fact::Reopened => "reopened".into(),
        _ => return None,
    })
}

/// What opens, closes and is missed.
pub(super) fn window(fact: &Fact, times: &Times<'_>) -> Option<String> {
    Some(match fact {
        Fact::WindowOpened {
            close: Some(close), last_start: Some(last_start), windows, ..
        } => {
            format!(
                "window {} open until {}, last start before {}",
                listed(windows),
                times.date(*close),
                times.date(*last_start)
            )
        }
        Fact::WindowOpened { open, windows, .. } => match *open {
            LONG_AGO => format!("always open: window {}", listed(windows)),
            _ => format!("open with no end in sight: window {}", listed(windows)),
        },
        Fact::WindowClosed { in_flight, .. } => format!("window closed, {in_flight} in flight"),
        Fact::WindowMissed { open, close, windows } => format!(
            "window {} missed: {} to {}",
            listed(windows),
            times.date(*open),
            times.date(*close)
        ),
        _ => return None,
    })
}
