//! What stops one credential or one project, and nothing else.

use refit::engine::{HoldKind, TargetState};
use refit::model::Millis;
use refit::sim::world::{CallKind, Capability, SpanRange};

use crate::e2e::{Setup, Site};

/// So much of the loop's own time passes before it counts that nothing more was sent.
const QUIET: Millis = Millis::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_reaches_the_cloud_with_two_requests_at_most_and_is_shown() {
    let site = Site::new(Setup::fleet(4)).await;
    site.write_key("fleet.secret", "not-the-secret");
    let mut daemon = site.start();
    let stopped = site
        .until_status(&mut daemon, "the credential is stopped", |status| {
            status.projects.first().is_some_and(|each| each.credential_stopped.is_some())
        })
        .await;
    site.until_later(&mut daemon, stopped.at + QUIET).await;
    assert!(site.cloud.requests().len() <= 2, "{:#?}", site.cloud.requests());
    site.stop(daemon).await;
    site.judge().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_turned_wrong_holds_every_target_as_credential() {
    let site = Site::new(Setup::fleet(3)).await;
    let opened = site.set("windows.open.at", "2031-01-01T00:00:00");
    let mut daemon = site.start();
    let is_planned = |status: &refit::engine::Status| {
        let campaign = status.campaigns.first();
        campaign.is_some_and(|each| each.counts.get(&TargetState::Pending) == Some(&3))
    };
    site.until_status(&mut daemon, "the fleet is planned", is_planned).await;
    site.stop(daemon).await;

    site.set("windows.open.at", &opened);
    site.write_key("fleet.secret", "not-the-secret");
    let before = site.cloud.requests().len();
    let mut daemon = site.start();
    site.until_status(&mut daemon, "the credential is stopped", |status| {
        status.projects.first().is_some_and(|each| each.credential_stopped.is_some())
    })
    .await;
    let hold = site.why(&site.cloud.instance("fleet-0001")).await.hold.unwrap();
    assert_eq!(hold.kind, HoldKind::Credential, "{hold:?}");
    let next = "refit check --effective";
    assert_eq!(hold.next_command.as_deref(), Some(next));
    assert_eq!(hold.alternatives, ["refit resume --credential fleet"]);
    for (command, code) in [("status", 0), ("why fleet-0001", 0), ("plan", 77)] {
        let (exit, said) = site.ran(&command.split(' ').collect::<Vec<_>>()).await;
        assert_eq!(exit, code, "{command}: {said}");
        assert!(said.contains(" --effective") && said.contains("since"), "{command}: {said}");
        assert!(said.contains("refused once"), "{command}: {said}");
        assert!(said.contains("verify aksk signature fail"), "the cloud's words: {said}");
    }
    assert!(site.cloud.requests().len() - before <= 2);
    site.stop(daemon).await;
    site.judge().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_without_the_call_is_stopped_and_the_others_go_on() {
    for capability in [Capability::Absent, Capability::NotEnabled] {
        let setup = Setup::fleet(4).with_project("other", |project| {
            project.upgrade_call = capability;
            project.instances[0].count = 12;
        });
        let site = Site::new(setup).await;
        let mut daemon = site.start();
        let status = site
            .until_status(&mut daemon, "one project is done and the other stopped", |status| {
                let done = |each: &refit::engine::view::CampaignStatus| {
                    each.counts.get(&TargetState::Succeeded) == Some(&4)
                };
                status.campaigns.first().is_some_and(done)
                    && status.projects.iter().any(|each| each.stopped.is_some())
            })
            .await;
        site.stop(daemon).await;
        let stopped: Vec<_> =
            status.projects.iter().filter(|project| project.stopped.is_some()).collect();
        assert_eq!(stopped.len(), 1);
        assert_eq!(stopped[0].name.as_str(), "other");
        assert_eq!(site.cloud.applied(), 4);
        let to_other = site
            .cloud
            .calls(CallKind::Upgrade)
            .into_iter()
            .filter(|post| post.project.as_deref() == Some(&*site.project_id("other")));
        // Three refusals in a row, or one answer that the call does not exist, while at most four
        // requests are under way.
        assert!(to_other.count() < 8, "{capability:?}");
        site.judge().await;
    }
}

/// Rule S1: its attempts would be looked for in vain, and be sent again.
#[tokio::test(flavor = "multi_thread")]
async fn a_project_that_changes_with_an_upgrade_in_flight_keeps_the_daemon_from_starting() {
    let mut setup = Setup::fleet(1);
    setup.world.takes = SpanRange { least: Millis::from_secs(4), most: Millis::from_secs(4) };
    let site = Site::new(setup).await;
    let mut daemon = site.start();
    site.until_status(&mut daemon, "it is running", |status| {
        status
            .campaigns
            .first()
            .is_some_and(|each| each.counts.get(&TargetState::Running) == Some(&1))
    })
    .await;
    daemon.kill();
    daemon.ended().await;
    let asked = site.cloud.requests().len();
    let path = "projects.fleet.project_id";
    let before = site.set(path, &format!("{:?}", "2".repeat(32)));
    let mut refused = site.start();
    assert_eq!(refused.exit_code().await, 78, "{}", refused.log());
    assert!(refused.log().contains("put [projects.fleet] back"), "{}", refused.log());
    assert_eq!(site.cloud.requests().len(), asked);
    site.set(path, &before);
    site.run_to_verdict().await;
    assert_eq!((site.cloud.posts().len(), site.cloud.applied()), (1, 1));
}
