//! Places at which a test may kill the process, named and in one list.
//!
//! In debug builds `REFIT_FAILPOINT=name:n` kills the process with SIGKILL at the n-th hit of that
//! point, as a power cut would: nothing is flushed, nothing unwinds. `name:n:panic` panics there
//! instead, as a bug would; `name:n:stop` stops the process with SIGSTOP until somebody continues
//! it, as a suspended machine would. `REFIT_FAILPOINT_LOG=file` appends the name of every point as
//! it is hit, so that a test first learns which hits a run has and then dies at each of them.
//! Release builds contain none of this.

/// A point between two effects of the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// The store is open, nothing is read yet.
    RestoreBegins,
    /// The engine stands, the first units are not committed.
    RestoreEnds,
    /// The first units are durable; systemd has not been told.
    BeforeReady,
    /// Units and the evidence behind them are decided, not durable.
    BeforeCommit,
    /// They are durable; nothing has left because of them.
    AfterCommit,
    /// The intent is durable and the connection stands; the last check is still to be made.
    BeforeCheck,
    /// The intent is durable and the last check passed; the first byte is not sent.
    BeforeSend,
    /// The answer is read; nobody knows of it yet.
    AfterSend,
    /// The engine has not seen the answer yet.
    BeforeAnswer,
    /// Everything is committed; the process is about to end.
    BeforeExit,
}

impl Point {
    pub const ALL: [Point; 10] = [
        Point::RestoreBegins,
        Point::RestoreEnds,
        Point::BeforeReady,
        Point::BeforeCommit,
        Point::AfterCommit,
        Point::BeforeCheck,
        Point::BeforeSend,
        Point::AfterSend,
        Point::BeforeAnswer,
        Point::BeforeExit,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Point::RestoreBegins => "restore_begins",
            Point::RestoreEnds => "restore_ends",
            Point::BeforeReady => "before_ready",
            Point::BeforeCommit => "before_commit",
            Point::AfterCommit => "after_commit",
            Point::BeforeCheck => "before_check",
            Point::BeforeSend => "before_send",
            Point::AfterSend => "after_send",
            Point::BeforeAnswer => "before_answer",
            Point::BeforeExit => "before_exit",
        }
    }
}

/// Dies or stops here if the environment says so.
#[cfg(debug_assertions)]
pub fn hit(point: Point) {
    armed::hit(point);
}

/// Release builds have no failpoints.
#[cfg(not(debug_assertions))]
pub fn hit(_point: Point) {}

#[cfg(debug_assertions)]
mod armed {
    use std::fs::{File, OpenOptions};
    use std::io::Write;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use rustix::process::Signal;

    use super::Point;

    /// Far longer than a stop takes to reach every thread.
    const STOP_TAKES: Duration = Duration::from_millis(200);

    struct Plan {
        end: Option<End>,
        hits: AtomicU64,
        log: Option<File>,
    }

    struct End {
        at: Point,
        /// At which of the point's hits, counted from 1.
        hit: u64,
        how: How,
    }

    #[derive(Clone, Copy)]
    enum How {
        Killed,
        Panicked,
        Stopped,
    }

    static PLAN: OnceLock<Plan> = OnceLock::new();

    pub fn hit(point: Point) {
        let plan = PLAN.get_or_init(from_environment);
        if let Some(mut log) = plan.log.as_ref() {
            // One write a line: threads that hit points at once must not tear each other's names.
            let line = format!("{}\n", point.name());
            log.write_all(line.as_bytes()).expect("a failpoint log that was opened takes lines");
        }
        let Some(end) = plan.end.as_ref().filter(|end| end.at == point) else { return };
        if plan.hits.fetch_add(1, Ordering::SeqCst) + 1 == end.hit {
            match end.how {
                How::Killed => die(),
                How::Panicked => panic!("a failpoint was told to panic"),
                How::Stopped => stop(),
            }
        }
    }

    fn from_environment() -> Plan {
        let end = std::env::var("REFIT_FAILPOINT").ok().map(|text| parse(&text));
        let log = std::env::var_os("REFIT_FAILPOINT_LOG").map(|path| {
            OpenOptions::new()
                .create(true)
                .append(true)
                .open(&path)
                .expect("REFIT_FAILPOINT_LOG names a writable file")
        });
        Plan { end, hits: AtomicU64::new(0), log }
    }

    fn parse(text: &str) -> End {
        let hows = [(":panic", How::Panicked), (":stop", How::Stopped), ("", How::Killed)];
        let (text, how) = hows
            .into_iter()
            .find_map(|(end, how)| Some((text.strip_suffix(end)?, how)))
            .expect("every text ends with nothing");
        let (name, hit) = text.split_once(':').unwrap_or((text, "1"));
        let at = Point::ALL
            .into_iter()
            .find(|point| point.name() == name)
            .expect("REFIT_FAILPOINT names a point of the list");
        End { at, hit: hit.parse().expect("REFIT_FAILPOINT counts hits with a number"), how }
    }

    fn die() -> ! {
        signal_myself(Signal::KILL);
        // The signal is delivered before the call returns to a running thread; should it ever be
        // late, nothing may happen meanwhile.
        loop {
            std::thread::park();
        }
    }

    /// Another thread may take the signal, and then this one stops a moment later: it must not get
    /// any farther until then.
    fn stop() {
        signal_myself(Signal::STOP);
        std::thread::sleep(STOP_TAKES);
    }

    fn signal_myself(signal: Signal) {
        let me = rustix::process::getpid();
        rustix::process::kill_process(me, signal).expect("a process may signal itself");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_point_has_a_name_of_its_own() {
        let names: BTreeSet<_> = Point::ALL.into_iter().map(Point::name).collect();
        assert_eq!(names.len(), Point::ALL.len());
    }

    #[test]
    fn an_unarmed_point_does_nothing() {
        for point in Point::ALL {
            hit(point);
        }
    }
}
