//! Evidence: every answer of the cloud, kept apart from what was concluded from it.
//!
//! It is append-only and never fenced: a late task id must reach the store whoever owns it.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use sqlx::AnyConnection;

use crate::model::{AttemptId, InstanceId, ProjectName, Wall};

use super::sql::{Binds, Cells, Insert};

pub(super) const INSERT: Insert = Insert {
    head: "insert into evidence (id, at, project, instance, attempt, kind, body) values",
    width: 7,
    tail: "on conflict (id) do nothing",
};
pub(super) const OF_ATTEMPT: &str = "select at, project, instance, attempt, kind, body \
     from evidence where attempt = $1 order by at, id";

const TABLE: &str = "evidence";

/// One answer of the cloud. The same one twice is kept once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    pub at: Wall,
    pub project: ProjectName,
    /// `None` for answers about a whole project, such as a page of the inventory.
    pub instance: Option<InstanceId>,
    /// The attempt that it is about, for answers to a submission and for looks.
    pub attempt: Option<AttemptId>,
    /// What was asked: `submitted`, or the kind of read.
    pub kind: Arc<str>,
    /// JSON of what came back. Never holds a secret.
    pub body: String,
}

impl Evidence {
    /// Begins with the instant, so that new rows go to the end of the key's index: a bare hash
    /// would have every answer write a page of its own.
    fn id(&self) -> String {
        let mut hash = Sha256::new();
        let attempt = self.attempt.as_ref().map(ToString::to_string).unwrap_or_default();
        let instance = self.instance.as_ref().map_or("", InstanceId::as_str);
        for part in [
            &self.at.0.to_string(),
            self.project.as_str(),
            instance,
            &attempt,
            &self.kind,
            &self.body,
        ] {
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        }
        format!("{:016x}{}", self.at.0, hex::encode(hash.finalize()))
    }

    fn write(&self, row: &mut Binds) {
        row.text(&self.id())
            .int(self.at.0)
            .text(self.project.as_str())
            .maybe_text(self.instance.as_ref().map(InstanceId::as_str))
            .maybe_text(self.attempt.as_ref().map(ToString::to_string).as_deref())
            .text(&self.kind)
            .text(&self.body);
    }

    fn read(row: &sqlx::any::AnyRow) -> Result<Evidence, sqlx::Error> {
        let mut cells = Cells::of(TABLE, row);
        Ok(Evidence {
            at: Wall(cells.int()?),
            project: cells.text()?.into(),
            instance: cells.maybe_text()?.map(InstanceId::from),
            attempt: cells.parsed()?,
            kind: cells.text()?.into(),
            body: cells.text()?.into(),
        })
    }
}

pub(super) async fn append(
    connection: &mut AnyConnection,
    evidence: &[&Evidence],
) -> Result<(), sqlx::Error> {
    INSERT.run(connection, evidence, |one, row| one.write(row)).await
}

pub(super) async fn of_attempt(
    connection: &mut AnyConnection,
    attempt: &AttemptId,
) -> Result<Vec<Evidence>, sqlx::Error> {
    let query = sqlx::query(OF_ATTEMPT).bind(attempt.to_string());
    query.fetch_all(connection).await?.iter().map(Evidence::read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_answer_goes_to_the_end_of_the_key() {
        let keys = (0..50).map(|number| {
            let at = Wall(1_769_903_999_000 + number);
            let (project, kind) = ("sg".into(), "instance".into());
            let body = number.to_string();
            Evidence { at, project, instance: None, attempt: None, kind, body }.id()
        });
        assert!(keys.is_sorted());
    }
}
