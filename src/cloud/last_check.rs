//! The last check before an upgrade leaves: it runs once the connection stands and before the
//! request's first byte (rules S3 and S4).
//!
//! The upgrade client never reuses a connection, so wrapping its connector is enough: what the
//! wrapper lets through is followed by the request and nothing else. The check reaches it by a
//! task-local value, because the connector knows only the address; a connection made outside
//! such a task is refused, never let through unchecked.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

tokio::task_local! {
    static LAST_CHECK: Arc<dyn Gate>;
}

/// How far a request came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress<R> {
    /// No connection stood: not a byte of the request was sent.
    NoConnection,
    /// The check said no; the connection was dropped unused.
    Refused(R),
    /// The request was let go: from here on it counts as sent.
    Sent,
}

/// One request's check, for one connection.
pub struct LastCheck<R> {
    check: Box<dyn Fn() -> Result<(), R> + Send + Sync>,
    progress: Mutex<Progress<R>>,
}

/// The connection may not carry the request.
#[derive(Debug, thiserror::Error)]
#[error("the last check before sending said no")]
struct NotAllowed;

trait Gate: Send + Sync {
    fn allows(&self) -> bool;
}

impl<R: Send + 'static> LastCheck<R> {
    pub fn new(check: impl Fn() -> Result<(), R> + Send + Sync + 'static) -> Arc<LastCheck<R>> {
        Arc::new(LastCheck { check: Box::new(check), progress: Mutex::new(Progress::NoConnection) })
    }

    /// Drives `request`, whose connector must be wrapped by [`CheckLayer`].
    pub async fn guard<F: Future>(self: &Arc<Self>, request: F) -> F::Output {
        let gate: Arc<dyn Gate> = Arc::clone(self) as Arc<dyn Gate>;
        LAST_CHECK.scope(gate, request).await
    }

    /// How far the request came; a refusal is taken out.
    pub fn progress(&self) -> Progress<R> {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        match *progress {
            Progress::Sent => Progress::Sent,
            _ => std::mem::replace(&mut progress, Progress::NoConnection),
        }
    }
}

impl<R: Send + 'static> Gate for LastCheck<R> {
    fn allows(&self) -> bool {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(*progress, Progress::NoConnection) {
            // A second connection for one request: the first may have carried it.
            return false;
        }
        *progress = match (self.check)() {
            Ok(()) => Progress::Sent,
            Err(refusal) => Progress::Refused(refusal),
        };
        matches!(*progress, Progress::Sent)
    }
}

/// Wraps the connector of the upgrade client.
#[derive(Debug, Clone, Copy)]
pub struct CheckLayer;

impl<S> Layer<S> for CheckLayer {
    type Service = CheckedConnector<S>;

    fn layer(&self, connector: S) -> CheckedConnector<S> {
        CheckedConnector(connector)
    }
}

#[derive(Debug, Clone)]
pub struct CheckedConnector<S>(S);

impl<S, Address> Service<Address> for CheckedConnector<S>
where
    S: Service<Address, Error = BoxError>,
    S::Future: Send + 'static,
    S::Response: 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, address: Address) -> Self::Future {
        let connecting = self.0.call(address);
        Box::pin(async move {
            let connection = connecting.await?;
            match LAST_CHECK.try_with(|gate| gate.allows()) {
                Ok(true) => Ok(connection),
                Ok(false) | Err(_) => Err(Box::new(NotAllowed) as BoxError),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connector whose connections always stand.
    #[derive(Clone)]
    struct Instant;

    impl Service<()> for Instant {
        type Response = ();
        type Error = BoxError;
        type Future = std::future::Ready<Result<(), BoxError>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, (): ()) -> Self::Future {
            std::future::ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn a_connection_without_a_check_is_refused() {
        assert!(CheckLayer.layer(Instant).call(()).await.is_err());
    }

    #[tokio::test]
    async fn one_check_lets_one_connection_through() {
        let check = LastCheck::new(|| Ok::<(), ()>(()));
        assert_eq!(check.progress(), Progress::NoConnection);
        let mut connector = CheckLayer.layer(Instant);
        assert!(check.guard(connector.call(())).await.is_ok());
        assert!(check.guard(connector.call(())).await.is_err(), "a second connection");
        assert_eq!(check.progress(), Progress::Sent);
    }

    #[tokio::test]
    async fn a_refusal_tells_its_reason() {
        let check = LastCheck::new(|| Err("frozen"));
        assert!(check.guard(CheckLayer.layer(Instant).call(())).await.is_err());
        assert_eq!(check.progress(), Progress::Refused("frozen"));
    }
}
