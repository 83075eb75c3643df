//! What happens on a 500, end to end: looked at first, sent again only when nothing had started.

use refit::engine::{Fact, TargetState};
use refit::model::{Millis, Wall};
use refit::sim::world::Decision;

use crate::e2e::{Setup, Site, until};

const OBSERVE_FOR: Millis = Millis::from_secs(1);

/// The least that a backoff adds (rule S3).
const BACKOFF_FLOOR: Millis = Millis::from_secs(1);

fn one_instance(steps: &[Decision]) -> Setup {
    Setup::fleet(1).with("campaigns.fleet.observe_for", "\"1s\"").upgrades_meet(steps)
}

/// Twice 500 with nothing started, then all is well.
fn refused_twice() -> Setup {
    one_instance(&[Decision::Error500Before, Decision::Error500Before, Decision::Ok])
}

/// Three requests, each at least `observe_for` and a backoff after the intent before.
async fn assert_three_posts_in_their_time(site: &Site) {
    let posts = site.cloud.posts();
    assert_eq!(posts.len(), 3, "{}", site.logs());
    assert_eq!(posts.iter().filter(|post| post.applied).count(), 1);
    let events = site.events().await;
    let intents = events.iter().filter(|event| matches!(event.fact, Fact::Intent { .. }));
    let intents: Vec<Wall> = intents.map(|event| event.at).collect();
    assert_eq!(intents.len(), 3);
    for (before, post) in intents.iter().zip(&posts[1..]) {
        let gap = post.t_wall - *before;
        assert!(gap >= OBSERVE_FOR + BACKOFF_FLOOR, "sent again after {gap}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_500_twice_before_applying_then_200_makes_exactly_three_posts() {
    let site = Site::new(refused_twice()).await;
    site.run_to_verdict().await;
    assert_three_posts_in_their_time(&site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_between_two_500s_changes_neither_their_number_nor_their_distance() {
    let site = Site::new(refused_twice()).await;
    let mut daemon = site.start();
    until("the first request arrived", async || (site.cloud.posts().len() == 1).then_some(()))
        .await;
    daemon.kill();
    site.run_to_verdict().await;
    assert_three_posts_in_their_time(&site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_500_after_applying_makes_exactly_one_post_and_succeeds() {
    let site = Site::new(one_instance(&[Decision::ApplyThen500])).await;
    let mut daemon = site.start();
    let status = site.until_rest(&mut daemon).await;
    site.stop(daemon).await;
    assert_eq!(status.campaigns[0].counts[&TargetState::Succeeded], 1);
    assert_eq!(site.cloud.posts().len(), 1);
    let events = site.events().await;
    assert!(events.iter().any(|event| matches!(event.fact, Fact::Adopted { .. })));
    site.judge().await;
}
