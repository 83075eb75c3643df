//! Ends the process when its loop stands still (rule L3), whether or not systemd watches it.
//!
//! A thread of its own, because a loop that stands still may have taken the runtime with it. It
//! counts its own waking seconds, so a suspended machine or a stopped process does not look like a
//! loop that stands still: after either, the loop has a full minute to turn again.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::exit::Exit;

use super::handle::{Beat, STILL_AFTER};

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Watches until it is dropped.
#[derive(Debug)]
pub(super) struct Watchdog {
    /// Dropped to call the thread off.
    leash: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// # Errors
    /// The thread cannot be started.
    pub fn start(beat: Beat) -> std::io::Result<Watchdog> {
        let (leash, called_off) = channel();
        let watch = move || {
            let mut patience = Patience::new(beat.get().0);
            while called_off.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                if patience.is_over(beat.get().0) {
                    tracing::error!("the loop stands still for a minute: ending the process");
                    super::logging::flush();
                    std::process::exit(i32::from(Exit::Bug.code()));
                }
            }
        };
        let thread = std::thread::Builder::new().name("watchdog".into()).spawn(watch)?;
        Ok(Watchdog { leash: Some(leash), thread: Some(thread) })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.leash = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the watchdog's thread had panicked");
        }
    }
}

/// Counts looks that found the beat unchanged.
#[derive(Debug)]
struct Patience {
    seen: i64,
    unchanged: u64,
}

impl Patience {
    fn new(beat: i64) -> Patience {
        Patience { seen: beat, unchanged: 0 }
    }

    fn is_over(&mut self, beat: i64) -> bool {
        if beat != self.seen {
            *self = Patience::new(beat);
        } else {
            self.unchanged += 1;
        }
        self.unchanged >= STILL_AFTER.to_std().as_secs() / LOOK_EVERY.as_secs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_ends_after_a_minute_without_a_beat_and_not_before() {
        let mut patience = Patience::new(5);
        assert!((0..59).all(|_| !patience.is_over(5)));
        assert!(!patience.is_over(6), "a beat starts the minute again");
        assert!((0..59).all(|_| !patience.is_over(6)));
        assert!(patience.is_over(6));
    }
}
