//! S5 and S6 from the cloud's log: how much ran at once, how fast it was asked for.

use std::collections::{BTreeMap, BTreeSet};

use super::Findings;
use super::evidence::Evidence;
use crate::model::policy::{GroupKey, Rate};
use crate::model::{AttemptId, InstanceId, Millis, ProjectName, TargetId, Wall};
use crate::sim::world::TaskState;

/// Requests reach the log a little later than they were begun, one later than another.
const ARRIVAL_JITTER: Millis = Millis::from_secs(1);

pub(super) fn judge(evidence: &Evidence, findings: &mut Findings) {
    judge_tasks(evidence, findings);
    judge_targets(evidence, findings);
    judge_rates(evidence, findings);
}

/// Replays the begins and ends of our tasks, as the cloud saw them, against every cap.
fn judge_tasks(evidence: &Evidence, findings: &mut Findings) {
    let mut changes: Vec<(Wall, bool, u64, TargetId)> = evidence
        .tasks()
        .filter_map(|task| {
            let attempt: AttemptId = task.attempt.as_deref()?.parse().ok()?;
            let begins = task.state == TaskState::Open;
            Some((task.at, begins, task.seq, attempt.target))
        })
        .collect();
    // An end and a begin in one millisecond: the end first.
    changes.sort();
    let mut usage = Usage::new(evidence, findings);
    for (at, begins, _, target) in changes {
        usage.count(&target, begins, at);
    }
}

/// The same by the states in the ledger: a slot is taken before the cloud knows of it, and kept
/// until the version is proven.
fn judge_targets(evidence: &Evidence, findings: &mut Findings) {
    let mut in_flight: BTreeSet<TargetId> = BTreeSet::new();
    let mut usage = Usage::new(evidence, findings);
    for event in &evidence.ledger {
        let (Some(target), Some(state)) = (event.target(), event.state) else { continue };
        let begins = state.is_in_flight();
        let is_news =
            if begins { in_flight.insert(target.clone()) } else { in_flight.remove(&target) };
        if is_news {
            usage.count(&target, begins, event.at);
        }
    }
}

/// How much of each cap is used.
struct Usage<'a> {
    evidence: &'a Evidence,
    findings: &'a mut Findings,
    used: BTreeMap<Cap, u32>,
}

impl<'a> Usage<'a> {
    fn new(evidence: &'a Evidence, findings: &'a mut Findings) -> Usage<'a> {
        Usage { evidence, findings, used: BTreeMap::new() }
    }

    fn count(&mut self, target: &TargetId, begins: bool, at: Wall) {
        for (cap, limit) in caps_of(self.evidence, target) {
            let count = self.used.entry(cap.clone()).or_default();
            *count = if begins { *count + 1 } else { count.saturating_sub(1) };
            let count = *count;
            self.findings.expect(5, !begins || count <= limit, || {
                format!("{cap:?}: {count} of {limit} in flight at {}", at.rfc3339())
            });
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Cap {
    Campaign(String),
    Project(String),
    Group(String, String),
}

fn caps_of(evidence: &Evidence, target: &TargetId) -> Vec<(Cap, u32)> {
    let mut caps = Vec::new();
    if let Some(policy) = evidence.settings.projects.get(&target.project) {
        caps.push((Cap::Project(target.project.to_string()), policy.max_in_flight));
    }
    let Some(policy) = evidence.settings.campaigns.get(&target.campaign) else { return caps };
    let campaign = target.campaign.to_string();
    caps.push((Cap::Campaign(campaign.clone()), policy.max_in_flight));
    let labels = evidence
        .rows
        .instances
        .iter()
        .find(|row| row.project == target.project && row.instance == target.instance);
    let Some(labels) = labels else { return caps };
    for limit in &policy.max_unavailable {
        let groups: Vec<String> = match &limit.per {
            GroupKey::Tag(key) => {
                labels.tags.get(key).map(|value| format!("{key}={value}")).into_iter().collect()
            }
            GroupKey::Zone => labels.zones.iter().map(|zone| format!("zone {zone}")).collect(),
            GroupKey::Project => vec![format!("project {}", target.project)],
        };
        caps.extend(
            groups.into_iter().map(|group| (Cap::Group(campaign.clone(), group), limit.limit)),
        );
    }
    caps
}

fn judge_rates(evidence: &Evidence, findings: &mut Findings) {
    let (mut starts, mut reads): (Arrivals, Arrivals) = Default::default();
    for line in evidence.requests().filter(|line| line.daemon.is_some()) {
        let project = line.project.as_deref().and_then(|id| evidence.project_named(id));
        let (Some(project), Some(call)) = (project, line.call) else { continue };
        let arrivals = if call.is_read() { &mut reads } else { &mut starts };
        if call.is_read() || line.attempt.is_some() {
            arrivals.entry(project.clone()).or_default().push((line.t_wall, line.instance.clone()));
        }
    }
    for (what, arrivals) in [("starts", starts), ("reads", reads)] {
        for (project, mut times) in arrivals {
            let policy = &evidence.settings.projects[&project];
            let rate = if what == "starts" { policy.upgrade_rate } else { policy.read_rate };
            times.sort();
            findings.look(
                6,
                exceeded(rate, &times).map(|most| {
                    format!("project {project}: {most} {what} more than {rate:?} allows")
                }),
            );
        }
    }
}

type Arrivals = BTreeMap<ProjectName, Vec<(Wall, Option<InstanceId>)>>;

/// By how much the arrivals exceed burst + rate·T in their worst interval, if they do.
///
/// A leaky bucket fed by the arrivals finds that interval without trying them all.
fn exceeded(rate: Rate, arrivals: &[(Wall, Option<InstanceId>)]) -> Option<u64> {
    let interval = rate.per.0 as f64 / f64::from(rate.events);
    let allowance = f64::from(rate.burst) + ARRIVAL_JITTER.0 as f64 / interval + 1.0;
    let (mut level, mut last, mut worst) = (0.0_f64, None::<Wall>, 0.0_f64);
    for (at, _) in arrivals {
        if let Some(last) = last {
            level = (level - (*at - last).0 as f64 / interval).max(0.0);
        }
        level += 1.0;
        last = Some(*at);
        worst = worst.max(level - allowance);
    }
    (worst > 1e-9).then_some(worst.ceil() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(times: &[i64]) -> Vec<(Wall, Option<InstanceId>)> {
        times.iter().map(|&ms| (Wall(ms), None)).collect()
    }

    #[test]
    fn a_burst_beyond_the_bucket_is_seen_and_one_within_is_not() {
        let rate = Rate { events: 1, per: Millis::from_secs(10), burst: 2 };
        assert_eq!(exceeded(rate, &at(&[0, 1, 10_000, 20_000])), None);
        assert!(exceeded(rate, &at(&[0, 1, 2, 3, 4])).is_some());
        assert!(exceeded(rate, &at(&[0, 1, 10_000, 10_001, 10_002, 10_003])).is_some());
    }
}
