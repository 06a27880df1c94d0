//! Tests of the output and input of processes on another node, which is reached over the network as on two machines.

use crate::agent::Agent;
use crate::nodes::{TIMES, Two};
use longhaul_tests::{GATED, Home, is_alive, kill, until, within};
use serde_json::json;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Maximum time to detect an unreachable node: two seconds for a connection, five for a response, and a margin.
const BOUND: Duration = Duration::from_secs(12);
/// Time limit for a lease and its grace period to expire and for another node to detect the loss.
const LOST: Duration = Duration::from_secs(30);

/// Starts `longhaul` with these arguments. The test reads its output while it is running.
fn spawned(home: &Home, words: &[&str]) -> Child {
    home.command(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn next_line(reader: &mut impl BufRead) -> String {
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    line
}

/// Starts two nodes, and launches a script on beta. Returns the nodes and the id of the process when the process is
/// running.
fn two_and_one(script: &str) -> Option<(Two, String)> {
    let two = Two::new()?;
    let id = two.launch(&["--node", "beta"], script);
    two.alpha.until_status(&id, "running");
    Some((two, id))
}

#[test]
fn output_of_another_node_is_read_searched_and_followed_from_here() {
    let script = format!("echo first; echo oops >&2; : > said; {GATED}; echo last");
    let Some((two, id)) = two_and_one(&script) else { return };
    two.beta.until_written("said");
    let both = two.alpha.run(&["logs", &id]);
    assert_eq!((both.code, both.err.as_str()), (0, ""), "{both:?}");
    assert!(both.out.contains("first\n") && both.out.contains("oops\n"), "{both:?}");
    assert_eq!(two.alpha.ok(&["logs", &id, "--stream", "stderr"]), "oops");
    assert_eq!(
        two.alpha.ok(&["logs", &id, "--grep", "oo+ps"]),
        two.beta.ok(&["logs", &id, "--grep", "oo+ps"])
    );
    let mut agent = Agent::connect(&two.alpha, &[]);
    let page = agent.call("read_process_output", &json!({"process_id": id}));
    assert!(page["text"].as_str().unwrap().contains("first"), "{page}");
    assert_eq!((page["eof"].as_bool(), page.get("tail_only")), (Some(false), None), "{page}");
    let found = agent.call("search_process_output", &json!({"process_id": id, "pattern": "o{2}ps"}));
    assert_eq!(found["total_matches"], 1, "{found}");
    let mut following = spawned(&two.alpha, &["logs", "-f", "--stream", "stdout", &id]);
    let mut said = BufReader::new(following.stdout.take().unwrap());
    assert_eq!(next_line(&mut said), "first\n");
    two.beta.open_gate();
    assert_eq!(next_line(&mut said), "last\n");
    assert_eq!(next_line(&mut said), "", "the follower ends with the process");
    assert!(following.wait().unwrap().success());
    let cursor = page["next_cursor"].as_str().unwrap();
    let rest =
        agent.call("read_process_output", &json!({"process_id": id, "cursor": cursor, "wait_seconds": 5}));
    assert!(rest["text"].as_str().unwrap().contains("last") && rest["eof"] == true, "{rest}");
}

#[test]
fn foreground_run_shows_the_output_of_the_node_that_runs_it() {
    let Some(two) = Two::new() else { return };
    let work = two.beta.work();
    let words = ["run", "--node", "beta", "-C", work.to_str().unwrap(), "--clear-env", "-e", "PATH", "--"];
    let run = two.alpha.run(&[&words as &[_], &["sh", "-c", "echo there; echo wrong >&2; exit 3"]].concat());
    assert_eq!((run.code, run.out.as_str()), (3, "there\n"), "{run:?}");
    assert!(run.err.contains("wrong\n"), "{run:?}");
}

#[test]
fn input_of_another_node_is_written_from_here() {
    let Some(two) = Two::new() else { return };
    let id = two.launch(
        &["--node", "beta", "--stdin-pipe"],
        "read one; echo \"got $one\"; read two; echo \"and $two\"; cat > /dev/null; echo over",
    );
    two.alpha.until_status(&id, "running");
    let _ = two.alpha.ok(&["send", &id, "hello"]);
    until("the command read the input", || two.alpha.ok(&["logs", &id]).contains("got hello").then_some(()));
    let mut agent = Agent::connect(&two.alpha, &[]);
    let sent = agent.call("send_process_input", &json!({"process_id": id, "text": "agent\n", "close": true}));
    assert_eq!((sent["bytes"].as_u64(), sent["closed"].as_bool()), (Some(6), Some(true)), "{sent}");
    two.alpha.until_status(&id, "completed");
    assert_eq!(two.alpha.ok(&["logs", &id]), "got hello\nand agent\nover");
    let late = two.alpha.run(&["send", &id, "more"]);
    assert!(late.code != 0 && late.err.contains("[invalid_status_transition]"), "{late:?}");
}

#[test]
fn end_of_an_output_outlives_its_node() {
    let filler = "i=0; while [ $i -lt 2000 ]; do echo \"line $i\"; i=$((i+1)); done";
    let Some(two) = Two::new() else { return };
    let id = two.launch(&["--node", "beta"], &format!("{filler}; echo 'the very end' >&2; exit 4"));
    two.alpha.until_status(&id, "failed");
    let whole = two.alpha.ok(&["logs", "-n", "all", &id]);
    assert_eq!(whole.lines().count(), 2_001);
    two.beta.end_manager("-KILL");
    let begun = Instant::now();
    let tail = two.alpha.run(&["logs", "-n", "all", &id]);
    assert!(begun.elapsed() < BOUND, "{:?}", begun.elapsed());
    assert_eq!(tail.code, 0, "{tail:?}");
    assert!(tail.out.ends_with("line 1999\nthe very end\n"), "{tail:?}");
    assert!(whole.ends_with(tail.out.trim_end()) && tail.out.len() == 4_096, "{} bytes", tail.out.len());
    assert!(
        tail.err.contains("node beta cannot be reached") && tail.err.contains("last 4096 of"),
        "{tail:?}"
    );
    let followed = two.alpha.run(&["logs", "-f", "--exit-status", "-n", "1", &id]);
    assert_eq!((followed.code, followed.out.as_str()), (4, "the very end\n"), "{followed:?}");
    let mut agent = Agent::connect(&two.alpha, &[]);
    let page = agent.call("read_process_output", &json!({"process_id": id, "tail_lines": 3}));
    assert_eq!(
        (page["tail_only"]["node"].as_str(), page["eof"].as_bool()),
        (Some("beta"), Some(true)),
        "{page}"
    );
    assert!(page["text"].as_str().unwrap().ends_with("the very end\n"), "{page}");
    let first = page["tail_only"]["from_byte"].as_u64().unwrap();
    assert_eq!(usize::try_from(first).unwrap() + 4_096, whole.len() + 1);
    let found = agent.call("search_process_output", &json!({"process_id": id, "pattern": "^line 19\\d\\d$"}));
    assert_eq!(
        (found["total_matches"].as_u64(), found["tail_only"]["node"].as_str()),
        (Some(100), Some("beta"))
    );
    let _ = two.beta.ok(&["status"]);
    until("its node is present again", || {
        let again = two.alpha.run(&["logs", "-n", "all", &id]);
        (again.out.trim_end() == whole && again.err.is_empty()).then_some(())
    });
}

#[test]
fn unreachable_node_is_named_within_seconds_and_accepts_no_input() {
    // Use a long lease, so that the node is not declared lost during the test.
    let Some(two) = Two::with_times("lease=60&grace=60") else { return };
    let script = format!("echo begun; : > said; {GATED}; echo never read");
    let id = two.launch(&["--node", "beta", "--stdin-pipe"], &script);
    two.beta.until_written("said");
    let manager = two.beta.manager().unwrap();
    // Test two states of the manager. First it is stopped, so that connections get no response. Then it is killed.
    kill("-STOP", manager);
    for state in ["halted", "dead"] {
        for words in [&["logs", &id] as &[&str], &["send", &id, "hello"]] {
            let begun = Instant::now();
            let refused = two.alpha.run(words);
            assert!(begun.elapsed() < BOUND, "{state} {words:?}: {:?}", begun.elapsed());
            assert_ne!(refused.code, 0, "{state} {words:?}: {refused:?}");
            assert!(refused.err.contains("[node_unreachable]"), "{state} {words:?}: {refused:?}");
            assert!(refused.err.contains("beta"), "{state} {words:?}: {refused:?}");
        }
        if state == "halted" {
            kill("-KILL", manager);
            until("the manager has exited", || (!is_alive(manager)).then_some(()));
        }
    }
    // Start a manager again to end the processes. They would not end with the lease.
    let _ = two.beta.run(&["cancel", "--all", "--force", "--yes"]);
}

#[test]
fn manager_that_could_trust_no_other_node_does_not_begin() {
    let home = Home::new();
    let config = home.state().parent().unwrap().join("config/longhaul");
    std::fs::create_dir_all(&config).unwrap();
    let file = config.join("ca.pem");
    std::fs::write(config.join("config.toml"), format!("node.peer_ca_file = {file:?}\n")).unwrap();
    for (text, why) in
        [(None, "cannot be read"), (Some("no certificate"), "contains no usable CA certificates")]
    {
        if let Some(text) = text {
            std::fs::write(&file, text).unwrap();
        }
        let refused = home.run(&["status"]);
        assert_eq!(refused.code, 2, "{refused:?}");
        for said in ["[invalid_configuration]", "node.peer_ca_file", file.to_str().unwrap(), why] {
            assert!(refused.err.contains(said), "{said}: {refused:?}");
        }
    }
}

#[test]
fn follower_outlives_the_manager_of_the_other_node() {
    let script = format!("echo first; {GATED}; echo last");
    let Some((two, id)) = two_and_one(&script) else { return };
    let mut following = spawned(&two.alpha, &["logs", "-f", &id]);
    let mut said = BufReader::new(following.stdout.take().unwrap());
    assert_eq!(next_line(&mut said), "first\n");
    two.beta.end_manager("-KILL");
    two.beta.open_gate();
    let _ = two.beta.ok(&["status"]);
    assert_eq!(next_line(&mut said), "last\n");
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "", "no output is repeated");
    assert!(following.wait().unwrap().success());
}

#[test]
fn follower_of_a_lost_node_ends_with_the_stored_output() {
    let script = format!("echo first; {GATED}");
    let Some((two, id)) = two_and_one(&script) else { return };
    let mut following = spawned(&two.alpha, &["logs", "-f", &id]);
    let mut said = BufReader::new(following.stdout.take().unwrap());
    assert_eq!(next_line(&mut said), "first\n");
    two.beta.end_manager("-KILL");
    assert!(TIMES.contains("lease=3&grace=2"));
    let ended = within(LOST, "the follower ends", || following.try_wait().unwrap());
    let mut err = String::new();
    following.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert!(err.contains("node beta cannot be reached"), "{err}");
    assert!(ended.success(), "all available output was shown: {err}");
    assert_eq!(next_line(&mut said), "", "no output is repeated");
    two.beta.open_gate();
}
