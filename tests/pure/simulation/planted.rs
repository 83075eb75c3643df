//! The nets have no holes: each planted defect breaks the rule that it is about, within a thousand
//! seeds, and mostly within tens.

use std::panic::catch_unwind;

use refit::engine::planted::{Defect, Planted};

use crate::simulation::{Mode, live};

/// A defect that hides for longer is not found in practice.
const SEEDS_MOST: u64 = 1_000;

/// The first seed that breaks the rule, of either mode by turns. A defect may run into one of the
/// engine's own assertions instead: that is no finding by the checker.
fn is_found(defect: Defect, rules: &[&str]) {
    for seed in 0..SEEDS_MOST {
        let mode = Mode::ALL[seed as usize % 2];
        let found = catch_unwind(|| live(seed, mode, Planted::one(defect)).complaints);
        let named = found.unwrap_or_default().into_iter().find(|complaint| {
            let complaint = complaint.trim_start_matches("recount: ");
            rules.iter().any(|rule| {
                complaint.strip_prefix(rule).is_some_and(|rest| rest.starts_with([' ', ':']))
            })
        });
        if let Some(complaint) = named {
            println!("{defect:?}: found by seed {seed}: {complaint}");
            return;
        }
    }
    panic!("{defect:?} breaks none of {rules:?} in {SEEDS_MOST} seeds");
}

macro_rules! defects {
    ($($name:ident: $defect:ident breaks $($rule:literal)+,)+) => {
        $(#[test] fn $name() { is_found(Defect::$defect, &[$($rule),+]); })+
    };
}

defects! {
    an_ignored_unique_index_is_found: UniqueIndexIgnored breaks "S1",
    a_skipped_look_is_found: LookSkipped breaks "S3",
    an_intent_after_its_send_is_found: IntentAfterSend breaks "S2",
    a_cutoff_that_is_not_rechecked_is_found: CutoffNotRechecked breaks "S4",
    a_skipped_last_check_is_found: LastCheckSkipped breaks "S4",
    a_budget_off_by_one_is_found: BudgetOffByOne breaks "S8",
    a_bake_from_the_waves_start_is_found: BakeFromWaveStart breaks "S7",
    a_burst_granted_afresh_at_a_restart_is_found: BurstAtRestart breaks "S6",
    a_slot_freed_on_timeout_is_found: SlotFreedOnTimeout breaks "S5",
    a_start_on_an_earlier_processs_versions_is_found: VersionsOfEarlierProcess breaks "S10",
    an_observation_carried_over_a_restart_is_found: ObservationCarriedOver breaks "S3",
    an_ignored_retry_after_is_found: RetryAfterIgnored breaks "S3" "S6" "S9",
    a_freeze_that_is_acknowledged_and_ignored_is_found: FreezeIgnored breaks "S4" "S9",
    a_task_that_is_trusted_without_its_versions_is_found: TaskTrusted breaks "S13",
}
