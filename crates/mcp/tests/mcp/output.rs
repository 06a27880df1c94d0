//! Tests of reading, searching and waiting for output.

use crate::world::{Era, World, launch, with};
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn output_is_read_in_pages_that_join() {
    let world = World::new().await;
    let client = world.client(Era::Initialize).await;
    let id = client.start("count 2000").await;
    world.pass(Duration::from_secs(1)).await;
    let mut asked = json!({ "process_id": id, "from_line": 1, "max_tokens": 500 });
    let (mut joined, mut pages) = (String::new(), 0);
    loop {
        let page = client.call("read_process_output", asked).await;
        assert!(page.to_string().len() <= 500 * 4 + 160, "{}", page.to_string().len());
        joined.push_str(page["text"].as_str().unwrap());
        pages += 1;
        if page["eof"] == true {
            break;
        }
        asked = json!({ "process_id": id, "cursor": page["next_cursor"], "max_tokens": 500 });
    }
    let expected: String = (1..=2_000).map(|n| format!("line {n}\n")).collect();
    assert!(joined == expected && pages > 5, "{pages}");
}

#[tokio::test]
async fn first_page_has_head_and_tail_and_the_omitted_part_can_be_read() {
    let world = World::new().await;
    let client = world.client(Era::Stateless).await;
    let id = client.start("count 5000").await;
    world.pass(Duration::from_secs(1)).await;
    let look = client.call("read_process_output", json!({ "process_id": id })).await;
    assert!(look["head"].as_str().unwrap().starts_with("line 1\n"), "{look}");
    assert!(look["text"].as_str().unwrap().ends_with("line 5000\n"), "{look}");
    let omitted = &look["omitted"];
    let asked = json!({
        "process_id": id,
        "cursor": omitted["from_cursor"],
        "to_cursor": omitted["to_cursor"],
        "max_tokens": 8000,
    });
    let middle = client.call("read_process_output", asked).await;
    let next = look["head"].as_str().unwrap().lines().count() + 1;
    assert!(middle["text"].as_str().unwrap().starts_with(&format!("line {next}\n")), "{middle}");
}

#[tokio::test]
async fn lines_are_found_by_a_pattern() {
    let world = World::new().await;
    let client = world.client(Era::Initialize).await;
    let id = client.start("count 100").await;
    world.pass(Duration::from_secs(1)).await;
    let asked = json!({ "process_id": id, "pattern": "LINE 4[0-2]$", "ignore_case": true, "context": 1 });
    let found = client.call("search_process_output", asked).await;
    let lines: Vec<&str> =
        found["matches"].as_array().unwrap().iter().map(|line| line["text"].as_str().unwrap()).collect();
    assert_eq!(lines, ["line 40", "line 41", "line 42"]);
    let wrong = json!({ "process_id": id, "pattern": "(" });
    assert_eq!(client.refusal("search_process_output", wrong).await["retryable"], false);
}

#[tokio::test]
async fn failed_process_has_its_output_tail() {
    let world = World::new().await;
    let client = world.client(Era::Initialize).await;
    let asked = with(launch("complain it is broken"), "wait_seconds", json!(5));
    let answer = world.until(client.call("start_background_process", asked)).await;
    assert_eq!(answer["output"]["text"], "it is broken\n", "{answer}");
    assert_eq!(answer["output"]["bytes"], 13, "{answer}");
    let reported = client.call("get_process_status", json!({ "process_id": answer["process_id"] })).await;
    assert_eq!(reported["tail"], "it is broken", "{reported}");
    assert!(reported["output"]["next_cursor"].is_string(), "{reported}");
    let waited = client.call("wait_for_process", json!({ "process_ids": ["a build"] })).await;
    assert_eq!(waited["processes"][0]["tail"], "it is broken");
}

#[tokio::test]
async fn status_of_a_completed_process_has_its_output_tail() {
    let world = World::new().await;
    let client = world.client(Era::Initialize).await;
    let id = client.start("count 9").await;
    world.pass(Duration::from_secs(1)).await;
    let reported = client.call("get_process_status", json!({ "process_id": id })).await;
    assert_eq!(reported["status"], "completed", "{reported}");
    assert!(reported["tail"].as_str().unwrap().ends_with("line 8\nline 9"), "{reported}");
}

#[tokio::test]
async fn wait_for_a_line_ends_with_it_or_with_the_output() {
    let world = World::new().await;
    let client = world.client(Era::Initialize).await;
    let id = client.start("complain listening on 80").await;
    let wait = |pattern: &str| -> Value {
        json!({ "process_ids": [id], "until": "output_match", "pattern": pattern })
    };
    let found = world.until(client.call("wait_for_process", wait("listening on [0-9]+"))).await;
    assert_eq!((&found["reason"], &found["matched"]["text"]), (&json!("met"), &json!("listening on 80")));
    let never = world.until(client.call("wait_for_process", wait("nothing"))).await;
    assert_eq!(never["reason"], "ended", "{never}");
    let quiet = client.start("run").await;
    let asked = json!({
        "process_ids": [quiet],
        "until": "output_match",
        "pattern": "x",
        "timeout_seconds": 0.3,
    });
    assert_eq!(world.until(client.call("wait_for_process", asked)).await["reason"], "timeout");
}

#[tokio::test]
async fn reported_work_has_no_output() {
    let client = World::new().await.client(Era::Initialize).await;
    client.call("register_process", json!({ "process_type": "custom", "name": "n" })).await;
    let refused = client.refusal("read_process_output", json!({ "process_id": "n" })).await;
    assert_eq!(refused["code"], "unsupported");
}

#[tokio::test]
async fn input_is_accepted_only_by_a_process_with_an_open_pipe() {
    let world = World::new().await;
    let client = world.client(Era::Initialize).await;
    let id = client.start("run").await;
    let send = json!({ "process_id": id, "text": "yes\n" });
    let refused = client.refusal("send_process_input", send).await;
    assert_eq!(
        (&refused["code"], &refused["hint"]),
        (&json!("unsupported"), &json!("restart the work with start_background_process and stdin: pipe"))
    );
    let nothing = client.refusal("send_process_input", json!({ "process_id": id })).await;
    assert_eq!(nothing["code"], "invalid_request");
    let unknown = client.refusal("send_process_input", json!({ "process_id": "x", "close": true })).await;
    assert_eq!(unknown["code"], "process_not_found");
}
