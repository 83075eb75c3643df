//! Log lines on standard error, by a thread of their own.
//!
//! A line that finds the queue full is dropped and counted, so that a reader that has stopped
//! reading (a full journal, a paused pipe) never stops the loop. Standard output carries no logs.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Lines that may wait: some seconds of a busy fleet, a few MiB at most.
const QUEUE: usize = 8_192;

/// How long the end of the process waits for lines to be written.
const FLUSH_WITHIN: Duration = Duration::from_secs(1);

/// Levels unless `RUST_LOG` says otherwise: two libraries are loud at `info`.
const DEFAULT_LEVELS: &str = "info,sqlx=warn,tokio_cron_scheduler=warn";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Human,
    /// One object per line.
    Json,
}

static QUEUED: OnceLock<LineQueue> = OnceLock::new();

/// Starts the writer and makes it the process's log. A second call does nothing.
///
/// # Errors
/// The writer's thread cannot be started.
pub fn start(format: LogFormat) -> io::Result<()> {
    let (lines, queued) = sync_channel(QUEUE);
    let queue = LineQueue { lines, dropped: Arc::default() };
    if QUEUED.set(queue.clone()).is_err() {
        return Ok(());
    }
    let dropped = Arc::clone(&queue.dropped);
    std::thread::Builder::new()
        .name("log".into())
        .spawn(move || write_lines(&queued, &dropped, &mut io::stderr()))?;
    let levels = EnvFilter::try_from_default_env().unwrap_or_else(|_| DEFAULT_LEVELS.into());
    // Without the module's path, which would stand under the same key as an upgrade's target.
    let lines =
        tracing_subscriber::fmt().with_env_filter(levels).with_writer(queue).with_target(false);
    let taken = match format {
        LogFormat::Human => lines.with_ansi(io::stderr().is_terminal()).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).try_init(),
    };
    // Whoever embeds the daemon may have a log of its own already.
    if let Err(error) = taken {
        tracing::debug!(%error, "log already set up");
    }
    Ok(())
}

/// Waits, within a bound, until what was logged so far is written.
pub fn flush() {
    let Some(queue) = QUEUED.get() else { return };
    let (done, written) = sync_channel(1);
    if queue.lines.try_send(Entry::Mark(done)).is_ok() {
        // Too slow or gone: either way there is nothing left to wait for.
        written.recv_timeout(FLUSH_WITHIN).ok();
    }
}

enum Entry {
    Line(Vec<u8>),
    /// Answered when everything before it is written.
    Mark(SyncSender<()>),
}

#[derive(Clone)]
struct LineQueue {
    lines: SyncSender<Entry>,
    dropped: Arc<AtomicU64>,
}

impl LineQueue {
    fn push(&self, line: Vec<u8>) {
        if let Err(TrySendError::Full(_)) = self.lines.try_send(Entry::Line(line)) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl<'a> MakeWriter<'a> for LineQueue {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { text: Vec::new(), queue: self.clone() }
    }
}

/// One line in the making; queued whole when it is dropped.
struct Line {
    text: Vec<u8>,
    queue: LineQueue,
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if !self.text.is_empty() {
            self.queue.push(std::mem::take(&mut self.text));
        }
    }
}

/// Writes until every sender is gone. An output that fails is not worth a word: there is nowhere
/// to say it.
fn write_lines(queued: &Receiver<Entry>, dropped: &AtomicU64, output: &mut impl Write) {
    while let Ok(entry) = queued.recv() {
        match entry {
            Entry::Line(line) => output.write_all(&line).ok(),
            Entry::Mark(done) => done.send(()).ok(),
        };
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let note = format!("refit: {lost} log lines dropped, the reader was too slow\n");
            output.write_all(note.as_bytes()).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_drops_lines_and_says_how_many() {
        let (lines, queued) = sync_channel(2);
        let queue = LineQueue { lines, dropped: Arc::default() };
        for number in 0..5 {
            let mut line = queue.make_writer();
            writeln!(line, "line {number}").unwrap();
        }
        let dropped = Arc::clone(&queue.dropped);
        drop(queue);
        let mut output = Vec::new();
        write_lines(&queued, &dropped, &mut output);
        let text = String::from_utf8(output).unwrap();
        assert_eq!(text, "line 0\nrefit: 3 log lines dropped, the reader was too slow\nline 1\n");
    }
}
