//! What an operator is told to type works when it is typed.

use refit::engine::{HoldKind, TargetState};
use refit::sim::world::{Change, Decision};
use tokio::process::Command;

use crate::e2e::{Setup, Site, until};

#[tokio::test(flavor = "multi_thread")]
async fn two_tasks_that_could_be_ours_are_settled_by_the_command_that_why_names() {
    let site = Site::new(Setup::fleet(1).upgrades_meet(&[Decision::Slow])).await;
    let instance = site.cloud.instance("fleet");
    let mut daemon = site.start();
    until("the upgrade is sent", async || site.cloud.posts().first().map(|_| ())).await;
    daemon.kill();
    // While no daemon looks, ours ends and somebody else's begins.
    let project = site.project_id("fleet");
    let is_upgrading = || site.cloud.truths()[0].upgrading;
    until("ours has ended", async || (!is_upgrading()).then_some(())).await;
    let now = site.cloud.running.now();
    site.cloud.running.world(|world| {
        world.change(now, &project, instance.as_str(), Change::UpgradedByOther);
    });
    assert!(is_upgrading());

    let mut daemon = site.start();
    site.until_rest(&mut daemon).await;
    let why = site.why(&instance).await;
    assert_eq!(why.state, TargetState::Uncertain);
    let hold = why.hold.unwrap();
    assert_eq!(hold.kind, HoldKind::NeedsOperator, "{hold:?}");
    assert!(hold.since.is_some(), "{hold:?}");
    let commands: Vec<&String> = hold.next_command.iter().chain(&hold.alternatives).collect();
    assert_eq!(commands.len(), 3, "{commands:?}");
    assert!(commands[2].ends_with(" --not-applied"), "{commands:?}");
    let (_, said) = site.ran(&["why", "fleet/fleet/fleet"]).await;
    // As they are shown they carry the options that `why` was given.
    let shown = said.lines().filter_map(|line| line.split_once(" refit "));
    let shown: Vec<&str> = shown.map(|(_, words)| words).collect();
    for command in commands {
        let order = command.strip_prefix("refit resolve ").unwrap();
        assert!(shown.iter().any(|words| words.ends_with(order)), "{command} in {said}");
    }
    // The operator knows which of the two tasks is ours.
    let ours = format!(" --applied {}", site.cloud.truths()[0].applied[0].task);
    let command = shown.into_iter().find(|command| command.ends_with(&ours)).unwrap();

    let mut typed = Command::new(env!("CARGO_BIN_EXE_refit"));
    let output = typed.args(command.split(' ')).output().await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let exit = output.status.code().unwrap();
    assert_eq!(exit, 0, "{command}: {said}");
    assert!(said.contains("fleet (fleet/fleet/"), "by name and id: {said}");
    let status = site.until_rest(&mut daemon).await;
    assert_eq!(status.campaigns[0].needs_operator, 0);
    assert_eq!(status.campaigns[0].counts.get(&TargetState::Succeeded), Some(&1));
    site.stop(daemon).await;
    site.judge().await;
}
