//! S13: every applied upgrade is known at rest, every recorded task existed, every success is real.

use std::collections::BTreeSet;

use super::Findings;
use super::evidence::Evidence;
use super::protocol::is_resolved;
use crate::engine::rows::AttemptOutcome;
use crate::engine::{Reason, TargetState};
use crate::model::TaskId;

pub(super) fn judge(evidence: &Evidence, findings: &mut Findings) {
    let tasks: BTreeSet<&TaskId> = evidence.tasks().map(|task| &task.task_id).collect();
    for sent in evidence.sent().filter(|sent| sent.line.applied) {
        let Some(attempt) = evidence.attempt(sent.attempt) else { continue };
        let row = evidence.rows.targets.iter().find(|row| row.id == attempt.id.target);
        let Some(row) = row else { continue };
        let at_rest = row.state.is_terminal();
        let known = match &attempt.outcome {
            AttemptOutcome::Applied { task: Some(task) } => {
                sent.line.task_id.as_ref() == Some(task)
            }
            AttemptOutcome::Applied { task: None } => true,
            // Nobody can read a deleted instance, and an operator's verdict is the operator's.
            _ => {
                row.needs_operator.is_some()
                    || row.reason == Some(Reason::Gone)
                    || is_resolved(evidence, attempt)
            }
        };
        findings.expect(13, known || !at_rest, || {
            format!("{} was applied as {:?} and is not known", sent.attempt, sent.line.task_id)
        });
    }
    for attempt in &evidence.attempts {
        if let AttemptOutcome::Applied { task: Some(task) } = &attempt.outcome {
            let existed = tasks.contains(task);
            findings.expect(13, existed, || format!("{}: task {task} never existed", attempt.id));
        }
    }
    judge_final_versions(evidence, findings);
}

fn judge_final_versions(evidence: &Evidence, findings: &mut Findings) {
    for row in evidence.rows.targets.iter().filter(|row| row.state == TargetState::Succeeded) {
        let Some(project) = evidence.settings.projects.get(&row.id.project) else { continue };
        let key = (project.project_id.clone(), row.id.instance.clone());
        let (Some(truth), Some(believed)) =
            (evidence.final_versions.get(&key), row.detail.versions.as_deref())
        else {
            continue;
        };
        let same = truth.engine.current == believed.engine.current
            && (believed.proxy.current.is_none() || truth.proxy.current == believed.proxy.current);
        findings.expect(13, same, || format!("{} runs another version than recorded", row.id));
    }
}
