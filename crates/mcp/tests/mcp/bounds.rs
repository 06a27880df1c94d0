//! What one connection may ask of the manager, and what an answer may cost.

use crate::world::{World, connect, launch, opening, with};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

struct Raw {
    world: World,
    stream: BufReader<DuplexStream>,
}

impl Raw {
    async fn speaking(version: &str) -> Self {
        Self::opened(version, opening()).await
    }

    async fn opened(version: &str, opening: Value) -> Self {
        let world = World::new().await;
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
        timeout(PATIENCE, self.stream.read_line(&mut line)).await.unwrap().unwrap();
        serde_json::from_str(&line).unwrap()
    }

    async fn ask(&mut self, id: u32, method: &str, params: Value) -> Value {
        self.say(&request(id, method, &params)).await;
        let answer = self.hear().await;
        assert_eq!(answer["id"], id, "{answer}");
        answer
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
    // The last one was cut off.
    while answered < written {
        let answer = raw.hear().await;
        assert!(answer["result"]["tools"].is_array());
        answered += 1;
    }
}

#[tokio::test]
async fn parked_waits_leave_room_for_other_requests_and_have_a_share() {
    let mut raw = Raw::speaking("2025-11-25").await;
    let started = raw.call("start_background_process", launch("run")).await;
    let id = started["structuredContent"]["process_id"].clone();
    let wait = json!({ "name": "wait_for_process", "arguments": { "process_ids": [id] } });
    for number in 100..356 {
        raw.say(&request(number, "tools/call", &wait)).await;
    }
    raw.ask(9, "ping", json!({})).await;
    // Some of them may not be parked yet, so the one that finds no room is any of them.
    raw.say(&request(356, "tools/call", &wait)).await;
    let refused = raw.hear().await;
    assert_eq!(refused["result"]["structuredContent"]["code"], "too_many_waits", "{refused}");
    let cancel =
        json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 100 } });
    raw.say(&cancel.to_string()).await;
    raw.ask(10, "ping", json!({})).await;
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
async fn what_is_no_request_is_answered_with_what_is_wrong() {
    let mut raw = Raw::speaking("2025-11-25").await;
    let call = |params: Value| request(5, "tools/call", &params);
    for (line, code, id, said) in [
        ("{nonsense".to_owned(), -32_700, Value::Null, "no JSON"),
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
    ] {
        raw.say(&line).await;
        let answer = raw.hear().await;
        assert_eq!((&answer["error"]["code"], &answer["id"]), (&json!(code), &id), "{line}: {answer}");
        assert!(answer["error"]["message"].as_str().unwrap().contains(said), "{line}: {answer}");
        assert!(answer.get("id").is_some(), "{answer}");
    }
    // What is no request is not answered.
    raw.say("{\"jsonrpc\":\"2.0\",\"method\":\"window/opened\",\"params\":[]}").await;
    raw.ask(6, "ping", json!({})).await;
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
    for (field, value, said) in [
        ("tail_lines", json!(2.5), "tail_lines: invalid type"),
        ("cursor", json!(7), "cursor: invalid type"),
        ("stream", json!("none"), "stream: unknown variant"),
        ("max_tokens", json!(149), "max_tokens is 150 to 8000"),
        ("max_tokens", json!(8_001), "max_tokens is 150 to 8000"),
        ("wait_seconds", json!(56), "wait_seconds is 0 to 55"),
    ] {
        let refused = raw.call("read_process_output", with(read.clone(), field, value)).await;
        let message = &refused["structuredContent"]["message"];
        assert!(message.as_str().unwrap().contains(said), "{refused}");
    }
    let wait = json!({ "process_ids": [id], "timeout_seconds": 600 });
    let refused = raw.call("wait_for_process", wait).await;
    assert_eq!(refused["structuredContent"]["message"], "timeout_seconds is 0 to 55, not 600");
}

/// Text of all kinds: letters of one to four bytes, quotes, controls, colours, redrawn and long lines.
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

#[tokio::test]
async fn whole_result_fits_into_its_tokens_whatever_was_printed() {
    for version in ["2024-11-05", "2025-11-25"] {
        let mut raw = Raw::speaking(version).await;
        for seed in 0..12 {
            let command = format!("complain {}", arbitrary(seed));
            let started = raw.call("start_background_process", launch(&command)).await;
            let id = started["structuredContent"]["process_id"].clone();
            assert!(id.is_string(), "{started}");
            raw.world.pass(Duration::from_secs(1)).await;
            for tokens in [150_usize, 400, 1_500, 8_000] {
                if version == "2024-11-05" && tokens == 150 {
                    continue;
                }
                let asked = json!({ "process_id": id, "max_tokens": tokens, "raw": seed % 2 == 0 });
                let page = raw.call("read_process_output", asked.clone()).await;
                assert!(
                    page.to_string().len() <= tokens * 4 + 160,
                    "{seed} {tokens}: {}",
                    page.to_string().len()
                );
                assert_eq!(page["isError"], false, "{page}");
                assert_eq!(page.get("structuredContent").is_some(), version == "2025-11-25", "{page}");
                let page = raw.call("read_process_output", with(asked, "from_line", json!(1))).await;
                assert!(
                    page.to_string().len() <= tokens * 4 + 160,
                    "{seed} {tokens}: {}",
                    page.to_string().len()
                );
            }
            let asked = json!({ "process_id": id, "pattern": ".", "context": 2, "max_matches": 100 });
            let found = raw.call("search_process_output", asked).await;
            assert!(found.to_string().len() <= 1_500 * 4 + 160, "{seed}: {}", found.to_string().len());
            assert_eq!(found["isError"], false, "{found}");
        }
    }
}
