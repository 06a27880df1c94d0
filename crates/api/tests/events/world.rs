//! Runs the use cases of the API on an engine whose ports are all fakes.

use longhaul_adapters::memory::MemoryStore;
use longhaul_api::{Api, EventItem, Events, LaunchDefaults, Metrics};
use longhaul_domain::NodeId;
use longhaul_engine::ports::{Clock, NodeDescriptor, Store};
use longhaul_engine::{Engine, EnginePorts, EngineSettings, WaitCondition, WaitMode};
use longhaul_testkit::fakes::{
    ChildScript, FakeEnvironmentStore, FaultyStore, ScriptedSpawner, SequentialIds, StdinBehavior,
    VirtualClock,
};
use longhaul_wire::api::{LaunchRequest, VersionReply};
use longhaul_wire::event::{Envelope, EventsRequest};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Maximum number of events in the event log of a world.
pub(crate) const KEPT_EVENTS: u64 = 10_000;

/// The use cases of the API, and the fakes that survive a crash of the engine.
pub(crate) struct World {
    pub(crate) clock: VirtualClock,
    pub(crate) store: Arc<FaultyStore>,
    pub(crate) spawner: Arc<ScriptedSpawner>,
    ids: Arc<SequentialIds>,
    environments: Arc<FakeEnvironmentStore>,
    pub(crate) api: Api,
}

impl World {
    pub(crate) async fn new() -> Self {
        let clock = VirtualClock::default();
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let memory: Arc<dyn Store> = Arc::new(MemoryStore::new(shared.clone()).with_kept_events(KEPT_EVENTS));
        let store = Arc::new(FaultyStore::new(memory, shared));
        let spawner = Arc::new(ScriptedSpawner::casting(clock.clone(), |order| {
            let command = &order.command;
            match (command.program.as_str(), command.args.as_slice()) {
                // Fake command that prints its arguments and exits with code 3 after one second.
                ("says", words) => {
                    ChildScript::exits(Duration::from_secs(1), 3).printing(&format!("{}\n", words.join(" ")))
                }
                // Fake command that prints its arguments and waits for input.
                ("asks", words) => ChildScript {
                    reads: StdinBehavior::Once,
                    ..ChildScript::runs().printing(&format!("{}\n", words.join(" ")))
                },
                (program, args) => ChildScript::of_words(program, args),
            }
        }));
        let (ids, environments) =
            (Arc::new(SequentialIds::default()), Arc::new(FakeEnvironmentStore::default()));
        let api = api(&clock, &store, &spawner, &ids, &environments).await;
        Self { clock, store, spawner, ids, environments, api }
    }

    /// Simulates a crash of the manager, then starts a new manager with the same store and processes.
    pub(crate) async fn crash(&mut self) {
        self.api.engine.abandon();
        self.clock.settle().await;
        self.spawner = Arc::new(self.spawner.reopened());
        self.api = api(&self.clock, &self.store, &self.spawner, &self.ids, &self.environments).await;
    }

    pub(crate) async fn launch(&self, launch: Value) -> String {
        let request: LaunchRequest = serde_json::from_value(launch).unwrap();
        self.api.launch(request).await.unwrap().process.id
    }

    pub(crate) async fn run(&self, words: &str) -> String {
        self.launch(command(words)).await
    }

    pub(crate) async fn pass(&self, span: Duration) {
        self.clock.run_for(span).await;
    }

    /// Advances the clock by at most one day, until the process has ended.
    pub(crate) async fn end(&self, id: &str) {
        let ids = [id.parse().unwrap()];
        let ended = self.api.engine.wait(&ids, WaitCondition::Ended, WaitMode::All, None);
        self.clock.run_until(Duration::from_secs(86_400), ended).await.expect("it ends").unwrap();
    }

    /// Returns all items of the event stream for a request that does not follow the log.
    pub(crate) async fn told(&self, request: &EventsRequest) -> Vec<EventItem> {
        let mut events = self.api.events(request).await.unwrap();
        let mut told = Vec::new();
        while let Some(next) = events.next().await {
            told.push(next);
        }
        told
    }

    /// Returns the events of the event stream for a request, including gaps.
    pub(crate) async fn envelopes(&self, request: &EventsRequest) -> Vec<Envelope> {
        envelopes(&self.told(request).await)
    }
}

async fn api(
    clock: &VirtualClock,
    store: &Arc<FaultyStore>,
    spawner: &Arc<ScriptedSpawner>,
    ids: &Arc<SequentialIds>,
    environments: &Arc<FakeEnvironmentStore>,
) -> Api {
    let parts = EnginePorts {
        store: store.clone(),
        spawner: spawner.clone(),
        prober: Arc::new(longhaul_engine::ports::NoopProber),
        signer: Arc::new(longhaul_engine::ports::NoopSigner),
        output: Arc::new(spawner.output()),
        artifacts: Arc::new(spawner.artifacts()),
        environments: environments.clone(),
        clock: Arc::new(clock.clone()),
        ids: ids.clone(),
    };
    let node = NodeDescriptor {
        id: NodeId::new("my node").unwrap(),
        home: None,
        boot: "boot-1".to_owned(),
        version: "0".to_owned(),
    };
    let settings = EngineSettings { max_parallel: 0, ..EngineSettings::of(node) };
    Api {
        engine: Engine::start(parts, settings).await.unwrap(),
        about: Arc::new(VersionReply::default()),
        defaults: LaunchDefaults::default(),
        retention: None,
        metrics: Metrics::default(),
        relay: longhaul_api::EventBroadcast::default(),
        peers: longhaul_api::PeerClient::none(),
        notice_window: longhaul_api::NOTICE_WINDOW,
    }
}

/// Returns the next item. Fails if no item arrives within one hour of virtual time.
pub(crate) async fn next_of(world: &World, events: &mut Events) -> EventItem {
    let next = world.clock.run_until(Duration::from_secs(3_600), events.next()).await;
    next.flatten().expect("an event arrives")
}

pub(crate) fn envelopes(told: &[EventItem]) -> Vec<Envelope> {
    let envelope = |told: &EventItem| match told {
        EventItem::Event(envelope) | EventItem::Gap(envelope) => Some(Envelope::clone(envelope)),
        EventItem::CaughtUp { .. } => None,
    };
    told.iter().filter_map(envelope).collect()
}

/// Returns the types of events, in order.
pub(crate) fn words(envelopes: &[Envelope]) -> Vec<&str> {
    envelopes.iter().map(|envelope| envelope.event.as_str()).collect()
}

pub(crate) fn command(words: &str) -> Value {
    let mut words = words.split(' ');
    let program = words.next().unwrap();
    json!({ "command": { "program": program, "args": words.collect::<Vec<_>>(), "directory": "/work" } })
}

/// Sets a field of a launch request.
pub(crate) fn with(mut launch: Value, field: &str, value: Value) -> Value {
    launch[field] = value;
    launch
}

pub(crate) fn of_session(words: &str, session: &str) -> Value {
    with(command(words), "session_id", json!(session))
}
