//! Contents as the JSON of DCS (API facts, section 3): with the declared types, or with the
//! contradictory ones of published examples.
//!
//! Fields that decide nothing are made up from the instance's id.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::model::{
    CacheMode, CurrentTask, Edition, Instance, InstanceId, PartVersion, ReadAnswer, Task,
    TaskStatus, Versions, Wall,
};
use crate::sim::world::knobs::Types;
use crate::sim::world::{Content, ErrorBody, ProgressReport};

/// The body of an answer that went well; none for an answer without a body.
pub(super) fn content(content: &Content, types: Types) -> Option<Value> {
    let loose = types == Types::Contradictory;
    Some(match content {
        Content::Nothing => return None,
        Content::Accepted { task } => json!({ "task_id": task }),
        Content::Read(ReadAnswer::InventoryPage(page)) => json!({
            "instance_num": page.total,
            "instances": page.instances.iter().map(|row| list_row(row, loose)).collect::<Vec<_>>(),
        }),
        Content::Read(ReadAnswer::Instance(instance)) => detail(instance, loose),
        Content::Read(ReadAnswer::Versions(versions)) => version_body(versions),
        Content::Read(ReadAnswer::Tasks { tasks, rows }) => json!({
            "task_count": if loose { json!(rows) } else { json!(rows.to_string()) },
            "tasks": tasks.iter().map(|task| task_row(task, loose)).collect::<Vec<_>>(),
        }),
        Content::Progress(report) => progress(report),
        Content::StatusCounts(counts) => status_counts(counts),
        Content::Statistics(instances) => json!({
            "statistics": instances.iter().map(load).collect::<Vec<_>>(),
        }),
        Content::MaintainWindows => maintain_windows(loose),
    })
}

/// The body of an error of DCS or of its gateway.
pub(super) fn error(error: &ErrorBody, request_id: &str) -> Value {
    if error.is_of_the_gateway() {
        json!({ "error_code": error.code, "error_msg": error.message, "request_id": request_id })
    } else {
        json!({ "error_code": error.code, "error_msg": error.message, "error_ext_msg": null })
    }
}

/// The fields that the list and "show" share.
fn base(instance: &Instance, loose: bool) -> Map<String, Value> {
    let tags: Vec<Value> =
        instance.tags.iter().map(|(key, value)| tag(key, value, loose)).collect();
    let mut fields = object(json!({
        "instance_id": instance.id,
        "name": instance.name,
        "status": instance.status.word(),
        "sub_status": "normal",
        "engine": instance.engine,
        "engine_version": instance.engine_version,
        "spec_code": instance.spec_code,
        "service_upgrade": instance.service_upgrade,
        "service_task_id": instance.service_task_id.as_ref().map_or("", |id| id.as_str()),
        "tags": tags,
        "az_codes": instance.zones,
    }));
    fields.extend(sizes_and_addresses(&instance.id, loose));
    fields.extend(accounting(loose));
    fields
}

/// Made up, and always the same for the same instance.
fn sizes_and_addresses(id: &InstanceId, loose: bool) -> Map<String, Value> {
    let number = id
        .as_str()
        .bytes()
        .fold(7_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
    object(json!({
        "capacity": 2,
        "capacity_minor": either(loose, json!(2.0), json!("2")),
        "max_memory": 2_048,
        "used_memory": number % 1_800,
        "ip": format!("192.168.{}.{}", number % 200, number / 200 % 200),
        "port": 6379,
        "domain_name": format!("redis-{id}.dcs.simulated"),
        "readonly_domain_name": "",
        "vpc_id": "27d99e17-42f2-4751-818f-5c8c6c03ff15",
        "vpc_name": "vpc-simulated",
        "subnet_id": "ec2f34b9-20eb-4872-85bd-bea9fc943128",
        "security_group_id": "",
        "enable_publicip": false,
        "publicip_id": either(loose, json!({}), json!("")),
        "publicip_address": either(loose, json!({}), json!("")),
    }))
}

/// The same for every instance.
fn accounting(loose: bool) -> Map<String, Value> {
    object(json!({
        "description": "",
        "maintain_begin": "18:00:00",
        "maintain_end": "22:00:00",
        "created_at": "2025-03-29T09:00:34.335Z",
        "charging_mode": 0,
        "order_id": either(loose, json!({}), json!("")),
        "user_id": "d53977d1adfb49c5b025ba7d33a13fd7",
        "user_name": "simulated",
        "enterprise_project_id": either(loose, json!(0), json!("0")),
        "cpu_type": "x86_64",
        "no_password_access": either(loose, json!(true), json!("true")),
        "access_user": either(loose, Value::Null, json!("")),
        "enable_ssl": false,
        "features": {
            "support_acl": true,
            "support_transparent_client_ip": true,
            "support_ssl": true,
            "support_audit_log": false,
        },
    }))
}

fn either(loose: bool, odd: Value, declared: Value) -> Value {
    if loose { odd } else { declared }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        other => unreachable!("an object was written, not {other}"),
    }
}

/// Published examples send a tag's parts as numbers where they look like numbers.
fn tag(key: &str, value: &str, loose: bool) -> Value {
    let part = |text: &str| match text.parse::<i64>() {
        Ok(number) if loose && number.to_string() == text => json!(number),
        _ => json!(text),
    };
    json!({ "key": part(key), "value": part(value) })
}

fn list_row(instance: &Instance, loose: bool) -> Value {
    let mut row = base(instance, loose);
    row.insert("updated_at".into(), json!("2026-01-15T09:12:05.123Z"));
    Value::Object(row)
}

fn detail(instance: &Instance, loose: bool) -> Value {
    let mut body = base(instance, loose);
    let task = match &instance.current_task {
        CurrentTask::Busy(word) => json!(word),
        CurrentTask::Idle | CurrentTask::NotShown => Value::Null,
    };
    let product_type = match instance.edition {
        Edition::Basic => json!("generic"),
        Edition::Enterprise => json!("enterprise"),
        Edition::Unknown => Value::Null,
    };
    for (name, value) in [
        ("update_at", json!("2026-01-15T09:12:05.123Z")),
        ("launched_at", json!("2025-03-29T09:05:12.871Z")),
        ("cache_mode", json!(mode_word(instance.cache_mode))),
        ("product_type", product_type),
        ("storage_type", json!("DRAM")),
        ("replica_count", json!(2)),
        ("sharding_count", json!(1)),
        ("db_number", json!(256)),
        ("available_zones", json!(instance.zones)),
        ("backend_addrs", json!(null)),
        ("enterprise_project_name", json!("default")),
        ("inquery_spec_code", json!(instance.spec_code)),
        ("task", task),
    ] {
        body.insert(name.into(), value);
    }
    Value::Object(body)
}

/// A mode that Refit does not know is shown in a word that it cannot know either.
fn mode_word(mode: CacheMode) -> &'static str {
    match mode {
        CacheMode::Unknown => "something_new",
        known => known.word(),
    }
}

fn version_body(versions: &Versions) -> Value {
    let mut body = Map::new();
    let mut add = |part: &str, version: &PartVersion| {
        if let Some(current) = &version.current {
            body.insert(format!("{part}_minor_version"), json!(current));
        }
        if let Some(latest) = &version.latest {
            body.insert(format!("latest_{part}_minor_version"), json!(latest));
        }
        body.insert(format!("{part}_minor_version_upgradable"), json!(version.upgradable));
    };
    add("engine", &versions.engine);
    add("proxy", &versions.proxy);
    Value::Object(body)
}

fn task_row(task: &Task, loose: bool) -> Value {
    let word = match &task.status {
        TaskStatus::Open => "EXECUTING",
        TaskStatus::Succeeded => "SUCCESS",
        TaskStatus::Failed => "FAILED",
        TaskStatus::Unknown(word) => word,
    };
    let error_code = match &task.error_code {
        Some(code) => json!(code),
        None if loose => json!({}),
        None => json!(""),
    };
    json!({
        "id": task.id,
        "name": task.name,
        "status": word,
        "created_at": task.created_at.map(Wall::rfc3339),
        "updated_at": task.updated_at.map(Wall::rfc3339),
        "user_id": task.user_id,
        "user_name": "simulated",
        "params": "",
        "details": {},
        "enable_show": true,
        "error_code": error_code,
        "job_id": if loose { json!({}) } else { json!("") },
    })
}

fn progress(report: &ProgressReport) -> Value {
    let done = report.percent == 100;
    let word = match (report.failed, done) {
        (true, _) => "FAILED",
        (false, true) => "FINISH",
        (false, false) => "EXECUTING",
    };
    let ended = (done || report.failed).then(|| report.begun_at.rfc3339());
    json!({
        "progress": report.percent,
        "remain_time": report.remaining.0 / 1_000,
        "step_details": [{
            "step_id": "1",
            "step_name": "migrate nodes",
            "step_status": word,
            "begin_time": report.begun_at.rfc3339(),
            "end_time": ended,
            "error_code": if report.failed { "DCS.4842" } else { "" },
            "sub_step_details": [],
        }],
    })
}

/// The words of the status counters, without `_count`.
const COUNTED: [&str; 13] = [
    "running",
    "upgrading",
    "extending",
    "restarting",
    "restoring",
    "flushing",
    "migrating",
    "creating",
    "createfailed",
    "error",
    "freezing",
    "frozen",
    "paying",
];

fn status_counts(
    engines: &std::collections::BTreeMap<Arc<str>, std::collections::BTreeMap<Arc<str>, u64>>,
) -> Value {
    let count = |word: &str, engine: Option<&str>| -> u64 {
        engines
            .iter()
            .filter(|(name, _)| engine.is_none_or(|wanted| wanted == &***name))
            .filter_map(|(_, counts)| counts.get(word))
            .sum()
    };
    let counters = |engine: Option<&str>| -> Map<String, Value> {
        let entries = COUNTED.iter();
        entries.map(|word| (format!("{word}_count"), json!(count(word, engine)))).collect()
    };
    let mut body = counters(None);
    for engine in ["redis", "memcached"] {
        body.insert(engine.into(), Value::Object(counters(Some(engine))));
    }
    Value::Object(body)
}

fn load(instance: &InstanceId) -> Value {
    json!({
        "instance_id": instance,
        "input_kbps": "0.35",
        "output_kbps": "1.20",
        "keys": 1_204,
        "used_memory": 420,
        "max_memory": 2_048,
        "cmd_get_count": 17,
        "cmd_set_count": 4,
        "used_cpu": "2.5",
    })
}

/// Four hours each, from 02:00 on (API facts, section 3.11).
fn maintain_windows(loose: bool) -> Value {
    let windows: Vec<Value> = (0..6)
        .map(|number| {
            let (begin, end) = (2 + 4 * number, (6 + 4 * number) % 24);
            let minutes = if loose { "" } else { ":00:00" };
            let time = |hour: i64| json!(format!("{hour:02}{minutes}"));
            let (begin, end) = (time(begin), time(end));
            json!({ "seq": number + 1, "begin": begin, "end": end, "default": number == 0 })
        })
        .collect();
    json!({ "maintain_windows": windows })
}

/// The header's form of an instant.
pub(super) fn http_date(at: Wall) -> String {
    match jiff::Timestamp::from_millisecond(at.0) {
        Ok(instant) => instant.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string(),
        Err(_) => "Thu, 01 Jan 1970 00:00:00 GMT".into(),
    }
}
