//! The upgrade POST over real connections: sent at most once, and classed by what that proves.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use refit::cloud::signing::{Signable, sign};
use refit::cloud::{Cloud, Submitted};
use refit::model::answer::Answered;
use refit::model::{Millis, SubmitAnswer, Wall};
use secrecy::ExposeSecret as _;

use crate::cloud_server::{
    Act, Clock, INSTANCE, NOW, PROJECT_ID, SHORT_TIMEOUT, Server, access_key, answer,
    certificate_file, cloud_at, endpoint, order,
};

const ACCEPTED: &str = r#"{"task_id":"8abf6e1e72c12e7c0172c15b508500aa"}"#;

async fn submit(cloud: &Cloud) -> Answered<SubmitAnswer> {
    match cloud.submit(&order(), || Ok::<(), ()>(())).await {
        Submitted::Answered(answered) => answered,
        Submitted::Refused(()) => panic!("the last check said yes"),
    }
}

/// A cloud at `url` whose requests end soon.
fn impatient(url: &str) -> Cloud {
    let mut endpoint = endpoint(url);
    endpoint.request_timeout = SHORT_TIMEOUT;
    cloud_at(endpoint, access_key(), &Clock::new())
}

fn accepted() -> SubmitAnswer {
    SubmitAnswer::Accepted { task: "8abf6e1e72c12e7c0172c15b508500aa".into() }
}

#[tokio::test]
async fn an_accepted_upgrade_tells_its_task_and_named_its_attempt() {
    let server = Server::start(|_| Act::Answer(answer(200, &[], ACCEPTED))).await;
    let cloud = cloud_at(endpoint(&server.url()), access_key(), &Clock::new());
    let answered = submit(&cloud).await;
    assert_eq!(answered.answer, accepted());
    assert_eq!(answered.server_time, Some(Wall(NOW)));
    assert_eq!(answered.note.request_id.as_deref(), Some("r-1"));

    let seen = &server.seen()[0];
    let path = format!("/v2/{PROJECT_ID}/instances/{INSTANCE}/minor-version/upgrade");
    assert_eq!((seen.method.as_str(), &seen.target), ("POST", &path));
    assert_eq!(seen.body, r#"{"engine_minor_version":"latest"}"#);
    let agent = format!(
        "refit/{} (attempt=weekly/p/{INSTANCE}/1.1; daemon=daemon-1)",
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(seen.header("user-agent"), agent);
    let headers = ["host", "x-sdk-date", "content-type", "x-project-id"];
    let headers = headers.map(|name| (name, seen.header(name)));
    let signable = Signable {
        method: "POST",
        path: &path,
        query: &[],
        headers: &headers,
        body: seen.body.as_bytes(),
    };
    let refit::model::access::Secrets::AccessKey { access_key, secret_key, .. } = access_key()
    else {
        panic!("an access key");
    };
    let expected =
        sign(&signable, secret_key.expose_secret()).authorization(access_key.expose_secret());
    assert_eq!(seen.header("authorization"), expected);
    assert_eq!(seen.header("x-sdk-date"), "20260131T235959Z");
}

#[tokio::test]
async fn a_post_arrives_at_most_once_in_every_fault() {
    let location = [("Location", "/elsewhere")];
    let rejected = SubmitAnswer::Rejected { suspicious: true };
    let faults: Vec<(&str, Act, SubmitAnswer)> = vec![
        ("reset after the write", Act::Reset, SubmitAnswer::Uncertain),
        ("close after the write", Act::AnswerAndClose(vec![]), SubmitAnswer::Uncertain),
        ("half a head", Act::AnswerAndClose(b"HTTP/1.1 20".to_vec()), SubmitAnswer::Uncertain),
        ("no HTTP", Act::AnswerAndClose(b"220 mail\r\n\r\n".to_vec()), SubmitAnswer::Uncertain),
        (
            "half a body",
            Act::AnswerAndClose(b"HTTP/1.1 200 X\r\nContent-Length: 99\r\n\r\n{".to_vec()),
            SubmitAnswer::Uncertain,
        ),
        (
            "half a 400",
            Act::AnswerAndClose(b"HTTP/1.1 400 X\r\nContent-Length: 99\r\n\r\n{".to_vec()),
            SubmitAnswer::Uncertain,
        ),
        ("silence", Act::Silence, SubmitAnswer::Uncertain),
        ("slow loris", Act::Drip(answer(200, &[], ACCEPTED)), SubmitAnswer::Uncertain),
        ("empty 200", Act::Answer(answer(200, &[], "")), SubmitAnswer::Uncertain),
        ("no task id", Act::Answer(answer(200, &[], "{}")), SubmitAnswer::Uncertain),
        ("login page", Act::Answer(answer(200, &[], "<html>")), SubmitAnswer::Uncertain),
        ("broken JSON", Act::Answer(answer(200, &[], r#"{"task_id":"#)), SubmitAnswer::Uncertain),
        ("invalid UTF-8", Act::Answer(answer(200, &[], b"\xff\xfe")), SubmitAnswer::Uncertain),
        (
            "500",
            Act::Answer(answer(500, &[], r#"{"error_code":"DCS.4116"}"#)),
            SubmitAnswer::Uncertain,
        ),
        ("502 page", Act::Answer(answer(502, &[], "<html>")), SubmitAnswer::Uncertain),
        ("408", Act::Answer(answer(408, &[], "")), SubmitAnswer::Uncertain),
        ("a 400 page", Act::Answer(answer(400, &[], "<html>")), SubmitAnswer::Uncertain),
        ("307", Act::Answer(answer(307, &location, "")), rejected.clone()),
        ("302 away", Act::Answer(answer(302, &location, "")), rejected),
    ];
    for (name, act, expected) in faults {
        let is_stall = matches!(act, Act::Silence | Act::Drip(_));
        let act = std::sync::Mutex::new(Some(act));
        let server = Server::start(move |_| {
            act.lock().unwrap().take().unwrap_or_else(|| Act::Answer(answer(200, &[], ACCEPTED)))
        })
        .await;
        let patient = cloud_at(endpoint(&server.url()), access_key(), &Clock::new());
        let cloud = if is_stall { impatient(&server.url()) } else { patient };
        assert_eq!(submit(&cloud).await.answer, expected, "{name}");
        // A second upgrade over the same client passes every request that the first left behind.
        assert_eq!(submit(&cloud).await.answer, accepted(), "{name}");
        assert_eq!(server.seen().len(), 2, "{name}");
    }
}

#[tokio::test]
async fn every_post_has_a_connection_of_its_own() {
    let server = Server::start(|_| Act::Answer(answer(200, &[], ACCEPTED))).await;
    let cloud = cloud_at(endpoint(&server.url()), access_key(), &Clock::new());
    for _ in 0..3 {
        assert_eq!(submit(&cloud).await.answer, accepted());
    }
    let connections: Vec<_> = server.seen().iter().map(|seen| seen.connection).collect();
    assert_eq!(connections, [0, 1, 2]);
}

#[tokio::test]
async fn what_finds_no_connection_was_not_sent() {
    let gone = Server::start(|_| Act::Silence).await.url();
    for url in [gone.as_str(), "https://dcs.nowhere.invalid"] {
        let checks = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&checks);
        let cloud = cloud_at(endpoint(url), access_key(), &Clock::new());
        let submitted = cloud
            .submit(&order(), move || {
                counted.fetch_add(1, Ordering::SeqCst);
                Ok::<(), ()>(())
            })
            .await;
        let Submitted::Answered(answered) = submitted else { panic!("refused") };
        assert_eq!(answered.answer, SubmitAnswer::NotSent, "{url}: {:?}", answered.note);
        assert_eq!(checks.load(Ordering::SeqCst), 0, "the check waits for the connection");
    }
}

#[tokio::test]
async fn a_tls_failure_is_not_sent_and_never_downgraded() {
    let server = Server::start_tls(|_| Act::Answer(answer(200, &[], ACCEPTED))).await;
    let mut endpoint = endpoint(&format!("https://{}", server.address));
    let cloud = cloud_at(endpoint.clone(), access_key(), &Clock::new());
    let answered = submit(&cloud).await;
    assert_eq!(answered.answer, SubmitAnswer::NotSent, "{:?}", answered.note);
    assert_eq!(server.seen().len(), 0);

    endpoint.ca_file = Some(certificate_file());
    let cloud = cloud_at(endpoint.clone(), access_key(), &Clock::new());
    assert_eq!(submit(&cloud).await.answer, accepted(), "the certificate is trusted by file");

    endpoint.dcs = format!("https://localhost:{}", server.address.port()).into();
    let cloud = cloud_at(endpoint, access_key(), &Clock::new());
    assert_eq!(submit(&cloud).await.answer, SubmitAnswer::NotSent, "valid for another name");
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_proxy_that_opens_no_tunnel_learns_nothing_of_the_request() {
    for status in [407, 502] {
        let proxy = Server::start(move |_| Act::Answer(answer(status, &[], ""))).await;
        let mut endpoint = endpoint("https://dcs.example.com");
        endpoint.proxy = Some(proxy.url().into());
        let answered = submit(&cloud_at(endpoint, access_key(), &Clock::new())).await;
        assert_eq!(answered.answer, SubmitAnswer::NotSent, "{status}: {:?}", answered.note);
        let seen = proxy.seen();
        assert_eq!((seen.len(), seen[0].method.as_str()), (1, "CONNECT"));
        assert_eq!(seen[0].target, "dcs.example.com:443");
        assert_eq!((seen[0].header("authorization"), seen[0].body.as_str()), ("", ""));
    }
}

#[tokio::test]
async fn a_connection_that_stalls_before_it_stands_was_not_sent() {
    // Accepts by its backlog alone, and never says a word of TLS.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let cloud = impatient(&format!("https://{}", listener.local_addr().unwrap()));
    assert_eq!(submit(&cloud).await.answer, SubmitAnswer::NotSent);
}

#[tokio::test]
async fn what_the_last_check_refuses_is_not_sent() {
    let server = Server::start(|_| Act::Answer(answer(200, &[], ACCEPTED))).await;
    let cloud = cloud_at(endpoint(&server.url()), access_key(), &Clock::new());
    let submitted = cloud.submit(&order(), || Err("frozen")).await;
    assert_eq!(submitted, Submitted::Refused("frozen"));
    assert_eq!(submit(&cloud).await.answer, accepted());
    assert_eq!(server.seen().len(), 1, "only the second one arrived");
}

#[tokio::test]
async fn answers_become_classes_in_both_forms_of_their_codes() {
    let limit = r#"{"error_code":"APIG.0308","error_msg":"policy user over ratelimit,limit:60,time:1 minute"}"#;
    let rows = [
        (400, r#"{"error_code":"DCS.4116"}"#, SubmitAnswer::Conflict { upgrading: true }),
        (400, r#"{"error_code":"111400116"}"#, SubmitAnswer::Conflict { upgrading: true }),
        (400, r#"{"error_code":111400017}"#, SubmitAnswer::Conflict { upgrading: false }),
        (400, r#"{"error_code":"DCS. 4053"}"#, SubmitAnswer::ReportedCurrent),
        (401, "<html>", SubmitAnswer::CredentialRefused { renewable: false }),
        (403, "<html>", SubmitAnswer::Forbidden),
        (404, r#"{"error_code":"APIG.0101"}"#, SubmitAnswer::CapabilityAbsent),
        (404, r#"{"error_code":"111404022"}"#, SubmitAnswer::Rejected { suspicious: false }),
    ];
    for (status, body, expected) in rows {
        let server = Server::start(move |_| Act::Answer(answer(status, &[], body))).await;
        let cloud = cloud_at(endpoint(&server.url()), access_key(), &Clock::new());
        let answered = submit(&cloud).await;
        assert_eq!(answered.answer, expected, "{status} {body}");
        assert_eq!(answered.note.status, Some(status));
    }
    let headers = [("Retry-After", "7")];
    let server = Server::start(move |_| Act::Answer(answer(429, &headers, limit))).await;
    let cloud = cloud_at(endpoint(&server.url()), access_key(), &Clock::new());
    let answered = submit(&cloud).await;
    let SubmitAnswer::Throttled { limit: Some(limit), retry_after } = answered.answer else {
        panic!("{answered:?}");
    };
    assert_eq!((limit.limit, limit.per), (60, Millis::from_mins(1)));
    assert_eq!(retry_after, Some(Millis::from_secs(7)));
    assert_eq!(answered.note.code.as_deref(), Some("APIGW.0308"));
}

#[tokio::test]
async fn an_instance_id_that_leads_elsewhere_is_never_sent() {
    let server = Server::start(|_| Act::Answer(answer(200, &[], ACCEPTED))).await;
    let cloud = cloud_at(endpoint(&server.url()), access_key(), &Clock::new());
    let mut order = order();
    order.instance = "../../v3/auth".into();
    let submitted = cloud.submit(&order, || Ok::<(), ()>(())).await;
    let Submitted::Answered(answered) = submitted else { panic!("refused") };
    assert_eq!(answered.answer, SubmitAnswer::Rejected { suspicious: false });
    assert_eq!(server.seen().len(), 0);
}
