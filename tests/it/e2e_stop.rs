//! A clean stop in the middle of a request, and stops that operators order.

use refit::engine::{Event, Fact, Status};
use refit::model::Millis;
use refit::sim::world::{CallKind, Decision, Span, Step};

use crate::e2e::{Daemon, Setup, Site, until};

/// Within this after its acknowledgement a pause or freeze has closed every way (rule S4).
const STOP_TAKES: Millis = Millis::from_secs(6);

/// So much longer than a start takes to follow another that silence means something.
const SILENCE: Millis = Millis::from_secs(3);

const TARGETS: usize = 16;

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_in_the_middle_of_a_request_records_its_answer_and_the_next_run_goes_on() {
    let late = Step { delay: Some(Span(Millis(1_500))), ..Step::from(Decision::Slow) };
    let setup = Setup::fleet(3)
        .script(CallKind::Upgrade, vec![late])
        .with("campaigns.fleet.max_in_flight", "1");
    let site = Site::new(setup).await;
    let daemon = site.start();
    until("the first request is with the cloud", async || {
        (site.cloud.posts().len() == 1).then_some(())
    })
    .await;
    site.stop(daemon).await;
    assert_eq!(site.cloud.posts().len(), 1);
    let of = |events: &[Event], wanted: fn(&Fact) -> bool| {
        events.iter().filter(|event| wanted(&event.fact)).count()
    };
    let events = site.events().await;
    assert_eq!(of(&events, |fact| matches!(fact, Fact::Accepted { .. })), 1, "{}", site.logs());

    site.run_to_verdict().await;
    assert_eq!((site.cloud.posts().len(), site.cloud.applied()), (3, 3));
    let events = site.events().await;
    assert_eq!(of(&events, |fact| matches!(fact, Fact::BecameUncertain { .. })), 0);
}

/// Two starts a second: a stop comes while some are done and most are not.
async fn busy_site() -> (Site, Daemon) {
    let setup =
        Setup::fleet(TARGETS).with("projects.fleet.upgrade_rate", "{ per_second = 2, burst = 1 }");
    let site = Site::new(setup).await;
    let daemon = site.start();
    until("the fleet is under way", async || (site.cloud.posts().len() >= 2).then_some(())).await;
    (site, daemon)
}

/// After six seconds nothing is sent any more, although targets are left.
async fn falls_silent(site: &Site, daemon: &mut Daemon) -> Status {
    let now = site.status().await.at;
    let six_later = site.until_later(daemon, now + STOP_TAKES).await;
    let sent = site.cloud.posts().len();
    assert!(sent < TARGETS, "{sent}");
    let status = site.until_later(daemon, six_later.at + SILENCE).await;
    assert_eq!(site.cloud.posts().len(), sent, "{}", site.logs());
    status
}

async fn ends_well(site: Site, mut daemon: Daemon) {
    site.until_rest(&mut daemon).await;
    site.stop(daemon).await;
    assert_eq!((site.cloud.posts().len(), site.cloud.applied()), (TARGETS, TARGETS));
    site.judge().await;
}

async fn order(site: &Site, arguments: &[&str]) {
    let (exit, said) = site.ran(arguments).await;
    assert_eq!(exit, 0, "{arguments:?}: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_stops_starts_within_six_seconds_and_a_resume_goes_on() {
    let (site, mut daemon) = busy_site().await;
    order(&site, &["pause", "fleet", "--reason", "a test"]).await;
    falls_silent(&site, &mut daemon).await;
    order(&site, &["resume", "fleet"]).await;
    ends_well(site, daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_freeze_stops_starts_within_six_seconds_and_ends_when_it_is_lifted() {
    let (site, mut daemon) = busy_site().await;
    order(&site, &["freeze", "--all", "--reason", "a test"]).await;
    let status = falls_silent(&site, &mut daemon).await;
    assert_eq!(status.freezes.len(), 1);
    order(&site, &["unfreeze", "--all"]).await;
    ends_well(site, daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_freeze_file_stops_starts_within_six_seconds_and_its_removal_goes_on() {
    let (site, mut daemon) = busy_site().await;
    let file = site.path("state/FREEZE");
    std::fs::write(&file, "").unwrap();
    falls_silent(&site, &mut daemon).await;
    std::fs::remove_file(&file).unwrap();
    ends_well(site, daemon).await;
}
