//! The judge from outside: a clean run holds every rule that it can be judged by, and each rule has
//! runs that break it and are found. `demo` judges a real run.

mod run;

use refit::engine::order::Scope;
use refit::engine::rows::AttemptOutcome;
use refit::engine::state::PauseCause;
use refit::engine::{Event, Fact, Reason, TargetState};
use refit::judge::{Evidence, Judgement, Output, Rule, judge};
use refit::model::{AnswerNote, Millis, UpgradeBody, Wall};
use refit::sim::log::{LogLine, RequestLine, TaskLine};
use refit::sim::world::{CallKind, Decision, TaskState};

use run::{
    SECRET, at, attempt, attempt_row, campaign_event, clean, event, project_event, read, renumber,
    task, upgrade, versions,
};

/// What is wrong under one rule once `change` was made to the clean run.
fn breaches(rule: u8, change: impl FnOnce(&mut Evidence)) -> Vec<String> {
    let mut evidence = clean();
    change(&mut evidence);
    renumber(&mut evidence);
    breaches_of(rule, &evidence)
}

fn breaches_of(rule: u8, evidence: &Evidence) -> Vec<String> {
    match &judge(evidence).0[&Rule(rule)] {
        Judgement::Broken(breaches) => breaches.clone(),
        _ => Vec::new(),
    }
}

/// The change breaks the rule, and the breach says so.
#[track_caller]
fn breaks(rule: u8, word: &str, change: impl FnOnce(&mut Evidence)) {
    let breaches = breaches(rule, change);
    assert!(breaches.iter().any(|breach| breach.contains(word)), "S{rule}: {breaches:#?}");
}

#[track_caller]
fn holds(rule: u8, change: impl FnOnce(&mut Evidence)) {
    assert_eq!(breaches(rule, change), [""; 0]);
}

/// The upgrade request of that attempt in the cloud's log.
fn sent<'a>(evidence: &'a mut Evidence, instance: &str, number: u32) -> &'a mut RequestLine {
    let id = attempt(instance, number).to_string();
    let requests = evidence.lines.iter_mut().filter_map(|line| match line {
        LogLine::Request(line) => Some(line),
        LogLine::Task(_) => None,
    });
    requests.into_iter().find(|line| line.attempt.as_deref() == Some(&id)).unwrap()
}

fn task_began<'a>(evidence: &'a mut Evidence, instance: &str) -> &'a mut TaskLine {
    let tasks = evidence.lines.iter_mut().filter_map(|line| match line {
        LogLine::Task(line) => Some(line),
        LogLine::Request(_) => None,
    });
    let mut tasks = tasks.filter(|line| line.state == TaskState::Open);
    tasks.find(|line| line.instance.as_str() == instance).unwrap()
}

fn events(evidence: &mut Evidence, is_it: fn(&Fact) -> bool) -> Vec<&mut Event> {
    evidence.ledger.iter_mut().filter(|event| is_it(&event.fact)).collect()
}

/// The ledger says that it happened then.
fn add(evidence: &mut Evidence, event: Event) {
    evidence.ledger.push(event);
}

fn request(evidence: &mut Evidence, line: RequestLine) {
    evidence.lines.push(LogLine::Request(line));
}

#[test]
fn a_clean_run_is_held_by_every_rule_but_the_one_that_needs_two_owners() {
    let verdict = judge(&clean());
    assert_eq!(verdict.summary(), "rules: 14 held, 1 not judged (S14)", "{verdict:#?}");
    assert!(!verdict.is_broken());
}

#[test]
fn a_rule_without_evidence_is_not_judged_and_never_held() {
    let verdict = judge(&Evidence::default());
    assert!(verdict.0.values().all(|one| !matches!(one, Judgement::Held { facts: 0 })));
    assert!(matches!(verdict.0[&Rule(12)], Judgement::NotJudged(_)));
}

#[test]
fn s1_is_broken_by_two_upgrades_of_one_round_and_by_two_open_attempts() {
    breaks(1, "2 times", |evidence| sent(evidence, "b", 1).applied = true);
    breaks(1, "while", |evidence| evidence.attempts[1].ended_at = Some(at(16, 30)));
    breaks(1, "while", |evidence| {
        let mut other = attempt_row(at(2, 0), "a", 1, (AttemptOutcome::Open, None));
        other.id.target.campaign = "another".into();
        evidence.attempts.push(other);
    });
}

#[test]
fn s2_is_broken_by_an_upgrade_without_its_intent_or_with_another_body() {
    breaks(2, "not stored", |evidence| drop(evidence.attempts.remove(0)));
    breaks(2, "before its intent", |evidence| evidence.attempts[0].intent_at = at(0, 1));
    breaks(2, "another body", |evidence| {
        sent(evidence, "a", 1).body_sha256 = Some("00".into());
    });
}

#[test]
fn s3_is_broken_by_a_ticket_used_twice_late_or_without_proof() {
    breaks(3, "twice", |evidence| request(evidence, upgrade(at(0, 2), "a", 1)));
    breaks(3, "after its intent", |evidence| {
        evidence.attempts[0].intent_at = at(-1, 0);
    });
    breaks(3, "was open", |evidence| evidence.attempts[1].outcome = AttemptOutcome::Uncertain);
    breaks(3, "observe_for", |evidence| {
        evidence.attempts[1].intent_at = at(15, 30);
    });
    breaks(3, "not to be sent before", |evidence| {
        let fact = Fact::NotApplied { not_before: Some(at(17, 0)) };
        let proven = events(evidence, |fact| matches!(fact, Fact::NotApplied { .. }));
        proven.into_iter().for_each(|event| event.fact = fact.clone());
    });
}

#[test]
fn s4_is_broken_outside_the_window_after_the_cutoff_and_after_a_stop() {
    breaks(4, "outside", |evidence| sent(evidence, "a", 1).t_wall = at(0, -1));
    breaks(4, "outside", |evidence| sent(evidence, "b", 2).t_wall = at(90, 3));
    let frozen_at = |seconds| {
        move |evidence: &mut Evidence| {
            let fact = Fact::Frozen { scope: Scope::All, until: None };
            add(evidence, project_event(at(16, seconds), fact));
        }
    };
    breaks(4, "after a stop", frozen_at(12));
    holds(4, frozen_at(15));
    holds(4, |evidence| {
        let fact = Fact::Frozen { scope: Scope::All, until: Some(at(16, 14)) };
        add(evidence, project_event(at(16, 0), fact));
    });
}

#[test]
fn s5_is_broken_by_one_task_too_many_and_by_one_slot_too_many() {
    breaks(5, "2 of 1", |evidence| task_began(evidence, "b").at = at(3, 0));
    breaks(5, "Group", |evidence| {
        evidence.settings.campaigns.values_mut().for_each(|policy| policy.max_in_flight = 9);
        task_began(evidence, "b").at = at(3, 0);
    });
    breaks(5, "2 of 1", |evidence| {
        // The cloud is done with it, and the proof comes only later.
        let ends = events(evidence, |fact| matches!(fact, Fact::Succeeded { .. }));
        ends.into_iter().next().unwrap().at = at(15, 30);
    });
}

#[test]
fn s6_is_broken_by_a_burst_of_starts_or_reads_beyond_the_rate() {
    breaks(6, "starts", |evidence| {
        for number in 3..8 {
            request(evidence, upgrade(at(16, 20), "b", number));
        }
    });
    breaks(6, "reads", |evidence| {
        for _ in 0..20 {
            request(evidence, read(at(1, 0), CallKind::Show, "a"));
        }
    });
    holds(6, |evidence| {
        for second in 0..40 {
            request(evidence, read(at(1, second), CallKind::Show, "a"));
        }
    });
}

#[test]
fn s7_is_broken_by_a_wave_that_opens_early_and_by_a_start_before_its_wave() {
    let opening = |fact: &Fact| matches!(fact, Fact::WaveOpened { wave: 1, .. });
    breaks(7, "bake", |evidence| events(evidence, opening)[0].at = at(10, 0));
    breaks(7, "was running", |evidence| events(evidence, opening)[0].at = at(2, 0));
    breaks(7, "in wave", |evidence| events(evidence, opening)[0].at = at(15, 20));
    breaks(7, "over the failure", |evidence| {
        let end = events(evidence, |fact| matches!(fact, Fact::Succeeded { .. }));
        let end = end.into_iter().next().unwrap();
        end.fact = Fact::Failed { reason: Reason::TaskFailed(None) };
        end.state = Some(TargetState::Failed);
    });
    holds(7, |evidence| {
        events(evidence, opening)[0].at = at(10, 0);
        add(evidence, campaign_event(at(9, 0), Fact::Promoted { wave: 0 }));
    });
}

#[test]
fn s8_is_broken_by_a_start_with_the_budget_used_up() {
    let fail = |evidence: &mut Evidence| {
        let end = events(evidence, |fact| matches!(fact, Fact::Succeeded { .. }));
        let end = end.into_iter().next().unwrap();
        end.fact = Fact::Failed { reason: Reason::TaskFailed(None) };
        end.state = Some(TargetState::Failed);
    };
    breaks(8, "1 strikes", fail);
    breaks(8, "strikes", |evidence| {
        let overdue = Fact::Overdue { after: Millis::from_hours(2) };
        add(evidence, event(at(3, 0), "a", TargetState::Running, overdue));
        // It is still overdue when the other one starts.
        let ends = events(evidence, |fact| matches!(fact, Fact::Succeeded { .. }));
        ends.into_iter().next().unwrap().at = at(18, 0);
    });
    holds(8, |evidence| {
        fail(evidence);
        let targets = vec!["a".into()];
        add(evidence, campaign_event(at(6, 0), Fact::Acknowledged { targets, names: Vec::new() }));
    });
}

#[test]
fn s9_is_broken_by_a_start_while_anything_says_stop() {
    let stops: [(&str, Event); 8] = [
        ("paused", {
            let fact = Fact::Paused {
                cause: PauseCause::Operator,
                targets: Vec::new(),
                names: Vec::new(),
            };
            campaign_event(at(16, 19), fact)
        }),
        ("frozen", {
            let scope = Scope::Project("sg".into());
            project_event(at(16, 19), Fact::Frozen { scope, until: None })
        }),
        ("aborted", campaign_event(at(16, 19), Fact::AbortOrdered)),
        ("its project stopped", {
            project_event(at(16, 19), Fact::ProjectStopped { why: "403".into() })
        }),
        ("the circuit open", {
            project_event(at(16, 19), Fact::CircuitOpened { until: at(17, 0) })
        }),
        ("its credential stopped", {
            let fact = Fact::CredentialStopped { credential: "ops".into(), why: "401".into() };
            project_event(at(16, 19), fact)
        }),
        ("store", project_event(at(16, 19), Fact::StoreFailing)),
        ("FREEZE file", project_event(at(16, 19), Fact::FrozenByFile)),
    ];
    for (word, stop) in stops {
        breaks(9, word, |evidence| add(evidence, stop));
    }
    holds(9, |evidence| {
        add(evidence, project_event(at(16, 0), Fact::StoreFailing));
        add(evidence, project_event(at(16, 1), Fact::StoreWorking));
        add(evidence, project_event(at(16, 2), Fact::CircuitOpened { until: at(16, 10) }));
    });
}

#[test]
fn s10_is_broken_by_a_start_unseen_or_one_that_asks_for_more() {
    let forget = |call, instance: &'static str| {
        move |evidence: &mut Evidence| {
            evidence.lines.retain(|line| match line {
                LogLine::Request(line) => {
                    line.call != Some(call) || line.instance != Some(instance.into())
                }
                LogLine::Task(_) => true,
            });
        }
    };
    breaks(10, "fresh look", forget(CallKind::Show, "a"));
    breaks(10, "no version read", forget(CallKind::Version, "a"));
    breaks(10, "fresh look", |evidence| {
        // Another process looked.
        for line in &mut evidence.lines {
            if let LogLine::Request(line) = line
                && line.call == Some(CallKind::Show)
            {
                line.daemon = Some("d0".into());
            }
        }
    });
    breaks(10, "asks for", |evidence| {
        let body = UpgradeBody { engine: Some("latest".into()), proxy: Some("latest".into()) };
        evidence.attempts[0].body = body;
    });
    breaks(10, "asks for", |evidence| {
        evidence.attempts[0].body = UpgradeBody { engine: None, proxy: None };
    });
}

#[test]
fn s11_is_broken_by_a_gap_an_end_that_is_left_and_a_row_that_differs() {
    let mut gap = clean();
    gap.ledger.remove(3);
    assert!(!breaches_of(11, &gap).is_empty());
    breaks(11, "from succeeded to running", |evidence| {
        let fact = Fact::Adopted { task: "t-a".into() };
        add(evidence, event(at(6, 0), "a", TargetState::Running, fact));
    });
    breaks(11, "from pending to verifying", |evidence| {
        evidence.ledger.retain(|event| event.at < at(0, 0) || event.at >= at(4, 0));
    });
    breaks(11, "in the rows", |evidence| evidence.rows.targets[0].state = TargetState::Failed);
    breaks(11, "in the rows", |evidence| evidence.rows.targets[0].round = 2);
}

#[test]
fn s12_is_broken_by_haste_before_a_proof_and_by_use_after_a_refusal() {
    breaks(12, "two requests at once", |evidence| {
        let first = RequestLine {
            latency_ms: Millis::from_secs(5),
            ..read(at(-4, -1), CallKind::Show, "a")
        };
        request(evidence, first);
    });
    let refused = |from: Wall| {
        (0..5).map(move |second| RequestLine {
            status: Some(401),
            code: Some("APIGW.0301".into()),
            decision: Decision::Unauthorized,
            ..read(from + Millis::from_secs(second), CallKind::Show, "a")
        })
    };
    breaks(12, "after the refusal", |evidence| {
        refused(at(30, 0)).for_each(|line| request(evidence, line));
    });
    holds(12, |evidence| {
        refused(at(30, 0)).take(4).for_each(|line| request(evidence, line));
    });
    holds(12, |evidence| {
        // A new token between the two.
        refused(at(30, 0)).take(2).for_each(|line| request(evidence, line));
        request(
            evidence,
            RequestLine { status: Some(201), ..read(at(30, 10), CallKind::Token, "a") },
        );
        refused(at(31, 0)).take(3).for_each(|line| request(evidence, line));
    });
}

#[test]
fn s13_is_broken_by_an_upgrade_nobody_knows_a_task_that_never_was_and_a_false_success() {
    breaks(13, "is not known", |evidence| {
        evidence.attempts[0].outcome = AttemptOutcome::NotApplied;
    });
    breaks(13, "is not known", |evidence| {
        evidence.attempts[0].outcome = AttemptOutcome::Applied { task: Some("t-b".into()) };
    });
    breaks(13, "never existed", |evidence| {
        evidence.attempts[0].outcome = AttemptOutcome::Applied { task: Some("t-x".into()) };
    });
    breaks(13, "another version", |evidence| {
        evidence.final_versions.values_mut().for_each(|truth| *truth = versions("6.0.1"));
    });
    holds(13, |evidence| {
        evidence.attempts[0].outcome = AttemptOutcome::Uncertain;
        evidence.rows.targets[0].needs_operator = Some("two candidates".into());
    });
}

#[test]
fn s15_is_broken_by_a_secret_in_any_output_and_the_breach_does_not_repeat_it() {
    let show = |evidence: &mut Evidence| {
        let bytes = format!("\0\u{1}secret={SECRET}\0").into_bytes();
        evidence.outputs.push(Output { name: "refit.db".into(), bytes });
    };
    breaks(15, "refit.db", show);
    assert!(breaches(15, show).iter().all(|breach| !breach.contains(SECRET)));
}

#[test]
fn a_second_process_is_judged_by_its_own_looks_and_its_own_proof() {
    let restart = |evidence: &mut Evidence| {
        for line in &mut evidence.lines {
            if let LogLine::Request(line) = line
                && line.t_wall >= at(16, 0)
            {
                line.daemon = Some("d2".into());
            }
        }
    };
    holds(10, restart);
    holds(12, restart);
    breaks(12, "d2: two requests at once", |evidence| {
        restart(evidence);
        request(
            evidence,
            RequestLine { daemon: Some("d2".into()), ..read(at(16, 19), CallKind::Version, "a") },
        );
    });
}

#[test]
fn a_late_conflict_or_throttle_that_was_waited_out_breaks_nothing() {
    let put_off = |until: Wall| {
        move |evidence: &mut Evidence| {
            let fact = Fact::Throttled { limit: None, until, note: AnswerNote::default() };
            add(evidence, event(at(16, 16), "b", TargetState::Pending, fact));
        }
    };
    holds(3, put_off(at(16, 20)));
    breaks(3, "not to be sent before", put_off(at(16, 21)));
}

#[test]
fn a_task_of_somebody_else_takes_no_slot_of_ours() {
    holds(5, |evidence| {
        for state in [TaskState::Open, TaskState::Succeeded] {
            let line = TaskLine { attempt: None, ..task(at(2, 0), "b", 1, state) };
            evidence.lines.push(LogLine::Task(line));
        }
    });
}
