//! The tables `projects` and `credentials`.

use crate::engine::rows::{CredentialRow, ProjectRow};
use crate::model::{CredentialName, ProjectName, Wall};

use super::super::sql::{Binds, Cells, Insert};
use super::Table;

const UPSERT_PROJECTS: Insert = Insert {
    head: "insert into projects (name, detail) values",
    width: 2,
    tail: "on conflict (name) do update set detail = excluded.detail",
};
const SELECT_PROJECTS: &str = "select name, detail from projects order by name";

const UPSERT_CREDENTIALS: Insert = Insert {
    head: "insert into credentials (name, fingerprint, stopped, stopped_at, refusals) values",
    width: 5,
    tail: "on conflict (name) do update set fingerprint = excluded.fingerprint, \
           stopped = excluded.stopped, stopped_at = excluded.stopped_at, \
           refusals = excluded.refusals",
};
const SELECT_CREDENTIALS: &str =
    "select name, fingerprint, stopped, stopped_at, refusals from credentials order by name";

impl Table for ProjectRow {
    const NAME: &'static str = "projects";
    const UPSERT: Insert = UPSERT_PROJECTS;
    const SELECT: &'static str = SELECT_PROJECTS;
    type Key<'a> = &'a ProjectName;

    fn key(&self) -> &ProjectName {
        &self.name
    }

    fn write(&self, row: &mut Binds) {
        row.text(self.name.as_str()).json(&self.detail);
    }

    fn read(cells: &mut Cells<'_>) -> Result<ProjectRow, sqlx::Error> {
        Ok(ProjectRow { name: cells.text()?.into(), detail: cells.json()? })
    }
}

impl Table for CredentialRow {
    const NAME: &'static str = "credentials";
    const UPSERT: Insert = UPSERT_CREDENTIALS;
    const SELECT: &'static str = SELECT_CREDENTIALS;
    type Key<'a> = &'a CredentialName;

    fn key(&self) -> &CredentialName {
        &self.name
    }

    fn write(&self, row: &mut Binds) {
        row.text(self.name.as_str())
            .text(&self.fingerprint)
            .maybe_text(self.stopped.as_deref())
            .maybe_int(self.stopped_at.map(|at| at.0))
            .int(self.refusals.into());
    }

    fn read(cells: &mut Cells<'_>) -> Result<CredentialRow, sqlx::Error> {
        Ok(CredentialRow {
            name: cells.text()?.into(),
            fingerprint: cells.text()?.into(),
            stopped: cells.maybe_text()?.map(Into::into),
            stopped_at: cells.maybe_int()?.map(Wall),
            refusals: cells.count()?,
        })
    }
}
