//! How long after an opening the first start leaves.
//!
//! Every two seconds a window opens for a second; one target may be in flight, and its upgrade
//! outlasts the window, so that each opening has one start. Taken at the cloud, so the way there
//! and a new connection are in the figure.

use std::time::Duration;

use futures_util::future::try_join_all;

use crate::cli::failure::Failure;
use crate::daemon::Starts;
use crate::engine::TargetState;
use crate::model::{Millis, Wall};
use crate::sim::log::Keep;
use crate::sim::world::CallKind;

use super::Figure;
use super::stage::{Play, Stage};

const DAEMONS: i64 = 6;
const OPENINGS_EACH: usize = 17;

/// Between two openings of one daemon.
const PERIOD: Millis = Millis::from_secs(2);

/// Longer than the window, and over well before the next one.
const TAKES: Millis = Millis(1_100);

const WITHIN: Duration = Duration::from_secs(120);

/// # Errors
/// The machine does not let it run.
pub async fn measure() -> Result<Figure, Failure> {
    let mut waits: Vec<Millis> =
        try_join_all((0..DAEMONS).map(|number| waits(number % 2))).await?.concat();
    waits.sort_unstable();
    let at = |share: f64| waits[((waits.len() - 1) as f64 * share).round() as usize].0;
    Ok(Figure {
        what: "first start after an opening".into(),
        measured: format!("p99 {} ms (median {} ms, longest {} ms)", at(0.99), at(0.5), at(1.0)),
        budget: "≤ 100 ms",
        how: format!(
            "{} openings of {DAEMONS} daemons at once; arrival of the POST at the cloud − opening",
            waits.len(),
        ),
    })
}

/// Of one daemon whose windows open on even (0) or odd (1) seconds.
async fn waits(phase: i64) -> Result<Vec<Millis>, Failure> {
    let play = Play {
        takes: TAKES,
        window: format!("cron = \"{phase}-59/2 * * * * *\"\nduration = \"1s\"\ncutoff = \"0s\""),
        max_in_flight: 1,
        poll_interval: Millis(100),
        ..Play::fast(OPENINGS_EACH)
    };
    let stage = Stage::set(&play, Keep::Lines).await?;
    let turning = stage.turn(Starts::On).await?;
    turning
        .until("upgraded", WITHIN, |campaign| {
            let succeeded = campaign.counts.get(&TargetState::Succeeded);
            succeeded.is_some_and(|&count| count as usize >= OPENINGS_EACH)
        })
        .await?;
    turning.end().await?;
    let mut waits: Vec<(i64, Millis)> = stage
        .requests()
        .iter()
        .filter(|line| line.call == Some(CallKind::Upgrade))
        .map(|line| since_opening(line.t_wall, phase))
        .collect();
    // Only the first of an opening counts, should there ever be two.
    waits.dedup_by_key(|(opening, _)| *opening);
    // The daemon may have started in the middle of the first window.
    Ok(waits.into_iter().skip(1).map(|(_, wait)| wait).collect())
}

/// Which opening, and how long after it.
fn since_opening(at: Wall, phase: i64) -> (i64, Millis) {
    let since_first = at.0 - phase * 1_000;
    (since_first.div_euclid(PERIOD.0), Millis(since_first.rem_euclid(PERIOD.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_counts_from_the_second_of_its_phase() {
        assert_eq!(since_opening(Wall(10_007), 0), (5, Millis(7)));
        assert_eq!(since_opening(Wall(11_007), 1), (5, Millis(7)));
        assert_eq!(since_opening(Wall(11_007), 0), (5, Millis(1_007)));
    }
}
