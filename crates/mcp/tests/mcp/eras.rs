//! Tests of both protocol eras: the older one with `initialize`, and the stateless one.

use crate::world::{Era, World, connect, opening};
use rmcp::model::{ClientRequest, ListToolsRequest};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};

#[tokio::test]
async fn clients_of_both_protocol_versions_get_server_info_and_instructions() {
    let world = World::new().await;
    for era in [Era::Initialize, Era::Stateless] {
        let client = world.client(era).await;
        let info = client.running.peer_info().unwrap();
        let server = info.server_info.clone().unwrap();
        assert_eq!((server.name.as_str(), server.version.as_str()), ("longhaul", "1.2.3"), "{era:?}");
        let instructions = info.instructions.clone().unwrap();
        assert!(instructions.contains("longhaul wait"), "{era:?}: {instructions}");
        assert!(info.capabilities.resources.clone().unwrap().subscribe == Some(true), "{era:?}");
        assert_eq!(info.capabilities.supports_tasks(), era == Era::Stateless, "{era:?}");
    }
}

#[tokio::test]
async fn every_revision_with_an_introduction_is_spoken() {
    for version in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let mut wire = Wire::open().await;
        let params = json!({ "protocolVersion": version, "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
        wire.say(json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params })).await;
        let answer = wire.hear().await;
        assert_eq!(answer["result"]["protocolVersion"], version);
        assert!(answer["result"]["capabilities"].get("extensions").is_none(), "{answer}");
        wire.say(json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await;
        wire.say(json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list" })).await;
        let tools = wire.hear().await;
        let listed = tools["result"]["tools"].as_array().unwrap();
        assert_eq!(listed.len(), 18, "{version}");
        // Protocol revisions without structured content have no output schemas.
        let described = listed.iter().filter(|tool| tool.get("outputSchema").is_some()).count();
        assert_eq!(described, if version < "2025-06-18" { 0 } else { 18 }, "{version}");
        assert!(tools["result"].get("resultType").is_none(), "{version}");
    }
}

#[tokio::test]
async fn list_of_tools_may_be_kept_for_five_minutes() {
    let client = World::new().await.client(Era::Stateless).await;
    let request = ClientRequest::ListToolsRequest(ListToolsRequest::default());
    let listed = client.running.send_request(request).await.unwrap();
    let listed = serde_json::to_value(listed).unwrap();
    assert_eq!((&listed["ttlMs"], &listed["cacheScope"]), (&json!(300_000), &json!("private")));
}

#[tokio::test]
async fn unknown_tool_and_unknown_method_are_errors_of_the_protocol() {
    let mut wire = Wire::introduced().await;
    let params = json!({ "name": "make_coffee", "arguments": {} });
    wire.say(json!({ "jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": params })).await;
    assert_eq!(wire.hear().await["error"]["code"], -32_602);
    wire.say(json!({ "jsonrpc": "2.0", "id": 6, "method": "coffee/make" })).await;
    assert_eq!(wire.hear().await["error"]["code"], -32_601);
}

#[tokio::test]
async fn undeclared_method_is_not_answered() {
    let mut wire = Wire::introduced().await;
    let reference =
        json!({ "ref": { "type": "ref/prompt", "name": "x" }, "argument": { "name": "a", "value": "" } });
    for (method, params) in [
        ("prompts/list", json!({})),
        ("prompts/get", json!({ "name": "x" })),
        ("completion/complete", reference),
        ("logging/setLevel", json!({ "level": "info" })),
    ] {
        wire.say(json!({ "jsonrpc": "2.0", "id": 5, "method": method, "params": params })).await;
        assert_eq!(wire.hear().await["error"]["code"], -32_601, "{method}");
    }
}

#[tokio::test]
async fn invalid_messages_do_not_end_a_connection() {
    let mut wire = Wire::introduced().await;
    for nonsense in ["nonsense", "{", "[]", "{\"jsonrpc\":\"2.0\"}", "\u{0}\u{1}", ""] {
        wire.write(nonsense).await;
    }
    wire.say(json!({ "jsonrpc": "2.0", "id": 9, "method": "tools/list" })).await;
    loop {
        let heard = wire.hear().await;
        if heard["id"] == 9 {
            assert!(heard["result"]["tools"].is_array());
            break;
        }
        assert!(heard.get("error").is_some(), "{heard}");
    }
}

/// Client that writes raw JSON lines, without the SDK.
struct Wire {
    stream: BufReader<DuplexStream>,
    _world: World,
}

impl Wire {
    async fn open() -> Self {
        let world = World::new().await;
        Self { stream: BufReader::new(connect(&world.mcp, &opening()).await), _world: world }
    }

    async fn introduced() -> Self {
        let mut wire = Self::open().await;
        let params = json!({
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": { "name": "t", "version": "1" },
        });
        wire.say(json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params })).await;
        wire.hear().await;
        wire.say(json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await;
        wire
    }

    async fn say(&mut self, message: Value) {
        self.write(&message.to_string()).await;
    }

    async fn write(&mut self, line: &str) {
        self.stream.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    async fn hear(&mut self) -> Value {
        let mut line = String::new();
        let read = self.stream.read_line(&mut line);
        tokio::time::timeout(std::time::Duration::from_secs(10), read).await.unwrap().unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }
}
