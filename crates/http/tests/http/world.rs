//! Test environment: the HTTP interface with an engine whose ports are all simulated.

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use longhaul_adapters::memory::MemoryStore;
use longhaul_api::{Api, InstrumentedStore, LaunchDefaults, Metrics};
use longhaul_domain::NodeId;
use longhaul_engine::ports::{Clock, NodeDescriptor, StartRequest, Store};
use longhaul_engine::{Engine, EnginePorts, EngineSettings};
use longhaul_http::router;
use longhaul_testkit::fakes::{
    ChildScript, FakeEnvironmentStore, FaultyStore, ScriptedSpawner, SequentialIds, VirtualClock,
};
use longhaul_wire::api::{Problem, RetentionView, VersionReply};
use longhaul_wire::output::OutputFrame;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(crate) struct World {
    pub(crate) clock: VirtualClock,
    pub(crate) store: Arc<FaultyStore>,
    pub(crate) spawner: Arc<ScriptedSpawner>,
    pub(crate) orders: Arc<Mutex<Vec<StartRequest>>>,
    pub(crate) engine: Engine,
    pub(crate) router: axum::Router,
    api: Api,
}

/// Complete response to a test request.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(adjust: impl FnOnce(&mut EngineSettings)) -> Self {
        let clock = VirtualClock::default();
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let memory: Arc<dyn Store> = Arc::new(MemoryStore::new(shared.clone()));
        let store = Arc::new(FaultyStore::new(memory, shared.clone()));
        let orders = Arc::new(Mutex::new(Vec::new()));
        let noted = orders.clone();
        let spawner = Arc::new(ScriptedSpawner::casting(clock.clone(), move |order| {
            noted.lock().unwrap().push(order.clone());
            ChildScript::of_words(&order.command.program, &order.command.args)
        }));
        let mut settings = EngineSettings::of(NodeDescriptor {
            id: NodeId::new("here").unwrap(),
            home: None,
            boot: "boot-1".to_owned(),
            version: "0".to_owned(),
        });
        adjust(&mut settings);
        let metrics = Metrics::default();
        let parts = EnginePorts {
            store: Arc::new(InstrumentedStore::new(store.clone(), shared.clone(), metrics.clone())),
            spawner: spawner.clone(),
            output: Arc::new(spawner.output()),
            artifacts: Arc::new(spawner.artifacts()),
            prober: Arc::new(longhaul_engine::ports::NoopProber),
            signer: Arc::new(longhaul_engine::ports::NoopSigner),
            environments: Arc::new(FakeEnvironmentStore::default()),
            clock: shared,
            ids: Arc::new(SequentialIds::default()),
        };
        let api = Api {
            engine: Engine::start(parts, settings).await.unwrap(),
            about: Arc::new(VersionReply {
                version: "1.2.3".to_owned(),
                protocol: 1,
                ..VersionReply::default()
            }),
            defaults: LaunchDefaults::default(),
            retention: Some(RetentionView { age_ms: Some(60_000), count: Some(7), bytes: None }),
            metrics,
            relay: longhaul_api::EventBroadcast::default(),
            notice_window: longhaul_api::NOTICE_WINDOW,
            peers: longhaul_api::PeerClient::none(),
        };
        api.metrics.follow(&api.engine);
        let engine = api.engine.clone();
        Self { clock, store, spawner, orders, engine, router: router(api.clone()), api }
    }

    /// Replaces the router with a new one that has no cached responses, as if another manager were using the same
    /// store.
    pub(crate) fn reopen(&mut self) {
        self.router = router(self.api.clone());
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, Body::empty()).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.ask("POST", path, Body::from(body.to_string())).await
    }

    pub(crate) async fn ask(&self, method: &str, path: &str, body: Body) -> Answer {
        self.ask_with(method, path, &[], body).await
    }

    pub(crate) async fn ask_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Body,
    ) -> Answer {
        let request = Request::builder().method(method).uri(path);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let request = request.body(body).unwrap();
        let service = TowerToHyperService::new(self.router.clone());
        let (head, body) = service.call(request).await.unwrap().into_parts();
        Answer {
            status: head.status,
            headers: head.headers,
            bytes: body.collect().await.unwrap().to_bytes().into(),
        }
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.ask("PATCH", path, Body::from(body.to_string())).await
    }

    /// Sends a launch request and returns the id of the new process.
    pub(crate) async fn submit(&self, launch: Value) -> String {
        let answer = self.post("/v1/processes", launch).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["process"]["id"].as_str().unwrap().to_owned()
    }

    /// Launches a command and returns the id of its process. The simulated spawner interprets the words of the command
    /// as a script.
    pub(crate) async fn launch(&self, words: &str) -> String {
        self.submit(command(words)).await
    }

    pub(crate) async fn show(&self, id: &str) -> Value {
        let answer = self.get(&format!("/v1/processes/{id}")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    pub(crate) async fn pass(&self, span: Duration) {
        self.clock.run_for(span).await;
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap()
    }

    /// Checks the headers and fields of an error response and returns its problem document.
    pub(crate) fn problem(&self) -> Problem {
        assert_eq!(self.headers["content-type"], "application/problem+json", "{self:?}");
        assert_eq!(self.headers["longhaul-protocol"], "1");
        assert_eq!(self.headers["longhaul-version"], env!("CARGO_PKG_VERSION"));
        let problem: Problem = serde_json::from_slice(&self.bytes).unwrap();
        let id = self.headers["x-request-id"].to_str().unwrap();
        assert_eq!(problem.request_id.as_deref(), Some(id));
        assert_eq!(problem.instance, Some(format!("urn:longhaul:request:{id}")));
        assert_eq!(problem.status, self.status.as_u16());
        problem
    }

    pub(crate) fn frames(&self) -> Vec<OutputFrame> {
        let mut bytes = self.bytes.clone();
        let frames = std::iter::from_fn(|| OutputFrame::take(&mut bytes).unwrap()).collect();
        assert!(bytes.is_empty(), "half a frame is left");
        frames
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.status, String::from_utf8_lossy(&self.bytes))
    }
}

pub(crate) fn command(words: &str) -> Value {
    let mut words = words.split(' ');
    let program = words.next().unwrap();
    json!({ "command": { "program": program, "args": words.collect::<Vec<_>>(), "directory": "/work" } })
}

/// Returns a launch request with one additional field.
pub(crate) fn with(mut launch: Value, field: &str, value: Value) -> Value {
    launch[field] = value;
    launch
}

pub(crate) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Returns a launch request for a command that is a child of process `parent`.
pub(crate) fn child(words: &str, parent: &str) -> Value {
    with(command(words), "parent_id", json!(parent))
}
