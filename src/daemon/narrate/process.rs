//! Sentences of projects, credentials and the process.

use crate::engine::Fact;

use super::words::{Times, quota_word, stated, watch};

/// A project, or the credential that it uses.
pub(super) fn project(fact: &Fact, times: &Times<'_>) -> Option<String> {
    Some(match fact {
        Fact::InventorySwept { instances, sweep } => {
            format!("sweep {sweep}: {instances} instances")
        }
        Fact::ProjectStopped { why } => format!("project stopped: {why}"),
        Fact::ProjectResumed => "project resumed".into(),
        Fact::CircuitOpened { until } => {
            format!("too many unclear answers: no start before {}", times.time(*until))
        }
        Fact::CircuitClosed => "answers are clear again".into(),
        Fact::CloudUnreachable { since, cause, next_try } => format!(
            "cloud unreachable since {}: {cause}; backing off, next try {}",
            times.time(*since),
            times.time(*next_try)
        ),
        Fact::CloudReachable { after } => format!("cloud reachable again, after {after}"),
        Fact::QuotaPaused { quota, until, limit } => {
            format!("{} paused until {}{}", quota_word(*quota), times.time(*until), stated(limit))
        }
        Fact::WatchChanged { strategy, why } => format!("watches {}: {why}", watch(*strategy)),
        Fact::OwnUserLearned { user, task_name } => {
            format!("our tasks are {task_name} by user {user}")
        }
        Fact::CredentialStopped { credential, why } => {
            format!("credential {credential} stopped: {why}")
        }
        Fact::CredentialResumed { credential } => format!("credential {credential} resumed"),
        Fact::CredentialProven { credential } => format!("credential {credential} works"),
        _ => return None,
    })
}

/// The process: clock, store, freezes, ownership.
pub(super) fn process(fact: &Fact, times: &Times<'_>) -> Option<String> {
    Some(match fact {
        Fact::Restarted => "started; everything outstanding is looked at again".into(),
        Fact::SettingsLoaded { campaigns, projects } => {
            format!("settings loaded: {campaigns} campaigns, {projects} projects")
        }
        Fact::ClockStepped { offset } => {
            format!("wall clock stepped by {offset}: no start until it agrees with itself")
        }
        Fact::ClockAgreed => "wall clock agrees again".into(),
        Fact::StoreFailing => "the store cannot be written: nothing starts".into(),
        Fact::StoreWorking => "the store can be written again".into(),
        Fact::Frozen { scope, until: Some(at) } => {
            format!("{scope} frozen until {}", times.date(*at))
        }
        Fact::Frozen { scope, until: None } => format!("{scope} frozen until lifted"),
        Fact::Unfrozen { scope } => format!("{scope} no longer frozen"),
        Fact::FrozenByFile => "frozen: the file FREEZE is there".into(),
        Fact::UnfrozenByFile => "no longer frozen: the file FREEZE is gone".into(),
        Fact::OwnershipLost => "no longer the owner: nothing starts".into(),
        Fact::OwnershipGained => "owner".into(),
        Fact::Stopping => "stopping: nothing new begins".into(),
        Fact::Anomaly { what } => format!("makes no sense, ignored: {what}"),
        _ => return None,
    })
}
