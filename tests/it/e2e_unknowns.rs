//! Every open question of the cloud's API answered each way: whatever the truth is, the rules hold,
//! and the fleet got as far as the question.

use std::collections::BTreeMap;

use futures_util::stream::{self, StreamExt};
use refit::engine::TargetState;
use refit::model::{CacheMode, Millis};
use refit::sim::log::RequestLine;
use refit::sim::world::{CallKind, Capability, Change, ChangeSpec, Decision, InstanceSpec, knobs};

use crate::e2e::{Setup, Site};

/// Sites that run at once; they mostly wait.
const AT_ONCE: usize = 8;

/// Instances in each world that the campaign selects.
const TARGETS: usize = 3;

/// More than fit on one page of the inventory, with the fleet.
const CROWD: usize = 1_000;

/// The values of a knob of an unknown: its words, or where it takes quantities one beside rest.
fn values(knob: &knobs::Knob) -> Vec<&'static str> {
    match knob.name {
        "upgrade_limit" => vec!["off", "1/2s"],
        "read_limit" => vec!["off", "4/1s"],
        "task_takes" => vec!["world", "100ms..2s"],
        "task_page" => vec!["100", "1"],
        "task_appears_after" => vec!["off", "700ms"],
        "records_kept" => vec!["off", "1h"],
        _ => knob.values.split(' ').collect(),
    }
}

/// One knob, turned one way.
#[derive(Clone, Copy)]
struct Case {
    knob: &'static str,
    value: &'static str,
}

impl Case {
    /// Three instances. The answer of one upgrade that started is lost, so that every way to learn
    /// of it again is walked; where the question is asked of something else, that is there instead.
    fn setup(self) -> Setup {
        let mut setup = Setup::fleet(TARGETS)
            .knob(&format!("{}={}", self.knob, self.value))
            .takes(Millis(700), Millis(1_500))
            .with("campaigns.fleet.observe_for", "\"3s\"");
        let project = &mut setup.world.projects[0];
        let fleet = &mut project.instances[0];
        match self.knob {
            // Somebody else is done, or begins, between the last look and the request.
            "newest_answer" => fleet.changes.push(before_the_request(Change::FinishedByOther)),
            "duplicate" => fleet.changes.push(before_the_request(Change::UpgradedByOther)),
            "not_enabled" => project.upgrade_call = Capability::NotEnabled,
            "single_node_data" => {
                fleet.cache_mode = CacheMode::Single;
                setup.set("campaigns.fleet.allow_single_node", "true");
            }
            "paging" => {
                let crowd = InstanceSpec { name: "crowd".into(), count: CROWD, ..fleet.clone() };
                project.instances.push(crowd);
                setup.set("campaigns.fleet.select", "{ names = [\"fleet-*\"] }");
            }
            "proxy_on_plain" => setup.set("campaigns.fleet.proxy", "\"latest\""),
            "named_version" => setup.set("campaigns.fleet.engine", "\"6.0.16.9\""),
            _ => return setup.upgrades_meet(&[Decision::ApplyThen500]),
        }
        setup
    }

    /// What becomes of all three.
    fn ends(self) -> TargetState {
        match (self.knob, self.value) {
            ("upgrade_call", "absent_gateway" | "absent_service") | ("not_enabled", "404") => {
                TargetState::Pending
            }
            ("not_enabled", _) | ("named_version", "refused") => TargetState::Failed,
            // A code that nobody has documented is taken for a mistake, not for good news.
            ("newest_answer", "odd") => TargetState::Failed,
            // Whoever came first has brought it there.
            ("duplicate", "4116" | "4026" | "4017") => TargetState::Skipped,
            _ => TargetState::Succeeded,
        }
    }

    /// Whether the cloud was asked what the knob is about.
    fn is_reached(self, requests: &[RequestLine]) -> bool {
        let upgrades = || requests.iter().filter(|line| line.call == Some(CallKind::Upgrade));
        let answered = |code: &str| upgrades().any(|line| line.code.as_deref() == Some(code));
        // A project without the call has no version call either, and is asked for that first.
        let is_missing = |code: &str| requests.iter().any(|it| it.code.as_deref() == Some(code));
        let throttled = |is_upgrade: bool| {
            requests.iter().any(|line| {
                line.decision == Decision::Throttled
                    && (line.call == Some(CallKind::Upgrade)) == is_upgrade
            })
        };
        match (self.knob, self.value) {
            ("newest_answer", "4053") => answered("DCS.4053"),
            ("newest_answer", "odd") => answered("DCS.4990"),
            ("duplicate", "4116") => answered("DCS.4116"),
            ("duplicate", "4026") => answered("DCS.4026"),
            ("duplicate", "4017") => answered("DCS.4017"),
            ("not_enabled", "403") => answered("DCS.2003"),
            ("not_enabled", "400") => answered("DCS.4999"),
            ("not_enabled", _) => answered("APIGW.0101"),
            ("upgrade_call", "absent_gateway") => is_missing("APIGW.0101"),
            ("upgrade_call", "absent_service") => is_missing("DCS.4001"),
            ("named_version", "refused") => answered("DCS.4800"),
            ("upgrade_limit", "1/2s") => throttled(true),
            ("read_limit", "4/1s") => throttled(false),
            ("paging", _) => requests.iter().any(|line| line.path.contains("offset=1000")),
            ("task_page", "1") => requests.iter().any(|line| line.path.contains("offset=1&")),
            _ => upgrades().any(|line| line.applied),
        }
    }
}

/// What others do when the instance has been looked at for the last time before our request.
fn before_the_request(what: Change) -> ChangeSpec {
    ChangeSpec { before_upgrade: Some(1), ..ChangeSpec::of(what) }
}

/// The case, what became of its targets, and whether the question was reached.
async fn run(case: Case) -> (Case, BTreeMap<TargetState, u32>, bool) {
    let what = format!("{}={}", case.knob, case.value);
    let site = Site::new(case.setup()).await;
    let mut daemon = site.start();
    let status = site
        .until_status(&mut daemon, &format!("{what}: rest, or a stop"), |status| {
            let stopped = status.projects.first().is_some_and(|each| each.stopped.is_some());
            let paused = status.campaigns.first().is_some_and(|each| !each.causes.is_empty());
            let counts = &status.campaigns.first().map(|each| each.counts.clone());
            let is_sending = counts.iter().any(|all| all.contains_key(&TargetState::Submitting));
            ((stopped || paused) && !is_sending) || crate::e2e::is_at_rest(status)
        })
        .await;
    site.stop(daemon).await;
    site.judge().await;
    let counts = status.campaigns[0].counts.clone();
    (case, counts, case.is_reached(&site.cloud.requests()))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_unknown_of_the_cloud_turned_each_way_keeps_the_rules() {
    let unknowns = knobs::ALL.iter().filter(|knob| knob.row.starts_with("unknown"));
    let cases: Vec<Case> = unknowns
        .flat_map(|knob| values(knob).into_iter().map(|value| Case { knob: knob.name, value }))
        .collect();
    assert!(cases.len() >= 30, "{} cases", cases.len());
    let runs = stream::iter(cases.into_iter().map(run));
    let ended: Vec<(Case, BTreeMap<TargetState, u32>, bool)> =
        runs.buffer_unordered(AT_ONCE).collect().await;
    for (case, counts, is_reached) in ended {
        let what = format!("{}={}", case.knob, case.value);
        println!("{what}: {counts:?}");
        assert!(is_reached, "{what}: the cloud was never asked");
        assert_eq!(counts, BTreeMap::from([(case.ends(), TARGETS as u32)]), "{what}");
    }
}
