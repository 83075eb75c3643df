//! Orders through the socket: who gave them, what becomes of them, what is no order.

use serde_json::json;

use refit::engine::Fact;

use crate::daemon_process::{Site, Wishes};

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_in_the_ledger_with_its_actor_and_reason_when_it_is_answered() {
    let site = Site::new(Wishes { takes: 60_000, ..Wishes::default() }).await;
    let mut daemon = site.run().await;
    daemon.says("planned").await;
    let (exit, said) = site.refit(&["pause", "weekly", "--reason", "night shift"]).await;
    assert_eq!(exit, 0, "{said}");

    let events = site.events().await;
    let paused = events.iter().find(|event| matches!(event.fact, Fact::Paused { .. }));
    let paused = paused.expect("an answered order is durable");
    let user = rustix::process::getuid().as_raw();
    let actor = paused.actor.as_deref().unwrap();
    assert!(actor.starts_with(&format!("{user}/")) && actor.contains(" pid "), "{actor}");
    assert_eq!(paused.comment.as_deref(), Some("night shift"));

    // The same order again finds its wish fulfilled.
    let before = site.events().await.len();
    let (status, reply) =
        site.ask("POST", "/v1/orders", r#"{"command":"pause","campaign":"weekly"}"#).await;
    assert_eq!((status, &reply["result"], &reply["changed"]), (200, &json!("done"), &json!(false)));
    let paused_again =
        site.events().await[before..].iter().any(|event| matches!(event.fact, Fact::Paused { .. }));
    assert!(!paused_again);
    let said = daemon.stop().await;
    site.judge(&said).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_order_changes_nothing_and_says_why() {
    let site = Site::new(Wishes::default()).await;
    let mut daemon = site.run().await;
    daemon.says("completed").await;
    let cases = [
        (r#"{"command":"pause","campaign":"weekl"}"#, 404),
        (r#"{"command":"promote","campaign":"weekly"}"#, 409),
        (r#"{"command":"explode"}"#, 400),
        ("not JSON", 400),
    ];
    let before = site.events().await.len();
    for (body, wanted) in cases {
        let (status, reply) = site.ask("POST", "/v1/orders", body).await;
        assert_eq!(status, wanted, "{body}: {reply}");
        assert!(!reply["message"].as_str().unwrap().is_empty(), "{body}");
    }
    let (status, _) = site.ask("POST", "/v1/orders", &"x".repeat(100_000)).await;
    assert_eq!(status, 413, "a body has a limit");
    let (status, _) = site.ask("DELETE", "/v1/status", "").await;
    assert_eq!(status, 405);
    assert_eq!(site.events().await.len(), before);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn why_answers_for_every_target_and_names_the_closest_of_an_unknown_one() {
    let site = Site::new(Wishes { count: 1, takes: 60_000, ..Wishes::default() }).await;
    let mut daemon = site.run().await;
    daemon.says("accepted").await;
    let (_, plan) = site.ask("GET", "/v1/plan", "").await;
    let instance = plan["campaigns"][0]["targets"][0]["instance"].as_str().unwrap().to_owned();
    let (status, why) = site.ask("GET", &format!("/v1/why/weekly/fleet/{instance}"), "").await;
    assert_eq!((status, &why["state"]), (200, &json!("running")));
    assert_eq!(why["hold"]["kind"], "in_progress");
    let (status, problem) = site.ask("GET", &format!("/v1/why/weekly/flet/{instance}"), "").await;
    assert_eq!(status, 404);
    let text = problem["message"].as_str().unwrap();
    assert!(text.contains("no target is called weekly/"), "{text}");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_in_pages_by_target_and_by_name() {
    let site = Site::new(Wishes::default()).await;
    let mut daemon = site.run().await;
    daemon.says("completed").await;
    let (status, page) = site.ask("GET", "/v1/events?after=2&limit=2", "").await;
    let events = page["events"].as_array().unwrap();
    assert_eq!((status, events.len(), &events[0]["seq"]), (200, 2, &json!(3)));
    let (_, accepted) = site.ask("GET", "/v1/events?event=accepted&order=newest", "").await;
    let accepted = accepted["events"].as_array().unwrap();
    assert_eq!(accepted.len(), 3);
    let seqs: Vec<u64> = accepted.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert!(seqs.is_sorted_by(|one, next| one > next), "{seqs:?}");
    let instance = accepted[0]["instance"].as_str().unwrap();
    let route = format!("/v1/events?target=weekly/fleet/{instance}&event=succeeded");
    let (_, of_target) = site.ask("GET", &route, "").await;
    assert_eq!(of_target["events"].as_array().unwrap().len(), 1);
    let target = format!("weekly/fleet/{instance}");
    assert_eq!(of_target["names"][0]["target"], target);
    assert!(of_target["names"][0]["name"].as_str().unwrap().starts_with("fleet-000"));
    assert_eq!(site.ask("GET", "/v1/events?targte=x", "").await.0, 400);
    assert_eq!(site.ask("GET", "/v1/events?target=x", "").await.0, 400);
    daemon.stop().await;
}
