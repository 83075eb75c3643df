//! The rules judged from outside: the cloud's log joined with the store, the settings and every
//! output (docs/decisions.md: how it is proved).
//!
//! Nothing here trusts the engine: it asks what the cloud received, what the store says and
//! whether both fit the rules. A rule without evidence is *not judged*, never *held*.

mod caps;
mod credential;
mod evidence;
mod known;
mod ledger;
mod outputs;
mod protocol;
mod stops;
mod timing;

use std::collections::BTreeMap;
use std::fmt;

pub use evidence::{Evidence, Output, load_store};

/// One of the rules S1–S15.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rule(pub u8);

impl Rule {
    pub fn all() -> impl Iterator<Item = Rule> {
        (1..=15).map(Rule)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S{}", self.0)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// How many facts were looked at.
    Held {
        facts: usize,
    },
    Broken(Vec<String>),
    NotJudged(&'static str),
}

/// The judgement of every rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict(pub BTreeMap<Rule, Judgement>);

impl Verdict {
    pub fn is_broken(&self) -> bool {
        self.0.values().any(|judgement| matches!(judgement, Judgement::Broken(_)))
    }

    /// `rules: 14 held, 1 not judged (S14)`.
    pub fn summary(&self) -> String {
        let of = |want: fn(&Judgement) -> bool| -> Vec<String> {
            let rules = self.0.iter().filter(|(_, judgement)| want(judgement));
            rules.map(|(rule, _)| rule.to_string()).collect()
        };
        let held = of(|judgement| matches!(judgement, Judgement::Held { .. }));
        let broken = of(|judgement| matches!(judgement, Judgement::Broken(_)));
        let not_judged = of(|judgement| matches!(judgement, Judgement::NotJudged(_)));
        let mut parts = vec![format!("{} held", held.len())];
        for (rules, word) in [(broken, "broken"), (not_judged, "not judged")] {
            if !rules.is_empty() {
                parts.push(format!("{} {word} ({})", rules.len(), rules.join(", ")));
            }
        }
        format!("rules: {}", parts.join(", "))
    }
}

/// Judges one run.
pub fn judge(evidence: &Evidence) -> Verdict {
    let mut findings = Findings::default();
    protocol::judge(evidence, &mut findings);
    known::judge(evidence, &mut findings);
    caps::judge(evidence, &mut findings);
    timing::judge(evidence, &mut findings);
    stops::judge(evidence, &mut findings);
    ledger::judge(evidence, &mut findings);
    credential::judge(evidence, &mut findings);
    outputs::judge(evidence, &mut findings);
    findings.verdict()
}

/// Facts looked at and breaches found, by rule.
#[derive(Debug, Default)]
struct Findings {
    facts: BTreeMap<u8, usize>,
    broken: BTreeMap<u8, Vec<String>>,
}

impl Findings {
    /// One fact was looked at under this rule; `breach` says what is wrong with it, if anything.
    fn look(&mut self, rule: u8, breach: Option<String>) {
        *self.facts.entry(rule).or_default() += 1;
        if let Some(breach) = breach {
            self.broken.entry(rule).or_default().push(breach);
        }
    }

    /// The same, with the breach spelt out only if it is one.
    fn expect(&mut self, rule: u8, holds: bool, breach: impl FnOnce() -> String) {
        self.look(rule, (!holds).then(breach));
    }

    fn verdict(mut self) -> Verdict {
        let judged = Rule::all().map(|rule| {
            let judgement = match (self.broken.remove(&rule.0), self.facts.get(&rule.0)) {
                (Some(broken), _) => Judgement::Broken(broken),
                (None, Some(&facts)) => Judgement::Held { facts },
                (None, None) if rule.0 == 14 => Judgement::NotJudged("needs two owners"),
                (None, None) => Judgement::NotJudged("no fact to judge it by"),
            };
            (rule, judgement)
        });
        Verdict(judged.collect())
    }
}
