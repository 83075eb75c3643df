//! Every intent runs the gauntlet of all rules; rule S10 stands here: only what the plan selected
//! and a fresh look found fit is sent, and the body asks only for what can be upgraded.

use std::collections::BTreeSet;

use super::facts::{AttemptFacts, OF_ANOTHER_PROCESS};
use super::{Checker, Rule};
use crate::engine::Step;
use crate::engine::event::{Event, Fact, Quota};
use crate::engine::request::Request;
use crate::engine::state::TargetState;
use crate::model::policy::{CampaignPolicy, GroupKey, Untagged};
use crate::model::{AttemptId, CacheMode, Instance, Millis, TargetId, UpgradeBody, Versions};

/// A look is fresh for so long (rule S10).
const LOOK_FOR: Millis = Millis::from_secs(60);

/// A version answer is good for so long (rule S10).
const VERSIONS_FOR: Millis = Millis::from_hours(24);

impl Checker {
    pub(super) fn check_intent(&mut self, event: &Event, step: &Step) {
        let Fact::Intent { body, not_after, versions, .. } = &event.fact else { return };
        let (Some(target), Some(attempt)) = (event.target(), event.attempt.clone()) else {
            return self.violate(Rule::S2, event.seq, "an intent names no target or attempt");
        };
        self.check_written_ahead(event, &attempt, step);
        self.check_attempt(event, &target, &attempt);
        self.check_window(event, &target, *not_after);
        self.check_room(event, &target);
        self.check_stops(event, &target, &attempt);
        self.check_wave(event, &target);
        self.check_budget(event, &target);
        self.check_fit(event, &target, body, versions);
        self.check_no_late_task(event, &target);
        self.take(Quota::Starts, &target.project, event.seq);
        self.begin_attempt(event, &target, attempt, step);
        self.check_caps(event, &target);
    }

    /// The target is submitting from here on, and counts everywhere.
    fn begin_attempt(&mut self, event: &Event, target: &TargetId, id: AttemptId, step: &Step) {
        let now = self.clock.elapsed();
        let row = step.changes.attempts.iter().rev().find(|row| row.id == id).cloned();
        self.check_transition(event, target);
        self.join_groups(target);
        let number = id.number;
        let attempt = AttemptFacts {
            far_enough: None,
            id,
            row,
            intent_at: now,
            observed_from: None,
            looks_from: now,
            clean_looks: Vec::new(),
            looked_up_to: self.asked,
            is_definite: false,
            sent_with: self.fingerprint_in(&target.project),
            is_upgrade_seen: false,
            suspects: BTreeSet::new(),
        };
        self.change(target, |facts| {
            facts.state = TargetState::Submitting;
            facts.number = number;
            facts.attempt = Some(attempt);
            facts.watched = Default::default();
            facts.not_before = None;
        });
    }

    fn check_fit(
        &mut self,
        event: &Event,
        target: &TargetId,
        body: &UpgradeBody,
        before: &Versions,
    ) {
        let complaint = match self.policy(&target.campaign) {
            Some(policy) => self.unfit(target, &policy, body, before),
            None => Some("its campaign was never in the file".into()),
        };
        if let Some(complaint) = complaint {
            self.violate(Rule::S10, event.seq, format!("{target} started: {complaint}"));
        }
    }

    fn unfit(
        &self,
        target: &TargetId,
        policy: &CampaignPolicy,
        body: &UpgradeBody,
        before: &Versions,
    ) -> Option<String> {
        let now = self.clock.elapsed();
        let facts = self.instance(&target.project, &target.instance)?;
        let Some(shown) = &facts.shown else { return Some("no look of this process".into()) };
        if now - shown.asked_at > LOOK_FOR {
            return Some(format!("its last look is {} old", now - shown.asked_at));
        }
        if !shown.what.is_idle() {
            return Some("its last look was not idle".into());
        }
        if let Some(complaint) = unwanted(&shown.what, facts.listed.as_deref(), policy) {
            return Some(complaint);
        }
        let Some(versions) = &facts.versions else { return Some("no version answer".into()) };
        if versions.number == OF_ANOTHER_PROCESS {
            return Some("no version answer of this process".into());
        }
        if now - versions.asked_at > VERSIONS_FOR {
            return Some(format!("its versions are {} old", now - versions.asked_at));
        }
        if versions.what != *before {
            return Some("the intent tells other versions than were read last".into());
        }
        misfit_body(body, policy, &versions.what)
    }

    pub(super) fn check_requests(&mut self, step: &Step) {
        for request in &step.requests {
            match request {
                Request::Submit(submit) => self.check_submit(submit, step),
                Request::Read(read) => {
                    self.take(Quota::Reads, &read.project, self.last_seq);
                    self.asked += 1;
                    let open = super::OpenRead {
                        project: read.project.clone(),
                        call: read.call.clone(),
                        asked_at: self.clock.elapsed(),
                        number: self.asked,
                    };
                    if self.reads.insert(read.id, open).is_some() {
                        let detail = format!("read {} is asked twice", read.id.0);
                        self.violate(Rule::S12, self.last_seq, detail);
                    }
                }
                Request::Renew { .. } => {}
            }
            self.check_credential(request);
        }
    }
}

/// Excluded, unsupported, or single-node without leave.
fn unwanted(
    shown: &Instance,
    listed: Option<&Instance>,
    policy: &CampaignPolicy,
) -> Option<String> {
    if !shown.is_supported() {
        return Some("it is not supported".into());
    }
    if shown.cache_mode == CacheMode::Single && !policy.allow_single_node {
        return Some("it has a single node".into());
    }
    let Some(listed) = listed else { return Some("no inventory listed it".into()) };
    if !policy.select.matches(listed) {
        return Some("the campaign does not select it".into());
    }
    let refused = policy.max_unavailable.iter().any(|limit| match &limit.per {
        GroupKey::Tag(tag) => limit.untagged == Untagged::Refuse && !listed.tags.contains_key(tag),
        GroupKey::Zone | GroupKey::Project => false,
    });
    refused.then(|| "it lacks a tag that max_unavailable insists on".into())
}

/// The body asks for a part that is not wanted, cannot be upgraded, or names another version.
fn misfit_body(body: &UpgradeBody, policy: &CampaignPolicy, versions: &Versions) -> Option<String> {
    if body.is_empty() {
        return Some("its body is empty".into());
    }
    if body.engine.is_some() && (body.engine != policy.engine || !versions.engine.upgradable) {
        return Some("its body names an engine version that is not wanted or not possible".into());
    }
    if body.proxy.is_some() && (body.proxy != policy.proxy || !versions.proxy.upgradable) {
        return Some("its body names a proxy version that is not wanted or not possible".into());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::example::{Scene, instance};
    use super::*;
    use crate::engine::input::Input;
    use crate::model::policy::Select;
    use crate::model::{CurrentTask, InstanceStatus};

    fn start_shown(change: impl FnOnce(&mut Instance)) -> Scene {
        let mut scene = Scene::new();
        scene.precheck("a");
        let mut shown = instance("a");
        change(&mut shown);
        scene.show(shown);
        let step = scene.intent("a");
        scene.give(Input::Tick, step);
        scene
    }

    fn start_policy(change: impl FnOnce(&mut CampaignPolicy)) -> Scene {
        let mut scene = Scene::with(|settings| {
            change(settings.campaigns.get_mut(&"c".into()).expect("the scene has it"));
        });
        scene.start("a");
        scene
    }

    #[test]
    fn a_start_of_what_is_not_idle_or_not_supported_breaks_s10() {
        start_shown(|_| {}).expect_good();
        start_shown(|shown| shown.status = InstanceStatus::Frozen).expect(Rule::S10);
        start_shown(|shown| shown.current_task = CurrentTask::Busy("X".into())).expect(Rule::S10);
        start_shown(|shown| shown.current_task = CurrentTask::NotShown).expect(Rule::S10);
        start_shown(|shown| shown.engine_version = "3.0".into()).expect(Rule::S10);
        start_shown(|shown| shown.cache_mode = CacheMode::Single).expect(Rule::S10);
    }

    #[test]
    fn a_start_on_an_old_look_or_that_of_a_dead_process_breaks_s10() {
        for wait in [Millis::from_secs(60), Millis::from_secs(61)] {
            let mut scene = Scene::new();
            scene.precheck("a");
            scene.wait(wait);
            let step = scene.intent("a");
            scene.give(Input::Tick, step);
            if wait == Millis::from_secs(60) {
                scene.expect_good();
            } else {
                scene.expect(Rule::S10);
            }
        }
        let mut scene = Scene::new();
        scene.precheck("a");
        scene.checker.restart(Millis::ZERO);
        let step = scene.intent("a");
        scene.give(Input::Tick, step);
        scene.expect(Rule::S10);
    }

    #[test]
    fn a_start_on_versions_that_another_process_read_breaks_s10() {
        let mut scene = Scene::new();
        scene.precheck("a");
        scene.checker.restart(Millis::ZERO);
        scene.show(instance("a"));
        let step = scene.intent("a");
        scene.give(Input::Tick, step);
        scene.expect(Rule::S10);
    }

    #[test]
    fn a_start_on_versions_older_than_a_day_breaks_s10() {
        let mut scene = Scene::with(|settings| {
            let window = settings.windows.get_mut(&"night".into()).expect("the scene has it");
            window.duration = Millis::from_hours(48);
        });
        scene.precheck("a");
        scene.wait(Millis::from_hours(24) + Millis(1));
        scene.show(instance("a"));
        let step = scene.intent("a");
        scene.give(Input::Tick, step);
        scene.expect(Rule::S10);
    }

    #[test]
    fn a_start_of_what_is_not_selected_breaks_s10() {
        let select = |engine_version: &str| Select {
            engine_versions: vec![engine_version.into()],
            ..Select::default()
        };
        start_policy(|policy| policy.select = select("6.0")).expect_good();
        start_policy(|policy| policy.select = select("5.0")).expect(Rule::S10);
    }

    #[test]
    fn a_body_that_asks_for_what_is_not_wanted_or_possible_breaks_s10() {
        start_policy(|policy| policy.engine = Some("6.0.8".into())).expect(Rule::S10);
        let mut scene = Scene::new();
        scene.precheck("a");
        scene.show_versions("a", "6.0.9");
        let step = scene.intent("a");
        scene.give(Input::Tick, step);
        scene.expect(Rule::S10);
    }

    #[test]
    fn a_start_above_the_rate_breaks_s6() {
        let start_two = |burst| {
            let mut scene = Scene::with(|settings| {
                let project = settings.projects.get_mut(&"p".into()).expect("the scene has it");
                project.upgrade_rate.burst = burst;
            });
            scene.start("a");
            scene.start("b");
            scene
        };
        start_two(2).expect_good();
        start_two(1).expect(Rule::S6);
    }

    #[test]
    fn a_read_above_the_rate_breaks_s6() {
        let mut scene = Scene::with(|settings| {
            let project = settings.projects.get_mut(&"p".into()).expect("the scene has it");
            project.read_rate.burst = 2;
        });
        scene.expect_good();
        scene.show(instance("a"));
        scene.show(instance("a"));
        scene.expect(Rule::S6);
    }
}
