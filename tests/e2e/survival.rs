//! Tests that kill the manager, the shim, or both. The records must stay correct. Requirements Q6, C2, C8 and E8.

use crate::socket::configure;
use longhaul_tests::{GATED, Home, best_of_three, is_alive, kill, kill_together, until, within};
use std::time::{Duration, Instant};

#[test]
fn the_exit_code_and_the_complete_output_survive_a_kill_of_the_manager() {
    let home = Home::new();
    let id = home.launch(&["sh", "-c", &format!("echo begin; {GATED}; echo end; exit 7")]);
    home.until_status(&id, "running");
    home.end_manager("-KILL");
    home.open_gate();
    assert_eq!(home.run(&["wait", &id]).code, 7);
    let record = home.record(&id);
    assert_eq!((record["status"].as_str(), record["exit_code"].as_i64()), (Some("failed"), Some(7)));
    assert_eq!(home.ok(&["logs", &id]), "begin\nend");
}

#[test]
fn an_unobserved_exit_is_read_by_the_next_manager() {
    let home = Home::new();
    let id = home.launch(&["sh", "-c", &format!("{GATED}; echo done; exit 9")]);
    let pid = home.pid(&id);
    home.end_manager("-KILL");
    home.open_gate();
    until("the command has exited", || (!is_alive(pid)).then_some(()));
    assert_eq!(home.status(&id), "failed");
    assert_eq!(home.record(&id)["exit_code"].as_i64(), Some(9));
    assert_eq!(home.ok(&["logs", &id]), "done");
}

#[test]
fn an_ending_names_its_cause_and_its_circumstances() {
    let home = Home::new();
    let paused = home.launch(&["sleep", "60"]);
    let exit_unobserved = home.launch(&["sh", "-c", &format!("{GATED}; exit 9")]);
    let held = home.ok(&["run", "-b", "--keep-leftovers", "--", "sh", "-c", "setsid sleep 5 & exit 0"]);
    let pid = home.pid(&paused);
    assert_eq!(home.run(&["wait", &held]).code, 0);
    assert_eq!(home.run(&["pause", &paused]).code, 0);
    kill("-KILL", pid);
    home.until_status(&paused, "failed");
    let runs = home.pid(&exit_unobserved);
    let in_force = home.record(&exit_unobserved)["containment"].clone();
    home.end_manager("-KILL");
    home.open_gate();
    until("the command has exited", || (!is_alive(runs)).then_some(()));
    let said = |id: &str| {
        let record = home.record(id);
        let facts = ["paused", "output_open", "exit_unobserved"].map(|fact| record["exit"][fact].clone());
        assert_eq!(record["containment"], in_force, "the record keeps the containment: {record}");
        (record["ended_by"].as_str().unwrap_or("none").to_owned(), facts.map(|fact| fact == true))
    };
    assert!(in_force.is_string());
    assert_eq!(said(&paused), ("outside".to_owned(), [true, false, false]));
    assert_eq!(said(&held), ("itself".to_owned(), [false, true, false]));
    assert_eq!(said(&exit_unobserved), ("itself".to_owned(), [false, false, true]));
    assert!(home.ok(&["status", &exit_unobserved]).contains("while no manager was running"));
}

#[test]
fn waiting_processes_are_still_queued_in_order_after_a_crash() {
    let home = Home::new();
    let blocker = home.ok(&["run", "-b", "--key", "k", "--", "sleep", "30"]);
    home.until_status(&blocker, "running");
    let config = home.state().parent().unwrap().join("config/longhaul");
    std::fs::create_dir_all(&config).unwrap();
    std::fs::write(config.join("config.toml"), "[keys]\nlimit = { k = 1 }\n").unwrap();
    home.end_manager("-TERM");
    let script = "echo $0 >> order";
    let ids: Vec<String> = ["a", "b", "c"]
        .iter()
        .map(|name| home.ok(&["run", "-b", "--key", "k", "--", "sh", "-c", script, name]))
        .collect();
    home.end_manager("-KILL");
    assert!(ids.iter().all(|id| home.status(id) == "pending"));
    assert_eq!(home.run(&["cancel", "--force", &blocker]).code, 0);
    for id in &ids {
        assert_eq!(home.run(&["wait", id]).code, 0);
    }
    assert_eq!(std::fs::read_to_string(home.work().join("order")).unwrap(), "a\nb\nc\n");
}

#[test]
fn a_kill_of_the_command_and_its_shim_interrupts_the_process_within_half_a_second() {
    let home = Home::new();
    best_of_three(Duration::from_millis(500), "the process is interrupted", || {
        let id = home.launch(&["sleep", "60"]);
        home.until_status(&id, "running");
        let both = [home.shim(&id), home.pid(&id)];
        let begin = Instant::now();
        kill_together("-KILL", &both);
        let record = until("the process is interrupted", || {
            let record = home.record(&id);
            assert!(record["status"] == "running" || record["status"] == "interrupted", "{record}");
            (record["status"] == "interrupted").then_some(record)
        });
        let took = begin.elapsed();
        assert!(record["reason"].as_str().is_some_and(|reason| reason.contains("supervisor")), "{record}");
        assert!(record["exit_code"].is_null());
        took
    });
}

#[test]
fn the_first_answer_is_correct_after_all_programs_were_killed() {
    // Make this process a subreaper that reaps no orphans, so that they stay zombies. The first process of many
    // containers behaves like this.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
    let firsts: [&[&str]; 4] = [
        &["status", "-a", "--json"],
        &["restart", "--interrupted", "--json"],
        &["restart", "-b", "victim", "--json"],
        &["inspect", "victim"],
    ];
    for store in ["sqlite", "fs"] {
        for first in firsts {
            for wait_for_zombies in [false, true] {
                let home = Home::new();
                let place = home.state().with_file_name("db");
                configure(&home, &format!("store = \"{store}:{}\"\n", place.display()));
                let id = home.ok(&["run", "-b", "--name", "victim", "--", "sleep", "1000"]);
                home.until_status(&id, "running");
                let pid = home.pid(&id);
                kill_together("-KILL", &[home.manager().unwrap(), home.shim(&id), pid]);
                if wait_for_zombies {
                    until("the command has exited", || (!is_alive(pid)).then_some(()));
                }
                let answer = home.run(first);
                let case = format!("{store} {first:?} {wait_for_zombies}: {} {}", answer.out, answer.err);
                assert_eq!(answer.code, 0, "{case}");
                match first[0] {
                    "restart" => {
                        assert!(
                            answer.out.contains(&id),
                            "the process is the origin of the running one: {case}"
                        )
                    }
                    _ => assert!(answer.out.contains("\"interrupted\""), "{case}"),
                }
                assert_eq!(home.status(&id), "interrupted", "{case}");
            }
        }
    }
}

#[test]
fn first_restart_after_all_programs_were_killed_runs_no_child_twice() {
    let home = Home::new();
    let longhaul = longhaul_tests::program("longhaul");
    let child = "echo run >> kids; exec sleep 1000";
    let script = format!("{} run -b --name kid -- sh -c '{child}'; exec sleep 1000", longhaul.display());
    let lead = home.ok(&["run", "-b", "--name", "lead", "--", "sh", "-c", &script]);
    home.until_written("kids");
    let kid = home.record("kid")["id"].as_str().unwrap().to_owned();
    let of = |id: &str| [home.shim(id), home.pid(id)];
    let all = [vec![home.manager().unwrap()], of(&lead).to_vec(), of(&kid).to_vec()].concat();
    kill_together("-KILL", &all);
    until("everything has ended", || all.iter().all(|pid| !is_alive(*pid)).then_some(()));
    let restarted = home.ok(&["restart", "--interrupted", "--with-children"]);
    assert_eq!(restarted.lines().count(), 1, "only the root is restarted: {restarted}");
    let live = || -> Vec<serde_json::Value> {
        let list: serde_json::Value = serde_json::from_str(&home.ok(&["status", "--json"])).unwrap();
        list["processes"].as_array().unwrap().iter().filter(|row| row["name"] == "kid").cloned().collect()
    };
    until("the parent has launched its child again", || {
        live().iter().any(|row| row["parent_id"] == restarted.trim()).then_some(())
    });
    until("the child has started", || {
        (std::fs::read_to_string(home.work().join("kids")).unwrap().lines().count() == 2).then_some(())
    });
    assert_eq!(live().len(), 1, "the child runs once");
    assert_eq!(home.ok(&["restart", "--interrupted", "--with-children"]), "");
}

#[test]
fn the_true_exit_code_is_recorded_if_only_the_shim_is_killed() {
    let home = Home::new();
    // The command sleeps for a second, so that the manager can notice the kill. A command that ended together with its
    // shim would be recorded as interrupted.
    let id = home.launch(&["sh", "-c", &format!("{GATED}; sleep 1; echo still here; exit 41")]);
    home.until_status(&id, "running");
    kill("-KILL", home.shim(&id));
    home.open_gate();
    assert_eq!(home.run(&["wait", &id]).code, 41);
    assert_eq!(home.ok(&["logs", &id]), "still here");
}

#[test]
fn an_unobserved_end_is_dated_with_the_latest_possible_time() {
    let home = Home::new();
    let id = home.launch(&["sh", "-c", &format!("{GATED}; exit 9")]);
    let (runs, shim) = (home.pid(&id), home.shim(&id));
    kill("-STOP", shim);
    home.end_manager("-KILL");
    home.open_gate();
    until("the command has exited", || (!is_alive(runs)).then_some(()));
    assert_eq!(home.run(&["wait", &id]).code, 9);
    assert_eq!(home.record(&id)["completed_at_precision"], "latest");
    let shown = home.ok(&["status", &id]);
    assert!(shown.contains("at or before ") && shown.contains("at most "), "{shown}");
}

#[test]
fn a_stopped_shim_is_reported_and_does_not_hide_an_end() {
    let home = Home::new();
    let id = home.launch(&["sh", "-c", &format!("{GATED}; exit 43")]);
    home.until_status(&id, "running");
    kill("-STOP", home.shim(&id));
    let shows = |id: &str| {
        let conditions = home.record(id)["conditions"].clone();
        conditions.as_array().unwrap().contains(&serde_json::json!("supervisor_stopped"))
    };
    until("the record shows the stopped shim", || shows(&id).then_some(()));
    home.open_gate();
    assert_eq!(home.run(&["wait", &id]).code, 43);
    let late = home.run(&["cancel", &id]);
    let record = home.record(&id);
    assert_eq!(
        (record["status"].as_str(), record["ended_by"].as_str()),
        (Some("failed"), Some("itself")),
        "{late:?}"
    );
    assert!(!shows(&id));
}

#[test]
fn the_grace_period_and_the_stop_signal_survive_the_manager_and_the_shim() {
    let home = Home::new();
    let script = "trap 'sleep 6; exit 7' INT; echo ready; while :; do sleep 0.01; done";
    let id = home.ok(&["run", "-b", "--grace", "60s", "--stop-signal", "INT", "--", "sh", "-c", script]);
    until("the command is ready", || home.ok(&["logs", &id]).contains("ready").then_some(()));
    home.end_manager("-TERM");
    home.until_status(&id, "running");
    let shim = home.shim(&id);
    kill("-KILL", shim);
    until("the shim has exited", || (!is_alive(shim)).then_some(()));
    assert_eq!(home.run(&["cancel", &id]).code, 0);
    home.until_status(&id, "cancelled");
    let record = home.record(&id);
    assert_eq!((record["exit_code"].as_i64(), record["exit"]["last_signal"].as_i64()), (Some(7), Some(2)));
}

#[test]
fn stop_is_repeated_within_the_same_grace_period_if_manager_and_shim_were_killed() {
    const GRACE: Duration = Duration::from_secs(8);
    let home = Home::new();
    // After the kills, no program reads the output pipe. If the shell reported a stopped `sleep` to this pipe, SIGPIPE
    // would end the shell.
    let script = "exec 2> /dev/null; trap 'echo asked >> asked' TERM; touch up; while :; do sleep 0.05; done";
    let id = home.ok(&["run", "-b", "--grace", "8s", "--", "sh", "-c", script]);
    home.until_written("up");
    let shim = home.shim(&id);
    let begun = Instant::now();
    let _reply = home.ok(&["cancel", "--no-wait", &id]);
    home.until_written("asked");
    home.end_manager("-KILL");
    kill("-KILL", shim);
    until("the shim has exited", || (!is_alive(shim)).then_some(()));
    home.until_status(&id, "cancelled");
    let taken = begun.elapsed();
    assert!(taken >= GRACE && taken < GRACE + Duration::from_secs(6), "{taken:?}");
    assert_eq!(home.record(&id)["exit"]["last_signal"], 9);
    // It is unknown whether the killed shim had sent the signal, so the signal is sent again.
    let asked = std::fs::read_to_string(home.work().join("asked")).unwrap();
    assert_eq!(asked.lines().count(), 2, "{asked}");
}

#[test]
fn ten_live_processes_survive_a_clean_shutdown_and_are_all_adopted() {
    let home = Home::new();
    let ids: Vec<String> = (0..10).map(|_| home.launch(&["sh", "-c", &format!("{GATED}; exit 6")])).collect();
    let pids: Vec<u32> = ids.iter().map(|id| home.pid(id)).collect();
    home.end_manager("-TERM");
    assert!(pids.iter().all(|pid| is_alive(*pid)), "stopping the manager stopped a command");
    for (id, pid) in ids.iter().zip(&pids) {
        assert_eq!(home.pid(id), *pid, "adopted, not started again");
    }
    home.open_gate();
    for id in &ids {
        assert_eq!(home.run(&["wait", id]).code, 6);
    }
}

#[test]
fn the_manager_stops_everything_within_the_grace_when_asked_to() {
    let home = Home::new();
    let mut serve = home.command(&["serve", "--stop-processes"]);
    let mut manager = serve.stderr(std::process::Stdio::null()).spawn().unwrap();
    until("the manager answers", || (home.run(&["status", "--no-autostart"]).code == 0).then_some(()));
    let gentle = home.launch(&["sleep", "60"]);
    let stubborn = home.ok(&[
        "run",
        "-b",
        "--grace",
        "1s",
        "--",
        "sh",
        "-c",
        "trap '' TERM; touch up; while :; do sleep 1; done",
    ]);
    let pids = [home.pid(&gentle), home.pid(&stubborn)];
    home.until_written("up");
    kill("-TERM", manager.id());
    // The commands have at most the default grace period of 5 s, plus a second for the final check.
    within(Duration::from_secs(7), "all commands have exited", || {
        pids.iter().all(|pid| !is_alive(*pid)).then_some(())
    });
    let _ = manager.wait().unwrap();
    assert_eq!(home.status(&gentle), "cancelled");
    assert_eq!(home.status(&stubborn), "cancelled");
}

#[test]
fn a_timeout_is_kept_while_no_manager_is_there() {
    let home = Home::new();
    let script = "echo $$ > pid; exec sleep 60";
    let id = home.ok(&["run", "-b", "--timeout", "3s", "--", "sh", "-c", script]);
    // Wait until the command is running, because its timeout starts only then.
    let pid = until("its process id", || {
        std::fs::read_to_string(home.work().join("pid")).ok()?.trim().parse().ok()
    });
    home.end_manager("-KILL");
    until("the timeout has expired", || (!is_alive(pid)).then_some(()));
    assert_eq!(home.status(&id), "timeout");
}
