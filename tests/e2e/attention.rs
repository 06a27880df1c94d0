//! Tests of waiting for input, readiness, and writing to standard input. Requirement H5.

use crate::socket::{http, lines_of};
use longhaul_tests::{Answer, GATED, Home, best_of_three, is_alive, until};
use serde_json::{Value, json};
use std::io::Write;
use std::net::TcpListener;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Maximum time from the last output of a process until the process is reported as waiting for input.
const PROMPT: Duration = Duration::from_secs(2);

#[test]
fn a_shell_that_waits_for_input_is_reported_within_two_seconds_and_continues_after_an_answer() {
    let home = Home::new();
    best_of_three(PROMPT, "the process is reported as waiting for input", || {
        let script = "printf 'name? '; read name; echo \"hello $name\"; sleep 60";
        let id = piped(&home, &["sh", "-c", script]);
        home.until_status(&id, "running");
        let begin = Instant::now();
        until("the process waits for input", || waits(&home, &id).then_some(()));
        let took = begin.elapsed();
        let shown = home.ok(&["status", &id]);
        assert!(shown.contains("waiting_for_input") && shown.contains("longhaul send"), "{shown}");
        assert!(home.ok(&["send", &id, "Ada", "--json"]).contains("\"bytes\""));
        until("the command read the answer", || home.ok(&["logs", &id]).contains("hello Ada").then_some(()));
        until("the process does not wait for input any more", || (!waits(&home, &id)).then_some(()));
        took
    });
}

#[test]
fn readers_are_reported_and_sleeping_accepting_or_polling_programs_are_not() {
    let home = Home::new();
    let polls = "import select, sys\nwhile True: select.select([sys.stdin], [], [], 3600)";
    let accepts = "import socket\ns = socket.create_server(('127.0.0.1', 0))\nwhile True: s.accept()";
    let idle = [
        piped(&home, &["sleep", "60"]),
        piped(&home, &["python3", "-c", accepts]),
        piped(&home, &["python3", "-c", polls]),
    ];
    for id in &idle {
        home.until_status(id, "running");
    }
    let cat = piped(&home, &["cat"]);
    let python = piped(&home, &["python3", "-c", "print(input('name? '))"]);
    // Wait until the processes that started last are reported as waiting for input. All other processes have then had
    // more time to be reported by mistake.
    for id in [&cat, &python] {
        until("the process waits for input", || waits(&home, id).then_some(()));
    }
    for id in &idle {
        assert!(!waits(&home, id), "{}", home.record(id));
    }
    assert_eq!(home.run(&["send", &python, "Grace"]).code, 0);
    assert_eq!(home.run(&["wait", &python]).code, 0);
    assert!(home.ok(&["logs", &python]).ends_with("Grace"));
}

#[test]
fn sent_input_arrives_unchanged_and_its_end_ends_a_reader() {
    let home = Home::new();
    let id = piped(&home, &["cat"]);
    home.until_status(&id, "running");
    assert_eq!(home.run(&["send", &id, "no line feed: ", "--no-newline"]).code, 0);
    assert_eq!(home.run(&["send", &id, "one"]).code, 0);
    let many = "a line of many\n".repeat(20_000);
    let sent = said(&home, &["send", &id, "-", "--close", "--json"], many.as_bytes());
    let reply: Value = serde_json::from_str(&sent.out).unwrap();
    assert_eq!((reply["bytes"].as_u64(), reply["closed"].as_bool()), (Some(300_000), Some(true)), "{sent:?}");
    assert_eq!(home.run(&["wait", &id]).code, 0);
    assert_eq!(home.run(&["logs", &id, "-n", "all"]).out, format!("no line feed: one\n{many}"));
    let late = home.run(&["send", &id, "more"]);
    assert!(late.code == 4 && late.err.contains("completed"), "{late:?}");
}

#[test]
fn input_outlives_the_manager() {
    let home = Home::new();
    let id = piped(&home, &["cat"]);
    home.until_status(&id, "running");
    assert_eq!(home.run(&["send", &id, "before"]).code, 0);
    home.end_manager("-KILL");
    assert_eq!(home.run(&["send", &id, "after"]).code, 0);
    until("both were read", || (home.ok(&["logs", &id]) == "before\nafter").then_some(()));
    until("the next manager reports it too", || waits(&home, &id).then_some(()));
    assert_eq!(home.run(&["send", &id, "--close"]).code, 0);
    assert_eq!(home.run(&["wait", &id]).code, 0);
}

#[test]
fn input_for_a_process_without_a_pipe_is_refused_with_advice() {
    let home = Home::new();
    let id = home.launch(&["sleep", "60"]);
    home.until_status(&id, "running");
    let refused = home.run(&["send", &id, "x"]);
    assert!(refused.code == 4 && refused.err.contains("--stdin-pipe"), "{refused:?}");
    assert!(home.ok(&["explain", "input_closed"]).contains("closed"));
}

#[test]
fn a_server_is_ready_when_it_listens_and_its_port_is_shown() {
    let home = Home::new();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let script = "while [ ! -e go ]; do sleep 0.02; done; exec python3 -m http.server --bind 127.0.0.1 $0";
    let id = home.ok(&["run", "-b", "--ready-port", &port, "--", "sh", "-c", script, &port]);
    home.until_status(&id, "running");
    assert_eq!(home.record(&id)["ready"], false);
    assert_eq!(home.run(&["wait", &id, "--for", "ready", "--timeout", "200ms"]).code, 75);
    home.open_gate();
    assert_eq!(home.run(&["wait", &id, "--for", "ready"]).code, 0);
    let record = home.record(&id);
    let listens = json!([{ "address": "127.0.0.1", "port": port.parse::<u16>().unwrap() }]);
    assert_eq!((&record["ready"], &record["listening_ports"]), (&json!(true), &listens));
    let shown = home.ok(&["status", &id]);
    assert!(shown.contains(&format!("127.0.0.1:{port}")) && shown.contains("ready"), "{shown}");
    let url = format!("http://127.0.0.1:{port}/");
    let beside = home.ok(&["run", "-b", "--ready-http", &url, "--", "sleep", "60"]);
    assert_eq!(home.run(&["wait", &beside, "--for", "ready"]).code, 0);
}

#[test]
fn a_line_or_a_command_can_determine_readiness() {
    let home = Home::new();
    let script = "echo warming up; while [ ! -e go ]; do sleep 0.02; done; echo now serving; sleep 60";
    let reported = home.ok(&["run", "-b", "--ready-log", "^now", "--", "sh", "-c", script]);
    let asked = home.ok(&["run", "-b", "--ready-cmd", "test -e go", "--", "sleep", "60"]);
    until("the process prints its first line", || {
        home.ok(&["logs", &reported]).contains("warming").then_some(())
    });
    for id in [&reported, &asked] {
        assert_eq!(home.record(id)["ready"], false);
    }
    home.open_gate();
    assert_eq!(home.run(&["wait", &reported, &asked, "--for", "ready"]).code, 0);
}

#[test]
fn a_process_that_ends_before_it_is_ready_ends_the_wait_with_its_exit_code() {
    let home = Home::new();
    let id = home.ok(&["run", "-b", "--ready-log", "never", "--", "sh", "-c", "exit 7"]);
    assert_eq!(home.run(&["wait", &id, "--for", "ready"]).code, 7);
    let plain = home.launch(&["sleep", "60"]);
    let refused = home.run(&["wait", &plain, "--for", "ready"]);
    assert!(refused.code == 2 && refused.err.contains("ready"), "{refused:?}");
    let bad = home.run(&["run", "-b", "--watch", "e=(", "--", "true"]);
    assert_eq!(bad.code, 2, "{bad:?}");
}

#[test]
fn silence_is_reported_as_the_launch_or_the_configuration_says() {
    let home = Home::new();
    let config = home.state().parent().unwrap().join("config/longhaul");
    std::fs::create_dir_all(&config).unwrap();
    std::fs::write(config.join("config.toml"), "[monitor]\nidle_after = \"1s\"\n").unwrap();
    let configured = home.launch(&["sleep", "60"]);
    let stalls = home.ok(&["run", "-b", "--idle-after", "0", "--stall-after", "2s", "--", "sleep", "60"]);
    until("the first is idle", || has(&home, &configured, "idle").then_some(()));
    until("the second is stalled", || has(&home, &stalls, "stalled").then_some(()));
    assert!(!has(&home, &stalls, "idle") && !has(&home, &configured, "stalled"));
    assert!(home.record(&stalls)["idle_ms"].as_u64().unwrap() >= 2_000);
}

/// Lines that a command prints while no manager is running must be reported one time, by the next manager.
#[test]
fn lines_printed_while_no_manager_runs_are_reported_once_by_the_next_manager() {
    let home = Home::new();
    assert_eq!(home.run(&["status"]).code, 0);
    let watching = |script: &str| {
        let command = json!({ "program": "sh", "args": ["-c", script], "directory": home.work(),
                              "watch": [{ "name": "errors", "pattern": "^err" }] });
        let (code, answer) = http(&home, "POST", "/v1/processes", &json!({ "command": command }));
        assert_eq!(code, 201, "{answer}");
        answer["process"]["id"].as_str().unwrap().to_owned()
    };
    let reported = |id: &str| -> Vec<String> {
        let path = format!("/v1/events?type=PROCESS_OUTPUT_MATCHED,PROCESS_FAILED&process={id}");
        let tell =
            |event: Value| event["data"]["line"].as_str().map_or_else(|| "failed".to_owned(), str::to_owned);
        lines_of(&home, &path).into_iter().map(tell).collect()
    };
    let lives = watching(&format!("echo err 1; {GATED}; echo err 2; touch said; sleep 60"));
    let ends = watching(&format!("echo err 1; {GATED}; echo err 2; exit 3"));
    for id in [&lives, &ends] {
        until("the first line is reported", || (reported(id) == ["err 1"]).then_some(()));
    }
    let (pid, stays) = (home.pid(&ends), home.pid(&lives));
    home.end_manager("-KILL");
    home.open_gate();
    home.until_written("said");
    until("the other command has exited", || (!is_alive(pid)).then_some(()));
    for _ in 0..2 {
        assert_eq!(home.run(&["status"]).code, 0);
        until("the end is reported", || (reported(&ends).last()? == "failed").then_some(()));
        assert_eq!(reported(&ends), ["err 1", "err 2", "failed"]);
        until("the second line is reported", || (reported(&lives).len() > 1).then_some(()));
        assert_eq!(reported(&lives), ["err 1", "err 2"]);
        home.end_manager("-KILL");
    }
    assert!(is_alive(stays));
}

fn piped(home: &Home, command: &[&str]) -> String {
    home.ok(&[&["run", "-b", "--stdin-pipe", "--"], command].concat())
}

fn waits(home: &Home, id: &str) -> bool {
    has(home, id, "waiting_for_input")
}

fn has(home: &Home, id: &str, condition: &str) -> bool {
    let conditions = home.record(id)["conditions"].clone();
    conditions.as_array().is_some_and(|all| all.iter().any(|each| each == condition))
}

/// Runs `longhaul` with this standard input.
fn said(home: &Home, args: &[&str], input: &[u8]) -> Answer {
    let mut command = home.command(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    Answer::of(child.wait_with_output().unwrap())
}
