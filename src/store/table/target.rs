//! The table `targets`.

use crate::engine::rows::TargetRow;
use crate::model::{TargetId, TaskId, Wall};

use super::super::sql::{Binds, Cells, Insert};
use super::Table;

const UPSERT: Insert = Insert {
    head: "insert into targets (campaign, project, instance, wave, rank, state, reason, \
           entered_at, round, number, not_applied, not_before, task, overdue, needs_operator, \
           held_by, acknowledged, detail) values",
    width: 18,
    tail: "on conflict (campaign, project, instance) do update set wave = excluded.wave, \
           rank = excluded.rank, state = excluded.state, reason = excluded.reason, \
           entered_at = excluded.entered_at, round = excluded.round, number = excluded.number, \
           not_applied = excluded.not_applied, not_before = excluded.not_before, \
           task = excluded.task, overdue = excluded.overdue, \
           needs_operator = excluded.needs_operator, held_by = excluded.held_by, \
           acknowledged = excluded.acknowledged, detail = excluded.detail",
};
const SELECT: &str = "select campaign, project, instance, wave, rank, state, reason, entered_at, \
     round, number, not_applied, not_before, task, overdue, needs_operator, held_by, \
     acknowledged, detail from targets order by campaign, project, instance";
pub(in crate::store) const TARGETS_OF_CAMPAIGN: &str = "select campaign, project, instance, \
     wave, rank, state, reason, entered_at, round, number, not_applied, not_before, task, \
     overdue, needs_operator, held_by, acknowledged, detail from targets where campaign = $1 \
     order by project, instance";

impl Table for TargetRow {
    const NAME: &'static str = "targets";
    const UPSERT: Insert = UPSERT;
    const SELECT: &'static str = SELECT;
    type Key<'a> = &'a TargetId;

    fn key(&self) -> &TargetId {
        &self.id
    }

    fn write(&self, row: &mut Binds) {
        row.text(self.id.campaign.as_str())
            .text(self.id.project.as_str())
            .text(self.id.instance.as_str())
            .int(self.wave.into())
            .int(self.rank.cast_signed())
            .word(&self.state)
            .maybe_word(self.reason.as_ref())
            .int(self.entered_at.0)
            .int(self.round.into())
            .int(self.number.into())
            .int(self.not_applied.into())
            .maybe_int(self.not_before.map(|at| at.0))
            .maybe_text(self.task.as_ref().map(TaskId::as_str))
            .flag(self.overdue)
            .maybe_text(self.needs_operator.as_deref())
            .maybe_text(self.held_by.as_deref())
            .flag(self.acknowledged)
            .json(&self.detail);
    }

    fn read(cells: &mut Cells<'_>) -> Result<TargetRow, sqlx::Error> {
        Ok(TargetRow {
            id: TargetId {
                campaign: cells.text()?.into(),
                project: cells.text()?.into(),
                instance: cells.text()?.into(),
            },
            wave: cells.count()?,
            rank: cells.int()?.cast_unsigned(),
            state: cells.word()?,
            reason: cells.maybe_word()?,
            entered_at: Wall(cells.int()?),
            round: cells.count()?,
            number: cells.count()?,
            not_applied: cells.count()?,
            not_before: cells.maybe_int()?.map(Wall),
            task: cells.maybe_text()?.map(TaskId::from),
            overdue: cells.flag()?,
            needs_operator: cells.maybe_text()?.map(Into::into),
            held_by: cells.maybe_text()?.map(Into::into),
            acknowledged: cells.flag()?,
            detail: cells.json()?,
        })
    }
}
