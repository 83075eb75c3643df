//! One row of a task list.

use serde_json::Value;

use crate::model::{Task, TaskStatus, Wall, classify};

use super::{scalar, task_id, text};

/// A row without an id is no task; a row with an odd one is kept under its escaped form, since a
/// look must not overlook it.
pub fn from_row(row: &Value) -> Option<Task> {
    Some(Task {
        id: task_id(row, "id")?,
        name: text(row, "name").unwrap_or_default(),
        status: TaskStatus::from_word(&text(row, "status").unwrap_or_default()),
        created_at: instant(row, "created_at"),
        updated_at: instant(row, "updated_at"),
        user_id: text(row, "user_id"),
        error_code: text(row, "error_code").map(|code| classify::normal_code(&code)),
    })
}

/// ISO 8601 with milliseconds, or epoch milliseconds as the older calls send them (API facts,
/// section 4.4).
fn instant(row: &Value, field: &str) -> Option<Wall> {
    let text = row.get(field).and_then(scalar)?;
    match text.parse::<jiff::Timestamp>() {
        Ok(instant) => Some(Wall(instant.as_millisecond())),
        Err(_) => text.parse().ok().map(Wall),
    }
}
