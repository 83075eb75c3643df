//! Reads over real connections: bounded in time and size, lenient in content.

use refit::cloud::{BODY_MAX_BYTES, Cloud, PAGE_MAX_BYTES};
use refit::model::{Millis, ReadAnswer, ReadCall, ReadFailure, Wall};

use crate::cloud_server::{
    Act, Clock, INSTANCE, NOW, SHORT_TIMEOUT, Server, access_key, answer, cloud_at, endpoint, gzip,
};

type Headers = &'static [(&'static str, &'static str)];

const PLAIN: Headers = &[];
const GZIP: Headers = &[("Content-Encoding", "gzip")];

fn show() -> ReadCall {
    ReadCall::Instance { instance: INSTANCE.into() }
}

fn shown(padding: usize) -> String {
    format!(
        r#"{{"padding":"{}","instance_id":"{INSTANCE}","status":"RUNNING","task":null}}"#,
        "x".repeat(padding)
    )
}

fn page(padding: usize) -> String {
    format!(r#"{{"padding":"{}","instance_num":0,"instances":[]}}"#, "x".repeat(padding))
}

fn cloud(server: &Server) -> Cloud {
    let mut endpoint = endpoint(&server.url());
    endpoint.request_timeout = SHORT_TIMEOUT;
    cloud_at(endpoint, access_key(), &Clock::new())
}

fn patient(server: &Server) -> Cloud {
    cloud_at(endpoint(&server.url()), access_key(), &Clock::new())
}

async fn failure(cloud: &Cloud, call: &ReadCall) -> (ReadFailure, String) {
    let failed = cloud.read(&"p".into(), call).await.unwrap_err();
    (failed.answer, failed.note.message.as_deref().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn a_read_brings_content_and_the_clouds_time() {
    let server = Server::start(|_| Act::Answer(answer(200, &[], shown(0)))).await;
    let answered = patient(&server).read(&"p".into(), &show()).await.unwrap();
    let ReadAnswer::Instance(instance) = answered.answer else { panic!("an instance") };
    assert!(instance.is_idle());
    assert_eq!(answered.server_time, Some(Wall(NOW)));
    let agent = format!("refit/{} (daemon=daemon-1)", env!("CARGO_PKG_VERSION"));
    assert_eq!(server.seen()[0].header("user-agent"), agent);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let other = Server::start(|_| Act::Answer(answer(200, &[], shown(0)))).await;
    let location = format!("{}/steal", other.url());
    let server =
        Server::start(move |_| Act::Answer(answer(302, &[("Location", location.as_str())], "")))
            .await;
    let (failure, _) = failure(&patient(&server), &show()).await;
    assert_eq!(failure, ReadFailure::Unreachable);
    assert_eq!((server.seen().len(), other.seen().len()), (1, 0));
}

#[tokio::test]
async fn an_answer_is_cut_at_its_bound_after_decompression() {
    let bomb = gzip(&vec![b' '; 64 * BODY_MAX_BYTES]);
    assert!(bomb.len() < BODY_MAX_BYTES, "small on the wire");
    let inventory = ReadCall::InventoryPage { offset: 0 };
    let rows: [(ReadCall, Headers, Vec<u8>, bool); 8] = [
        (show(), PLAIN, shown(BODY_MAX_BYTES / 2).into(), true),
        (show(), PLAIN, shown(BODY_MAX_BYTES).into(), false),
        (show(), GZIP, gzip(shown(BODY_MAX_BYTES / 2).as_bytes()), true),
        (show(), GZIP, gzip(shown(BODY_MAX_BYTES).as_bytes()), false),
        (show(), GZIP, bomb.clone(), false),
        (inventory.clone(), PLAIN, page(BODY_MAX_BYTES).into(), true),
        (inventory.clone(), GZIP, gzip(page(PAGE_MAX_BYTES).as_bytes()), false),
        (inventory, GZIP, bomb, false),
    ];
    for (number, (call, headers, body, fits)) in rows.into_iter().enumerate() {
        let server = Server::start(move |_| Act::Answer(answer(200, headers, &body))).await;
        let read = patient(&server).read(&"p".into(), &call).await;
        assert_eq!(read.is_ok(), fits, "row {number}");
        if let Err(failed) = read {
            assert_eq!(failed.answer, ReadFailure::Unreachable);
            let message = failed.note.message.unwrap();
            assert!(message.contains("exceeds"), "row {number}: {message}");
        }
    }
}

#[tokio::test]
async fn a_body_that_claims_a_gigabyte_is_not_waited_for() {
    let head = b"HTTP/1.1 200 X\r\nContent-Length: 1000000000\r\n\r\n";
    let flood = [&head[..], &vec![b' '; 2 * BODY_MAX_BYTES]].concat();
    let server = Server::start(move |_| Act::Answer(flood.clone())).await;
    let (failure, message) = failure(&patient(&server), &show()).await;
    assert_eq!(failure, ReadFailure::Unreachable);
    assert!(message.contains("exceeds"), "{message}");
}

#[tokio::test]
async fn endless_headers_are_cut() {
    let endless = [&b"HTTP/1.1 200 X\r\n"[..], &b"X-More: more\r\n".repeat(100_000)].concat();
    let server = Server::start(move |_| Act::Answer(endless.clone())).await;
    assert_eq!(failure(&patient(&server), &show()).await.0, ReadFailure::Unreachable);
}

#[tokio::test]
async fn a_deadline_ends_every_stall() {
    for act in [
        || Act::Silence,
        || Act::Drip(answer(200, &[], shown(0))),
        || {
            let whole = answer(200, &[], shown(0));
            Act::Answer(whole[..whole.len() - 5].to_vec())
        },
    ] {
        let server = Server::start(move |_| act()).await;
        assert_eq!(failure(&cloud(&server), &show()).await.0, ReadFailure::Unreachable);
    }
}

#[tokio::test]
async fn an_unreadable_answer_is_no_answer() {
    for body in [&b""[..], b"<html>login</html>", b"{\"instance_id\":\"", b"\xff", b"{}", b"[]"] {
        let server = Server::start(move |_| Act::Answer(answer(200, &[], body))).await;
        let (failure, message) = failure(&patient(&server), &show()).await;
        assert_eq!(failure, ReadFailure::Unreachable);
        assert!(message.starts_with("unreadable answer"), "{message}");
    }
}

#[tokio::test]
async fn failures_become_classes_in_both_forms_of_their_codes() {
    let refused = ReadFailure::CredentialRefused { renewable: false };
    let rows = [
        (404, "", ReadFailure::Gone),
        (404, r#"{"error_code":"DCS.3022"}"#, ReadFailure::Gone),
        (404, r#"{"error_code":"111404022"}"#, ReadFailure::Gone),
        (404, r#"{"error_code":"APIGW.0101"}"#, ReadFailure::CapabilityAbsent),
        (404, r#"{"error_code":"111404001"}"#, ReadFailure::CapabilityAbsent),
        (400, r#"{"error_code":"DCS.4061"}"#, ReadFailure::Rejected),
        (401, r#"{"error_code":"APIG.0301"}"#, refused),
        (403, r#"{"error_code":"DCS.2003"}"#, ReadFailure::Forbidden),
        (500, r#"{"error_code":"DCS.5006"}"#, ReadFailure::Unreachable),
        (503, "<html>", ReadFailure::Unreachable),
    ];
    for (status, body, expected) in rows {
        let server = Server::start(move |_| Act::Answer(answer(status, &[], body))).await;
        assert_eq!(failure(&patient(&server), &show()).await.0, expected, "{status} {body}");
        assert_eq!(server.seen().len(), 1, "the client repeats nothing by itself");
    }
    let headers = [("Retry-After", "Sun, 01 Feb 2026 00:00:59 GMT")];
    let server = Server::start(move |_| Act::Answer(answer(429, &headers, "<html>"))).await;
    let throttled = ReadFailure::Throttled { limit: None, retry_after: Some(Millis::from_mins(1)) };
    assert_eq!(failure(&patient(&server), &show()).await.0, throttled, "against the Date header");
}

#[tokio::test]
async fn a_message_from_the_cloud_is_kept_on_one_bounded_line() {
    let body =
        format!(r#"{{"error_code":"DCS.5000","error_msg":"a\n\u001b[2J{}"}}"#, "x".repeat(9_000));
    let server = Server::start(move |_| Act::Answer(answer(500, &[], &body))).await;
    let (_, message) = failure(&patient(&server), &show()).await;
    assert!(message.starts_with("a\\u{a}\\u{1b}[2Jxxx"), "{message}");
    assert_eq!(message.chars().count(), 1_024);
}
