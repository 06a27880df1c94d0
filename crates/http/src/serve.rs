//! Serves the routes over a Unix socket and over the network.

mod connections;
mod limiter;
mod malformed;
mod network;
mod service;
mod tls;

pub use connections::OpenConnections;
pub use network::{Network, serve_network};
pub use tls::{ServerTls, TlsError};

use crate::error_response::ErrorResponse;
use crate::request_id::identified;
use crate::router::named_protocol;
use axum::Router;
use axum::middleware::{from_fn, map_response};
use axum::response::IntoResponse;
use connections::Http1Options;
use hyper_util::service::TowerToHyperService;
use longhaul_api::ApiError;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Limits of a Unix socket server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketLimits {
    /// User id of the only user whose requests are served.
    pub owner: u32,
    /// Maximum number of open connections. A further connection gets the error `too_many_connections` and is closed.
    pub connections: usize,
    /// Time limit for the head of a request.
    pub header: Duration,
}

impl SocketLimits {
    /// Returns the default limits for a socket that serves the user with this id.
    #[must_use]
    pub const fn for_user(owner: u32) -> Self {
        Self { owner, connections: 4_096, header: Duration::from_secs(30) }
    }
}

/// Maximum size of a request head, in bytes. The read buffer of a connection has the same limit.
const HEAD: usize = 64 * 1024;
/// Maximum number of connections above the limit that get an error response at the same time. Further connections are
/// closed without a response.
const MAX_REJECTIONS: usize = 64;
/// Time limit for receiving a request on a connection above the limit. The response to this request is the error.
const REJECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Delay before the next `accept` call after one has failed, for example because there are no free file descriptors.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(50);

/// Accepts and serves connections until `stop` completes. Returns the connections that are still open at that time;
/// their tasks keep running.
pub async fn serve(
    listener: UnixListener,
    router: Router,
    bounds: SocketLimits,
    stop: impl Future<Output = ()>,
) -> OpenConnections {
    let mut connections = OpenConnections::none();
    let doors = NetworkAuth {
        known: router,
        stranger: refusing(|| {
            ApiError::new(403, "not_authorised", "this manager only serves its own user")
                .help("set LONGHAUL_STATE_DIR to a state directory that you own")
        }),
        limiter: refusing(|| {
            ApiError::new(
                503,
                "too_many_connections",
                "the maximum number of connections of the manager is reached",
            )
            .because("each waiting request and each followed output uses one connection")
            .help("cancel some of the waiting calls, then try again")
        }),
        room: Arc::new(Semaphore::new(bounds.connections)),
        told: Arc::new(Semaphore::new(MAX_REJECTIONS)),
        bounds,
    };
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => return connections,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) if is_abandoned(&stream) => {
                tracing::debug!("a client disconnected before its connection was served");
            }
            Ok((stream, _)) => match doors.choose(&stream) {
                Some(ConnectionContext { router, header, keep_alive, permit }) => {
                    let habits = Http1Options { header, keep_alive, head: HEAD };
                    connections.take(stream, TowerToHyperService::new(router), habits, permit);
                }
                None => tracing::debug!("closed a connection without a reply: too many connections"),
            },
            Err(error) => {
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
            }
        }
        connections.tidy();
    }
}

/// Chooses the router for a connection: the API router, or a router that refuses every request.
struct NetworkAuth {
    known: Router,
    stranger: Router,
    limiter: Router,
    room: Arc<Semaphore>,
    told: Arc<Semaphore>,
    bounds: SocketLimits,
}

/// Router for one connection, with the limits and the permit of the connection.
struct ConnectionContext {
    router: Router,
    header: Duration,
    keep_alive: bool,
    permit: OwnedSemaphorePermit,
}

impl NetworkAuth {
    /// Returns the router for a connection. Returns `None` if the connection must be closed without a response.
    fn choose(&self, stream: &UnixStream) -> Option<ConnectionContext> {
        let known = stream.peer_cred().is_ok_and(|peer| peer.uid() == self.bounds.owner);
        if let Ok(permit) = self.room.clone().try_acquire_owned() {
            let router = if known { &self.known } else { &self.stranger }.clone();
            return Some(ConnectionContext { router, header: self.bounds.header, keep_alive: true, permit });
        }
        let permit = self.told.clone().try_acquire_owned().ok()?;
        let header = self.bounds.header.min(REJECT_TIMEOUT);
        Some(ConnectionContext { router: self.limiter.clone(), header, keep_alive: false, permit })
    }
}

/// Builds a router that answers every request with the same error.
fn refusing(fault: impl Fn() -> ApiError + Clone + Send + Sync + 'static) -> Router {
    marked(Router::new().fallback(async move || ErrorResponse(fault()).into_response()))
}

/// Adds the version headers and the request id to every response, like the API router does.
fn marked(router: Router) -> Router {
    router.layer(map_response(named_protocol)).layer(from_fn(identified))
}

/// Returns true if the client has closed its connection in both directions. A client that has only finished sending can
/// still read.
fn is_abandoned(stream: &impl AsFd) -> bool {
    let mut ends = [PollFd::new(stream, PollFlags::empty())];
    let looked = poll(&mut ends, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
    looked.is_ok() && ends.iter().any(|end| end.revents().contains(PollFlags::HUP))
}
