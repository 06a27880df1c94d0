//! Tests of events, webhooks and hooks.

use crate::bench::{Bench, Said, until};
use rustix::process::Signal;
use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

fn lines(said: &Said) -> Vec<Value> {
    assert_eq!(said.code, 0, "{said:?}");
    said.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn words(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["event"].as_str().unwrap()).collect()
}

#[test]
fn events_are_read_from_any_cursor_across_a_restart() {
    let bench = Bench::new();
    let id = bench.launch("echo three tests failed; exit 3");
    assert_eq!(bench.run(&["wait", &id]).code, 3);
    let all = lines(&bench.run(&["events", "--json"]));
    assert_eq!(words(&all), ["PROCESS_QUEUED", "PROCESS_STARTED", "PROCESS_FAILED"]);
    let failed = &all[2]["data"];
    assert_eq!(
        (failed["exit_code"].as_i64(), failed["output"].as_str()),
        (Some(3), Some("three tests failed"))
    );
    assert!(failed["pid"].is_u64() && failed["pid"] == all[1]["data"]["pid"], "{failed}");
    bench.end_manager(Signal::KILL);
    let after = all[0]["cursor"].as_str().unwrap();
    assert_eq!(lines(&bench.run(&["events", "--json", "--after", after])), all[1..]);
    let said = bench.run(&["events", "--type", "PROCESS_FAILED"]);
    assert!(said.out.contains(" PROCESS_FAILED ") && said.out.contains(&id[..8]), "{said:?}");
}

#[test]
fn wait_for_a_session_reports_simultaneous_ends_together() {
    let bench = Bench::new();
    let gate = bench.top().join("gate");
    for n in 0..8 {
        let line = format!("until test -e {}; do sleep 0.02; done; exit {}", gate.display(), n % 2);
        assert_eq!(bench.run(&["run", "-b", "--session", "s", "--", "sh", "-c", &line]).code, 0);
    }
    let waiting = bench
        .command(&["wait", "--session", "s", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::fs::write(gate, "").unwrap();
    let said = Said::of(waiting.wait_with_output().unwrap());
    assert_eq!(said.code, 1, "{said:?}");
    let notices: Vec<Value> = said.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ended: usize = notices.iter().map(|notice| notice["ended"].as_array().unwrap().len()).sum();
    assert!(ended == 8 && notices.len() <= 5, "{notices:#?}");
    assert_eq!(notices.last().unwrap()["all_complete"], true);
    let again = bench.run(&["wait", "--session", "s", "--json"]);
    assert_eq!(again.code, 1, "{again:?}");
    let again: Value = serde_json::from_str(&again.out).unwrap();
    assert_eq!((again["ended"].as_array().unwrap().len(), &again["all_complete"]), (8, &Value::Bool(true)));
    let typo = bench.run(&["wait", "--session", "typo"]);
    assert_eq!(typo.code, 3, "{typo:?}");
}

#[test]
fn hook_is_run_once_for_each_end_whatever_happens_to_the_manager() {
    let bench = Bench::new().with_config(
        "on_end = [\"sh\", \"-c\", 'echo \"$0 $LONGHAUL_EVENT_TYPE ${SECRET-none}\" >> {top}/ends', \"{name} {exit_code}\"]\n\
         on_session_complete = [\"sh\", \"-c\", 'printf %s \"$LONGHAUL_EVENT\" > {top}/complete']\n",
    );
    let ends = || std::fs::read_to_string(bench.top().join("ends")).unwrap_or_default();
    let run = |name: &str, code: &str| {
        let line = format!("exit {code}");
        let words = ["run", "-b", "--session", "s", "--name", name, "--", "sh", "-c", &line];
        let mut command = bench.command(&words);
        assert_eq!(Said::of(command.env("SECRET", "hush").output().unwrap()).code, 0);
    };
    run("first; false", "3");
    until("the hook ran", || ends().lines().count() == 1);
    bench.end_manager(Signal::KILL);
    run("second", "0");
    until("the hook ran again", || ends().lines().count() == 2);
    until("the session is complete", || bench.top().join("complete").exists());
    bench.end_manager(Signal::TERM);
    assert_eq!(bench.run(&["status"]).code, 0);
    assert_eq!(ends(), "first; false 3 PROCESS_FAILED none\nsecond 0 PROCESS_STOPPED none\n");
    let complete = std::fs::read_to_string(bench.top().join("complete")).unwrap();
    let complete: Value = serde_json::from_str(&complete).unwrap();
    assert_eq!((complete["session"].as_str(), complete["all_complete"].as_bool()), (Some("s"), Some(true)));
}

#[test]
fn webhook_gets_signed_events_and_no_other_address_is_contacted() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let heard = Arc::new(Mutex::new(Vec::<String>::new()));
    let noted = heard.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let (mut text, mut bytes) = (String::new(), [0; 4_096]);
            while !is_whole(&text) {
                let read = stream.read(&mut bytes).unwrap_or(0);
                if read == 0 {
                    break;
                }
                text.push_str(&String::from_utf8_lossy(&bytes[..read]));
            }
            noted.lock().unwrap().push(text);
            let _ = stream.write_all(b"HTTP/1.1 204 Good\r\n\r\n");
        }
    });
    let bench = Bench::new().with_config(&format!(
        "webhooks.allow = [\"http://{address}/hooks\"]\n[webhook.ci]\nurl = \"http://{address}/hooks/ci\"\n\
         secret = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"\nevents = [\"PROCESS_FAILED\"]\n"
    ));
    assert_eq!(bench.run(&["status"]).code, 0, "{}", bench.log());
    let good = bench.launch("exit 0");
    let bad = bench.launch("exit 9");
    assert_eq!((bench.run(&["wait", &good]).code, bench.run(&["wait", &bad]).code), (0, 9));
    until("an event was delivered", || !heard.lock().unwrap().is_empty());
    let letters = heard.lock().unwrap().clone();
    assert_eq!(letters.len(), 1);
    let (head, body) = letters[0].split_once("\r\n\r\n").unwrap();
    assert!(
        head.starts_with("POST /hooks/ci HTTP/1.1\r\n") && head.contains("webhook-signature: v1,"),
        "{head}"
    );
    let event: Value = serde_json::from_str(body).unwrap();
    assert_eq!(
        (event["event"].as_str(), event["subject"].as_str()),
        (Some("PROCESS_FAILED"), Some(bad.as_str()))
    );
}

#[test]
fn killed_manager_repeats_only_the_delivery_in_progress() {
    const KILLS: usize = 20;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let heard = Arc::new(Mutex::new(Vec::<String>::new()));
    let noted = heard.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, noted) = (stream.unwrap(), noted.clone());
            std::thread::spawn(move || {
                while let Some(id) = next_letter(&mut stream) {
                    noted.lock().unwrap().push(id);
                    let _ = stream.write_all(b"HTTP/1.1 204 Good\r\n\r\n");
                }
            });
        }
    });
    let bench = Bench::new().with_config(&format!(
        "webhooks.allow = [\"http://{address}\"]\n[webhook.ci]\nurl = \"http://{address}/\"\nsecret = \"hush\"\n"
    ));
    let mut ids = Vec::new();
    for kill in 0..KILLS {
        for n in 0..5 {
            // A manager that is being killed may accept a connection without responding, so the launch is repeated with
            // its launch key.
            let key = format!("{kill}/{n}");
            until("the process is launched", || {
                let said = bench.run(&["run", "-b", "--launch-key", &key, "--", "true"]);
                ids.extend((said.code == 0).then(|| said.out.trim().to_owned()));
                said.code == 0
            });
        }
        // The manager is killed during the deliveries or after all deliveries are done.
        until("some events were delivered", || heard.lock().unwrap().len() > kill * 12);
        bench.end_manager(Signal::KILL);
    }
    for id in &ids {
        assert_eq!(bench.run(&["wait", id]).code, 0);
    }
    let all: Vec<Value> = lines(&bench.run(&["events", "--json"]));
    let all: Vec<&str> = all.iter().map(|event| event["id"].as_str().unwrap()).collect();
    assert!(all.len() >= 3 * ids.len());
    until("all events were delivered", || {
        all.iter().all(|id| heard.lock().unwrap().iter().any(|reported| reported == id))
    });
    let heard = heard.lock().unwrap().clone();
    let mut once: Vec<&str> = Vec::new();
    for id in &heard {
        if !once.contains(&id.as_str()) {
            once.push(id);
        }
    }
    let repeats = heard.len() - once.len();
    assert_eq!(once, all, "the events arrive in order");
    assert!(repeats <= KILLS, "{repeats} of {} events were repeated", once.len());
}

/// Reads one webhook delivery and returns its id. Returns `None` at the end of the connection.
fn next_letter(stream: &mut impl std::io::Read) -> Option<String> {
    let (mut text, mut bytes) = (String::new(), [0; 4_096]);
    while !is_whole(&text) {
        let read = stream.read(&mut bytes).ok().filter(|read| *read > 0)?;
        text.push_str(&String::from_utf8_lossy(&bytes[..read]));
    }
    text.lines().find_map(|line| line.strip_prefix("webhook-id: ")).map(str::to_owned)
}

/// Returns true if the text contains a complete request, including its body.
fn is_whole(text: &str) -> bool {
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    length.is_none_or(|length| body.len() >= length.parse().unwrap())
}

#[test]
fn webhook_that_is_not_allowed_keeps_the_manager_from_its_start() {
    let bench = Bench::new().with_config("[webhook.ci]\nurl = \"http://127.0.0.1:9/\"\nsecret = \"hush\"\n");
    let said = bench.run(&["status"]);
    assert_ne!(said.code, 0);
    assert!(said.err.contains("webhooks.allow") && !said.err.contains("hush"), "{said:?}");
}

#[test]
fn agents_that_come_and_go_leave_nothing_in_the_log() {
    let bench = Bench::new();
    assert_eq!(bench.run(&["status"]).code, 0);
    for _ in 0..3 {
        let mut agent = bench
            .command(&["mcp"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let hello = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;
        let initialized = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        let mut input = agent.stdin.take().unwrap();
        writeln!(input, "{hello}\n{initialized}").unwrap();
        let mut answer = String::new();
        let mut output = std::io::BufReader::new(agent.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut output, &mut answer).unwrap();
        assert!(answer.contains("serverInfo"), "{answer}");
        drop(input);
        assert!(agent.wait().unwrap().success());
    }
    bench.end_manager(Signal::TERM);
    let log = bench.log();
    let ours = ["is ready", "the manager received a stop signal", "the manager is shutting down"];
    let strange: Vec<&str> = log.lines().filter(|line| !ours.iter().any(|own| line.contains(own))).collect();
    assert!(strange.is_empty() && log.lines().count() == ours.len(), "{log}");
}
