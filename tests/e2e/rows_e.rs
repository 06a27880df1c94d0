//! Tests of the interfaces for agents and programs. Requirements E2 to E5, D7 and Q9.

use crate::agent::Agent;
use crate::socket::{Stream, configure, http, json_of, lines_of};
use longhaul_tests::{GATED, Home, is_alive, kill_together, until};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

/// Creates five processes that end differently. Returns them in this order: completed, failed, timeout, cancelled,
/// interrupted.
fn one_of_each(home: &Home, session: &str) -> [String; 5] {
    let run = |extra: &[&str], script: &str| {
        let launch = [&["run", "-b", "--session", session], extra, &["--", "sh", "-c", script]].concat();
        home.ok(&launch)
    };
    let completed = run(&["--type", "build", "--name", "good"], "echo fine");
    let failed = run(&[], "echo three tests failed >&2; exit 3");
    let timeout = run(&["--timeout", "1s"], "exec sleep 60");
    let cancelled = run(&[], "exec sleep 60");
    let interrupted = run(&[], "exec sleep 60");
    for id in [&completed, &failed, &timeout] {
        let _ = home.run(&["wait", id]);
    }
    home.until_status(&cancelled, "running");
    assert_eq!(home.run(&["cancel", "--force", &cancelled]).code, 0);
    home.until_status(&interrupted, "running");
    kill_together("-KILL", &[home.shim(&interrupted), home.pid(&interrupted)]);
    home.until_status(&interrupted, "interrupted");
    [completed, failed, timeout, cancelled, interrupted]
}

fn names(items: &Value, field: &str) -> BTreeSet<String> {
    items.as_array().unwrap().iter().map(|item| item[field].as_str().unwrap().to_owned()).collect()
}

#[test]
fn e2_a_record_contains_all_fields_and_every_status() {
    let home = Home::new();
    let launch = ["run", "-b", "--type", "build", "--name", "n", "--meta", "a=1", "--", "sh", "-c"];
    let id = home.ok(&[&launch[..], &["echo out; exit 3"]].concat());
    assert_eq!(home.run(&["wait", &id]).code, 3);
    let (_, record) = http(&home, "GET", &format!("/v1/processes/{id}"), &Value::Null);
    for (field, value) in [
        ("id", json!(id)),
        ("type", json!("build")),
        ("name", json!("n")),
        ("command", json!(["sh", "-c", "echo out; exit 3"])),
        ("status", json!("failed")),
        ("exit_code", json!(3)),
        ("output_bytes", json!(4)),
    ] {
        assert_eq!(record[field], value, "{field}: {record}");
    }
    assert!(!record["metadata"]["a"].is_null(), "{record}");
    assert!(record["started_at"].is_string() && record["completed_at"].is_string(), "{record}");
    let ends = one_of_each(&home, "s").map(|id| home.status(&id));
    assert_eq!(ends, ["completed", "failed", "timeout", "cancelled", "interrupted"]);
    let command = json!({"command": {"program": "sleep", "args": ["60"], "directory": "/"}, "key": "k"});
    let _ = home.ok(&["queue", "k", "--limit", "1", "--json"]);
    let (_, begun) = http(&home, "POST", "/v1/processes", &command);
    assert_eq!(begun["process"]["status"], "starting", "the answer does not wait for the command");
    let begun = begun["process"]["id"].as_str().unwrap();
    home.until_status(begun, "running");
    assert!(is_alive(home.pid(begun)), "the record has the process id while the command runs");
    let (_, waits) = http(&home, "POST", "/v1/processes", &command);
    assert_eq!(waits["process"]["status"], "pending");
    assert_eq!(home.run(&["pause", begun]).code, 0);
    assert_eq!(home.status(begun), "paused");
}

#[test]
fn e3_the_tools_have_their_names_and_inputs() {
    let home = Home::new();
    let mut agent = Agent::connect(&home, &[]);
    let tools = agent.request("tools/list", &json!({}));
    let promised = [
        ("start_background_process", &["process_type", "name", "command"][..], &["timeout", "metadata"][..]),
        ("get_process_status", &["process_id"], &[]),
        ("stop_background_process", &["process_id"], &["force"]),
        ("list_background_processes", &[], &["filter_type"]),
    ];
    for (name, required, optional) in promised {
        let tool = tools["tools"].as_array().unwrap().iter().find(|tool| tool["name"] == name).unwrap();
        let schema = &tool["inputSchema"];
        let wanted: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        assert_eq!(wanted, required, "{name}");
        for input in required.iter().chain(optional) {
            assert!(schema["properties"][*input].is_object(), "{name} {input}: {schema}");
        }
    }
    let line = "echo $((40 + 2)) | cat";
    let start = json!({"process_type": "test_suite", "name": "sums", "command": line});
    let started = agent.call("start_background_process", &start);
    let id = started["process_id"].as_str().unwrap().to_owned();
    let waited = agent.call("wait_for_process", &json!({"process_ids": [id]}));
    assert_eq!(waited["reason"], "met", "{waited}");
    assert_eq!(home.ok(&["logs", &id]), "42", "a command is a shell command line");
    let status = agent.call("get_process_status", &json!({"process_id": id}));
    assert_eq!((&status["status"], &status["exit_code"]), (&json!("completed"), &json!(0)));
    assert!(home.record(&id)["timeout_ms"].is_null(), "without a timeout, the record has none");
}

#[test]
fn e3_lists_show_all_live_completed_or_failed_processes() {
    let home = Home::new();
    let [completed, failed, timeout, cancelled, interrupted] = one_of_each(&home, "s");
    let _ = home.ok(&["queue", "k", "--limit", "1", "--json"]);
    let runs = home.ok(&["run", "-b", "--key", "k", "--", "sleep", "60"]);
    home.until_status(&runs, "running");
    let waits = home.ok(&["run", "-b", "--key", "k", "--", "sleep", "60"]);
    let mut agent = Agent::connect(&home, &[]);
    let mut listed = |filter: &str| {
        let list = agent.call("list_background_processes", &json!({"filter_type": filter}));
        names(&list["processes"], "process_id")
    };
    let set = |ids: &[&String]| ids.iter().map(|id| (*id).clone()).collect::<BTreeSet<String>>();
    assert_eq!(listed("running"), set(&[&runs, &waits]), "every live process");
    assert_eq!(listed("completed"), set(&[&completed]));
    assert_eq!(listed("failed"), set(&[&failed, &timeout, &interrupted]));
    let all = set(&[&completed, &failed, &timeout, &cancelled, &interrupted, &runs, &waits]);
    assert_eq!(listed("all"), all);
}

#[test]
fn e3_stop_is_gentle_or_by_force() {
    let home = Home::new();
    let mut agent = Agent::connect(&home, &[]);
    let mut start = |name: &str| {
        let line = format!("trap 'echo bye; exit 0' TERM; touch {name}; while :; do sleep 0.02; done");
        let start = json!({"process_type": "server", "name": name, "command": line});
        agent.call("start_background_process", &start)["process_id"].as_str().unwrap().to_owned()
    };
    let gentle = start("gentle");
    // Try several processes, because a forbidden signal before the SIGKILL would be visible only by chance.
    let forced: Vec<String> = (0..8).map(|n| start(&format!("forced{n}"))).collect();
    home.until_written("gentle");
    (0..8).for_each(|n| home.until_written(&format!("forced{n}")));
    let pids: Vec<u32> = forced.iter().chain([&gentle]).map(|id| home.pid(id)).collect();
    let _ = agent.call("stop_background_process", &json!({"process_id": gentle}));
    // Search for the line, because the shell prints a message as well if the signal reached its child.
    let said = home.ok(&["logs", &gentle]);
    assert!(said.lines().any(|line| line == "bye"), "the command received TERM: {said:?}");
    for id in &forced {
        let _ = agent.call("stop_background_process", &json!({"process_id": id, "force": true}));
        assert_eq!(home.ok(&["logs", id]), "", "the command received no TERM");
    }
    assert!(pids.iter().all(|pid| !is_alive(*pid)));
    assert!(forced.iter().chain([&gentle]).all(|id| home.status(id) == "cancelled"));
}

#[test]
fn e4_events_of_start_stop_and_failure_have_all_fields() {
    let home = Home::new();
    let ids = one_of_each(&home, "s");
    let [completed, failed, ..] = &ids;
    let events = lines_of(&home, "/v1/events?session=s");
    let of = |id: &str, event: &str| {
        let found = events.iter().find(|one| one["subject"] == *id && one["event"] == event);
        found.unwrap_or_else(|| panic!("no {event} of {id}: {events:?}")).clone()
    };
    let ends = ["STOPPED", "FAILED", "FAILED", "STOPPED", "FAILED"].map(|end| format!("PROCESS_{end}"));
    for (id, end) in ids.iter().zip(&ends) {
        let (began, ended) = (of(id, "PROCESS_STARTED"), of(id, end));
        assert_eq!((&began["priority"], &ended["priority"]), (&json!("normal"), &json!("high")), "{end}");
        for event in [&began, &ended] {
            assert!(event["source"].as_str().is_some_and(|source| source.starts_with("/nodes/")), "{event}");
            let data = &event["data"];
            assert!(data["pid"].is_u64() && data["command"].is_array(), "{event}");
            assert_eq!(data["process_id"], **id);
        }
        let order = |event: &Value| event["sequence"].as_str().unwrap().to_owned();
        assert!(order(&began) < order(&ended), "in order");
    }
    let good = &of(completed, "PROCESS_STARTED")["data"];
    assert_eq!((&good["process_type"], &good["name"]), (&json!("build"), &json!("good")));
    let bad = &of(failed, "PROCESS_FAILED")["data"];
    assert_eq!((&bad["exit_code"], &bad["output"]), (&json!(3), &json!("three tests failed")), "{bad}");
    assert!(bad["duration"].is_f64() && bad["error"].is_string(), "{bad}");
}

#[test]
fn e4_a_subscriber_resumes_after_the_manager_was_killed() {
    let home = Home::new();
    let first = home.launch(&["true"]);
    assert_eq!(home.run(&["wait", &first]).code, 0);
    let seen = lines_of(&home, "/v1/events").pop().unwrap();
    assert_eq!(seen["event"], "PROCESS_STOPPED", "{seen}");
    let cursor = seen["cursor"].as_str().unwrap().to_owned();
    let mut live = Stream::open(&home, &format!("/v1/events?format=sse&after={cursor}"));
    let second = home.launch(&["sh", "-c", &format!("{GATED}; exit 4")]);
    let began = live.until(|event| event["event"] == "PROCESS_STARTED");
    assert_eq!(began["subject"], second.as_str(), "the event arrives while the process runs");
    home.end_manager("-KILL");
    home.open_gate();
    assert_eq!(home.run(&["wait", &second]).code, 4);
    let rest = lines_of(&home, &format!("/v1/events?after={cursor}"));
    let reported: Vec<&str> = rest.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(
        reported,
        ["PROCESS_QUEUED", "PROCESS_STARTED", "PROCESS_FAILED"],
        "no event is duplicated or lost"
    );
    assert!(rest.iter().all(|event| event["subject"] == second.as_str()));
}

#[test]
fn e5_past_its_timeout_the_whole_tree_is_stopped_and_zero_is_none() {
    let home = Home::new();
    let script = "sleep 60 & echo $! > child; wait";
    let id = home.ok(&["run", "-b", "--timeout", "1s", "--", "sh", "-c", script]);
    let child = until("its child", || {
        std::fs::read_to_string(home.work().join("child")).ok()?.trim().parse::<u32>().ok()
    });
    let endless = home.ok(&["run", "-b", "--timeout", "0", "--", "sleep", "60"]);
    let mut agent = Agent::connect(&home, &[]);
    let start = json!({"process_type": "server", "name": "endless", "command": "sleep 60", "timeout": 0});
    let started = agent.call("start_background_process", &start);
    let other = started["process_id"].as_str().unwrap();
    assert_eq!(home.run(&["wait", &id]).code, 124);
    assert_eq!(home.status(&id), "timeout");
    until("its child has exited", || (!is_alive(child)).then_some(()));
    for id in [&endless, other] {
        let record = home.record(id);
        assert_eq!((&record["status"], &record["timeout_ms"]), (&json!("running"), &Value::Null));
    }
}

#[test]
fn d7_the_status_tool_gives_the_whole_record_or_not_found() {
    let home = Home::new();
    let mut agent = Agent::connect(&home, &[]);
    let large = "x".repeat(3_000);
    let register = json!({
        "process_type": "analysis", "name": "n", "session_id": "s", "description": "d",
        "metadata": {"ticket": 7, "notes": large},
    });
    let registered = agent.call("register_process", &register);
    let id = registered["process_id"].as_str().unwrap();
    let report = json!({"process_id": id, "progress": 40, "stage": "copying"});
    let _ = agent.call("report_progress", &report);
    let status = agent.call("get_background_process_status", &json!({"process_id": id}));
    let record = home.record(id);
    for (field, value) in record.as_object().unwrap() {
        let is_said = !value.is_null() && *value != json!(false) && *value != json!([]);
        let name = match field.as_str() {
            "id" => "process_id".to_owned(),
            "type" => "process_type".to_owned(),
            "duration_ms" => "elapsed_s".to_owned(),
            "idle_ms" => "idle_for_s".to_owned(),
            field => field.replace("_ms", "_s"),
        };
        assert!(!is_said || !status[&name].is_null(), "{field}: {status}");
    }
    assert_eq!((&status["progress"], &status["stage"]), (&json!(40.0), &json!("copying")));
    assert!(status.to_string().len() < 4_096, "long output is cut: {status}");
    let uri = format!("longhaul://process/{id}");
    assert!(status.to_string().contains(&uri), "the URI of the rest: {status}");
    let rest = agent.request("resources/read", &json!({"uri": uri})).to_string();
    assert!(rest.contains(&large), "the URI returns the rest");
    let unknown = json!({"process_id": "00000000-0000-4000-8000-000000000000"});
    assert_eq!(agent.refused("get_background_process_status", &unknown)["code"], "process_not_found");
}

#[test]
fn q9_fifty_children_that_end_together_are_one_notice_with_fifty() {
    let home = Home::new();
    // This completion window is long enough for a machine under load.
    configure(&home, "completions.window = \"3s\"\nlimits.max_per_level = 60\n");
    let parent = home.ok(&["track", "start", "--session", "s"]);
    for _ in 0..50 {
        let command = json!({"program": "sh", "args": ["-c", GATED], "directory": home.work()});
        let (code, launched) = http(
            &home,
            "POST",
            "/v1/processes",
            &json!({"command": command, "parent_id": parent, "session_id": "s"}),
        );
        assert_eq!(code, 201, "{launched}");
    }
    let live = |status: &str| {
        http(&home, "GET", &format!("/v1/sessions/s?limit=200&status={status}"), &Value::Null).1
    };
    until("all run", || (live("running")["processes"].as_array()?.len() == 51).then_some(()));
    let mut notices = Stream::open(&home, "/v1/sessions/s/completions?format=sse");
    assert_eq!(notices.until(|_| true)["live_count"], 51, "the number of live processes of the session");
    let mut wait = home.command(&["wait", "--session", "s", "--json"]);
    let mut waiting = wait.stdout(Stdio::piped()).spawn().unwrap();
    let mut reported = BufReader::new(waiting.stdout.take().unwrap())
        .lines()
        .map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    assert_eq!(reported.next().unwrap()["live_count"], 51);
    home.open_gate();
    let notice = notices.until(|_| true);
    assert_eq!(notice["ended"].as_array().unwrap().len(), 50, "{notice}");
    assert_eq!(notice["counts"], json!({"completed": 50}));
    assert_eq!((&notice["live_count"], &notice["all_complete"]), (&json!(1), &json!(false)));
    assert_eq!(home.run(&["track", "complete", &parent]).code, 0);
    let last = notices.until(|_| true);
    assert_eq!((last["ended"].as_array().unwrap().len(), &last["all_complete"]), (1, &json!(true)));
    let reported: Vec<Value> = reported.collect();
    assert_eq!(reported, [notice, last], "`wait` prints the same batches");
    assert_eq!(waiting.wait().unwrap().code(), Some(0));
}

#[test]
fn q9_silence_is_marked_as_idle_until_there_is_output() {
    let home = Home::new();
    let _ = home.ok(&["queue"]);
    let command = json!({
        "program": "sh", "args": ["-c", format!("echo one; {GATED}; echo two; exec sleep 60")],
        "directory": home.work(),
    });
    let (code, launched) =
        http(&home, "POST", "/v1/processes", &json!({"command": command, "idle_after_ms": 1_000}));
    assert_eq!(code, 201, "{launched}");
    let id = launched["process"]["id"].as_str().unwrap();
    let is_idle = || {
        let record = home.record(id);
        record["conditions"].to_string().contains("idle")
    };
    until("the process is idle", || is_idle().then_some(()));
    home.open_gate();
    until("the command printed a line", || home.ok(&["logs", id]).ends_with("two").then_some(()));
    until("the process is not idle any more, or idle again", || {
        let events = lines_of(&home, "/v1/events?type=PROCESS_IDLE");
        (events.len() >= 2 || !is_idle()).then_some(())
    });
    let events = lines_of(&home, &format!("/v1/events?type=PROCESS_IDLE&process={id}"));
    assert!(!events.is_empty(), "other subscribers get events");
    assert_eq!(json_of(&home, &["inspect", id])["status"], "running");
}
