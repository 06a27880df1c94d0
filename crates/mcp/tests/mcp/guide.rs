//! Tests of the guide for agent authors. Its tool reference is generated from the tools.

use crate::schema;
use crate::world::{Era, World};
use rmcp::model::Tool;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Path of the guide. The test rewrites the generated parts if `UPDATE_GOLDEN=1` is set.
const GUIDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/agents.md");
/// Path of the text that users copy into the instructions of an agent.
const INSTRUCTIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../cli/src/mcp/instructions.md");

#[tokio::test]
async fn guide_contains_the_tool_descriptions() {
    let client = World::new().await.client(Era::Stateless).await;
    let tools: String = client.tools().values().map(section).collect();
    let instructions = std::fs::read_to_string(INSTRUCTIONS).unwrap();
    let instructions = format!("\n```markdown\n{}\n```\n", instructions.trim_end());
    let guide = std::fs::read_to_string(GUIDE).unwrap();
    let written = with_part(&with_part(&guide, "tools", &tools), "instructions", &instructions);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(GUIDE, &written).unwrap();
        return;
    }
    assert!(
        guide == written,
        "docs/agents.md differs from the tool descriptions: update it with UPDATE_GOLDEN=1"
    );
}

#[tokio::test]
async fn every_tool_has_an_example_that_is_right() {
    let client = World::new().await.client(Era::Stateless).await;
    for tool in client.tools().values() {
        let (arguments, answer) = example(&tool.name);
        let input = Value::Object((*tool.input_schema).clone());
        schema::check(&input, &arguments).unwrap_or_else(|wrong| panic!("{}: {wrong}", tool.name));
        let output = Value::Object((**tool.output_schema.as_ref().unwrap()).clone());
        schema::check(&output, &answer).unwrap_or_else(|wrong| panic!("{}: {wrong}", tool.name));
        let known = output["properties"].as_object().unwrap();
        // The schema of this tool describes only the required fields.
        if tool.name == "get_background_process_status" {
            continue;
        }
        for field in answer.as_object().unwrap().keys() {
            assert!(known.contains_key(field), "{}: {field}", tool.name);
        }
    }
}

fn with_part(guide: &str, name: &str, part: &str) -> String {
    let (begin, end) = (format!("<!-- {name}: begin -->\n"), format!("<!-- {name}: end -->"));
    let (before, rest) = guide.split_once(&begin).unwrap_or_else(|| panic!("{begin} is missing"));
    let (_, after) = rest.split_once(&end).unwrap_or_else(|| panic!("{end} is missing"));
    format!("{before}{begin}{part}\n{end}{after}")
}

fn section(tool: &Tool) -> String {
    let mut text = format!("\n### `{}`\n\n{}\n\n", tool.name, tool.description.as_deref().unwrap());
    let required = tool.input_schema.get("required").and_then(Value::as_array);
    text.push_str("| input | type | default | meaning |\n| --- | --- | --- | --- |\n");
    for (name, field) in tool.input_schema["properties"].as_object().unwrap() {
        let is_required = required.is_some_and(|required| required.contains(&json!(name)));
        let default = match field.get("default") {
            Some(default) => format!("`{default}`"),
            None if is_required => "required".to_owned(),
            None => "–".to_owned(),
        };
        let meaning = field.get("description").and_then(Value::as_str).unwrap_or_default();
        let _ = writeln!(text, "| `{name}` | {} | {default} | {meaning} |", kind(field));
    }
    let (arguments, answer) = example(&tool.name);
    let output = serde_json::to_string(&**tool.output_schema.as_ref().unwrap()).unwrap();
    let _ = write!(
        text,
        "\n```json\n{arguments}\n```\n\nanswers\n\n```json\n{}\n```\n\n<details><summary>Schema of the answer</summary>\n\n\
         ```json\n{output}\n```\n\n</details>\n",
        serde_json::to_string_pretty(&answer).unwrap(),
    );
    text
}

fn kind(field: &Value) -> String {
    if let Some(words) = field.get("enum").and_then(Value::as_array) {
        let words: Vec<String> = words.iter().map(|word| format!("`{}`", word.as_str().unwrap())).collect();
        return words.join(", ");
    }
    let kind = field.get("type").and_then(Value::as_str).unwrap_or("any JSON");
    match field.get("items") {
        Some(items) => format!("{kind} of {}", kind_of(items)),
        None => kind.to_owned(),
    }
}

fn kind_of(items: &Value) -> &str {
    items.get("type").and_then(Value::as_str).unwrap_or("any JSON")
}

const ID: &str = "0199d3f0-6c1e-7b52-9f53-0d9a3c6f4e11";

/// Returns example arguments and an example result for a tool.
fn example(tool: &str) -> (Value, Value) {
    let which = json!({ "process_id": ID });
    let reported = |status: &str, progress: f64| {
        json!({
            "process_id": ID,
            "process_type": "analysis",
            "name": "read the code",
            "status": status,
            "terminal": status != "running",
            "progress": progress,
            "changed": true,
        })
    };
    let command = |status: &str| {
        json!({
            "process_id": ID,
            "process_type": "test_suite",
            "name": "unit tests",
            "status": status,
            "terminal": status == "cancelled",
            "changed": true,
        })
    };
    match tool {
        "start_background_process" => (
            json!({ "process_type": "test_suite", "name": "unit tests", "command": "cargo test", "timeout": 600 }),
            json!({
                "process_id": ID,
                "process_type": "test_suite",
                "name": "unit tests",
                "status": "running",
                "terminal": false,
                "outcome": "created",
                "next": "call wait_for_process; for more than a minute run `longhaul wait ID` in your own background shell",
            }),
        ),
        "get_process_status" | "get_background_process_status" => (
            which,
            json!({
                "process_id": ID,
                "process_type": "test_suite",
                "name": "unit tests",
                "command": ["/bin/sh", "-c", "cargo test"],
                "directory": "/home/me/project",
                "status": "failed",
                "terminal": true,
                "exit_code": 101,
                "error": "exited with code 101",
                "queued_at": "2026-11-21T19:30:00.000Z",
                "started_at": "2026-11-21T19:30:00.004Z",
                "completed_at": "2026-11-21T19:31:12.480Z",
                "elapsed_s": 72.476,
                "output": { "bytes": 48_213 },
                "tail": "test result: FAILED. 211 passed; 1 failed",
                "next": "call read_process_output or search_process_output to find the cause; call restart_process to run it again",
            }),
        ),
        "list_background_processes" => (
            json!({ "filter_type": "running" }),
            json!({
                "processes": [
                    { "process_id": ID, "process_type": "server", "name": "dev server", "status": "running", "elapsed_s": 340.2 },
                ],
                "live": { "running": 1 },
                "live_by_level": { "0": 1 },
            }),
        ),
        "wait_for_process" => (
            json!({ "process_ids": [ID] }),
            json!({
                "reason": "timeout",
                "processes": [{ "process_id": ID, "status": "running", "progress": 62.0, "eta_s": 28.0 }],
                "suggested_wait_s": 28,
            }),
        ),
        "get_test_results" => (
            which,
            json!({
                "status": "failed",
                "tests": { "framework": "pytest", "total": 9, "passed": 6, "failed": 3, "complete": true },
                "groups": [{ "cause": "AssertionError: wrong user", "count": 3, "first": "tests/test_login.py::test_login" }],
                "cases": [{
                    "id": "tests/test_login.py::test_login",
                    "outcome": "failed",
                    "file": "tests/test_login.py",
                    "line": 5,
                    "message": "wrong user",
                    "history": "new",
                }],
            }),
        ),
        "read_artifacts" => (
            which,
            json!({
                "state": "copied",
                "files": [{ "path": "reports/unit.xml", "bytes": 12_288 }],
                "skipped": [{ "path": "reports/latest", "why": "symbolic links are not followed" }],
            }),
        ),
        "read_process_output" => (
            json!({ "process_id": ID, "tail_lines": 2 }),
            json!({
                "attempt": 1,
                "text": "test io::reads_back ... FAILED\ntest result: FAILED. 211 passed; 1 failed\n",
                "next_cursor": "o1.1.b.48213",
                "eof": true,
            }),
        ),
        "search_process_output" => (
            json!({ "process_id": ID, "pattern": "FAILED|panicked", "context": 1 }),
            json!({
                "attempt": 1,
                "matches": [{ "line": 402, "cursor": "o1.1.b.40112", "text": "test io::reads_back ... FAILED" }],
                "total_matches": 1,
                "scanned_lines": 913,
                "truncated": false,
                "next_cursor": "o1.1.b.48213",
            }),
        ),
        "send_process_input" => (
            json!({ "process_id": ID, "text": "yes\n" }),
            json!({ "process_id": ID, "bytes": 4, "closed": false }),
        ),
        "stop_background_process" => (which, command("cancelled")),
        "pause_process" => (which, command("paused")),
        "resume_process" => (which, command("running")),
        "restart_process" => (
            which,
            json!({
                "process_id": "0199d3f4-11aa-7c03-8a0e-5b1f0c2d7e90",
                "process_type": "test_suite",
                "status": "running",
                "terminal": false,
                "outcome": "created",
            }),
        ),
        "register_process" => (
            json!({ "process_type": "analysis", "name": "read the code", "heartbeat_seconds": 300 }),
            json!({
                "process_id": ID,
                "process_type": "analysis",
                "name": "read the code",
                "status": "running",
                "terminal": false,
                "outcome": "created",
            }),
        ),
        "report_progress" => (
            json!({ "process_id": ID, "progress": 40, "stage": "module 4 of 10" }),
            reported("running", 40.0),
        ),
        "complete_process" => {
            (json!({ "process_id": ID, "result": { "findings": 3 } }), reported("completed", 100.0))
        }
        "fail_process" => {
            (json!({ "process_id": ID, "error": "the repository is gone" }), reported("failed", 40.0))
        }
        other => panic!("{other} has no example"),
    }
}
