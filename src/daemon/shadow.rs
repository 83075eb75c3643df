//! Shadow mode in words: where nothing is sent, whoever asks is told before the window opens.
//!
//! A hold names what comes first, and outside of a window that is the window. Without these words
//! `status` and `why` would promise a start that never comes.

use crate::engine::view::Why;
use crate::engine::{HoldKind, TargetState};
use crate::model::Settings;

use super::Starts;

/// Why this daemon starts nothing, or nothing in some projects; empty where it starts upgrades.
pub(super) fn shadow(settings: &Settings, starts: Starts) -> Option<String> {
    match starts {
        Starts::Off => return Some("shadow mode: the daemon runs with --no-starts".to_owned()),
        // It answers one plan, which tells what `refit run` would start.
        Starts::Planning => return None,
        Starts::On => {}
    }
    let off = settings.projects.iter().filter(|(_, project)| project.starts == Starts::Off);
    let names: Vec<&str> = off.map(|(name, _)| name.as_str()).collect();
    let noun = if names.len() == 1 { "project" } else { "projects" };
    let names = names.join(", ");
    (!names.is_empty()).then(|| format!("in {noun} {names}: shadow mode, by starts = \"off\""))
}

/// The engine's answer, without the promise of a start where this process starts nothing.
pub(super) fn shade(mut why: Why, settings: &Settings) -> Why {
    let project = settings.projects.get(&why.target.project);
    let is_off = project.is_some_and(|project| project.starts == Starts::Off);
    if is_off
        && why.state == TargetState::Pending
        && let Some(hold) = &mut why.hold
        && hold.kind != HoldKind::ProjectStopped
    {
        hold.detail = format!("{}; and then shadow mode", hold.detail);
        hold.earliest = None;
    }
    why
}
