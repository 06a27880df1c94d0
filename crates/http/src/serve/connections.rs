//! Open connections.

use crate::serve::malformed::MalformedRequestStream;
use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;

/// Connections that are still open after their listener has stopped.
pub struct OpenConnections {
    graceful: GracefulShutdown,
    tasks: JoinSet<()>,
}

/// HTTP settings of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Http1Options {
    /// Time limit for the head of a request.
    pub(super) header: Duration,
    /// True if the connection may carry more than one request.
    pub(super) keep_alive: bool,
    /// Maximum size of a request head, in bytes. The read buffer has the same limit.
    pub(super) head: usize,
}

impl std::fmt::Debug for OpenConnections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenConnections").field("open", &self.tasks.len()).finish_non_exhaustive()
    }
}

impl OpenConnections {
    pub(super) fn none() -> Self {
        Self { graceful: GracefulShutdown::new(), tasks: JoinSet::new() }
    }

    /// Waits until the current responses are complete, but at most `time_limit`. Then aborts the remaining connections.
    pub async fn close(self, time_limit: Duration) {
        let Self { graceful, mut tasks } = self;
        if tokio::time::timeout(time_limit, graceful.shutdown()).await.is_err() {
            tracing::debug!(
                open = tasks.len(),
                "closed the remaining connections after the shutdown time \
                limit"
            );
        }
        tasks.shutdown().await;
    }

    /// Serves a connection in a separate task. Drops `held` when the connection ends.
    pub(super) fn take<I, S>(
        &mut self,
        stream: I,
        service: S,
        habits: Http1Options,
        held: impl Send + 'static,
    ) where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        S: Service<Request<Incoming>, Response = Response<Body>> + Send + 'static,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        S::Future: Send + 'static,
    {
        let watcher = self.graceful.watcher();
        self.spawn(async move {
            converse(stream, service, habits, watcher).await;
            drop(held);
        });
    }

    /// Returns a watcher that closes its connection gracefully when the manager shuts down.
    pub(super) fn watcher(&self) -> Watcher {
        self.graceful.watcher()
    }

    pub(super) fn spawn(&mut self, conversation: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(conversation);
    }

    /// Removes the finished tasks of connections that have ended.
    pub(super) fn tidy(&mut self) {
        while self.tasks.try_join_next().is_some() {}
    }
}

/// Answers the requests on a connection until the connection ends.
pub(super) async fn converse<I, S>(stream: I, service: S, habits: Http1Options, watcher: Watcher)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<Body>> + Send,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let heard = Arc::new(AtomicBool::new(false));
    let stream = MalformedRequestStream::new(TokioIo::new(stream), heard.clone());
    let service = service_fn(move |request| {
        heard.store(true, Ordering::Release);
        service.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(habits.header)
        .keep_alive(habits.keep_alive)
        .max_buf_size(habits.head)
        // Without this limit, hyper could accept a larger head, because it may read more than one buffer in one step.
        .max_header_size(habits.head)
        .serve_connection(stream, service);
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "a connection ended with an error");
    }
}
