//! Tokens, agency keys and secrets over real connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use refit::cloud::{Cloud, Submitted};
use refit::model::access::Secrets;
use refit::model::answer::Answered;
use refit::model::{Millis, ReadAnswer, ReadCall, ReadFailure, SubmitAnswer};
use secrecy::SecretString;

use crate::cloud_server::{
    Act, Clock, INSTANCE, PROJECT_ID, Seen, Server, access_key, answer, cloud_at, endpoint, order,
};

const PASSWORD: &str = "canary-pass\"word/+ 1";
const TOKENS: &str = "/v3/auth/tokens?nocatalog=true";
const SECURITY_KEY: &str = "/openstack/latest/securitykey";
const METADATA_TOKEN: &str = "/meta-data/latest/api/token";

fn password() -> Secrets {
    Secrets::Password {
        domain: "account".into(),
        user: "refit".into(),
        password: SecretString::from(PASSWORD),
    }
}

fn agency(server: &Server) -> Secrets {
    Secrets::Agency { metadata_endpoint: server.url().into() }
}

fn show() -> ReadCall {
    ReadCall::Instance { instance: INSTANCE.into() }
}

fn shown() -> Act {
    Act::Answer(answer(200, &[], format!(r#"{{"instance_id":"{INSTANCE}"}}"#)))
}

/// A token of 24 hours, the number in it.
fn token(number: usize) -> Act {
    let token = format!("canary-token-{number}");
    let body = r#"{"token":{"expires_at":"2026-02-01T23:59:59.000000Z"}}"#;
    Act::Answer(answer(201, &[("X-Subject-Token", &token)], body))
}

fn unauthorized() -> Act {
    Act::Answer(answer(401, &[], r#"{"error_code":"APIGW.0307","error_msg":"update it"}"#))
}

fn wrong_password() -> Act {
    let body = r#"{"error":{"code":401,"message":"The username or password is wrong."}}"#;
    Act::Answer(answer(401, &[], body))
}

async fn read(cloud: &Cloud) -> Result<Answered<ReadAnswer>, Answered<ReadFailure>> {
    cloud.read(&"p".into(), &show()).await
}

async fn submit(cloud: &Cloud) -> Answered<SubmitAnswer> {
    match cloud.submit(&order(), || Ok::<(), ()>(())).await {
        Submitted::Answered(answered) => answered,
        Submitted::Refused(()) => panic!("the last check said yes"),
    }
}

/// Issues numbered tokens and accepts whatever `accepts` does.
async fn token_server(accepts: impl Fn(&str) -> bool + Send + Sync + 'static) -> Server {
    let issued = AtomicUsize::new(0);
    Server::start(move |seen| match seen.target.as_str() {
        TOKENS => token(issued.fetch_add(1, Ordering::SeqCst) + 1),
        _ if accepts(seen.header("x-auth-token")) => shown(),
        _ => unauthorized(),
    })
    .await
}

fn to(server: &Server, target: &str) -> Vec<Seen> {
    server.seen().into_iter().filter(|seen| seen.target == target).collect()
}

#[tokio::test]
async fn a_token_is_fetched_once_for_all_who_wait_and_then_cached() {
    let server = token_server(|token| token == "canary-token-1").await;
    let cloud = Arc::new(cloud_at(endpoint(&server.url()), password(), &Clock::new()));
    let mut reads = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let cloud = Arc::clone(&cloud);
        reads.spawn(async move { read(&cloud).await.is_ok() });
    }
    assert!(reads.join_all().await.into_iter().all(|brought| brought));
    assert!(read(&cloud).await.is_ok());
    let asked = to(&server, TOKENS);
    assert_eq!(asked.len(), 1);
    let body: serde_json::Value = serde_json::from_str(&asked[0].body).unwrap();
    assert_eq!(body["auth"]["identity"]["password"]["user"]["password"], PASSWORD);
    assert_eq!(body["auth"]["scope"]["project"]["id"], PROJECT_ID);
}

#[tokio::test]
async fn a_refused_token_is_renewed_once() {
    let server = token_server(|token| token == "canary-token-2").await;
    let cloud = cloud_at(endpoint(&server.url()), password(), &Clock::new());
    let refused = submit(&cloud).await;
    assert_eq!(refused.answer, SubmitAnswer::CredentialRefused { renewable: true });
    assert_eq!(refused.note.code.as_deref(), Some("APIGW.0307"));
    cloud.renew(&"main".into()).await.unwrap();
    assert!(read(&cloud).await.is_ok());
    assert_eq!(to(&server, TOKENS).len(), 2);
}

#[tokio::test]
async fn a_loop_of_401_ends() {
    let server = token_server(|_| false).await;
    let cloud = cloud_at(endpoint(&server.url()), password(), &Clock::new());
    let mut renewals = 0;
    while read(&cloud).await.unwrap_err().answer
        == (ReadFailure::CredentialRefused { renewable: true })
    {
        cloud.renew(&"main".into()).await.unwrap();
        renewals += 1;
        assert!(renewals < 10, "renewed for ever");
    }
    assert_eq!(renewals, 1);
    assert_eq!(to(&server, TOKENS).len(), 2);
}

#[tokio::test]
async fn a_token_accepted_since_its_renewal_may_be_renewed_again() {
    let refuses = Arc::new(AtomicBool::new(true));
    let is_refusing = Arc::clone(&refuses);
    let server = token_server(move |_| !is_refusing.load(Ordering::SeqCst)).await;
    let cloud = cloud_at(endpoint(&server.url()), password(), &Clock::new());
    for _ in 0..3 {
        refuses.store(true, Ordering::SeqCst);
        let failed = read(&cloud).await.unwrap_err();
        assert_eq!(failed.answer, ReadFailure::CredentialRefused { renewable: true });
        cloud.renew(&"main".into()).await.unwrap();
        refuses.store(false, Ordering::SeqCst);
        assert!(read(&cloud).await.is_ok());
    }
}

#[tokio::test]
async fn a_wrong_password_is_sent_once() {
    let server = Server::start(|_| wrong_password()).await;
    let clock = Clock::new();
    let cloud = Arc::new(cloud_at(endpoint(&server.url()), password(), &clock));
    let refused = ReadFailure::CredentialRefused { renewable: false };
    let mut reads = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let cloud = Arc::clone(&cloud);
        reads.spawn(async move { read(&cloud).await.unwrap_err().answer });
    }
    assert!(reads.join_all().await.iter().all(|failure| *failure == refused));
    let answered = submit(&cloud).await;
    assert_eq!(answered.answer, SubmitAnswer::CredentialRefused { renewable: false });
    let message = answered.note.message.unwrap();
    assert!(message.contains("The username or password is wrong."), "{message}");
    assert_eq!(server.seen().len(), 1);

    assert!(cloud.renew(&"main".into()).await.is_err(), "an operator may try again at once");
    assert_eq!(server.seen().len(), 2);
    clock.advance(Millis::from_mins(2));
    assert_eq!(read(&cloud).await.unwrap_err().answer, refused);
    assert_eq!(server.seen().len(), 3, "asked later, it is tried again");
}

#[tokio::test]
async fn without_iam_nothing_is_sent_but_a_held_token_serves_on() {
    let is_down = Arc::new(AtomicBool::new(true));
    let down = Arc::clone(&is_down);
    let server = Server::start(move |seen| match seen.target.as_str() {
        TOKENS if down.load(Ordering::SeqCst) => Act::Answer(answer(503, &[], "")),
        TOKENS => token(1),
        _ => shown(),
    })
    .await;
    let clock = Clock::new();
    let cloud = cloud_at(endpoint(&server.url()), password(), &clock);
    assert_eq!(submit(&cloud).await.answer, SubmitAnswer::NotSent);
    assert_eq!(read(&cloud).await.unwrap_err().answer, ReadFailure::Unreachable);
    assert_eq!(to(&server, TOKENS).len(), server.seen().len(), "only IAM was asked");

    is_down.store(false, Ordering::SeqCst);
    assert!(read(&cloud).await.is_ok());
    is_down.store(true, Ordering::SeqCst);
    clock.advance(Millis::from_mins(24 * 60 - 20));
    let asked = to(&server, TOKENS).len();
    for _ in 0..5 {
        assert!(read(&cloud).await.is_ok(), "the token lives on");
    }
    assert_eq!(to(&server, TOKENS).len(), asked + 1, "one try of a renewal ahead of the end");
    clock.advance(Millis::from_mins(21));
    assert_eq!(read(&cloud).await.unwrap_err().answer, ReadFailure::Unreachable, "it is over");
}

#[tokio::test]
async fn a_token_is_renewed_ahead_of_its_end() {
    let server = token_server(|_| true).await;
    let clock = Clock::new();
    let cloud = cloud_at(endpoint(&server.url()), password(), &clock);
    assert!(read(&cloud).await.is_ok());
    clock.advance(Millis::from_mins(24 * 60 - 41));
    assert!(read(&cloud).await.is_ok());
    assert_eq!(to(&server, TOKENS).len(), 1, "more than 40 minutes are left");
    clock.advance(Millis::from_mins(2));
    assert!(read(&cloud).await.is_ok());
    assert_eq!(to(&server, TOKENS).len(), 2);
    assert_eq!(server.seen().last().unwrap().header("x-auth-token"), "canary-token-2");
}

#[tokio::test]
async fn a_project_that_iam_denies_is_forbidden_and_not_the_credential() {
    let server = Server::start(|_| Act::Answer(answer(404, &[], ""))).await;
    let cloud = cloud_at(endpoint(&server.url()), password(), &Clock::new());
    assert_eq!(submit(&cloud).await.answer, SubmitAnswer::Forbidden);
    assert_eq!(read(&cloud).await.unwrap_err().answer, ReadFailure::Forbidden);
}

/// Keys that live for so many minutes.
fn keys(number: usize, expires_at: &str) -> Act {
    let body = format!(
        r#"{{"credential":{{"access":"CANARYAK{number}","secret":"canary-secret",
            "securitytoken":"canary-security-token","expires_at":"{expires_at}"}}}}"#
    );
    Act::Answer(answer(200, &[], body))
}

#[tokio::test]
async fn short_lived_agency_keys_are_not_fetched_for_every_request() {
    let issued = AtomicUsize::new(0);
    let server = Server::start(move |seen| match seen.target.as_str() {
        SECURITY_KEY => keys(issued.fetch_add(1, Ordering::SeqCst), "2026-02-01T00:14:59.1Z"),
        _ => shown(),
    })
    .await;
    let clock = Clock::new();
    let cloud = cloud_at(endpoint(&server.url()), agency(&server), &clock);
    for _ in 0..3 {
        assert!(read(&cloud).await.is_ok());
    }
    assert_eq!(to(&server, SECURITY_KEY).len(), 1);
    let seen = server.seen();
    let signed = seen.last().unwrap();
    assert!(signed.header("authorization").contains("Access=CANARYAK0, "));
    assert!(signed.header("authorization").contains("x-security-token"));
    assert_eq!(signed.header("x-security-token"), "canary-security-token");
    clock.advance(Millis::from_mins(12));
    assert!(read(&cloud).await.is_ok());
    assert_eq!(to(&server, SECURITY_KEY).len(), 2, "three quarters of 15 minutes are over");
}

#[tokio::test]
async fn a_metadata_address_may_want_a_token_first() {
    let server = Server::start(|seen| match (seen.method.as_str(), seen.target.as_str()) {
        ("PUT", METADATA_TOKEN) if seen.header("x-metadata-token-ttl-seconds") == "21600" => {
            Act::Answer(answer(200, &[], "canary-metadata-token"))
        }
        ("GET", SECURITY_KEY) if seen.header("x-metadata-token") == "canary-metadata-token" => {
            keys(0, "2026-02-01T23:59:59Z")
        }
        ("GET", SECURITY_KEY) => Act::Answer(answer(401, &[], "token required")),
        _ => shown(),
    })
    .await;
    let cloud = cloud_at(endpoint(&server.url()), agency(&server), &Clock::new());
    assert!(read(&cloud).await.is_ok());
    assert_eq!(server.seen().len(), 4);
}

#[tokio::test]
async fn a_machine_without_an_agency_is_told_so() {
    let text = "Please configure Cloud Service Agency first";
    let server = Server::start(move |_| Act::Answer(answer(401, &[], text))).await;
    let cloud = cloud_at(endpoint(&server.url()), agency(&server), &Clock::new());
    let refused = ReadFailure::CredentialRefused { renewable: false };
    assert_eq!(read(&cloud).await.unwrap_err().answer, refused);
    assert_eq!(server.seen().len(), 1, "no token is asked for");
}

#[tokio::test]
async fn an_access_key_is_never_renewed_and_sends_one_refused_request() {
    let server = Server::start(|_| unauthorized()).await;
    let cloud = cloud_at(endpoint(&server.url()), access_key(), &Clock::new());
    let refused = ReadFailure::CredentialRefused { renewable: false };
    assert_eq!(read(&cloud).await.unwrap_err().answer, refused);
    assert!(cloud.renew(&"main".into()).await.is_err());
    assert!(cloud.renew(&"unknown".into()).await.is_err());
    assert_eq!(server.seen().len(), 1);
}

/// Answers with everything that it was told: headers and body.
fn echo(seen: &Seen) -> Act {
    let told = format!("{:?} {}", seen.headers, seen.body);
    let body = serde_json::json!({"error_code": told, "error_msg": told, "request_id": told});
    Act::Answer(answer(400, &[], body.to_string()))
}

#[tokio::test]
async fn no_secret_comes_back_in_any_answer_error_or_debug() {
    let server = Server::start(|seen| match seen.target.as_str() {
        TOKENS => token(7),
        SECURITY_KEY => keys(7, "2026-02-01T23:59:59Z"),
        _ => echo(seen),
    })
    .await;
    let static_key = Secrets::AccessKey {
        access_key: SecretString::from("CANARYAK0"),
        secret_key: SecretString::from("canary-secret"),
        security_token: Some(SecretString::from("canary-security-token")),
    };
    let mut shown = String::new();
    for secrets in [password(), agency(&server), static_key] {
        shown += &format!("{secrets:?}");
        let cloud = cloud_at(endpoint(&server.url()), secrets, &Clock::new());
        shown += &format!("{:?} {:?}", read(&cloud).await, submit(&cloud).await);
    }
    let refusing = Server::start(echo).await;
    let cloud = cloud_at(endpoint(&refusing.url()), password(), &Clock::new());
    shown += &format!("{:?} {:?}", read(&cloud).await, cloud.renew(&"main".into()).await);
    assert!(shown.contains("[secret]"), "the server did echo: {shown}");
    for canary in ["canary", "CANARY", "pass\"word", "pass\\\"word"] {
        assert!(!shown.contains(canary), "{canary} in {shown}");
    }
}
