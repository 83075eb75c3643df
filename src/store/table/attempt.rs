//! The table `attempts`. Its partial unique index is rule S1.

use serde::{Deserialize, Serialize};

use crate::engine::rows::{AttemptOutcome, AttemptRow};
use crate::model::{AttemptId, TargetId, TaskId, Versions, Wall};

use super::super::sql::{Binds, Cells, Insert};
use super::Table;

const UPSERT: Insert = Insert {
    head: "insert into attempts (campaign, project, instance, round, number, intent_at, \
           cloud_intent_at, not_after, body, outcome, task, why, ended_at, detail) values",
    width: 14,
    tail: "on conflict (campaign, project, instance, round, number) do update set \
           intent_at = excluded.intent_at, cloud_intent_at = excluded.cloud_intent_at, \
           not_after = excluded.not_after, body = excluded.body, outcome = excluded.outcome, \
           task = excluded.task, why = excluded.why, ended_at = excluded.ended_at, \
           detail = excluded.detail",
};
const SELECT_OPEN: &str = "select campaign, project, instance, round, number, intent_at, \
     cloud_intent_at, not_after, body, outcome, task, why, ended_at, detail from attempts \
     where ended_at is null order by campaign, project, instance, round, number";
pub(in crate::store) const ATTEMPTS_OF_TARGET: &str = "select campaign, project, instance, \
     round, number, intent_at, cloud_intent_at, not_after, body, outcome, task, why, ended_at, \
     detail from attempts where campaign = $1 and project = $2 and instance = $3 \
     order by round, number";

/// How things stood before the intent.
#[derive(Serialize, Deserialize)]
struct Detail {
    versions_before: Versions,
    known_tasks: Vec<TaskId>,
}

impl Table for AttemptRow {
    const NAME: &'static str = "attempts";
    const UPSERT: Insert = UPSERT;
    const SELECT: &'static str = SELECT_OPEN;
    type Key<'a> = &'a AttemptId;

    fn key(&self) -> &AttemptId {
        &self.id
    }

    fn write(&self, row: &mut Binds) {
        let (outcome, task, why) = match &self.outcome {
            AttemptOutcome::Open => ("open", None, None),
            AttemptOutcome::Uncertain => ("uncertain", None, None),
            AttemptOutcome::Applied { task } => {
                ("applied", task.as_ref().map(TaskId::as_str), None)
            }
            AttemptOutcome::NotApplied => ("not_applied", None, None),
            AttemptOutcome::NotSent { why } => ("not_sent", None, Some(&**why)),
        };
        row.text(self.id.target.campaign.as_str())
            .text(self.id.target.project.as_str())
            .text(self.id.target.instance.as_str())
            .int(self.id.round.into())
            .int(self.id.number.into())
            .int(self.intent_at.0)
            .int(self.cloud_intent_at.0)
            .int(self.not_after.0)
            .text(&self.body.to_json())
            .text(outcome)
            .maybe_text(task)
            .maybe_text(why)
            .maybe_int(self.ended_at.map(|at| at.0))
            .json(&Detail {
                versions_before: self.versions_before.clone(),
                known_tasks: self.known_tasks.clone(),
            });
    }

    fn read(cells: &mut Cells<'_>) -> Result<AttemptRow, sqlx::Error> {
        let id = AttemptId {
            target: TargetId {
                campaign: cells.text()?.into(),
                project: cells.text()?.into(),
                instance: cells.text()?.into(),
            },
            round: cells.count()?,
            number: cells.count()?,
        };
        let (intent_at, cloud_intent_at, not_after) =
            (Wall(cells.int()?), Wall(cells.int()?), Wall(cells.int()?));
        let body = cells.json()?;
        let outcome = read_outcome(cells)?;
        let ended_at = cells.maybe_int()?.map(Wall);
        let detail: Detail = cells.json()?;
        Ok(AttemptRow {
            id,
            body,
            intent_at,
            not_after,
            versions_before: detail.versions_before,
            known_tasks: detail.known_tasks,
            cloud_intent_at,
            outcome,
            ended_at,
        })
    }
}

fn read_outcome(cells: &mut Cells<'_>) -> Result<AttemptOutcome, sqlx::Error> {
    let word = cells.text()?;
    let unknown = cells.bad(&word);
    let task = cells.maybe_text()?.map(TaskId::from);
    let why = cells.maybe_text()?.map(Into::into);
    match (word, why) {
        ("open", None) => Ok(AttemptOutcome::Open),
        ("uncertain", None) => Ok(AttemptOutcome::Uncertain),
        ("applied", None) => Ok(AttemptOutcome::Applied { task }),
        ("not_applied", None) => Ok(AttemptOutcome::NotApplied),
        ("not_sent", Some(why)) => Ok(AttemptOutcome::NotSent { why }),
        _ => Err(unknown),
    }
}
