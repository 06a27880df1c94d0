//! Tests of the limits for one connection and for the size of results.

use crate::world::{World, connect, launch, opening, said, with};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};
use tokio::time::timeout;

const TIMEOUT: Duration = Duration::from_secs(20);

struct Raw {
    world: Arc<World>,
    stream: BufReader<DuplexStream>,
}

impl Raw {
    async fn speaking(version: &str) -> Self {
        Self::opened(version, opening()).await
    }

    async fn opened(version: &str, opening: Value) -> Self {
        Self::in_world(Arc::new(World::new().await), version, opening).await
    }

    /// Connects another client to the same manager.
    async fn beside(&self, opening: Value) -> Self {
        Self::in_world(self.world.clone(), "2025-11-25", opening).await
    }

    async fn in_world(world: Arc<World>, version: &str, opening: Value) -> Self {
        let stream = BufReader::new(connect(&world.mcp, &opening).await);
        let mut raw = Self { world, stream };
        let client = json!({ "name": "t", "version": "1" });
        let params = json!({ "protocolVersion": version, "capabilities": {}, "clientInfo": client });
        raw.ask(0, "initialize", params).await;
        raw.say(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
        raw
    }

    async fn say(&mut self, line: &str) {
        self.stream.get_mut().write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    async fn hear(&mut self) -> Value {
        let mut line = String::new();
        timeout(TIMEOUT, self.stream.read_line(&mut line)).await.unwrap().unwrap();
        serde_json::from_str(&line).unwrap()
    }

    async fn ask(&mut self, id: u32, method: &str, params: Value) -> Value {
        self.say(&request(id, method, &params)).await;
        let answer = self.hear().await;
        assert_eq!(answer["id"], id, "{answer}");
        answer
    }

    /// Starts a command that prints a text, and returns its id.
    async fn printed(&mut self, text: &str) -> Value {
        let command = format!("complain {text}");
        let started = self.call("start_background_process", launch(&command)).await;
        let answer = started["content"][0]["text"].as_str().unwrap();
        let answer: Value = serde_json::from_str(answer).unwrap_or_else(|_| panic!("{started}"));
        self.world.pass(Duration::from_secs(1)).await;
        answer["process_id"].clone()
    }

    async fn call(&mut self, tool: &str, arguments: Value) -> Value {
        let answer = self.ask(7, "tools/call", json!({ "name": tool, "arguments": arguments })).await;
        answer["result"].clone()
    }
}

fn request(id: u32, method: &str, params: &Value) -> String {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string()
}

#[tokio::test]
async fn client_that_takes_no_answers_is_not_read_until_it_does() {
    const ALL: u32 = 4_000;
    let mut raw = Raw::speaking("2025-11-25").await;
    let mut written = 0;
    for id in 1..=ALL {
        let line = format!("{}\n", request(id, "tools/list", &json!({})));
        let write = raw.stream.get_mut().write_all(line.as_bytes());
        if timeout(Duration::from_millis(500), write).await.is_err() {
            break;
        }
        written = id;
    }
    assert!(written < ALL, "all were read");
    let mut answered = 0;
    // The write of the last line timed out, so this line is incomplete and gets no reply.
    while answered < written {
        let answer = raw.hear().await;
        assert!(answer["result"]["tools"].is_array());
        answered += 1;
    }
}

#[tokio::test]
async fn waits_leave_capacity_for_other_requests_and_have_a_limit() {
    let mut raw = Raw::speaking("2025-11-25").await;
    let started = raw.call("start_background_process", launch("run")).await;
    let id = started["structuredContent"]["process_id"].clone();
    let wait = json!({ "name": "wait_for_process", "arguments": { "process_ids": [id] } });
    for number in 100..356 {
        raw.say(&request(number, "tools/call", &wait)).await;
    }
    raw.ask(9, "ping", json!({})).await;
    // Some of the earlier waits may not have started yet, so the rejected wait can be any of the waits.
    raw.say(&request(356, "tools/call", &wait)).await;
    let refused = raw.hear().await;
    assert_eq!(said(&refused["result"])["code"], "too_many_waits", "{refused}");
    let cancel =
        json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 100 } });
    raw.say(&cancel.to_string()).await;
    raw.ask(10, "ping", json!({})).await;
}

#[tokio::test]
async fn read_only_clients_leave_capacity_for_the_waits_of_others() {
    const SHARE: u32 = 256;
    const READERS: u32 = 8;
    let mut raw = Raw::speaking("2025-11-25").await;
    let started = raw.call("start_background_process", launch("run")).await;
    let id = started["structuredContent"]["process_id"].clone();
    let wait = json!({ "name": "wait_for_process", "arguments": { "process_ids": [id] } });
    let mut readers = Vec::new();
    for _ in 0..READERS {
        let mut reader = raw.beside(with(opening(), "read_only", json!(true))).await;
        for number in 100..100 + SHARE {
            reader.say(&request(number, "tools/call", &wait)).await;
        }
        reader.ask(9, "ping", json!({})).await;
        readers.push(reader);
    }
    let mut late = raw.beside(with(opening(), "read_only", json!(true))).await;
    let mut looks = wait["arguments"].clone();
    looks["timeout_seconds"] = json!(0);
    let refused = late.call("wait_for_process", looks.clone()).await;
    assert_eq!(said(&refused)["code"], "too_many_waits", "{refused}");
    assert_eq!(raw.call("wait_for_process", looks).await["structuredContent"]["reason"], "timeout");
}

#[tokio::test]
async fn client_that_parks_more_than_may_be_is_still_heard() {
    let mut raw = Raw::speaking("2025-11-25").await;
    let started = raw.call("start_background_process", launch("run")).await;
    let id = started["structuredContent"]["process_id"].clone();
    let read = |number: u32| {
        let asked = json!({ "process_id": id, "wait_seconds": 50 });
        request(number, "tools/call", &json!({ "name": "read_process_output", "arguments": asked }))
    };
    for number in 100..420 {
        raw.say(&read(number)).await;
    }
    raw.say(&read(420)).await;
    let refused = raw.hear().await;
    assert_eq!((&refused["id"], &refused["error"]["data"]["code"]), (&json!(420), &json!("too_many_waits")));
    raw.say(&read(101)).await;
    assert_eq!(raw.hear().await["error"]["code"], -32_600, "one id twice");
    raw.ask(9, "ping", json!({})).await;
}

#[tokio::test]
async fn invalid_request_gets_an_error_that_names_the_problem() {
    let mut raw = Raw::speaking("2025-11-25").await;
    let call = |params: Value| request(5, "tools/call", &params);
    for (line, code, id, said) in [
        ("{nonsense".to_owned(), -32_700, Value::Null, "not JSON"),
        ("[]".to_owned(), -32_600, Value::Null, "batches"),
        ("{\"jsonrpc\":\"2.0\",\"id\":\"a\"}".to_owned(), -32_600, json!("a"), "JSON-RPC"),
        ("{\"id\":4,\"method\":\"ping\"}".to_owned(), -32_600, json!(4), "JSON-RPC"),
        (call(json!({ "name": 5 })), -32_602, json!(5), "name: invalid type"),
        (
            call(json!({ "name": "wait_for_process", "arguments": [] })),
            -32_602,
            json!(5),
            "arguments: invalid",
        ),
        (call(json!([])), -32_602, json!(5), "an object"),
        (request(5, "resources/read", &json!({})), -32_602, json!(5), "missing field `uri`"),
        (request(5, "coffee/make", &json!({})), -32_601, json!(5), "coffee"),
        (request(5, "coffee/make", &json!([1])), -32_601, json!(5), "coffee"),
        (format!("{}{}", "[".repeat(10_000), "]".repeat(10_000)), -32_700, Value::Null, "recursion"),
        (call(json!("DEEP")).replace("\"DEEP\"", &deep(10_000)), -32_600, json!(5), "recursion"),
        (call(json!("BIG")).replace("\"BIG\"", "1e999"), -32_600, json!(5), "out of range"),
        ("{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"pi\0ng\"}".to_owned(), -32_700, Value::Null, "control"),
        (request(5, "ping", &json!({})).repeat(2), -32_700, Value::Null, "trailing"),
        (request(5, "ping", &json!({})).replace(":5", ":5.5"), -32_600, Value::Null, "JSON-RPC"),
        (request(5, "ping", &json!({})).replace(":5", ":null"), -32_600, Value::Null, "JSON-RPC"),
        (
            request(5, "ping", &json!({})).replace(":5", ":18446744073709551615"),
            -32_600,
            Value::Null,
            "JSON-RPC",
        ),
    ] {
        raw.say(&line).await;
        let answer = raw.hear().await;
        assert_eq!((&answer["error"]["code"], &answer["id"]), (&json!(code), &id), "{line}: {answer}");
        assert!(answer["error"]["message"].as_str().unwrap().contains(said), "{line}: {answer}");
        assert!(answer.get("id").is_some(), "{answer}");
    }
    let stream = raw.stream.get_mut();
    stream.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"\xff\"}\n").await.unwrap();
    assert_eq!(raw.hear().await["error"]["code"], -32_700, "no UTF-8");
    // A message that is not a request gets no reply.
    for params in ["[]".to_owned(), "5".to_owned(), deep(10_000)] {
        let notification =
            format!("{{\"jsonrpc\":\"2.0\",\"method\":\"window/opened\",\"params\":{params}}}");
        raw.say(&notification).await;
    }
    let cancelled =
        request(5, "notifications/cancelled", &json!({ "requestId": {} })).replace("\"id\":5,", "");
    raw.say(&cancelled).await;
    raw.ask(6, "ping", json!({})).await;
}

/// Returns objects nested `times` levels deep, as JSON text.
fn deep(times: usize) -> String {
    format!("{}1{}", "{\"a\":".repeat(times), "}".repeat(times))
}

#[tokio::test]
async fn half_a_line_at_the_end_is_answered() {
    let mut raw = Raw::speaking("2025-11-25").await;
    let half = br#"{"jsonrpc":"2.0","id":5,"meth"#;
    raw.stream.get_mut().write_all(half).await.unwrap();
    raw.stream.get_mut().shutdown().await.unwrap();
    assert_eq!(raw.hear().await["error"]["code"], -32_700);
}

#[tokio::test]
async fn waiting_requests_hold_a_limited_number_of_bytes() {
    let mut raw = Raw::speaking("2025-11-25").await;
    let started = raw.call("start_background_process", launch("run")).await;
    let id = started["structuredContent"]["process_id"].clone();
    let wait = json!({ "process_ids": [id] });
    let heavy = json!({ "x": "y".repeat(6 * 1024 * 1024) });
    let wait = json!({ "name": "wait_for_process", "arguments": wait, "_meta": heavy });
    for number in 100..102 {
        raw.say(&request(number, "tools/call", &wait)).await;
    }
    raw.say(&request(102, "tools/call", &wait)).await;
    let refused = raw.hear().await;
    assert_eq!((&refused["id"], &refused["error"]["data"]["code"]), (&json!(102), &json!("too_many_waits")));
    // After one of the waits is cancelled, another wait is accepted.
    let cancel =
        json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 100 } });
    raw.say(&cancel.to_string()).await;
    raw.say(&request(103, "tools/call", &wait)).await;
    raw.ask(9, "ping", json!({})).await;
}

#[tokio::test]
async fn wrong_argument_is_named_and_whole_numbers_are_integers() {
    let mut raw = Raw::speaking("2025-11-25").await;
    let started = raw.call("start_background_process", launch("count 20")).await;
    let id = started["structuredContent"]["process_id"].clone();
    raw.world.pass(Duration::from_secs(1)).await;
    let read = json!({ "process_id": id, "tail_lines": 3.0, "max_tokens": 400.0 });
    let page = raw.call("read_process_output", read.clone()).await;
    assert_eq!(page["structuredContent"]["text"], "line 18\nline 19\nline 20\n", "{page}");
    for (field, value, expected) in [
        ("tail_lines", json!(2.5), "tail_lines must be an integer, not 2.5"),
        ("cursor", json!(7), "cursor must be a string, not 7"),
        ("stream", json!("none"), "stream must be one of both, stdout, stderr, not \"none\""),
        ("max_tokens", json!(149), "max_tokens must be from 150 to 8000"),
        ("max_tokens", json!(8_001), "max_tokens must be from 150 to 8000"),
        ("wait_seconds", json!(56), "wait_seconds must be from 0 to 55"),
    ] {
        let refused = raw.call("read_process_output", with(read.clone(), field, value)).await;
        let message = &said(&refused)["message"];
        assert!(message.as_str().unwrap().contains(expected), "{refused}");
    }
    let wait = json!({ "process_ids": [id], "timeout_seconds": 600 });
    let refused = raw.call("wait_for_process", wait).await;
    assert_eq!(said(&refused)["message"], "timeout_seconds must be from 0 to 55, not 600");
}

/// Returns pseudorandom text with characters of one to four bytes, quotes, control characters, colours, redrawn lines
/// and long lines.
fn arbitrary(mut seed: u64) -> String {
    const PIECES: [&str; 14] = [
        "a",
        "line ",
        "é",
        "𝄞",
        "\"",
        "\\",
        "\n",
        "\r\n",
        "\t",
        "\u{1}",
        "\u{1b}[31m",
        "\r",
        "日本",
        "\"\"\"\\\\\n",
    ];
    let mut text = String::new();
    while text.len() < 12_000 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let piece = PIECES[usize::try_from(seed >> 33).unwrap() % PIECES.len()];
        text.push_str(&piece.repeat(usize::try_from(seed >> 60).unwrap() + 1));
    }
    text
}

/// Returns the length of a result in bytes, as a model receives it. Clients show either the text or the structured
/// content; both are equal.
fn shown(result: &Value) -> usize {
    assert_eq!(result["isError"], false, "{result}");
    assert_eq!(result["content"].as_array().unwrap().len(), 1, "{result}");
    let text = result["content"][0]["text"].as_str().unwrap();
    assert_eq!(said(result), result["structuredContent"], "{result}");
    assert!(text.len() >= result["structuredContent"].to_string().len(), "{result}");
    text.len()
}

#[tokio::test]
async fn text_for_a_model_fits_into_its_token_budget_for_every_output() {
    for version in ["2024-11-05", "2025-11-25"] {
        let mut raw = Raw::speaking(version).await;
        for seed in 0..12 {
            let id = raw.printed(&arbitrary(seed)).await;
            for tokens in [150, 151, 163, 190, 260, 400, 1_500, 8_000] {
                let asked = json!({ "process_id": id, "max_tokens": tokens, "raw": seed % 2 == 0 });
                for (field, value) in
                    [("wait_seconds", json!(0)), ("from_line", json!(1)), ("tail_lines", json!(400))]
                {
                    let page =
                        raw.call("read_process_output", with(asked.clone(), field, value.clone())).await;
                    let length = shown(&page);
                    assert!(length <= tokens * 4 + 160, "{version} {seed} {tokens} {field}: {length}");
                }
            }
            let asked = json!({ "process_id": id, "pattern": ".", "context": 2, "max_matches": 100 });
            let found = raw.call("search_process_output", asked).await;
            assert!(shown(&found) <= 1_500 * 4 + 160, "{seed}: {}", shown(&found));
        }
    }
}

#[tokio::test]
async fn pages_of_any_size_join_to_the_output() {
    for (version, tokens) in [("2024-11-05", 150), ("2025-11-25", 700), ("2025-11-25", 8_000)] {
        let mut raw = Raw::speaking(version).await;
        let text = arbitrary(tokens);
        let id = raw.printed(&text).await;
        let mut asked = json!({ "process_id": id, "max_tokens": tokens, "raw": true, "from_line": 1 });
        let mut joined = String::new();
        loop {
            let page = raw.call("read_process_output", asked).await;
            let length = shown(&page);
            assert!(length <= usize::try_from(tokens).unwrap() * 4 + 160, "{version} {tokens}: {length}");
            let page = said(&page);
            assert!(page.get("head").is_none(), "{page}");
            joined.push_str(page["text"].as_str().unwrap());
            if page["eof"] == true {
                break;
            }
            asked = json!({
                "process_id": id,
                "max_tokens": tokens,
                "raw": true,
                "cursor": page["next_cursor"],
            });
        }
        assert!(joined == format!("{text}\n"), "{version} {tokens}");
    }
}

#[tokio::test]
async fn error_repeats_only_the_start_of_the_request() {
    const LONG: usize = 100_000;
    let mut raw = Raw::speaking("2025-11-25").await;
    for letter in ["z", "\"", "é"] {
        let long = letter.repeat(LONG);
        let of_process = json!({ "process_id": long });
        for (method, params) in [
            ("tools/call", json!({ "name": long })),
            ("tools/call", json!({ "name": "get_process_status", "arguments": of_process })),
            ("tools/call", json!({ "name": "wait_for_process", "arguments": { "process_ids": [long] } })),
            ("tools/call", json!({ "name": "get_process_status", "arguments": { long.as_str(): 1 } })),
            (
                "tools/call",
                json!({ "name": "list_background_processes", "arguments": { "filter_type": long } }),
            ),
            ("resources/read", json!({ "uri": long })),
            ("resources/read", json!({ "uri": format!("longhaul://process/{long}") })),
            ("resources/subscribe", json!({ "uri": long })),
            ("tasks/get", json!({ "taskId": long })),
            (long.as_str(), json!({})),
            (long.as_str(), json!([])),
            ("tools/call", json!({ "name": "get_process_status", long.as_str(): 1, "arguments": 1 })),
        ] {
            let answer = raw.ask(3, method, params.clone()).await.to_string();
            let asked: String = params.to_string().chars().take(80).collect();
            let place = answer.chars().take(200).collect::<String>();
            assert!(answer.len() <= 6_100, "{asked}: {} bytes: {place}", answer.len());
        }
    }
}

#[tokio::test]
async fn error_of_reading_output_fits_into_the_fewest_tokens() {
    for version in ["2024-11-05", "2025-11-25"] {
        let mut raw = Raw::speaking(version).await;
        let id = raw.printed("x").await;
        for letter in ["z", "\"", "é", "(", "\\", "\u{1}"] {
            let long = letter.repeat(2_000);
            for (tool, arguments) in [
                ("read_process_output", json!({ "process_id": long, "max_tokens": 150 })),
                ("read_process_output", json!({ "process_id": id, "cursor": long })),
                ("read_process_output", json!({ "process_id": id, long.as_str(): 1 })),
                ("read_process_output", json!({ "process_id": id, "stream": long })),
                ("search_process_output", json!({ "process_id": long, "pattern": "." })),
                ("search_process_output", json!({ "process_id": id, "pattern": format!("({long}") })),
            ] {
                let refused = raw.call(tool, arguments.clone()).await;
                assert_eq!(refused["isError"], true, "{refused}");
                let length = refused.to_string().len();
                assert!(length <= 150 * 4 + 160, "{version} {tool} {letter:?}: {length}");
                let text = refused["content"][0]["text"].as_str().unwrap();
                assert!(text.contains("\"code\":") && text.len() > 80, "{text}");
            }
        }
    }
}
