//! What goes wrong with one call: a draw from the profile and the knobs.
//!
//! A decision is a draw keyed by call, instance and the number of that call to that instance, so
//! that a call more or less elsewhere changes nothing here.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::decision::{CallKind, Decision};
use super::knobs::{ErrorStatus, Knobs};
use super::profile::{CallFilter, FaultProfile, GARBAGE, Rule, Step};
use super::spec::Outcome;
use super::value::Share;
use crate::model::{Millis, draw};

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
    pub fn slowness(&self, call: u64) -> Millis {
        self.profile.slow_takes.at(draw::unit(self.seed, "slow", "", call))
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
        (D::Slow, knobs.slow_answers),
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
    add_outcomes(profile, knobs);
}

/// What becomes of tasks that were accepted.
fn add_outcomes(profile: &mut FaultProfile, knobs: &Knobs) {
    let third = Share(knobs.breaks_midway.0 / 3.0);
    for (outcome, share) in [
        (Outcome::Vanishes, knobs.tasks_vanish),
        (Outcome::Stuck, knobs.tasks_stick),
        (Outcome::Failed, knobs.tasks_fail),
        (Outcome::FailedButMoved, knobs.tasks_fail_but_move),
        (Outcome::TurnsFaulty, third),
        (Outcome::TurnsFrozen, third),
        (Outcome::Deleted, third),
        (Outcome::UnknownWord, knobs.odd_words),
        (Outcome::ProgressBackwards, knobs.progress_backwards),
        (Outcome::VersionUnchanged, knobs.version_unchanged),
    ] {
        if share.0 > 0.0 {
            profile.outcomes.insert(outcome, share);
        }
    }
}
