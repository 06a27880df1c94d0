//! Tests of `longhaul doctor` with and without a manager, and with a Redis server that is healthy, misconfigured or not
//! running.

use crate::bench::{Bench, Said, until};
use crate::shared_store::Server;
use rustix::process::{Pid, Signal, kill_process};
use std::time::{Duration, Instant};

#[test]
fn doctor_of_a_new_user_finds_all_well_and_makes_nothing() {
    let bench = Bench::new();
    let said = bench.run(&["doctor"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("no manager answers") && said.out.contains("sqlite:"), "{}", said.out);
    assert!(!bench.state().exists() && !bench.is_serving());
}

#[test]
fn doctor_reports_a_broken_configuration_and_continues() {
    let bench = Bench::new().with_config("store = 7\n");
    let said = bench.run(&["doctor"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.out.contains("problem  configuration") && said.out.contains("state_dir"), "{}", said.out);
}

#[test]
fn unusable_failure_rules_are_reported_and_do_not_keep_the_manager_from_starting() {
    let bench = Bench::new().with_config("failure.rules = \"/nowhere/rules.toml\"\n");
    let id = bench.launch("exit 3");
    assert_eq!(bench.run(&["wait", &id]).code, 3);
    let said = bench.run(&["doctor"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(
        said.out.contains("problem  failure_rules") && said.out.contains("/nowhere/rules.toml"),
        "{}",
        said.out
    );
    let log = bench.log();
    assert!(log.contains("failure.rules: /nowhere/rules.toml cannot be used"), "{log}");
}

#[test]
fn doctor_checks_this_machine_with_and_without_a_manager() {
    let bench = Bench::new();
    let id = bench.launch("exec sleep 60");
    until("it runs", || bench.show(&id)["pid"].is_number());
    let pid = bench.show(&id)["pid"].as_u64().unwrap();
    let state_of = |said: &Said, name: &str| {
        let reported: serde_json::Value = serde_json::from_str(&said.out).unwrap();
        let check =
            reported["checks"].as_array().unwrap().iter().find(|check| check["name"] == name).cloned();
        let check = check.unwrap_or_else(|| panic!("no row {name}: {reported:#}"));
        (check["state"].as_str().unwrap().to_owned(), check)
    };
    let with = bench.run(&["doctor", "--json"]);
    for name in ["configuration", "state_dir", "socket", "shim", "manager", "store", "containment", "clock"] {
        assert_eq!(state_of(&with, name).0, "ok", "{with:?}");
    }
    assert_eq!(state_of(&with, "shim").1["figures"]["version"], env!("CARGO_PKG_VERSION"), "{with:?}");
    assert!(state_of(&with, "limits").1["figures"]["pid_max"].is_number(), "{with:?}");
    let (state, orphans) = state_of(&with, "orphans");
    assert_eq!((state.as_str(), &orphans["figures"]["supervised"]), ("ok", &1.into()), "{orphans:#}");

    bench.end_manager(Signal::KILL);
    let (state, alone) = state_of(&bench.run(&["doctor", "--json"]), "orphans");
    assert_eq!(state, "ok", "{alone:#}");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let shim = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap().trim().parse().unwrap();
    let without = |count: u64, health: &str| {
        let reported = bench.run(&["doctor", "--json"]);
        let (state, orphans) = state_of(&reported, "orphans");
        let helps = orphans["help"].is_string() == (count > 0);
        state == health && orphans["figures"]["unsupervised"] == count && helps
    };
    kill_process(Pid::from_raw(shim).unwrap(), Signal::KILL).unwrap();
    until("the supervisor has ended", || without(1, "warning"));
    kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), Signal::KILL).unwrap();
    until("no process of the command is live", || without(0, "ok"));
    assert!(!bench.is_serving(), "the check starts no manager");
    until("the next manager finds out", || bench.show(&id)["status"] == "interrupted");
}

#[test]
fn doctor_names_processes_that_outlived_their_attempt() {
    let bench = Bench::new();
    let id = bench.launch("exit 7");
    assert_eq!(bench.run(&["wait", &id]).code, 7);
    // A manager ends the leftovers of an attempt. The test therefore starts a process itself and gives it the
    // environment variables of an ended attempt.
    let mut left = std::process::Command::new("sleep");
    let mut left = left.arg("600").env("LONGHAUL_ID", &id).env("LONGHAUL_ATTEMPT", "1").spawn().unwrap();
    let named = format!("alive: {}", left.id());
    until("doctor warns of it", || {
        let said = bench.run(&["doctor"]);
        said.out.contains(&named)
            && said.out.contains("warning  orphans")
            && !said.out.contains("all is well")
    });
    left.kill().unwrap();
    left.wait().unwrap();
    let said = bench.run(&["doctor"]);
    assert!(!said.out.contains("alive: "), "{}", said.out);
}

#[test]
fn bundle_is_one_file_of_its_user_with_all_that_helps_and_never_replaces_one() {
    use std::os::unix::fs::MetadataExt;
    let bench = Bench::new();
    let id = bench.launch("exit 7");
    assert_eq!(bench.run(&["wait", &id]).code, 7);
    let file = bench.top().join("bundle.txt");
    let words = ["doctor", "--bundle", file.to_str().unwrap()];
    let said = bench.run(&words);
    assert_eq!(said.code, 0, "{said:?}");
    let text = std::fs::read_to_string(&file).unwrap();
    for part in ["kernel ", "containment", "max_parallel", &id, "\"ended_by\":\"itself\"", "is ready"] {
        assert!(text.contains(part), "no {part}: {text}");
    }
    assert!(!text.contains("exit 7"), "arguments may be secret: {text}");
    assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    assert_ne!(bench.run(&words).code, 0, "a file that is there stays");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    assert_eq!(bench.run(&["doctor", "--bundle"]).code, 0);
    let named = std::fs::read_dir(bench.top()).unwrap().flatten().map(|entry| entry.file_name());
    assert_eq!(named.filter(|name| name.to_string_lossy().starts_with("longhaul-doctor-")).count(), 1);
}

#[test]
fn doctor_reports_the_state_and_the_loss_of_a_server() {
    let bench = Bench::new();
    let Some(mut server) = Server::start(&bench) else { return };
    let config = format!("store = \"{}&pass=hunter2&lease=7\"\n", server.url("team"));
    server.ask(&["CONFIG", "SET", "requirepass", "hunter2"]);
    let bench = bench.with_config(&config);
    let reported = |said: &Said| {
        assert!(!format!("{said:?}").contains("hunter2"), "{said:?}");
        serde_json::from_str::<serde_json::Value>(&said.out).unwrap()
    };
    let found = |reported: &serde_json::Value, name: &str| {
        let checks = reported["checks"].as_array().unwrap().clone();
        checks.into_iter().find(|check| check["name"] == name).unwrap_or_default()
    };

    let before = bench.run(&["doctor", "--json"]);
    let all = reported(&before);
    assert_eq!((before.code, &all["state"]), (0, &"warning".into()), "{all:#}");
    assert!(found(&all, "redis.namespace")["found"].as_str().unwrap().contains("creates"), "{all:#}");
    assert!(found(&all, "redis.latency")["figures"]["p50_ms"].as_f64().unwrap() > 0.0, "{all:#}");
    assert!(found(&all, "redis.clock")["figures"]["ahead_ms"].as_f64().unwrap().abs() < 1_000.0, "{all:#}");
    assert_eq!(found(&all, "redis.leases")["figures"]["lease_ms"], 7_000);
    assert_eq!(found(&all, "redis.durability")["state"], "warning", "{all:#}");
    let keys = server.ask(&["-a", "hunter2", "--no-auth-warning", "DBSIZE"]);
    assert_eq!(keys.trim(), "0", "the check creates nothing");
    assert!(!bench.top().join(".config/longhaul/cluster.key").exists(), "the check creates no key");

    let id = bench.launch("true");
    assert_eq!(bench.run(&["wait", &id]).code, 0);
    let with_manager = reported(&bench.run(&["doctor", "--json"]));
    assert_eq!(found(&with_manager, "manager")["state"], "ok", "{with_manager:#}");
    assert_eq!(found(&with_manager, "redis.namespace")["found"], "team");
    assert_eq!(found(&with_manager, "redis.cluster_key")["state"], "ok", "{with_manager:#}");
    let key = bench.top().join(".config/longhaul/cluster.key");
    let kept = key.with_extension("kept");
    std::fs::rename(&key, &kept).unwrap();
    let keyless = reported(&bench.run(&["doctor", "--json"]));
    assert_eq!(found(&keyless, "redis.cluster_key")["state"], "problem", "{keyless:#}");
    assert!(!key.exists(), "the check creates no key");
    std::fs::rename(&kept, &key).unwrap();

    server.ask(&["-a", "hunter2", "--no-auth-warning", "CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    let sick = bench.run(&["doctor"]);
    assert_eq!(sick.code, 1, "{sick:?}");
    assert!(sick.out.contains("problem  redis.maxmemory_policy  allkeys-lru"), "{}", sick.out);

    server.end();
    let begun = Instant::now();
    let gone = bench.run(&["doctor"]);
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert_eq!(gone.code, 1, "{gone:?}");
    assert!(gone.out.contains("problem  redis.server") && !gone.out.contains("hunter2"), "{}", gone.out);
    assert!(gone.out.contains("does not answer"), "{}", gone.out);
}

#[test]
fn doctor_reports_stopped_shims_and_live_attempts_without_a_record() {
    let bench = Bench::new();
    let id = bench.launch("exec sleep 60");
    until("it runs", || bench.show(&id)["pid"].is_number());
    let pid = bench.show(&id)["pid"].as_u64().unwrap();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let shim = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap().trim().parse().unwrap();
    let shim = Pid::from_raw(shim).unwrap();
    let reported = |what: &str, parts: &[&str]| {
        let said = bench.run(&["doctor"]).out;
        assert!(!said.contains("all is well"), "{what}: {said}");
        for part in parts {
            assert!(said.contains(part), "{what}: {part} in {said}");
        }
    };
    kill_process(shim, Signal::STOP).unwrap();
    let stat = format!("/proc/{}/stat", shim.as_raw_nonzero());
    until("the manager is stopped", || std::fs::read_to_string(&stat).unwrap().contains(") T "));
    reported("stopped", &["warning  supervisors", &format!("kill -CONT {}", shim.as_raw_nonzero())]);
    kill_process(shim, Signal::CONT).unwrap();

    bench.end_manager(Signal::KILL);
    for ending in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(bench.state().join(format!("longhaul.db{ending}")));
    }
    reported("lost", &["warning  manager", "none can start", "problem  store"]);
    let adopted = bench.run(&["store", "adopt", "--yes"]);
    for part in [&format!("pid {pid}"), "sleep 60", &id, "kill PID"] {
        assert!(adopted.out.contains(part), "{part} in {adopted:?}");
    }
    assert_eq!(bench.run(&["status"]).code, 0);
    reported("unrecorded", &["warning  unrecorded", &id, &format!("kill {pid}\n")]);
    kill_process(Pid::from_raw(pid.try_into().unwrap()).unwrap(), Signal::KILL).unwrap();
    until("no findings are left", || bench.run(&["doctor"]).out.contains("all is well"));
}

#[test]
fn doctor_of_a_copy_does_not_call_the_work_of_the_original_orphans() {
    let bench = Bench::new();
    let id = bench.launch("exec sleep 60");
    until("it runs", || bench.show(&id)["pid"].is_number());
    let (from, to) = (bench.state().to_owned(), bench.top().join("copy"));
    assert!(std::process::Command::new("cp").arg("-a").args([&from, &to]).status().unwrap().success());
    let copy = bench.command(&["doctor"]).env("LONGHAUL_STATE_DIR", &to).output().unwrap();
    let said = Said::of(copy).out;
    assert!(said.contains("problem  state_dir") && said.contains("none can start"), "{said}");
    assert!(said.contains("ok       orphans") && said.contains("is a copy of: 1"), "{said}");
}

#[test]
fn doctor_of_a_directory_without_its_store_names_the_attempts_that_still_run() {
    let bench = Bench::new().with_config("store = \"fs:{top}/shared\"\n");
    let id = bench.launch("exec sleep 60");
    until("it runs", || bench.show(&id)["pid"].is_number());
    let pid = bench.show(&id)["pid"].as_u64().unwrap();
    bench.end_manager(Signal::TERM);
    let other = bench.top().join("elsewhere");
    let there =
        |words: &[&str]| Said::of(bench.command(words).env("LONGHAUL_STATE_DIR", &other).output().unwrap());
    let adopted = there(&["store", "adopt", "--yes"]);
    assert!(adopted.code == 0 && adopted.out.contains("recorded as interrupted"), "{adopted:?}");
    let shown = bench.show(&id);
    let reason = shown["reason"].as_str().unwrap();
    assert_eq!(shown["status"], "interrupted");
    assert!(
        reason.contains(bench.state().to_str().unwrap()) && reason.contains("while the command ran there"),
        "{reason}"
    );
    let said = bench.run(&["doctor"]).out;
    assert!(said.contains("warning  unrecorded") && said.contains(&format!("kill {pid}\n")), "{said}");
    kill_process(Pid::from_raw(pid.try_into().unwrap()).unwrap(), Signal::KILL).unwrap();
}
