//! From whatever a simulated life has left in the store, a forecast can be made: no rule is broken in
//! it, and every target's end is told, or why there is none.

use std::collections::BTreeSet;

use refit::engine::{Fact, TargetState};
use refit::model::{Millis, Wall, draw};
use refit::rehearse::forecast::{Ask, forecast};
use refit::rehearse::{Durations, Host};
use refit::sim::world::SpanRange;

use crate::simulation::{Dice, Mode, STEPS_MAX, host};

const TEN_MINUTES: SpanRange = SpanRange { least: Millis(600_000), most: Millis(600_000) };

/// Faults, crashes, operators and clock steps, cut short anywhere: the rows are whatever they are.
fn cut_anywhere(seed: u64) -> Host {
    let after = Millis::from_mins((draw::unit(seed, "cut", "forecast", 0) * 3_000.0) as i64);
    let mut host = host(Dice(seed), Mode::Safety);
    host.run(host.now() + after, STEPS_MAX, |_| false);
    // Some states pass too quickly to be met by chance.
    let until = host.now() + Millis::from_hours(24);
    let passes = |host: &Host| match (seed % 3, host.store().ledger().last()) {
        (1, Some(last)) => matches!(last.fact, Fact::BecameUncertain { .. }),
        (2, Some(last)) => matches!(last.fact, Fact::Settling { .. }),
        _ => true,
    };
    host.run(until, STEPS_MAX, passes);
    host
}

/// Forecasts as a process does whose clock shows `wall`: every target's end is told, or why not.
fn tells_of_everything(host: &Host, wall: Wall, note: &str) {
    let durations = Durations { declared: Some(TEN_MINUTES), ..Durations::default() };
    let lasts = Millis::from_hours(24 * 20);
    let ask = Ask { seeds: 1, lasts, durations, ..Ask::default() };
    let forecast = forecast(&host.store().rows(), host.settings(), wall, &ask);
    assert!(forecast.broken.is_empty(), "{note}: {:#?}", forecast.broken);
    for target in forecast.campaigns.iter().flat_map(|campaign| &campaign.targets) {
        assert!(target.ends.p50.is_some() || target.never.is_some(), "{note}: {target:?}");
    }
}

#[test]
fn every_state_that_a_run_passes_can_be_forecast_from() {
    let mut states = BTreeSet::new();
    for seed in 1..=36 {
        let host = cut_anywhere(seed);
        let targets = host.store().targets();
        states.extend(targets.map(|row| (row.state, row.needs_operator.is_some())));
        tells_of_everything(&host, host.wall(), &format!("seed {seed}"));
    }
    let met = [
        TargetState::Pending,
        TargetState::Uncertain,
        TargetState::Running,
        TargetState::Verifying,
    ];
    for state in met {
        assert!(states.contains(&(state, false)), "{state}: {states:?}");
    }
}

#[test]
fn a_clock_that_was_set_back_or_forward_leaves_a_forecast_sound() {
    for seed in 1..=36 {
        let host = cut_anywhere(seed);
        for minutes in [-180, -14, 180] {
            let wall = host.wall() + Millis::from_mins(minutes);
            tells_of_everything(&host, wall, &format!("seed {seed}, {minutes} minutes off"));
        }
    }
}
