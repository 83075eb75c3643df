//! The faults of the cloud, one by one, with the real daemon over HTTP: each case is a small fleet,
//! what goes wrong, and what becomes of every instance. All are judged, and none may need more
//! memory than a page of the cloud's largest answers.
//!
//! Faults of the line stand in `e2e_network`, those of the process in `e2e_process`, of the store
//! in `e2e_store` and `e2e_damage`.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt};
use refit::engine::{Fact, Status, TargetState};
use refit::model::Millis;
use refit::sim::world::{
    CallFilter, CallKind, Change, ChangeSpec, Decision, InstanceSpec, Outcome, Rule, Script, Share,
    Span, Step,
};

use crate::e2e::{Setup, Site, is_at_rest, local};

/// Sites that run at once; they mostly wait.
const AT_ONCE: usize = 8;

/// The most that any daemon may take, whatever the cloud sends (KiB).
const MEMORY_MOST: u64 = 200 * 1_024;

/// What a 429 is obeyed for at the most, and how far off a clock may be read.
const OBEYED: Millis = Millis::from_hours(1);
const SOON: Millis = Millis::from_mins(1);

use TargetState::{Failed, Running, Skipped, Succeeded, Verifying};

type Until = fn(&Status) -> bool;
type Check = fn(&Facts<'_>);

/// One fault.
struct Case {
    /// The row of `docs/faults.md`, and what is special.
    what: &'static str,
    setup: Setup,
    /// The domain's password instead of a key.
    by_password: bool,
    /// When the run may stop.
    until: Until,
    /// What every instance ends as, by name; those not named: succeeded.
    ends: Vec<(&'static str, TargetState)>,
    /// What else must be so.
    also: Check,
}

/// What is known at the end of a run.
struct Facts<'a> {
    site: &'a Site,
    status: &'a Status,
}

impl Facts<'_> {
    fn posts(&self) -> usize {
        self.site.cloud.posts().len()
    }

    /// Upgrade requests for that instance.
    fn posts_for(&self, name: &str) -> usize {
        let instance = self.site.cloud.instance(name);
        let posts = self.site.cloud.posts().into_iter();
        posts.filter(|post| post.instance.as_ref() == Some(&instance)).count()
    }
}

fn case(what: &'static str, setup: Setup) -> Case {
    Case { what, setup, by_password: false, until: is_at_rest, ends: Vec::new(), also: |_| () }
}

impl Case {
    fn ends(mut self, name: &'static str, state: TargetState) -> Case {
        self.ends.push((name, state));
        self
    }

    fn also(mut self, also: Check) -> Case {
        self.also = also;
        self
    }

    fn until(mut self, until: Until) -> Case {
        self.until = until;
        self
    }

    fn by_password(mut self) -> Case {
        self.by_password = true;
        self
    }
}

fn script(calls: CallFilter, instance: Option<&str>, steps: Vec<Step>) -> Script {
    Script { calls, instance: instance.map(Into::into), steps, ..Script::default() }
}

fn named(name: &str) -> InstanceSpec {
    InstanceSpec { name: name.into(), ..InstanceSpec::default() }
}

fn of(instances: Vec<InstanceSpec>) -> Setup {
    let mut setup = Setup::fleet(0);
    setup.world.projects[0].instances = instances;
    setup
}

/// Of reads that share meets the decision, for the first seconds.
fn reads_meet(mut setup: Setup, decisions: &[(Decision, f64)]) -> Setup {
    setup.faults.rules.push(Rule {
        calls: CallFilter::Read,
        until: Some(Span(Millis::from_secs(6))),
        decisions: decisions.iter().map(|(what, share)| (*what, Share(*share))).collect(),
        ..Rule::default()
    });
    setup
}

/// One instance for each decision, which its first upgrade request meets.
fn each_meets(decisions: &[(&'static str, Decision)]) -> Setup {
    let mut setup = of(decisions.iter().map(|(name, _)| named(name)).collect());
    for (name, decision) in decisions {
        let steps = vec![Step::from(*decision)];
        setup.faults.scripts.push(script(CallFilter::Only(CallKind::Upgrade), Some(name), steps));
    }
    setup
}

/// Answers that never come or say "server error", before and after the upgrade began.
fn unclear() -> Vec<Case> {
    let lost = case("26: every answer is lost after the upgrade began", Setup::fleet(3))
        .also(|facts| assert_eq!(facts.posts(), 3));
    let lost = Case { setup: lost.setup.knob("lost_answers=1"), ..lost };
    let unheard = each_meets(&[("unheard", Decision::DropBeforeApply), ("sound", Decision::Ok)]);
    let unheard = case("26: a request is lost", unheard)
        .also(|facts| assert_eq!((facts.posts_for("unheard"), facts.posts_for("sound")), (2, 1)));
    let mut cases = vec![lost, unheard];
    for (what, status) in [("27: 500", 500), ("27: 502", 502), ("27: 503", 503), ("27: 504", 504)] {
        let mut setup =
            each_meets(&[("after", Decision::ApplyThen500), ("before", Decision::Error500Before)]);
        for script in &mut setup.faults.scripts {
            script.steps[0].status = Some(status);
        }
        cases.push(case(what, setup).also(|facts| {
            assert_eq!((facts.posts_for("after"), facts.posts_for("before")), (1, 2));
        }));
    }
    cases
}

/// 429 to everything for a while, with every kind of Retry-After.
fn throttled() -> Vec<Case> {
    let storm = |retry_after: Option<&str>, count| {
        let mut step = Step::from(Decision::Throttled);
        step.retry_after = retry_after.map(Into::into);
        let mut setup = Setup::fleet(count);
        setup.faults.scripts.push(script(CallFilter::Only(CallKind::Upgrade), None, vec![step]));
        setup
    };
    let is_paused = |status: &Status| {
        let until = status.projects.first().and_then(|project| project.starts_paused_until);
        until.is_some()
    };
    vec![
        case("28: Retry-After in seconds", storm(Some("2"), 3)),
        case("28: Retry-After as a date", storm(Some("Wed, 21 Oct 2015 07:28:00 GMT"), 1)),
        case("28: a negative Retry-After", storm(Some("-5"), 1)),
        case("28: no Retry-After", storm(None, 1)),
        case("28: an absurd Retry-After", storm(Some("1000000000"), 3)).until(is_paused).also(
            |facts| {
                let until = facts.status.projects[0].starts_paused_until.unwrap();
                let wait = until - facts.status.at;
                assert!(wait <= OBEYED + SOON && wait >= OBEYED - SOON, "paused for {wait}");
                assert!(facts.posts() <= 3, "{}", facts.posts());
                assert_eq!(facts.site.cloud.applied(), 0);
            },
        ),
    ]
}

/// Answers that are slow, broken, or without an end.
fn unreadable() -> Vec<Case> {
    let once = |facts: &Facts<'_>| {
        assert_eq!(facts.posts(), facts.site.cloud.truths().len(), "each is sent once");
    };
    let slow = each_meets(&[("loris", Decision::SlowLoris), ("stalled", Decision::Stalled)]);
    let slow = reads_meet(slow, &[(Decision::SlowLoris, 0.1), (Decision::Stalled, 0.1)]);
    // Few each, or the circuit opens.
    let garbage = [
        ("truncated", Decision::Truncated),
        ("bad-json", Decision::BadJson),
        ("bad-utf8", Decision::BadUtf8),
        ("bad-type", Decision::BadType),
        ("html", Decision::Html),
        ("empty", Decision::Empty),
        ("no-task", Decision::NoTaskId),
        ("bad-task", Decision::BadTaskId),
        ("deep", Decision::Deep),
        ("keys-twice", Decision::DupKeys),
    ];
    let what = "30: garbage for an answer to each upgrade";
    let garbage = garbage.chunks(4).map(|few| case(what, each_meets(few)).also(once));
    let reads = Setup::fleet(3).knob("garbage=0.3");
    let huge = each_meets(&[
        ("huge", Decision::Huge),
        ("bomb", Decision::GzipBomb),
        ("headers", Decision::EndlessHeaders),
    ]);
    let huge = reads_meet(
        huge,
        &[(Decision::Huge, 0.1), (Decision::GzipBomb, 0.1), (Decision::EndlessHeaders, 0.1)],
    );
    let redirected = each_meets(&[("redirected", Decision::Redirect)]);
    let redirected = reads_meet(redirected, &[(Decision::Redirect, 0.3)]);
    let mut reads = reads;
    reads.faults.heal_after = Some(Span(Millis::from_secs(6)));
    let others = [
        case("29: answers that drip and stall", slow).also(once),
        case("30: garbage for an answer to a third of all calls", reads),
        case("31: answers without an end", huge).also(once),
        case("31: redirects elsewhere", redirected).ends("redirected", Failed),
        case("32: kept connections that close", Setup::fleet(3).knob("close_idle=1")).also(once),
    ];
    garbage.chain(others).collect()
}

/// Credentials that end, an IAM that is away, a permission that is missing.
fn refused() -> Vec<Case> {
    let slowly =
        || Setup::fleet(8).with("projects.fleet.upgrade_rate", "{ per_second = 1, burst = 1 }");
    let mut away = slowly().knob("token_life=4s");
    away.faults.rules.push(Rule {
        calls: CallFilter::Iam,
        from: Some(Span(Millis::from_secs(2))),
        until: Some(Span(Millis::from_secs(8))),
        decisions: [(Decision::Error500Before, Share(1.0))].into(),
        status: Some(503),
        ..Rule::default()
    });
    let mut expired = Setup::fleet(3);
    let steps = vec![Step::from(Decision::TokenExpired)];
    expired.faults.scripts.push(script(
        CallFilter::Only(CallKind::Upgrade),
        Some("fleet-0002"),
        steps,
    ));
    vec![
        case("34: tokens that live for five seconds", slowly().knob("token_life=5s"))
            .by_password()
            .also(|facts| {
                let tokens = facts.site.cloud.calls(CallKind::Token).len();
                assert!((2..=12).contains(&tokens), "{tokens} tokens");
                assert_eq!(facts.posts(), 8);
            }),
        case("34: a token that is refused in the middle", expired).by_password().also(|facts| {
            assert_eq!((facts.posts(), facts.site.cloud.applied()), (4, 3));
        }),
        case("35: IAM is away for a while", away).by_password().also(|facts| {
            let tokens = facts.site.cloud.calls(CallKind::Token);
            let refused = tokens.iter().filter(|line| line.status == Some(503)).count();
            assert!((1..40).contains(&refused), "{refused} refused");
            assert_eq!(facts.posts(), 8);
        }),
        case(
            "35: one instance is forbidden",
            each_meets(&[
                ("forbidden", Decision::Forbidden),
                ("sound-1", Decision::Ok),
                ("sound-2", Decision::Ok),
            ]),
        )
        .ends("forbidden", Failed)
        .also(|facts| assert_eq!(facts.posts(), 3)),
    ]
}

/// Tasks that end in every way but well.
fn tasks() -> Vec<Case> {
    let ends = |name, outcome| InstanceSpec { outcomes: vec![outcome], ..named(name) };
    let stuck =
        of(vec![ends("stuck", Outcome::Stuck), InstanceSpec { count: 4, ..named("sound") }])
            .with("campaigns.fleet.max_in_flight", "2")
            .with("campaigns.fleet.task_timeout", "\"2s\"");
    let failing = of(vec![
        ends("fails", Outcome::Failed),
        ends("fails-and-moves", Outcome::FailedButMoved),
        ends("turns-faulty", Outcome::TurnsFaulty),
        ends("turns-frozen", Outcome::TurnsFrozen),
        named("sound"),
    ])
    .with("campaigns.fleet.task_timeout", "\"3s\"");
    let deleted = of(vec![ends("deleted", Outcome::Deleted), named("sound")]);
    let odd = of(vec![
        ends("unknown-word", Outcome::UnknownWord),
        ends("backwards", Outcome::ProgressBackwards),
        ends("unchanged", Outcome::VersionUnchanged),
    ]);
    let once = |facts: &Facts<'_>| {
        assert_eq!(facts.posts(), facts.site.cloud.truths().len(), "each is sent once");
    };
    vec![
        case("38: a task that never ends", stuck).ends("stuck", Running).also(|facts| {
            let campaign = &facts.status.campaigns[0];
            assert_eq!((campaign.overdue, campaign.needs_operator), (1, 1));
        }),
        case("39: tasks that fail", failing)
            .ends("fails", Failed)
            .ends("turns-faulty", Verifying)
            .ends("turns-frozen", Verifying)
            .also(once),
        case("39: deleted half way", deleted).ends("deleted", Failed).also(once),
        case("40: words nobody knows, progress that falls, a version that stays", odd)
            .ends("unchanged", Failed)
            .also(once),
    ]
}

/// What others do between the list, the look and the request.
fn others() -> Vec<Case> {
    let opening = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(20);
    let does = |name, what, when: fn(ChangeSpec) -> ChangeSpec| InstanceSpec {
        changes: vec![when(ChangeSpec::of(what))],
        ..named(name)
    };
    let listed = |change| ChangeSpec { after: Some(Span(Millis::from_secs(6))), ..change };
    let looked = |change| ChangeSpec { after_shows: Some(1), ..change };
    let briefly = |change| ChangeSpec {
        after: Some(Span(Millis::from_secs(6))),
        takes: Some(Span(Millis::from_secs(18))),
        ..change
    };
    let between_list_and_look = of(vec![
        does("deleted", Change::Deleted, listed),
        does("frozen", Change::Frozen, listed),
        does("faulty", Change::Faulty, listed),
        does("current", Change::FinishedByOther, listed),
        does("upgrading", Change::UpgradedByOther, briefly),
        does("busy", Change::Busy, briefly),
        named("sound"),
    ])
    .with("windows.open.at", &local(opening))
    .with("campaigns.fleet.retry", "{ initial = \"500ms\", max = \"4s\", max_attempts = 9 }");
    let between_look_and_request = of(vec![
        does("deleted", Change::Deleted, looked),
        does("frozen", Change::Frozen, looked),
        does("faulty", Change::Faulty, looked),
        does("current", Change::FinishedByOther, looked),
        named("sound"),
    ]);
    vec![
        // Who is newest by somebody else's hand is refused as that, and that is as good as done.
        case("41: others act between the list and the look", between_list_and_look)
            .ends("deleted", Skipped)
            .ends("frozen", Skipped)
            .ends("faulty", Skipped)
            .also(|facts| {
                for name in ["deleted", "frozen", "faulty"] {
                    assert_eq!(facts.posts_for(name), 0, "{name}");
                }
                assert_eq!((facts.posts_for("busy"), facts.posts_for("sound")), (1, 1));
                assert_eq!(facts.site.cloud.applied(), 2);
            }),
        // In these milliseconds the cloud's own refusal is all there is.
        case("41: others act between the look and the request", between_look_and_request)
            .ends("deleted", Failed)
            .ends("frozen", Failed)
            .ends("faulty", Skipped)
            .also(|facts| assert_eq!(facts.site.cloud.applied(), 1)),
    ]
}

/// The most memory that the process ever had (KiB).
fn memory_peak(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Runs one case to its end; what went wrong in it.
async fn run(case: Case) -> Vec<String> {
    let Case { what, setup, by_password, until, ends, also } = case;
    let mut site = Site::new(setup).await;
    if by_password {
        site.use_password();
    }
    let mut daemon = site.start();
    let status = site.until_status(&mut daemon, what, until).await;
    let memory = memory_peak(daemon.pid());
    println!("{what}: {:?}, {memory} KiB", status.campaigns[0].counts);
    site.stop(daemon).await;
    site.judge().await;
    let mut wrong = Vec::new();
    if memory > MEMORY_MOST {
        wrong.push(format!("{what}: it took {memory} KiB"));
    }
    let ends: BTreeMap<&str, TargetState> = ends.into_iter().collect();
    for (name, state) in states(&site).await.iter().filter(|_| is_at_rest(&status)) {
        let expected = ends.get(&**name).copied().unwrap_or(Succeeded);
        if *state != expected {
            wrong.push(format!("{what}: {name} is {state}, not {expected}"));
        }
    }
    also(&Facts { site: &site, status: &status });
    wrong
}

/// The states of all targets by the names of their instances, as the ledger has them last.
async fn states(site: &Site) -> BTreeMap<Arc<str>, TargetState> {
    let (mut names, mut states) = (BTreeMap::new(), BTreeMap::new());
    for event in site.events().await {
        let Some((target, state)) = event.target().zip(event.state) else { continue };
        if let Fact::TargetPlanned { name, .. } = event.fact {
            names.insert(target.clone(), name);
        }
        states.insert(names[&target].clone(), state);
    }
    states
}

async fn all(cases: Vec<Case>) {
    let runs = stream::iter(cases.into_iter().map(run)).buffer_unordered(AT_ONCE);
    let wrong: Vec<Vec<String>> = runs.collect().await;
    let wrong = wrong.concat();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn unclear_slow_and_unreadable_answers_start_nothing_twice_and_stay_small() {
    all([unclear(), unreadable()].into_iter().flatten().collect()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn throttling_refused_credentials_and_forbidden_instances_are_obeyed_and_outlived() {
    all([throttled(), refused()].into_iter().flatten().collect()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_that_end_badly_and_instances_that_others_change_end_as_they_must() {
    all([tasks(), others()].into_iter().flatten().collect()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_upgrade_is_sent_again_when_an_operator_orders_it_and_not_before() {
    let outcomes = vec![Outcome::Failed, Outcome::Success];
    let site = Site::new(of(vec![InstanceSpec { outcomes, ..named("unlucky") }])).await;
    let mut daemon = site.start();
    let failed = |status: &Status| status.campaigns[0].counts.contains_key(&Failed);
    site.until_status(&mut daemon, "it failed", |status| is_at_rest(status) && failed(status))
        .await;
    assert_eq!(site.cloud.posts().len(), 1);
    let (exit, said) = site.ran(&["retry", "unlucky", "--reason", "a test"]).await;
    assert_eq!(exit, 0, "{said}");
    site.until_status(&mut daemon, "it succeeded", |status| {
        status.campaigns[0].counts.contains_key(&Succeeded)
    })
    .await;
    site.stop(daemon).await;
    let attempts: Vec<_> = site.cloud.posts().into_iter().map(|post| post.attempt).collect();
    let rounds = ["/1.1", "/2.1"];
    assert_eq!(attempts.len(), rounds.len(), "{attempts:?}");
    for (attempt, round) in attempts.iter().zip(rounds) {
        assert!(attempt.as_ref().unwrap().to_string().ends_with(round), "{attempts:?}");
    }
}
