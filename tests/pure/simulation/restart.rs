//! Restart equivalence: a process that is rebuilt from what was committed has the same future as
//! the one that died, as far as a process can know.
//!
//! 1. It holds what the store holds, and a second rebuild changes no row.
//! 2. Two processes rebuilt from the same rows, in whatever order a store gives them, do the same,
//!    byte for byte.
//! 3. Compared with a process that went on: after a death while nothing was under way the next
//!    opening begins at the same instant with as many starts. Wherever it died, the same upgrades
//!    with the same ends. Later instants may differ by moments, since a new process looks, watches
//!    and reads versions for itself, and does so at once. What it may not do earlier (end a
//!    backoff, a bake, an observation; draw a
//!    token) is judged by the rules, over restarts too, in every life.

use std::collections::BTreeMap;

use refit::engine::rows::Rows;
use refit::engine::{Engine, Fact, Input, Request};
use refit::model::answer::Answered;
use refit::model::{AnswerNote, Millis, ReadFailure, Steady, TargetId, Wall};
use refit::rehearse::{Act, Host};

use crate::simulation::{Dice, Mode, STEPS_MAX, calm_host, host, operator};

/// Inputs that two rebuilt engines are given.
const INPUTS: usize = 120;

/// Calls `look` now and then during the lives of some seeds.
fn at_many_points(mut look: impl FnMut(u64, &Host)) {
    for seed in 0..60 {
        let dice = Dice(seed);
        let mut host = host(dice, Mode::Safety);
        for turn in 0..12 {
            host.run(host.now() + operator::pause_between(dice, turn), STEPS_MAX, |_| false);
            operator::meddle(&mut host, dice, turn);
            look(seed, &host);
        }
    }
}

#[test]
fn a_rebuilt_process_holds_what_the_store_holds() {
    at_many_points(|seed, host| {
        let complaints = host.rebuild();
        assert!(complaints.is_empty(), "seed {seed} at {}: {complaints:?}", host.now().rfc3339());
    });
}

#[test]
fn two_processes_rebuilt_from_the_same_rows_do_the_same_whatever_their_order() {
    let mut compared = 0;
    at_many_points(|seed, host| {
        let now = Steady(host.now().0);
        let rows = host.store().rows();
        let once = future(host, rows.clone(), now);
        assert!(once == future(host, reversed(rows), now), "seed {seed} has two futures");
        compared += once.len();
    });
    assert!(compared > 1_000_000, "hardly anything happened: {compared} bytes");
}

fn reversed(mut rows: Rows) -> Rows {
    rows.instances.reverse();
    rows.targets.reverse();
    rows.attempts.reverse();
    rows.campaigns.reverse();
    rows.projects.reverse();
    rows.credentials.reverse();
    rows.freezes.reverse();
    rows
}

/// All steps of a process whose network is down.
fn future(host: &Host, rows: Rows, begin: Steady) -> String {
    let mut engine = Engine::restore(rows, Millis::ZERO, 1);
    let mut steps = String::new();
    let mut now = begin;
    let mut inputs = vec![Input::Restarted, Input::Settings(host.settings().clone().into())];
    for _ in 0..INPUTS {
        let input = match (inputs.pop(), engine.wake_at()) {
            (Some(input), _) => input,
            (None, Some(at)) => {
                now = now.max(at);
                Input::Tick
            }
            (None, None) => break,
        };
        let step = engine.step(now, input);
        steps.push_str(&format!("{:?}\n{:?}\n", step.events, step.requests));
        inputs.extend(step.requests.into_iter().rev().filter_map(unanswered));
    }
    steps
}

fn unanswered(request: Request) -> Option<Input> {
    let Request::Read(read) = request else { return None };
    let (answer, note) = (ReadFailure::Unreachable, AnswerNote::default());
    Some(Input::Read { id: read.id, result: Err(Answered { answer, note, server_time: None }) })
}

/// When which target started, and when which ended how; and what the cloud did.
#[derive(Debug, PartialEq)]
struct Course {
    starts: Vec<(Wall, TargetId)>,
    ends: Vec<(Wall, TargetId, String)>,
    /// Upgrades of each instance.
    applied: BTreeMap<String, usize>,
}

/// A calm life with a death at each of the instants.
fn course(dice: Dice, deaths: &[Wall]) -> Course {
    let mut host = calm_host(dice);
    for &at in deaths {
        host.arrange(at, Act::Crash { back_after: Millis::ZERO });
    }
    let end = host.now() + Millis::from_hours(7 * 24);
    while host.now() < end {
        operator::approve_all(&mut host);
        host.run(end.min(host.now() + Millis::from_hours(1)), STEPS_MAX, |_| false);
    }
    let truths = host.world().truths();
    let applied = truths.map(|(_, instance, truth)| (instance.into(), truth.applied.len()));
    let mut course = Course { starts: Vec::new(), ends: Vec::new(), applied: applied.collect() };
    for event in host.store().ledger() {
        let Some(target) = event.target() else { continue };
        match &event.fact {
            Fact::Intent { .. } => course.starts.push((event.at, target)),
            _ if event.state.is_some_and(|state| state.is_terminal()) => {
                course.ends.push((event.at, target, event.fact.name().into()));
            }
            _ => {}
        }
    }
    course
}

/// Two hours before a start that comes after five hours of rest.
fn quiet_point(course: &Course) -> Option<Wall> {
    let happened = course.ends.iter().map(|end| end.0);
    let mut all: Vec<Wall> = happened.chain(course.starts.iter().map(|start| start.0)).collect();
    all.sort();
    let mut pairs = all.windows(2);
    let rest = pairs.find(|pair| pair[1] - pair[0] > Millis::from_hours(5))?;
    Some(rest[1] - Millis::from_hours(2))
}

#[test]
fn after_a_restart_while_nothing_is_under_way_the_next_opening_begins_alike() {
    let mut compared = 0;
    for dice in (0..120).map(Dice) {
        let without = course(dice, &[]);
        let Some(death) = quiet_point(&without) else { continue };
        let with = course(dice, &[death]);
        let note = format!("seed {} with a death at {}", dice.0, death.rfc3339());
        assert_eq!(next_starts(&with, death), next_starts(&without, death), "{note}");
        assert_eq!(ends(&with), ends(&without), "{note}");
        compared += 1;
    }
    assert!(compared >= 20, "only {compared} lives have a quiet point");
}

/// The first instant after `death` at which there are starts, and how many there are. Which of the
/// targets in turn they are depends on whose reads are answered first, and a new process has more
/// of them to make.
fn next_starts(course: &Course, death: Wall) -> Option<(Wall, usize)> {
    let after = || course.starts.iter().map(|start| start.0).filter(|at| *at >= death);
    let first = after().min()?;
    Some((first, after().filter(|at| *at == first).count()))
}

#[test]
fn restarts_anywhere_change_neither_what_is_upgraded_nor_how_it_ends() {
    for dice in (0..60).map(Dice) {
        let without = course(dice, &[]);
        let Some((first, _)) = without.starts.first() else { continue };
        let deaths: Vec<Wall> = (0..3)
            .map(|number| *first + dice.seconds(&format!("death {number}"), -600, 4 * 3_600))
            .collect();
        let with = course(dice, &deaths);
        assert_eq!(with.applied, without.applied, "seed {}", dice.0);
        assert_eq!(ends(&with), ends(&without), "seed {}", dice.0);
    }
}

fn ends(course: &Course) -> BTreeMap<&TargetId, &str> {
    course.ends.iter().map(|(_, target, how)| (target, how.as_str())).collect()
}
