//! Connections within limits: how many, how large, how long.
//!
//! One request per connection. The clients are probes and operators' commands; what matters is
//! that none of them, slow or hostile, keeps another out for long.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Extension};
use axum::serve::Listener;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::daemon::handle::LONG_ANSWER_WITHIN;

use super::peer::Actor;

/// Connections at once; more wait in the listener's queue.
const CONNECTIONS: usize = 64;

/// A request whose head is not in by then is given up.
const HEAD_WITHIN: Duration = Duration::from_secs(5);

/// One whole connection: the loop's longest answer, and as long again to send a large plan.
const CONNECTION_WITHIN: Duration = Duration::from_secs(60);

const _: () = assert!(LONG_ANSWER_WITHIN.as_secs() * 2 < CONNECTION_WITHIN.as_secs());

/// Of a request's head, in bytes and in headers.
const HEAD_MAX_BYTES: usize = 64 * 1024;
const HEADERS_MAX: usize = 64;

/// Of a request's body: an order is a few hundred bytes, its reason included.
const BODY_MAX_BYTES: usize = 64 * 1024;

/// What is under way when the daemon ends may finish within this.
const END_WITHIN: Duration = Duration::from_secs(1);

/// Serves until `stop`. `actor` tells who is at the other end.
pub(super) async fn serve<L: Listener>(
    mut listener: L,
    routes: Router,
    actor: impl Fn(&L::Io) -> Option<Actor>,
    stop: CancellationToken,
) {
    let routes = routes.layer(DefaultBodyLimit::max(BODY_MAX_BYTES));
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    let tasks = TaskTracker::new();
    let mut next = async || {
        let permit = Arc::clone(&permits).acquire_owned().await.expect("it is never closed");
        let (io, _) = listener.accept().await;
        (permit, io)
    };
    while let Some((permit, io)) = stop.run_until_cancelled(next()).await {
        let routes = routes.clone().layer(Extension(actor(&io)));
        let stop = stop.clone();
        tasks.spawn(async move {
            connection(io, routes, stop).await;
            drop(permit);
        });
    }
    tasks.close();
    if tokio::time::timeout(END_WITHIN, tasks.wait()).await.is_err() {
        tracing::debug!(connections = tasks.len(), "cut off");
    }
}

async fn connection<Io>(io: Io, routes: Router, stop: CancellationToken)
where
    Io: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(HEAD_MAX_BYTES)
        .max_headers(HEADERS_MAX)
        .keep_alive(false);
    let connection = builder.serve_connection(TokioIo::new(io), TowerToHyperService::new(routes));
    let mut connection = std::pin::pin!(tokio::time::timeout(CONNECTION_WITHIN, connection));
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = stop.cancelled() => match tokio::time::timeout(END_WITHIN, connection).await {
            Ok(ended) => ended,
            Err(late) => Err(late),
        },
    };
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "connection ended early"),
        Err(_) => tracing::debug!("connection took too long"),
    }
}
