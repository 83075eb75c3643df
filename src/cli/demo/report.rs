//! What came out of the run, as data: counts, durations, what became of each fault, what is not
//! done and why, what it cost in calls, and the judged rules.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use serde::Serialize;

use crate::engine::rows::{AttemptOutcome, TargetRow};
use crate::engine::{Event, Fact, TargetState, narrate};
use crate::judge::{Evidence, Judgement, Verdict};
use crate::model::{AttemptId, CampaignName, Millis, TargetId};
use crate::sim::log::{LogLine, RequestLine};
use crate::sim::world::{CallKind, Decision};

use super::operator::Ordered;
use super::play::{How, Played};

#[derive(Debug, Serialize)]
pub struct Report {
    pub seed: u64,
    pub took_ms: u64,
    /// From the window's opening to the last end of an upgrade.
    pub makespan_ms: i64,
    pub ended: &'static str,
    pub campaigns: Vec<CampaignReport>,
    /// From the intent to the proof, of the upgrades that succeeded.
    pub upgrade_ms: Spread,
    pub faults: Vec<FaultReport>,
    pub orders: Vec<Ordered>,
    pub not_done: Vec<NotDone>,
    pub calls: Calls,
    /// Filled in once the report itself has been judged.
    pub rules: Option<Rules>,
}

#[derive(Debug, Serialize)]
pub struct CampaignReport {
    pub name: CampaignName,
    pub state: String,
    pub counts: BTreeMap<TargetState, usize>,
    /// From its first intent to its last end of an upgrade.
    pub makespan_ms: i64,
}

#[derive(Debug, Default, Serialize)]
pub struct Spread {
    pub least: i64,
    pub median: i64,
    pub most: i64,
}

/// One kind of answer to the upgrade request, and what followed from it.
#[derive(Debug, Default, Serialize)]
pub struct FaultReport {
    pub cause: &'static str,
    pub answers: usize,
    /// Found to have started: never sent again.
    pub adopted: usize,
    /// Not applied, as looks or the answer itself showed, and sent again.
    pub sent_again: usize,
    pub other: usize,
}

/// Targets that did not succeed, by reason.
#[derive(Debug, Serialize)]
pub struct NotDone {
    pub campaign: CampaignName,
    pub state: TargetState,
    pub reason: String,
    pub names: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct Calls {
    /// IAM excluded, planning included.
    pub all: usize,
    pub upgrades: usize,
    pub succeeded: usize,
    pub per_succeeded: f64,
}

#[derive(Debug, Serialize)]
pub struct Rules {
    pub summary: String,
    /// Facts that each held rule was judged by.
    pub held: BTreeMap<String, usize>,
    pub broken: BTreeMap<String, Vec<String>>,
    pub not_judged: BTreeMap<String, &'static str>,
}

impl Report {
    pub fn new(seed: u64, played: &Played) -> Report {
        let evidence = &played.evidence;
        let ends = || evidence.ledger.iter().filter(|event| is_end_of_upgrade(event));
        let last_end = ends().map(|event| event.at).max().unwrap_or(played.window_opened);
        let took = ends().filter_map(|event| match event.fact {
            Fact::Succeeded { took, .. } => Some(took.0),
            _ => None,
        });
        Report {
            seed,
            took_ms: u64::try_from(played.took.as_millis()).unwrap_or(u64::MAX),
            makespan_ms: (last_end - played.window_opened).max(Millis::ZERO).0,
            ended: match played.how {
                How::AtRest if played.open.is_empty() => "every target had ended",
                How::AtRest => "what is left waits for longer than a demonstration lasts",
                How::OutOfPatience => "a demonstration takes less than a minute",
                How::Interrupted => "interrupted",
            },
            campaigns: campaigns(evidence),
            upgrade_ms: spread(took.collect()),
            faults: faults(evidence),
            orders: played.orders.clone(),
            not_done: not_done(played),
            calls: calls(evidence),
            rules: None,
        }
    }
}

impl Rules {
    pub fn new(verdict: &Verdict) -> Rules {
        let mut rules = Rules {
            summary: verdict.summary(),
            held: BTreeMap::new(),
            broken: BTreeMap::new(),
            not_judged: BTreeMap::new(),
        };
        for (rule, judgement) in &verdict.0 {
            let name = rule.to_string();
            match judgement {
                Judgement::Held { facts } => drop(rules.held.insert(name, *facts)),
                Judgement::Broken(breaches) => drop(rules.broken.insert(name, breaches.clone())),
                Judgement::NotJudged(why) => drop(rules.not_judged.insert(name, why)),
            }
        }
        rules
    }
}

fn is_end_of_upgrade(event: &Event) -> bool {
    matches!(event.fact, Fact::Succeeded { .. } | Fact::Failed { .. })
}

fn campaigns(evidence: &Evidence) -> Vec<CampaignReport> {
    let rows = evidence.rows.campaigns.iter();
    rows.map(|row| {
        let of_campaign = |target: &&TargetRow| target.id.campaign == row.name;
        let mut counts = BTreeMap::new();
        for target in evidence.rows.targets.iter().filter(of_campaign) {
            *counts.entry(target.state).or_default() += 1;
        }
        let events =
            || evidence.ledger.iter().filter(|event| event.campaign.as_ref() == Some(&row.name));
        let first = events().find(|event| matches!(event.fact, Fact::Intent { .. }));
        let last = events().rfind(|event| is_end_of_upgrade(event));
        let makespan_ms = first.zip(last).map_or(0, |(first, last)| (last.at - first.at).0);
        CampaignReport { name: row.name.clone(), state: row.state.to_string(), counts, makespan_ms }
    })
    .collect()
}

fn spread(mut lengths: Vec<i64>) -> Spread {
    lengths.sort_unstable();
    match (lengths.first(), lengths.get(lengths.len() / 2), lengths.last()) {
        (Some(&least), Some(&median), Some(&most)) => Spread { least, median, most },
        _ => Spread::default(),
    }
}

fn faults(evidence: &Evidence) -> Vec<FaultReport> {
    let resent: BTreeSet<&AttemptId> = evidence
        .attempts
        .iter()
        .filter(|attempt| {
            evidence.attempts.iter().any(|later| {
                later.id.target == attempt.id.target
                    && later.id.round == attempt.id.round
                    && later.id.number > attempt.id.number
            })
        })
        .map(|attempt| &attempt.id)
        .collect();
    let mut reports: Vec<FaultReport> = CAUSES
        .iter()
        .map(|cause| FaultReport { cause: cause.1, ..FaultReport::default() })
        .collect();
    for line in requests(evidence).filter(|line| line.call == Some(CallKind::Upgrade)) {
        let Some(report) = cause_of(line.decision).map(|at| &mut reports[at]) else { continue };
        report.answers += 1;
        let attempt = line.attempt.as_deref().and_then(|id| id.parse::<AttemptId>().ok());
        let attempt =
            attempt.and_then(|id| evidence.attempts.iter().find(|attempt| attempt.id == id));
        match attempt {
            Some(attempt) if matches!(attempt.outcome, AttemptOutcome::Applied { .. }) => {
                report.adopted += 1;
            }
            Some(attempt) if resent.contains(&attempt.id) => report.sent_again += 1,
            _ => report.other += 1,
        }
    }
    reports.retain(|report| report.answers > 0);
    reports
}

/// What the cloud decided, in the words of the report.
const CAUSES: [(Decision, &str); 6] = [
    (Decision::Error500Before, "500, nothing had started"),
    (Decision::ApplyThen500, "500, and yet it had started"),
    (Decision::ApplyThenDrop, "answer lost, it had started"),
    (Decision::DropBeforeApply, "request lost on its way"),
    (Decision::Throttled, "429, too many requests"),
    (Decision::Rejected, "refused: conflict, busy or current"),
];

fn cause_of(decision: Decision) -> Option<usize> {
    CAUSES.iter().position(|(cause, _)| *cause == decision)
}

fn not_done(played: &Played) -> Vec<NotDone> {
    let evidence = &played.evidence;
    let mut groups: BTreeMap<(CampaignName, TargetState, String), Vec<String>> = BTreeMap::new();
    let targets = evidence.rows.targets.iter();
    for target in targets.filter(|target| target.state != TargetState::Succeeded) {
        let reason = match &target.reason {
            Some(reason) if target.state.is_terminal() => reason.to_string(),
            _ => open_reason(played, &target.id),
        };
        let key = (target.id.campaign.clone(), target.state, reason);
        groups.entry(key).or_default().push(name_of(evidence, &target.id));
    }
    let groups = groups.into_iter();
    groups
        .map(|((campaign, state, reason), mut names)| {
            names.sort();
            NotDone { campaign, state, reason, names }
        })
        .collect()
}

/// The hold of an open target, and what last happened to it.
fn open_reason(played: &Played, id: &TargetId) -> String {
    let hold = played
        .open
        .get(id)
        .map_or_else(|| "open".to_owned(), |hold| format!("{}: {}", hold.kind.word(), hold.detail));
    let mut events = played.evidence.ledger.iter();
    let last = events.rfind(|event| event.target().as_ref() == Some(id));
    match last.filter(|event| !matches!(event.fact, Fact::TargetPlanned { .. })) {
        Some(event) => format!("{hold}; last: {}", narrate::sentence(event, &TimeZone::UTC)),
        None => hold,
    }
}

fn name_of(evidence: &Evidence, id: &TargetId) -> String {
    let instances = &evidence.rows.instances;
    let row = instances.iter().find(|row| row.project == id.project && row.instance == id.instance);
    row.map_or_else(|| id.instance.to_string(), |row| row.name.to_string())
}

fn calls(evidence: &Evidence) -> Calls {
    let service = |line: &&RequestLine| {
        line.call.is_some_and(|call| !call.is_iam() && call != CallKind::Metadata)
    };
    let all = requests(evidence).filter(service).count();
    let upgrades = requests(evidence).filter(|line| line.call == Some(CallKind::Upgrade)).count();
    let targets = evidence.rows.targets.iter();
    let succeeded = targets.filter(|target| target.state == TargetState::Succeeded).count();
    Calls { all, upgrades, succeeded, per_succeeded: all as f64 / succeeded.max(1) as f64 }
}

fn requests(evidence: &Evidence) -> impl Iterator<Item = &RequestLine> {
    evidence.lines.iter().filter_map(|line| match line {
        LogLine::Request(line) => Some(line),
        LogLine::Task(_) => None,
    })
}
