//! Every open question of the cloud's API answered each way: whatever the truth is, the rules hold.

use futures_util::stream::{self, StreamExt};
use refit::engine::TargetState;
use refit::model::Millis;
use refit::sim::world::{Decision, knobs};

use crate::e2e::{Setup, Site};

/// Sites that run at once; they mostly wait.
const AT_ONCE: usize = 8;

/// The values of a knob of an unknown: its words, or where it takes quantities one beside rest.
fn values(knob: &knobs::Knob) -> Vec<&'static str> {
    match knob.name {
        "upgrade_limit" => vec!["off", "2/1s"],
        "read_limit" => vec!["off", "20/1s"],
        "task_takes" => vec!["world", "100ms..2s"],
        "task_page" => vec!["100", "1"],
        "task_appears_after" => vec!["off", "700ms"],
        "records_kept" => vec!["off", "1h"],
        _ => knob.values.split(' ').collect(),
    }
}

/// Three instances; the answer of one upgrade that started is lost, so that every way to learn of
/// it again is walked.
fn setup(setting: &str) -> Setup {
    Setup::fleet(3)
        .knob(setting)
        .takes(Millis(700), Millis(1_500))
        .with("campaigns.fleet.observe_for", "\"3s\"")
        .upgrades_meet(&[Decision::ApplyThen500])
}

/// The number of targets that ended well.
async fn run(setting: String) -> (String, u32) {
    let site = Site::new(setup(&setting)).await;
    let mut daemon = site.start();
    let status = site
        .until_status(&mut daemon, &format!("{setting}: rest, or a stopped project"), |status| {
            let stopped = status.projects.first().is_some_and(|each| each.stopped.is_some());
            stopped || crate::e2e::is_at_rest(status)
        })
        .await;
    site.stop(daemon).await;
    site.judge().await;
    let counts = &status.campaigns[0].counts;
    (setting, counts.get(&TargetState::Succeeded).copied().unwrap_or(0))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_unknown_of_the_cloud_turned_each_way_keeps_the_rules() {
    let unknowns = knobs::ALL.iter().filter(|knob| knob.row.starts_with("unknown"));
    let settings: Vec<String> = unknowns
        .flat_map(|knob| values(knob).into_iter().map(|value| format!("{}={value}", knob.name)))
        .collect();
    assert!(settings.len() >= 30, "{settings:?}");
    let runs = stream::iter(settings.into_iter().map(run));
    let ended: Vec<(String, u32)> = runs.buffer_unordered(AT_ONCE).collect().await;
    for (setting, succeeded) in ended {
        println!("{setting}: {succeeded} succeeded");
        let wanted = if setting.starts_with("upgrade_call=absent") { 0 } else { 3 };
        assert_eq!(succeeded, wanted, "{setting}");
    }
}
