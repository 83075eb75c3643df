//! What the cloud's JSON holds, read leniently (API facts, section 3).
//!
//! Published examples contradict the published types, so scalars are taken as string, number or
//! boolean, `{}` and null count as absent, unknown fields are ignored, and one odd field never
//! costs more than itself. What decides whether an answer is one at all stays strict: a page
//! without its rows, an instance under another id or a version answer without a version is
//! unreadable, never "empty".

mod error;
mod instance;
mod task;

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{Deserializer as _, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::model::call::PAGE_ROWS;
use crate::model::{InstanceId, PartVersion, ReadAnswer, TaskId, Versions};

use super::text::{ID_MAX_CHARS, TEXT_MAX_CHARS, cut};

pub use error::{ErrorBody, error_body};
pub use instance::is_path_id;

/// Rows read of one page. A server that ignores `limit` is forgiven some; a page full of nothing
/// must not cost its size many times over in memory.
const ROWS_MAX: usize = 10 * PAGE_ROWS;

/// The answer is no answer to this call; the text says in what way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unreadable answer: {0}")]
pub struct Unreadable(pub String);

impl From<serde_json::Error> for Unreadable {
    fn from(error: serde_json::Error) -> Unreadable {
        Unreadable(error.to_string())
    }
}

/// The task id of an accepted upgrade. Only a plain id counts: with any other the acceptance is
/// uncertain, and the look tells.
pub fn accepted_task(body: &[u8]) -> Result<TaskId, Unreadable> {
    #[derive(Deserialize)]
    struct Accepted {
        #[serde(default)]
        task_id: Value,
    }
    let accepted: Accepted = serde_json::from_slice(body)?;
    let id = scalar(&accepted.task_id).ok_or_else(|| Unreadable("no task_id".into()))?;
    match plain_id(&id) == id {
        true => Ok(TaskId::from(id)),
        false => Err(Unreadable("the task_id is no id".into())),
    }
}

/// One page of the instance list. A row without a usable id is dropped; `rows` counts it.
pub fn inventory_page(body: &[u8]) -> Result<ReadAnswer, Unreadable> {
    #[derive(Deserialize)]
    struct Page<'a> {
        #[serde(default, borrow)]
        instances: Option<&'a RawValue>,
        #[serde(default)]
        instance_num: Value,
    }
    let page: Page<'_> = serde_json::from_slice(body)?;
    let total = scalar(&page.instance_num).and_then(|text| text.parse().ok());
    let rows = rows("instances", page.instances, total)?;
    let instances = rows.iter().filter_map(|row| instance::from_list(&value(row)?)).collect();
    Ok(ReadAnswer::page(instances, rows.len(), total))
}

/// One instance: the one that was asked for.
pub fn instance(body: &[u8], asked: &InstanceId) -> Result<ReadAnswer, Unreadable> {
    let shown = distinct_fields(body)?;
    match instance::from_show(&shown) {
        Some(instance) if instance.id == *asked => Ok(ReadAnswer::Instance(instance)),
        Some(_) => Err(Unreadable("another instance's answer".into())),
        None => Err(Unreadable("no instance_id".into())),
    }
}

/// The versions of one instance (API facts, section 3.3).
pub fn versions(body: &[u8]) -> Result<ReadAnswer, Unreadable> {
    let shown = distinct_fields(body)?;
    let part = |name: &str| PartVersion {
        current: text(&shown, &format!("{name}_minor_version")),
        latest: text(&shown, &format!("latest_{name}_minor_version")),
        upgradable: is_true(&shown, &format!("{name}_minor_version_upgradable")),
    };
    let versions = Versions { engine: part("engine"), proxy: part("proxy") };
    if versions.engine == PartVersion::default()
        && shown.get("engine_minor_version_upgradable").and_then(scalar).is_none()
    {
        return Err(Unreadable("no engine version".into()));
    }
    Ok(ReadAnswer::Versions(versions))
}

/// One page of tasks, of an instance or of the task centre (API facts, sections 3.5 and 3.7).
pub fn tasks(body: &[u8]) -> Result<ReadAnswer, Unreadable> {
    #[derive(Deserialize)]
    struct Page<'a> {
        #[serde(default, borrow)]
        tasks: Option<&'a RawValue>,
        #[serde(default)]
        task_count: Value,
    }
    let page: Page<'_> = serde_json::from_slice(body)?;
    let total = scalar(&page.task_count).and_then(|text| text.parse().ok());
    let rows = rows("tasks", page.tasks, total)?;
    let mut tasks = Vec::new();
    for row in &rows {
        // A look must not overlook a row, so a task beyond reading costs the page.
        let row = value(row).ok_or_else(|| Unreadable("a task beyond reading".into()))?;
        tasks.extend(task::from_row(&row));
    }
    Ok(ReadAnswer::Tasks { tasks: tasks.into(), rows: rows.len() })
}

/// One object none of whose fields is told twice: of two contradicting values neither counts.
fn distinct_fields(body: &[u8]) -> Result<Value, Unreadable> {
    struct Distinct;

    impl<'de> Visitor<'de> for Distinct {
        type Value = serde_json::Map<String, Value>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut fields = serde_json::Map::new();
            while let Some((name, value)) = map.next_entry::<String, Value>()? {
                if fields.insert(name, value).is_some() {
                    return Err(A::Error::custom("a field told twice"));
                }
            }
            Ok(fields)
        }
    }

    let mut json = serde_json::Deserializer::from_slice(body);
    let fields = json.deserialize_map(Distinct)?;
    json.end()?;
    Ok(Value::Object(fields))
}

/// The rows of a page, not yet parsed. A page without rows is one only if it counts none.
fn rows<'a>(
    name: &str,
    list: Option<&'a RawValue>,
    total: Option<usize>,
) -> Result<Vec<&'a RawValue>, Unreadable> {
    match list.map(RawValue::get).filter(|text| text.starts_with('[')) {
        Some(list) => bounded_list(list),
        None if total == Some(0) => Ok(Vec::new()),
        None => Err(Unreadable(format!("no {name}"))),
    }
}

fn bounded_list(list: &str) -> Result<Vec<&RawValue>, Unreadable> {
    struct Bounded;

    impl<'de> Visitor<'de> for Bounded {
        type Value = Vec<&'de RawValue>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a list")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut rows = Vec::new();
            while let Some(row) = list.next_element()? {
                if rows.len() == ROWS_MAX {
                    return Err(A::Error::custom("more rows than any page has"));
                }
                rows.push(row);
            }
            Ok(rows)
        }
    }

    Ok(serde_json::Deserializer::from_str(list).deserialize_seq(Bounded)?)
}

/// One row; `None` where even its JSON is beyond reading, such as a nesting of thousands.
fn value(row: &RawValue) -> Option<Value> {
    serde_json::from_str(row.get()).ok()
}

/// A string, number or boolean as text; empty strings, null, lists and objects are absent.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(cut(text, TEXT_MAX_CHARS).to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

fn text(row: &Value, field: &str) -> Option<Arc<str>> {
    row.get(field).and_then(scalar).map(Arc::from)
}

fn is_true(row: &Value, field: &str) -> bool {
    row.get(field)
        .and_then(scalar)
        .is_some_and(|text| text.eq_ignore_ascii_case("true") || text == "1")
}

/// An id of the cloud as Refit keeps it. Odd characters become `%XX` and the length is bounded,
/// always in the same way, so that an absurd id can still be recognised in a later answer.
fn plain_id(raw: &str) -> String {
    let odd = |byte: u8| !byte.is_ascii_graphic() || b"<>\"'`&;\\%".contains(&byte);
    let mut id = String::new();
    for byte in raw.bytes().take(ID_MAX_CHARS) {
        match odd(byte) {
            true => id.push_str(&format!("%{byte:02X}")),
            false => id.push(char::from(byte)),
        }
    }
    id.truncate(ID_MAX_CHARS);
    id
}

fn task_id(row: &Value, field: &str) -> Option<TaskId> {
    row.get(field).and_then(scalar).map(|raw| TaskId::from(plain_id(&raw)))
}

#[cfg(test)]
mod tests;
