//! `refit demo`: a whole fleet upgraded against the simulated cloud, by the real daemon over real
//! HTTP, and the rules judged from what the cloud saw.
//!
//! Nothing outlives it: the store, the configuration and the secrets lie in a temporary directory.

mod files;
mod operator;
mod play;
mod progress;
mod render;
mod report;
mod scenario;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::Mutex;

use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::daemon::signals::Signals;
use crate::engine::TargetState;
use crate::exit::Exit;
use crate::judge::{self, Output};

use super::Context;
use super::failure::Failure;

use files::Files;
use play::{How, Played, broken};
use progress::Progress;
use report::{Report, Rules};
use scenario::Scenario;

/// What the daemon's log holds: more than an operator reads, since it is searched for secrets.
const LOG_LEVELS: &str = "info,refit=debug,sqlx=warn,tokio_cron_scheduler=warn";

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Decides the world, who meets which fault, and every draw of the engine.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
}

/// Plays, reports, judges.
///
/// # Errors
/// The machine does not let it; or a bug.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let files = Files::create().map_err(broken("no temporary directory"))?;
    keep_log(files.open_log().map_err(broken("no log"))?);
    tidy_after_a_bug(files.path().to_owned());
    let played = context.block_on(perform(args.seed, &files, context))?;
    conclude(args.seed, played, context)
}

async fn perform(seed: u64, files: &Files, context: &Context) -> Result<Played, Failure> {
    let stop = CancellationToken::new();
    let signals = Signals::catch().map_err(broken("no signals"))?;
    let signals = tokio::spawn(signals.stop_on_request(stop.clone()));
    let mut progress = Progress::new(&context.output);
    let played = play::play(Scenario::new(seed), seed, files, stop, &mut progress).await;
    progress.end();
    signals.abort();
    played
}

fn conclude(seed: u64, mut played: Played, context: &Context) -> Result<Exit, Failure> {
    let mut report = Report::new(seed, &played);
    let text = render::report(&report, &context.output);
    let json = serde_json::to_vec(&report)
        .map_err(|error| Failure::new(Exit::Bug, "the report cannot be written").because(&error))?;
    let arguments = std::env::args_os().collect::<Vec<_>>().join(" ".as_ref());
    played.evidence.outputs.extend([
        Output { name: "the report".into(), bytes: text.clone().into_bytes() },
        Output { name: "the report as JSON".into(), bytes: json },
        Output { name: "the argument list".into(), bytes: arguments.into_encoded_bytes() },
    ]);
    let verdict = judge::judge(&played.evidence);
    let rules = Rules::new(&verdict);
    if context.output.is_json() {
        report.rules = Some(rules);
        context.output.json(&report)?;
    } else {
        context.output.data(&(text + &render::rules(&rules, &context.output)))?;
    }
    let is_whole = !verdict.is_broken() && played.how != How::Interrupted;
    Ok(if is_whole { Exit::Done } else { Exit::Findings })
}

/// `12 pending, 3 running, 80 succeeded`.
fn counts<N: Display>(counts: &BTreeMap<TargetState, N>) -> String {
    let present = counts.iter().map(|(state, count)| format!("{count} {state}"));
    present.collect::<Vec<_>>().join(", ")
}

/// A bug ends the process without unwinding: what the log says of it is shown, and the files go.
fn tidy_after_a_bug(directory: PathBuf) {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let log = fs::read_to_string(directory.join(files::LOG)).unwrap_or_default();
        for line in log.lines().filter(|line| line.contains(" ERROR ")) {
            anstream::eprintln!("{line}");
        }
        // Whatever cannot be removed now, cannot be removed at all.
        fs::remove_dir_all(&directory).ok();
        before(info);
    }));
}

/// Makes the file the log of this process.
fn keep_log(file: File) {
    let lines = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(LOG_LEVELS))
        .with_ansi(false)
        .with_writer(Mutex::new(file));
    // Only a second demonstration in one process finds a log already there, and uses that.
    lines.try_init().ok();
}
