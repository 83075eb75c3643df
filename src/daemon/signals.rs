//! Signals: SIGTERM and SIGINT ask for a clean stop, SIGHUP is named and ignored.
//!
//! SIGPIPE needs nothing: Rust ignores it from the start, and writers see the error.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// The signals of this process, caught from the moment this value exists.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    /// # Errors
    /// A handler cannot be installed.
    pub fn catch() -> std::io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Cancels `stop` at the first SIGTERM or SIGINT, and goes on swallowing signals for as long as
    /// it is polled: a clean stop is bounded, so a second signal has nothing to add.
    pub async fn stop_on_request(mut self, stop: CancellationToken) {
        let mut hung_up = false;
        loop {
            let asked_by = tokio::select! {
                _ = self.terminate.recv() => "SIGTERM",
                _ = self.interrupt.recv() => "SIGINT",
                _ = self.hang_up.recv() => {
                    if !hung_up {
                        warn!("SIGHUP ignored: reload does not exist yet; restart instead");
                        hung_up = true;
                    }
                    continue;
                }
            };
            if !stop.is_cancelled() {
                info!("{asked_by}: stopping");
                stop.cancel();
            }
        }
    }
}
