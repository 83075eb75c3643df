//! Ledger events in the log: how loud each is, its line, and its fields. The sentence is the
//! engine's own, the same as in `refit events`.

use std::sync::Arc;

use jiff::tz::TimeZone;
use tracing::{debug, info, warn};

use crate::engine::narrate::{sentence, subject};
use crate::engine::{Event, Fact};
use crate::model::TargetId;

/// How loud an event is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loudness {
    /// Someone may have to act, or will ask later why this happened.
    Warning,
    /// The course of the work.
    News,
    /// One per target or per read: for whoever follows one target.
    Detail,
}

/// Writes one line for the event, with fields to search by; `name_of` knows the instances' names.
/// Nothing is put together for a line that nobody reads.
pub fn log(event: &Event, zone: &TimeZone, name_of: impl Fn(&TargetId) -> Option<Arc<str>>) {
    let loudness = loudness(&event.fact);
    let is_read = match loudness {
        Loudness::Warning => tracing::enabled!(tracing::Level::WARN),
        Loudness::News => tracing::enabled!(tracing::Level::INFO),
        Loudness::Detail => tracing::enabled!(tracing::Level::DEBUG),
    };
    if !is_read {
        return;
    }
    let campaign = event.campaign.as_ref().map(|name| name.as_str());
    let project = event.project.as_ref().map(|name| name.as_str());
    let target = event.target();
    let name = target.as_ref().and_then(name_of);
    let text = match subject(event, name.as_deref()) {
        Some(subject) => format!("{subject}: {}", sentence(event, zone)),
        None => sentence(event, zone),
    };
    let target = target.map(|target| target.to_string());
    let target = target.as_deref();
    let attempt = event.attempt.as_ref().map(|attempt| attempt.to_string());
    let attempt = attempt.as_deref();
    let (seq, actor) = (event.seq, event.actor.as_deref());
    match loudness {
        Loudness::Warning => warn!(campaign, project, target, attempt, actor, seq, "{text}"),
        Loudness::News => info!(campaign, project, target, attempt, actor, seq, "{text}"),
        Loudness::Detail => debug!(campaign, project, target, attempt, actor, seq, "{text}"),
    }
}

fn loudness(fact: &Fact) -> Loudness {
    match fact {
        Fact::NotSent { .. }
        | Fact::Throttled { .. }
        | Fact::CredentialRefused { .. }
        | Fact::CapabilityAbsent { .. }
        | Fact::Rejected { .. }
        | Fact::BecameUncertain { .. }
        | Fact::NeedsOperator { .. }
        | Fact::Overdue { .. }
        | Fact::TaskVanished { .. }
        | Fact::Failed { .. }
        | Fact::EvidenceLate { .. }
        | Fact::SelectionEmpty
        | Fact::ApprovalVoid { .. }
        | Fact::Paused { .. }
        | Fact::BudgetTripped { .. }
        | Fact::WindowMissed { .. }
        | Fact::ForecastLate { .. }
        | Fact::WindowsMissed { .. }
        | Fact::ProjectStopped { .. }
        | Fact::CircuitOpened { .. }
        | Fact::InventoryRefused { .. }
        | Fact::CloudUnreachable { .. }
        | Fact::CredentialStopped { .. }
        | Fact::ClockBehindStore { .. }
        | Fact::ClockStepped { .. }
        | Fact::StoreFailing
        | Fact::FrozenByFile
        | Fact::OwnershipLost
        | Fact::Anomaly { .. } => Loudness::Warning,
        Fact::TargetPlanned { .. }
        | Fact::Joined { .. }
        | Fact::LookedClean { .. }
        | Fact::TaskStatus { .. }
        | Fact::Unsettled { .. }
        | Fact::InventorySwept { .. } => Loudness::Detail,
        Fact::Intent { .. }
        | Fact::SendRefused { .. }
        | Fact::Accepted { .. }
        | Fact::Conflict { .. }
        | Fact::ReportedCurrent { .. }
        | Fact::LookedBusy { .. }
        | Fact::Adopted { .. }
        | Fact::Inferred { .. }
        | Fact::NotApplied { .. }
        | Fact::TaskEnded { .. }
        | Fact::Settling { .. }
        | Fact::Succeeded { .. }
        | Fact::Skipped { .. }
        | Fact::Cancelled { .. }
        | Fact::Held
        | Fact::Released
        | Fact::Resolved { .. }
        | Fact::RetryOrdered { .. }
        | Fact::Planned { .. }
        | Fact::Started
        | Fact::ApprovalNeeded { .. }
        | Fact::Approved { .. }
        | Fact::WaveEnded { .. }
        | Fact::BakeStarted { .. }
        | Fact::WaveOpened { .. }
        | Fact::Promoted { .. }
        | Fact::Resumed { .. }
        | Fact::Acknowledged { .. }
        | Fact::AbortOrdered
        | Fact::Aborted
        | Fact::Completed { .. }
        | Fact::Reopened
        | Fact::WindowOpened { .. }
        | Fact::WindowClosed { .. }
        | Fact::ForecastInTime { .. }
        | Fact::ProjectResumed
        | Fact::CircuitClosed
        | Fact::CloudReachable { .. }
        | Fact::QuotaPaused { .. }
        | Fact::WatchChanged { .. }
        | Fact::OwnUserLearned { .. }
        | Fact::CredentialResumed { .. }
        | Fact::CredentialProven { .. }
        | Fact::Restarted
        | Fact::SettingsLoaded { .. }
        | Fact::ClockAgreed
        | Fact::StoreWorking
        | Fact::Frozen { .. }
        | Fact::Unfrozen { .. }
        | Fact::UnfrozenByFile
        | Fact::OwnershipGained
        | Fact::Stopping => Loudness::News,
    }
}
