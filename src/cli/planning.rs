//! A plan without a running daemon: this process is the daemon for as long as the plan takes.
//!
//! It takes the store's lock and its quotas, so that it can neither plan beside a daemon nor read
//! the fleet faster than one may. Its sender refuses every upgrade.

use std::io::IsTerminal;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::{self, Loaded, ProcessEnvironment};
use crate::daemon::{Daemon, DaemonError, Handle, Options, Starts};
use crate::engine::view::{CampaignPlan, PlanVerdict, ProjectStatus};
use crate::engine::{Plan, Status};
use crate::exit::Exit;

use super::failure::Failure;
use super::source::store_failure;
use super::{Context, escape, settings};

/// How often progress is looked at: a plan of 100,000 targets takes the loop some milliseconds.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// How often a log or a pipe is told of progress.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// A fleet of which nothing new is learned for so long is out of reach: longer than a whole
/// request with its retries.
const PATIENCE: Duration = Duration::from_secs(120);

/// Makes the plan of every campaign, or of one, with the status that belongs to it.
///
/// # Errors
/// The configuration, a credential, the store or the cloud stands in the way.
pub async fn plan(campaign: Option<&str>, context: &Context) -> Result<(Plan, Status), Failure> {
    let loaded = config::load(&context.globals.config, &ProcessEnvironment)
        .map_err(Failure::configuration)?;
    if let Some(name) = campaign {
        settings::campaign(&loaded, name)?;
    }
    let stop = CancellationToken::new();
    let daemon = Daemon::open(options(loaded, stop.clone())).await.map_err(daemon_failure)?;
    context.output.say("No daemon is running: the fleet is read here. Nothing is upgraded.");
    let handle = daemon.handle();
    let running = tokio::spawn(daemon.run());
    let planned = tokio::select! {
        planned = complete(&handle, campaign, context) => planned,
        _ = tokio::signal::ctrl_c() => {
            Err(Failure::new(Exit::NotNow, "interrupted").next("refit plan, to read the rest"))
        }
    };
    stop.cancel();
    let ended = running
        .await
        .map_err(|error| Failure::new(Exit::Bug, "the planning daemon broke").because(&error))?;
    // Why the daemon ended tells more than that it no longer answers.
    ended.map_err(daemon_failure)?;
    planned
}

fn options(loaded: Loaded, stop: CancellationToken) -> Options {
    Options {
        loaded,
        starts: Starts::Planning,
        seed: None,
        state_directory: None,
        stop,
        progress: None,
    }
}

/// Asks until the plan is complete, or until it cannot become so.
async fn complete(
    handle: &Handle,
    campaign: Option<&str>,
    context: &Context,
) -> Result<(Plan, Status), Failure> {
    let mut shown = Progress::new();
    let mut known = (0, 0, 0);
    let mut since = Instant::now();
    loop {
        let plan = handle.plan().await.map_err(no_answer)?;
        let wanted = |one: &&CampaignPlan| campaign.is_none_or(|name| one.name.as_str() == name);
        let campaigns: Vec<&CampaignPlan> = plan.campaigns.iter().filter(wanted).collect();
        if !campaigns.is_empty() && campaigns.iter().all(|one| one.complete) {
            shown.end();
            return Ok((plan, handle.status().await.map_err(no_answer)?));
        }
        let status = handle.status().await.map_err(no_answer)?;
        if let Some(failure) = status.projects.iter().find_map(stopped) {
            shown.end();
            return Err(failure);
        }
        let learned = learned(&campaigns, &status);
        if learned != known {
            (known, since) = (learned, Instant::now());
            shown.show(learned);
        } else if since.elapsed() > PATIENCE {
            shown.end();
            return Err(out_of_reach(&status, context));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Sweeps, targets, and targets whose versions are read.
fn learned(campaigns: &[&CampaignPlan], status: &Status) -> (u64, usize, usize) {
    let sweeps = status.projects.iter().map(|project| project.sweeps).sum();
    let targets = || campaigns.iter().flat_map(|campaign| &campaign.targets);
    let read = targets().filter(|target| target.verdict != PlanVerdict::Unread).count();
    (sweeps, targets().count(), read)
}

fn stopped(project: &ProjectStatus) -> Option<Failure> {
    let name = escape::line(project.name.as_str());
    if let Some(why) = &project.credential_stopped {
        let message = format!(
            "project {name}: the cloud refuses its credential: {why}; mend its secret where it is \
             read, then plan again"
        );
        return Some(Failure::new(Exit::Credential, message).next("refit check --effective"));
    }
    if let Some(nobody) = &project.unreachable {
        let message = format!(
            "project {name}: nobody answers: {}; see its dcs_endpoint and proxy, then plan again",
            escape::line(&nobody.cause)
        );
        return Some(Failure::new(Exit::Unreachable, message).next("refit check --effective"));
    }
    let why = project.stopped.as_ref()?;
    Some(
        Failure::new(Exit::Unreachable, format!("project {name} is stopped: {why}"))
            .next(format!("refit run, then refit resume --project {name}")),
    )
}

fn out_of_reach(status: &Status, context: &Context) -> Failure {
    let unread = status.projects.iter().filter(|project| project.sweeps == 0);
    let names: Vec<&str> = unread.map(|project| project.name.as_str()).collect();
    let what = match names.is_empty() {
        true => "the versions of some instances".to_owned(),
        false => format!("the instances of {}", escape::line(&names.join(", "))),
    };
    let seconds = PATIENCE.as_secs();
    Failure::new(Exit::Unreachable, format!("the cloud did not tell {what} for {seconds} s")).next(
        format!(
            "refit run --no-starts --config {}, whose log says what it answers",
            context.globals.config.display()
        ),
    )
}

fn no_answer(error: crate::daemon::handle::NoAnswer) -> Failure {
    Failure::new(Exit::Unreachable, "the planning daemon does not answer").because(&error)
}

fn daemon_failure(error: DaemonError) -> Failure {
    match error {
        DaemonError::Store(error) => store_failure(error),
        error => {
            Failure::new(error.exit(), "cannot read the fleet").because(&error).next("refit check")
        }
    }
}

/// How far the reading has come, on standard error: one line that changes on a terminal, else a
/// line now and then.
struct Progress {
    is_terminal: bool,
    told_at: Instant,
}

impl Progress {
    fn new() -> Progress {
        Progress { is_terminal: std::io::stderr().is_terminal(), told_at: Instant::now() }
    }

    fn show(&mut self, (sweeps, targets, read): (u64, usize, usize)) {
        let what = match targets {
            0 => format!("listing instances: {sweeps} sweeps done"),
            _ => format!("reading versions: {read} of {targets} targets"),
        };
        if self.is_terminal {
            anstream::eprint!("\r{what:<60}");
        } else if self.told_at.elapsed() >= TELL_EVERY {
            self.told_at = Instant::now();
            anstream::eprintln!("{what}");
        }
    }

    fn end(&self) {
        if self.is_terminal {
            anstream::eprint!("\r{:<60}\r", "");
        }
    }
}
