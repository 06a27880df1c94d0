//! Tests of hierarchies of agents. Requirements H1 to H8.

use crate::socket::{configure, http, ids, json_of};
use longhaul_tests::{Home, best_of_three, is_alive, kill, ticks, until, within};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Launches a command that sleeps, with additional arguments.
fn sleeper(home: &Home, extra: &[&str]) -> String {
    home.ok(&[&["run", "-b"], extra, &["--", "sleep", "60"]].concat())
}

fn child(home: &Home, parent: &str) -> String {
    sleeper(home, &["--parent", parent])
}

#[test]
fn h1_a_child_has_its_lineage_and_the_data_of_its_agent() {
    let home = Home::new();
    let root = sleeper(&home, &["--session", "s"]);
    let facts = ["--agent-id", "a-1", "--agent-type", "coder", "--capability", "rust,sql", "--priority", "7"];
    let id = sleeper(&home, &[&["--parent", &root, "--session", "s", "--meta", "k=v"][..], &facts].concat());
    let record = home.record(&id);
    assert_eq!((&record["parent_id"], &record["root_id"]), (&json!(root), &json!(root)));
    assert_eq!((&record["level"], &home.record(&root)["level"]), (&json!(1), &json!(0)));
    assert_eq!((&record["agent_id"], &record["agent_type"]), (&json!("a-1"), &json!("coder")));
    assert_eq!((&record["capabilities"], &record["priority"]), (&json!(["rust", "sql"]), &json!(7)));
    assert_eq!((&record["session_id"], &record["metadata"]["k"]), (&json!("s"), &json!("v")));
    let reported = home.ok(&["track", "start", "--parent", &id, "--agent-id", "a-2"]);
    assert_eq!(home.record(&reported)["level"], 2);
    let program = longhaul_tests::program("longhaul");
    let script = format!("{} run -b -- sleep 60 > child", program.display());
    let launcher = home.launch(&["sh", "-c", &script]);
    assert_eq!(home.run(&["wait", &launcher]).code, 0);
    let adopted = std::fs::read_to_string(home.work().join("child")).unwrap();
    assert_eq!(home.record(adopted.trim())["parent_id"], launcher.as_str(), "LONGHAUL_ID sets the parent");
}

#[test]
fn h1_past_the_deepest_level_or_a_full_level_it_is_refused_with_the_numbers() {
    let home = Home::new();
    let start = |parent: &str| home.run(&["track", "start", "--parent", parent]);
    let mut deepest = home.ok(&["track", "start"]);
    let root = deepest.clone();
    for level in 1..=10 {
        deepest = home.ok(&["track", "start", "--parent", &deepest]);
        assert_eq!(home.record(&deepest)["level"], level);
    }
    let deeper = start(&deepest);
    assert!(deeper.code == 5 && deeper.err.contains("10"), "{deeper:?}");
    for _ in 1..20 {
        let _ = home.ok(&["track", "start", "--parent", &root]);
    }
    let full = start(&root);
    assert!(full.code == 5 && full.err.contains("20") && full.err.contains("level 1"), "{full:?}");
    let other = home.ok(&["track", "start"]);
    assert_eq!(start(&other).code, 0, "another tree has its own levels");
    configure(&home, "[limits]\nmax_levels = 11\nmax_per_level = 21\n");
    home.end_manager("-TERM");
    assert_eq!((start(&deepest).code, start(&root).code), (0, 0), "both are configurable");
    assert_eq!(start(&root).code, 5);
}

#[test]
fn h1_an_unknown_an_ended_and_an_ending_parent_are_refused() {
    let home = Home::new();
    let under = |parent: &str| home.run(&["run", "-b", "--parent", parent, "--", "true"]);
    let ended = home.launch(&["true"]);
    assert_eq!(home.run(&["wait", &ended]).code, 0);
    let refused = under(&ended);
    assert!(refused.code == 5 && refused.err.contains("is ending or has ended"), "{refused:?}");
    assert_ne!(under("00000000-0000-4000-8000-000000000000").code, 0);
    let script = "trap '' TERM; touch up; while :; do sleep 1; done";
    let stubborn = home.ok(&["run", "-b", "--grace", "30s", "--", "sh", "-c", script]);
    home.until_written("up");
    assert_eq!(home.run(&["cancel", "--no-wait", &stubborn]).code, 0);
    let refused = under(&stubborn);
    assert!(refused.code == 5 && refused.err.contains("is ending or has ended"), "{refused:?}");
    assert_eq!(home.run(&["cancel", "--force", &stubborn]).code, 0);
}

#[test]
fn h2_queries_by_parent_level_agent_and_session_and_statistics_per_level() {
    let home = Home::new();
    let root = sleeper(&home, &["--session", "s"]);
    let first = sleeper(&home, &["--parent", &root, "--agent-id", "a"]);
    let second = child(&home, &root);
    let listed = |args: &[&str]| {
        let mut found = ids(&json_of(&home, &[&["status", "--json"], args].concat()));
        found.sort();
        found
    };
    let sorted = |mut ids: Vec<String>| {
        ids.sort();
        ids
    };
    assert_eq!(listed(&["--parent", &root]), sorted(vec![first.clone(), second.clone()]));
    assert_eq!(listed(&["--level", "1"]), sorted(vec![first.clone(), second.clone()]));
    assert_eq!(listed(&["--agent-id", "a"]), std::slice::from_ref(&first));
    assert_eq!(home.record(&first)["agent_id"], "a");
    assert_eq!(listed(&["--session", "s", "--level", "0"]), std::slice::from_ref(&root));
    assert_eq!(listed(&["--tree", &second]).len(), 3);
    assert_eq!(ids(&json_of(&home, &["tree", &root, "--json"])).len(), 3);
    let failed = home.ok(&["run", "-b", "--parent", &root, "--", "sh", "-c", "exit 3"]);
    assert_eq!(home.run(&["wait", &failed]).code, 3);
    home.until_status(&second, "running");
    let stats = json_of(&home, &["stats", "--tree", &root, "--json"]);
    let level = &stats["levels"][1];
    assert_eq!((&level["level"], &level["live"], &level["failures"]), (&json!(1), &json!(2), &json!(1)));
    assert_eq!((&level["by_status"]["failed"], &stats["total"]["live"]), (&json!(1), &json!(3)));
    assert!(level["mean_ms"].is_u64() && level["p95_ms"].is_u64(), "{level}");
}

#[test]
fn h3_a_tree_is_paused_and_resumed_with_all_its_processes() {
    let home = Home::new();
    const BURN: &str = "sh -c 'while :; do :; done' & echo $! > $0; wait";
    let parent = home.launch(&["sh", "-c", BURN, "parent"]);
    let below = home.ok(&["run", "-b", "--parent", &parent, "--", "sh", "-c", BURN, "below"]);
    let burner = |name: &str| {
        until("the process uses processor time", || {
            let pid = std::fs::read_to_string(home.work().join(name)).ok()?.trim().parse::<u32>().ok()?;
            (ticks(pid) > 2).then_some(pid)
        })
    };
    let burners = [burner("parent"), burner("below")];
    assert_eq!(home.run(&["pause", &parent]).code, 0);
    assert_eq!((home.status(&parent).as_str(), home.status(&below).as_str()), ("paused", "paused"));
    let before = burners.map(ticks);
    std::thread::sleep(Duration::from_secs(1)); // The promise is about one second.
    assert_eq!(burners.map(ticks), before, "no process of the tree gains a tick");
    assert_eq!(home.run(&["resume", &parent]).code, 0);
    until("they continue", || burners.iter().zip(before).all(|(pid, was)| ticks(*pid) > was).then_some(()));
    assert_eq!(home.run(&["pause", "--no-descendants", &parent]).code, 0);
    assert_eq!(home.status(&below), "running", "with --no-descendants only the process itself is paused");
    assert_eq!(home.run(&["resume", &parent]).code, 0);
    assert_eq!(home.run(&["pause", &below]).code, 0);
    assert_eq!(home.status(&parent), "running", "ancestors are never affected");
    assert_eq!(home.run(&["cancel", "--force", &parent]).code, 0);
    assert!(burners.iter().all(|pid| !is_alive(*pid)));
}

#[test]
fn h4_terminate_ends_all_descendants_within_one_grace_period_and_no_process_joins() {
    let home = Home::new();
    let stubborn = |extra: &[&str], name: &str| {
        let script = "trap '' TERM; touch $0; while :; do sleep 0.1; done";
        let id =
            home.ok(&[&["run", "-b", "--grace", "1s"], extra, &["--", "sh", "-c", script, name]].concat());
        home.until_written(name);
        id
    };
    let root = stubborn(&[], "r");
    let below = stubborn(&["--parent", &root], "b");
    let deepest = stubborn(&["--parent", &below], "d");
    let waits = home.ok(&["run", "-b", "--parent", &root, "--delay", "1h", "--", "touch", "never"]);
    let other = sleeper(&home, &[]);
    let pids = [&root, &below, &deepest].map(|id| home.pid(id));
    let begin = Instant::now();
    assert_eq!(home.run(&["cancel", "--no-wait", &root]).code, 0);
    let joined = home.run(&["run", "-b", "--parent", &below, "--", "true"]);
    assert_ne!(joined.code, 0, "no child joins a tree that is ending: {joined:?}");
    within(Duration::from_secs(4), "the whole tree has exited", || {
        pids.iter().all(|pid| !is_alive(*pid)).then_some(())
    });
    assert!(
        begin.elapsed() >= Duration::from_millis(900),
        "each process had its grace: {:?}",
        begin.elapsed()
    );
    for id in [&root, &below, &deepest, &waits] {
        home.until_status(id, "cancelled");
    }
    home.until_status(&other, "running");
}

#[test]
fn h4_one_level_of_a_tree_is_terminated_with_all_below_it() {
    let home = Home::new();
    let root = sleeper(&home, &[]);
    let middle = child(&home, &root);
    let deepest = child(&home, &middle);
    let other = sleeper(&home, &[]);
    let outside = child(&home, &other);
    assert_eq!(home.run(&["cancel", "--yes", "--level", "1", "--tree", &deepest]).code, 0);
    for id in [&middle, &deepest] {
        home.until_status(id, "cancelled");
    }
    [&root, &other, &outside].iter().for_each(|id| home.until_status(id, "running"));
    assert_eq!(home.run(&["cancel", "--yes", "--level", "1"]).code, 0);
    home.until_status(&outside, "cancelled");
}

#[test]
fn h4_children_of_a_parent_that_ends_by_itself_are_kept_cancelled_or_waited_for() {
    let home = Home::new();
    let parent = |policy: &str| {
        let script = format!("while [ ! -e {policy} ]; do sleep 0.02; done");
        let id = home.ok(&["run", "-b", "--children", policy, "--", "sh", "-c", &script]);
        home.until_status(&id, "running");
        (child(&home, &id), id)
    };
    let all = ["keep", "cancel", "wait"].map(parent);
    for policy in ["keep", "cancel", "wait"] {
        std::fs::write(home.work().join(policy), "").unwrap();
    }
    let [(kept, keeps), (cancelled, cancels), (awaited, waits)] = &all;
    home.until_status(cancelled, "cancelled");
    assert_eq!(home.run(&["wait", keeps, cancels]).code, 0);
    home.until_status(kept, "running");
    assert_eq!(home.status(cancels), "completed");
    until("its own command has exited", || {
        (home.record(waits)["conditions"][0] == "waits_for_children").then_some(())
    });
    assert_eq!(home.status(waits), "running", "a parent does not end before its children");
    assert_eq!(home.run(&["cancel", "--force", awaited]).code, 0);
    assert_eq!(home.run(&["wait", waits]).code, 0);
}

#[test]
fn h4_a_session_ends_as_each_of_its_processes_declared() {
    let home = Home::new();
    let of = |policy: &[&str]| sleeper(&home, &[&["--session", "s"], policy].concat());
    let keeps = of(&["--on-session-end", "keep"]);
    let cancels = of(&["--on-session-end", "cancel"]);
    let grace = of(&["--on-session-end", "grace", "--session-grace", "300ms"]);
    let other = sleeper(&home, &["--session", "t", "--on-session-end", "cancel"]);
    assert_eq!(home.run(&["session", "end", "s"]).code, 0);
    for id in [&cancels, &grace] {
        home.until_status(id, "cancelled");
    }
    // Processes with another policy or session must not be affected.
    [&keeps, &other].iter().for_each(|id| home.until_status(id, "running"));
    assert_eq!(home.run(&["session", "end", "s", "--policy", "cancel"]).code, 0);
    home.until_status(&keeps, "cancelled");
    assert_eq!(home.run(&["wait", "--session", "s"]).code, 143, "all processes of the session have ended");
}

#[test]
fn h5_both_streams_are_readable_separately_and_together_at_any_time() {
    let home = Home::new();
    // The script writes the next line only after the test has read the previous one, because only the time shows the
    // order of lines from two pipes.
    let turn = "while [ ! -e $name$i ]; do sleep 0.02; done";
    let script = format!(
        "for i in 1 2 3; do echo out$i; name=out; {turn}; echo err$i >&2; name=err; {turn}; done; sleep 60"
    );
    let id = home.launch(&["sh", "-c", &script]);
    let stream = |name: &str| home.ok(&["logs", "--stream", name, &id]);
    for line in ["out1", "err1", "out2", "err2", "out3", "err3"] {
        let name = if line.starts_with("out") { "stdout" } else { "stderr" };
        until(&format!("{line}, while it runs"), || stream(name).ends_with(line).then_some(()));
        std::fs::write(home.work().join(line), "").unwrap();
    }
    assert_eq!(stream("stderr"), "err1\nerr2\nerr3");
    assert_eq!(home.status(&id), "running");
    assert_eq!(stream("stdout"), "out1\nout2\nout3");
    let together = home.ok(&["logs", &id]);
    assert_eq!(together, "out1\nerr1\nout2\nerr2\nout3\nerr3", "in the order in which they were written");
    assert_eq!(home.run(&["cancel", "--force", &id]).code, 0);
    assert_eq!((stream("stderr").as_str(), home.ok(&["logs", &id])), ("err1\nerr2\nerr3", together));
}

#[test]
fn h6_a_failure_is_reported_within_half_a_second() {
    let home = Home::new();
    best_of_three(Duration::from_millis(500), "status and wait report the end", || {
        let id = home.launch(&["sh", "-c", "echo $$ > pid; exec sleep 60"]);
        let pid = home.pid(&id);
        until("the process id is that of the command", || {
            std::fs::read_to_string(home.work().join("pid"))
                .ok()
                .filter(|text| text.trim() == pid.to_string())
        });
        let mut waiter = home.command(&["wait", &id]).spawn().unwrap();
        let begin = Instant::now();
        kill("-SEGV", pid);
        until("the process has failed", || (home.status(&id) == "failed").then_some(()));
        let told = waiter.wait().unwrap();
        let took = begin.elapsed();
        assert_eq!(told.code(), Some(128 + 11));
        took
    });
}

#[test]
fn h7_old_ended_records_are_pruned_and_live_ones_never() {
    let home = Home::new();
    configure(&home, "[retention]\nage = \"60s\"\n");
    let live = sleeper(&home, &[]);
    let reports = home.ok(&["track", "start"]);
    let done = home.launch(&["echo", "some output"]);
    assert_eq!(home.run(&["wait", &done]).code, 0);
    let (_, health) = http(&home, "GET", "/v1/health", &Value::Null);
    assert_eq!((&health["retention"]["age_ms"], &health["pruned"]), (&json!(60_000), &json!(0)));
    let dry = json_of(&home, &["prune", "--older-than", "0s", "--dry-run", "--json"]);
    assert_eq!((&dry["ids"], home.run(&["inspect", &done]).code), (&json!([done]), 0));
    assert_eq!(json_of(&home, &["prune", "--older-than", "1h", "--json"])["count"], 0);
    assert_eq!(json_of(&home, &["prune", "--older-than", "0s", "--json"])["ids"], json!([done]));
    assert_eq!(home.run(&["inspect", &done]).code, 3);
    assert_eq!((home.status(&live).as_str(), home.status(&reports).as_str()), ("running", "running"));
    let (_, health) = http(&home, "GET", "/v1/health", &Value::Null);
    assert_eq!(health["pruned"], 1, "the number of pruned records is reported");
}

#[test]
fn h8_retry_delays_increase_and_why_shows_the_time() {
    let home = Home::new();
    let script = "date +%s%3N >> runs; exit 1";
    let id = home.ok(&["run", "-b", "--retry", "3", "--backoff", "200ms..10s", "--", "sh", "-c", script]);
    assert_eq!(home.run(&["wait", &id]).code, 1);
    assert_eq!(home.record(&id)["attempt"], 4);
    let runs = std::fs::read_to_string(home.work().join("runs")).unwrap();
    let at: Vec<u64> = runs.lines().map(|line| line.parse().unwrap()).collect();
    // Half of each delay is random, so the delays are at least 100, 200 and 400 ms.
    assert!(at.len() == 4 && (1..4).all(|no| at[no] - at[no - 1] >= 50 << no), "{at:?}");
    let slow = home.ok(&["run", "-b", "--retry", "1", "--backoff", "1h..1h", "--", "false"]);
    until("the process waits for its retry", || {
        (home.record(&slow)["pending"]["why"] == "retry").then_some(())
    });
    let why = json_of(&home, &["why", &slow, "--json"]);
    assert_eq!((&why["why"], &why["next_attempt"]), (&json!("retry"), &json!(2)));
    assert!(why["due_at"].is_string() && why["last_error"].is_string(), "{why}");
}

#[test]
fn h8_limits_per_process_and_per_level_are_enforced_and_usage_is_shown() {
    let home = Home::new();
    configure(&home, "[limits.level.1]\nfile_size = \"1MiB\"\n");
    const WRITE: &str = "ulimit -c 0; exec head -c 4M /dev/zero > $0";
    let burns =
        home.ok(&["run", "-b", "--max-cpu", "1s", "--", "sh", "-c", "ulimit -c 0; while :; do :; done"]);
    let root = home.launch(&["sh", "-c", "while :; do :; done"]);
    let roomy = home.launch(&["sh", "-c", WRITE, "root-file"]);
    assert_eq!(home.run(&["wait", &roomy]).code, 0, "no limit on level 0");
    let bound = home.ok(&["run", "-b", "--parent", &root, "--", "sh", "-c", WRITE, "child-file"]);
    assert_ne!(home.run(&["wait", &bound]).code, 0);
    assert_eq!(home.record(&bound)["exit"]["limit"], "file_size");
    assert_eq!(home.record(&bound)["limits"]["file_bytes"], 1 << 20);
    let usage = until("usage of the live tree", || {
        let (_, reply) = http(&home, "GET", &format!("/v1/processes/{root}/usage"), &Value::Null);
        reply["usage"]["cpu_ms"].as_u64().is_some_and(|ms| ms > 0).then_some(reply)
    });
    assert!(usage["uptime_ms"].is_u64() && usage["usage"]["memory_bytes"].as_u64() > Some(0), "{usage}");
    assert!(usage["usage"]["limited_by"].is_string(), "the active mechanism: {usage}");
    assert!(home.ok(&["status", "-o", "wide"]).contains("MEMORY"));
    let _ = home.run(&["wait", &burns]);
    let ended = home.record(&burns);
    assert_eq!((&ended["status"], &ended["exit"]["limit"]), (&json!("failed"), &json!("cpu")), "{ended}");
    assert!(ended["reason"].as_str().is_some_and(|why| why.contains("CPU time limit")), "{ended}");
    assert!(ended["exit"]["usage"]["user_ms"].as_u64() > Some(0));
}

#[test]
fn h8_output_streams_to_a_follower_while_it_runs() {
    let home = Home::new();
    let id = home.launch(&["sh", "-c", "echo first; while [ ! -e go ]; do sleep 0.02; done; echo second"]);
    let mut follower =
        home.command(&["logs", "-f", &id]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(follower.stdout.take().unwrap()));
    assert_eq!(lines.next().unwrap().unwrap(), "first");
    assert_eq!(home.status(&id), "running");
    std::fs::write(home.work().join("go"), "").unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "second");
    assert!(lines.next().is_none() && follower.wait().unwrap().success());
}
