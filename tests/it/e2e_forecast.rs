//! The daemon's own forecasts, made by a process of its own from what the store holds.

use refit::engine::Fact;
use refit::model::Millis;

use crate::e2e::{Setup, Site, socket, until};

/// So long that the campaign stands while the test looks at it.
const TAKES: Millis = Millis::from_mins(2);

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_gets_a_forecast_and_a_missed_deadline_alerts() {
    let setup = Setup::fleet(3)
        .takes(TAKES, TAKES)
        .with("campaigns.fleet.max_in_flight", "1")
        .with("campaigns.fleet.expected_duration", "\"2m\"")
        .with("projects.fleet.poll_interval", "\"5s\"")
        .with("campaigns.fleet.deadline", "2026-01-01");
    let site = Site::new(setup).await;
    let daemon = site.start();
    until("one is upgraded", async || {
        let status = socket::status(&site.socket()).await?;
        status.campaigns.first().filter(|campaign| campaign.in_flight == 1).map(drop)
    })
    .await;
    let made: serde_json::Value =
        until("a forecast is made", async || socket::get(&site.socket(), "/v1/forecast").await)
            .await;
    let campaign = &made["campaigns"][0];
    assert_eq!(campaign["name"], "fleet", "{made}");
    assert_eq!(campaign["targets"].as_array().map(Vec::len), Some(3), "{made}");
    assert!(campaign["completes"]["p90"].is_i64(), "{made}");
    assert_eq!(made["broken"], serde_json::json!([]), "{made}");
    let status = until("its status shows it", async || {
        let status = socket::status(&site.socket()).await?;
        status.campaigns[0].forecast.is_some().then_some(status)
    })
    .await;
    let campaign = &status.campaigns[0];
    assert_eq!(
        campaign.forecast.unwrap().p90.map(|at| at.0),
        made["campaigns"][0]["completes"]["p90"].as_i64()
    );
    assert!(campaign.late.is_some_and(|late| Some(late.deadline) == campaign.deadline));
    let is_late = |fact: &Fact| matches!(fact, Fact::ForecastLate { .. });
    let told = until("the alert is durable", async || {
        let told = site.events().await.iter().filter(|event| is_late(&event.fact)).count();
        (told > 0).then_some(told)
    })
    .await;
    assert_eq!(told, 1);
    drop(daemon);
}
