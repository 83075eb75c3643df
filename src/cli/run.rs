//! `refit run`: the daemon, until SIGTERM or SIGINT.

use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::api::Faces;
use crate::config::{self, Findings, Loaded, ProcessEnvironment};
use crate::daemon::logging::{self, LogFormat};
use crate::daemon::signals::Signals;
use crate::daemon::{Daemon, DaemonError, Ended, Forecaster, Options, Starts};
use crate::exit::Exit;

use super::Context;
use super::failure::Failure;
use super::globals;
use super::source::store_remedy;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Do everything but the upgrade itself: the first thing to run in a new place.
    #[arg(long)]
    no_starts: bool,
    /// Draw as a rehearsal with this seed does: orders and waits of campaigns not planned yet.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

/// Runs the daemon to its end.
///
/// # Errors
/// It could not start, or not stop cleanly; the exit code says what to do.
pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let format = match context.globals.log_format {
        globals::LogFormat::Human => LogFormat::Human,
        globals::LogFormat::Json => LogFormat::Json,
    };
    let mut loaded = config::load(&context.globals.config, &ProcessEnvironment)
        .map_err(Failure::configuration)?;
    if let Some(socket) = &context.globals.socket {
        loaded.config.api.socket.clone_from(socket);
    }
    logging::start(format).map_err(|error| {
        Failure::new(Exit::InputOutput, "cannot start the log's thread").because(&error)
    })?;
    warn_of(&loaded.warnings);
    let ended = context.block_on(serve(loaded, &args, &context.globals.config));
    logging::flush();
    ended
}

/// One log line each; `refit check` shows them with line and caret.
fn warn_of(warnings: &Findings) {
    for warning in &warnings.list {
        let line = warning.position.map(|position| position.line);
        warn!(file = %warnings.file.display(), line, "{}: {}", warning.key, warning.message);
    }
}

async fn serve(loaded: Loaded, args: &Args, file: &Path) -> Result<Exit, Failure> {
    let stop = CancellationToken::new();
    let signals = Signals::catch()
        .map_err(|error| Failure::new(Exit::Bug, "cannot catch signals").because(&error))?;
    let signals = tokio::spawn(signals.stop_on_request(stop.clone()));
    let config = loaded.config.clone();
    let options = Options {
        loaded,
        starts: if args.no_starts { Starts::Off } else { Starts::On },
        seed: args.seed,
        state_directory: state_directory(),
        stop,
        progress: None,
    };
    let ended = drive(options, &config, file).await;
    signals.abort();
    let Ended { left_in_flight } = ended?;
    info!(left_in_flight, "stopped");
    Ok(Exit::Done)
}

/// Opens the daemon, then its interfaces, and closes them in the opposite order.
async fn drive(options: Options, config: &config::Config, file: &Path) -> Result<Ended, Failure> {
    let forecaster = forecaster(file, options.starts);
    let daemon = Daemon::open(options).await.map_err(|error| {
        let failure = Failure::new(error.exit(), "the daemon cannot start").because(&error);
        match &error {
            DaemonError::Store(error) => failure.next(store_remedy(error)),
            DaemonError::Orphans(left) => failure.next(format!(
                "put [projects.{}] back as it was until refit status shows none in flight",
                left.project
            )),
            _ => failure,
        }
    })?;
    let daemon = daemon.forecasting_with(forecaster);
    let (api, store) = (&config.api, &config.store.path);
    let faces = Faces::bind(api.listen, &api.socket, store, daemon.handle()).await;
    let faces = faces.map_err(|error| {
        Failure::new(error.exit(), "the daemon cannot be reached").because(&error)
    })?;
    let listen = faces.listens_on().map(|address| address.to_string());
    let socket = config.api.socket.display().to_string();
    info!(listen, socket, "answering");
    let last_answer = CancellationToken::new();
    let answering = tokio::spawn(faces.serve(last_answer.clone()));
    let ended = daemon.run().await;
    last_answer.cancel();
    if answering.await.is_err() {
        tracing::error!("the interfaces had panicked");
    }
    ended.map_err(|error| Failure::new(error.exit(), "the daemon ended").because(&error))
}

/// This program again: the very same file, whatever stands in its place by then.
fn forecaster(file: &Path, starts: Starts) -> Forecaster {
    let mut arguments = vec!["forecast-store".into(), "--config".into(), file.into()];
    if starts != Starts::On {
        arguments.push("--no-starts".into());
    }
    Forecaster { program: "/proc/self/exe".into(), arguments }
}

/// The first of the directories that systemd made for the unit.
pub(super) fn state_directory() -> Option<PathBuf> {
    let value = std::env::var_os("STATE_DIRECTORY")?.into_string().ok()?;
    value.split(':').next().filter(|first| !first.is_empty()).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forecaster_of_a_shadow_is_told_that_it_is_one() {
        let said = |starts| {
            let arguments = forecaster(Path::new("refit.toml"), starts).arguments;
            arguments.iter().any(|argument| argument == "--no-starts")
        };
        assert_eq!((said(Starts::Off), said(Starts::On)), (true, false));
    }
}
