//! How close a whole campaign comes to the shortest time its limits allow, and what it asks of the
//! cloud meanwhile: the real daemon against the simulated cloud over HTTP, scaled down in time.
//!
//! Every duration and the reciprocal of every rate is divided by the scale. What takes real time,
//! requests and commits, is not: so the ratio seen here is worse than that of the real campaign.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock;
use crate::engine::{CampaignState, Fact};
use crate::model::{Millis, Wall};
use crate::sim::log::{Keep, RequestLine};
use crate::sim::world::CallKind;
use crate::store::{EventFilter, EventOrder, ReadOnly};

use crate::cli::failure::Failure;
use crate::daemon::Starts;

use super::stage::{Play, Stage, broken, opens_at};
use super::{Figure, Show};

/// From the start to the opening: enough to read every version ahead.
const OPENS_AFTER: Millis = Millis::from_secs(5);
const OPENS_AFTER_PER_TARGET: Millis = Millis(4);

/// How many times its lower bound a campaign may take before it is given up.
const PATIENCE: u32 = 3;

/// A campaign of equal instances in one long window; durations unscaled.
struct Workload {
    name: &'static str,
    scale: i64,
    targets: usize,
    cap: usize,
    task: Millis,
    settle: Millis,
    starts_per_minute: u32,
    burst: u32,
    poll_interval: Millis,
}

impl Workload {
    fn rate_bound() -> Workload {
        Workload {
            name: "A (rate-bound)",
            scale: 100,
            targets: 2_000,
            cap: 1_000,
            task: Millis::from_mins(8),
            settle: Millis::from_mins(2),
            starts_per_minute: 20,
            burst: 5,
            poll_interval: Millis::from_secs(15),
        }
    }

    fn cap_bound(targets: usize) -> Workload {
        Workload {
            name: "B (cap-bound)",
            scale: 100,
            targets,
            cap: 50,
            task: Millis::from_mins(30),
            settle: Millis::from_mins(2),
            starts_per_minute: 1_000,
            burst: 5,
            poll_interval: Millis::from_secs(15),
        }
    }

    fn play(&self, open: Wall) -> Play {
        let scaled = |length: Millis| Millis(length.0 / self.scale);
        Play {
            takes: scaled(self.task),
            window: opens_at(open),
            max_in_flight: self.cap,
            starts_per_minute: self.starts_per_minute * self.scale.unsigned_abs() as u32,
            burst: self.burst,
            reads_per_second: READS_PER_SECOND,
            poll_interval: scaled(self.poll_interval),
            settle: scaled(self.settle),
            ..Play::fast(self.targets)
        }
    }

    /// With so many reads per target inside the window; scaled.
    fn lower_bound(&self, reads_per_target: f64) -> Duration {
        let durations = vec![seconds(self.task + self.settle) / self.scale as f64; self.targets];
        let bound = lower_bound(
            &durations,
            &Limits {
                cap: self.cap as f64,
                starts_per_second: f64::from(self.starts_per_minute) * self.scale as f64 / 60.0,
                burst: f64::from(self.burst),
                reads_per_target,
                reads_per_second: f64::from(READS_PER_SECOND),
            },
        );
        Duration::from_secs_f64(bound)
    }
}

/// Never what binds: the design's workloads name no read rate. The burst is as large.
const READS_PER_SECOND: u32 = 2_000;

/// Rates per second.
struct Limits {
    cap: f64,
    starts_per_second: f64,
    burst: f64,
    reads_per_target: f64,
    reads_per_second: f64,
}

/// The shortest time in which targets of these durations can all end, in seconds: by the start
/// rate, by the cap, by the longest, by the read rate. Durations sorted downwards.
fn lower_bound(durations: &[f64], limits: &Limits) -> f64 {
    let count = durations.len() as f64;
    let by_rate = (1_u32..)
        .zip(durations)
        .map(|(k, duration)| (f64::from(k) - limits.burst) / limits.starts_per_second + duration)
        .fold(0.0, f64::max);
    let by_cap = durations.iter().sum::<f64>() / limits.cap;
    let longest = durations.first().copied().unwrap_or_default();
    let reads = limits.reads_per_target * count - limits.reads_per_second;
    [by_rate, by_cap, longest, reads / limits.reads_per_second].into_iter().fold(0.0, f64::max)
}

/// # Errors
/// The machine does not let it run, or a campaign does not end.
pub async fn measure(full: bool, show: Show<'_>) -> Result<(), Failure> {
    for workload in [Workload::rate_bound(), Workload::cap_bound(if full { 2_000 } else { 400 })] {
        let run = run(&workload).await?;
        show(run.makespan(&workload))?;
        show(run.calls(&workload))?;
    }
    Ok(())
}

/// What one campaign left behind.
struct Run {
    opened: Wall,
    ended: Wall,
    succeeded: usize,
    requests: Vec<RequestLine>,
}

async fn run(workload: &Workload) -> Result<Run, Failure> {
    let ahead = OPENS_AFTER + Millis(OPENS_AFTER_PER_TARGET.0 * workload.targets as i64);
    let opened = Wall((clock::wall() + ahead).0 / 1_000 * 1_000);
    let stage = Stage::set(&workload.play(opened), Keep::Lines).await?;
    let turning = stage.turn(Starts::On).await?;
    let within = ahead.to_std() + workload.lower_bound(0.0) * PATIENCE;
    let is_over = |state: Option<CampaignState>| state == Some(CampaignState::Completed);
    turning.until("completed", within, |campaign| is_over(campaign.state)).await?;
    turning.end().await?;
    let store = ReadOnly::open(&stage.store()).await.map_err(broken("no store"))?;
    let last = EventFilter {
        kind: Some("succeeded".into()),
        order: EventOrder::NewestFirst,
        ..EventFilter::default()
    };
    let ends = store.events(&last).await.map_err(broken("the store cannot be read"))?;
    store.close().await;
    Ok(Run {
        opened,
        ended: ends.first().map_or(opened, |event| event.at),
        succeeded: ends.iter().filter(|end| matches!(end.fact, Fact::Succeeded { .. })).count(),
        requests: stage.requests(),
    })
}

impl Run {
    fn makespan(&self, workload: &Workload) -> Figure {
        let is_read = |line: &&RequestLine| line.call != Some(CallKind::Upgrade);
        let in_window = self.requests.iter().filter(|line| line.t_wall >= self.opened);
        let reads = in_window.filter(is_read).count() as f64 / workload.targets as f64;
        let bound = workload.lower_bound(reads).as_secs_f64();
        let took = seconds(self.ended - self.opened);
        Figure {
            what: format!("makespan ÷ lower bound, workload {}", workload.name),
            measured: format!("{:.3} ({took:.1} s ÷ {bound:.1} s)", took / bound),
            budget: "≤ 1.02",
            how: format!(
                "{} of {} targets succeeded over HTTP, time ÷ {}; from the opening to the last \
                 success, {reads:.2} reads per target inside the window",
                self.succeeded, workload.targets, workload.scale,
            ),
        }
    }

    fn calls(&self, workload: &Workload) -> Figure {
        let mut by_call: BTreeMap<&str, usize> = BTreeMap::new();
        for call in self.requests.iter().filter_map(|line| line.call) {
            *by_call.entry(call.word()).or_default() += 1;
        }
        by_call.retain(|call, _| *call != CallKind::Token.word());
        let succeeded = self.succeeded.max(1) as f64;
        let all: usize = by_call.values().sum();
        let shares = by_call.iter().map(|(call, count)| {
            let share = *count as f64 / succeeded;
            format!("{call} {share:.2}")
        });
        Figure {
            what: format!("API calls per upgraded target, workload {}", workload.name),
            measured: format!("{:.2}", all as f64 / succeeded),
            budget: "≤ 5 in workload B",
            how: format!(
                "requests in the cloud's log ÷ succeeded, IAM excluded, planning included: {}",
                shares.collect::<Vec<_>>().join(", "),
            ),
        }
    }
}

fn seconds(length: Millis) -> f64 {
    length.0 as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        cap: 1_000.0,
        starts_per_second: 2.0,
        burst: 4.0,
        reads_per_target: 0.0,
        reads_per_second: 10.0,
    };

    #[test]
    fn the_bound_is_that_of_the_tightest_limit() {
        let ten = [10.0; 104];
        assert_eq!(lower_bound(&ten, &LIMITS), 60.0);
        assert_eq!(lower_bound(&ten, &Limits { cap: 1.0, ..LIMITS }), 1_040.0);
        assert_eq!(lower_bound(&ten, &Limits { reads_per_target: 10.0, ..LIMITS }), 103.0);
        assert_eq!(lower_bound(&[10.0; 4], &LIMITS), 10.0);
    }

    #[test]
    fn long_targets_go_first() {
        let durations = [100.0, 1.0, 1.0, 1.0, 1.0, 1.0];
        assert_eq!(lower_bound(&durations, &Limits { burst: 1.0, ..LIMITS }), 100.0);
    }
}
