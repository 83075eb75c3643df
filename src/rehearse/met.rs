//! What a run has met: for tests that ask whether everything that can go wrong did.

use std::collections::BTreeSet;

use super::agenda::Act;
use super::mischief::Boundary;
use crate::engine::{Input, Request, Step};
use crate::model::ReadCall;
use crate::sim::world::Decision;

/// Words, not counts: what never happened is what matters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Met {
    /// What the cloud did with which kind of call.
    pub decisions: BTreeSet<(&'static str, Decision)>,
    /// Where a process died, and with what kind of request at stake.
    pub crashes: BTreeSet<(Boundary, &'static str)>,
    pub acts: BTreeSet<&'static str>,
}

/// The kinds of requests that may be at stake where a process dies.
pub const REQUEST_KINDS: [&str; 7] =
    ["submit", "inventory", "instance", "versions", "instance_tasks", "task_centre", "renew"];

/// Every kind of act.
pub const ACT_KINDS: [&str; 14] = [
    "order",
    "settings",
    "clock_step",
    "store_fails",
    "store_works",
    "freeze_file",
    "network_down",
    "ownership",
    "stop",
    "crash",
    "change",
    "heal",
    "copy_store",
    "restore_store",
];

pub(super) fn call_kind(call: &ReadCall) -> &'static str {
    match call {
        ReadCall::InventoryPage { .. } => "inventory",
        ReadCall::Instance { .. } => "instance",
        ReadCall::Versions { .. } => "versions",
        ReadCall::InstanceTasks { .. } => "instance_tasks",
        ReadCall::TaskCentre { .. } => "task_centre",
    }
}

/// The kinds of the requests that a step wants sent.
pub(super) fn request_kinds(step: &Step) -> Vec<&'static str> {
    let kind = |request: &Request| match request {
        Request::Submit(_) => "submit",
        Request::Read(read) => call_kind(&read.call),
        Request::Renew { .. } => "renew",
    };
    step.requests.iter().map(kind).collect()
}

/// The kind of the request that an input answers. An answer to a read does not tell which it was.
pub(super) fn answered_kind(input: &Input) -> Option<&'static str> {
    match input {
        Input::Submitted { .. } => Some("submit"),
        Input::Read { .. } => Some("read"),
        Input::Renewed { .. } => Some("renew"),
        _ => None,
    }
}

pub(super) fn act_kind(act: &Act) -> Option<&'static str> {
    use crate::engine::input::{FreezeFile, StoreHealth};
    use crate::rehearse::Network;
    Some(match act {
        Act::Order(_) => "order",
        Act::Settings(_) => "settings",
        Act::ClockStep(_) => "clock_step",
        Act::Store(StoreHealth::Failing) => "store_fails",
        Act::Store(StoreHealth::Working) => "store_works",
        Act::FreezeFile(FreezeFile::Present(_)) => "freeze_file",
        Act::Network(Network::Down) => "network_down",
        Act::FreezeFile(FreezeFile::Absent) | Act::Network(Network::Up) => return None,
        Act::Ownership(_) => "ownership",
        Act::Stop { .. } => "stop",
        Act::Crash { .. } => "crash",
        Act::Change { .. } => "change",
        Act::Heal => "heal",
        Act::CopyStore => "copy_store",
        Act::RestoreStore { .. } => "restore_store",
    })
}
