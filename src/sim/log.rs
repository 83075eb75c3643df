//! The cloud's own log: one JSON object per line, for each request and each change of a task.
//!
//! A line is written at the decision, before the answer leaves, so that no caller knows more than
//! the log. Rules are judged by it.

use std::io::{self, Write};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::world::{CallKind, Decision, Outcome, TaskChange, TaskState};
use crate::model::{InstanceId, Millis, TaskId, Wall};

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
pub enum LogLine {
    Request(RequestLine),
    Task(TaskLine),
}

/// One request, as the cloud saw it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RequestLine {
    /// Counts all lines from 1, without a gap.
    pub seq: u64,
    /// Nanoseconds since the log began, by the monotonic clock.
    pub t_mono_ns: u64,
    pub t_wall: Wall,
    /// The process that called, from its User-Agent.
    pub daemon: Option<Arc<str>>,
    /// Counts connections from 1.
    pub conn: u64,
    pub method: Arc<str>,
    /// With its query.
    pub path: Arc<str>,
    /// Absent where the path is none of the cloud's.
    pub call: Option<CallKind>,
    /// The cloud's project id.
    pub project: Option<Arc<str>>,
    pub instance: Option<InstanceId>,
    /// The attempt that the caller named in its User-Agent.
    pub attempt: Option<Arc<str>>,
    /// The id of the access key, or the IAM user a token belongs to; never a secret.
    pub credential: Option<Arc<str>>,
    /// Lower-case hex; absent where there was no body.
    pub body_sha256: Option<Arc<str>>,
    pub decision: Decision,
    /// An upgrade began by this request.
    pub applied: bool,
    /// Absent where no answer was sent.
    pub status: Option<u16>,
    /// The error code that was answered.
    pub code: Option<Arc<str>>,
    /// The task that began, whether or not the caller was told.
    pub task_id: Option<TaskId>,
    pub latency_ms: Millis,
}

/// A task began or ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskLine {
    pub seq: u64,
    /// When it happened, by the clock of `t_wall`; the line may be written later.
    pub at: Wall,
    pub project: Arc<str>,
    pub instance: InstanceId,
    pub task_id: TaskId,
    /// Absent where somebody else started it.
    pub attempt: Option<Arc<str>>,
    pub state: TaskState,
    pub outcome: Outcome,
}

/// Whether lines also stay in memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Keep {
    #[default]
    Nothing,
    Lines,
}

/// Where lines go.
pub type Sink = Box<dyn Write + Send>;

/// Writes lines, in order, each with one write.
pub struct Log {
    sink: Option<Sink>,
    keep: Keep,
    kept: Vec<LogLine>,
    seq: u64,
    buffer: Vec<u8>,
    failed: Option<io::Error>,
}

impl Log {
    pub fn new(sink: Option<Sink>, keep: Keep) -> Log {
        Log { sink, keep, kept: Vec::new(), seq: 0, buffer: Vec::new(), failed: None }
    }

    /// Writes one request; its `seq` is given here.
    pub fn request(&mut self, mut line: RequestLine) {
        line.seq = self.next();
        self.write(LogLine::Request(line));
    }

    /// Writes one change of a task, which happened at `at`.
    pub fn task(&mut self, change: TaskChange, at: Wall) {
        let TaskChange { project, instance, task, attempt, state, outcome, .. } = change;
        let seq = self.next();
        let line = TaskLine { seq, at, project, instance, task_id: task, attempt, state, outcome };
        self.write(LogLine::Task(line));
    }

    /// The lines in memory so far.
    pub fn lines(&self) -> &[LogLine] {
        &self.kept
    }

    /// The first failure of the sink; nothing was written after it.
    pub fn take_failure(&mut self) -> Option<io::Error> {
        self.failed.take()
    }

    fn next(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }

    fn write(&mut self, line: LogLine) {
        if let Some(sink) = &mut self.sink {
            self.buffer.clear();
            serde_json::to_writer(&mut self.buffer, &line).expect("a line always serialises");
            self.buffer.push(b'\n');
            if let Err(error) = sink.write_all(&self.buffer) {
                self.sink = None;
                self.failed = Some(error);
            }
        }
        if self.keep == Keep::Lines {
            self.kept.push(line);
        }
    }
}

/// A line that is not one.
#[derive(Debug, thiserror::Error)]
#[error("line {number} of the cloud's log cannot be read")]
pub struct BadLine {
    /// Counted from 1.
    pub number: usize,
    #[source]
    source: serde_json::Error,
}

/// The lines of a log file.
///
/// # Errors
/// With the first line that cannot be read.
pub fn parse(text: &str) -> Result<Vec<LogLine>, BadLine> {
    text.lines()
        .enumerate()
        .map(|(index, line)| {
            serde_json::from_str(line).map_err(|source| BadLine { number: index + 1, source })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    struct Channel(mpsc::Sender<Vec<u8>>);

    impl Write for Channel {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn request() -> RequestLine {
        RequestLine {
            seq: 0,
            t_mono_ns: 5,
            t_wall: Wall(7),
            daemon: Some("d1".into()),
            conn: 1,
            method: "POST".into(),
            path: "/v2/p/instances/i/minor-version/upgrade".into(),
            call: Some(CallKind::Upgrade),
            project: Some("p".into()),
            instance: Some("i".into()),
            attempt: Some("c/p/i/1.1".into()),
            credential: Some("AK".into()),
            body_sha256: Some("00".into()),
            decision: Decision::ApplyThen500,
            applied: true,
            status: Some(500),
            code: Some("DCS.5006".into()),
            task_id: Some("t".into()),
            latency_ms: Millis(3),
        }
    }

    #[test]
    fn lines_read_back_as_they_were_written() {
        let (sender, receiver) = mpsc::channel();
        let mut log = Log::new(Some(Box::new(Channel(sender))), Keep::Lines);
        log.request(request());
        log.task(
            TaskChange {
                at: Wall(9),
                project: "p".into(),
                instance: "i".into(),
                task: "t".into(),
                attempt: None,
                state: TaskState::Succeeded,
                outcome: Outcome::Success,
            },
            Wall(9),
        );
        let text = String::from_utf8(receiver.try_iter().flatten().collect()).unwrap();
        assert!(
            text.contains(r#""decision":"apply_then_500","applied":true,"status":500"#),
            "{text}"
        );
        assert_eq!(parse(&text).unwrap(), log.lines());
        assert!(matches!(&log.lines()[1], LogLine::Task(TaskLine { seq: 2, .. })));
    }

    #[test]
    fn a_line_that_cannot_be_read_is_named() {
        let error = parse("{\"line\":\"request\"}").unwrap_err();
        assert_eq!(error.number, 1);
    }
}
