//! The table `freezes`: operators' freezes, the only rows that are ever removed.

use sqlx::AnyConnection;

use crate::engine::Scope;
use crate::engine::rows::FreezeRow;
use crate::model::Wall;

use super::super::sql::{Binds, Cells, Insert, word};
use super::Table;

const UPSERT: Insert = Insert {
    head: "insert into freezes (scope, from_at, until_at, actor, reason) values",
    width: 5,
    tail: "on conflict (scope) do update set from_at = excluded.from_at, \
           until_at = excluded.until_at, actor = excluded.actor, reason = excluded.reason",
};
const SELECT: &str = "select scope, from_at, until_at, actor, reason from freezes order by scope";
pub(in crate::store) const LIFT: &str = "delete from freezes where scope = $1";

pub(in crate::store) async fn lift(
    connection: &mut AnyConnection,
    scope: &Scope,
) -> Result<(), sqlx::Error> {
    sqlx::query(LIFT).bind(word(scope)).execute(connection).await?;
    Ok(())
}

impl Table for FreezeRow {
    const NAME: &'static str = "freezes";
    const UPSERT: Insert = UPSERT;
    const SELECT: &'static str = SELECT;
    type Key<'a> = String;

    fn key(&self) -> String {
        word(&self.scope)
    }

    fn write(&self, row: &mut Binds) {
        row.word(&self.scope)
            .int(self.from.0)
            .maybe_int(self.until.map(|at| at.0))
            .text(&self.actor)
            .maybe_text(self.reason.as_deref());
    }

    fn read(cells: &mut Cells<'_>) -> Result<FreezeRow, sqlx::Error> {
        Ok(FreezeRow {
            scope: cells.word()?,
            from: Wall(cells.int()?),
            until: cells.maybe_int()?.map(Wall),
            actor: cells.text()?.into(),
            reason: cells.maybe_text()?.map(Into::into),
        })
    }
}
