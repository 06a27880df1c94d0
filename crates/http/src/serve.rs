//! Carries the routes over a socket.

use crate::fault::Fault;
use crate::router::named_protocol;
use axum::Router;
use axum::response::IntoResponse;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

/// What a socket takes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The user that may connect.
    pub owner: u32,
    /// The most connections at once; further ones wait to be taken.
    pub connections: usize,
    /// How long a client may take to send the head of a request.
    pub header: Duration,
}

impl Bounds {
    /// The usual bounds, for this user.
    #[must_use]
    pub const fn for_user(owner: u32) -> Self {
        Self { owner, connections: 256, header: Duration::from_secs(30) }
    }
}

/// The largest head of a request, and what is kept of a connection in memory.
const HEAD: usize = 64 * 1024;
/// When the system has no descriptor left, one may come free by then.
const RESPITE: Duration = Duration::from_millis(50);

/// Takes connections until `stop` is done. Those that are open then are handed back, still at work.
pub async fn serve(
    listener: UnixListener,
    router: Router,
    bounds: Bounds,
    stop: impl Future<Output = ()>,
) -> OpenConnections {
    let mut open = OpenConnections { graceful: GracefulShutdown::new(), tasks: JoinSet::new() };
    let stranger = Router::new()
        .fallback(async || {
            Fault::new(403, "not_authorised", "this manager serves its own user alone")
                .help("set LONGHAUL_STATE_DIR to a directory of your own")
                .into_response()
        })
        .layer(axum::middleware::map_response(named_protocol));
    let room = Arc::new(Semaphore::new(bounds.connections));
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => return open,
            accepted = accept(&listener, &room) => accepted,
        };
        match accepted {
            Ok((stream, permit)) => {
                let known = stream.peer_cred().is_ok_and(|peer| peer.uid() == bounds.owner);
                let router = if known { &router } else { &stranger };
                open.take(stream, router.clone(), &bounds, permit);
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(RESPITE).await;
            }
        }
        while open.tasks.try_join_next().is_some() {}
    }
}

async fn accept(
    listener: &UnixListener,
    room: &Arc<Semaphore>,
) -> std::io::Result<(UnixStream, OwnedSemaphorePermit)> {
    let permit = room.clone().acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, permit))
}

/// Connections that outlive the socket they came through.
pub struct OpenConnections {
    graceful: GracefulShutdown,
    tasks: JoinSet<()>,
}

impl std::fmt::Debug for OpenConnections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenConnections").field("open", &self.tasks.len()).finish_non_exhaustive()
    }
}

impl OpenConnections {
    /// Lets answers under way come to their end, for at most this long, and cuts off the rest.
    pub async fn close(self, patience: Duration) {
        let Self { graceful, mut tasks } = self;
        if tokio::time::timeout(patience, graceful.shutdown()).await.is_err() {
            tracing::debug!(open = tasks.len(), "connections were cut off");
        }
        tasks.shutdown().await;
    }

    fn take(&mut self, stream: UnixStream, router: Router, bounds: &Bounds, permit: OwnedSemaphorePermit) {
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(bounds.header)
            .max_buf_size(HEAD)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
        let connection = self.graceful.watch(connection);
        self.tasks.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended badly");
            }
            drop(permit);
        });
    }
}
