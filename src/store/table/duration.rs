//! The table `durations`: how long upgrades of each class took.

use crate::engine::rows::DurationRow;
use crate::model::duration::DurationClass;

use super::super::sql::{Binds, Cells, Insert};
use super::Table;

const UPSERT: Insert = Insert {
    head: "insert into durations (cache_mode, parts, samples) values",
    width: 3,
    tail: "on conflict (cache_mode, parts) do update set samples = excluded.samples",
};
const SELECT: &str = "select cache_mode, parts, samples from durations order by cache_mode, parts";

impl Table for DurationRow {
    const NAME: &'static str = "durations";
    const UPSERT: Insert = UPSERT;
    const SELECT: &'static str = SELECT;
    type Key<'a> = DurationClass;

    fn key(&self) -> DurationClass {
        self.class
    }

    fn write(&self, row: &mut Binds) {
        row.word(&self.class.cache_mode).word(&self.class.parts).json(&self.samples);
    }

    fn read(cells: &mut Cells<'_>) -> Result<DurationRow, sqlx::Error> {
        let class = DurationClass { cache_mode: cells.word()?, parts: cells.word()? };
        Ok(DurationRow { class, samples: cells.json()? })
    }
}
