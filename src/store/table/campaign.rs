//! The table `campaigns`.

use crate::engine::rows::CampaignRow;
use crate::model::CampaignName;

use super::super::sql::{Binds, Cells, Insert};
use super::Table;

const UPSERT: Insert = Insert {
    head: "insert into campaigns (name, state, detail) values",
    width: 3,
    tail: "on conflict (name) do update set state = excluded.state, detail = excluded.detail",
};
const SELECT: &str = "select name, state, detail from campaigns order by name";

impl Table for CampaignRow {
    const NAME: &'static str = "campaigns";
    const UPSERT: Insert = UPSERT;
    const SELECT: &'static str = SELECT;
    type Key<'a> = &'a CampaignName;

    fn key(&self) -> &CampaignName {
        &self.name
    }

    fn write(&self, row: &mut Binds) {
        row.text(self.name.as_str()).word(&self.state).json(&self.detail);
    }

    fn read(cells: &mut Cells<'_>) -> Result<CampaignRow, sqlx::Error> {
        Ok(CampaignRow { name: cells.text()?.into(), state: cells.word()?, detail: cells.json()? })
    }
}
