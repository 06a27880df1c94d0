//! Agents and connections that end, hang or misbehave must not affect processes or other clients. Requirements D8, E3,
//! H5 and E8.

use crate::agent::Agent;
use crate::socket::http;
use longhaul_tests::{GATED, Home, best_of_three, is_alive, kill, until};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Number of concurrent clients.
const MANY: usize = 1_000;
/// The documentation page for authors of agents.
const GUIDE: &str = include_str!("../../docs/agents.md");
/// The process id that the examples of the documentation page use.
const EXAMPLE: &str = "0199d3f0-6c1e-7b52-9f53-0d9a3c6f4e11";

/// Starts a command that prints `begin`, and prints `end` when the gate opens. Returns its process id, its pid and the
/// cursor that the agent received.
fn begin(home: &Home, agent: &mut Agent) -> (String, u32, String) {
    let line = format!("echo begin; {GATED}; echo end; exec sleep 60");
    let start = json!({"process_type": "server", "name": "n", "command": line});
    let started = agent.call("start_background_process", &start);
    let id = started["process_id"].as_str().unwrap().to_owned();
    until("the command has started", || (home.ok(&["logs", &id]) == "begin").then_some(()));
    let read = agent.call("read_process_output", &json!({"process_id": id}));
    assert_eq!(read["text"], "begin\n", "{read}");
    (id.clone(), home.pid(&id), read["next_cursor"].as_str().unwrap().to_owned())
}

/// Opens the gate. A read from the cursor must then return only the output after the cursor.
fn reads_on(home: &Home, agent: &mut Agent, id: &str, cursor: &str) {
    home.open_gate();
    until("the command printed more", || home.ok(&["logs", id]).ends_with("end").then_some(()));
    let read = agent.call("read_process_output", &json!({"process_id": id, "cursor": cursor}));
    assert_eq!(read["text"], "end\n", "{read}");
}

/// Raises this test's limit on open files to its maximum.
fn widen() {
    let found = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: found.maximum, maximum: found.maximum });
}

fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

/// Sends a request over the socket of a manager, but does not read the response.
fn parked(home: &Home, path: &str) -> UnixStream {
    let mut stream = UnixStream::connect(home.state().join("longhaul.sock")).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: longhaul\r\nconnection: close\r\n\r\n").unwrap();
    stream
}

/// Returns true if the stream has received no byte.
fn is_silent(stream: &mut UnixStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let read = stream.read(&mut [0; 1]);
    stream.set_nonblocking(false).unwrap();
    read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

fn launches_at_once(home: &Home, what: &str) {
    best_of_three(Duration::from_secs(1), what, || {
        let begin = Instant::now();
        let _ = home.launch(&["true"]);
        begin.elapsed()
    });
}

#[test]
fn e3_an_agent_that_is_killed_leaves_its_work_and_another_reads_on() {
    let home = Home::new();
    let mut agent = Agent::connect(&home, &[]);
    let (id, pid, cursor) = begin(&home, &mut agent);
    let wait = json!({"name": "wait_for_process", "arguments": {"process_ids": [id], "timeout_seconds": 50}});
    let _never_read = agent.ask("tools/call", &wait);
    let program = agent.pid();
    kill("-KILL", program);
    until("longhaul mcp has exited", || (!is_alive(program)).then_some(()));
    assert!(home.status(&id) == "running" && home.pid(&id) == pid && is_alive(pid));
    let mut other = Agent::connect(&home, &[]);
    reads_on(&home, &mut other, &id, &cursor);
    assert_eq!(home.status(&id), "running");
}

#[test]
fn e3_the_manager_is_killed_and_the_same_agent_reads_on_with_the_same_cursor() {
    let home = Home::new();
    let mut agent = Agent::connect(&home, &[]);
    let (id, pid, cursor) = begin(&home, &mut agent);
    home.end_manager("-KILL");
    assert!(is_alive(pid), "running processes are not affected");
    let status = until("the agent gets a response again", || {
        let call = json!({"name": "get_process_status", "arguments": {"process_id": id}});
        let status = agent.request("tools/call", &call);
        (status["isError"] != true).then(|| status["structuredContent"].clone())
    });
    assert_eq!((&status["status"], &status["pid"]), (&json!("running"), &json!(pid)));
    reads_on(&home, &mut agent, &id, &cursor);
}

#[test]
fn d8_the_guide_says_to_register_long_operations_and_to_report_and_doing_as_it_says_works() {
    let rule = "**Register long operations and report their progress.**";
    let tools = ["register_process", "report_progress", "complete_process", "fail_process"];
    let rules = GUIDE.split("\n## ").find(|part| part.starts_with("Rules\n")).unwrap();
    assert!(rules.contains(rule) && tools.iter().all(|tool| rules.contains(tool)), "{rules}");
    let home = Home::new();
    let printed = home.ok(&["mcp", "instructions"]);
    assert!(tools.iter().all(|tool| printed.contains(tool)), "{printed}");
    let mut agent = Agent::connect(&home, &[]);
    for last in ["complete_process", "fail_process"] {
        let mut id = EXAMPLE.to_owned();
        for tool in ["register_process", "report_progress", last] {
            let [arguments, reported] = guide_of(tool)
                .map(|json| serde_json::from_str::<Value>(&json.replace(EXAMPLE, &id)).unwrap());
            let answer = agent.call(tool, &arguments);
            if tool == "register_process" {
                id = answer["process_id"].as_str().unwrap().to_owned();
            }
            assert_eq!(answer["status"], reported["status"], "{tool}: {answer}");
            assert!(
                tool != "report_progress" || answer["progress"] == reported["progress"],
                "{tool}: {answer}"
            );
        }
    }
}

#[test]
fn d8_the_guide_has_the_lifecycle_and_the_schema_of_every_tool() {
    let home = Home::new();
    let diagram = GUIDE.split("\n## ").find(|part| part.starts_with("Lifecycle\n")).unwrap();
    for status in [
        "pending",
        "starting",
        "running",
        "paused",
        "stopping",
        "completed",
        "failed",
        "timeout",
        "cancelled",
        "interrupted",
    ] {
        assert!(diagram.contains(status), "{status}: {diagram}");
    }
    let mut agent = Agent::connect(&home, &[]);
    let listed = agent.request("tools/list", &json!({}));
    let sections = GUIDE.matches("\n### `").count();
    assert_eq!(
        listed["tools"].as_array().unwrap().len(),
        sections,
        "a tool has a section, and a section a tool"
    );
    for tool in listed["tools"].as_array().unwrap() {
        let section = section_of(tool["name"].as_str().unwrap());
        let reported: BTreeSet<&str> =
            section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
        let inputs = tool["inputSchema"]["properties"].as_object().unwrap();
        assert_eq!(reported, inputs.keys().map(String::as_str).collect(), "{section}");
        let output = section.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).next_back();
        assert_eq!(output.as_ref(), Some(&tool["outputSchema"]), "{section}");
    }
}

/// Returns the section of the documentation page that describes a tool.
fn section_of(tool: &str) -> &'static str {
    let begin = format!("\n### `{tool}`\n");
    let section = GUIDE.split_once(&begin).unwrap().1;
    section.split("\n### ").next().unwrap()
}

/// Returns the example of a tool from the documentation page: the arguments and the result.
fn guide_of(tool: &str) -> [&'static str; 2] {
    let mut blocks =
        section_of(tool).split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    [blocks.next().unwrap(), blocks.next().unwrap()]
}

#[test]
fn h5_agents_read_both_outputs_apart_and_together() {
    let home = Home::new();
    let mut agent = Agent::connect(&home, &[]);
    let line = format!("echo out1; {GATED}; echo err1 >&2; touch said; exec sleep 60");
    let start = json!({"process_type": "server", "name": "n", "command": line});
    let started = agent.call("start_background_process", &start);
    let id = started["process_id"].as_str().unwrap();
    until("the first line is stored", || (home.ok(&["logs", id]) == "out1").then_some(()));
    home.open_gate();
    home.until_written("said");
    until("both lines are stored", || home.ok(&["logs", id]).contains("err1").then_some(()));
    let mut read = |stream: &str| {
        agent.call("read_process_output", &json!({"process_id": id, "stream": stream}))["text"].clone()
    };
    assert_eq!((read("stdout"), read("stderr")), (json!("out1\n"), json!("err1\n")));
    let together = read("both").as_str().unwrap().to_owned();
    assert!(together.find("out1").unwrap() < together.find("err1").unwrap(), "{together}");
}

#[test]
fn dropped_client_ends_its_wait_and_not_the_process() {
    let home = Home::new();
    let id = home.launch(&["sleep", "60"]);
    let pid = home.pid(&id);
    let manager = home.manager().unwrap();
    let before = descriptors(manager);
    let waits: Vec<UnixStream> =
        (0..50).map(|_| parked(&home, &format!("/v1/wait?id={id}&timeout_ms=60000"))).collect();
    // The manager may have closed some descriptors of the launch since they were counted.
    until("the clients are connected", || (descriptors(manager) >= before + 40).then_some(()));
    drop(waits);
    until("their connections are closed", || (descriptors(manager) < before + 10).then_some(()));
    assert!(home.status(&id) == "running" && is_alive(pid));
}

#[test]
fn thousand_parked_waits_do_not_delay_a_launch_and_all_are_answered() {
    widen();
    let home = Home::new();
    let id = home.launch(&["sleep", "60"]);
    home.until_status(&id, "running");
    let mut waits: Vec<UnixStream> =
        (0..MANY).map(|_| parked(&home, &format!("/v1/wait?id={id}&timeout_ms=60000"))).collect();
    launches_at_once(&home, "a launch during a thousand waits");
    assert!(waits.iter_mut().all(is_silent), "all of them still wait");
    assert_eq!(home.run(&["cancel", "--force", &id]).code, 0);
    for wait in &mut waits {
        wait.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut answer = String::new();
        let _ = wait.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("cancelled"), "{answer}");
    }
}

#[test]
fn thousand_silent_slow_and_half_open_clients_do_not_affect_other_clients() {
    widen();
    let served = Served::new();
    let home = &served.home;
    let id = home.launch(&["sleep", "60"]);
    let known = format!("host: {}\r\nauthorization: Bearer {}\r\n", served.address, served.token);
    let kinds = [
        String::new(),
        "GET /v1/hea".to_owned(),
        format!(
            "POST /v1/processes HTTP/1.1\r\n{known}content-type: application/json\r\ncontent-length: 900\r\n\r\n{{"
        ),
        format!("GET /v1/events?format=sse HTTP/1.1\r\n{known}\r\n"),
        "\u{16}\u{3}\u{1} is not HTTP\r\n\r\n".to_owned(),
    ];
    let mut clients = Vec::new();
    let mut local = Vec::new();
    for kind in kinds.iter().cycle().take(MANY) {
        let mut client = UnixStream::connect(home.state().join("longhaul.sock")).unwrap();
        let _ = client.write_all(kind.as_bytes());
        local.push(client);
    }
    for (n, kind) in kinds.iter().cycle().take(MANY).enumerate() {
        let mut client = TcpStream::connect(&served.address).unwrap();
        // Ignore errors, because a client cannot write if its connection was rejected.
        let _ = client.write_all(kind.as_bytes());
        if n % 7 == 0 {
            let _ = client.shutdown(Shutdown::Write);
        }
        clients.push(client);
    }
    best_of_three(Duration::from_secs(1), "an authenticated client gets a response", || {
        let begin = Instant::now();
        let mut client = TcpStream::connect(&served.address).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        write!(client, "GET /v1/health HTTP/1.1\r\n{known}connection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        let _ = client.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        begin.elapsed()
    });
    launches_at_once(home, "a launch during a thousand such connections");
    assert_eq!(home.status(&id), "running");
    assert_eq!(http(home, "GET", "/v1/ready", &Value::Null).0, 200);
    drop((clients, local));
}

/// A manager that listens on the network.
struct Served {
    home: Home,
    manager: Child,
    address: String,
    token: String,
}

impl Served {
    fn new() -> Self {
        let home = Home::new();
        let mut serve = home.command(&["serve", "--listen", "127.0.0.1:0"]);
        let manager = serve.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let said = |name: &str| {
            until(name, || {
                let text = std::fs::read_to_string(home.state().join(name)).ok()?;
                Some(text.lines().next()?.to_owned())
            })
        };
        let address = said("listen").trim_start_matches("http://").to_owned();
        let token = said("token");
        Self { home, manager, address, token }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.home.run(&["cancel", "--all", "--force", "--yes", "--no-autostart"]);
        let _ = self.manager.kill();
        let _ = self.manager.wait();
    }
}
