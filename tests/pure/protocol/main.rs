//! The attempt protocol, explored whole: one process and then others in its place, messages lost
//! and late, deaths anywhere, late evidence, an operator who resolves and retries.

extern crate refit_pure as refit;

mod engine;
mod model;
#[path = "../../it/simulation/mod.rs"]
#[expect(dead_code, reason = "here only whole lives are led")]
mod simulation;

use std::collections::{BTreeSet, HashMap, VecDeque};

use stateright::{Checker, HasDiscoveries, Model};

use model::{Mistake, ONCE, Protocol, SLOT, WRITTEN, World};

/// One target, over two rounds and three processes.
const DEEP: Protocol = Protocol { targets: 1, rounds: 2, processes: 3, mistake: Mistake::None };

/// Two targets that share one slot, and two processes.
const WIDE: Protocol = Protocol { targets: 2, rounds: 1, processes: 2, mistake: Mistake::None };

/// Far fewer would mean that the model is dead, far more that it is not small.
const STATES: std::ops::Range<usize> = 1_000..2_000_000;

fn holds(name: &str, protocol: Protocol) {
    let explored = protocol.checker().spawn_bfs().join();
    println!("{name}: {} states, {} deep", explored.unique_state_count(), explored.max_depth());
    explored.assert_properties();
    assert!(STATES.contains(&explored.unique_state_count()));
}

#[test]
fn one_target_is_upgraded_once_per_round_whatever_is_lost_late_or_dies() {
    holds("one target", DEEP);
}

#[test]
fn two_targets_are_upgraded_once_and_one_after_the_other() {
    holds("two targets", WIDE);
}

/// The shortest way to what the mistake leads to.
fn is_found(mistake: Mistake, property: &'static str) {
    for protocol in [DEEP, WIDE] {
        let until = HasDiscoveries::AllOf(BTreeSet::from([property]));
        let checker = Protocol { mistake, ..protocol }.checker().finish_when(until);
        let explored = checker.spawn_bfs().join();
        if let Some(path) = explored.discovery(property) {
            println!("{mistake:?}: not {property:?} after {:?}", path.into_actions());
            return;
        }
    }
    panic!("{mistake:?} is not found");
}

#[test]
fn a_resend_without_looks_is_found() {
    is_found(Mistake::ResendWithoutLooks, ONCE);
}

#[test]
fn a_send_before_its_commit_is_found() {
    is_found(Mistake::SendBeforeCommit, WRITTEN);
    is_found(Mistake::SendBeforeCommit, ONCE);
}

#[test]
fn a_ticket_that_a_dead_process_left_is_found() {
    is_found(Mistake::TicketOfTheDead, ONCE);
}

#[test]
fn a_single_clean_look_is_found() {
    is_found(Mistake::FirstCleanLook, ONCE);
}

#[test]
fn a_slot_freed_by_time_is_found() {
    is_found(Mistake::SlotByTime, SLOT);
}

/// Every state, and the places of those it leads to.
fn graph(protocol: &Protocol) -> (Vec<World>, Vec<Vec<usize>>) {
    let mut worlds = protocol.init_states();
    let mut places: HashMap<World, usize> = HashMap::from([(worlds[0].clone(), 0)]);
    let mut next: Vec<Vec<usize>> = Vec::new();
    while next.len() < worlds.len() {
        let steps = protocol.next_steps(&worlds[next.len()]);
        let leads_to = steps.into_iter().map(|(_, world)| {
            *places.entry(world).or_insert_with_key(|world| {
                worlds.push(world.clone());
                worlds.len() - 1
            })
        });
        let leads_to = leads_to.collect();
        next.push(leads_to);
    }
    (worlds, next)
}

/// From each of them an end can be reached: nothing hangs for ever, and nothing needs more than an
/// operator.
#[test]
fn from_every_state_every_target_can_come_to_its_end() {
    for protocol in [DEEP, WIDE] {
        let (worlds, next) = graph(&protocol);
        let mut before: Vec<Vec<usize>> = vec![Vec::new(); worlds.len()];
        for (place, all) in next.iter().enumerate() {
            all.iter().for_each(|later| before[*later].push(place));
        }
        let ended = |world: &World| world.targets.iter().all(|it| it.row.state.is_terminal());
        let mut reach: Vec<bool> = worlds.iter().map(ended).collect();
        let mut queue: VecDeque<usize> = (0..worlds.len()).filter(|at| reach[*at]).collect();
        while let Some(place) = queue.pop_front() {
            for &earlier in &before[place] {
                if !std::mem::replace(&mut reach[earlier], true) {
                    queue.push_back(earlier);
                }
            }
        }
        let stuck = reach.iter().position(|reaches| !reaches);
        assert!(stuck.is_none(), "no end from {:#?}", worlds[stuck.unwrap_or_default()]);
    }
}
