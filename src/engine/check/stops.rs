//! Rule S9: what stops every start, and the acknowledged orders of rule S4.

use super::facts::Circuit;
use super::{Checker, Rule};
use crate::engine::Step;
use crate::engine::event::{Event, Fact};
use crate::engine::input::Input;
use crate::engine::order::{Command, Reply, Scope};
use crate::engine::state::CampaignState;
use crate::model::policy::Starts;
use crate::model::{AttemptId, ProjectName, SubmitAnswer, TargetId};

/// Uncertain or not-sent answers in a row that open a project's circuit.
const CIRCUIT_RUN: u32 = 3;

/// 403s of different instances in a row that stop a project.
const FORBIDDEN_RUN: usize = 3;

impl Checker {
    /// Every reason of rule S9 why `target` may not start now.
    pub(super) fn check_stops(&mut self, event: &Event, target: &TargetId, attempt: &AttemptId) {
        let mut reasons = self.process_stops();
        reasons.extend(self.campaign_stops(target));
        reasons.extend(self.project_stops(&target.project));
        if self.targets.get(target).is_some_and(|facts| facts.held) {
            reasons.push("an operator holds it".into());
        }
        if self.targets.get(target).is_some_and(|facts| facts.needs_operator) {
            reasons.push("an operator has to look at it first".into());
        }
        for reason in reasons {
            self.violate(Rule::S9, event.seq, format!("{target} started: {reason}"));
        }
        let circuit = self.projects.get_mut(&target.project).and_then(|p| p.circuit.as_mut());
        if let Some(circuit) = circuit {
            circuit.probe = Some(attempt.clone());
        }
    }

    fn process_stops(&self) -> Vec<String> {
        let process = &self.process;
        [
            (process.stopping, "the process is stopping"),
            (process.not_owner, "the process is not the owner"),
            (process.store_failing, "the store is failing"),
            (process.clock_suspect, "the clock is suspect"),
            (process.freeze_file, "the FREEZE file is there"),
        ]
        .into_iter()
        .filter(|(holds, _)| *holds)
        .map(|(_, reason)| reason.into())
        .collect()
    }

    fn campaign_stops(&self, target: &TargetId) -> Vec<String> {
        let mut reasons = Vec::new();
        let campaign = self.campaigns.get(&target.campaign);
        let state = campaign.and_then(|facts| facts.state);
        if state != Some(CampaignState::Running) {
            let word = state.map_or("not planned", CampaignState::word);
            reasons.push(format!("the campaign is {word}"));
        }
        if campaign.is_some_and(|facts| facts.draining) {
            reasons.push("the campaign is being aborted".into());
        }
        if campaign.is_none_or(|facts| !facts.in_file) {
            reasons.push("the campaign is not in the file".into());
        }
        for scope in [
            Scope::All,
            Scope::Project(target.project.clone()),
            Scope::Campaign(target.campaign.clone()),
        ] {
            let until = self.freezes.get(&scope);
            if until.is_some_and(|until| until.is_none_or(|until| self.clock.wall() < until)) {
                reasons.push(format!("{scope} is frozen"));
            }
        }
        reasons
    }

    fn project_stops(&self, name: &ProjectName) -> Vec<String> {
        let mut reasons = Vec::new();
        let policy = self.settings.projects.get(name);
        if policy.is_none_or(|policy| policy.starts != Starts::On) {
            reasons.push("starts are off in the project".into());
        }
        let Some(facts) = self.projects.get(name) else { return reasons };
        if facts.stopped {
            reasons.push("the project is stopped".into());
        }
        let Some(circuit) = &facts.circuit else { return reasons };
        if self.clock.elapsed() < circuit.until {
            reasons.push("the circuit is open and its backoff is not over".into());
        } else if !circuit.is_reachable {
            reasons.push("the circuit is open and no read has succeeded since".into());
        } else if circuit.probe.is_some() {
            reasons.push("the circuit is open and has let its one start through".into());
        }
        reasons
    }

    /// Counts unclear answers and 403s in a row, and what they must lead to.
    pub(super) fn count_clarity(&mut self, attempt: &AttemptId, answer: &SubmitAnswer) {
        let now = self.clock.elapsed();
        let facts = self.projects.entry(attempt.target.project.clone()).or_default();
        let is_unclear = matches!(answer, SubmitAnswer::Uncertain | SubmitAnswer::NotSent);
        facts.unclear_run = if is_unclear { facts.unclear_run + 1 } else { 0 };
        let is_forbidden = *answer == SubmitAnswer::Forbidden;
        match is_forbidden {
            // Two campaigns may have tried the same instance.
            true => facts.forbidden_run.extend([attempt.target.instance.clone()]),
            false => facts.forbidden_run.clear(),
        }
        match &mut facts.circuit {
            Some(_) => {}
            None if facts.unclear_run >= CIRCUIT_RUN => {
                facts.circuit = Some(Circuit { until: now, is_reachable: false, probe: None });
            }
            None => {}
        }
        facts.stopped |= facts.forbidden_run.len() >= FORBIDDEN_RUN;
        facts.stopped |= *answer == SubmitAnswer::CapabilityAbsent;
        self.end_probe(attempt);
    }

    /// The one start that an open circuit let through was answered, or never left.
    pub(super) fn end_probe(&mut self, attempt: &AttemptId) {
        let project = self.projects.get_mut(&attempt.target.project);
        let circuit = project.and_then(|facts| facts.circuit.as_mut());
        if let Some(circuit) = circuit.filter(|each| each.probe.as_ref() == Some(attempt)) {
            circuit.probe = None;
        }
    }

    /// A read of the project succeeded.
    pub(super) fn reached(&mut self, project: &ProjectName) {
        let now = self.clock.elapsed();
        let circuit = self.projects.get_mut(project).and_then(|facts| facts.circuit.as_mut());
        if let Some(circuit) = circuit {
            circuit.is_reachable |= now >= circuit.until;
        }
    }

    pub(super) fn apply_project_event(&mut self, event: &Event, input: &Input) {
        let Some(project) = &event.project else { return };
        let now = self.clock.elapsed();
        match &event.fact {
            Fact::ProjectStopped { .. } => self.project_mut(project).stopped = true,
            Fact::ProjectResumed => {
                let facts = self.project_mut(project);
                facts.stopped = false;
                facts.forbidden_run.clear();
                facts.circuit = None;
                facts.unclear_run = 0;
            }
            Fact::CircuitOpened { until } => {
                let until = self.clock.elapsed_at(*until);
                if until <= now {
                    self.violate(Rule::S9, event.seq, "the circuit opens without a backoff");
                }
                let circuit = Circuit { until, is_reachable: false, probe: None };
                self.project_mut(project).circuit = Some(circuit);
            }
            Fact::CircuitClosed => self.close_circuit(event, project, input),
            Fact::OwnUserLearned { user, .. } => self.check_learned(event, project, user),
            _ => {}
        }
    }

    fn close_circuit(&mut self, event: &Event, project: &ProjectName, input: &Input) {
        let is_accepted = matches!(
            input,
            Input::Submitted { answer, .. } if matches!(answer.answer, SubmitAnswer::Accepted { .. })
        );
        let is_read = matches!(input, Input::Read { result: Ok(_), .. });
        if !is_accepted && !is_read && !matches!(input, Input::Order(_)) {
            let detail = format!("the circuit of {project} closes and no upgrade was accepted");
            self.violate(Rule::S9, event.seq, detail);
        }
        let facts = self.project_mut(project);
        facts.circuit = None;
        facts.unclear_run = 0;
    }

    pub(super) fn project_mut(&mut self, name: &ProjectName) -> &mut super::ProjectFacts {
        self.projects.entry(name.clone()).or_default()
    }

    /// An order that was acknowledged is in force (rule S4).
    pub(super) fn check_order(&mut self, input: &Input, step: &Step) {
        let Input::Order(order) = input else { return };
        let is_in_force = match &order.command {
            Command::Pause { campaign } => self.campaigns.get(campaign).is_some_and(|facts| {
                facts.state.is_some_and(|state| state == CampaignState::Paused || state.is_over())
                    || facts.draining
            }),
            Command::Abort { campaign } => self.campaigns.get(campaign).is_some_and(|facts| {
                facts.draining || facts.state.is_some_and(CampaignState::is_over)
            }),
            Command::Freeze { scope, .. } => self.freezes.contains_key(scope),
            Command::Unfreeze { scope } => !self.freezes.contains_key(scope),
            Command::Hold { target } => self.targets.get(target).is_some_and(|facts| facts.held),
            _ => true,
        };
        match &step.reply {
            Some(Reply::Done { .. }) if !is_in_force => {
                let detail = format!("{:?} was acknowledged and is not in force", order.command);
                self.violate(Rule::S4, self.last_seq, detail);
            }
            None => self.violate(Rule::S4, self.last_seq, "an order was not answered"),
            Some(Reply::Done { .. } | Reply::Refused { .. }) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::example::{Scene, target};
    use super::*;
    use crate::engine::input::{FreezeFile, Ownership, StoreHealth};
    use crate::engine::order::Order;
    use crate::engine::state::{PauseCause, TargetState};
    use crate::model::{Millis, Wall};

    fn starts_after(stop: impl FnOnce(&mut Scene)) -> Scene {
        let mut scene = Scene::new();
        scene.precheck("a");
        stop(&mut scene);
        let step = scene.intent("a");
        scene.give(Input::Tick, step);
        scene
    }

    #[test]
    fn a_start_in_spite_of_a_doubt_of_the_process_breaks_s9() {
        let doubts = [
            Input::Stopping,
            Input::Store(StoreHealth::Failing),
            Input::FreezeFile(FreezeFile::Present("/FREEZE".into())),
            Input::Ownership(Ownership::NotOwner),
            Input::ClockStepped { offset: Millis::ZERO },
        ];
        for doubt in doubts {
            starts_after(|scene| scene.give(doubt, Step::default())).expect(Rule::S9);
        }
    }

    #[test]
    fn a_start_of_a_paused_campaign_breaks_s9() {
        let pause = |scene: &mut Scene| {
            let fact = Fact::Paused {
                cause: PauseCause::Operator,
                targets: Vec::new(),
                names: Vec::new(),
            };
            let step = scene.campaign_step(fact, |row| {
                row.state = CampaignState::Paused;
                row.detail.causes = [PauseCause::Operator].into();
            });
            scene.give(Input::Tick, step);
        };
        starts_after(pause).expect(Rule::S9);
    }

    #[test]
    fn a_start_under_a_freeze_breaks_s9_until_it_is_lifted() {
        let freeze = |until: Option<Wall>| {
            move |scene: &mut Scene| {
                let scope = Scope::Project("p".into());
                let event = scene.project_event(Fact::Frozen { scope, until });
                scene.give(Input::Tick, Step { events: vec![event], ..Step::default() });
            }
        };
        starts_after(freeze(None)).expect(Rule::S9);
        starts_after(freeze(Some(Wall(0)))).expect_good();
    }

    #[test]
    fn a_start_of_a_held_target_breaks_s9() {
        let hold = |scene: &mut Scene| {
            let step = scene.step("a", Fact::Held, TargetState::Pending, |row| {
                row.held_by = Some("ann".into());
            });
            scene.give(Input::Tick, step);
        };
        starts_after(hold).expect(Rule::S9);
    }

    #[test]
    fn a_start_after_three_unclear_answers_breaks_s9() {
        let mut scene = Scene::new();
        for id in ["a", "b", "c"] {
            scene.start(id);
            scene.wait(Millis::from_secs(1));
            scene.lose(id);
        }
        scene.expect_good();
        let verdict = crate::engine::order::Verdict::NotApplied;
        let step = scene.step("a", Fact::Resolved { verdict }, TargetState::Pending, |_| {});
        scene.give(Input::Tick, step);
        let until = scene.wall() + Millis::from_secs(30);
        let event = scene.project_event(Fact::CircuitOpened { until });
        scene.give(Input::Tick, Step { events: vec![event], ..Step::default() });
        scene.start("a");
        scene.expect(Rule::S9);
    }

    #[test]
    fn a_start_in_a_stopped_project_breaks_s9() {
        let stop = |scene: &mut Scene| {
            let event = scene.project_event(Fact::ProjectStopped { why: "403".into() });
            scene.give(Input::Tick, Step { events: vec![event], ..Step::default() });
        };
        starts_after(stop).expect(Rule::S9);
    }

    #[test]
    fn an_acknowledged_order_that_is_not_in_force_breaks_s4() {
        let commands = [
            Command::Pause { campaign: "c".into() },
            Command::Abort { campaign: "c".into() },
            Command::Freeze { scope: Scope::All, until: None },
            Command::Hold { target: target("a") },
        ];
        for command in commands {
            let mut scene = Scene::new();
            let order = Order { actor: "ann".into(), reason: None, command };
            let reply = Some(Reply::Done { changed: true, message: String::new() });
            scene.give(Input::Order(order), Step { reply, ..Step::default() });
            scene.expect(Rule::S4);
        }
    }
}
