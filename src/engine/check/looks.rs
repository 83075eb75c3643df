//! The looks of rule S3: an uncertain attempt counts as not applied only after at least three
//! clean looks, each judged here again from the answers themselves.

use super::facts::{AttemptFacts, InstanceFacts, Sought};
use super::ours::{could_be_ours, is_anothers};
use super::{Checker, Rule};
use crate::engine::event::{Event, Fact};
use crate::engine::order::Verdict;
use crate::model::{CurrentTask, Millis, Part, Steady, TargetId, Task, TaskId};

/// Clean looks that prove that nothing happened (docs/decisions.md: from POST to proof).
const CLEAN_LOOKS: usize = 3;

/// The file's default of `observe_for`.
const DRAINING_FOR: Millis = Millis::from_mins(5);

impl Checker {
    /// `looked_clean`: the look must have been complete and negative, and counted right.
    pub(super) fn check_clean_look(&mut self, event: &Event, target: &TargetId, clean: u32) {
        if clean == 1 {
            // The count may begin anew: the look before was too long ago.
            self.forget_looks(target);
        }
        self.look(event, target);
        let counted = self.targets.get(target).and_then(|facts| facts.attempt.as_ref());
        let counted = counted.map_or(0, |attempt| attempt.clean_looks.len());
        if counted != clean as usize {
            let detail = format!("{target}: clean look {clean} is the {counted}. in a row");
            self.violate(Rule::S3, event.seq, detail);
        }
    }

    /// A busy look: the count begins anew, and if it shows an upgrade that no task of another user
    /// explains, nothing but a person tells whose it was.
    pub(super) fn take_busy_look(&mut self, target: &TargetId) {
        self.forget_looks(target);
        let own_user = self.own_user_of(target);
        let facts = self.instance(&target.project, &target.instance);
        let is_explained = facts.and_then(|facts| facts.tasks.as_ref()).is_some_and(|seen| {
            let mut open = seen.what.iter().filter(|task| !task.status.is_over());
            open.any(|task| is_anothers(task, own_user.as_ref()))
        });
        let is_seen = facts.and_then(|facts| facts.shown.as_ref()).is_some_and(|seen| {
            let task = match &seen.what.current_task {
                CurrentTask::Busy(word) => word,
                CurrentTask::Idle | CurrentTask::NotShown => "",
            };
            seen.what.service_upgrade || task.contains("UPGRADING")
        });
        let attempt = self.targets.get_mut(target).and_then(|facts| facts.attempt.as_mut());
        if let Some(attempt) = attempt.filter(|_| is_seen && !is_explained) {
            attempt.is_upgrade_seen = true;
        }
    }

    /// A busy or otherwise unclean look: the count begins anew.
    pub(super) fn forget_looks(&mut self, target: &TargetId) {
        if let Some(attempt) = self.targets.get_mut(target).and_then(|facts| facts.attempt.as_mut())
        {
            attempt.clean_looks.clear();
        }
    }

    /// `not_applied`: enough clean looks, not too far apart, the last one late enough.
    pub(super) fn check_not_applied(&mut self, event: &Event, target: &TargetId, events: &[Event]) {
        let has = |is_wanted: fn(&Fact) -> bool| {
            let same = |other: &&Event| other.target().as_ref() == Some(target);
            events.iter().filter(same).any(|other| is_wanted(&other.fact))
        };
        if has(|fact| matches!(fact, Fact::Resolved { verdict: Verdict::NotApplied })) {
            return;
        }
        let is_counted = has(|fact| matches!(fact, Fact::LookedClean { .. }));
        if !is_counted {
            self.look(event, target);
        }
        let policy = self.settings.campaigns.get(&target.campaign);
        let observe_for = policy.map_or_else(|| self.longest_observation(), |it| it.observe_for);
        let Some(attempt) = self.targets.get(target).and_then(|facts| facts.attempt.as_ref())
        else {
            return;
        };
        let complaint = not_enough(attempt, observe_for);
        let seen = attempt.is_upgrade_seen.then(|| "an upgrade ran, and it may be ours".to_owned());
        if let Some(complaint) = complaint.or(seen) {
            self.violate(Rule::S3, event.seq, format!("{target} not applied: {complaint}"));
        }
    }

    /// For a campaign that left the file: another one may want the instance next.
    fn longest_observation(&self) -> Millis {
        let others = self.settings.campaigns.values().map(|policy| policy.observe_for);
        others.max().map_or(DRAINING_FOR, |longest| longest.max(DRAINING_FOR))
    }

    fn look(&mut self, event: &Event, target: &TargetId) {
        let (now, asked) = (self.clock.elapsed(), self.asked);
        let facts = self.instance(&target.project, &target.instance);
        let own_user = self.own_user_of(target);
        let looked_at = self.targets.get(target);
        let sought = looked_at.and_then(|facts| facts.sought.as_ref());
        let attempt = looked_at.and_then(|facts| facts.attempt.as_ref());
        let complaint = match (attempt.zip(sought), facts) {
            (Some((attempt, sought)), Some(facts)) => {
                unclean(attempt, facts, |task| could_be_ours(task, sought, own_user.as_ref()))
                    .or_else(|| new_service_task(sought, facts))
            }
            _ => Some("there is no attempt, or nothing was read".into()),
        };
        if let Some(complaint) = complaint {
            self.violate(Rule::S3, event.seq, format!("{target} looked at: {complaint}"));
        }
        if let Some(attempt) = self.targets.get_mut(target).and_then(|facts| facts.attempt.as_mut())
        {
            attempt.clean_looks.push(now);
            attempt.looked_up_to = asked;
        }
    }
}

/// Why the answers at hand are no clean look.
fn unclean(
    attempt: &AttemptFacts,
    facts: &InstanceFacts,
    could_be_ours: impl Fn(&Task) -> bool,
) -> Option<String> {
    let Some(row) = &attempt.row else { return Some("the attempt has no row".into()) };
    let (Some(shown), Some(versions), Some(tasks)) = (&facts.shown, &facts.versions, &facts.tasks)
    else {
        return Some("instance, versions and tasks were not all read".into());
    };
    for (what, asked_at, number) in [
        ("instance", shown.asked_at, shown.number),
        ("versions", versions.asked_at, versions.number),
        ("tasks", tasks.asked_at, tasks.number),
    ] {
        if asked_at < attempt.looks_from {
            let early = attempt.looks_from - asked_at;
            return Some(format!("its {what} read is {early} too early"));
        }
        if number <= attempt.looked_up_to {
            return Some(format!("its {what} read is that of an earlier look"));
        }
    }
    if !shown.what.is_idle() {
        return Some("the instance was not idle".into());
    }
    for part in [Part::Engine, Part::Proxy] {
        let before = &row.versions_before.part(part).current;
        if *before != versions.what.part(part).current {
            return Some("a version had moved".into());
        }
    }
    let ours = tasks.what.iter().find(|task| could_be_ours(task));
    let is_listed = |id: &&TaskId| tasks.what.iter().any(|task| task.id == **id);
    let vanished = attempt.suspects.iter().find(|id| !is_listed(id));
    ours.map(|task| format!("task {} was new and could be ours", task.id))
        .or_else(|| vanished.map(|id| format!("task {id} could be ours, and was shown before")))
}

/// The instance names a task that is new, and that its list does not tell more of.
fn new_service_task(sought: &Sought, facts: &InstanceFacts) -> Option<String> {
    let id = facts.shown.as_ref()?.what.service_task_id.as_ref()?;
    let tasks = &facts.tasks.as_ref()?.what;
    let is_known = sought.known_tasks.contains(id) || tasks.iter().any(|task| task.id == *id);
    (!is_known).then(|| "it showed a new service_task_id".into())
}

/// Why the clean looks so far do not prove that nothing happened.
fn not_enough(attempt: &AttemptFacts, observe_for: Millis) -> Option<String> {
    let looks = &attempt.clean_looks;
    if looks.len() < CLEAN_LOOKS {
        return Some(format!("after {} clean looks", looks.len()));
    }
    let too_far = |pair: &[Steady]| (pair[1] - pair[0]).0 * 2 > observe_for.0;
    if looks.windows(2).any(too_far) {
        return Some("two looks are further apart than half of observe_for".into());
    }
    let from = attempt.observed_from.map_or(attempt.intent_at, |from| from.max(attempt.intent_at));
    let due = from + observe_for;
    let last = *looks.last()?;
    (last < due).then(|| format!("the last look was {} too early for observe_for", due - last))
}

#[cfg(test)]
mod tests {
    use super::super::example::{Scene, instance};
    use super::*;
    use crate::engine::Step;
    use crate::engine::input::Input;
    use crate::engine::state::TargetState;
    use crate::model::{TaskStatus, Wall};

    /// How one look of the tests deviates from a clean one.
    #[derive(Clone, Copy, PartialEq)]
    enum Bend {
        Nothing,
        Busy,
        MovedVersion,
        NewTask,
        NoTasksRead,
    }

    fn read(scene: &mut Scene, bend: Bend) {
        let mut shown = instance("a");
        if bend == Bend::Busy {
            shown.current_task = CurrentTask::Busy("UPGRADING".into());
        }
        scene.show(shown);
        scene.show_versions("a", if bend == Bend::MovedVersion { "6.0.9" } else { "6.0.1" });
        if bend != Bend::NoTasksRead {
            let task = Task {
                id: "new".into(),
                name: "unheard-of".into(),
                status: TaskStatus::Open,
                created_at: Some(Wall(scene.now.0)),
                updated_at: None,
                user_id: None,
                error_code: None,
            };
            scene.show_tasks("a", if bend == Bend::NewTask { vec![task] } else { Vec::new() });
        }
    }

    /// Looks at a lost attempt at the given seconds; the last one proves "not applied".
    fn looks(at: &[(i64, Bend)]) -> Scene {
        let mut scene = Scene::new();
        scene.start("a");
        let sent_at = scene.now;
        scene.wait(Millis::from_secs(1));
        scene.lose("a");
        for (index, (second, bend)) in at.iter().enumerate() {
            scene.now = sent_at + Millis::from_secs(*second);
            read(&mut scene, *bend);
            let is_last = index + 1 == at.len();
            let step = if is_last {
                let not_before = Some(scene.wall() + Millis::from_secs(2));
                scene.step("a", Fact::NotApplied { not_before }, TargetState::Pending, |_| {})
            } else {
                let fact = Fact::LookedClean { clean: index as u32 + 1 };
                scene.step("a", fact, TargetState::Uncertain, |_| {})
            };
            scene.give(Input::Tick, step);
        }
        scene
    }

    #[test]
    fn three_clean_looks_up_to_observe_for_prove_it() {
        looks(&[(2, Bend::Nothing), (150, Bend::Nothing), (300, Bend::Nothing)]).expect_good();
    }

    #[test]
    fn two_looks_or_looks_that_end_early_or_stand_too_far_apart_prove_nothing() {
        looks(&[(160, Bend::Nothing), (300, Bend::Nothing)]).expect(Rule::S3);
        looks(&[(2, Bend::Nothing), (150, Bend::Nothing), (299, Bend::Nothing)]).expect(Rule::S3);
        looks(&[(2, Bend::Nothing), (149, Bend::Nothing), (300, Bend::Nothing)]).expect(Rule::S3);
    }

    #[test]
    fn a_look_that_shows_anything_is_not_clean() {
        for bend in [Bend::Busy, Bend::MovedVersion, Bend::NewTask, Bend::NoTasksRead] {
            looks(&[(2, Bend::Nothing), (150, bend), (300, Bend::Nothing)]).expect(Rule::S3);
        }
    }

    #[test]
    fn a_read_from_before_the_answer_is_no_look() {
        let mut scene = Scene::new();
        scene.start("a");
        read(&mut scene, Bend::Nothing);
        scene.wait(Millis::from_secs(1));
        scene.lose("a");
        let fact = Fact::LookedClean { clean: 1 };
        let step = scene.step("a", fact, TargetState::Uncertain, |_| {});
        scene.give(Input::Tick, step);
        scene.expect(Rule::S3);
    }

    #[test]
    fn a_wrong_count_of_looks_breaks_s3() {
        let mut scene = Scene::new();
        scene.start("a");
        scene.wait(Millis::from_secs(1));
        scene.lose("a");
        read(&mut scene, Bend::Nothing);
        let fact = Fact::LookedClean { clean: 2 };
        let step = scene.step("a", fact, TargetState::Uncertain, |_| {});
        scene.give(Input::Tick, step);
        scene.expect(Rule::S3);
        assert_eq!(Step::default().events, []);
    }
}
