//! The line to the cloud: refused, reset, cut, lossy, thin, dead, without a name, with a certificate
//! that must not be trusted.

use std::collections::BTreeSet;

use refit::engine::{Status, TargetState};
use refit::model::Millis;

use crate::e2e::proxy::{Line, Way};
use crate::e2e::{Daemon, Setup, Site, until};

const TARGETS: usize = 6;

/// So much of the loop's own time passes before it counts that nothing more was sent.
const QUIET: Millis = Millis::from_secs(4);

fn is_unreachable(status: &Status) -> bool {
    status.projects.iter().any(|project| project.unreachable.is_some())
}

/// A site whose daemon reaches the cloud by that line.
async fn by_line(setup: Setup) -> (Site, Line) {
    let site = Site::new(setup).await;
    let line = Line::to(site.cloud.running.address).await;
    point(&site, &format!("http://{}", line.address));
    (site, line)
}

fn point(site: &Site, url: &str) -> String {
    site.set("projects.fleet.iam_endpoint", &format!("{url:?}"));
    site.set("projects.fleet.dcs_endpoint", &format!("{url:?}"))
}

fn fleet() -> Setup {
    Setup::fleet(TARGETS)
        .with("projects.fleet.request_timeout", "\"1s\"")
        .with("projects.fleet.upgrade_rate", "{ per_second = 2, burst = 1 }")
}

/// Until rest, a clean stop and the verdict: all upgraded, no request twice.
async fn ends_well(site: &Site, mut daemon: Daemon) {
    let status = site.until_rest(&mut daemon).await;
    site.stop(daemon).await;
    let succeeded = status.campaigns[0].counts.get(&TargetState::Succeeded);
    assert_eq!(succeeded, Some(&(TARGETS as u32)), "{}", site.logs());
    assert_eq!(site.cloud.applied(), TARGETS);
    let attempts: Vec<_> = site.cloud.posts().into_iter().map(|post| post.attempt).collect();
    let once: BTreeSet<_> = attempts.iter().collect();
    assert_eq!(once.len(), attempts.len(), "a request came twice: {attempts:?}");
    site.judge().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_cut_as_a_request_is_sent_delivers_it_once_at_most() {
    let (site, line) = by_line(fleet()).await;
    line.set(Way::CutPosts);
    let daemon = site.start();
    ends_well(&site, daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_loses_a_fifth_of_everything_only_takes_longer() {
    let (site, line) = by_line(fleet()).await;
    line.set(Way::Lossy(0.1));
    let daemon = site.start();
    ends_well(&site, daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_of_256_kilobits_is_wide_enough() {
    let (site, line) = by_line(fleet()).await;
    line.set(Way::Thin(256 * 1_000 / 8));
    let daemon = site.start();
    ends_well(&site, daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_swallows_everything_for_a_while_loses_no_upgrade() {
    let (site, line) = by_line(fleet()).await;
    let mut daemon = site.start();
    until("two were sent", async || (site.cloud.posts().len() >= 2).then_some(())).await;
    line.set(Way::Deaf);
    site.until_status(&mut daemon, "the cloud is silent", is_unreachable).await;
    line.set(Way::Open);
    ends_well(&site, daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_reset_send_nothing_and_are_tried_again() {
    let (site, line) = by_line(fleet()).await;
    line.set(Way::Reset);
    let mut daemon = site.start();
    let status = site.until_status(&mut daemon, "it is told", is_unreachable).await;
    site.until_later(&mut daemon, status.at + QUIET).await;
    assert_eq!(site.cloud.requests().len(), 0);
    line.set(Way::Open);
    ends_well(&site, daemon).await;
}

/// Nothing reaches the cloud by that address; then the right one is written into the file.
async fn is_never_trusted(site: &Site, url: &str, cause: &str) {
    let right = point(site, url);
    let mut daemon = site.start();
    let status = site.until_status(&mut daemon, "it is told", is_unreachable).await;
    let told = status.projects[0].unreachable.as_ref().unwrap();
    assert!(told.cause.contains(cause), "{url}: {}", told.cause);
    let status = site.until_later(&mut daemon, status.at + QUIET).await;
    assert!(is_unreachable(&status), "{url}");
    assert_eq!(site.cloud.requests().len(), 0, "{url}");
    site.stop(daemon).await;
    site.set("projects.fleet.dcs_endpoint", &right);
    site.set("projects.fleet.iam_endpoint", &right);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_does_not_resolve_is_tried_again_and_nothing_is_sent() {
    let site = Site::new(fleet()).await;
    is_never_trusted(&site, "https://dcs.refit.invalid", "").await;
    let daemon = site.start();
    ends_well(&site, daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_self_signed_expired_or_of_another_name_gets_no_request() {
    let site = Site::new(fleet()).await;
    let cloud = site.cloud.running.address;
    let good = Line::behind_tls(cloud, "certificate.pem").await;
    let expired = Line::behind_tls(cloud, "expired.pem").await;
    is_never_trusted(&site, &format!("https://{}", good.address), "").await;
    let trust = |name: &str| {
        let file = crate::cloud_server::fixture("tls").join(name);
        site.set("projects.fleet.ca_file", &format!("{file:?}"));
    };
    trust("expired.pem");
    is_never_trusted(&site, &format!("https://{}", expired.address), "").await;
    trust("certificate.pem");
    let by_name = format!("https://localhost:{}", good.address.port());
    is_never_trusted(&site, &by_name, "").await;

    // The same line with the right trust and name carries.
    point(&site, &format!("https://{}", good.address));
    let daemon = site.start();
    ends_well(&site, daemon).await;
}
