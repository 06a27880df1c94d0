//! Test set-up: a server with a simulated engine environment, and clients of both protocol eras.

use crate::schema;
use longhaul_adapters::memory::MemoryStore;
use longhaul_api::{Api, LaunchDefaults, Metrics};
use longhaul_domain::{AttemptNo, NodeId};
use longhaul_engine::ports::{AttemptKey, Clock, NodeDescriptor, OutputSource, StartRequest, Store};
use longhaul_engine::{Engine, EnginePorts, EngineSettings};
use longhaul_mcp::McpInterface;
use longhaul_testkit::fakes::{
    ChildScript, FakeArtifactStore, FakeEnvironmentStore, FakeTestFiles, ScriptedSpawner, SequentialIds,
    VirtualClock,
};
use longhaul_wire::api::VersionReply;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ClientConfig,
    Implementation, ProtocolVersion, Tool,
};
use rmcp::service::RunningService;
use rmcp::{ClientLifecycleMode, ClientServiceExt, RoleClient};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream};

const ROOM: usize = 64 * 1024;
const TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) struct World {
    pub(crate) clock: VirtualClock,
    pub(crate) orders: Arc<Mutex<Vec<StartRequest>>>,
    pub(crate) artifacts: FakeArtifactStore,
    spawner: Arc<ScriptedSpawner>,
    pub(crate) api: Api,
    pub(crate) mcp: McpInterface,
    pub(crate) state: tempfile::TempDir,
}

/// Protocol era that a client uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Era {
    Initialize,
    Stateless,
}

/// Connected client, with the list of tools that it received.
pub(crate) struct Client {
    pub(crate) running: RunningService<RoleClient, ClientConfig>,
    tools: BTreeMap<String, Tool>,
}

impl World {
    pub(crate) async fn new() -> Self {
        let clock = VirtualClock::default();
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(shared.clone()));
        let orders = Arc::new(Mutex::new(Vec::new()));
        let noted = orders.clone();
        let spawner = Arc::new(ScriptedSpawner::casting(clock.clone(), move |order| {
            noted.lock().unwrap().push(order.clone());
            script(&order.command.program, &order.command.args)
        }));
        let mut settings = EngineSettings::of(NodeDescriptor {
            id: NodeId::new("here").unwrap(),
            home: None,
            boot: "boot-1".to_owned(),
            version: "0".to_owned(),
        });
        settings.test_runs.files = Arc::new(FakeTestFiles::default());
        let parts = EnginePorts {
            store,
            spawner: spawner.clone(),
            output: Arc::new(spawner.output()),
            artifacts: Arc::new(spawner.artifacts()),
            prober: Arc::new(longhaul_engine::ports::NoopProber),
            signer: Arc::new(longhaul_engine::ports::NoopSigner),
            environments: Arc::new(FakeEnvironmentStore::default()),
            clock: shared,
            ids: Arc::new(SequentialIds::default()),
        };
        let engine = Engine::start(parts, settings).await.unwrap();
        let api = Api {
            engine,
            about: Arc::new(VersionReply {
                version: "1.2.3".to_owned(),
                protocol: 1,
                ..VersionReply::default()
            }),
            defaults: LaunchDefaults::default(),
            retention: None,
            metrics: Metrics::default(),
            relay: longhaul_api::EventBroadcast::default(),
            notice_window: longhaul_api::NOTICE_WINDOW,
            peers: longhaul_api::PeerClient::none(),
        };
        let state = tempfile::tempdir().unwrap();
        let mcp = McpInterface::open(api.clone(), state.path()).unwrap();
        Self { clock, orders, artifacts: spawner.artifacts(), spawner, api, mcp, state }
    }

    /// Prints a text as the output of a running command, and lets the command exit.
    pub(crate) fn print_and_exit(&self, id: &str, text: &str, code: i32) {
        let key = AttemptKey { id: id.parse().unwrap(), attempt: AttemptNo(1) };
        self.spawner.output().write(key, OutputSource::Stdout, text.as_bytes());
        self.spawner.exit(key, code);
    }

    /// Returns the MCP interface as it is after a restart, without the state that it had in memory.
    pub(crate) fn restarted(&self) -> McpInterface {
        McpInterface::open(self.api.clone(), self.state.path()).unwrap()
    }

    pub(crate) async fn client(&self, era: Era) -> Client {
        self.client_of(era, opening()).await
    }

    pub(crate) async fn client_of(&self, era: Era, opening: Value) -> Client {
        Client::over(connect(&self.mcp, &opening).await, era, ClientCapabilities::default()).await
    }

    pub(crate) async fn tasks_client(&self, mcp: &McpInterface) -> Client {
        let capabilities = ClientCapabilities::builder().enable_tasks().build();
        Client::over(connect(mcp, &opening()).await, Era::Stateless, capabilities).await
    }

    pub(crate) async fn pass(&self, span: Duration) {
        self.clock.run_for(span).await;
    }

    /// Advances the clock until the future completes.
    pub(crate) async fn until<T>(&self, work: impl Future<Output = T>) -> T {
        let passing = async {
            loop {
                self.clock.run_for(Duration::from_millis(100)).await;
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            done = work => done,
            () = passing => unreachable!("the time does not overflow"),
        }
    }
}

impl Client {
    pub(crate) async fn over(stream: DuplexStream, era: Era, capabilities: ClientCapabilities) -> Self {
        Self::over_any(stream, era, capabilities).await
    }

    pub(crate) async fn over_any<S>(stream: S, era: Era, capabilities: ClientCapabilities) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let lifecycle = match era {
            Era::Initialize => ClientLifecycleMode::Initialize,
            Era::Stateless => {
                ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] }
            }
        };
        let config = ClientConfig::new(capabilities, Implementation::new("test", "1"));
        let running = config.serve_with_lifecycle(stream, lifecycle);
        let running = tokio::time::timeout(TIMEOUT, running).await.unwrap().unwrap();
        let tools = running.list_all_tools().await.unwrap();
        Self { running, tools: tools.into_iter().map(|tool| (tool.name.to_string(), tool)).collect() }
    }

    /// Calls a tool. Checks that the result matches the schema of the tool and that its text is the same JSON.
    pub(crate) async fn call(&self, tool: &str, arguments: Value) -> Value {
        let result = self.result(tool, arguments).await;
        assert_eq!(result.is_error, Some(false), "{tool}: {:?}", result.structured_content);
        result.structured_content.unwrap()
    }

    /// Calls a tool and returns the error. Fails if the call succeeds.
    pub(crate) async fn refusal(&self, tool: &str, arguments: Value) -> Value {
        let result = self.result(tool, arguments).await;
        assert_eq!(result.is_error, Some(true), "{tool}: {:?}", result.structured_content);
        let said: Value = serde_json::from_str(&result.content[0].as_text().unwrap().text).unwrap();
        for field in ["code", "message", "retryable"] {
            assert!(said.get(field).is_some(), "{field}: {said}");
        }
        said
    }

    async fn result(&self, tool: &str, arguments: Value) -> CallToolResult {
        let response = self.response(tool, arguments).await;
        let CallToolResponse::Complete(result) = response else {
            panic!("{tool} answered with {response:?}")
        };
        self.check(tool, &result);
        result
    }

    pub(crate) async fn response(&self, tool: &str, arguments: Value) -> CallToolResponse {
        let Value::Object(arguments) = arguments else { panic!("arguments are an object") };
        let call = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        self.running.call_tool_once(call).await.unwrap()
    }

    /// Checks a result. A successful result must match the output schema. An error must have no structured content,
    /// because clients that validate structured content would reject the error.
    fn check(&self, tool: &str, result: &CallToolResult) {
        if result.is_error == Some(true) {
            assert!(result.structured_content.is_none(), "{tool}: {result:?}");
            return;
        }
        let content = result.structured_content.as_ref().unwrap();
        let text = &result.content[0].as_text().unwrap().text;
        assert_eq!(&serde_json::from_str::<Value>(text).unwrap(), content, "{tool}");
        let known = &self.tools[tool];
        let expected = Value::Object(known.output_schema.as_deref().unwrap().clone());
        schema::check(&expected, content).unwrap_or_else(|wrong| panic!("{tool}: {wrong} in {content}"));
    }

    /// Starts a command and returns its id. The words of the command are the script that determines what it does.
    pub(crate) async fn start(&self, words: &str) -> String {
        let started = self.call("start_background_process", launch(words)).await;
        started["process_id"].as_str().unwrap().to_owned()
    }

    pub(crate) fn tools(&self) -> &BTreeMap<String, Tool> {
        &self.tools
    }
}

pub(crate) fn launch(words: &str) -> Value {
    json!({ "process_type": "build", "name": "a build", "command": words })
}

pub(crate) fn with(mut value: Value, field: &str, content: Value) -> Value {
    value[field] = content;
    value
}

pub(crate) fn opening() -> Value {
    json!({
        "longhaul_mcp": 1,
        "version": "0",
        "directory": "/work",
        "environment": { "PATH": "/bin", "TOKEN": "secret-value" },
    })
}

/// Opens a stream to the server and sends the handshake.
pub(crate) async fn connect(mcp: &McpInterface, opening: &Value) -> DuplexStream {
    let (mut near, far) = tokio::io::duplex(ROOM);
    let mcp = mcp.clone();
    tokio::spawn(async move { mcp.serve_stream(far, TIMEOUT).await });
    near.write_all(format!("{opening}\n").as_bytes()).await.unwrap();
    near
}

fn script(program: &str, args: &[String]) -> ChildScript {
    if program != "/bin/sh" {
        return ChildScript::of_words(program, args);
    }
    assert_eq!(args[0], "-c");
    let words: Vec<String> = args[1].split(' ').map(str::to_owned).collect();
    match words[0].as_str() {
        // Prints a text and fails.
        "complain" => {
            ChildScript::exits(Duration::from_millis(100), 1).printing(&format!("{}\n", words[1..].join(" ")))
        }
        // Prints many lines.
        "count" => {
            let lines: String = (1..=words[1].parse().unwrap()).map(|n: u32| format!("line {n}\n")).collect();
            ChildScript::exits(Duration::from_millis(100), 0).printing(&lines)
        }
        program => ChildScript::of_words(program, &words[1..]),
    }
}

/// Parses the text of a result as JSON.
pub(crate) fn said(result: &Value) -> Value {
    let text = result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{result}"));
    serde_json::from_str(text).unwrap_or_else(|_| panic!("{result}"))
}
