//! What a plan says of targets that wait: the interval in which they may start, or what blocks them.

use refit::engine::input::FreezeFile;
use refit::engine::view::{IntervalView, PlanVerdict};
use refit::engine::{Command, Hold, HoldKind, Reply, Scope};
use refit::model::policy::{Starts, Wave, WaveSize};
use refit::model::{Millis, Wall};
use refit::rehearse::Act;

use crate::engine_scene::{BEGIN, Draft, Scene};

/// Planned, and every version read; the window opens in half an hour.
fn planned(change: impl FnOnce(&mut Draft)) -> Scene {
    let mut scene = Scene::new(2, change);
    scene.run_for(Millis::from_mins(30), |_| false);
    scene
}

fn verdicts(scene: &Scene) -> Vec<PlanVerdict> {
    let now = scene.host.steady().expect("it runs");
    let plan = scene.host.engine().expect("it runs").plan(now);
    plan.campaigns[0].targets.iter().map(|target| target.verdict.clone()).collect()
}

fn intervals(scene: &Scene) -> Vec<IntervalView> {
    let interval = |verdict| match verdict {
        PlanVerdict::Upgrade { interval: Some(interval), .. } => interval,
        other => panic!("{other:?}"),
    };
    verdicts(scene).into_iter().map(interval).collect()
}

#[track_caller]
fn blocked(scene: &Scene, kind: HoldKind) -> Hold {
    let mut verdicts = verdicts(scene).into_iter();
    let Some(PlanVerdict::Blocked { hold, .. }) = verdicts.next() else { panic!("not blocked") };
    assert_eq!(hold.kind, kind, "{hold:?}");
    assert!(verdicts.all(|verdict| matches!(verdict, PlanVerdict::Blocked { .. })));
    hold
}

#[track_caller]
fn done(scene: &mut Scene, command: Command) {
    let reply = scene.host.order(command);
    assert!(matches!(reply, Some(Reply::Done { changed: true, .. })), "{reply:?}");
}

/// The next opening.
const OPEN: Wall = Wall(BEGIN.0 + 3_600_000);

#[test]
fn a_plan_tells_the_first_interval_and_a_baking_wave_when_the_bake_is_over() {
    let scene = planned(|draft| {
        let wave = |name: &str, size, bake| Wave { name: name.into(), size, bake };
        draft.campaign().waves = vec![
            wave("canary", WaveSize::Count(1), Millis::from_mins(45)),
            wave("rest", WaveSize::Rest, Millis::ZERO),
        ];
    });
    let opens: Vec<Wall> = intervals(&scene).iter().map(|interval| interval.open).collect();
    assert_eq!(opens, [OPEN, OPEN + Millis::from_mins(45)]);
}

/// The first interval of each target, were it not blocked.
fn blocked_intervals(scene: &Scene) -> Vec<Wall> {
    let interval = |verdict| match verdict {
        PlanVerdict::Blocked { engine: Some(_), interval: Some(interval), .. } => interval.open,
        other => panic!("{other:?}"),
    };
    verdicts(scene).into_iter().map(interval).collect()
}

#[test]
fn a_plan_in_shadow_mode_blocks_every_start_and_tells_when_it_would_be() {
    let scene = planned(|draft| draft.project().starts = Starts::Off);
    assert!(blocked(&scene, HoldKind::ProjectStopped).detail.contains("shadow"));
    assert_eq!(blocked_intervals(&scene), [OPEN, OPEN]);
}

#[test]
fn a_plan_under_a_freeze_without_an_end_tells_what_would_start_were_it_lifted() {
    let mut scene = planned(|_| {});
    done(&mut scene, Command::Freeze { scope: Scope::All, until: None });
    blocked(&scene, HoldKind::Frozen);
    assert_eq!(blocked_intervals(&scene), [OPEN, OPEN]);
    done(&mut scene, Command::Unfreeze { scope: Scope::All });
    let now = scene.host.now();
    scene.host.arrange(now, Act::FreezeFile(FreezeFile::Present("FREEZE".into())));
    scene.run_for(Millis::from_secs(1), |_| false);
    blocked(&scene, HoldKind::Frozen);
    assert_eq!(blocked_intervals(&scene), [OPEN, OPEN]);
}

#[test]
fn a_process_that_only_plans_tells_what_would_start() {
    let scene = planned(|draft| draft.project().starts = Starts::Planning);
    assert_eq!(intervals(&scene)[0].open, OPEN);
    let mut scene = scene;
    scene.run_for(Millis::from_hours(2), |_| false);
    assert!(scene.intents().is_empty(), "it starts nothing");
}

#[test]
fn a_freeze_without_an_end_blocks_and_one_with_an_end_is_waited_out() {
    let mut scene = planned(|_| {});
    let campaign = Scope::Campaign("c".into());
    done(&mut scene, Command::Freeze { scope: campaign, until: None });
    blocked(&scene, HoldKind::Frozen);
    done(&mut scene, Command::Unfreeze { scope: Scope::Campaign("c".into()) });
    let until = OPEN + Millis::from_hours(1);
    done(&mut scene, Command::Freeze { scope: Scope::All, until: Some(until) });
    assert_eq!(intervals(&scene)[0].open, until);
    let past_the_window = OPEN + Millis::from_hours(5);
    done(&mut scene, Command::Freeze { scope: Scope::All, until: Some(past_the_window) });
    assert_eq!(intervals(&scene)[0].open, OPEN + Millis::from_hours(24));
}

#[test]
fn a_paused_campaign_and_a_held_target_are_blocked_whatever_the_window() {
    let mut scene = planned(|_| {});
    let target = scene.target("cache-0");
    done(&mut scene, Command::Hold { target: target.clone() });
    let holds: Vec<HoldKind> = verdicts(&scene)
        .into_iter()
        .filter_map(|verdict| match verdict {
            PlanVerdict::Blocked { hold, .. } => Some(hold.kind),
            _ => None,
        })
        .collect();
    assert_eq!(holds, [HoldKind::Held]);
    done(&mut scene, Command::Release { target });
    done(&mut scene, Command::Pause { campaign: "c".into() });
    assert!(blocked(&scene, HoldKind::CampaignPaused).next_command.is_some());
}
