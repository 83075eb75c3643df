//! The table `instances`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::engine::rows::InstanceRow;
use crate::model::{InstanceId, ProjectName};

use super::super::sql::{Binds, Cells, Insert};
use super::Table;

const UPSERT: Insert = Insert {
    head: "insert into instances (project, instance, name, cache_mode, engine_version, detail) \
           values",
    width: 6,
    tail: "on conflict (project, instance) do update set name = excluded.name, \
           cache_mode = excluded.cache_mode, engine_version = excluded.engine_version, \
           detail = excluded.detail",
};
const SELECT: &str = "select project, instance, name, cache_mode, engine_version, detail \
     from instances order by project, instance";

#[derive(Serialize, Deserialize)]
struct Detail {
    tags: BTreeMap<Arc<str>, Arc<str>>,
    zones: Vec<Arc<str>>,
}

impl Table for InstanceRow {
    const NAME: &'static str = "instances";
    const UPSERT: Insert = UPSERT;
    const SELECT: &'static str = SELECT;
    type Key<'a> = (&'a ProjectName, &'a InstanceId);

    fn key(&self) -> (&ProjectName, &InstanceId) {
        (&self.project, &self.instance)
    }

    fn write(&self, row: &mut Binds) {
        row.text(self.project.as_str())
            .text(self.instance.as_str())
            .text(&self.name)
            .word(&self.cache_mode)
            .text(&self.engine_version)
            .json(&Detail { tags: self.tags.clone(), zones: self.zones.clone() });
    }

    fn read(cells: &mut Cells<'_>) -> Result<InstanceRow, sqlx::Error> {
        let (project, instance) = (cells.text()?.into(), cells.text()?.into());
        let (name, cache_mode) = (cells.text()?.into(), cells.word()?);
        let engine_version = cells.text()?.into();
        let Detail { tags, zones } = cells.json()?;
        Ok(InstanceRow { project, instance, name, tags, zones, cache_mode, engine_version })
    }
}
