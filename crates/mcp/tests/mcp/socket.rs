//! Tests of the MCP interface over a Unix socket.

use crate::world::{Era, World, opening};
use longhaul_mcp::ListenerLimits;
use rmcp::model::ClientCapabilities;
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const TIMEOUT: Duration = Duration::from_secs(10);

struct Served {
    path: PathBuf,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

fn serve(world: &World, adjust: impl FnOnce(&mut ListenerLimits)) -> Served {
    let path = world.state.path().join("mcp.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let mut bounds = ListenerLimits::for_user(rustix::process::geteuid().as_raw());
    adjust(&mut bounds);
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async move { drop(stopped.await) };
    Served { path, stop, task: tokio::spawn(world.mcp.clone().serve(listener, bounds, stopped)) }
}

async fn rest(mut stream: UnixStream) -> String {
    let mut text = String::new();
    tokio::time::timeout(TIMEOUT, stream.read_to_string(&mut text)).await.unwrap().unwrap();
    text
}

#[tokio::test]
async fn clients_of_both_eras_are_served_until_the_end() {
    let world = World::new().await;
    let served = serve(&world, |_| {});
    let mut clients = Vec::new();
    for era in [Era::Initialize, Era::Stateless] {
        let mut stream = UnixStream::connect(&served.path).await.unwrap();
        stream.write_all(format!("{}\n", opening()).as_bytes()).await.unwrap();
        let client = crate::world::Client::over_any(stream, era, ClientCapabilities::default()).await;
        client.start("run").await;
        clients.push(client);
    }
    served.stop.send(()).unwrap();
    tokio::time::timeout(TIMEOUT, served.task).await.unwrap().unwrap();
    for client in clients {
        tokio::time::timeout(TIMEOUT, client.running.waiting()).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn stream_without_a_handshake_gets_an_error_and_is_closed() {
    let world = World::new().await;
    let served = serve(&world, |bounds| bounds.handshake = Duration::from_millis(100));
    for said in ["{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\"}\n", "GET / HTTP/1.1\r\n\r\n", ""] {
        let mut stream = UnixStream::connect(&served.path).await.unwrap();
        stream.write_all(said.as_bytes()).await.unwrap();
        let reported = rest(stream).await;
        let reported: Value = serde_json::from_str(reported.trim_end()).unwrap();
        assert!(reported["longhaul_mcp_error"]["title"].is_string(), "{reported}");
    }
}

#[tokio::test]
async fn silent_client_keeps_no_connection() {
    let world = World::new().await;
    let served = serve(&world, |bounds| bounds.handshake = Duration::from_millis(100));
    let mut stream = UnixStream::connect(&served.path).await.unwrap();
    stream.write_all(format!("{}\n", opening()).as_bytes()).await.unwrap();
    assert_eq!(rest(stream).await, "");
}

#[tokio::test]
async fn other_users_are_not_served() {
    let world = World::new().await;
    let served = serve(&world, |bounds| bounds.owner = bounds.owner.wrapping_add(1));
    let stream = UnixStream::connect(&served.path).await.unwrap();
    assert_eq!(rest(stream).await, "");
}

#[tokio::test]
async fn connections_are_limited_and_closed_connections_free_capacity() {
    let world = World::new().await;
    let served = serve(&world, |bounds| bounds.connections = 2);
    let held =
        [UnixStream::connect(&served.path).await.unwrap(), UnixStream::connect(&served.path).await.unwrap()];
    // Connections are accepted in order, so the third connection exceeds the limit.
    let third = UnixStream::connect(&served.path).await.unwrap();
    assert_eq!(rest(third).await, "");
    drop(held);
    let until = std::time::Instant::now() + TIMEOUT;
    loop {
        let mut stream = UnixStream::connect(&served.path).await.unwrap();
        // A rejected connection may be closed before this write.
        let _ = stream.write_all(b"nonsense\n").await;
        let mut text = String::new();
        let read = stream.read_to_string(&mut text).await;
        if read.is_ok() && !text.is_empty() {
            break;
        }
        assert!(std::time::Instant::now() < until, "no connection slot was released");
    }
}
