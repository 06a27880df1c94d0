//! Tests of artifacts: files that are copied when an attempt ends.

use crate::socket::http;
use longhaul_tests::{GATED, Home, kill, until};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

fn listed(home: &Home, id: &str) -> Value {
    serde_json::from_str(&home.ok(&["artifacts", "--json", id])).unwrap()
}

fn paths(list: &Value) -> Vec<&str> {
    list["files"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap()).collect()
}

fn skipped(list: &Value) -> Vec<(&str, &str)> {
    let files = list["skipped"].as_array().into_iter().flatten();
    files.map(|file| (file["path"].as_str().unwrap(), file["reason"].as_str().unwrap())).collect()
}

#[test]
fn files_of_a_command_are_kept_listed_and_served() {
    let home = Home::new();
    let script =
        "mkdir -p out/deep; echo one >out/a.xml; echo two >out/deep/b.xml; echo no >out/c.txt; exit 3";
    let options = ["--artifact", "out/**/*.xml", "--artifact", "*.log", "--shell", script];
    let answer = home.run(&[&["run", "--name", "build"], &options[..]].concat());
    assert_eq!(answer.code, 3, "{answer:?}");
    let list = listed(&home, "build");
    assert_eq!(paths(&list), ["out/a.xml", "out/deep/b.xml"]);
    assert_eq!((&list["state"], &list["bytes"]), (&json!("copied"), &json!(8)));
    assert_eq!(list["unmatched"], json!(["*.log"]));
    let table = home.run(&["artifacts", "build"]);
    assert!(table.out.contains("out/a.xml\t4\t"), "{table:?}");
    assert!(table.err.contains("no file matches *.log"), "{table:?}");

    fs::remove_dir_all(home.work().join("out")).unwrap();
    assert_eq!(home.ok(&["artifacts", "build", "--get", "out/deep/b.xml"]), "two");
    let copy = home.work().join("copy.xml");
    assert_eq!(home.run(&["artifacts", "build", "--get", "out/a.xml", "--to", "copy.xml"]).code, 0);
    assert_eq!(fs::read_to_string(copy).unwrap(), "one\n");
    assert_eq!(home.run(&["artifacts", "build", "--to", "all"]).code, 0);
    assert_eq!(fs::read_to_string(home.work().join("all/out/deep/b.xml")).unwrap(), "two\n");
    let (code, problem) = http(&home, "GET", "/v1/processes/build/artifacts/out/c.txt", &Value::Null);
    assert_eq!((code, problem["type"].as_str()), (404, Some("artifact_not_found")));
    assert_eq!(home.run(&["artifacts", "build", "--get", "out/c.txt"]).code, 3);

    let id = home.record("build")["id"].as_str().unwrap().to_owned();
    let attempt = home.state().join("attempts").join(&id);
    assert!(attempt.join("1/artifacts/files/out/a.xml").exists());
    assert_eq!(home.run(&["prune", "--keep", "0"]).code, 0);
    until("the copies are removed with the output", || (!attempt.exists()).then_some(()));
}

#[test]
fn links_pipes_and_huge_files_are_skipped_with_a_reason_and_do_not_delay_the_end() {
    let home = Home::new();
    let outside = home.state().parent().unwrap().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret.txt"), "secret").unwrap();
    let work = home.work();
    symlink(outside.join("secret.txt"), work.join("link.txt")).unwrap();
    symlink(&outside, work.join("dir")).unwrap();
    let script = "mkfifo pipe.txt; truncate -s 50G huge.txt; echo fine >plain.txt";
    let options = ["--artifact", "*.txt", "--artifact", "dir/secret.txt", "--artifact", "dir"];
    let begun = Instant::now();
    let answer = home.run(&[&["run", "--name", "odd"], &options[..], &["--shell", script]].concat());
    assert_eq!(answer.code, 0, "{answer:?}");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let list = listed(&home, "odd");
    assert_eq!(paths(&list), ["plain.txt"]);
    let expected =
        [("dir", "link"), ("huge.txt", "too_large"), ("link.txt", "link"), ("pipe.txt", "not_a_file")];
    assert_eq!(skipped(&list), expected);
    for pattern in ["../x", "/etc/passwd", "a/../../x", "[a"] {
        let refused = home.run(&["run", "--artifact", pattern, "--", "true"]);
        assert!(refused.code == 2 && refused.err.contains("artifacts"), "{refused:?}");
    }
}

#[test]
fn artifacts_of_cancelled_timed_out_and_retried_attempts_are_kept() {
    let home = Home::new();
    let script = "echo $LONGHAUL_ATTEMPT >n.txt; echo x >begun; exec sleep 100";
    let launch = ["run", "-b", "--artifact", "n.txt", "--grace", "300ms"];
    let cancelled = home.ok(&[&launch[..], &["--shell", script]].concat());
    home.until_written("begun");
    assert_eq!(home.run(&["cancel", &cancelled]).code, 0);
    assert_eq!(paths(&listed(&home, &cancelled)), ["n.txt"]);
    let timed_out = home.ok(&[&launch[..], &["--timeout", "300ms", "--shell", script]].concat());
    home.until_status(&timed_out, "timeout");
    assert_eq!(paths(&listed(&home, &timed_out)), ["n.txt"]);
    let script = "echo $LONGHAUL_ATTEMPT >n.txt; exit 1";
    let options = ["--retry", "1", "--backoff", "10ms", "--shell", script];
    let repeated = home.ok(&[&launch[..], &options[..]].concat());
    home.until_status(&repeated, "failed");
    for attempt in ["1", "2"] {
        let get = ["artifacts", &repeated, "--attempt", attempt, "--get", "n.txt"];
        assert_eq!(home.ok(&get), attempt);
    }
    let refused = home.run(&["artifacts", &repeated, "--attempt", "3"]);
    assert!(refused.err.contains("the latest attempt is 2"), "{refused:?}");
}

#[test]
fn next_manager_copies_the_artifacts_if_a_manager_was_killed() {
    let home = Home::new();
    let id = home.ok(&["run", "-b", "--artifact", "a.txt", "--shell", &format!("{GATED}; echo done >a.txt")]);
    home.until_status(&id, "running");
    assert_eq!(listed(&home, &id)["state"], "pending");
    kill("-KILL", home.manager().unwrap());
    home.open_gate();
    home.until_written("a.txt");
    home.until_status(&id, "completed");
    assert_eq!(home.ok(&["artifacts", &id, "--get", "a.txt"]), "done");
}

#[test]
fn artifacts_of_a_process_without_patterns_explain_how_to_keep_files() {
    let home = Home::new();
    let id = home.launch(&["true"]);
    home.until_status(&id, "completed");
    let answer = home.run(&["artifacts", &id]);
    assert!(answer.out.is_empty() && answer.err.contains("longhaul run --artifact PATTERN"), "{answer:?}");
    assert_eq!(listed(&home, &id)["state"], "none");
}
