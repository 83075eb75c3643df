//! What somebody may do in a scenario: the words of an act, and what they mean.
//!
//! Orders are written as on the command line, without `refit`; the rest is about the machine, the
//! store and the cloud. [`FORMS`] lists them all.

use std::str::FromStr;

use serde::Deserialize;
use serde::de::value::{Error as WordError, StrDeserializer};

use crate::engine::input::{FreezeFile, StoreHealth};
use crate::engine::order::{ResumeScope, Verdict};
use crate::engine::{Command, Scope};
use crate::model::{CampaignName, Millis, closest};
use crate::rehearse::{Act, Network};
use crate::sim::world::{Change, Span};

/// Every deed, by its words.
pub const FORMS: &[&str] = &[
    "pause CAMPAIGN",
    "resume CAMPAIGN | --project NAME | --credential NAME",
    "abort CAMPAIGN",
    "approve CAMPAIGN",
    "promote CAMPAIGN",
    "freeze --all | --project NAME | --campaign NAME",
    "unfreeze --all | --project NAME | --campaign NAME",
    "hold TARGET",
    "release TARGET",
    "skip TARGET",
    "retry TARGET",
    "resolve TARGET --applied | --not-applied | --succeeded | --failed",
    "why TARGET",
    "touch FREEZE",
    "rm FREEZE",
    "crash DURATION",
    "stop DURATION",
    "clock +DURATION | -DURATION",
    "network down | up",
    "store fails | works | copied | restored",
    "cloud heals",
    "cloud INSTANCE CHANGE",
];

/// How long a daemon stays down while somebody restores its store.
const RESTORING_TAKES: Millis = Millis::from_mins(1);

/// Nobody waits longer, and no clock steps farther.
const LONGEST: Millis = Millis::from_hours(366 * 24);

/// One deed.
#[derive(Debug, Clone)]
pub enum Deed {
    Order(Command),
    /// Of the plan as it then is.
    Approve(CampaignName),
    OrderAbout(TargetOrder, String),
    /// Asks why a target is not moving.
    Why(String),
    Act(Act),
    /// Somebody else does something to the instance of that name.
    Change(String, Change),
}

/// An order about one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetOrder {
    Hold,
    Release,
    Skip,
    Retry,
    Resolve(Verdict),
}

impl FromStr for Deed {
    type Err = String;

    fn from_str(text: &str) -> Result<Deed, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        order(&words).or_else(|| about_target(&words)).or_else(|| act(&words)).unwrap_or_else(
            || {
                let verb = words.first().copied().unwrap_or_default();
                let mut verbs: Vec<&str> = FORMS.iter().map(|form| first_word(form)).collect();
                verbs.dedup();
                match verbs.contains(&verb) {
                    true => Err(format!("{text:?} is not of the form {}", forms(verb))),
                    false => Err(format!("nobody can {verb:?} here{}", closest::hint(verb, verbs))),
                }
            },
        )
    }
}

/// What is not about this verb, or not of its form, is `None`; what is, and has a wrong value, an
/// error.
type Parsed = Option<Result<Deed, String>>;

fn order(words: &[&str]) -> Parsed {
    let command = match *words {
        ["pause", campaign] => Command::Pause { campaign: campaign.into() },
        ["resume", "--project", name] => {
            Command::Resume { scope: ResumeScope::Project(name.into()) }
        }
        ["resume", "--credential", name] => {
            Command::Resume { scope: ResumeScope::Credential(name.into()) }
        }
        ["resume", campaign] => Command::Resume { scope: ResumeScope::Campaign(campaign.into()) },
        ["abort", campaign] => Command::Abort { campaign: campaign.into() },
        ["promote", campaign] => Command::Promote { campaign: campaign.into() },
        ["freeze", ref scope @ ..] => Command::Freeze { scope: frozen(scope)?, until: None },
        ["unfreeze", ref scope @ ..] => Command::Unfreeze { scope: frozen(scope)? },
        ["approve", campaign] => return Some(Ok(Deed::Approve(campaign.into()))),
        _ => return None,
    };
    Some(Ok(Deed::Order(command)))
}

fn frozen(words: &[&str]) -> Option<Scope> {
    match *words {
        ["--all"] => Some(Scope::All),
        ["--project", name] => Some(Scope::Project(name.into())),
        ["--campaign", name] => Some(Scope::Campaign(name.into())),
        _ => None,
    }
}

fn about_target(words: &[&str]) -> Parsed {
    let (order, target) = match *words {
        ["why", target] => return Some(Ok(Deed::Why(target.into()))),
        ["hold", target] => (TargetOrder::Hold, target),
        ["release", target] => (TargetOrder::Release, target),
        ["skip", target] => (TargetOrder::Skip, target),
        ["retry", target] => (TargetOrder::Retry, target),
        ["resolve", target, verdict] => {
            let verdict = match verdict {
                "--applied" => Verdict::Applied { task: None },
                "--not-applied" => Verdict::NotApplied,
                "--succeeded" => Verdict::Succeeded,
                "--failed" => Verdict::Failed,
                _ => return None,
            };
            (TargetOrder::Resolve(verdict), target)
        }
        _ => return None,
    };
    Some(Ok(Deed::OrderAbout(order, target.into())))
}

fn act(words: &[&str]) -> Parsed {
    let act = match *words {
        ["touch", "FREEZE"] => Act::FreezeFile(FreezeFile::Present("FREEZE".into())),
        ["rm", "FREEZE"] => Act::FreezeFile(FreezeFile::Absent),
        ["network", "down"] => Act::Network(Network::Down),
        ["network", "up"] => Act::Network(Network::Up),
        ["store", "fails"] => Act::Store(StoreHealth::Failing),
        ["store", "works"] => Act::Store(StoreHealth::Working),
        ["store", "copied"] => Act::CopyStore,
        ["store", "restored"] => Act::RestoreStore { back_after: RESTORING_TAKES },
        ["cloud", "heals"] => Act::Heal,
        ["cloud", instance, change] => return Some(changed(instance, change)),
        ["crash", time] => return Some(with(time, |back_after| Act::Crash { back_after })),
        ["stop", time] => return Some(with(time, |back_after| Act::Stop { back_after })),
        ["clock", by] => match (by.strip_prefix('+'), by.strip_prefix('-')) {
            (Some(by), _) => return Some(with(by, Act::ClockStep)),
            (_, Some(by)) => return Some(with(by, |by| Act::ClockStep(Millis::ZERO - by))),
            (None, None) => return None,
        },
        _ => return None,
    };
    Some(Ok(Deed::Act(act)))
}

fn changed(instance: &str, change: &str) -> Result<Deed, String> {
    let change = Change::deserialize(StrDeserializer::<WordError>::new(change))
        .map_err(|error| error.to_string())?;
    Ok(Deed::Change(instance.into(), change))
}

fn with(time: &str, act: impl FnOnce(Millis) -> Act) -> Result<Deed, String> {
    let span: Span = time.parse().map_err(|bad| format!("{bad}"))?;
    if span.0 > LONGEST {
        return Err(format!("{time} is longer than a year"));
    }
    Ok(Deed::Act(act(span.0)))
}

fn first_word(form: &str) -> &str {
    form.split(' ').next().unwrap_or(form)
}

fn forms(verb: &str) -> String {
    let forms: Vec<&str> = FORMS.iter().copied().filter(|form| first_word(form) == verb).collect();
    forms.join(", or ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One text of each alternative of a form.
    fn examples(form: &str) -> Vec<String> {
        let verb = first_word(form);
        let rest = form.strip_prefix(verb).expect("it begins so").trim();
        let filled = rest
            .replace("+DURATION", "+2h")
            .replace("-DURATION", "-2h")
            .replace("DURATION", "30s")
            .replace("CHANGE", "deleted");
        match filled.split_once(" --").filter(|(first, _)| *first == "TARGET") {
            Some((target, verdicts)) => verdicts
                .split(" | --")
                .map(|verdict| format!("{verb} {target} --{verdict}"))
                .collect(),
            None => filled.split(" | ").map(|rest| format!("{verb} {rest}")).collect(),
        }
    }

    #[test]
    fn every_form_is_understood() {
        for example in FORMS.iter().flat_map(|form| examples(form)) {
            assert!(example.parse::<Deed>().is_ok(), "{example}");
        }
    }

    #[test]
    fn what_nobody_can_do_is_refused_with_what_was_meant() {
        let refused = |text: &str| text.parse::<Deed>().expect_err("nobody can do that");
        assert_eq!(refused("puase c"), "nobody can \"puase\" here; did you mean pause?");
        assert_eq!(
            refused("network slow"),
            "\"network slow\" is not of the form network down | up"
        );
        assert!(
            refused("clock +soon").contains("a duration such as"),
            "{}",
            refused("clock +soon")
        );
        assert!(refused("cloud cache-1 sad").contains("unknown variant `sad`"));
    }
}
