//! Each knob, turned: what it changes.

use super::*;

fn reply(knobs: &[&str], change: impl FnOnce(&mut InstanceSpec), body: UpgradeBody) -> WorldReply {
    let mut small = Small::new(change, knobs, FaultProfile::calm());
    small.world.upgrade(START, &small.project, &small.instance, &body, None)
}

fn body(engine: Option<&str>, proxy: Option<&str>) -> UpgradeBody {
    UpgradeBody { engine: engine.map(Arc::from), proxy: proxy.map(Arc::from) }
}

fn code(reply: &WorldReply) -> Option<&str> {
    reply.error.as_ref().map(|error| &*error.code)
}

#[test]
fn a_named_version_is_refused_or_taken() {
    let named = || body(Some("6.0.16.5"), None);
    assert_eq!(code(&reply(&[], |_| {}, named())), Some("DCS.4800"));
    assert!(reply(&["named_version=accepted"], |_| {}, named()).applied);
}

#[test]
fn an_empty_body_is_refused_or_taken() {
    assert_eq!(code(&reply(&[], |_| {}, body(None, None))), Some("DCS.4004"));
    assert!(
        reply(&["empty_body=accepted", "newest_answer=accepted"], |_| {}, body(None, None)).applied
    );
}

#[test]
fn a_proxy_asked_for_without_one_is_ignored_or_refused() {
    let both = || body(Some("latest"), Some("latest"));
    assert!(reply(&[], |_| {}, both()).applied);
    assert_eq!(code(&reply(&["proxy_on_plain=refused"], |_| {}, both())), Some("DCS.4062"));
}

#[test]
fn the_newest_is_answered_in_three_ways() {
    let newest = |spec: &mut InstanceSpec| spec.engine_minor = spec.engine_latest.clone();
    let asked = || body(Some("latest"), None);
    assert_eq!(code(&reply(&[], newest, asked())), Some("DCS.4053"));
    assert_eq!(code(&reply(&["newest_answer=odd"], newest, asked())), Some("DCS.4990"));
    assert!(reply(&["newest_answer=accepted"], newest, asked()).applied);
}

#[test]
fn a_call_that_was_never_enabled_is_answered_in_three_ways() {
    for (value, status) in [("403", 403), ("400", 400), ("404", 404)] {
        let mut knobs = Knobs::default();
        knobs.set(&format!("not_enabled={value}")).unwrap();
        let mut spec = WorldSpec::fleet(1, SpanRange::default());
        spec.projects[0].upgrade_call = Capability::NotEnabled;
        let project = spec.projects[0].id.clone();
        let mut world = World::new(spec, knobs, FaultProfile::calm(), 1);
        let instance = world.instance_id("fleet").unwrap();
        let reply = world.upgrade(START, &project, &instance, &body(Some("latest"), None), None);
        assert_eq!(reply.status, status);
        assert!(!reply.applied);
    }
}

#[test]
fn error_codes_come_in_both_forms() {
    for (dcs, numeric) in [("DCS.4053", "111400053"), ("DCS.4026", "111400026")] {
        let profile = || {
            let mut step = Step::from(Decision::Rejected);
            step.code = Some(dcs.into());
            script(CallFilter::Only(CallKind::Upgrade), vec![step])
        };
        let mut plain = Small::new(|_| {}, &[], profile());
        assert_eq!(code(&plain.reply(0)), Some(dcs));
        // A code that a script names is sent as it is written.
        let mut scripted = Small::new(|_| {}, &["error_codes=numeric"], profile());
        assert_eq!(code(&scripted.reply(0)), Some(dcs));
        assert_eq!(scripted.world.code(dcs), numeric);
    }
    let mut small = Small::calm(&["error_codes=numeric"]);
    small.upgrade(0);
    assert_eq!(code(&small.reply(1)), Some("111400116"));
    assert_eq!(small.world.code("DCS.3022"), "111404022");
    assert_eq!(small.world.code("DCS.5006"), "111500006");
    assert_eq!(small.world.code("APIGW.0308"), "APIGW.0308");
}

#[test]
fn data_of_a_single_node_may_be_lost() {
    for (value, lost) in [("kept", false), ("lost", true)] {
        let single = |spec: &mut InstanceSpec| spec.cache_mode = crate::model::CacheMode::Single;
        let knob = format!("single_node_data={value}");
        let mut small = Small::new(single, &[&knob], FaultProfile::calm());
        small.upgrade(0);
        small.world.advance(START + Millis(10_000));
        let truth = small.world.truth(&small.project, small.instance.as_str()).unwrap();
        assert_eq!(truth.data_lost, lost);
    }
}

#[test]
fn versions_move_when_the_knob_says() {
    for (value, moves_at) in [("at_start", 0), ("midway", 5_000), ("at_end", 10_000)] {
        let mut small = Small::calm(&[&format!("version_moves={value}")]);
        if moves_at > 0 {
            small.upgrade(0);
            assert!(!small.versions(moves_at - 1).engine.is_current(), "{value}");
        } else {
            small.upgrade(0);
        }
        assert!(small.versions(moves_at).engine.is_current(), "{value}");
    }
}

#[test]
fn tasks_are_paged_and_ordered_as_the_knobs_say() {
    let release = |small: &mut Small, at: i64| {
        let (project, instance) = (small.project.clone(), small.instance.clone());
        small.world.change(START + Millis(at), &project, instance.as_str(), Change::Released);
    };
    let run = |knobs: &[&str]| {
        let mut small = Small::calm(knobs);
        let mut begun = Vec::new();
        for round in 0..3 {
            small.upgrade(round * 20_000);
            begun.push(START + Millis(round * 20_000));
            release(&mut small, round * 20_000 + 15_000);
        }
        let shown: Vec<Wall> =
            small.tasks(60_000).into_iter().filter_map(|task| task.created_at).collect();
        (begun, shown)
    };
    let (begun, shown) = run(&["task_order=oldest_first"]);
    assert_eq!(shown, begun);
    let (begun, shown) = run(&["task_page=2"]);
    assert_eq!(shown, [begun[2], begun[1]]);
}

#[test]
fn progress_is_shown_or_kept() {
    for (knob, status) in [("progress=shown", 200), ("progress=absent", 404)] {
        let mut small = Small::calm(&[knob]);
        let SubmitAnswer::Accepted { task } = small.upgrade(0) else { panic!("not accepted") };
        let ask = Ask::Progress { instance: small.instance.clone(), task };
        let reply = small.world.ask(START + Millis(2_500), &small.project.clone(), &ask);
        assert_eq!(reply.status, status);
        if let Content::Progress(report) = reply.content {
            assert_eq!((report.percent, report.remaining), (25, Millis(7_500)));
        }
    }
}

#[test]
fn a_429_states_its_wait_in_each_form() {
    let wait = |form: &str| {
        let mut small = Small::calm(&["upgrade_limit=1/1m", &format!("retry_after={form}")]);
        small.upgrade(0);
        small.reply(0).retry_after
    };
    assert_eq!(wait("absent"), None);
    assert_eq!(wait("seconds"), Some(RetryAfter::Seconds(60)));
    assert_eq!(wait("date"), Some(RetryAfter::Date(START + Millis(60_000))));
    assert_eq!(wait("absurd"), Some(RetryAfter::Seconds(1_000_000_000)));
    assert_eq!(wait("negative"), Some(RetryAfter::Seconds(-5)));
}

#[test]
fn every_share_of_calls_decides_its_calls() {
    for (knob, wanted) in [
        ("lost_answers=1", &[Decision::ApplyThenDrop][..]),
        ("lost_requests=1", &[Decision::DropBeforeApply]),
        ("errors_after=1", &[Decision::ApplyThen500]),
        ("errors_before=1", &[Decision::Error500Before]),
        ("throttle_share=1", &[Decision::Throttled]),
        ("throttle_storm=1m", &[Decision::Throttled]),
        ("slow_answers=1", &[Decision::Slow]),
        ("slow_loris=1", &[Decision::SlowLoris]),
        ("stalled=1", &[Decision::Stalled]),
        ("garbage=1", &super::super::profile::GARBAGE),
        ("oversize=1", &[Decision::Huge, Decision::GzipBomb, Decision::EndlessHeaders]),
        ("redirects=1", &[Decision::Redirect]),
        ("close_idle=1", &[Decision::CloseIdle]),
    ] {
        let mut small = Small::calm(&[knob]);
        let reply = small.reply(0);
        assert!(wanted.contains(&reply.decision), "{knob}: {:?}", reply.decision);
        assert_eq!(reply.applied, reply.decision.applies(), "{knob}");
        assert_eq!(small.applied(), usize::from(reply.applied), "{knob}");
    }
}

#[test]
fn every_share_of_upgrades_decides_their_ends() {
    for (knob, outcome) in [
        ("tasks_vanish=1", Outcome::Vanishes),
        ("tasks_stick=1", Outcome::Stuck),
        ("tasks_fail=1", Outcome::Failed),
        ("tasks_fail_but_move=1", Outcome::FailedButMoved),
        ("odd_words=1", Outcome::UnknownWord),
        ("progress_backwards=1", Outcome::ProgressBackwards),
        ("version_unchanged=1", Outcome::VersionUnchanged),
    ] {
        let mut small = Small::calm(&[knob]);
        small.upgrade(0);
        let truth = small.world.truth(&small.project, small.instance.as_str()).unwrap();
        assert_eq!(truth.applied[0].outcome, outcome, "{knob}");
    }
}

#[test]
fn an_instance_may_break_half_way() {
    let mut small = Small::calm(&["breaks_midway=1"]);
    small.upgrade(0);
    small.world.advance(START + Millis(10_000));
    let truth = small.world.truth(&small.project, small.instance.as_str()).unwrap();
    let outcomes = [Outcome::Deleted, Outcome::TurnsFaulty, Outcome::TurnsFrozen];
    assert!(outcomes.contains(&truth.applied[0].outcome), "{truth:?}");
    assert!(truth.deleted || truth.status != crate::model::InstanceStatus::Running, "{truth:?}");
}

#[test]
fn a_storm_of_429s_and_an_outage_of_iam_pass() {
    let mut small = Small::calm(&["throttle_storm=1m", "iam_down=10m"]);
    assert!(matches!(small.upgrade(0), SubmitAnswer::Throttled { .. }));
    let outside = |small: &mut Small, at: i64| {
        small.world.decide_outside(START + Millis(at), CallKind::Token)
    };
    let step = outside(&mut small, 599_999);
    assert_eq!((step.decision, step.status), (Decision::Error500Before, Some(503)));
    assert_eq!(outside(&mut small, 600_000).decision, Decision::Ok);
    assert!(matches!(small.upgrade(600_000), SubmitAnswer::Accepted { .. }));
}

#[test]
fn upgrades_take_what_the_knob_says() {
    let mut small = Small::calm(&["task_takes=5m..60m"]);
    small.upgrade(0);
    let half = small.world.next_change().unwrap() - START;
    assert!(half >= Millis::from_secs(150) && half <= Millis::from_mins(30), "{half}");
}
