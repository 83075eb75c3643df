//! From a seed to what goes wrong: a swarm, each kind of fault there or not, so that some seeds
//! see one fault often and others see many together.

use std::collections::BTreeMap;

use refit::model::Millis;
use refit::rehearse::Mischief;
use refit::sim::world::{
    CallFilter, CallKind, Decision, FaultProfile, Knobs, Outcome, Rule, Share, SpanRange,
};

use super::dice::Dice;

/// How often at most the cloud does so to a call to the upgrade.
fn most_of_upgrades(decision: Decision) -> f64 {
    use Decision as D;
    match decision {
        D::Ok => 0.0,
        D::Error500Before | D::ApplyThen500 => 0.4,
        D::DropBeforeApply | D::ApplyThenDrop | D::Throttled | D::Slow => 0.3,
        D::Stalled | D::NoTaskId | D::Truncated | D::Rejected => 0.2,
        // They stop a project or a credential.
        D::TokenExpired => 0.1,
        D::Forbidden => 0.05,
        D::Unauthorized | D::Absent => 0.01,
        _ => 0.1,
    }
}

/// How often at most the cloud does so to a read.
fn most_of_reads(decision: Decision) -> f64 {
    use Decision as D;
    match decision {
        // Of a read there is nothing to apply or to reject.
        D::Ok | D::ApplyThen500 | D::ApplyThenDrop | D::Rejected | D::NoTaskId | D::BadTaskId => {
            0.0
        }
        D::Error500Before => 0.3,
        D::DropBeforeApply | D::Slow => 0.2,
        D::Throttled | D::Html => 0.1,
        D::TokenExpired => 0.15,
        D::Forbidden => 0.01,
        D::Unauthorized | D::Absent => 0.001,
        _ => 0.05,
    }
}

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
    let drawn = |kind, most: fn(Decision) -> f64| {
        shares(dice, kind, &Decision::ALL.map(|decision| (decision, most(decision))))
    };
    let rule = |calls, decisions| Rule { calls, decisions, ..Rule::default() };
    let mut rules = vec![
        rule(CallFilter::Only(CallKind::Upgrade), drawn("upgrade", most_of_upgrades)),
        rule(CallFilter::Read, drawn("read", most_of_reads)),
    ];
    rules.extend(refused_for_ever(dice));
    FaultProfile {
        name: "swarm".into(),
        outcomes: shares(dice, "outcome", &OUTCOMES),
        rules,
        ..FaultProfile::calm()
    }
}

/// One call to one instance, or to all, that is answered 403 until somebody heals it.
fn refused_for_ever(dice: Dice) -> Option<Rule> {
    let calls = *dice.pick(
        "call refused for ever",
        &[
            CallKind::Upgrade,
            CallKind::Show,
            CallKind::Version,
            CallKind::InstanceTasks,
            CallKind::TaskCentre,
            CallKind::List,
        ],
    );
    let number = dice.number("instance refused for ever", 0, 9);
    dice.chance("refused for ever", 0.1).then(|| Rule {
        calls: CallFilter::Only(calls),
        instance: dice.chance("one instance refused", 0.7).then(|| format!("cache-{number:02}")),
        decisions: BTreeMap::from([(Decision::Forbidden, Share(1.0))]),
        ..Rule::default()
    })
}

fn shares<T: Copy + Ord + std::fmt::Debug>(
    dice: Dice,
    kind: &str,
    among: &[(T, f64)],
) -> BTreeMap<T, Share> {
    let named = |fault: &T| format!("{kind} {fault:?}");
    among
        .iter()
        .filter(|(fault, most)| *most > 0.0 && dice.chance(&named(fault), SWARM))
        .map(|(fault, most)| (*fault, Share(most * dice.unit(&format!("{} share", named(fault))))))
        .collect()
}

/// Where the unknowns of the cloud may stand. What is missing of the table of knobs concerns bytes
/// on a network, IAM or the metadata address, none of which a host in virtual time has.
pub const KNOBS: [(&str, &[&str]); 43] = [
    ("service_task", &["filled", "flag_only", "never"]),
    ("status_during", &["UPGRADING", "EXTENDING", "RUNNING", "HOTFIXING"]),
    ("task_during", &["shown", "null"]),
    ("task_name", &["upgradeMinorVersion", "modify", "EXTEND"]),
    ("task_centre", &["same_id", "other_id", "hidden", "absent"]),
    ("newest_answer", &["4053", "accepted", "odd"]),
    ("not_enabled", &["403", "400", "404"]),
    ("proxy_on_plain", &["ignored", "refused"]),
    ("duplicate", &["4116", "4026", "4017", "runs_twice"]),
    ("upgrade_limit", &["off", "10/1m"]),
    ("read_limit", &["off", "60/1m"]),
    ("task_takes", &["world", "1m..3m"]),
    ("single_node_data", &["kept", "lost"]),
    ("paging", &["stable", "shifting"]),
    ("task_order", &["newest_first", "oldest_first"]),
    ("task_page", &["1", "3", "100"]),
    // The promise holds if the cloud shows an upgrade within `observe_for`, a minute at least.
    ("task_appears_after", &["off", "5s", "20s"]),
    ("records_kept", &["off", "1m", "1h"]),
    ("retry_after", &["absent", "seconds", "date", "absurd", "negative"]),
    ("version_moves", &["at_end", "at_start", "midway"]),
    ("progress", &["shown", "absent"]),
    ("error_codes", &["dcs", "numeric"]),
    ("clock_ahead", &["off", "2s", "7m"]),
    ("lost_answers", &["off", "0.1"]),
    ("lost_requests", &["off", "0.1"]),
    ("errors_after", &["off", "0.1"]),
    ("errors_before", &["off", "0.05"]),
    ("error_status", &["mixed", "500", "502", "503", "504"]),
    ("throttle_share", &["off", "0.05"]),
    ("throttle_storm", &["off", "30m"]),
    ("slow_answers", &["off", "0.1"]),
    ("stalled", &["off", "0.02"]),
    ("garbage", &["off", "0.05"]),
    ("forbidden", &["none", "p0"]),
    ("tasks_vanish", &["off", "0.1"]),
    ("tasks_stick", &["off", "0.05"]),
    ("tasks_fail", &["off", "0.1"]),
    ("tasks_fail_but_move", &["off", "0.05"]),
    ("odd_words", &["off", "0.1"]),
    ("progress_backwards", &["off", "0.1"]),
    ("version_unchanged", &["off", "0.05"]),
    ("breaks_midway", &["off", "0.05"]),
    ("others_do", &["mixed", "delete", "freeze", "fault", "upgrade", "finish"]),
];

/// Every unknown of the cloud turned some way.
pub fn knobs(dice: Dice) -> Knobs {
    let mut knobs = Knobs::default();
    for (name, values) in KNOBS {
        // Faults that are shares are drawn by the profile too: as knobs they come now and then.
        let is_fault = matches!(values.first(), Some(&"off" | &"none"));
        if dice.chance(&format!("turn {name}"), if is_fault { 0.1 } else { 0.5 }) {
            let value = dice.pick(name, values);
            knobs.set(&format!("{name}={value}")).expect("the knob takes it");
        }
    }
    if dice.chance("others", SWARM) {
        knobs.set("others=0.1").expect("the knob takes it");
    }
    if dice.chance("never enabled", 0.01) {
        let value = dice.pick("never enabled how", &["absent_gateway", "absent_service"]);
        knobs.set(&format!("upgrade_call={value}")).expect("the knob takes it");
    }
    knobs
}

pub fn mischief(dice: Dice) -> Mischief {
    let crashing = dice.chance("crashing", 0.6);
    // A service manager has it back within seconds, a human within an hour or so.
    let most_down = match dice.chance("back at once", 0.5) {
        true => Millis::from_secs(2),
        false => dice.minutes("down for", 1, 90),
    };
    Mischief {
        seed: dice.0,
        crash_share: if crashing { 0.002 + 0.02 * dice.unit("crash share") } else { 0.0 },
        crashes_most: dice.small("crashes", 1, 12),
        down_for: SpanRange { least: Millis(500), most: most_down },
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
