use proptest::prelude::*;

use super::*;
use crate::model::{
    CacheMode, CurrentTask, Edition, Instance, InstanceStatus, Task, TaskStatus, Wall,
};

fn page(body: &str) -> (Vec<Instance>, usize, Option<usize>) {
    match inventory_page(body.as_bytes()) {
        Ok(ReadAnswer::InventoryPage(page)) => {
            let instances = page.instances.iter().map(|row| Instance::clone(row)).collect();
            (instances, page.rows, page.total)
        }
        other => panic!("no page: {other:?}"),
    }
}

fn task_page(body: &str) -> (Vec<Task>, usize) {
    match tasks(body.as_bytes()) {
        Ok(ReadAnswer::Tasks { tasks, rows }) => (tasks.to_vec(), rows),
        other => panic!("no page: {other:?}"),
    }
}

fn show(body: &str) -> Instance {
    match instance(body.as_bytes(), &"a-1".into()) {
        Ok(ReadAnswer::Instance(instance)) => instance,
        other => panic!("no instance: {other:?}"),
    }
}

#[test]
fn contradictory_types_are_read_all_the_same() {
    let (instances, rows, total) = page(
        r#"{"instance_num":"2","instances":[
            {"instance_id":"a-1","name":7,"status":"RUNNING","engine":"Redis","engine_version":5.0,
             "spec_code":"redis.ha.xu1.tiny.r2.128","service_upgrade":"true","service_task_id":{},
             "publicip_id":{},"enterprise_project_id":0,"tags":[{"key":"env","value":1},{"key":{}}],
             "az_codes":["az1",2]},
            {"instance_id":"a-2","tags":{},"az_codes":null,"status":{}}]}"#,
    );
    assert_eq!((rows, total), (2, Some(2)));
    let first = &instances[0];
    assert_eq!((&*first.name, &*first.engine_version), ("7", "5.0"));
    assert_eq!((first.cache_mode, first.edition), (CacheMode::Ha, Edition::Unknown));
    assert_eq!((first.service_upgrade, &first.service_task_id), (true, &None));
    assert_eq!(first.tags.get("env").map(|value| &**value), Some("1"));
    assert_eq!(first.zones, ["az1".into(), "2".into()]);
    assert_eq!(first.current_task, CurrentTask::NotShown);
    assert_eq!(instances[1].status, InstanceStatus::Other("".into()), "no word is busy");
}

#[test]
fn one_odd_row_never_fails_a_page_of_a_thousand() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let odd = [
        "null".to_owned(),
        "5".to_owned(),
        "{}".to_owned(),
        r#"{"instance_id":"../../etc"}"#.to_owned(),
        format!(r#"{{"instance_id":"deep","x":{deep}}}"#),
    ];
    let good = (0..995).map(|n| format!(r#"{{"instance_id":"i-{n}","status":"RUNNING"}}"#));
    let all = good.chain(odd).collect::<Vec<_>>().join(",");
    let (instances, rows, _) = page(&format!(r#"{{"instance_num":1000,"instances":[{all}]}}"#));
    assert_eq!((instances.len(), rows), (995, 1_000));
}

#[test]
fn a_page_without_its_rows_is_unreadable_unless_it_counts_none() {
    for body in [
        "",
        "{}",
        "[]",
        "null",
        "<html>login</html>",
        r#"{"instances":null}"#,
        r#"{"instance_num":3,"instances":{}}"#,
        r#"{"instances":[],"instances":[{"instance_id":"a"}]}"#,
        r#"{"instances":[{"instance_id":"a""#,
    ] {
        assert!(inventory_page(body.as_bytes()).is_err(), "{body}");
    }
    let endless = format!(r#"{{"instances":[{}0]}}"#, "0,".repeat(ROWS_MAX));
    assert!(inventory_page(endless.as_bytes()).is_err(), "more rows than any page has");
    assert!(inventory_page(b"{\"instances\":[\xff]}").is_err(), "invalid UTF-8");
    assert_eq!(page(r#"{"instance_num":0,"instances":null}"#).1, 0);
    assert_eq!(page(r#"{"instance_num":0,"instances":[]}"#).1, 0);
}

#[test]
fn show_tells_what_keeps_an_instance_busy() {
    let rows = [
        ("", CurrentTask::Idle),
        (r#","task":null"#, CurrentTask::Idle),
        (r#","task":"""#, CurrentTask::Idle),
        (r#","task":{}"#, CurrentTask::Idle),
        (r#","task":"BACKUPING""#, CurrentTask::Busy("BACKUPING".into())),
        (r#","task":{"k":1}"#, CurrentTask::Busy(r#"{"k":1}"#.into())),
        (r#","task":false"#, CurrentTask::Busy("false".into())),
    ];
    for (field, task) in rows {
        let body = format!(r#"{{"instance_id":"a-1","status":"RUNNING"{field}}}"#);
        assert_eq!(show(&body).current_task, task, "{field}");
    }
}

#[test]
fn the_form_comes_from_cache_mode_else_from_the_spec_code() {
    let rows = [
        (r#""cache_mode":"ha_rw_split""#, CacheMode::HaRwSplit),
        (r#""cache_mode":"single","spec_code":"redis.ha.x""#, CacheMode::Single),
        (r#""spec_code":"redis.single.xu1.tiny.128""#, CacheMode::Single),
        (r#""spec_code":"redis.cluster.xu1.large.r2.4""#, CacheMode::Cluster),
        (r#""spec_code":"redis.proxy.xu1.large.4""#, CacheMode::Proxy),
        (r#""spec_code":"redis.ha.xu1.ha_rw_split.p2""#, CacheMode::HaRwSplit),
        (r#""spec_code":"redis.rw.xu1""#, CacheMode::HaRwSplit),
        (r#""spec_code":"dcs.odd""#, CacheMode::Unknown),
    ];
    for (fields, mode) in rows {
        let body = format!(r#"{{"instance_id":"a-1","product_type":"generic",{fields}}}"#);
        let shown = show(&body);
        assert_eq!((shown.cache_mode, shown.edition), (mode, Edition::Basic), "{fields}");
    }
}

#[test]
fn an_instance_under_another_id_is_no_answer() {
    for body in [
        "{}",
        r#"{"instance_id":"b-2"}"#,
        r#"{"instance_id":"a-1","status":"RUNNING","status":"ERROR"}"#,
        r#"{"instance_id":"a-1"}x"#,
    ] {
        assert!(instance(body.as_bytes(), &"a-1".into()).is_err(), "{body}");
    }
}

#[test]
fn a_version_answer_without_a_version_is_unreadable() {
    for body in ["{}", "[]", r#"{"error":"x"}"#, r#"{"proxy_minor_version":"1"}"#] {
        assert!(versions(body.as_bytes()).is_err(), "{body}");
    }
    let body = r#"{"engine_minor_version":"5.0.14.1","latest_engine_minor_version":"5.0.14.2",
        "engine_minor_version_upgradable":"true","proxy_minor_version":"",
        "latest_proxy_minor_version":{},"proxy_minor_version_upgradable":false}"#;
    let engine = PartVersion {
        current: Some("5.0.14.1".into()),
        latest: Some("5.0.14.2".into()),
        upgradable: true,
    };
    let expected = Versions { engine, proxy: PartVersion::default() };
    assert_eq!(versions(body.as_bytes()), Ok(ReadAnswer::Versions(expected)));
}

#[test]
fn tasks_are_read_with_their_times_and_codes() {
    let (tasks, rows) = task_page(
        r#"{"task_count":"3","tasks":[
            {"id":"8abf","name":"EXTEND","status":"SUCCESS","created_at":"2020-06-17T07:38:42.503Z",
             "updated_at":"1592379522503","user_id":"d539","error_code":{},"details":{"x":[1]}},
            {"id":42,"status":"SPINNING","created_at":"yesterday","error_code":"111400116"},
            {"name":"no id"}]}"#,
    );
    assert_eq!((tasks.len(), rows), (2, 3));
    assert_eq!(tasks[0].created_at, Some(Wall(1_592_379_522_503)));
    assert_eq!(tasks[0].updated_at, Some(Wall(1_592_379_522_503)));
    assert_eq!((tasks[0].status.clone(), &tasks[0].error_code), (TaskStatus::Succeeded, &None));
    assert_eq!((tasks[1].id.as_str(), tasks[1].created_at), ("42", None));
    assert_eq!(tasks[1].error_code.as_deref(), Some("DCS.4116"));
}

#[test]
fn a_look_overlooks_no_task_whose_id_is_odd() {
    let body = format!(r#"{{"tasks":[{{"id":"a\n<b>"}},{{"id":"{}"}}]}}"#, "é".repeat(100_000));
    let (tasks, _) = task_page(&body);
    assert_eq!(tasks[0].id.as_str(), "a%0A%3Cb%3E");
    assert_eq!(tasks[1].id.as_str().len(), ID_MAX_CHARS);
    let deep = format!(r#"{{"tasks":[{}{}]}}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert!(super::tasks(deep.as_bytes()).is_err());
}

#[test]
fn only_a_plain_task_id_proves_an_acceptance() {
    assert_eq!(accepted_task(br#"{"task_id":"8abf6e1e","x":1}"#), Ok("8abf6e1e".into()));
    assert_eq!(accepted_task(br#"{"task_id":17}"#), Ok("17".into()));
    let megabyte = format!(r#"{{"task_id":"{}"}}"#, "a".repeat(1_000_000));
    for body in [
        megabyte.as_str(),
        "",
        "{}",
        "null",
        r#"{"task_id":null}"#,
        r#"{"task_id":""}"#,
        r#"{"task_id":{}}"#,
        r#"{"task_id":"a\nb"}"#,
        r#"{"task_id":"1'; drop table attempts; --"}"#,
        r#"{"task_id":"<script>"}"#,
        r#"{"task_id":"a","task_id":"b"}"#,
        r#"{"task_id":"a"#,
    ] {
        assert!(accepted_task(body.as_bytes()).is_err(), "{}", cut(body, 80));
    }
}

#[test]
fn every_shape_of_an_error_body_is_read() {
    let told = |body: &str| {
        let read = error_body(body.as_bytes()).unwrap();
        (read.code.unwrap_or_default(), read.message.unwrap_or_default())
    };
    let pair = |code: &str, message: &str| (code.to_owned(), message.to_owned());
    let rows = [
        (r#"{"error_code":"DCS.4026","error_msg":"m","error_ext_msg":null}"#, "DCS.4026", "m"),
        (r#"{"error_code":111400116,"error_msg":"m"}"#, "111400116", "m"),
        (r#"{"errorCode":"X","errorMsg":"m"}"#, "X", "m"),
        (r#"{"code":"X","message":"m"}"#, "X", "m"),
        (r#"{"error":{"code":401,"message":"m","title":"Unauthorized"}}"#, "401", "m"),
        (r#"{"unknown":true}"#, "", ""),
        ("  ", "", ""),
    ];
    for (body, code, message) in rows {
        assert_eq!(told(body), pair(code, message), "{body}");
    }
    for body in ["<html>", "[]", "\"x\"", "{\"error_code\":"] {
        assert!(error_body(body.as_bytes()).is_err(), "{body}");
    }
}

/// Every decoder on the same bytes; what they return is of no interest, that they return is.
fn decode_all(body: &[u8]) {
    drop(accepted_task(body));
    drop(inventory_page(body));
    drop(instance(body, &"a-1".into()));
    drop(versions(body));
    drop(tasks(body));
    drop(error_body(body));
}

fn any_json() -> impl Strategy<Value = String> {
    let field = prop::sample::select(vec![
        "instances",
        "instance_num",
        "tasks",
        "task_count",
        "task_id",
        "id",
        "instance_id",
        "name",
        "status",
        "task",
        "tags",
        "key",
        "value",
        "az_codes",
        "error_code",
        "error_msg",
        "error",
        "created_at",
        "engine_minor_version",
        "engine_minor_version_upgradable",
    ]);
    let scalar = prop_oneof![
        Just("null".to_owned()),
        Just("1e999".to_owned()),
        Just("99999999999999999999".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<bool>().prop_map(|flag| flag.to_string()),
        any::<String>().prop_map(|text| Value::from(text).to_string()),
    ];
    scalar.prop_recursive(4, 40, 6, move |inner| {
        let pair =
            (field.clone(), inner.clone()).prop_map(|(name, value)| format!("\"{name}\":{value}"));
        prop_oneof![
            prop::collection::vec(pair, 0..6).prop_map(|pairs| format!("{{{}}}", pairs.join(","))),
            prop::collection::vec(inner, 0..6).prop_map(|list| format!("[{}]", list.join(","))),
        ]
    })
}

proptest! {
    #[test]
    fn no_bytes_make_a_decoder_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        decode_all(&body);
    }

    #[test]
    fn no_json_makes_a_decoder_panic_whole_or_cut(body in any_json(), cut in 0..400usize) {
        decode_all(body.as_bytes());
        decode_all(&body.as_bytes()[..cut.min(body.len())]);
    }

    #[test]
    fn whatever_was_sent_an_id_is_short_plain_and_always_the_same(raw in ".*") {
        let id = plain_id(&raw);
        prop_assert!(id.len() <= ID_MAX_CHARS && id.bytes().all(|byte| byte.is_ascii_graphic()));
        prop_assert_eq!(&id, &plain_id(&raw));
    }
}
