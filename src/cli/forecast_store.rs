//! `refit forecast-store`: what the daemon runs for its forecasts, in a process of its own. What the
//! store holds is played on, and printed as the daemon reads it.

use crate::engine::rows::Rows;
use crate::exit::Exit;
use crate::rehearse::forecast::{Ask, forecast};

use super::failure::Failure;
use super::source::store_failure;
use super::{Context, export, moment, settings};

/// Targets that are played through, over all seeds: a fleet of a thousand twenty times, one of a
/// hundred thousand once. Some seconds of a processor either way.
const PLAYED: usize = 20_000;
const SEEDS: usize = 20;

/// Steps of one seed: many times what such a fleet needs.
const STEPS: u64 = 20_000_000;

/// Of each campaign so many targets are told one by one, the first to start.
const TOLD: usize = 1_000;

/// Of all processes the kernel ends this one first where memory runs out.
const OOM_SCORE: &str = "1000";

/// # Errors
/// The file or the store cannot be used.
pub fn run(context: &Context) -> Result<Exit, Failure> {
    stand_back();
    let settings = settings::load(&context.globals)?.config.settings;
    let rows = context.block_on(async { export::stored(context).await.map_err(store_failure) })?;
    let ask = Ask { seeds: seeds(&rows), steps: STEPS, ..Ask::default() };
    let mut made = forecast(&rows, &settings, moment::now(), &ask);
    made.campaigns.iter_mut().for_each(|campaign| campaign.targets.truncate(TOLD));
    context.output.json_line(&made)?;
    Ok(Exit::Done)
}

fn seeds(rows: &Rows) -> u64 {
    let open = rows.targets.iter().filter(|row| !row.state.is_terminal()).count();
    (PLAYED / open.max(1)).clamp(1, SEEDS) as u64
}

/// Whatever else runs on the machine goes first, and stays longest: above all the daemon itself.
/// A hardened unit may forbid even this.
fn stand_back() {
    if let Err(error) = rustix::process::setpriority_process(None, 19) {
        tracing::debug!(%error, "the priority stays as it is");
    }
    if let Err(error) = std::fs::write("/proc/self/oom_score_adj", OOM_SCORE) {
        tracing::debug!(%error, "the kernel may end another process first");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stands_back_for_the_daemon() {
        stand_back();
        let score = std::fs::read_to_string("/proc/self/oom_score_adj").unwrap();
        assert_eq!(score.trim(), OOM_SCORE);
        assert_eq!(rustix::process::getpriority_process(None).unwrap(), 19);
    }
}
