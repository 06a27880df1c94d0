//! Connections that are open.

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

/// Connections that outlive the socket they came through.
pub struct OpenConnections {
    graceful: GracefulShutdown,
    tasks: JoinSet<()>,
}

/// How a connection is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Http1Options {
    /// How long the head of a request may take.
    pub(super) header: Duration,
    /// More than one request may come.
    pub(super) keep_alive: bool,
    /// The largest head of a request, and what is kept of a connection in memory.
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

    /// Lets answers under way come to their end, for at most this long, and cuts off the rest.
    pub async fn close(self, patience: Duration) {
        let Self { graceful, mut tasks } = self;
        if tokio::time::timeout(patience, graceful.shutdown()).await.is_err() {
            tracing::debug!(open = tasks.len(), "closed the remaining connections");
        }
        tasks.shutdown().await;
    }

    /// Serves a connection, and holds `held` as long.
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

    /// What sees to it that a connection ends when the manager does.
    pub(super) fn watcher(&self) -> Watcher {
        self.graceful.watcher()
    }

    pub(super) fn spawn(&mut self, conversation: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(conversation);
    }

    /// Forgets those that have ended.
    pub(super) fn tidy(&mut self) {
        while self.tasks.try_join_next().is_some() {}
    }
}

/// Answers on a connection until it ends.
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
        // More than a buffer's worth may be read at once, and would be understood.
        .max_header_size(habits.head)
        .serve_connection(stream, service);
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "a connection ended with an error");
    }
}
