//! Everything that can happen does, in some of fifteen hundred lives: every fault, every position of
//! every knob, every act, a death at every boundary with every kind of request at stake, every
//! event and every transition. What never occurs is no test.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use refit::engine::planted::Planted;
use refit::engine::{Fact, TargetState};
use refit::model::TargetId;
use refit::rehearse::{ACT_KINDS, Boundary, Host, Met, REQUEST_KINDS};
use refit::sim::world::{Decision, Outcome, knobs};

use crate::simulation::faults::KNOBS;
use crate::simulation::{Mode, live};

const LIVES: u64 = 1_500;

/// Knobs of the host over HTTP: bytes, connections, IAM, the metadata address.
const ELSEWHERE: [&str; 13] = [
    "named_version",
    "types",
    "empty_body",
    "metadata_token",
    "agency_life",
    "slow_loris",
    "oversize",
    "redirects",
    "close_idle",
    "token_life",
    "iam_down",
    // Drawn apart from the others.
    "others",
    "upgrade_call",
];

/// Events that no life leads to; each has a test of its own.
const NEVER: [&str; 5] = [
    // No host of these lives forecasts.
    "forecast_late",
    "forecast_in_time",
    // A client's patience ends long before `observe_for` does: no answer comes so late.
    "evidence_late",
    // More than fifty windows pass unused only in weeks of downtime.
    "windows_missed",
    // The virtual host answers nothing that makes no sense.
    "anomaly",
];

#[derive(Default)]
struct Seen {
    met: Met,
    outcomes: BTreeSet<Outcome>,
    knobs: BTreeSet<(&'static str, String)>,
    events: BTreeSet<&'static str>,
    transitions: BTreeSet<(TargetState, TargetState)>,
}

impl Seen {
    fn add(&mut self, host: &Host) {
        let met = host.met();
        self.met.decisions.extend(&met.decisions);
        self.met.crashes.extend(&met.crashes);
        self.met.acts.extend(&met.acts);
        for (_, _, truth) in host.world().truths() {
            self.outcomes.extend(truth.applied.iter().map(|applied| applied.outcome));
        }
        for knob in knobs::ALL {
            self.knobs.insert((knob.name, host.world().knobs().value(knob)));
        }
        let mut states: BTreeMap<TargetId, TargetState> = BTreeMap::new();
        for event in host.store().ledger() {
            self.events.insert(event.fact.name());
            let (Some(target), Some(to)) = (event.target(), event.state) else { continue };
            if let Some(from) = states.insert(target, to)
                && from != to
            {
                self.transitions.insert((from, to));
            }
        }
    }

    /// What never happened, one line each.
    fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        let mut want = |what: String, is_seen: bool| {
            if !is_seen {
                missing.push(what);
            }
        };
        for decision in Decision::ALL {
            let is_seen = |is_submit| {
                self.met
                    .decisions
                    .iter()
                    .any(|(call, met)| *met == decision && (*call == "submit") == is_submit)
            };
            want(format!("an upgrade call met by {decision:?}"), is_seen(true));
            let is_for_reads = !matches!(
                decision,
                Decision::ApplyThen500
                    | Decision::ApplyThenDrop
                    | Decision::NoTaskId
                    | Decision::BadTaskId
            );
            want(format!("a read met by {decision:?}"), !is_for_reads || is_seen(false));
        }
        for boundary in Boundary::ALL {
            let answered = ["submit", "read", "renew"];
            let kinds: &[&str] = match boundary {
                Boundary::BeforeDecide => &answered,
                _ => &REQUEST_KINDS,
            };
            for kind in kinds {
                let is_seen = self.met.crashes.contains(&(boundary, *kind));
                want(format!("a death {boundary:?} with {kind} at stake"), is_seen);
            }
        }
        for act in ACT_KINDS {
            want(format!("the act {act}"), self.met.acts.contains(act));
        }
        for outcome in Outcome::ALL {
            want(format!("the outcome {outcome:?}"), self.outcomes.contains(&outcome));
        }
        for (name, values) in KNOBS {
            for value in values {
                let is_seen = self.knobs.iter().any(|(knob, at)| *knob == name && at == value);
                want(format!("the knob {name} at {value}"), is_seen);
            }
        }
        for name in Fact::NAMES.iter().filter(|name| !NEVER.contains(name)) {
            want(format!("the event {name}"), self.events.contains(name));
        }
        for (from, to) in transitions() {
            let is_seen = self.transitions.contains(&(from, to));
            want(format!("the transition {from} to {to}"), is_seen);
        }
        missing
    }
}

/// Every pair of states between which some event leads.
fn transitions() -> Vec<(TargetState, TargetState)> {
    use TargetState::{
        Cancelled, Failed, Pending, Running, Skipped, Submitting, Succeeded, Uncertain, Verifying,
    };
    let from = [
        (Pending, vec![Submitting, Failed, Skipped, Cancelled]),
        (Submitting, vec![Pending, Running, Uncertain, Verifying, Failed]),
        (Uncertain, vec![Pending, Running, Verifying, Failed]),
        (Running, vec![Verifying, Succeeded, Failed]),
        // To skipped only where the cloud calls current what its own versions do not.
        (Verifying, vec![Succeeded, Failed]),
        (Failed, vec![Pending]),
        (Skipped, vec![Pending]),
        (Cancelled, vec![]),
        (Succeeded, vec![]),
    ];
    from.into_iter().flat_map(|(from, to)| to.into_iter().map(move |to| (from, to))).collect()
}

#[test]
fn fifteen_hundred_lives_meet_everything_there_is() {
    let (seen, next) = (Mutex::new(Seen::default()), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= LIVES {
                        return;
                    }
                    let mode = Mode::ALL[seed as usize % 2];
                    let life = live(seed, mode, Planted::default());
                    seen.lock().expect("no life panics").add(&life.host);
                }
            });
        }
    });
    let seen = seen.into_inner().expect("no life panics");
    let missing = seen.missing();
    assert!(missing.is_empty(), "never seen:\n{}", missing.join("\n"));
    for (from, to) in &seen.transitions {
        let is_known = transitions().contains(&(*from, *to));
        assert!(is_known || *to == TargetState::Skipped, "{from} to {to} is in no table");
    }
}

#[test]
fn every_knob_is_drawn_or_belongs_to_a_network() {
    for knob in knobs::ALL {
        let is_drawn = KNOBS.iter().any(|(name, _)| *name == knob.name);
        assert!(is_drawn != ELSEWHERE.contains(&knob.name), "{}", knob.name);
    }
}
