//! `refit forecast-store`: what the daemon runs for its forecasts, in a process of its own. What the
//! store holds is played on, and printed as the daemon reads it.

use crate::exit::Exit;
use crate::rehearse::forecast::{Ask, Proviso, forecast};

use super::failure::Failure;
use super::forecast::freeze_file;
use super::source::store_failure;
use super::{Context, export, moment, settings};

/// Of each campaign so many targets are told one by one, the first to start.
const TOLD: usize = 1_000;

/// Of all processes the kernel ends this one first where memory runs out.
const OOM_SCORE: &str = "1000";

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The daemon that asks runs with it.
    #[arg(long)]
    no_starts: bool,
}

/// # Errors
/// The file or the store cannot be used.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    stand_back();
    let config = settings::load(&context.globals)?.config;
    let mut provided = freeze_file(&config.store.path);
    provided.extend(args.no_starts.then_some(Proviso::DaemonStarts));
    let rows = context.block_on(async { export::stored(context).await.map_err(store_failure) })?;
    let ask = Ask { provided, ..Ask::usual(&rows) };
    let mut made = forecast(&rows, &config.settings, moment::now(), &ask);
    made.campaigns.iter_mut().for_each(|campaign| campaign.targets.truncate(TOLD));
    context.output.json_line(&made)?;
    Ok(Exit::Done)
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
