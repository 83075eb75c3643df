//! Figures of the daemon as a process of its own: the memory of one with 10,000 targets, and how
//! soon one with 100,000 open targets asks for something after its start.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::cli::failure::Failure;
use crate::clock;
use crate::daemon::Starts;
use crate::exit::Exit;
use crate::sim::log::Keep;
use crate::sim::world::CallKind;

use super::Figure;
use super::machine::median;
use super::stage::{Play, Stage, broken};

const MEMORY_TARGETS: usize = 10_000;

/// More than any project is granted; beyond this the figure would be that of the commits' backlog.
const MEMORY_READS_PER_SECOND: u32 = 1_000;

const RESTART_TARGETS: usize = 100_000;
const RESTARTS: usize = 3;

/// Between two looks at the cloud's log.
const LOOK_EVERY: Duration = Duration::from_millis(100);

const WITHIN: Duration = Duration::from_secs(180);

/// The peak of a daemon that has planned and read every version, in shadow.
///
/// # Errors
/// The machine does not let it run.
pub async fn memory() -> Result<Figure, Failure> {
    let play = Play { reads_per_second: MEMORY_READS_PER_SECOND, ..Play::fast(MEMORY_TARGETS) };
    let stage = Stage::set(&play, Keep::Lines).await?;
    let daemon = Process::start(&stage)?;
    let is_version = |call| call == Some(CallKind::Version);
    stage
        .until_asked("read every version", |requests| {
            let versions = requests.iter().filter(|line| is_version(line.call)).count();
            versions >= MEMORY_TARGETS
        })
        .await?;
    let peak_kib = daemon.peak_kib()?;
    daemon.end()?;
    Ok(Figure {
        what: format!("peak memory of a daemon with {MEMORY_TARGETS} targets"),
        measured: format!("{:.1} MiB", peak_kib as f64 / 1_024.0),
        budget: "≤ 48 MiB",
        how: format!(
            "VmHWM of `refit run --no-starts` once every version was read, at \
             {MEMORY_READS_PER_SECOND} reads/s; per target: `cargo bench --bench memory`"
        ),
    })
}

/// # Errors
/// The machine does not let it run.
pub async fn restart() -> Result<Figure, Failure> {
    let stage = Stage::set(&Play::fast(RESTART_TARGETS), Keep::Lines).await?;
    let turning = stage.turn(Starts::Off).await?;
    turning.until("planned", WITHIN, |campaign| campaign.state.is_some()).await?;
    turning.end().await?;
    let mut waits = Vec::new();
    for _ in 0..RESTARTS {
        let before = stage.requests().len();
        let started = clock::wall();
        let daemon = Process::start(&stage)?;
        stage.until_asked("asked for anything", |requests| requests.len() > before).await?;
        let first = stage.requests()[before].t_wall;
        waits.push((first - started).0 as f64 / 1_000.0);
        daemon.end()?;
    }
    let longest = waits.iter().copied().fold(0.0, f64::max);
    Ok(Figure {
        what: format!("restart with {RESTART_TARGETS} open targets"),
        measured: format!("{:.2} s to the first request", median(&mut waits)),
        budget: "≤ 1.5 s",
        how: format!(
            "from the process's start to its first request at the cloud, median of {RESTARTS} \
             (longest {longest:.2} s), pending targets, in shadow"
        ),
    })
}

/// The real binary.
struct Process(Child);

impl Process {
    fn start(stage: &Stage) -> Result<Process, Failure> {
        let program = std::env::current_exe().map_err(broken("cannot find this program"))?;
        let mut command = Command::new(program);
        command.arg("--config").arg(stage.config()).args(["run", "--no-starts"]);
        // As config/refit.service sets it.
        command.env("MALLOC_ARENA_MAX", "2");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().map(Process).map_err(broken("cannot start this program again"))
    }

    /// The most memory it ever held, in KiB, as the kernel counts it.
    fn peak_kib(&self) -> Result<u64, Failure> {
        let path = format!("/proc/{}/status", self.0.id());
        let status = std::fs::read_to_string(path).map_err(broken("the process has gone"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
        kib.ok_or_else(|| Failure::new(Exit::NotNow, "the kernel tells no VmHWM"))
    }

    fn end(mut self) -> Result<(), Failure> {
        if let Some(pid) = Pid::from_raw(self.0.id().cast_signed()) {
            kill_process(pid, Signal::TERM).map_err(broken("cannot stop the process"))?;
        }
        self.0.wait().map(drop).map_err(broken("the process did not end"))
    }
}

impl Stage {
    async fn until_asked(
        &self,
        what: &str,
        is_so: impl Fn(&[crate::sim::log::RequestLine]) -> bool,
    ) -> Result<(), Failure> {
        let waiting = async {
            while !is_so(&self.requests()) {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let message = format!("the daemon has not {what} within {} s", WITHIN.as_secs());
        let too_long = |_| Failure::new(Exit::NotNow, message);
        tokio::time::timeout(WITHIN, waiting).await.map_err(too_long)
    }
}
