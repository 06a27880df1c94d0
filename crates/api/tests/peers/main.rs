//! Tests requests to a node that sends its replies very slowly. The engines use only fake ports.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use async_trait::async_trait;
use longhaul_adapters::memory::MemoryStore;
use longhaul_api::{Api, EventBroadcast, LaunchDefaults, Metrics, PeerClient, PeerConfig, ReadFrom};
use longhaul_domain::{AttemptNo, NodeId};
use longhaul_engine::ports::{
    NodeAdvertisement, NodeDescriptor, NoopProber, NoopSigner, PeerBody, PeerError, PeerHttpRequest,
    PeerResponse, StoredProcess,
};
use longhaul_engine::{Engine, EnginePorts, EngineSettings};
use longhaul_testkit::fakes::{FakeEnvironmentStore, ScriptedSpawner, SequentialIds, VirtualClock};
use longhaul_wire::api::{LaunchRequest, ReadRequest, SearchRequest, VersionReply};
use longhaul_wire::output::{FrameKind, OutputFrame};
use serde_json::json;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Maximum time until a reader that does not follow the output gets a reply or an error.
const BOUND: Duration = Duration::from_secs(20);
/// Time after which the test fails.
const LONG: Duration = Duration::from_secs(600);

/// Fake transport to other nodes. The transport sends each reply in several chunks, with a pause before each chunk.
#[derive(Clone, Debug)]
struct Trickling {
    pieces: Vec<Vec<u8>>,
    pause: Duration,
    /// True if the body stays open but sends no bytes after the last chunk. False if the body ends after the last
    /// chunk.
    goes_on: bool,
}

#[async_trait]
impl longhaul_engine::ports::PeerTransport for Trickling {
    async fn ask(&self, _: &PeerHttpRequest) -> Result<PeerResponse, PeerError> {
        let Self { pieces, pause, goes_on } = self.clone();
        let body = Body { pieces: pieces.into(), pause, next_at: Instant::now() + pause, goes_on };
        Ok(PeerResponse { status: 200, body: Box::new(body) })
    }
}

#[derive(Debug)]
struct Body {
    pieces: VecDeque<Vec<u8>>,
    pause: Duration,
    /// Time at which the next chunk is sent. Cancelled and repeated reads do not delay the chunk.
    next_at: Instant,
    goes_on: bool,
}

#[async_trait]
impl PeerBody for Body {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, PeerError> {
        tokio::time::sleep_until(self.next_at).await;
        self.next_at += self.pause;
        match self.pieces.pop_front() {
            None if self.goes_on => std::future::pending().await,
            next => Ok(next),
        }
    }
}

/// Creates a transport that sends one byte every two seconds, for longer than any reader should wait.
fn drops() -> Trickling {
    let page = vec![vec![b' ']; 1_000];
    Trickling { pieces: page, pause: Duration::from_secs(2), goes_on: true }
}

/// Creates a transport that sends `count` complete frames with one byte of output each.
fn small_frames(count: u64, pause: Duration) -> Trickling {
    let frame = |offset| {
        let mut frame = Vec::new();
        OutputFrame { kind: FrameKind::Stdout, offset, at: 0, bytes: vec![b'x'] }.encode(&mut frame);
        frame
    };
    Trickling { pieces: (0..count).map(frame).collect(), pause, goes_on: true }
}

/// Creates a transport that sends one frame byte by byte.
fn slow_frame(pause: Duration) -> Trickling {
    let mut frame = Vec::new();
    OutputFrame { kind: FrameKind::Stdout, offset: 0, at: 0, bytes: vec![b'x'; 400] }.encode(&mut frame);
    Trickling { pieces: frame.into_iter().map(|byte| vec![byte]).collect(), pause, goes_on: true }
}

/// Returns the API of one node, and a process on another node that responds like `peer`.
async fn before(peer: Trickling) -> (Api, StoredProcess) {
    let clock = VirtualClock::default();
    let store = MemoryStore::new(Arc::new(clock.clone()))
        .with_leases(Duration::from_secs(5), Duration::from_secs(10));
    let api = |name: &str, seed: u64, peers: PeerClient| {
        let (name, store, clock) = (NodeId::new(name).unwrap(), store.clone(), clock.clone());
        async move {
            let facts =
                NodeDescriptor { id: name, home: None, boot: "boot".to_owned(), version: "0".to_owned() };
            let address = Some("http+unix:///nowhere".to_owned());
            let offer = NodeAdvertisement { address, ..NodeAdvertisement::default() };
            let spawner = Arc::new(ScriptedSpawner::new(clock.clone()));
            let parts = EnginePorts {
                store: Arc::new(store),
                output: Arc::new(spawner.output()),
                artifacts: Arc::new(spawner.artifacts()),
                spawner,
                prober: Arc::new(NoopProber),
                signer: Arc::new(NoopSigner),
                environments: Arc::new(FakeEnvironmentStore::default()),
                clock: Arc::new(clock),
                ids: Arc::new(SequentialIds::seeded(seed)),
            };
            let engine =
                Engine::start(parts, EngineSettings { offer, ..EngineSettings::of(facts) }).await.unwrap();
            Api {
                engine,
                about: Arc::new(VersionReply::default()),
                defaults: LaunchDefaults::default(),
                retention: None,
                metrics: Metrics::default(),
                relay: EventBroadcast::default(),
                peers,
                notice_window: longhaul_api::NOTICE_WINDOW,
            }
        }
    };
    let ways =
        PeerConfig { carrier: Arc::new(peer), secrets: None, boot: "boot".to_owned(), in_the_clear: false };
    let here = api("here", 1, PeerClient::new(ways)).await;
    let there = api("there", 2, PeerClient::none()).await;
    let command = json!({ "command": { "program": "runs", "args": [], "directory": "/work" } });
    let request: LaunchRequest = serde_json::from_value(command).unwrap();
    let id = there.launch(request).await.unwrap().process.id;
    clock.settle().await;
    let stored = here.engine.process(id.parse().unwrap()).await.unwrap();
    assert_eq!(stored.process.attempt, AttemptNo(1), "the process runs on the other node");
    (here, stored)
}

#[tokio::test(start_paused = true)]
async fn a_page_of_a_node_that_trickles_is_refused_in_time() {
    let (api, stored) = before(drops()).await;
    let id = stored.process.id.to_string();
    let begun = Instant::now();
    let refused = api.read_output(&id, &ReadRequest::default()).await.unwrap_err();
    assert_eq!(refused.problem().slug, "node_unreachable");
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    let begun = Instant::now();
    let search = SearchRequest { pattern: "x".to_owned(), ..SearchRequest::default() };
    let refused = api.search_output(&id, &search).await.unwrap_err();
    assert_eq!(refused.problem().slug, "node_unreachable");
    assert!(begun.elapsed() < BOUND, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn slow_output_of_a_node_ends_in_time_with_the_received_bytes() {
    let silent = Trickling { pieces: Vec::new(), pause: Duration::ZERO, goes_on: true };
    for peer in [
        silent,
        small_frames(1, Duration::ZERO),
        small_frames(1_000, Duration::from_millis(4_900)),
        slow_frame(Duration::from_millis(900)),
        drops(),
    ] {
        let (api, stored) = before(peer.clone()).await;
        let begun = Instant::now();
        let mut output = api.following(&stored, AttemptNo(1), None, false, ReadFrom::From(0)).await.unwrap();
        output.open().await.unwrap();
        let told = async { while let Ok(Some(_)) = output.next().await {} };
        tokio::time::timeout(LONG, told).await.unwrap();
        assert!(begun.elapsed() < BOUND, "{:?}: {peer:?}", begun.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn large_output_of_a_node_is_returned_completely() {
    let pieces = (0..100_u64).map(|piece| {
        let mut frame = Vec::new();
        OutputFrame { kind: FrameKind::Stdout, offset: piece * 4_096, at: 0, bytes: vec![b'x'; 4_096] }
            .encode(&mut frame);
        frame
    });
    let mut pieces: Vec<_> = pieces.collect();
    let mut end = Vec::new();
    OutputFrame { kind: FrameKind::End, offset: 409_600, at: 0, bytes: Vec::new() }.encode(&mut end);
    pieces.push(end);
    let (api, stored) = before(Trickling { pieces, pause: Duration::from_secs(3), goes_on: true }).await;
    let mut output = api.following(&stored, AttemptNo(1), None, false, ReadFrom::From(0)).await.unwrap();
    output.open().await.unwrap();
    let mut told = 0;
    while let Some(frame) = output.next().await.unwrap() {
        told += frame.bytes.len();
    }
    assert_eq!(told, 409_600);
}

#[tokio::test(start_paused = true)]
async fn a_follower_is_notified_of_a_missing_frame() {
    let (api, stored) = before(slow_frame(Duration::from_millis(900))).await;
    let mut output = api.following(&stored, AttemptNo(1), None, true, ReadFrom::From(0)).await.unwrap();
    output.open().await.unwrap();
    let note = tokio::time::timeout(BOUND, output.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(note.kind, FrameKind::Note);
    assert!(String::from_utf8(note.bytes).unwrap().contains("too slowly"));
}

#[tokio::test(start_paused = true)]
async fn a_follower_waits_for_the_next_frame_however_long_there_is_none() {
    let (api, stored) = before(small_frames(3, Duration::from_secs(120))).await;
    let mut output = api.following(&stored, AttemptNo(1), None, true, ReadFrom::From(0)).await.unwrap();
    output.open().await.unwrap();
    for offset in 0..3 {
        let frame = tokio::time::timeout(LONG, output.next()).await.unwrap().unwrap().unwrap();
        assert_eq!((frame.kind, frame.offset), (FrameKind::Stdout, offset));
    }
}
