//! What one step of the engine costs, in mean and at worst.

use super::load::{Campaign, Load};
use super::{Figure, Show};
use crate::cli::failure::Failure;
use crate::model::Millis;

/// Group sizes: none, and a tag value per ten instances with one unavailable at most.
const GROUPS: [(usize, &str); 2] = [(0, "no groups"), (10, "groups of 10, one unavailable each")];

/// # Errors
/// A figure cannot be shown.
pub fn measure(full: bool, show: Show<'_>) -> Result<(), Failure> {
    let mut sizes = vec![(100_000, "≤ 3 µs mean, no step over 5 ms")];
    if full {
        sizes.push((1_000_000, "≤ 5 µs mean, no step over 5 ms"));
    }
    for (targets, budget) in sizes {
        for (group_size, groups) in GROUPS {
            show(steps(targets, group_size, groups, budget))?;
        }
    }
    Ok(())
}

fn steps(targets: usize, group_size: usize, groups: &str, budget: &'static str) -> Figure {
    // Ten times the targets in tasks a tenth as long: the campaign, and so the number of its
    // sweeps of the whole list, stays the same.
    let scale = (targets / 100_000) as u32;
    let mut campaign = Campaign::begin(Load {
        targets,
        max_in_flight: 900,
        starts_per_minute: 600 * scale,
        burst: 100,
        task: Millis(Millis::from_mins(10).0 / i64::from(scale)),
        settle: Millis(Millis::from_mins(2).0 / i64::from(scale)),
        poll_interval: Millis::from_secs(15),
        group_size,
    });
    campaign.run();
    let measured = &campaign.measured;
    let mean = measured.total.as_secs_f64() * 1e6 / measured.steps as f64;
    Figure {
        what: format!("engine step, {targets} targets, {groups}"),
        measured: format!(
            "{mean:.2} µs mean, longest {:.2} ms ({})",
            measured.longest.as_secs_f64() * 1e3,
            measured.longest_input,
        ),
        budget,
        how: format!(
            "{} steps of a whole campaign in virtual time, {} of {targets} succeeded, inventory \
             pages apart; longest by processor time",
            measured.steps, measured.succeeded,
        ),
    }
}
