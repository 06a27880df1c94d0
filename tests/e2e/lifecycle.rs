//! Tests of launch, wait, cancel, restart and retry. Requirements C1, C4, C5, C6, C7 and E5.

use longhaul_tests::{Home, is_alive, until};
use std::process::Stdio;
use std::time::{Duration, Instant};

#[test]
fn a_background_launch_prints_the_id_alone_and_returns_at_once() {
    let home = Home::new();
    let _ = home.launch(&["true"]);
    let begin = Instant::now();
    let mut launcher = home.command(&["run", "-b", "--", "sleep", "30"]);
    let launched = launcher.stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
    assert!(begin.elapsed() < Duration::from_secs(15), "the pipe stayed open for {:?}", begin.elapsed());
    let out = String::from_utf8(launched.stdout).unwrap();
    assert_eq!(out.len(), 37, "an id and a line feed: {out:?}");
    assert_eq!(launched.stderr, b"", "hints are for terminals");
    home.until_status(out.trim_end(), "running");
}

#[test]
fn a_foreground_run_streams_both_outputs_and_passes_the_code() {
    let home = Home::new();
    let answer = home.run(&["run", "--", "sh", "-c", "echo out; echo err >&2; exit 3"]);
    assert_eq!((answer.code, answer.out.as_str(), answer.err.as_str()), (3, "out\n", "err\n"));
}

#[test]
fn wait_returns_the_exit_code_the_signal_and_the_timeout() {
    let home = Home::new();
    let code = |command: &[&str]| home.run(&["wait", &home.launch(command)]).code;
    assert_eq!(code(&["true"]), 0);
    assert_eq!(code(&["sh", "-c", "exit 42"]), 42);
    assert_eq!(code(&["sh", "-c", "kill -USR1 $$"]), 128 + 10);
    let missing = home.run(&["run", "-b", "--", "no-such-program-anywhere"]);
    assert_eq!((missing.code, home.run(&["wait", missing.out.trim()]).code), (127, 127));
    let late = home.ok(&["run", "-b", "--timeout", "300ms", "--", "sleep", "30"]);
    assert_eq!(home.run(&["wait", &late]).code, 124);
    assert_eq!(home.status(&late), "timeout");
    let long = home.launch(&["sleep", "30"]);
    assert_eq!(home.run(&["wait", "--timeout", "100ms", &long]).code, 75);
    assert_eq!(home.run(&["cancel", &long]).code, 0);
    assert_eq!(home.run(&["wait", &long]).code, 143);
}

#[test]
fn wait_any_returns_with_the_first_and_wait_all_with_the_last() {
    let home = Home::new();
    let long = home.launch(&["sleep", "30"]);
    let short = home.launch(&["sh", "-c", "exit 4"]);
    assert_eq!(home.run(&["wait", "--any", &long, &short]).code, 4);
    let quick = home.launch(&["true"]);
    assert_eq!(home.run(&["wait", &quick, &short]).code, 4);
}

#[test]
fn cancel_ends_a_waiting_process_without_a_start() {
    let home = Home::new();
    let delayed = home.ok(&["run", "-b", "--delay", "1h", "--", "touch", "never"]);
    assert_eq!(home.status(&delayed), "pending");
    assert_eq!(home.run(&["cancel", &delayed]).code, 0);
    let record = home.record(&delayed);
    assert_eq!((record["status"].as_str(), record["attempt"].as_u64()), (Some("cancelled"), Some(0)));
    assert!(!home.work().join("never").exists());
}

#[test]
fn cancel_again_says_so_and_succeeds() {
    let home = Home::new();
    let id = home.launch(&["sleep", "30"]);
    let pid = home.pid(&id);
    assert_eq!(home.run(&["cancel", &id]).code, 0);
    assert!(!is_alive(pid));
    assert_eq!(home.run(&["cancel", &id]).code, 0);
    assert_eq!(home.status(&id), "cancelled");
}

#[test]
fn cancel_without_an_id_and_a_terminal_lists_the_processes() {
    let home = Home::new();
    let id = home.launch(&["sleep", "30"]);
    let answer = home.run(&["cancel"]);
    assert_eq!(answer.code, 2);
    assert!(answer.err.contains(&id[..8]), "{answer:?}");
    assert_eq!(home.run(&["cancel", "--force", &id]).code, 0);
}

#[test]
fn restart_runs_the_same_details_as_a_new_linked_process() {
    let home = Home::new();
    let first = home.ok(&["run", "-b", "--name", "job", "--project", "p", "--", "sh", "-c", "exit 5"]);
    assert_eq!(home.run(&["wait", &first]).code, 5);
    let second = home.ok(&["restart", "-b", &first]);
    assert_ne!(first, second);
    assert_eq!(home.run(&["wait", &second]).code, 5);
    let record = home.record(&second);
    assert_eq!(record["restarted_from"].as_str(), Some(first.as_str()));
    assert_eq!((record["name"].as_str(), record["project"].as_str()), (Some("job"), Some("p")));
}

#[test]
fn restart_is_refused_while_it_runs() {
    let home = Home::new();
    let id = home.launch(&["sleep", "30"]);
    home.until_status(&id, "running");
    let answer = home.run(&["restart", "-b", &id]);
    assert_eq!(answer.code, 4, "{answer:?}");
    assert!(answer.err.contains("running") && answer.err.contains("invalid_status_transition"), "{answer:?}");
}

#[test]
fn retries_follow_failures_until_one_succeeds() {
    let home = Home::new();
    let script = "echo x >> runs; test $(wc -l < runs) -ge 3";
    let id = home.ok(&["run", "-b", "--retry", "5", "--backoff", "10ms..50ms", "--", "sh", "-c", script]);
    assert_eq!(home.run(&["wait", &id]).code, 0);
    assert_eq!(home.record(&id)["attempt"].as_u64(), Some(3));
    let runs = std::fs::read_to_string(home.work().join("runs")).unwrap();
    assert_eq!(runs.lines().count(), 3);
}

#[test]
fn retry_affects_only_a_process_that_waits_for_its_retry() {
    let home = Home::new();
    let id = home.ok(&[
        "run",
        "-b",
        "--retry",
        "1",
        "--backoff",
        "1h..1h",
        "--",
        "sh",
        "-c",
        "test -e go || exit 1",
    ]);
    home.until_status(&id, "pending");
    until("the first attempt is over", || (home.record(&id)["pending"]["why"] == "retry").then_some(()));
    std::fs::write(home.work().join("go"), "").unwrap();
    assert_eq!(home.run(&["retry", &id]).code, 0);
    assert_eq!(home.run(&["wait", &id]).code, 0);
    let answer = home.run(&["retry", &id]);
    assert_eq!(answer.code, 4);
    assert!(answer.err.contains("restart"), "{answer:?}");
}

#[test]
fn past_the_limit_a_launch_queues_or_is_refused_on_request() {
    let home = Home::new();
    std::fs::create_dir_all(home.state().parent().unwrap().join("config/longhaul")).unwrap();
    std::fs::write(
        home.state().parent().unwrap().join("config/longhaul/config.toml"),
        "[limits]\nmax_parallel = 2\n",
    )
    .unwrap();
    let first = home.launch(&["sleep", "30"]);
    let second = home.launch(&["sleep", "30"]);
    let third = home.launch(&["true"]);
    home.until_status(&second, "running");
    assert_eq!(home.status(&third), "pending");
    let refused = home.run(&["run", "-b", "--no-queue", "--", "true"]);
    assert_eq!(refused.code, 5, "{refused:?}");
    assert_eq!(home.run(&["cancel", "--force", &first]).code, 0);
    assert_eq!(home.run(&["wait", &third]).code, 0);
}

#[test]
fn progress_from_inside_shows_stage_percent_and_an_estimate() {
    let home = Home::new();
    let program = longhaul_tests::program("longhaul");
    let script = format!(
        "for i in 10 20 30; do {p} progress $i --stage step-$i; sleep 1.2; done; sleep 30",
        p = program.display()
    );
    let id = home.launch(&["sh", "-c", &script]);
    let record = until("an estimate", || {
        let record = home.record(&id);
        (record["eta_ms"].is_u64() && record["progress"] == 30.0).then_some(record)
    });
    assert_eq!(record["stage"].as_str(), Some("step-30"));
    assert_eq!(home.run(&["cancel", "--force", &id]).code, 0);
}

#[test]
fn the_terminal_that_launched_may_close() {
    let home = Home::new();
    let _ = home.launch(&["true"]);
    let script = "import os, pty, sys\npid, fd = pty.fork()\nif pid == 0:\n    os.execv(sys.argv[1], sys.argv[1:])\n\
                  data = b''\nwhile True:\n    try:\n        more = os.read(fd, 4096)\n    except OSError:\n        break\n\
                  \x20   if not more:\n        break\n    data += more\nos.close(fd)\nos.waitpid(pid, 0)\nsys.stdout.write(data.decode())";
    let mut python = std::process::Command::new("python3");
    python.arg("-c").arg(script).arg(longhaul_tests::program("longhaul"));
    python
        .args(["run", "-b", "--", "sleep", "30"])
        .env("LONGHAUL_STATE_DIR", home.state())
        .current_dir(home.work());
    let shown = String::from_utf8(python.output().unwrap().stdout).unwrap();
    let id = shown.lines().next().unwrap().trim().to_owned();
    home.until_status(&id, "running");
    let pid = home.pid(&id);
    assert!(is_alive(pid));
    assert!(shown.contains("longhaul logs"), "a terminal gets hints: {shown:?}");
}
