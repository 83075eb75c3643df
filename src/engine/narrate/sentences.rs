//! One sentence for each fact of the ledger.

use crate::engine::Fact;
use crate::model::AnswerNote;
use crate::model::calendar::LONG_AGO;

use super::words::{
    Times, completes, counted, in_brackets, listed, moved, named, parts, quota_word, refusal,
    resolved, running, seen, stated, watch,
};

/// What happened, before it is escaped.
#[expect(
    clippy::too_many_lines,
    reason = "a table: the compiler finds the fact without a sentence"
)]
pub(super) fn of(fact: &Fact, times: &Times<'_>) -> String {
    match fact {
        // One target: what was sent and answered.
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
            let again = times.time(*not_before);
            match (note.status, &note.message) {
                // A look showed it: nothing was sent that could have been answered.
                (None, Some(word)) => format!("busy ({word}, {count}); looked at again {again}"),
                _ => format!("{}: busy ({count}); looked at again {again}", seen(note)),
            }
        }
        Fact::ReportedCurrent { note } => format!("{}: said to be current; verifying", seen(note)),
        Fact::CredentialRefused { note } => format!("{}: credential refused", seen(note)),
        Fact::CapabilityAbsent { note } => format!("{}: the call does not exist here", seen(note)),
        Fact::Rejected { note } => format!("{}: rejected", seen(note)),
        Fact::BecameUncertain { why, earliest_resend, number, of, note } => format!(
            "{}: may have started; looking; {}attempt {number} of {of}",
            if *note == AnswerNote::default() { why.to_string() } else { seen(note) },
            match number < of {
                true => format!("earliest resend {}, ", times.time(*earliest_resend)),
                false => "no further attempt follows, ".to_owned(),
            },
        ),

        // One target: how it went on, and what operators order.
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
        Fact::Succeeded { reason, before, after, took, .. } => {
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

        // One campaign.
        Fact::Planned { digest, targets, waves } => {
            let names: Vec<_> = waves.iter().map(|(name, size)| format!("{name} {size}")).collect();
            let targets = counted(*targets, "target");
            format!("planned {targets} ({}), digest {digest}", names.join(", "))
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

        // Its windows.
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

        Fact::WindowsMissed { count, open, close } => format!(
            "{count} openings missed before those: {} to {}",
            times.date(*open),
            times.date(*close)
        ),

        // Its deadline.
        Fact::ForecastLate { deadline, p90, .. } => format!(
            "forecast late: {}, and its deadline is {}",
            completes(*p90, times),
            times.date(*deadline)
        ),
        Fact::ForecastInTime { p90, deadline: Some(deadline) } => format!(
            "forecast in time again: {}, before its deadline {}",
            completes(*p90, times),
            times.date(*deadline)
        ),
        Fact::ForecastInTime { deadline: None, .. } => "has no deadline any more".into(),

        // A project, or the credential that it uses.
        Fact::InventorySwept { instances, sweep } => {
            format!("sweep {sweep}: {instances} instances")
        }
        Fact::ProjectStopped { why } => format!("project stopped: {why}"),
        Fact::ProjectResumed => "project resumed".into(),
        Fact::CircuitOpened { until } => {
            format!("too many unclear answers: no start before {}", times.time(*until))
        }
        Fact::CircuitClosed => "answers are clear again".into(),
        Fact::InventoryRefused { why } => {
            format!("the list of instances is refused, and asked for again: {why}")
        }
        Fact::CloudUnreachable { since, cause, next_try } => format!(
            "cloud unreachable since {}: {cause}; backing off, next try {}",
            times.time(*since),
            times.time(*next_try)
        ),
        Fact::CloudReachable { after } => format!("cloud reachable again, after {after}"),
        Fact::QuotaPaused { quota, until, limit } => {
            format!("{} paused until {}{}", quota_word(*quota), times.time(*until), stated(limit))
        }
        Fact::WatchChanged { strategy, why } => format!("watches {}: {why}", watch(*strategy)),
        Fact::OwnUserLearned { user, task_name } => {
            format!("our tasks are {task_name} by user {user}")
        }
        Fact::CredentialStopped { credential, why } => {
            format!("credential {credential} stopped: {why}")
        }
        Fact::CredentialResumed { credential } => format!("credential {credential} resumed"),
        Fact::CredentialProven { credential } => format!("credential {credential} works"),

        // The process: clock, store, freezes, ownership.
        Fact::Restarted => "started; everything outstanding is looked at again".into(),
        Fact::SettingsLoaded { campaigns, projects } => {
            let (campaigns, projects) =
                (counted(*campaigns, "campaign"), counted(*projects, "project"));
            format!("settings loaded: {campaigns}, {projects}")
        }
        Fact::ClockBehindStore { ahead } => {
            format!("the store was written {ahead} ahead of this clock: waits keep their length")
        }
        Fact::ClockStepped { offset } => {
            format!("wall clock stepped by {offset}: no start until it agrees with itself")
        }
        Fact::ClockAgreed => "wall clock agrees again".into(),
        Fact::StoreFailing => "the store cannot be written: nothing starts".into(),
        Fact::StoreWorking => "the store can be written again".into(),
        Fact::Frozen { scope, until: Some(at) } => {
            format!("{scope} frozen until {}", times.date(*at))
        }
        Fact::Frozen { scope, until: None } => format!("{scope} frozen until lifted"),
        Fact::Unfrozen { scope } => format!("{scope} no longer frozen"),
        Fact::FrozenByFile => "frozen: the file FREEZE is there".into(),
        Fact::UnfrozenByFile => "no longer frozen: the file FREEZE is gone".into(),
        Fact::OwnershipLost => "no longer the owner: nothing starts".into(),
        Fact::OwnershipGained => "owner".into(),
        Fact::Stopping => "stopping: nothing new begins".into(),
        Fact::Anomaly { what } => format!("makes no sense, ignored: {what}"),
    }
}
