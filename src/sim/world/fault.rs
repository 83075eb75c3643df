//! What goes wrong, when: rules with probabilities, scripts for exact calls, outcomes of upgrades.
//!
//! A decision is a draw keyed by call, instance and the number of that call to that instance, so
//! that a call more or less elsewhere changes nothing here.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::decision::{CallKind, Decision};
use super::knobs::{ErrorStatus, Knobs};
use super::spec::Outcome;
use super::value::{Share, Span, SpanRange};
use crate::model::{Millis, draw};

/// Faults of the calls and outcomes of the upgrades.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultProfile {
    #[serde(default)]
    pub name: String,
    /// From this long after the start nothing goes wrong any more and stuck tasks move again.
    #[serde(default)]
    pub heal_after: Option<Span>,
    /// How long `slow` keeps an answer back.
    #[serde(default = "slow_takes")]
    pub slow_takes: SpanRange,
    /// Shares of upgrades that end so; the rest succeed. Instances whose world file tells their
    /// outcomes are exempt.
    #[serde(default)]
    pub outcomes: BTreeMap<Outcome, Share>,
    #[serde(default, rename = "rule")]
    pub rules: Vec<Rule>,
    /// Scripts come before rules; the first that fits a call decides it.
    #[serde(default, rename = "script")]
    pub scripts: Vec<Script>,
}

fn slow_takes() -> SpanRange {
    SpanRange { least: Millis(500), most: Millis::from_secs(3) }
}

/// Shares of decisions for some calls.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    pub calls: CallFilter,
    /// Project name; all without it.
    #[serde(default)]
    pub project: Option<String>,
    /// Instance id or name; all without it.
    #[serde(default)]
    pub instance: Option<String>,
    /// The rule counts from and until so long after the start.
    #[serde(default)]
    pub from: Option<Span>,
    #[serde(default)]
    pub until: Option<Span>,
    pub decisions: BTreeMap<Decision, Share>,
    /// HTTP status for server errors of this rule.
    #[serde(default)]
    pub status: Option<u16>,
}

/// What happens to the first, second, … fitting call of each instance.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    pub calls: CallFilter,
    #[serde(default)]
    pub project: Option<String>,
    /// Instance id or name; without it each instance runs through the script by itself.
    #[serde(default)]
    pub instance: Option<String>,
    pub steps: Vec<Step>,
}

/// Which calls a rule or a script is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallFilter {
    #[default]
    Any,
    /// Every call of the service that changes nothing.
    Read,
    Iam,
    #[serde(untagged)]
    Only(CallKind),
}

/// One step: a decision word, or a table that says more.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Step {
    pub decision: Decision,
    /// HTTP status instead of the decision's own.
    pub status: Option<u16>,
    /// Error code instead of the decision's own.
    pub code: Option<Arc<str>>,
    pub message: Option<Arc<str>>,
    /// The `Retry-After` header, verbatim.
    pub retry_after: Option<Arc<str>>,
    /// Kept back for so long.
    pub delay: Option<Span>,
    /// Whether the service sees the call, instead of the decision's own.
    pub apply: Option<bool>,
    /// For so many calls in a row; at least 1.
    pub times: u32,
}

impl From<Decision> for Step {
    fn from(decision: Decision) -> Step {
        Step { decision, times: 1, ..Step::default() }
    }
}

impl Step {
    pub fn applies(&self) -> bool {
        self.apply.unwrap_or_else(|| self.decision.applies())
    }
}

/// The table form of a step.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StepTable {
    decision: Decision,
    #[serde(default)]
    status: Option<u16>,
    #[serde(default)]
    code: Option<Arc<str>>,
    #[serde(default)]
    message: Option<Arc<str>>,
    #[serde(default)]
    retry_after: Option<Arc<str>>,
    #[serde(default)]
    delay: Option<Span>,
    #[serde(default)]
    apply: Option<bool>,
    #[serde(default = "once")]
    times: u32,
}

fn once() -> u32 {
    1
}

impl<'de> Deserialize<'de> for Step {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Step, D::Error> {
        struct StepVisitor;

        impl<'de> Visitor<'de> for StepVisitor {
            type Value = Step;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a decision such as \"error_500_before\", or a table with one")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<Step, E> {
                Decision::deserialize(de::value::StrDeserializer::new(word)).map(Step::from)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Step, A::Error> {
                let table = StepTable::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Step {
                    decision: table.decision,
                    status: table.status,
                    code: table.code,
                    message: table.message,
                    retry_after: table.retry_after,
                    delay: table.delay,
                    apply: table.apply,
                    times: table.times.max(1),
                })
            }
        }

        deserializer.deserialize_any(StepVisitor)
    }
}

impl CallFilter {
    pub fn has(self, call: CallKind) -> bool {
        match self {
            CallFilter::Any => true,
            CallFilter::Read => call.is_read(),
            CallFilter::Iam => call.is_iam(),
            CallFilter::Only(only) => only == call,
        }
    }
}

/// Which call is to be decided.
#[derive(Debug, Clone, Copy)]
pub(super) struct Occasion<'a> {
    pub call: CallKind,
    pub project: &'a str,
    pub instance_id: &'a str,
    pub instance_name: &'a str,
    /// Since the world began.
    pub age: Millis,
}

/// The profile with the knobs' faults added, and how often each call came.
#[derive(Debug, Clone)]
pub(super) struct Faults {
    profile: FaultProfile,
    error_status: ErrorStatus,
    seed: u64,
    healed: bool,
    counts: BTreeMap<(CallKind, Arc<str>), u64>,
    script_counts: BTreeMap<(usize, Arc<str>), u32>,
}

impl Faults {
    pub fn new(profile: FaultProfile, knobs: &Knobs, seed: u64) -> Faults {
        let mut profile = profile;
        add_knobs(&mut profile, knobs);
        Faults {
            profile,
            error_status: knobs.error_status,
            seed,
            healed: false,
            counts: BTreeMap::new(),
            script_counts: BTreeMap::new(),
        }
    }

    pub fn heal_after(&self) -> Option<Millis> {
        self.profile.heal_after.map(|span| span.0)
    }

    pub fn heal(&mut self) {
        self.healed = true;
    }

    pub fn profile_mut(&mut self) -> &mut FaultProfile {
        &mut self.profile
    }

    /// Decides one call.
    pub fn decide(&mut self, occasion: Occasion<'_>) -> Step {
        if self.healed || (self.profile.rules.is_empty() && self.profile.scripts.is_empty()) {
            return Step::from(Decision::Ok);
        }
        let key =
            if occasion.instance_id.is_empty() { occasion.project } else { occasion.instance_id };
        let key: Arc<str> = key.into();
        let count = self.counts.entry((occasion.call, key.clone())).or_default();
        *count += 1;
        let number = *count;
        match self.scripted(occasion, &key) {
            Some(step) => step,
            None => self.ruled(occasion, &key, number),
        }
    }

    /// How an upgrade ends that the world file does not decide.
    pub fn outcome(&self, instance: &str, number: u64) -> Outcome {
        if self.healed || self.profile.outcomes.is_empty() {
            return Outcome::Success;
        }
        let drawn = draw::unit(self.seed, "outcome", instance, number);
        pick(&self.profile.outcomes, drawn).unwrap_or(Outcome::Success)
    }

    /// How long a slow answer is kept back.
    pub fn slowness(&self, instance: &str, number: u64) -> Millis {
        self.profile.slow_takes.at(draw::unit(self.seed, "slow", instance, number))
    }

    fn scripted(&mut self, occasion: Occasion<'_>, key: &Arc<str>) -> Option<Step> {
        for (index, script) in self.profile.scripts.iter().enumerate() {
            if !fits(script.calls, &script.project, &script.instance, &occasion) {
                continue;
            }
            let count = self.script_counts.entry((index, key.clone())).or_default();
            let mut before = *count;
            for step in &script.steps {
                if before < step.times {
                    *count += 1;
                    return Some(step.clone());
                }
                before -= step.times;
            }
        }
        None
    }

    fn ruled(&self, occasion: Occasion<'_>, key: &str, number: u64) -> Step {
        for (index, rule) in self.profile.rules.iter().enumerate() {
            let begun = rule.from.is_none_or(|from| occasion.age >= from.0);
            let over = rule.until.is_some_and(|until| occasion.age >= until.0);
            if !begun || over || !fits(rule.calls, &rule.project, &rule.instance, &occasion) {
                continue;
            }
            let purpose = format!("fault {index} {}", occasion.call.word());
            if let Some(decision) =
                pick(&rule.decisions, draw::unit(self.seed, &purpose, key, number))
            {
                let mut step = Step::from(decision);
                step.status = rule.status.or_else(|| self.drawn_status(decision, key, number));
                return step;
            }
        }
        Step::from(Decision::Ok)
    }

    fn drawn_status(&self, decision: Decision, key: &str, number: u64) -> Option<u16> {
        if !matches!(decision, Decision::ApplyThen500 | Decision::Error500Before) {
            return None;
        }
        Some(match self.error_status {
            ErrorStatus::S500 => 500,
            ErrorStatus::S502 => 502,
            ErrorStatus::S503 => 503,
            ErrorStatus::S504 => 504,
            ErrorStatus::Mixed => {
                // 500 is the plain answer of the service; the others come from the gateway.
                let drawn = draw::unit(self.seed, "error status", key, number);
                [500, 500, 500, 502, 503, 504][(drawn * 6.0) as usize]
            }
        })
    }
}

fn fits(
    calls: CallFilter,
    project: &Option<String>,
    instance: &Option<String>,
    occasion: &Occasion<'_>,
) -> bool {
    calls.has(occasion.call)
        && project.as_ref().is_none_or(|name| name == occasion.project)
        && instance
            .as_ref()
            .is_none_or(|name| name == occasion.instance_id || name == occasion.instance_name)
}

/// The entry in whose slice of `[0, 1)` the draw falls; none in the rest.
fn pick<T: Copy>(shares: &BTreeMap<T, Share>, drawn: f64) -> Option<T> {
    let mut end = 0.0;
    shares.iter().find_map(|(choice, share)| {
        end += share.0;
        (drawn < end).then_some(*choice)
    })
}

/// Turns the knobs of the fault rows into rules and outcomes of the profile.
fn add_knobs(profile: &mut FaultProfile, knobs: &Knobs) {
    use Decision as D;
    let split = |share: Share, among: &[Decision]| {
        among.iter().map(|each| (*each, Share(share.0 / among.len() as f64))).collect::<Vec<_>>()
    };
    if knobs.throttle_storm.0 > Millis::ZERO {
        profile.rules.push(Rule {
            until: Some(knobs.throttle_storm),
            decisions: BTreeMap::from([(D::Throttled, Share(1.0))]),
            ..Rule::default()
        });
    }
    if knobs.iam_down.0 > Millis::ZERO {
        profile.rules.push(Rule {
            calls: CallFilter::Iam,
            until: Some(knobs.iam_down),
            decisions: BTreeMap::from([(D::Error500Before, Share(1.0))]),
            status: Some(503),
            ..Rule::default()
        });
    }
    let upgrade = [
        (D::ApplyThenDrop, knobs.lost_answers),
        (D::DropBeforeApply, knobs.lost_requests),
        (D::ApplyThen500, knobs.errors_after),
    ];
    let mut any = vec![
        (D::Error500Before, knobs.errors_before),
        (D::Throttled, knobs.throttle_share),
        (D::SlowLoris, knobs.slow_loris),
        (D::Stalled, knobs.stalled),
        (D::Redirect, knobs.redirects),
        (D::CloseIdle, knobs.close_idle),
    ];
    any.extend(split(knobs.garbage, &GARBAGE));
    any.extend(split(knobs.oversize, &[D::Huge, D::GzipBomb, D::EndlessHeaders]));
    let mut push = |calls: CallFilter, shares: &[(Decision, Share)]| {
        let decisions: BTreeMap<_, _> =
            shares.iter().filter(|(_, share)| share.0 > 0.0).copied().collect();
        if !decisions.is_empty() {
            profile.rules.push(Rule { calls, decisions, ..Rule::default() });
        }
    };
    push(CallFilter::Only(CallKind::Upgrade), &upgrade);
    push(CallFilter::Any, &any);
    for (outcome, share) in [
        (Outcome::Vanishes, knobs.tasks_vanish),
        (Outcome::Stuck, knobs.tasks_stick),
        (Outcome::Failed, knobs.tasks_fail),
        (Outcome::UnknownWord, knobs.odd_words),
        (Outcome::ProgressBackwards, knobs.progress_backwards),
        (Outcome::VersionUnchanged, knobs.version_unchanged),
    ] {
        if share.0 > 0.0 {
            profile.outcomes.insert(outcome, share);
        }
    }
}

/// The answers that cannot be read.
const GARBAGE: [Decision; 10] = [
    Decision::Truncated,
    Decision::BadJson,
    Decision::BadUtf8,
    Decision::BadType,
    Decision::Html,
    Decision::Empty,
    Decision::NoTaskId,
    Decision::BadTaskId,
    Decision::Deep,
    Decision::DupKeys,
];

impl FaultProfile {
    /// Nothing goes wrong.
    pub fn calm() -> FaultProfile {
        FaultProfile { name: "calm".into(), slow_takes: slow_takes(), ..FaultProfile::default() }
    }

    /// What a bad night looks like: some errors before and after applying, lost answers, 429s,
    /// slow answers, a few upgrades that fail.
    pub fn realistic() -> FaultProfile {
        use Decision as D;
        let shares = |list: &[(Decision, f64)]| {
            list.iter().map(|(decision, share)| (*decision, Share(*share))).collect()
        };
        FaultProfile {
            name: "realistic".into(),
            outcomes: BTreeMap::from([
                (Outcome::Failed, Share(0.01)),
                (Outcome::VersionUnchanged, Share(0.005)),
            ]),
            rules: vec![
                Rule {
                    calls: CallFilter::Only(CallKind::Upgrade),
                    decisions: shares(&[
                        (D::Error500Before, 0.05),
                        (D::ApplyThen500, 0.03),
                        (D::ApplyThenDrop, 0.02),
                        (D::DropBeforeApply, 0.01),
                        (D::Throttled, 0.03),
                        (D::Slow, 0.02),
                    ]),
                    ..Rule::default()
                },
                Rule {
                    calls: CallFilter::Read,
                    decisions: shares(&[
                        (D::Error500Before, 0.01),
                        (D::Throttled, 0.01),
                        (D::Slow, 0.005),
                        (D::DropBeforeApply, 0.002),
                        (D::Truncated, 0.001),
                    ]),
                    ..Rule::default()
                },
            ],
            ..FaultProfile::calm()
        }
    }

    /// Everything that the fault table knows, often.
    pub fn hostile() -> FaultProfile {
        use Decision as D;
        let mut upgrade = BTreeMap::from([
            (D::Error500Before, Share(0.10)),
            (D::ApplyThen500, Share(0.08)),
            (D::ApplyThenDrop, Share(0.08)),
            (D::DropBeforeApply, Share(0.06)),
            (D::Throttled, Share(0.05)),
            (D::Slow, Share(0.05)),
            (D::CloseIdle, Share(0.02)),
        ]);
        let mut read = BTreeMap::from([
            (D::Error500Before, Share(0.05)),
            (D::DropBeforeApply, Share(0.03)),
            (D::Throttled, Share(0.03)),
            (D::Slow, Share(0.03)),
            (D::CloseIdle, Share(0.03)),
        ]);
        for garbage in GARBAGE {
            upgrade.insert(garbage, Share(0.01));
            read.insert(garbage, Share(0.004));
        }
        let outcomes = [
            (Outcome::Failed, 0.04),
            (Outcome::VersionUnchanged, 0.02),
            (Outcome::Stuck, 0.02),
            (Outcome::Vanishes, 0.03),
            (Outcome::VanishesUnchanged, 0.01),
            (Outcome::UnknownWord, 0.05),
            (Outcome::ProgressBackwards, 0.05),
            (Outcome::TurnsFaulty, 0.01),
            (Outcome::TurnsFrozen, 0.01),
            (Outcome::Deleted, 0.01),
        ];
        let rule = |calls, decisions| Rule { calls, decisions, ..Rule::default() };
        FaultProfile {
            name: "hostile".into(),
            outcomes: outcomes.into_iter().map(|(end, share)| (end, Share(share))).collect(),
            rules: vec![
                rule(CallFilter::Only(CallKind::Upgrade), upgrade),
                rule(CallFilter::Read, read),
            ],
            ..FaultProfile::calm()
        }
    }

    /// A built-in profile by its name.
    pub fn built_in(name: &str) -> Option<FaultProfile> {
        match name {
            "calm" => Some(FaultProfile::calm()),
            "realistic" => Some(FaultProfile::realistic()),
            "hostile" => Some(FaultProfile::hostile()),
            _ => None,
        }
    }
}
