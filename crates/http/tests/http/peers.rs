//! Tests of requests that other nodes send over the network.

use crate::world::World;
use longhaul_api::{PEER_HEADER, PeerGate, PeerSecrets, SignedRequest, digest, prove};
use longhaul_domain::NodeId;
use longhaul_http::{Access, Guard, Network, TokenVerifier, serve_network};
use serde_json::json;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Timeout that is reached only if the code under test hangs.
const TIMEOUT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn node_that_proves_itself_reads_output_and_writes_input_and_does_nothing_else() {
    let door = Door::open().await;
    let id = door.id.clone();
    for part in ["text", "search?pattern=x", "output"] {
        let answer = door.ask("GET", &format!("/v1/processes/{id}/{part}"), "", Lie::None).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{part}: {answer}");
    }
    let body = json!({"text": "hello"}).to_string();
    let input = door.ask("POST", &format!("/v1/processes/{id}/input"), &body, Lie::None).await;
    assert!(
        input.contains("accepts no input") && !input.contains("peer_"),
        "the peer got the request: {input}"
    );
    for (method, path) in [
        ("GET", "/v1/processes".to_owned()),
        ("GET", format!("/v1/processes/{id}")),
        ("GET", "/metrics".to_owned()),
        ("POST", format!("/v1/processes/{id}/cancel")),
        ("POST", "/v1/reset".to_owned()),
        ("POST", "/mcp".to_owned()),
    ] {
        let answer = door.ask(method, &path, "", Lie::None).await;
        assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("peer_refused"), "{path}: {answer}");
    }
}

#[tokio::test]
async fn unproven_peer_request_is_rejected() {
    let door = Door::open().await;
    let path = format!("/v1/processes/{}/input", door.id);
    for lie in [Lie::Secret, Lie::Audience, Lie::Target, Lie::Body, Lie::Words, Lie::Token] {
        let answer = door.ask("POST", &path, "{\"text\":\"a\"}", lie).await;
        assert!(answer.starts_with("HTTP/1.1 401") && answer.contains("peer_unproven"), "{lie:?}: {answer}");
    }
}

#[tokio::test]
async fn proof_that_was_seen_by_others_opens_nothing_again() {
    let door = Door::open().await;
    let path = format!("/v1/processes/{}/text", door.id);
    let request = door.request("GET", &path, "", Lie::None);
    assert!(door.send(&request).await.starts_with("HTTP/1.1 200"));
    let again = door.send(&request).await;
    assert!(again.starts_with("HTTP/1.1 401") && again.contains("the signature was used before"), "{again}");
}

/// Error that a test puts into the proof of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lie {
    None,
    /// The proof was created with another secret.
    Secret,
    /// The proof was created for another receiving node.
    Audience,
    /// The proof was created for another path.
    Target,
    /// The proof was created for another request body.
    Body,
    /// The proof is replaced by arbitrary text.
    Words,
    /// The proof is replaced by arbitrary text, and the request has a valid token.
    Token,
}

#[derive(Debug)]
struct Secret(u8);

impl PeerSecrets for Secret {
    fn current(&self) -> Vec<[u8; 32]> {
        vec![[self.0; 32]]
    }
}

#[derive(Debug)]
struct One;

impl TokenVerifier for One {
    fn admit(&self, token: &str) -> Option<Access> {
        (token == "known").then_some(Access::Control)
    }
}

/// Manager for tests that listens on the network and has one process.
struct Door {
    _world: World,
    host: String,
    id: String,
}

impl Door {
    async fn open() -> Self {
        let world = World::new().await;
        let id = world.launch("echo hello world").await;
        let gate = PeerGate::new(NodeId::new("here").unwrap(), Arc::new(Secret(1)));
        let guard = Guard {
            hosts: Vec::new(),
            origins: Vec::new(),
            gate: Arc::new(One),
            peers: Some(Arc::new(gate)),
        };
        let network = Network::new(world.router.clone(), guard, None, 100);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        tokio::spawn(serve_network(listener, network, pending()));
        Self { _world: world, host, id }
    }

    fn request(&self, method: &str, target: &str, body: &str, lie: Lie) -> String {
        let secret = Secret(if lie == Lie::Secret { 2 } else { 1 });
        let name = |name: &str| NodeId::new(name).unwrap();
        let proven = SignedRequest {
            method,
            target: if lie == Lie::Target { "/v1/processes/other/input" } else { target },
            digest: digest(if lie == Lie::Body { b"{}" } else { body.as_bytes() }),
        };
        let to = name(if lie == Lie::Audience { "there" } else { "here" });
        let proof = match lie {
            Lie::Words | Lie::Token => "let me in".to_owned(),
            Lie::None | Lie::Secret | Lie::Audience | Lie::Target | Lie::Body => {
                prove(&secret, &name("asker"), &to, proven).unwrap()
            }
        };
        let token = if lie == Lie::Token { "authorization: Bearer known\r\n" } else { "" };
        let content = if body.is_empty() {
            String::new()
        } else {
            format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len())
        };
        format!(
            "{method} {target} HTTP/1.1\r\nhost: any.example\r\n{PEER_HEADER}: {proof}\r\n{token}{content}connection: close\r\n\r\n{body}"
        )
    }

    async fn send(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(&self.host).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        tokio::time::timeout(TIMEOUT, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    async fn ask(&self, method: &str, target: &str, body: &str, lie: Lie) -> String {
        self.send(&self.request(method, target, body, lie)).await
    }
}
