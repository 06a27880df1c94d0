//! Tests of remote sessions, in which a remote service does the work. Requirement E7.

use crate::fake_agent::FakeAgents;
use crate::socket::configure;
use longhaul_tests::{descendants, kill, kill_together, until};
use serde_json::{Value, json};

const JULES: &str = include_str!("fakes/jules");
/// A tool that prints all sessions as a table.
const TABLE: &str = r#"#!/bin/sh
case "$1 $2" in
"remote new") printf 'Session is created.\n\nID: 42\nURL: https://example.com/session/42\n' ;;
"remote list")
    printf 'ID    Description   Repo   Last active   Status\n'
    printf ' 142  Other         a/b    1h ago        Completed\n'
    printf ' 42   Fix it        a/b    2m ago        %s\n' "$(cat "$FAKE_REMOTE/state")"
    ;;
"remote pull") echo "diff of $4" ;;
*) exit 2 ;;
esac
"#;
/// Configuration with short delays, and with a command that cancels a session.
const QUICK: &str = "[runner.jules]\npoll_interval = \"100ms\"\ncancel = [\"jules\", \"session\", \"cancel\", \"{session}\"]\n";

fn remote(config: &str) -> FakeAgents {
    let agents = FakeAgents::new();
    agents.add("jules", JULES);
    configure(&agents.home, config);
    agents.set_remote("state", "IN_PROGRESS\n");
    agents
}

fn task(agents: &FakeAgents) -> String {
    agents.ok(&["task", "atlas", "--agent", "jules", "-b", "--", "-v: fix \"it\"; $(touch owned)"])
}

fn until_stage(agents: &FakeAgents, id: &str, stage: &str) {
    until(&format!("the stage is {stage}"), || (agents.home.record(id)["stage"] == stage).then_some(()));
}

fn waits_for_input(record: &Value) -> bool {
    record["conditions"].as_array().unwrap().contains(&json!("waiting_for_input"))
}

/// Returns what the command of a process has printed to both streams.
fn said(agents: &FakeAgents, id: &str) -> String {
    let logs = agents.home.run(&["logs", id]);
    format!("{}{}", logs.out, logs.err)
}

#[test]
fn e7_a_remote_session_is_followed_to_its_end_and_its_result_is_fetched() {
    let agents = remote(QUICK);
    let id = task(&agents);
    until_stage(&agents, &id, "IN_PROGRESS");
    let record = agents.home.record(&id);
    assert_eq!(
        (&record["status"], &record["type"]),
        (&json!("running"), &json!("jules_session")),
        "{record}"
    );
    assert_eq!(record["agent_session_id"], "77");
    assert_eq!(
        std::fs::read_to_string(agents.remote().join("prompt")).unwrap(),
        "--prompt=-v: fix \"it\"; $(touch owned)"
    );
    agents.set_remote("state", "AWAITING_PLAN_APPROVAL\n");
    until("the condition holds", || waits_for_input(&agents.home.record(&id)).then_some(()));
    assert_eq!(agents.home.record(&id)["stage"], "AWAITING_PLAN_APPROVAL");
    // Inspections of the process tree must not end the condition.
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert!(waits_for_input(&agents.home.record(&id)));
    agents.set_remote("state", "PAUSED\n");
    until_stage(&agents, &id, "PAUSED");
    assert!(!waits_for_input(&agents.home.record(&id)));
    agents.set_remote("state", "COMPLETED\n");
    assert_eq!(agents.home.run(&["wait", &id]).code, 0);
    let record = agents.home.record(&id);
    assert_eq!(
        (&record["status"], &record["result"]),
        (&json!("completed"), &json!("diff --git a/77 b/77")),
        "{record}"
    );
    assert_eq!(agents.count("created"), 1);
    let restarted = agents.home.ok(&["restart", "-b", &id]);
    assert_eq!(agents.home.run(&["wait", &restarted]).code, 0);
    assert_eq!(agents.count("created"), 2, "a session that has ended is not continued");
}

#[test]
fn e7_a_session_is_never_created_twice_after_any_kill() {
    let agents = remote(QUICK);
    let first =
        agents.ok(&["run", "-b", "--agent", "jules", "--prompt", "x", "--retry", "1", "--backoff", "100ms"]);
    until_stage(&agents, &first, "IN_PROGRESS");
    agents.home.end_manager("-KILL");
    until_stage(&agents, &first, "IN_PROGRESS");
    let pid = agents.home.pid(&first);
    kill("-KILL", pid);
    until("the second attempt runs", || (agents.home.record(&first)["attempt"] == 2).then_some(()));
    until("the session is known again", || {
        (agents.home.record(&first)["agent_session_id"] == "77").then_some(())
    });
    let pid = agents.home.pid(&first);
    kill_together("-KILL", &[agents.home.manager().unwrap(), agents.home.shim(&first), pid]);
    agents.home.until_status(&first, "interrupted");
    assert_eq!(agents.home.record(&first)["stage"], "remote state unknown (last: IN_PROGRESS)");
    let second = agents.home.ok(&["restart", "-b", &first]);
    until_stage(&agents, &second, "IN_PROGRESS");
    assert_eq!(agents.home.record(&second)["agent_session_id"], "77");
    assert_eq!(agents.count("created"), 1);
    let third = agents.home.ok(&["restart", "-b", &first]);
    // The third process fails, because the second process already continues the session.
    agents.home.until_status(&third, "failed");
    assert!(agents.home.record(&third)["error"].as_str().unwrap().contains(&second));
    agents.set_remote("state", "COMPLETED\n");
    assert_eq!(agents.home.run(&["wait", &second]).code, 0);
    assert_eq!(agents.home.record(&second)["result"], "diff --git a/77 b/77");
    assert_eq!(agents.count("created"), 1);
}

#[test]
fn e7_after_a_crash_during_the_creation_no_second_session_is_created_without_a_request() {
    let agents = remote(QUICK);
    agents.set_remote("hang", "");
    let first = task(&agents);
    until("the creation has begun", || (agents.count("created") == 1).then_some(()));
    until_stage(&agents, &first, "creating the remote session");
    agents.home.end_manager("-KILL");
    until_stage(&agents, &first, "creating the remote session");
    let pid = agents.home.pid(&first);
    let tree = descendants(pid);
    kill_together("-KILL", &[&[pid], &tree[..]].concat());
    agents.home.until_status(&first, "failed");
    let unconfirmed = "creation not confirmed; a remote session may exist";
    assert_eq!(agents.home.record(&first)["stage"], unconfirmed);
    std::fs::remove_file(agents.remote().join("hang")).unwrap();
    let second = agents.home.ok(&["restart", "-b", &first]);
    agents.home.until_status(&second, "failed");
    let error = agents.home.record(&second)["error"].as_str().unwrap().to_owned();
    assert!(error.contains("a session may exist") && error.contains("remote-sessions"), "{error}");
    assert_eq!(agents.home.record(&second)["stage"], unconfirmed);
    assert_eq!(agents.count("created"), 1);
    let file = error.split_whitespace().find(|word| word.contains("remote-sessions")).unwrap();
    std::fs::remove_file(file).unwrap();
    let third = agents.home.ok(&["restart", "-b", &second]);
    until_stage(&agents, &third, "IN_PROGRESS");
    assert_eq!(agents.count("created"), 2, "the file was removed, so the restart creates a session");
}

#[test]
fn e7_a_failed_fetch_of_the_result_is_repeated_and_never_changes_the_status() {
    let agents = remote(QUICK);
    agents.set_remote("state", "COMPLETED\n");
    agents.set_remote("pull-failures", "2\n");
    let id = task(&agents);
    assert_eq!(agents.home.run(&["wait", &id]).code, 0);
    assert_eq!(
        (agents.count("pulls"), &agents.home.record(&id)["result"]),
        (3, &json!("diff --git a/77 b/77"))
    );
    assert!(
        said(&agents, &id)
            .contains("try 2 of 5 to fetch the result failed: jules exited with code 1: connection reset")
    );
    agents.set_remote("pull-failures", "1000\n");
    let failing = task(&agents);
    assert_eq!(agents.home.run(&["wait", &failing]).code, 0);
    let record = agents.home.record(&failing);
    assert_eq!((&record["status"], &record["result"]), (&json!("completed"), &Value::Null), "{record}");
    assert_eq!(record["stage"], "completed, result missing");
    std::fs::remove_file(agents.remote().join("pull-failures")).unwrap();
    let created = agents.count("created");
    let again = agents.home.ok(&["restart", "-b", &failing]);
    assert_eq!(agents.home.run(&["wait", &again]).code, 0);
    assert_eq!(agents.home.record(&again)["result"], "diff --git a/77 b/77");
    assert_eq!(agents.count("created"), created, "the restart fetches the result of the same session");
}

#[test]
fn e7_a_cancel_and_a_timeout_cancel_the_session_or_say_that_it_continues() {
    let agents = remote(QUICK);
    let id = task(&agents);
    until_stage(&agents, &id, "IN_PROGRESS");
    assert_eq!(agents.home.run(&["cancel", &id]).code, 0);
    agents.home.until_status(&id, "cancelled");
    let record = agents.home.record(&id);
    let said = said(&agents, &id);
    assert_eq!(record["stage"], "remote session cancelled", "{record}\n{said}");
    let cancelled = std::fs::read_to_string(agents.remote().join("cancelled"));
    assert_eq!(cancelled.unwrap(), "77\n");
    let fresh = agents.home.ok(&["restart", "-b", &id]);
    until_stage(&agents, &fresh, "IN_PROGRESS");
    assert_eq!(agents.count("created"), 2, "a cancelled session is not continued");
    configure(&agents.home, "[runner.jules]\npoll_interval = \"100ms\"\n");
    agents.home.end_manager("-TERM");
    let late = agents.ok(&["task", "atlas", "x", "-b", "--agent", "jules", "--timeout", "2s"]);
    agents.home.until_status(&late, "timeout");
    let record = agents.home.record(&late);
    assert_eq!(record["stage"], "remote session continues", "{record}");
    assert!(record["error"].as_str().unwrap().contains("the remote session 77 continues"), "{record}");
    let created = agents.count("created");
    let again = agents.home.ok(&["restart", "-b", &late]);
    until_stage(&agents, &again, "IN_PROGRESS");
    assert_eq!(agents.count("created"), created, "the restart continues the session that was not cancelled");
}

#[test]
fn e7_a_forced_cancel_says_that_the_remote_state_is_unknown() {
    let agents = remote(QUICK);
    let id = task(&agents);
    until_stage(&agents, &id, "IN_PROGRESS");
    assert_eq!(agents.home.run(&["cancel", &id, "--force"]).code, 0);
    agents.home.until_status(&id, "cancelled");
    let stage = "cancelled locally, remote state unknown (last: IN_PROGRESS)";
    assert_eq!(agents.home.record(&id)["stage"], stage);
    agents.set_remote("hang", "");
    let creating = task(&agents);
    until_stage(&agents, &creating, "creating the remote session");
    assert_eq!(agents.home.run(&["cancel", &creating, "--force"]).code, 0);
    agents.home.until_status(&creating, "cancelled");
    let stage = "cancelled locally, creation not confirmed; a remote session may exist";
    assert_eq!(agents.home.record(&creating)["stage"], stage);
    let events = agents.home.ok(&["events", "--after", "start"]);
    assert!(events.contains(" jules") && !events.contains(" longhaul"), "{events}");
}

#[test]
fn e7_a_failed_session_a_failed_creation_and_output_without_an_id_have_different_errors() {
    let agents = remote(QUICK);
    agents.set_remote("state", "FAILED\n");
    let failed = task(&agents);
    assert_eq!(agents.home.run(&["wait", &failed]).code, 1);
    assert_eq!(agents.home.record(&failed)["error"], "the remote session 77 ended as FAILED");
    agents.set_remote("on-create", "Done. See your dashboard.\n");
    let changed = task(&agents);
    assert_eq!(agents.home.run(&["wait", &changed]).code, 1);
    assert_eq!(agents.home.record(&changed)["stage"], "creation not confirmed; a remote session may exist");
    let error = agents.home.record(&changed)["error"].as_str().unwrap().to_owned();
    assert!(error.contains("contains no session id") && error.contains("runner.jules.session_id"), "{error}");
    let created = agents.count("created");
    let again = agents.home.ok(&["restart", "-b", &changed]);
    assert_eq!(agents.home.run(&["wait", &again]).code, 1);
    assert_eq!(agents.count("created"), created, "a session may exist");
    agents.add("jules", "#!/bin/sh\necho 'not logged in' >&2; exit 1\n");
    let refused = task(&agents);
    assert_eq!(agents.home.run(&["wait", &refused]).code, 1);
    let error = agents.home.record(&refused)["error"].clone();
    assert_eq!(error, "the remote session could not be created: jules exited with code 1: not logged in");
    agents.add("jules", JULES);
    std::fs::remove_file(agents.remote().join("on-create")).unwrap();
    agents.set_remote("state", "COMPLETED\n");
    let repeated = agents.home.ok(&["restart", "-b", &refused]);
    assert_eq!(
        agents.home.run(&["wait", &repeated]).code,
        0,
        "nothing was created, so a restart creates a session"
    );
}

#[test]
fn e7_a_failed_creation_without_an_id_is_not_repeated_by_a_retry() {
    let agents = remote(QUICK);
    agents.add("jules", "#!/bin/sh\necho x >> \"$FAKE_REMOTE/created\"; echo 'quota warning'; exit 1\n");
    let id =
        agents.ok(&["run", "-b", "--agent", "jules", "--prompt", "x", "--retry", "2", "--backoff", "100ms"]);
    assert_eq!(agents.home.run(&["wait", &id]).code, 1);
    let record = agents.home.record(&id);
    assert_eq!(record["attempt"], 3, "{record}");
    assert_eq!(agents.count("created"), 1, "a session may exist");
    assert!(record["error"].as_str().unwrap().contains("a session may exist"), "{record}");
    let again = agents.home.ok(&["restart", "-b", &id]);
    assert_ne!(agents.home.run(&["wait", &again]).code, 0);
    assert!(agents.count("created") >= 2, "the restart is a request for a new session");
}

#[test]
fn e7_a_cancel_during_the_creation_cancels_the_session_or_says_that_it_may_exist() {
    let agents = remote(QUICK);
    agents.set_remote("hang", "");
    let id = task(&agents);
    until("the creation has begun", || (agents.count("created") == 1).then_some(()));
    // Run the command in the background, because it waits for the end of the process.
    let mut cancel = agents.command(&["cancel", &id]).spawn().unwrap();
    until("the stage says that a session may exist", || {
        agents.home.record(&id)["stage"].as_str().unwrap_or_default().contains("it may exist").then_some(())
    });
    std::fs::remove_file(agents.remote().join("hang")).unwrap();
    agents.home.until_status(&id, "cancelled");
    assert!(cancel.wait().unwrap().success());
    assert_eq!(agents.home.record(&id)["stage"], "remote session cancelled");
    assert_eq!(std::fs::read_to_string(agents.remote().join("cancelled")).unwrap(), "77\n");
}

#[test]
fn e7_a_launch_of_the_command_that_creates_a_session_follows_the_session() {
    let agents = remote(QUICK);
    let id = agents.ok(&[
        "run",
        "-b",
        "--type",
        "jules_session",
        "--",
        "jules",
        "session",
        "create",
        "--prompt=x",
    ]);
    until_stage(&agents, &id, "IN_PROGRESS");
    agents.set_remote("state", "COMPLETED\n");
    assert_eq!(agents.home.run(&["wait", &id]).code, 0);
    assert_eq!(agents.home.record(&id)["result"], "diff --git a/77 b/77");
}

#[test]
fn e7_a_session_without_a_readable_state_gets_no_invented_end() {
    let agents = remote(QUICK);
    let id = task(&agents);
    until_stage(&agents, &id, "IN_PROGRESS");
    agents.set_remote("state", "\u{1b}[31mI am a teapot\n");
    until_stage(&agents, &id, "state unknown");
    agents.set_remote("state", "IN_PROGRESS\n");
    until_stage(&agents, &id, "IN_PROGRESS");
    std::fs::remove_file(agents.remote().join("state")).unwrap();
    assert_eq!(agents.home.run(&["wait", &id]).code, 75);
    let record = agents.home.record(&id);
    assert_eq!((&record["status"], &record["exit_code"]), (&json!("failed"), &json!(75)), "{record}");
    assert!(record["error"].as_str().unwrap().contains("is unknown after 10 failed polls"), "{record}");
    agents.set_remote("state", "COMPLETED\n");
    let again = agents.home.ok(&["restart", "-b", &id]);
    assert_eq!(agents.home.run(&["wait", &again]).code, 0);
    assert_eq!(
        (agents.count("created"), &agents.home.record(&again)["result"]),
        (1, &json!("diff --git a/77 b/77"))
    );
}

#[test]
fn e7_the_page_shows_a_configuration_for_a_tool_that_lists_all_sessions() {
    let page = include_str!("../../docs/runners.md");
    let (_, block) = page.rsplit_once("```toml\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    let agents = remote(&format!("{block}poll_interval = \"100ms\"\n"));
    agents.add("jules", TABLE);
    agents.set_remote("state", "In Progress");
    let id = task(&agents);
    until_stage(&agents, &id, "In Progress");
    assert_eq!(agents.home.record(&id)["agent_session_id"], "42");
    agents.set_remote("state", "Awaiting User Feedback");
    until("the condition holds", || waits_for_input(&agents.home.record(&id)).then_some(()));
    agents.set_remote("state", "Completed");
    assert_eq!(agents.home.run(&["wait", &id]).code, 0);
    assert_eq!(agents.home.record(&id)["result"], "diff of 42");
}
