//! Serves the routes over the network.

use crate::guard::{Guard, ListenerKind, MCP, RequestRejection};
use crate::serve::connections::{Http1Options, OpenConnections, converse};
use crate::serve::limiter::{ConnectionLimiter, ConnectionLimits, ConnectionSlot};
use crate::serve::service::NetworkService;
use crate::serve::tls::ServerTls;
use crate::serve::{ACCEPT_RETRY_DELAY, is_abandoned, marked};
use axum::body::Body;
use axum::http::Request;
use axum::response::IntoResponse;
use axum::{Extension, Router};
use hyper::service::service_fn;
use hyper_util::server::graceful::Watcher;
use rustix::net::sockopt;
use std::convert::Infallible;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tower_service::Service;

/// Configuration of the network listeners: routes, access control, TLS and limits.
#[derive(Clone, Debug)]
pub struct Network {
    guard: Arc<Guard>,
    tls: Option<ServerTls>,
    control: Router,
    reading: Router,
    turning: Router,
    limiter: ConnectionLimiter,
    time_limit: Duration,
}

/// Maximum number of unauthenticated connections.
const MAX_UNAUTHENTICATED: usize = 256;
/// Maximum size of a request head, in bytes.
const HEAD: usize = 32 * 1024;
/// Time limit within which a client must authenticate, and within which each further request head or body must arrive.
pub(super) const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// Idle time before the first TCP keep-alive probe. The probes detect a client that has disappeared.
const SILENCE: Duration = Duration::from_secs(60);
/// Maximum time that sent data may stay unacknowledged before the connection is closed.
const WRITE_TIMEOUT: Duration = Duration::from_secs(120);

impl Network {
    /// Configures listeners that serve these routes. All listeners together serve at most `connections` clients at the
    /// same time. Without `tls`, the traffic is not encrypted.
    ///
    /// Clients with read-only tokens can use at most half of the connections.
    #[must_use]
    pub fn new(routes: Router, guard: Guard, tls: Option<ServerTls>, connections: usize) -> Self {
        let readers = (connections / 2).max(1);
        let room = ConnectionLimits {
            limit: connections,
            unauthenticated: MAX_UNAUTHENTICATED.min(connections),
            readers,
        };
        Self {
            guard: Arc::new(guard),
            tls,
            control: routes.clone(),
            reading: routes,
            turning: marked(
                Router::new().fallback(async |Extension(turned): Extension<RequestRejection>| turned),
            ),
            limiter: ConnectionLimiter::new(room),
            time_limit: HEADER_TIMEOUT,
        }
    }

    /// Adds the MCP endpoint at `/mcp`. The service `control` serves clients with full access, and `reading` serves
    /// clients with read-only access.
    #[must_use]
    pub fn with_mcp<S>(mut self, control: S, reading: S) -> Self
    where
        S: Service<Request<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
        S::Response: IntoResponse,
        S::Future: Send + 'static,
    {
        self.control = self.control.merge(marked(Router::new().route_service(MCP, control)));
        self.reading = self.reading.merge(marked(Router::new().route_service(MCP, reading)));
        self
    }

    /// Sets the time limit for authentication. The default is 30 seconds.
    #[must_use]
    pub const fn with_time_limit(mut self, time_limit: Duration) -> Self {
        self.time_limit = time_limit;
        self
    }
}

/// Accepts and serves connections until `stop` completes. Returns the connections that are still open at that time;
/// their tasks keep running.
pub async fn serve_network(
    listener: TcpListener,
    network: Network,
    stop: impl Future<Output = ()>,
) -> OpenConnections {
    let mut open = OpenConnections::none();
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => return open,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) if is_abandoned(&stream) => {
                tracing::debug!("a client disconnected before its connection was served");
            }
            Ok((stream, peer)) => welcome(stream, peer, &network, &mut open),
            Err(error) => {
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
            }
        }
        open.tidy();
    }
}

fn welcome(stream: TcpStream, peer: SocketAddr, network: &Network, open: &mut OpenConnections) {
    let local = match prepare(&stream) {
        Ok(local) => local,
        Err(error) => {
            tracing::debug!(%error, "a client disconnected before its connection was served");
            return;
        }
    };
    let Some((place, reported)) = network.limiter.acquire(peer.ip()) else {
        tracing::warn!(%peer, "closed a connection: the maximum number of connections is reached");
        return;
    };
    let door = ListenerKind { local, secure: network.tls.is_some() };
    let conversation = speak(stream, network.clone(), door, place.clone(), open.watcher());
    let time_limit = network.time_limit;
    open.spawn(async move {
        tokio::select! {
            () = conversation => {}
            () = unknown_after(&place, time_limit) => tracing::debug!(%peer, "closed a connection without an \
             authenticated request"),
            _ = reported => tracing::debug!(%peer, "closed an idle connection to make room for another"),
        }
    });
}

/// Sets the TCP options that detect a client that has disappeared. Returns the local address of the connection.
fn prepare(stream: &TcpStream) -> std::io::Result<SocketAddr> {
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, SILENCE)?;
    sockopt::set_tcp_keepintvl(stream, SILENCE / 4)?;
    sockopt::set_tcp_keepcnt(stream, 4)?;
    sockopt::set_tcp_user_timeout(stream, u32::try_from(WRITE_TIMEOUT.as_millis()).unwrap_or(u32::MAX))?;
    stream.local_addr()
}

async fn speak(
    stream: TcpStream,
    network: Network,
    door: ListenerKind,
    place: Arc<ConnectionSlot>,
    watcher: Watcher,
) {
    let Network { guard, tls, control, reading, turning, time_limit, limiter: _ } = network;
    let doorway = NetworkService { guard, door, control, reading, turning, place };
    let service = service_fn(move |request| doorway.clone().answer(request));
    let habits = Http1Options { header: time_limit, keep_alive: true, head: HEAD };
    match tls {
        None => converse(stream, service, habits, watcher).await,
        Some(ServerTls(acceptor)) => match acceptor.accept(stream).await {
            Ok(stream) => converse(stream, service, habits, watcher).await,
            Err(error) => tracing::debug!(%error, "the TLS handshake with a client failed"),
        },
    }
}

/// Completes after `time_limit` if the client is still unauthenticated at that time. Never completes if the client has
/// authenticated in time.
async fn unknown_after(place: &ConnectionSlot, time_limit: Duration) {
    tokio::time::sleep(time_limit).await;
    if !place.is_unauthenticated() {
        pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::{Access, TokenVerifier};
    use axum::routing::get;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Instant;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    const TIMEOUT: Duration = Duration::from_millis(300);
    /// Timeout that is reached only if the code under test hangs.
    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn client_that_does_not_authenticate_is_disconnected() {
        let test_server = House::open(100).await;
        for words in ["", "GET / HTTP/1.1\r\nHo", "\u{16}\u{3}\u{1}"] {
            let begun = Instant::now();
            let mut stream = test_server.connect().await;
            stream.write_all(words.as_bytes()).await.unwrap();
            let mut rest = Vec::new();
            tokio::time::timeout(LONG, stream.read_to_end(&mut rest)).await.expect("it is cut off").ok();
            assert!(begun.elapsed() >= TIMEOUT || !rest.is_empty(), "{words:?}");
        }
    }

    #[tokio::test]
    async fn client_that_sends_a_byte_now_and_then_is_cut_off_too() {
        let test_server = House::open(100).await;
        let mut stream = test_server.connect().await;
        stream.write_all(b"GET / HTTP/1.1\r\nX: ").await.unwrap();
        let dribble = async {
            while stream.write_all(b"x").await.is_ok() {
                tokio::time::sleep(TIMEOUT / 10).await;
            }
        };
        tokio::time::timeout(LONG, dribble).await.expect("it is cut off");
    }

    #[tokio::test]
    async fn answer_that_takes_its_time_is_not_cut_off() {
        let test_server = House::open(100).await;
        let mut stream = test_server.connect().await;
        test_server.ask(&mut stream, "/slow", "known").await;
        assert!(test_server.answer(&mut stream).await.ends_with("at last"));
    }

    #[tokio::test]
    async fn unauthenticated_client_gets_one_answer_and_an_authenticated_client_gets_all() {
        let test_server = House::open(100).await;
        let mut known = test_server.connect().await;
        for _ in 0..3 {
            test_server.ask(&mut known, "/", "known").await;
            assert!(test_server.answer(&mut known).await.starts_with("HTTP/1.1 200"));
        }
        let mut stranger = test_server.connect().await;
        test_server.ask(&mut stranger, "/", "unknown").await;
        let mut whole = String::new();
        tokio::time::timeout(LONG, stranger.read_to_string(&mut whole)).await.unwrap().unwrap();
        assert!(whole.starts_with("HTTP/1.1 401") && whole.contains("x-request-id"), "{whole}");
        assert!(whole.contains("\"request_id\":\""), "{whole}");
    }

    #[tokio::test]
    async fn a_full_listener_closes_the_connection_that_is_idle_the_longest() {
        let test_server = House::open(2).await;
        let mut first = test_server.connect().await;
        let mut second = test_server.connect().await;
        for stream in [&mut first, &mut second] {
            test_server.ask(stream, "/", "known").await;
            test_server.answer(stream).await;
        }
        let mut third = test_server.connect().await;
        test_server.ask(&mut third, "/", "known").await;
        assert!(test_server.answer(&mut third).await.starts_with("HTTP/1.1 200"));
        let gone = tokio::time::timeout(LONG, first.read(&mut [0])).await.expect("it had to go");
        assert!(matches!(gone, Ok(0) | Err(_)), "{gone:?}");
        test_server.ask(&mut second, "/", "known").await;
        assert!(test_server.answer(&mut second).await.starts_with("HTTP/1.1 200"));
    }

    #[tokio::test]
    async fn waiting_read_only_clients_do_not_displace_clients_with_full_access() {
        let test_server = House::open(8).await;
        let mut readers = Vec::new();
        for _ in 0..4 {
            let mut stream = test_server.connect().await;
            test_server.ask(&mut stream, "/never", "reader").await;
            readers.push(stream);
        }
        test_server.entered(4).await;
        for _ in 0..20 {
            let mut stream = test_server.connect().await;
            test_server.ask(&mut stream, "/never", "reader").await;
            let mut whole = String::new();
            tokio::time::timeout(LONG, stream.read_to_string(&mut whole)).await.unwrap().unwrap();
            assert!(whole.starts_with("HTTP/1.1 503") && whole.contains("too_many_connections"), "{whole}");
        }
        let mut known: Vec<TcpStream> = Vec::new();
        for _ in 0..4 {
            let mut stream = test_server.connect().await;
            test_server.ask(&mut stream, "/", "known").await;
            assert!(test_server.answer(&mut stream).await.starts_with("HTTP/1.1 200"));
            known.push(stream);
        }
        for stream in &mut known {
            test_server.ask(stream, "/", "known").await;
            assert!(test_server.answer(stream).await.starts_with("HTTP/1.1 200"), "none had to go");
        }
    }

    #[tokio::test]
    async fn head_may_have_exactly_the_maximum_size() {
        let test_server = House::open(100).await;
        for (length, is_taken) in [(HEAD, true), (HEAD + 1, false), (HEAD + 4_096, false)] {
            let mut stream = test_server.connect().await;
            let host = &test_server.host;
            let start = format!("GET / HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer known\r\nX: ");
            let head = format!("{start}{}\r\n\r\n", "x".repeat(length - start.len() - 4));
            stream.write_all(head.as_bytes()).await.unwrap();
            // The connection may be closed while the client is still sending.
            let mut word = [0; 12];
            let read = tokio::time::timeout(LONG, stream.read_exact(&mut word)).await.unwrap();
            assert_eq!(read.is_ok() && word == *b"HTTP/1.1 200", is_taken, "{length}: {word:?}");
        }
    }

    #[tokio::test]
    async fn tunnel_is_refused() {
        let test_server = House::open(100).await;
        let mut stream = test_server.connect().await;
        let host = &test_server.host;
        let head = format!(
            "CONNECT evil.example:80 HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer known\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        assert!(test_server.answer(&mut stream).await.starts_with("HTTP/1.1 403"));
    }

    /// Test server with three routes: one answers immediately, one answers slowly, and one never answers.
    struct House {
        host: String,
        /// Number of requests that the route that never answers has received.
        waiting: Arc<AtomicUsize>,
    }

    impl House {
        async fn open(connections: usize) -> Self {
            let slow = async || {
                tokio::time::sleep(TIMEOUT * 3).await;
                "at last"
            };
            let waiting = Arc::new(AtomicUsize::new(0));
            let counted = waiting.clone();
            let never = async move || {
                counted.fetch_add(1, Ordering::Relaxed);
                pending::<&str>().await
            };
            let routes = Router::new()
                .route("/", get(async || "here"))
                .route("/slow", get(slow))
                .route("/never", get(never));
            let guard = Guard { hosts: Vec::new(), origins: Vec::new(), gate: Arc::new(One), peers: None };
            let network = Network::new(routes, guard, None, connections).with_time_limit(TIMEOUT);
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let host = listener.local_addr().unwrap().to_string();
            tokio::spawn(serve_network(listener, network, pending()));
            Self { host, waiting }
        }

        /// Waits until the route that never answers has received `count` requests.
        async fn entered(&self, count: usize) {
            let all = async {
                while self.waiting.load(Ordering::Relaxed) < count {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(LONG, all).await.expect("they are let in");
        }

        async fn connect(&self) -> TcpStream {
            TcpStream::connect(&self.host).await.unwrap()
        }

        async fn ask(&self, stream: &mut TcpStream, path: &str, token: &str) {
            let host = &self.host;
            let head =
                format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
        }

        /// Reads once and returns the text. The responses in this test are small enough to arrive in a single read.
        async fn answer(&self, stream: &mut TcpStream) -> String {
            let mut text = vec![0; 4_096];
            let length = tokio::time::timeout(LONG, stream.read(&mut text)).await.unwrap().unwrap();
            text.truncate(length);
            String::from_utf8(text).unwrap()
        }
    }

    #[derive(Debug)]
    struct One;

    impl TokenVerifier for One {
        fn admit(&self, token: &str) -> Option<Access> {
            match token {
                "known" => Some(Access::Control),
                "reader" => Some(Access::ReadOnly),
                _ => None,
            }
        }
    }
}
