//! Plays the demonstration: the simulated cloud, the real daemon, an operator, until nothing more
//! will happen within a demonstration's patience.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::cli::failure::Failure;
use crate::clock;
use crate::config::{self, Loaded, ProcessEnvironment};
use crate::daemon::{Daemon, DaemonError, Ended, Handle, Options, Starts};
use crate::engine::view::PlanVerdict;
use crate::engine::{Hold, HoldKind, Status};
use crate::exit::Exit;
use crate::judge::{Evidence, Output, load_store};
use crate::model::{Millis, TargetId, Wall};
use crate::sim::http::{Running, SimOptions, start};
use crate::sim::world::{Knobs, World};

use super::files::{Files, whole_second_after};
use super::operator::{Operator, Ordered};
use super::progress::Progress;
use super::scenario::Scenario;

/// From the start to the opening of the window: the inventory and the versions are read meanwhile.
const OPENS_AFTER: Millis = Millis::from_secs(3);

/// The demonstration ends by then, whatever is still open.
const PATIENCE: Duration = Duration::from_secs(50);

/// Without a change for this long, what is left is asked for its reasons.
const QUIET: Duration = Duration::from_secs(1);

/// Longer than any upgrade of the demo's world takes: who stays in one state for longer waits for
/// something that takes minutes.
const LONGEST_STEP: Millis = Millis::from_secs(8);

/// What one run leaves for the report and the judge.
pub struct Played {
    pub evidence: Evidence,
    /// What was open at the end, each with its hold.
    pub open: BTreeMap<TargetId, Hold>,
    pub orders: Vec<Ordered>,
    pub window_opened: Wall,
    pub took: Duration,
    pub how: How,
}

/// Why the run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Whatever is open waits for longer than a demonstration lasts.
    AtRest,
    OutOfPatience,
    /// SIGINT or SIGTERM.
    Interrupted,
}

/// Plays the scenario.
///
/// # Errors
/// The machine does not let it: no port, no disk, no thread. Or a bug.
pub async fn play(
    scenario: Scenario,
    seed: u64,
    files: &Files,
    stop: CancellationToken,
    progress: &mut Progress,
) -> Result<Played, Failure> {
    let began = Instant::now();
    let world = World::new(scenario.world.clone(), Knobs::default(), scenario.faults.clone(), seed);
    let cloud = start(world, SimOptions::in_memory()).await.map_err(broken("no cloud"))?;
    let window_opened = whole_second_after(clock::wall(), OPENS_AFTER);
    files.write(&scenario, &cloud.url(), window_opened).map_err(broken("no configuration"))?;
    let loaded =
        config::load(&files.config(), &ProcessEnvironment).map_err(Failure::configuration)?;
    let settings = loaded.config.settings.clone();
    let (stage, statuses) = Stage::open(loaded, seed, stop).await?;
    let deadline = began + PATIENCE;
    let watched = stage.watch(statuses, deadline, progress).await?;
    // A daemon that was interrupted answers nothing more.
    let mut outputs = match watched.how {
        How::Interrupted => Vec::new(),
        _ => stage.replies().await?,
    };
    outputs.extend(files.outputs().map_err(broken("cannot read the files"))?);
    stage.end().await?;
    outputs.extend(files.outputs().map_err(broken("cannot read the files"))?);
    let mut evidence =
        Evidence { settings, outputs, secrets: scenario.canaries.all(), ..Evidence::default() };
    load_store(&files.store(), &mut evidence).await.map_err(broken("cannot read the store"))?;
    hear(&cloud, &mut evidence);
    cloud.shutdown().await.map_err(broken("the cloud did not end"))?;
    let Watched { open, orders, how } = watched;
    Ok(Played { evidence, open, orders, window_opened, took: began.elapsed(), how })
}

/// The cloud's own account.
fn hear(cloud: &Running, evidence: &mut Evidence) {
    evidence.lines = cloud.lines();
    evidence.final_versions = cloud.world(|world| {
        let truths = world.truths();
        truths.map(|(project, id, truth)| ((project.into(), id.into()), truth.versions)).collect()
    });
}

/// The daemon that turns, and what is asked of it.
struct Stage {
    handle: Handle,
    stop: CancellationToken,
    turning: JoinHandle<Result<Ended, DaemonError>>,
}

struct Watched {
    open: BTreeMap<TargetId, Hold>,
    orders: Vec<Ordered>,
    how: How,
}

impl Stage {
    async fn open(
        loaded: Loaded,
        seed: u64,
        stop: CancellationToken,
    ) -> Result<(Stage, watch::Receiver<Status>), Failure> {
        let (progress, statuses) = watch::channel(Status::default());
        let options = Options {
            loaded,
            starts: Starts::On,
            seed: Some(seed),
            state_directory: None,
            stop: stop.clone(),
            progress: Some(progress),
        };
        let daemon = Daemon::open(options).await.map_err(broken("the daemon does not start"))?;
        let handle = daemon.handle();
        let turning = tokio::spawn(daemon.run());
        Ok((Stage { handle, stop, turning }, statuses))
    }

    /// Shows what happens, acts as the operator, and notices when nothing more will happen.
    async fn watch(
        &self,
        mut statuses: watch::Receiver<Status>,
        deadline: Instant,
        progress: &mut Progress,
    ) -> Result<Watched, Failure> {
        let mut operator = Operator::default();
        let mut quiet_since = Instant::now();
        let mut last = Status::default();
        let how = loop {
            let changed = tokio::time::timeout_at(deadline, statuses.changed()).await;
            match changed {
                Err(_) => break How::OutOfPatience,
                Ok(Err(_)) => break How::Interrupted,
                Ok(Ok(())) if self.stop.is_cancelled() => break How::Interrupted,
                Ok(Ok(())) => {}
            }
            let status = statuses.borrow_and_update().clone();
            progress.show(&status);
            if let Some(ordered) = operator.act(&status, &self.handle).await? {
                progress.say(&ordered.to_string());
            }
            if has_moved(&last, &status) {
                quiet_since = Instant::now();
                last = status;
            } else if quiet_since.elapsed() >= QUIET && self.is_at_rest(deadline).await? {
                break How::AtRest;
            }
        };
        let open =
            if how == How::Interrupted { BTreeMap::new() } else { self.open_targets().await? };
        Ok(Watched { open, orders: operator.into_orders(), how })
    }

    /// Whether every target is at its end or waits for something after the deadline.
    async fn is_at_rest(&self, deadline: Instant) -> Result<bool, Failure> {
        let now = clock::wall();
        let left = deadline.saturating_duration_since(Instant::now());
        let horizon = now + Millis(i64::try_from(left.as_millis()).unwrap_or(i64::MAX));
        let plan = self.handle.plan().await.map_err(broken("the daemon is silent"))?;
        let is_planned = plan.campaigns.iter().all(|campaign| campaign.complete);
        let open = self.open_targets().await?;
        Ok(is_planned && open.values().all(|hold| !may_move(hold, now, horizon)))
    }

    async fn open_targets(&self) -> Result<BTreeMap<TargetId, Hold>, Failure> {
        let plan = self.handle.plan().await.map_err(broken("the daemon is silent"))?;
        let mut open = BTreeMap::new();
        for campaign in plan.campaigns {
            for target in campaign.targets {
                if is_over(&target.verdict) {
                    continue;
                }
                let id = TargetId {
                    campaign: campaign.name.clone(),
                    project: target.project,
                    instance: target.instance,
                };
                let why = self.handle.why(id.clone()).await;
                let why = why.map_err(broken("the daemon is silent"))?;
                if let Some(hold) = why.and_then(|why| why.hold) {
                    open.insert(id, hold);
                }
            }
        }
        Ok(open)
    }

    /// What the interfaces would answer, for the judge of secrets.
    async fn replies(&self) -> Result<Vec<Output>, Failure> {
        let status = self.handle.status().await.map_err(broken("the daemon is silent"))?;
        let plan = self.handle.plan().await.map_err(broken("the daemon is silent"))?;
        Ok(vec![reply("the reply to status", &status), reply("the reply to plan", &plan)])
    }

    async fn end(self) -> Result<(), Failure> {
        self.stop.cancel();
        let ended = self.turning.await.map_err(broken("the daemon panicked"))?;
        ended.map_err(broken("the daemon did not stop cleanly"))?;
        Ok(())
    }
}

fn reply(name: &str, value: &impl serde::Serialize) -> Output {
    let bytes = serde_json::to_vec(value).expect("what the interfaces answer is JSON");
    Output { name: name.to_owned(), bytes }
}

fn is_over(verdict: &PlanVerdict) -> bool {
    match verdict {
        PlanVerdict::Skipped { .. } => true,
        PlanVerdict::State { state, .. } => state.is_terminal(),
        _ => false,
    }
}

fn has_moved(before: &Status, now: &Status) -> bool {
    let counts = |status: &Status| -> Vec<_> {
        let campaigns = status.campaigns.iter();
        campaigns.map(|one| (one.state, one.wave, one.counts.clone())).collect()
    };
    counts(before) != counts(now)
}

/// Whether the target may still move before `horizon`.
fn may_move(hold: &Hold, now: Wall, horizon: Wall) -> bool {
    match hold.kind {
        HoldKind::NeedsOperator | HoldKind::Overdue => false,
        HoldKind::InProgress => hold.since.is_none_or(|since| now - since < LONGEST_STEP),
        _ => hold.earliest.is_none_or(|earliest| earliest < horizon),
    }
}

/// A cause that the demonstration itself can do nothing about.
pub fn broken<E: std::error::Error + 'static>(what: &'static str) -> impl Fn(E) -> Failure {
    move |error| {
        Failure::new(Exit::InputOutput, format!("the demonstration broke off: {what}"))
            .because(&error)
    }
}
