//! Rule S13 (what is at rest is known and true), and the full recount: every counter from scratch,
//! every row against the fold of the ledger.

use std::collections::BTreeMap;

use super::facts::{CampaignFacts, TargetFacts};
use super::tally::Side;
use super::{Checker, Rule, Violation};
use crate::engine::event::{Event, Fact};
use crate::engine::rows::{AttemptRow, Rows};
use crate::engine::state::Reason;
use crate::model::{CampaignName, InstanceId, Part, ProjectName, TargetId, TaskId, Versions};

impl Checker {
    /// An adopted task was shown by the cloud, for this instance, and was not there before.
    pub(super) fn check_adopted(&mut self, event: &Event, target: &TargetId, task: &TaskId) {
        let sought = self.targets.get(target).and_then(|facts| facts.sought.as_ref());
        let was_there = sought.is_none_or(|sought| sought.known_tasks.contains(task));
        let facts = self.instance(&target.project, &target.instance);
        if was_there || !facts.is_some_and(|facts| facts.has_shown_task(task)) {
            let detail = format!("{target}: adopts task {task}, which is old or was never shown");
            self.violate(Rule::S13, event.seq, detail);
        }
    }

    /// Success is what the cloud showed: every part moved as far as it can, idle, and settled.
    pub(super) fn check_success(&mut self, event: &Event, target: &TargetId) {
        let Fact::Succeeded { reason, before, after, .. } = &event.fact else { return };
        if *reason == Reason::Operator {
            return;
        }
        let mut complaints = Vec::new();
        if *reason == Reason::Inferred && (before.is_none() || after.is_none() || before == after) {
            complaints.push("it is inferred without the versions before and after".to_owned());
        }
        if let Some(facts) = self.targets.get(target) {
            complaints.extend(self.unproven(target, facts));
        }
        for complaint in complaints {
            self.violate(Rule::S13, event.seq, format!("{target} succeeded: {complaint}"));
        }
    }

    fn unproven(&self, target: &TargetId, facts: &TargetFacts) -> Option<String> {
        let seen = self.instance(&target.project, &target.instance)?;
        let row = facts.attempt.as_ref()?.row.as_ref()?;
        let Some(versions) = &seen.versions else {
            return Some("its versions were not read".into());
        };
        let is_far_enough = facts.attempt.as_ref().is_some_and(|it| it.far_enough.is_some());
        if !is_far_enough && let Some(part) = unmoved(row, &versions.what) {
            let part = if part == Part::Engine { "engine" } else { "proxy" };
            return Some(format!("the {part} version has not moved far enough"));
        }
        let idle = seen.shown.as_ref().filter(|shown| shown.what.is_idle());
        let Some(idle) = idle else { return Some("its last look was not idle".into()) };
        let Some(settled_at) = facts.settled_at else { return Some("it never settled".into()) };
        let early = self.clock.elapsed() < settled_at || idle.seen_at < settled_at;
        early.then(|| "it was not looked at after it had settled".into())
    }

    /// The versions of an instance were read: what was asked for may have been reached.
    pub(super) fn note_moved(&mut self, project: &ProjectName, instance: &InstanceId) {
        let Some(seen) = self.instance(project, instance).and_then(|it| it.versions.as_ref())
        else {
            return;
        };
        let versions = seen.what.clone();
        let campaigns: Vec<CampaignName> = self.campaigns.keys().cloned().collect();
        for campaign in campaigns {
            let (project, instance) = (project.clone(), instance.clone());
            let target = self.targets.get_mut(&TargetId { campaign, project, instance });
            let Some(attempt) = target.and_then(|facts| facts.attempt.as_mut()) else { continue };
            let Some(row) = &attempt.row else { continue };
            let runs = |part: Part| (part, versions.part(part).current.clone());
            let runs: Vec<_> = row.body.parts().map(runs).collect();
            let is_there = unmoved(row, &versions).is_none();
            let was_there = attempt.far_enough.as_ref() == Some(&runs);
            attempt.far_enough = (is_there || was_there).then_some(runs);
        }
    }

    /// Everything again, from scratch: counters from the targets, the fold against the rows.
    pub fn recount(&self, rows: &Rows) -> Vec<Violation> {
        let mut details = self.miscounted();
        details.extend(rows.targets.iter().filter_map(|row| self.differs(row)));
        details.extend(rows.campaigns.iter().filter_map(|row| self.campaign_differs(row)));
        details.extend(rows.durations.iter().filter_map(|row| self.durations_differ(row)));
        if rows.durations.len() != self.durations.len() {
            details.push("a class of durations has no row".to_owned());
        }
        if rows.targets.len() != self.targets.len() {
            details.push(format!("{} rows, {} targets", rows.targets.len(), self.targets.len()));
        }
        if rows.last_seq != self.last_seq {
            details.push(format!("the store ends at {}", rows.last_seq));
        }
        for row in &rows.targets {
            let flags = self.targets.get(&row.id).is_none_or(|facts| {
                facts.overdue == row.overdue
                    && facts.needs_operator == row.needs_operator.is_some()
                    && facts.acknowledged == row.acknowledged
            });
            if !flags {
                details.push(format!("{}: its flags differ", row.id));
            }
        }
        let seq = self.last_seq;
        let violation = |detail| Violation { rule: Rule::S11, detail, seq };
        let mut violations: Vec<Violation> = details.into_iter().map(violation).collect();
        violations.extend(self.open_twice(rows));
        violations
    }

    /// Counters that differ from a count of all targets.
    fn miscounted(&self) -> Vec<String> {
        let mut campaigns: BTreeMap<&CampaignName, CampaignFacts> = BTreeMap::new();
        for (id, facts) in &self.targets {
            campaigns.entry(&id.campaign).or_default().count(facts, Side::In);
        }
        let mut details = Vec::new();
        for (name, mut counted) in campaigns {
            let Some(kept) = self.campaigns.get(name) else { continue };
            let mut kept = kept.tally.clone();
            kept.groups.retain(|_, count| *count > 0);
            kept.waves.retain(|_, wave| wave.targets > 0);
            counted.tally.groups.retain(|_, count| *count > 0);
            if counted.tally != kept {
                details.push(format!("{name}: counted {:?}, kept {kept:?}", counted.tally));
            }
        }
        details
    }

    fn open_twice(&self, rows: &Rows) -> Vec<Violation> {
        let mut open = BTreeMap::new();
        for row in rows.attempts.iter().filter(|row| row.ended_at.is_none()) {
            *open.entry((&row.id.target.project, &row.id.target.instance)).or_insert(0) += 1;
        }
        open.into_iter()
            .filter(|(_, count)| *count > 1)
            .map(|((project, instance), count)| Violation {
                rule: Rule::S1,
                detail: format!("{count} attempts of {project}/{instance} are open"),
                seq: self.last_seq,
            })
            .collect()
    }
}

/// The first part of the body that has not moved, or not as far as there was to go when it was sent.
fn unmoved(row: &AttemptRow, now: &Versions) -> Option<Part> {
    row.body.parts().find(|part| {
        let (before, now) = (row.versions_before.part(*part), now.part(*part));
        let is_far_enough = now.is_current() || !now.upgradable || now.current == before.latest;
        now.current == before.current || !is_far_enough
    })
}

#[cfg(test)]
mod tests {
    use super::super::example::{Scene, instance, target};
    use super::*;
    use crate::engine::input::Input;
    use crate::engine::rows::DurationRow;
    use crate::engine::state::TargetState;
    use crate::model::Millis;

    #[test]
    fn success_before_the_end_of_settling_or_without_a_moved_version_breaks_s13() {
        let mut scene = Scene::new();
        scene.start("a");
        scene.accept("a");
        scene.verify("a");
        scene.wait(Millis::from_secs(119));
        scene.show(instance("a"));
        scene.succeed("a");
        scene.expect(Rule::S13);

        let mut scene = Scene::new();
        scene.start("a");
        scene.accept("a");
        scene.verify("a");
        scene.wait(Millis::from_secs(120));
        scene.show(instance("a"));
        scene.show_versions("a", "6.0.5");
        scene.succeed("a");
        scene.expect(Rule::S13);
    }

    #[test]
    fn adopting_a_task_that_was_never_shown_breaks_s13() {
        let mut scene = Scene::new();
        scene.start("a");
        scene.wait(Millis::from_secs(1));
        scene.lose("a");
        let task: TaskId = "dreamt".into();
        let fact = Fact::Adopted { task: task.clone() };
        let step = scene.step("a", fact, TargetState::Running, |row| row.task = Some(task));
        scene.give(Input::Tick, step);
        scene.expect(Rule::S13);
    }

    #[test]
    fn a_recount_finds_a_row_that_was_changed_behind_the_ledger() {
        let mut scene = Scene::new();
        scene.upgrade("a");
        let (class, samples) = scene.durations.pop_first().expect("one was watched");
        let mut rows = Rows {
            last_seq: scene.seq,
            targets: scene.rows.values().cloned().collect(),
            campaigns: vec![scene.campaign.clone()],
            durations: vec![DurationRow { class, samples }],
            ..Rows::default()
        };
        assert_eq!(scene.checker.recount(&rows), []);
        let row = rows.targets.iter_mut().find(|row| row.id == target("a"));
        row.expect("the scene has it").state = TargetState::Pending;
        assert_eq!(scene.checker.recount(&rows).len(), 1);
    }
}
