//! What systemd is told: readiness, the watchdog's pings, a status line, the stop.
//!
//! The loop hands messages over; a thread of its own sends them, since a notification socket that
//! is full would block. A message that finds the queue full is dropped: the next says the same.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use sd_notify::NotifyState;

/// Messages that may wait for the notification socket.
const QUEUE: usize = 16;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Message {
    Ready,
    Stopping,
    Alive,
    Status(String),
}

/// Speaks to systemd until it is dropped; outside systemd it speaks to nobody.
#[derive(Debug)]
pub(super) struct Notifier {
    queue: Option<SyncSender<Message>>,
    thread: Option<JoinHandle<()>>,
    /// How often systemd wants to hear that the loop turns.
    watchdog: Option<Duration>,
}

impl Notifier {
    /// # Errors
    /// The thread cannot be started.
    pub fn start() -> std::io::Result<Notifier> {
        let (queue, queued) = sync_channel(QUEUE);
        let thread =
            std::thread::Builder::new().name("notify".into()).spawn(move || deliver(&queued))?;
        Ok(Notifier {
            queue: Some(queue),
            thread: Some(thread),
            watchdog: sd_notify::watchdog_enabled(),
        })
    }

    /// Half of what systemd waits for, so that one late ping is no death. `None`: no watchdog.
    pub fn ping_every(&self) -> Option<Duration> {
        self.watchdog.map(|limit| limit / 2).filter(|every| !every.is_zero())
    }

    pub fn ready(&self) {
        self.push(Message::Ready);
    }

    pub fn stopping(&self) {
        self.push(Message::Stopping);
    }

    pub fn alive(&self) {
        self.push(Message::Alive);
    }

    pub fn status(&self, line: String) {
        self.push(Message::Status(line));
    }

    fn push(&self, message: Message) {
        let queue = self.queue.as_ref().expect("it is only taken when dropped");
        if let Err(TrySendError::Full(message)) = queue.try_send(message) {
            tracing::debug!(?message, "systemd does not read: message dropped");
        }
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the notifying thread had panicked");
        }
    }
}

fn deliver(queued: &Receiver<Message>) {
    while let Ok(message) = queued.recv() {
        let state = match &message {
            Message::Ready => NotifyState::Ready,
            Message::Stopping => NotifyState::Stopping,
            Message::Alive => NotifyState::Watchdog,
            Message::Status(line) => NotifyState::Status(line),
        };
        if let Err(error) = sd_notify::notify(&[state]) {
            tracing::warn!(%error, ?message, "systemd not told");
        }
    }
}
