//! What one request to the cloud costs before it leaves, and one page after it came: the signature
//! of an upgrade, and the decoding of a thousand instances.

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use serde_json::{Value, json};

use refit::cloud::inventory_page;
use refit::cloud::signing::{Signable, sign};

/// Rows of a full page.
const ROWS: usize = 1_000;

fn main() {
    divan::main();
}

#[divan::bench(max_time = 2)]
fn signature_of_an_upgrade(bencher: Bencher) {
    let headers = [
        ("Host", "dcs.ap-southeast-3.myhuaweicloud.com"),
        ("X-Sdk-Date", "20260302T010000Z"),
        ("Content-Type", "application/json"),
        ("X-Project-Id", "0aa10000000000000000000000000001"),
    ];
    let request = Signable {
        method: "POST",
        path: "/v2/0aa10000000000000000000000000001/instances/\
               c830053e-d5a3-44a8-b19d-000000000001/minor-version/upgrade",
        query: &[],
        headers: &headers,
        body: br#"{"engine_minor_version":"latest"}"#,
    };
    bencher.bench(|| sign(divan::black_box(&request), "a-secret-key-of-forty-characters-length0"));
}

#[divan::bench(max_time = 4)]
fn page_of_the_instance_list(bencher: Bencher) {
    let instances: Vec<Value> = (0..ROWS).map(row).collect();
    let page = json!({ "instances": instances, "instance_num": ROWS }).to_string();
    bencher
        .counter(ItemsCount::new(ROWS))
        .counter(BytesCount::of_str(&page))
        .bench(|| inventory_page(divan::black_box(page.as_bytes())));
}

/// As the list shows an instance (API facts, section 3.1).
fn row(number: usize) -> Value {
    json!({
        "instance_id": format!("c830053e-d5a3-44a8-b19d-{number:012}"),
        "name": format!("cache-of-some-team-in-production-{number:07}"),
        "status": "RUNNING",
        "engine": "Redis",
        "engine_version": "5.0",
        "cache_mode": "ha",
        "spec_code": "redis.ha.xu1.large.r2.8",
        "capacity": 8,
        "ip": "192.168.0.100",
        "port": 6379,
        "domain_name": format!("redis-{number:012}.dcs.example.com"),
        "vpc_id": "27d99e17-42f2-4751-818f-5c8c6c03ff15",
        "vpc_name": "vpc_4944a40e-ac57-4f08-9d38-9786e2759458_192",
        "subnet_id": "ec2f34b9-20eb-4872-85bd-bea9fc943128",
        "security_group_id": "1adb37c2-1b1a-4d3b-b4a5-3ab9e8fcfd1e",
        "created_at": "2025-03-29T02:34:50.121Z",
        "charging_mode": 0,
        "no_password_access": "true",
        "maintain_begin": "02:00:00",
        "maintain_end": "06:00:00",
        "max_memory": 8_192,
        "used_memory": 2_048,
        "az_codes": ["ap-southeast-3a", "ap-southeast-3b"],
        "tags": [{ "key": "env", "value": "prod" }, { "key": "app", "value": "cart" }],
        "service_upgrade": false,
        "service_task_id": "",
        "enable_ssl": false,
        "user_name": "operator",
    })
}
