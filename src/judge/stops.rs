//! S8 and S9: no intent while anything said stop.

use std::collections::{BTreeMap, BTreeSet};

use super::Findings;
use super::evidence::Evidence;
use crate::engine::order::Scope;
use crate::engine::{Event, Fact, TargetState};
use crate::model::policy::{FailureBudget, MaxFailures};
use crate::model::{CampaignName, CredentialName, Millis, ProjectName, TargetId, Wall};

/// An acknowledged stop closes the last check within this (rule S4).
const STOP_TAKES: Millis = Millis::from_secs(6);

pub(super) fn judge(evidence: &Evidence, findings: &mut Findings) {
    let mut stops = Stops::default();
    let mut budgets: BTreeMap<CampaignName, Budget> = BTreeMap::new();
    for event in &evidence.ledger {
        if matches!(event.fact, Fact::Intent { .. }) {
            let Some(target) = event.target() else { continue };
            findings.look(9, stops.breach(evidence, &target, event));
            if let Some(policy) = evidence.settings.campaigns.get(&target.campaign) {
                let budget = budgets.entry(target.campaign.clone()).or_default();
                findings.look(8, budget.breach(policy.failure_budget, &target));
            }
        }
        stops.follow(event);
        if let Some(campaign) = &event.campaign {
            budgets.entry(campaign.clone()).or_default().follow(event);
        }
    }
    judge_arrivals(evidence, findings);
}

/// Nothing reaches the cloud later than six seconds after a pause or freeze was acknowledged.
fn judge_arrivals(evidence: &Evidence, findings: &mut Findings) {
    for sent in evidence.sent() {
        let Some(attempt) = evidence.attempt(sent.attempt) else { continue };
        let mut stops = Stops::default();
        let mut stopped_since: Option<Wall> = None;
        for event in evidence.ledger.iter().take_while(|event| event.at <= sent.at()) {
            stops.follow(event);
            let stopped = stops.freezes_or_pauses(&attempt.id.target, sent.at());
            stopped_since = if stopped { stopped_since.or(Some(event.at)) } else { None };
        }
        let late = stopped_since.is_some_and(|since| sent.at() - since > STOP_TAKES);
        findings
            .expect(4, !late, || format!("{} reached the cloud long after a stop", sent.attempt));
    }
}

#[derive(Default)]
struct Stops {
    campaigns: BTreeSet<CampaignName>,
    aborted: BTreeSet<CampaignName>,
    projects: BTreeSet<ProjectName>,
    circuits: BTreeMap<ProjectName, Wall>,
    credentials: BTreeSet<CredentialName>,
    /// Each with its end, if it has one.
    freezes: BTreeMap<Scope, Option<Wall>>,
    process: BTreeSet<&'static str>,
}

impl Stops {
    fn follow(&mut self, event: &Event) {
        let campaign = event.campaign.clone();
        let project = event.project.clone();
        match (&event.fact, campaign, project) {
            (Fact::Paused { .. }, Some(name), _) => drop(self.campaigns.insert(name)),
            (Fact::Resumed { left, .. }, Some(name), _) if left.is_empty() => {
                self.campaigns.remove(&name);
            }
            (Fact::AbortOrdered, Some(name), _) => drop(self.aborted.insert(name)),
            (Fact::ProjectStopped { .. }, _, Some(name)) => drop(self.projects.insert(name)),
            (Fact::ProjectResumed, _, Some(name)) => drop(self.projects.remove(&name)),
            (Fact::CircuitOpened { until }, _, Some(name)) => {
                self.circuits.insert(name, *until);
            }
            (Fact::CircuitClosed, _, Some(name)) => drop(self.circuits.remove(&name)),
            (Fact::CredentialStopped { credential, .. }, ..) => {
                self.credentials.insert(credential.clone());
            }
            (Fact::CredentialResumed { credential }, ..) => {
                self.credentials.remove(credential);
            }
            (Fact::Frozen { scope, until }, ..) => {
                self.freezes.insert(scope.clone(), *until);
            }
            (Fact::Unfrozen { scope }, ..) => drop(self.freezes.remove(scope)),
            (fact, ..) => self.follow_process(fact),
        }
    }

    fn follow_process(&mut self, fact: &Fact) {
        let (word, stops) = match fact {
            Fact::ClockStepped { .. } => ("clock", true),
            Fact::ClockAgreed => ("clock", false),
            Fact::StoreFailing => ("store", true),
            Fact::StoreWorking => ("store", false),
            Fact::FrozenByFile => ("FREEZE file", true),
            Fact::UnfrozenByFile => ("FREEZE file", false),
            Fact::OwnershipLost => ("ownership", true),
            Fact::OwnershipGained => ("ownership", false),
            Fact::Stopping => ("stopping", true),
            // The process is another one: what stopped the last one's does not stop this one's.
            Fact::Restarted => {
                self.process.clear();
                self.circuits.clear();
                return;
            }
            _ => return,
        };
        if stops {
            self.process.insert(word);
        } else {
            self.process.remove(word);
        }
    }

    fn freezes_or_pauses(&self, target: &TargetId, at: Wall) -> bool {
        let scopes = [
            Scope::All,
            Scope::Project(target.project.clone()),
            Scope::Campaign(target.campaign.clone()),
        ];
        let denies = |scope| {
            self.freezes.get(scope).is_some_and(|until| until.is_none_or(|until| at < until))
        };
        scopes.iter().any(denies)
            || self.campaigns.contains(&target.campaign)
            || self.aborted.contains(&target.campaign)
    }

    fn breach(&self, evidence: &Evidence, target: &TargetId, event: &Event) -> Option<String> {
        let policy = evidence.settings.projects.get(&target.project);
        let credential = policy.map(|policy| &policy.credential);
        let why = if self.freezes_or_pauses(target, event.at) {
            "frozen, paused or aborted"
        } else if self.projects.contains(&target.project) {
            "its project stopped"
        } else if self.circuits.get(&target.project).is_some_and(|&until| event.at < until) {
            "the circuit open"
        } else if credential.is_some_and(|name| self.credentials.contains(name)) {
            "its credential stopped"
        } else if let Some(word) = self.process.first() {
            return Some(format!(
                "{target}: intent at {} with {word} in doubt",
                event.at.rfc3339()
            ));
        } else {
            return None;
        };
        Some(format!("{target}: intent at {} with {why}", event.at.rfc3339()))
    }
}

/// One campaign's budget, folded from the ledger.
#[derive(Default)]
struct Budget {
    strikes: BTreeSet<TargetId>,
    in_flight: BTreeSet<TargetId>,
    executed: BTreeSet<TargetId>,
    consecutive: u32,
}

impl Budget {
    fn follow(&mut self, event: &Event) {
        if matches!(event.fact, Fact::Acknowledged { .. }) {
            self.strikes.clear();
            self.consecutive = 0;
        }
        let Some(target) = event.target() else { return };
        match &event.fact {
            Fact::Failed { .. } => {
                self.strikes.insert(target.clone());
                self.executed.insert(target.clone());
                self.consecutive += 1;
            }
            Fact::Overdue { .. } | Fact::NeedsOperator { .. } => {
                self.strikes.insert(target.clone());
            }
            Fact::Succeeded { .. } => {
                self.executed.insert(target.clone());
                self.strikes.remove(&target);
                self.consecutive = 0;
            }
            Fact::RetryOrdered { .. } => {
                self.strikes.remove(&target);
                self.executed.remove(&target);
            }
            _ => {}
        }
        match event.state {
            Some(state) if state.is_in_flight() => drop(self.in_flight.insert(target)),
            Some(TargetState::Pending) => {
                self.in_flight.remove(&target);
                self.strikes.remove(&target);
            }
            Some(_) => drop(self.in_flight.remove(&target)),
            None => {}
        }
    }

    fn breach(&self, budget: FailureBudget, target: &TargetId) -> Option<String> {
        let (strikes, executed) = (self.strikes.len() as u64, self.executed.len() as u64);
        let reached = match budget.max_failures {
            MaxFailures::Count(most) => strikes >= u64::from(most),
            MaxFailures::Percent { percent, min_executed } => {
                executed >= u64::from(min_executed)
                    && strikes > 0
                    && strikes * 100 >= executed * u64::from(percent)
            }
        };
        if reached || self.consecutive >= budget.consecutive {
            return Some(format!(
                "{target}: intent with {strikes} strikes, {} in a row",
                self.consecutive
            ));
        }
        match budget.max_failures {
            MaxFailures::Count(most) if budget.strict => {
                let flying = self.in_flight.len() as u64 + 1;
                (flying > u64::from(most).saturating_sub(strikes))
                    .then(|| format!("{target}: {flying} in flight, {strikes} strikes of {most}"))
            }
            _ => None,
        }
    }
}
