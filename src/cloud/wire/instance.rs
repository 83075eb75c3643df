//! One row of the instance list, and the answer to "show instance".

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::model::{CacheMode, CurrentTask, Edition, Instance, InstanceId, InstanceStatus};

use super::{cut, is_true, scalar, task_id, text};

/// A current task that is no plain word is kept as so much of its JSON.
const ODD_TASK_MAX_CHARS: usize = 64;

/// The longest id that is put into a path; real ones are UUIDs.
const PATH_ID_MAX_CHARS: usize = 128;

/// Whether an id can stand in a path without meaning something else there.
pub fn is_path_id(id: &str) -> bool {
    (1..=PATH_ID_MAX_CHARS).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// A row of the list, which need not carry the current task.
pub fn from_list(row: &Value) -> Option<Instance> {
    from_row(row, CurrentTask::NotShown)
}

/// The answer to "show instance": no current task there means idle (API facts, section 3.2).
pub fn from_show(row: &Value) -> Option<Instance> {
    from_row(row, CurrentTask::Idle)
}

fn from_row(row: &Value, without_task: CurrentTask) -> Option<Instance> {
    let id = text(row, "instance_id").filter(|id| is_path_id(id))?;
    let word = |field: &str| text(row, field).unwrap_or_default();
    let spec_code = word("spec_code");
    Some(Instance {
        id: InstanceId(id),
        name: word("name"),
        status: InstanceStatus::from_word(&word("status")),
        engine: word("engine"),
        engine_version: word("engine_version"),
        cache_mode: cache_mode(&word("cache_mode"), &spec_code),
        edition: edition(&word("product_type")),
        spec_code,
        tags: tags(row.get("tags")),
        zones: zones(row),
        service_upgrade: is_true(row, "service_upgrade"),
        service_task_id: task_id(row, "service_task_id"),
        current_task: row.get("task").map_or(without_task, current_task),
    })
}

/// `cache_mode` where it is sent, else the middle part of the spec code (API facts, section 3.1).
fn cache_mode(sent: &str, spec_code: &str) -> CacheMode {
    let from_word = |word: &str| match word {
        "single" => Some(CacheMode::Single),
        "ha" => Some(CacheMode::Ha),
        "cluster" => Some(CacheMode::Cluster),
        "proxy" => Some(CacheMode::Proxy),
        "ha_rw_split" | "rw" => Some(CacheMode::HaRwSplit),
        _ => None,
    };
    from_word(sent)
        .or_else(|| spec_code.contains("ha_rw_split").then_some(CacheMode::HaRwSplit))
        .or_else(|| from_word(spec_code.split('.').nth(1)?))
        .unwrap_or(CacheMode::Unknown)
}

fn edition(product_type: &str) -> Edition {
    match product_type.to_ascii_lowercase().as_str() {
        "generic" | "community" | "basic" => Edition::Basic,
        "enterprise" => Edition::Enterprise,
        _ => Edition::Unknown,
    }
}

fn tags(list: Option<&Value>) -> BTreeMap<Arc<str>, Arc<str>> {
    let rows = list.and_then(Value::as_array).into_iter().flatten();
    rows.filter_map(|tag| Some((text(tag, "key")?, text(tag, "value").unwrap_or_default())))
        .collect()
}

/// The list says `az_codes`, "show instance" may say `available_zones`.
fn zones(row: &Value) -> Vec<Arc<str>> {
    ["az_codes", "available_zones"]
        .into_iter()
        .filter_map(|field| row.get(field)?.as_array())
        .map(|list| list.iter().filter_map(scalar).map(Arc::from).collect::<Vec<_>>())
        .find(|zones| !zones.is_empty())
        .unwrap_or_default()
}

/// The field may be of any type: what is not plainly nothing is something that keeps it busy.
fn current_task(task: &Value) -> CurrentTask {
    let is_nothing = match task {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    };
    if is_nothing {
        return CurrentTask::Idle;
    }
    let shown = scalar(task).unwrap_or_else(|| task.to_string());
    CurrentTask::Busy(cut(&shown, ODD_TASK_MAX_CHARS).into())
}
