//! The simulated cloud over HTTP: DCS, IAM and the metadata address on one loopback port.
//!
//! Requests are checked and decided one at a time under a lock; waiting and writing happen outside
//! it. Signatures are checked by code of its own.

mod caller;
mod decided;
mod heard;
mod iam;
mod render;
mod route;
mod serve;
mod shape;
mod signature;
mod wire;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::wire::{Orders, Wire};
use super::log::{Keep, Log, LogLine, Sink};
use super::world::World;
use super::world::knobs::Types;
use crate::model::{Millis, Wall};

/// After a failure to accept (out of file descriptors, say).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where to listen and what to write down.
pub struct SimOptions {
    /// Port 0: any free one.
    pub listen: SocketAddr,
    pub log: Option<Sink>,
    pub keep: Keep,
}

impl SimOptions {
    /// Any free port on loopback, the log in memory.
    pub fn in_memory() -> SimOptions {
        SimOptions { listen: ([127, 0, 0, 1], 0).into(), log: None, keep: Keep::Lines }
    }
}

/// A simulated cloud that answers. Dropping it ends it.
pub struct Running {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    _stop: DropGuard,
    cancel: CancellationToken,
    accepting: JoinHandle<()>,
}

/// What all connections share.
struct Shared {
    inner: Mutex<Inner>,
    begun: Instant,
    clock_ahead: Millis,
    types: Types,
    connections: AtomicU64,
}

struct Inner {
    world: World,
    log: Log,
    requests: u64,
    metadata_tokens: BTreeMap<String, Wall>,
}

/// Starts answering.
///
/// # Errors
/// Where the address cannot be listened on.
pub async fn start(world: World, options: SimOptions) -> io::Result<Running> {
    let listener = TcpListener::bind(options.listen).await?;
    let address = listener.local_addr()?;
    let (clock_ahead, types) = (world.knobs().clock_ahead.0, world.knobs().types);
    let shared = Arc::new(Shared {
        inner: Mutex::new(Inner {
            world,
            log: Log::new(options.log, options.keep),
            requests: 0,
            metadata_tokens: BTreeMap::new(),
        }),
        begun: Instant::now(),
        clock_ahead,
        types,
        connections: AtomicU64::new(0),
    });
    let now = shared.cloud_time();
    shared.inner().world.advance(now);
    let cancel = CancellationToken::new();
    let accepting = tokio::spawn(accept(listener, shared.clone(), cancel.clone()));
    Ok(Running { address, shared, _stop: cancel.clone().drop_guard(), cancel, accepting })
}

impl Running {
    /// The base URL of DCS, IAM and the metadata address, without a trailing slash.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Looks at the world, or changes it, with everything that is due by now done.
    pub fn world<T>(&self, with: impl FnOnce(&mut World) -> T) -> T {
        let mut inner = self.shared.inner();
        inner.advance(&self.shared);
        let result = with(&mut inner.world);
        inner.log_changes(&self.shared);
        result
    }

    /// The cloud's clock.
    pub fn now(&self) -> Wall {
        self.shared.cloud_time()
    }

    /// The log so far, where it is kept.
    pub fn lines(&self) -> Vec<LogLine> {
        let mut inner = self.shared.inner();
        inner.advance(&self.shared);
        inner.log.lines().to_vec()
    }

    /// Stops answering and writes what happened until now.
    ///
    /// # Errors
    /// Where the log could not be written.
    pub async fn shutdown(self) -> io::Result<()> {
        self.cancel.cancel();
        self.accepting.await.map_err(io::Error::other)?;
        let mut inner = self.shared.inner();
        inner.advance(&self.shared);
        inner.log.take_failure().map_or(Ok(()), Err)
    }
}

impl Shared {
    /// One poisoned request must not end the simulation of the others: every change of the world
    /// is whole before anything can panic.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wall(&self) -> Wall {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Wall(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// What the cloud believes the time to be.
    fn cloud_time(&self) -> Wall {
        self.wall() + self.clock_ahead
    }

    fn mono_ns(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

impl Inner {
    fn advance(&mut self, shared: &Shared) {
        self.world.advance(shared.cloud_time());
        self.log_changes(shared);
    }

    /// Writes the changes of tasks since the last line, with the log's own clock.
    fn log_changes(&mut self, shared: &Shared) {
        for change in self.world.take_task_changes() {
            let at = change.at - shared.clock_ahead;
            self.log.task(change, at);
        }
    }
}

/// Accepts until it is cancelled; then ends every connection.
async fn accept(listener: TcpListener, shared: Arc<Shared>, cancel: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = cancel.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let number = shared.connections.fetch_add(1, Ordering::Relaxed) + 1;
                    connections.spawn(connection(stream, number, shared.clone()));
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
        }
    }
    connections.shutdown().await;
}

async fn connection(stream: TcpStream, number: u64, shared: Arc<Shared>) {
    if stream.set_nodelay(true).is_err() {
        // The peer has left already.
        return;
    }
    let orders = Orders::new();
    let wire = TokioIo::new(Wire::new(stream, orders.clone()));
    let service =
        service_fn(|request| serve::serve(shared.clone(), number, orders.clone(), request));
    let served = http1::Builder::new().timer(TokioTimer::new()).serve_connection(wire, service);
    match served.await {
        // Callers that leave and answers that are cut short end like this on purpose.
        Ok(()) | Err(_) => {}
    }
}
