//! Rule S12: an unproven credential has one request in flight, none has more than four, and after
//! the first 401 nothing is begun until it is renewed.

use super::facts::credential_of;
use super::{Checker, Rule};
use crate::engine::request::{ReadId, Request};
use crate::model::{AttemptId, CredentialName, ProjectName};

/// The cloud locks a key after five failures; so many may fail at once.
const IN_FLIGHT_MAX: usize = 4;

/// While nothing has been answered yet.
const IN_FLIGHT_UNPROVEN_MAX: usize = 1;

impl Checker {
    /// An answer that only a good signature or token gets.
    pub(super) fn prove_credential(&mut self, project: &ProjectName, generation: u32) {
        let Some(name) = credential_of(&self.settings, project) else { return };
        let facts = self.credentials.entry(name).or_default();
        if !facts.refused && facts.generation == generation {
            facts.proven = true;
            facts.renewed = false;
        }
    }

    pub(super) fn refuse_credential(&mut self, project: &ProjectName, generation: u32) {
        let Some(name) = credential_of(&self.settings, project) else { return };
        let facts = self.credentials.entry(name).or_default();
        if facts.generation == generation {
            facts.refused = true;
            facts.proven = false;
        }
    }

    /// An operator says that the credential is good again: it still has to prove it.
    pub(super) fn trust_credential(&mut self, name: &CredentialName) {
        let facts = self.credentials.entry(name.clone()).or_default();
        facts.renew();
        facts.renewed = false;
    }

    /// The request was answered; the form it was begun with, if this process had begun it.
    pub(super) fn close_submit(&mut self, attempt: &AttemptId) -> Option<u32> {
        self.credentials.values_mut().find_map(|facts| facts.submits.remove(attempt))
    }

    pub(super) fn close_read(&mut self, id: ReadId) -> Option<u32> {
        self.credentials.values_mut().find_map(|facts| facts.reads.remove(&id))
    }

    pub(super) fn check_credential(&mut self, request: &Request) {
        let seq = self.last_seq;
        let project = match request {
            Request::Submit(submit) => &submit.project,
            Request::Read(read) => &read.project,
            Request::Renew { credential } => return self.check_renewal(credential),
        };
        let Some(name) = credential_of(&self.settings, project) else {
            return self.violate(Rule::S12, seq, format!("project {project} has no credential"));
        };
        let facts = self.credentials.entry(name.clone()).or_default();
        match request {
            Request::Submit(submit) => {
                facts.submits.insert(submit.attempt.clone(), facts.generation);
            }
            Request::Read(read) => {
                facts.reads.insert(read.id, facts.generation);
            }
            Request::Renew { .. } => {}
        }
        let in_flight = facts.in_flight();
        let most = if facts.proven { IN_FLIGHT_MAX } else { IN_FLIGHT_UNPROVEN_MAX };
        let is_refused = facts.refused;
        if is_refused {
            self.violate(Rule::S12, seq, format!("a request with {name} begun after its 401"));
        }
        if in_flight > most {
            let detail = format!("{in_flight} requests with {name} in flight, {most} allowed");
            self.violate(Rule::S12, seq, detail);
        }
    }

    fn check_renewal(&mut self, name: &CredentialName) {
        let facts = self.credentials.entry(name.clone()).or_default();
        if facts.renewed && facts.refused {
            let detail = format!("{name} is renewed again though the last renewal proved nothing");
            self.violate(Rule::S12, self.last_seq, detail);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::example::{Scene, answered};
    use super::*;
    use crate::engine::Step;
    use crate::engine::input::Input;
    use crate::model::{Millis, ReadCall, ReadFailure};

    fn ask(scene: &mut Scene, count: usize) -> Vec<Request> {
        (0..count).map(|_| scene.ask(ReadCall::Instance { instance: "a".into() }).1).collect()
    }

    #[test]
    fn two_requests_with_an_unproven_credential_break_s12() {
        let mut scene = Scene::new();
        scene.checker.restart(Millis::ZERO);
        let requests = ask(&mut scene, 2);
        scene.give(Input::Tick, Step { requests, ..Step::default() });
        scene.expect(Rule::S12);
    }

    #[test]
    fn five_requests_in_flight_break_s12_and_four_do_not() {
        let mut scene = Scene::new();
        let requests = ask(&mut scene, 4);
        scene.give(Input::Tick, Step { requests, ..Step::default() });
        scene.expect_good();
        let requests = ask(&mut scene, 1);
        scene.give(Input::Tick, Step { requests, ..Step::default() });
        scene.expect(Rule::S12);
    }

    #[test]
    fn a_request_begun_after_a_401_breaks_s12() {
        let mut scene = Scene::new();
        let (id, request) = scene.ask(ReadCall::InventoryPage { offset: 0 });
        scene.give(Input::Tick, Step { requests: vec![request], ..Step::default() });
        let result = Err(answered(ReadFailure::CredentialRefused { renewable: false }));
        scene.give(Input::Read { id, result }, Step::default());
        scene.expect_good();
        let requests = ask(&mut scene, 1);
        scene.give(Input::Tick, Step { requests, ..Step::default() });
        scene.expect(Rule::S12);
    }

    #[test]
    fn a_second_renewal_that_nothing_proved_breaks_s12() {
        let mut scene = Scene::new();
        let renew = || Step {
            requests: vec![Request::Renew { credential: "ops".into() }],
            ..Step::default()
        };
        let generation = |scene: &Scene| scene.checker.credentials[&"ops".into()].generation;
        let first = generation(&scene);
        scene.checker.refuse_credential(&"p".into(), first);
        scene.give(Input::Tick, renew());
        scene.give(Input::Renewed { credential: "ops".into(), result: Ok(()) }, Step::default());
        // A late 401 to the form before says nothing about the new one.
        scene.checker.refuse_credential(&"p".into(), first);
        scene.give(Input::Tick, renew());
        scene.expect_good();
        let second = generation(&scene);
        scene.checker.refuse_credential(&"p".into(), second);
        scene.give(Input::Tick, renew());
        scene.expect(Rule::S12);
    }
}
