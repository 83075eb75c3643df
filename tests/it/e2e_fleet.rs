//! Whole fleets, end to end: the happy one, and one to which everything happens.

use refit::engine::TargetState;
use refit::model::Millis;
use refit::sim::world::{CallFilter, CallKind, Decision, Limit, Rule, Script, Share, Step};

use crate::e2e::{Setup, Site};

#[tokio::test(flavor = "multi_thread")]
async fn a_happy_fleet_is_upgraded_with_one_request_each() {
    let site = Site::new(Setup::fleet(12)).await;
    let mut daemon = site.start();
    let status = site.until_rest(&mut daemon).await;
    assert_eq!(status.campaigns[0].counts[&TargetState::Succeeded], 12);
    site.stop(daemon).await;
    assert_eq!((site.cloud.posts().len(), site.cloud.applied()), (12, 12));
    let verdict = site.judge().await;
    println!("{}", verdict.summary());
}

/// What each of the instances meets at its first upgrade request.
const MIXED: [Decision; 14] = [
    Decision::Error500Before,
    Decision::ApplyThen500,
    Decision::ApplyThenDrop,
    Decision::DropBeforeApply,
    Decision::Throttled,
    Decision::Truncated,
    Decision::Html,
    Decision::Slow,
    Decision::Stalled,
    Decision::BadJson,
    Decision::NoTaskId,
    Decision::Empty,
    Decision::Huge,
    Decision::Forbidden,
];

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_that_meets_every_fault_ends_with_at_most_one_upgrade_each() {
    let mut setup = Setup::fleet(MIXED.len() + 4);
    for (number, decision) in MIXED.into_iter().enumerate() {
        let mut step = Step::from(decision);
        if decision == Decision::Throttled {
            // One that states its limit: without, it holds the whole project for a minute.
            let limit = Limit { calls: 20, per: Millis::from_secs(1) };
            step.message = Some(limit.sentence("user").into());
        }
        setup.faults.scripts.push(Script {
            calls: CallFilter::Only(CallKind::Upgrade),
            instance: Some(format!("fleet-{:04}", number + 1)),
            steps: vec![step],
            ..Script::default()
        });
    }
    setup.faults.rules.push(Rule {
        calls: CallFilter::Read,
        until: Some("8s".parse().unwrap()),
        decisions: [
            (Decision::Error500Before, Share(0.05)),
            (Decision::Html, Share(0.03)),
            (Decision::Truncated, Share(0.03)),
            (Decision::Slow, Share(0.03)),
        ]
        .into(),
        ..Rule::default()
    });
    let site = Site::new(setup).await;
    let mut daemon = site.start();
    let status = site.until_rest(&mut daemon).await;
    site.stop(daemon).await;
    let counts = &status.campaigns[0].counts;
    // The one that is forbidden fails; all others were only hard to read.
    assert_eq!(counts[&TargetState::Failed], 1, "{counts:?}");
    assert_eq!(counts[&TargetState::Succeeded] as usize, MIXED.len() + 3, "{counts:?}");
    assert_eq!(site.cloud.applied(), MIXED.len() + 3);
    println!("{}", site.judge().await.summary());
}
