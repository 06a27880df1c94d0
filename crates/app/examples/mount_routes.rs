//! Mounts the routes of longhaul in a web service.
//!
//! Run the example with `cargo run -p longhaul --example mount_routes`. It sends some requests to itself and exits.
//! With `--stay` it serves until it is stopped. Every client that can reach the port has full access, so add your own
//! authorization layer.

use axum::Router;
use axum::routing::get;
use longhaul_adapters::memory::MemoryStore;
use longhaul_adapters::os::{ContainmentChoice, OsArtifacts, OsOptions, OsOutput, OsSpawner};
use longhaul_adapters::system::{FileEnvironmentStore, RandomIds, SystemClock};
use longhaul_api::{Api, LaunchDefaults, Metrics};
use longhaul_domain::NodeId;
use longhaul_engine::ports::{Clock, NodeDescriptor};
use longhaul_engine::{Engine, EnginePorts, EngineSettings, Shutdown};
use longhaul_wire::api::{PROTOCOL, VersionReply};
use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

fn main() -> Result<(), Box<dyn Error>> {
    longhaul_shim::run_if_asked();
    tokio::runtime::Runtime::new()?.block_on(service())
}

async fn service() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let engine = start(dir.path()).await?;
    let about = VersionReply { version: "1".to_owned(), protocol: PROTOCOL, ..VersionReply::default() };
    let defaults = LaunchDefaults::default();
    let api = Api {
        engine: engine.clone(),
        about: Arc::new(about),
        defaults,
        retention: None,
        metrics: Metrics::default(),
        relay: longhaul_api::EventBroadcast::default(),
        notice_window: longhaul_api::NOTICE_WINDOW,
        peers: longhaul_api::PeerClient::none(),
    };
    let app = Router::new()
        .route("/hello", get(|| async { "hello from the service itself" }))
        .nest("/jobs", longhaul_http::router(api));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    let mut out = std::io::stdout();
    writeln!(out, "listening on http://{address}")?;
    if std::env::args().any(|argument| argument == "--stay") {
        return Ok(server.await??);
    }
    writeln!(out, "{}", ask(address, "GET", "/hello", "").await?)?;
    let launch = r#"{"command": {"program": "/bin/true", "directory": "/"}, "name": "job"}"#;
    ask(address, "POST", "/jobs/v1/processes", launch).await?;
    let waited = ask(address, "GET", "/jobs/v1/wait?id=job", "").await?;
    writeln!(out, "the job is completed: {}", waited.contains(r#""status":"completed""#))?;
    engine.shut_down(Shutdown::StopAll).await?;
    Ok(())
}

/// Sends a request and returns the body of the response.
async fn ask(
    to: std::net::SocketAddr,
    method: &str,
    path: &str,
    body: &str,
) -> Result<String, Box<dyn Error>> {
    let mut stream = TcpStream::connect(to).await?;
    let head = format!("{method} {path} HTTP/1.1\r\nhost: {to}\r\nconnection: close\r\n");
    let kind = "content-type: application/json";
    let request = format!("{head}{kind}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).ok_or("no answer")?)
}

/// Creates an engine as in the example `embed`.
async fn start(dir: &Path) -> Result<Engine, Box<dyn Error>> {
    let clock = SystemClock::open(dir)?;
    let boot = clock.boot_id().to_owned();
    let attempts = dir.join("attempts");
    let spawner = OsSpawner::open(OsOptions {
        attempts_dir: attempts.clone(),
        shim: std::env::current_exe()?,
        anchor_ms: clock.anchor_ms(),
        boot_id: boot.clone(),
        containment: ContainmentChoice::Auto,
        adopt_orphans: false,
        open_files: None,
    })?;
    let clock: Arc<dyn Clock> = Arc::new(clock);
    let parts = EnginePorts {
        store: Arc::new(MemoryStore::new(clock.clone())),
        prober: Arc::new(spawner.prober()),
        signer: Arc::new(longhaul_engine::ports::NoopSigner),
        spawner: Arc::new(spawner),
        output: Arc::new(OsOutput::open(&attempts)?),
        artifacts: Arc::new(OsArtifacts::open(&attempts)?),
        environments: Arc::new(FileEnvironmentStore::open(dir)?),
        clock,
        ids: Arc::new(RandomIds),
    };
    let node = NodeDescriptor { id: NodeId::new("service")?, home: None, boot, version: "1".to_owned() };
    Ok(Engine::start(parts, EngineSettings::of(node)).await?)
}
