//! Tests of the MCP interface over streamable HTTP.

use crate::world::{World, launch, said, with};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use longhaul_mcp::{Caller, HttpService, McpAuth};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;

const HOST: &str = "127.0.0.1:7777";
const NEW: &str = "2026-07-28";

struct Face {
    service: HttpService,
    world: World,
}

async fn face(read_only: bool) -> Face {
    let world = World::new().await;
    let service = world.mcp.http_service(McpAuth {
        hosts: vec![HOST.to_owned()],
        origins: vec!["http://good.example:80".to_owned()],
        caller: Arc::new(move |parts| Caller {
            directory: parts
                .headers
                .get("x-test-directory")
                .map(|path| PathBuf::from(path.to_str().unwrap())),
            read_only,
            ..Caller::default()
        }),
    });
    Face { service, world }
}

impl Face {
    async fn post(&self, headers: &[(&str, &str)], message: &Value) -> (StatusCode, Value) {
        let mut request = Request::builder()
            .method("POST")
            .uri("/mcp")
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(message.to_string().into_bytes().into())).unwrap();
        let request: Request<Full<hyper::body::Bytes>> = request;
        let answer = self.service.handle(request).await;
        let status = answer.status();
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        // The body is either plain JSON or one event of an event stream.
        let json = text.lines().filter_map(|line| line.strip_prefix("data: ")).next_back().unwrap_or(&text);
        (status, serde_json::from_str(json).unwrap_or(Value::String(text)))
    }

    /// Sends a request in the format of the stateless protocol versions.
    async fn ask(&self, method: &str, name: Option<&str>, mut params: Value) -> (StatusCode, Value) {
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": NEW,
            "io.modelcontextprotocol/clientInfo": { "name": "t", "version": "1" },
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        let message = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let mut headers = vec![("host", HOST), ("mcp-protocol-version", NEW), ("mcp-method", method)];
        headers.extend(name.map(|name| ("mcp-name", name)));
        self.post(&headers, &message).await
    }

    async fn call(&self, tool: &str, arguments: Value) -> Value {
        let params = json!({ "name": tool, "arguments": arguments });
        let (status, answer) = self.ask("tools/call", Some(tool), params).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer["result"].clone()
    }
}

#[tokio::test]
async fn client_of_the_newer_era_needs_no_introduction() {
    let face = face(false).await;
    let (status, answer) = face.ask("server/discover", None, json!({})).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert!(answer["result"]["supportedVersions"].as_array().unwrap().contains(&json!(NEW)), "{answer}");
    let (_, tools) = face.ask("tools/list", None, json!({})).await;
    assert_eq!(tools["result"]["tools"].as_array().unwrap().len(), 18);
    let refused = face.call("start_background_process", launch("run")).await;
    assert_eq!(said(&refused)["code"], "invalid_request");
    let started = face.call("start_background_process", with(launch("run"), "cwd", json!("/w"))).await;
    assert_eq!(started["isError"], false, "{started}");
    let id = started["structuredContent"]["process_id"].clone();
    let waited = face.call("wait_for_process", json!({ "process_ids": [id], "until": "running" })).await;
    assert_eq!(waited["structuredContent"]["processes"][0]["status"], "running");
    assert_eq!(face.world.orders.lock().unwrap()[0].command.directory, "/w");
}

#[tokio::test]
async fn client_of_the_older_era_gets_no_session_and_needs_none() {
    let face = face(false).await;
    let info = json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
    let hello = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": info });
    let (status, answer) = face.post(&[("host", HOST)], &hello).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(answer["result"]["protocolVersion"], "2025-06-18");
    let old = [("host", HOST), ("mcp-protocol-version", "2025-06-18"), ("x-test-directory", "/here")];
    let ready = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    assert_eq!(face.post(&old, &ready).await.0, StatusCode::ACCEPTED);
    let params = json!({ "name": "start_background_process", "arguments": launch("run") });
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
    let (status, answer) = face.post(&old, &call).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(answer["result"]["structuredContent"]["outcome"], "created", "{answer}");
    assert_eq!(face.world.orders.lock().unwrap()[0].command.directory, "/here");
}

#[tokio::test]
async fn web_pages_and_other_names_are_refused() {
    let face = face(false).await;
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    let old = ("mcp-protocol-version", "2025-06-18");
    for headers in [
        vec![("host", HOST), old, ("origin", "http://evil.example")],
        vec![("host", HOST), old, ("origin", "null")],
        vec![("host", HOST), old, ("origin", "http://good.example:8080")],
        vec![("host", HOST), old, ("origin", "https://good.example")],
        vec![("host", "evil.example:7777"), old],
        vec![("host", "127.0.0.1:7778"), old],
        vec![("host", "localhost"), old],
    ] {
        let (status, answer) = face.post(&headers, &message).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{headers:?}: {answer}");
    }
    for headers in [vec![("host", HOST), old], vec![("host", HOST), old, ("origin", "http://good.example")]] {
        assert_eq!(face.post(&headers, &message).await.0, StatusCode::OK, "{headers:?}");
    }
}

#[tokio::test]
async fn form_post_and_plain_text_are_refused() {
    let face = face(false).await;
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
        let request = Request::builder()
            .method("POST")
            .uri("/mcp")
            .header("host", HOST)
            .header("accept", "application/json, text/event-stream")
            .header("content-type", kind)
            .body(Full::<hyper::body::Bytes>::from("{}"))
            .unwrap();
        let status = face.service.handle(request).await.status();
        assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{kind}");
    }
}

#[tokio::test]
async fn header_that_contradicts_the_body_is_refused() {
    let face = face(false).await;
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": NEW,
        "io.modelcontextprotocol/clientInfo": { "name": "t", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": { "_meta": meta } });
    let headers = [("host", HOST), ("mcp-protocol-version", NEW), ("mcp-method", "tools/call")];
    let (status, answer) = face.post(&headers, &message).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(answer["error"]["code"], -32_020, "{answer}");
}

#[tokio::test]
async fn reader_over_http_changes_nothing() {
    let face = face(true).await;
    let (_, tools) = face.ask("tools/list", None, json!({})).await;
    assert_eq!(tools["result"]["tools"].as_array().unwrap().len(), 8);
    assert_eq!(tools["result"]["cacheScope"], "private");
    let refused = face.call("start_background_process", with(launch("run"), "cwd", json!("/w"))).await;
    assert_eq!(said(&refused)["code"], "read_only");
}
