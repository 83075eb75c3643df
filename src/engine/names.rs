//! What facts are called: in the ledger's column, in JSON and in `refit events`. One table, which
//! the compiler keeps whole; serde's tags are the same words.

use super::event::Fact;

macro_rules! names {
    ($($variant:ident => $name:literal,)+) => {
        impl Fact {
            /// Every name there is, in the order of the facts.
            pub const NAMES: &[&str] = &[$($name),+];

            /// `target_planned`: the event's name.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Fact::$variant { .. } => $name,)+
                }
            }
        }
    };
}

names! {
    TargetPlanned => "target_planned",
    Joined => "joined",
    Intent => "intent",
    SendRefused => "send_refused",
    Accepted => "accepted",
    NotSent => "not_sent",
    Throttled => "throttled",
    Conflict => "conflict",
    ReportedCurrent => "reported_current",
    CredentialRefused => "credential_refused",
    CapabilityAbsent => "capability_absent",
    Rejected => "rejected",
    BecameUncertain => "became_uncertain",
    LookedClean => "looked_clean",
    LookedBusy => "looked_busy",
    Adopted => "adopted",
    Inferred => "inferred",
    NotApplied => "not_applied",
    NeedsOperator => "needs_operator",
    Overdue => "overdue",
    TaskStatus => "task_status",
    TaskEnded => "task_ended",
    TaskVanished => "task_vanished",
    Settling => "settling",
    Unsettled => "unsettled",
    Succeeded => "succeeded",
    Failed => "failed",
    Skipped => "skipped",
    Cancelled => "cancelled",
    Held => "held",
    Released => "released",
    Resolved => "resolved",
    RetryOrdered => "retry_ordered",
    EvidenceLate => "evidence_late",
    Planned => "planned",
    SelectionEmpty => "selection_empty",
    Started => "started",
    ApprovalNeeded => "approval_needed",
    Approved => "approved",
    ApprovalVoid => "approval_void",
    WaveEnded => "wave_ended",
    BakeStarted => "bake_started",
    WaveOpened => "wave_opened",
    Promoted => "promoted",
    Paused => "paused",
    BudgetTripped => "budget_tripped",
    Resumed => "resumed",
    Acknowledged => "acknowledged",
    AbortOrdered => "abort_ordered",
    Aborted => "aborted",
    Completed => "completed",
    Reopened => "reopened",
    WindowOpened => "window_opened",
    WindowClosed => "window_closed",
    WindowMissed => "window_missed",
    WindowsMissed => "windows_missed",
    ForecastLate => "forecast_late",
    ForecastInTime => "forecast_in_time",
    InventorySwept => "inventory_swept",
    ProjectStopped => "project_stopped",
    ProjectResumed => "project_resumed",
    CircuitOpened => "circuit_opened",
    CircuitClosed => "circuit_closed",
    InventoryRefused => "inventory_refused",
    CloudUnreachable => "cloud_unreachable",
    CloudReachable => "cloud_reachable",
    QuotaPaused => "quota_paused",
    WatchChanged => "watch_changed",
    OwnUserLearned => "own_user_learned",
    CredentialStopped => "credential_stopped",
    CredentialResumed => "credential_resumed",
    CredentialProven => "credential_proven",
    Restarted => "restarted",
    SettingsLoaded => "settings_loaded",
    ClockBehindStore => "clock_behind_store",
    ClockStepped => "clock_stepped",
    ClockAgreed => "clock_agreed",
    StoreFailing => "store_failing",
    StoreWorking => "store_working",
    Frozen => "frozen",
    Unfrozen => "unfrozen",
    FrozenByFile => "frozen_by_file",
    UnfrozenByFile => "unfrozen_by_file",
    OwnershipLost => "ownership_lost",
    OwnershipGained => "ownership_gained",
    Stopping => "stopping",
    Anomaly => "anomaly",
}

#[cfg(test)]
mod tests {
    use super::*;

    /// serde knows its tags and tells them when asked for one that is not there: "unknown variant
    /// ``, expected one of `a`, `b`".
    #[test]
    fn the_names_are_those_that_the_ledger_is_read_by() {
        let unknown = serde_json::json!({ "event": "" });
        let error = serde_json::from_value::<Fact>(unknown).expect_err("no event has no name");
        let text = error.to_string();
        let tags: Vec<&str> =
            text.split('`').skip(1).step_by(2).filter(|tag| !tag.is_empty()).collect();
        assert_eq!(tags, Fact::NAMES);
    }

    #[test]
    fn a_fact_is_called_what_serde_calls_it() {
        for fact in [
            Fact::Held,
            Fact::Overdue { after: crate::model::Millis(1) },
            Fact::Failed { reason: crate::engine::Reason::Gone },
            Fact::FrozenByFile,
        ] {
            let value = serde_json::to_value(&fact).expect("facts always serialise");
            assert_eq!(value["event"], fact.name());
        }
    }
}
