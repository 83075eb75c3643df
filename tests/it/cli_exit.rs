//! Exit codes that need a fleet, a bug or an operator; the others stand beside what they are about.

use refit::engine::{Fact, TargetState};
use refit::sim::world::Decision;

use crate::e2e::{Setup, Site};

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_selects_nothing_is_exit_1_and_says_where_to_look() {
    let setup = Setup::fleet(1).with("campaigns.fleet.select", "{ names = [\"nobody-*\"] }");
    let site = Site::new(setup).await;
    std::fs::create_dir_all(site.path("state")).unwrap();
    let (exit, said) = site.ran(&["plan"]).await;
    assert_eq!(exit, 1, "{said}");
    assert!(said.contains("campaign fleet: selects no instance"), "{said}");
    assert!(
        said.contains("refit check --config") && said.contains("--effective, and compare select"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bug_in_the_loop_ends_the_daemon_with_exit_70_and_loses_nothing() {
    let site = Site::new(Setup::fleet(2)).await;
    let mut daemon = site.start_with(&[("REFIT_FAILPOINT", "before_answer:3:panic")]);
    assert_eq!(daemon.exit_code().await, 70, "{}", daemon.log());
    let log = daemon.log();
    assert!(log.contains("error: a bug in refit ") && log.contains("src/failpoint.rs:"), "{log}");
    assert!(log.contains("nothing is lost, start it again"), "{log}");
    site.run_to_verdict().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_resolves_an_upgrade_that_may_have_started() {
    // It is looked at for longer than the test runs: only the operator can end it.
    let setup = Setup::fleet(1)
        .with("campaigns.fleet.observe_for", "\"10m\"")
        .upgrades_meet(&[Decision::Error500Before, Decision::Ok]);
    let site = Site::new(setup).await;
    let mut daemon = site.start();
    site.until_status(&mut daemon, "the answer is unclear", |status| {
        let campaign = status.campaigns.first();
        campaign.is_some_and(|campaign| campaign.counts.contains_key(&TargetState::Uncertain))
    })
    .await;
    let target = site.target(&site.cloud.instance("fleet")).to_string();
    let (exit, why) = site.ran(&["why", &target]).await;
    assert!(exit == 0 && why.contains("because   uncertain"), "{why}");

    let (exit, said) = site.ran(&["resolve", &target, "--succeeded"]).await;
    assert_eq!(exit, 75, "nothing is over yet: {said}");
    let (exit, said) = site.ran(&["resolve", &target]).await;
    assert_eq!(exit, 2, "{said}");
    let order = ["resolve", &target, "--not-applied", "--reason", "read the cloud's own log"];
    let (exit, said) = site.ran(&order).await;
    assert_eq!(exit, 0, "{said}");

    site.until_rest(&mut daemon).await;
    site.stop(daemon).await;
    let events = site.events().await;
    let resolved = events.iter().find(|event| matches!(event.fact, Fact::Resolved { .. }));
    let resolved = resolved.expect("an order stands in the ledger");
    assert!(resolved.actor.is_some());
    assert_eq!(resolved.comment.as_deref(), Some("read the cloud's own log"));
    assert_eq!(site.cloud.posts().len(), 2);
    site.judge().await;
}
