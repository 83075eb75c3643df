//! A cloud that nobody reaches: said once when it begins, once when it is over, and in between by
//! every answer that an operator may look at.

use std::fs;

use refit::engine::{Fact, HoldKind, Status, TargetState};

use crate::e2e::{Setup, Site};

fn is_unreachable(status: &Status) -> bool {
    status.projects.iter().any(|project| project.unreachable.is_some())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cloud_that_died_and_came_back_is_told_twice_and_shown_in_between() {
    let mut site = Site::new(Setup::fleet(3)).await;
    let opened = site.set("windows.open.at", "2031-01-01T00:00:00");
    let mut daemon = site.start();
    let is_planned = |status: &Status| {
        let campaign = status.campaigns.first();
        campaign.is_some_and(|each| each.counts.get(&TargetState::Pending) == Some(&3))
    };
    site.until_status(&mut daemon, "the fleet is planned", is_planned).await;
    site.stop(daemon).await;

    site.set("windows.open.at", &opened);
    let instance = site.cloud.instance("fleet-0001");
    let died = site.cloud.die().await;
    let mut daemon = site.start();
    site.until_status(&mut daemon, "the outage is shown", is_unreachable).await;
    let hold = site.why(&instance).await.hold.unwrap();
    assert_eq!(hold.kind, HoldKind::CircuitOpen, "{hold:?}");
    assert!(hold.detail.contains("refused") && hold.since.is_some(), "{hold:?}");
    let (exit, said) = site.ran(&["status"]).await;
    assert_eq!(exit, 0, "{said}");
    assert!(said.contains("project fleet: cloud unreachable"), "{said}");
    assert!(said.contains("refused") && said.contains("next try"), "{said}");
    assert!(said.contains("circuit_open: project fleet: cloud unreachable"), "{said}");

    site.cloud.come_back(died).await;
    let status = site.until_rest(&mut daemon).await;
    assert!(!is_unreachable(&status), "{status:#?}");
    assert_eq!(status.campaigns[0].counts.get(&TargetState::Succeeded), Some(&3));
    site.stop(daemon).await;
    let events = site.events().await;
    let told = |is: fn(&Fact) -> bool| events.iter().filter(|event| is(&event.fact)).count();
    assert_eq!(told(|fact| matches!(fact, Fact::CloudUnreachable { .. })), 1);
    assert_eq!(told(|fact| matches!(fact, Fact::CloudReachable { .. })), 1);
    let log = site.logs();
    let lines = |level: &str, text: &str| {
        let level = format!("\"level\":\"{level}\"");
        log.lines().filter(|line| line.contains(&level) && line.contains(text)).count()
    };
    assert_eq!(lines("WARN", "project fleet: cloud unreachable since"), 1, "{log}");
    assert_eq!(lines("INFO", "project fleet: cloud reachable again"), 1, "{log}");
    site.judge().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_without_a_daemon_soon_tells_that_nobody_answers_and_why() {
    let mut site = Site::new(Setup::fleet(1)).await;
    fs::create_dir_all(site.store().parent().unwrap()).unwrap();
    let died = site.cloud.die().await;
    let (exit, said) = site.ran(&["plan"]).await;
    assert_eq!(exit, 69, "{said}");
    assert!(said.contains("project fleet: nobody answers: ") && said.contains("refused"), "{said}");
    // Nothing was left behind that a second try could stumble over.
    site.cloud.come_back(died).await;
    let (exit, said) = site.ran(&["plan"]).await;
    assert_eq!(exit, 0, "{said}");
    assert_eq!(site.cloud.posts().len(), 0);
}
