//! The daemon's interfaces: probes over TCP, questions and orders over a Unix socket.
//!
//! Over TCP nothing can be changed and nothing of the fleet is shown. The socket's file mode says
//! who may talk to it, and the kernel says who does: that is the actor in every event. Every route
//! asks the loop by message and answers what it says; nothing is decided here.

mod health;
mod peer;
mod questions;
mod serve;
mod unix_socket;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::daemon::Handle;
use crate::exit::Exit;
use crate::store::{ReadOnly, StoreError};

pub use crate::engine::view::Why;
pub use questions::{EventsAnswer, OrderBody, Problem, REASON_MAX_BYTES};

use unix_socket::UnixSocket;

/// Why an interface cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum FacesError {
    #[error("cannot listen on {address} (api.listen)")]
    Listen {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot open the socket {} (api.socket)", path.display())]
    Socket {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// Somebody listens there: another daemon, with another store.
    #[error("another process answers at {}", path.display())]
    SocketInUse { path: PathBuf },
    #[error("the store cannot be read")]
    Store(#[source] StoreError),
}

impl FacesError {
    /// How the process ends that met this.
    pub fn exit(&self) -> Exit {
        match self {
            FacesError::Listen { .. } | FacesError::Socket { .. } => Exit::Configuration,
            FacesError::SocketInUse { .. } => Exit::StoreInUse,
            FacesError::Store(error) => error.exit(),
        }
    }
}

/// The interfaces, open and not yet answered.
#[derive(Debug)]
pub struct Faces {
    probes: Option<TcpListener>,
    socket: UnixSocket,
    store: ReadOnly,
    handle: Handle,
}

impl Faces {
    /// Opens `listen` for the probes, if it is wanted, and the `socket`. The daemon's store must be
    /// open, so that its lock has settled which process may do this.
    ///
    /// # Errors
    /// [`FacesError`]
    pub async fn bind(
        listen: Option<SocketAddr>,
        socket: &Path,
        store: &Path,
        handle: Handle,
    ) -> Result<Faces, FacesError> {
        let probes = match listen {
            Some(address) => Some(
                TcpListener::bind(address)
                    .await
                    .map_err(|source| FacesError::Listen { address, source })?,
            ),
            None => None,
        };
        let socket = UnixSocket::bind(socket).await?;
        let store = ReadOnly::open(store).await.map_err(FacesError::Store)?;
        Ok(Faces { probes, socket, store, handle })
    }

    /// Where the probes really listen: of interest where the port was left to the system.
    pub fn listens_on(&self) -> Option<SocketAddr> {
        self.probes.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// Answers until `stop`, then ends what is under way within a bound and removes the socket.
    pub async fn serve(self, stop: CancellationToken) {
        let (listener, socket_file) = self.socket.into_parts();
        let tasks = TaskTracker::new();
        if let Some(probes) = self.probes {
            let routes = health::routes(self.handle.clone());
            tasks.spawn(serve::serve(probes, routes, |_| None, stop.clone()));
        }
        let routes = questions::routes(self.handle, self.store.clone());
        tasks.spawn(serve::serve(listener, routes, peer::of, stop));
        tasks.close();
        tasks.wait().await;
        self.store.close().await;
        socket_file.remove();
    }
}
