//! What a fault file says: rules with probabilities, scripts for exact calls, outcomes of upgrades;
//! and the three profiles that are built in.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::decision::{CallKind, Decision};
use super::spec::Outcome;
use super::value::{Share, Span, SpanRange};
use crate::model::Millis;

/// Faults of the calls and outcomes of the upgrades.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table of faults")]
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

/// Which calls a rule or a script is about: `any`, `read`, `iam`, or the word of one call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum CallFilter {
    #[default]
    Any,
    /// Every call of the service that changes nothing.
    Read,
    Iam,
    Only(CallKind),
}

impl<'de> Deserialize<'de> for CallFilter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<CallFilter, D::Error> {
        let word = String::deserialize(deserializer)?;
        match word.as_str() {
            "any" => Ok(CallFilter::Any),
            "read" => Ok(CallFilter::Read),
            "iam" => Ok(CallFilter::Iam),
            call => CallKind::deserialize(de::value::StrDeserializer::<D::Error>::new(call))
                .map(CallFilter::Only)
                .map_err(|_| {
                    de::Error::custom(format!("{call:?} is not any, read, iam, or one call's word"))
                }),
        }
    }
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
    /// Kept back for so long; for a 429, the wait that its Retry-After tells.
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

/// The answers that cannot be read.
pub(super) const GARBAGE: [Decision; 10] = [
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

    /// The names of the built-in profiles.
    pub const BUILT_IN: [&str; 3] = ["calm", "realistic", "hostile"];

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
