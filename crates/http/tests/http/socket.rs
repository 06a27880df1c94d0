use crate::world::{World, millis};
use longhaul_http::{OpenConnections, SocketLimits, serve};
use longhaul_wire::api::Problem;
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const HEALTH: &[u8] = b"GET /v1/health HTTP/1.1\r\nhost: longhaul\r\nconnection: close\r\n\r\n";
/// Timeout that is reached only if the code under test hangs.
const TIMEOUT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn owner_is_served_and_another_user_is_rejected() {
    let server = Server::start(bounds()).await;
    assert!(server.answer(HEALTH).await.starts_with("HTTP/1.1 200"));
    let mut strange = bounds();
    strange.owner += 1;
    let server = Server::start(strange).await;
    let answer = server.answer(HEALTH).await;
    assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("not_authorised"), "{answer}");
    assert!(answer.contains("longhaul-protocol: 1"));
}

#[tokio::test]
async fn slow_and_silent_clients_do_not_delay_other_clients() {
    let server = Server::start(bounds()).await;
    let mut slow = Vec::new();
    for _ in 0..50 {
        let mut client = server.connect().await;
        client
            .write_all(b"POST /v1/processes HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
            .await
            .unwrap();
        slow.push(client);
        slow.push(server.connect().await);
    }
    assert!(server.answer(HEALTH).await.starts_with("HTTP/1.1 200"));
    drop(slow);
}

#[tokio::test]
async fn client_that_never_sends_its_head_is_disconnected() {
    let mut bounds = bounds();
    bounds.header = millis(50);
    let server = Server::start(bounds).await;
    let mut client = server.connect().await;
    client.write_all(b"GET /v1/hea").await.unwrap();
    let mut rest = Vec::new();
    let cut = tokio::time::timeout(TIMEOUT, client.read_to_end(&mut rest)).await;
    assert!(cut.is_ok(), "the connection stays open");
}

#[tokio::test]
async fn unreadable_request_gets_a_problem_document() {
    let server = Server::start(bounds()).await;
    let large = format!("GET /v1/health HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "y".repeat(70_000));
    for (request, status) in [
        (&b"\0nonsense\r\n\r\n"[..], 400),
        (b"GET /v1/health HTTP/9.9\r\nhost: x\r\n\r\n", 400),
        (b"POST /v1/reset HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n", 400),
        (large.as_bytes(), 431),
    ] {
        let answer = server.answer(request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(answer.contains("content-type: application/problem+json\r\n"), "{answer}");
        assert!(answer.contains("x-request-id: ") && answer.contains("longhaul-protocol: 1"), "{answer}");
        let problem: Problem = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
        assert_eq!((problem.status, problem.slug.as_str()), (status, "invalid_request"));
    }
    let read = server.answer(b"GET /nowhere HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    let problem: Problem = serde_json::from_str(read.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!((problem.status, problem.slug.as_str()), (404, "not_found"), "{read}");
}

#[tokio::test]
async fn connection_above_the_limit_receives_an_error_immediately() {
    let mut bounds = bounds();
    bounds.connections = 2;
    let server = Server::start(bounds).await;
    let (first, second) = (server.connect().await, server.connect().await);
    let answer = server.answer(b"GET /v1/health HTTP/1.1\r\nhost: longhaul\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("too_many_connections"), "{answer}");
    assert!(answer.contains("longhaul-protocol: 1") && answer.contains("connection: close"), "{answer}");
    drop((first, second));
    let deadline = tokio::time::Instant::now() + TIMEOUT;
    while !server.answer(HEALTH).await.starts_with("HTTP/1.1 200") {
        assert!(tokio::time::Instant::now() < deadline, "the connection slot is not released");
    }
}

#[tokio::test]
async fn hundreds_of_long_waits_do_not_block_other_requests() {
    let server = Server::start(bounds()).await;
    let id = server.world.launch("run").await;
    let wait = format!("GET /v1/wait?id={id} HTTP/1.1\r\nhost: x\r\n\r\n");
    let mut waiting = Vec::new();
    for _ in 0..300 {
        let mut client = server.connect().await;
        client.write_all(wait.as_bytes()).await.unwrap();
        waiting.push(client);
    }
    assert!(server.answer(HEALTH).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn request_of_a_disconnected_client_is_not_executed() {
    let idle = Server::prepare();
    let launch = crate::world::command("run").to_string();
    let head = format!("POST /v1/processes HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", launch.len());
    let request = [head.as_bytes(), launch.as_bytes()].concat();
    let mut gone = UnixStream::connect(&idle.path).await.unwrap();
    gone.write_all(&request).await.unwrap();
    drop(gone);
    let mut silent = UnixStream::connect(&idle.path).await.unwrap();
    silent.write_all(&request).await.unwrap();
    silent.shutdown().await.unwrap();
    let server = idle.start(bounds()).await;
    let mut answer = [0; 12];
    tokio::time::timeout(TIMEOUT, silent.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"HTTP/1.1 201");
    let all = server.world.get("/v1/processes").await.json();
    assert_eq!(all["processes"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn garbage_ends_only_its_own_connection() {
    let server = Server::start(bounds()).await;
    for garbage in [&b"\x00\x01\x02\xff\xfe\r\n\r\n"[..], b"GET / HTTP/9.9\r\n\r\n", b"GET /\x7f\r\n\r\n"] {
        let answer = server.answer(garbage).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    let long = [b"GET /", vec![b'x'; 100_000].as_slice(), b" HTTP/1.1\r\n\r\n"].concat();
    server.answer(&long).await;
    assert!(server.answer(HEALTH).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn shutdown_of_the_server_disconnects_waiting_clients() {
    let mut server = Server::start(bounds()).await;
    let id = server.world.launch("run").await;
    let mut waiting = server.connect().await;
    let wait = format!("GET /v1/wait?id={id} HTTP/1.1\r\nhost: x\r\n\r\n");
    waiting.write_all(wait.as_bytes()).await.unwrap();
    assert!(server.answer(HEALTH).await.starts_with("HTTP/1.1 200"));
    server.stop.take().unwrap().send(()).unwrap();
    let open = server.task.take().unwrap().await.unwrap();
    assert!(UnixStream::connect(&server.path).await.is_err(), "the server still accepts connections");
    open.close(millis(50)).await;
    let mut rest = Vec::new();
    let cut = tokio::time::timeout(TIMEOUT, waiting.read_to_end(&mut rest)).await;
    assert!(cut.is_ok() && rest.is_empty());
}

struct Server {
    world: World,
    path: PathBuf,
    stop: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<OpenConnections>>,
    _directory: tempfile::TempDir,
}

/// Bound Unix socket on which no server is running yet.
struct Prepared {
    listener: UnixListener,
    path: PathBuf,
    directory: tempfile::TempDir,
}

impl Prepared {
    async fn start(self, bounds: SocketLimits) -> Server {
        let Self { listener, path, directory } = self;
        let world = World::new().await;
        let (stop, stopped) = oneshot::channel::<()>();
        let router = world.router.clone();
        let task = tokio::spawn(async move {
            serve(listener, router, bounds, async {
                let _ = stopped.await;
            })
            .await
        });
        Server { world, path, stop: Some(stop), task: Some(task), _directory: directory }
    }
}

impl Server {
    fn prepare() -> Prepared {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s.sock");
        let listener = UnixListener::bind(&path).unwrap();
        Prepared { listener, path, directory }
    }

    async fn start(bounds: SocketLimits) -> Self {
        Self::prepare().start(bounds).await
    }

    async fn connect(&self) -> UnixStream {
        UnixStream::connect(&self.path).await.unwrap()
    }

    /// Sends a request and returns all received bytes. The server may close the connection before the whole request was
    /// sent.
    async fn answer(&self, request: &[u8]) -> String {
        let mut client = self.connect().await;
        let _ = client.write_all(request).await;
        let mut answer = Vec::new();
        let read = client.read_to_end(&mut answer);
        let _ = tokio::time::timeout(TIMEOUT, read).await.expect("it hangs");
        String::from_utf8_lossy(&answer).into_owned()
    }
}

fn bounds() -> SocketLimits {
    SocketLimits::for_user(rustix::process::geteuid().as_raw())
}
