//! From a seed to what goes wrong: a swarm, each kind of fault there or not, so that some seeds
//! see one fault often and others see many together.

use std::collections::BTreeMap;

use refit::model::Millis;
use refit::rehearse::Mischief;
use refit::sim::world::{
    CallFilter, CallKind, Decision, FaultProfile, Knobs, Outcome, Rule, Share, SpanRange,
};

use super::dice::Dice;

/// Faults of calls to the upgrade, and how often at most.
const UPGRADE_FAULTS: [(Decision, f64); 13] = [
    (Decision::Error500Before, 0.4),
    (Decision::ApplyThen500, 0.4),
    (Decision::DropBeforeApply, 0.3),
    (Decision::ApplyThenDrop, 0.3),
    (Decision::Throttled, 0.3),
    (Decision::Slow, 0.3),
    (Decision::Stalled, 0.2),
    (Decision::NoTaskId, 0.2),
    (Decision::Truncated, 0.2),
    (Decision::Rejected, 0.2),
    (Decision::Forbidden, 0.05),
    (Decision::Unauthorized, 0.01),
    (Decision::TokenExpired, 0.05),
];

/// Faults of reads, and how often at most.
const READ_FAULTS: [(Decision, f64); 8] = [
    (Decision::Error500Before, 0.3),
    (Decision::DropBeforeApply, 0.2),
    (Decision::Throttled, 0.1),
    (Decision::Slow, 0.2),
    (Decision::Stalled, 0.05),
    (Decision::Html, 0.1),
    (Decision::Unauthorized, 0.001),
    (Decision::TokenExpired, 0.01),
];

/// Ends of upgrades, and how often at most.
const OUTCOMES: [(Outcome, f64); 11] = [
    (Outcome::Failed, 0.3),
    (Outcome::FailedButMoved, 0.1),
    (Outcome::VersionUnchanged, 0.2),
    (Outcome::Stuck, 0.1),
    (Outcome::Vanishes, 0.3),
    (Outcome::VanishesUnchanged, 0.1),
    (Outcome::UnknownWord, 0.3),
    (Outcome::ProgressBackwards, 0.3),
    (Outcome::TurnsFaulty, 0.05),
    (Outcome::TurnsFrozen, 0.05),
    (Outcome::Deleted, 0.05),
];

/// The share of seeds that see each kind.
const SWARM: f64 = 0.25;

pub fn profile(dice: Dice) -> FaultProfile {
    if dice.chance("calm", 0.1) {
        return FaultProfile::calm();
    }
    let upgrade = shares(dice, "upgrade", &UPGRADE_FAULTS);
    let read = shares(dice, "read", &READ_FAULTS);
    let rule = |calls, decisions| Rule { calls, decisions, ..Rule::default() };
    FaultProfile {
        name: "swarm".into(),
        outcomes: shares(dice, "outcome", &OUTCOMES),
        rules: vec![
            rule(CallFilter::Only(CallKind::Upgrade), upgrade),
            rule(CallFilter::Read, read),
        ],
        ..FaultProfile::calm()
    }
}

fn shares<T: Copy + Ord + std::fmt::Debug>(
    dice: Dice,
    kind: &str,
    among: &[(T, f64)],
) -> BTreeMap<T, Share> {
    let named = |fault: &T| format!("{kind} {fault:?}");
    among
        .iter()
        .filter(|(fault, _)| dice.chance(&named(fault), SWARM))
        .map(|(fault, most)| (*fault, Share(most * dice.unit(&format!("{} share", named(fault))))))
        .collect()
}

/// Every unknown of the cloud turned some way.
pub fn knobs(dice: Dice) -> Knobs {
    let mut knobs = Knobs::default();
    for (name, values) in [
        ("service_task", &["filled", "flag_only", "never"][..]),
        ("status_during", &["UPGRADING", "EXTENDING", "RUNNING", "HOTFIXING"]),
        ("task_during", &["shown", "null"]),
        ("task_name", &["upgradeMinorVersion", "modify"]),
        ("task_centre", &["same_id", "other_id", "hidden", "absent"]),
        ("newest_answer", &["4053", "odd"]),
        ("duplicate", &["4116", "4026", "4017", "runs_twice"]),
        ("paging", &["stable", "shifting"]),
        ("task_order", &["newest_first", "oldest_first"]),
        ("task_page", &["1", "3", "100"]),
        // The promise holds if the cloud shows an upgrade within `observe_for`, a minute at least.
        ("task_appears_after", &["off", "5s", "20s"]),
        ("records_kept", &["off", "1m", "1h"]),
        ("retry_after", &["absent", "seconds", "date", "absurd", "negative"]),
        ("version_moves", &["at_end", "at_start", "midway"]),
        ("error_codes", &["dcs", "numeric"]),
        ("clock_ahead", &["off", "2s", "7m"]),
        ("others_do", &["mixed", "delete", "freeze", "fault", "upgrade", "finish"]),
    ] {
        if dice.chance(&format!("turn {name}"), 0.5) {
            let value = dice.pick(name, values);
            knobs.set(&format!("{name}={value}")).expect("the knob takes it");
        }
    }
    if dice.chance("others", SWARM) {
        knobs.set("others=0.1").expect("the knob takes it");
    }
    if dice.chance("limits", SWARM) {
        knobs.set("upgrade_limit=10/1m").expect("the knob takes it");
        knobs.set("read_limit=60/1m").expect("the knob takes it");
    }
    knobs
}

pub fn mischief(dice: Dice) -> Mischief {
    let crashing = dice.chance("crashing", 0.6);
    Mischief {
        seed: dice.0,
        crash_share: if crashing { 0.002 + 0.02 * dice.unit("crash share") } else { 0.0 },
        crashes_most: dice.small("crashes", 1, 12),
        down_for: SpanRange { least: Millis(500), most: dice.minutes("down for", 1, 90) },
        sender_takes: SpanRange {
            least: Millis::ZERO,
            most: if dice.chance("slow sender", 0.2) { Millis(6_500) } else { Millis(30) },
        },
        wire_takes: SpanRange {
            least: Millis::ZERO,
            most: if dice.chance("slow wire", 0.2) { Millis(9_000) } else { Millis(50) },
        },
        renewals_fail: if dice.chance("renewals fail", SWARM) { 0.5 } else { 0.0 },
        planned: Vec::new(),
    }
}
