use crate::bench::{Bench, Said, shell, until};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::process::Stdio;
use std::time::{Duration, Instant};

#[test]
fn first_launch_starts_a_manager_and_holds_no_pipe_of_its_caller() {
    let bench = Bench::new();
    let program = env!("CARGO_BIN_EXE_longhaul");
    let begun = Instant::now();
    // Reading the output ends only when no process has the pipe open, not even as descriptor 7.
    let said = Said::of(
        shell(format!("exec 7>&1; {program} run -b -- sleep 30"))
            .env("LONGHAUL_STATE_DIR", bench.state())
            .output()
            .unwrap(),
    );
    assert_eq!(said.code, 0, "{said:?}");
    assert!(begun.elapsed() < Duration::from_secs(10), "the pipe was held");
    assert_eq!(std::fs::metadata(bench.state()).unwrap().mode() & 0o777, 0o700);
    assert_eq!(std::fs::metadata(bench.state().join("longhaul.sock")).unwrap().mode() & 0o777, 0o600);
    assert!(bench.log().contains("is ready"), "{}", bench.log());
}

#[test]
fn clients_that_race_for_a_manager_all_get_in_and_one_manager_stays() {
    let bench = Bench::new();
    let clients: Vec<_> = (0..6)
        .map(|_| {
            let mut command = bench.command(&["run", "-b", "--", "sleep", "30"]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for client in clients {
        let said = Said::of(client.wait_with_output().unwrap());
        assert_eq!(said.code, 0, "{said:?}");
    }
    assert_eq!(bench.log().matches("is ready").count(), 1, "{}", bench.log());
}

#[test]
fn second_manager_learns_which_manager_was_first() {
    let bench = Bench::new();
    bench.launch("true");
    let said = bench.run(&["serve"]);
    assert_eq!(said.code, 6);
    let pid = bench.manager().unwrap().as_raw_nonzero();
    assert!(said.err.contains(&format!("process {pid}")), "{}", said.err);
    assert!(said.err.contains("help:"), "{}", said.err);
}

#[test]
fn manager_that_holds_the_lock_without_an_answer_is_reported_as_silent() {
    let bench = Bench::new();
    std::fs::DirBuilder::new().mode(0o700).create(bench.state()).unwrap();
    let lock = bench.state().join("manager.lock");
    let holder = std::fs::File::create(&lock).unwrap();
    holder.lock().unwrap();
    std::fs::write(&lock, "pid=4242\nversion=9.9.9\n").unwrap();
    let said = bench.run(&["run", "-b", "--", "true"]);
    assert_eq!(said.code, 6, "{said:?}");
    for part in ["manager_timeout", "process 4242, version 9.9.9", "still starting", "kill -CONT 4242"] {
        assert!(said.err.contains(part), "{part} in {}", said.err);
    }
    drop(holder);
    std::fs::remove_file(&lock).unwrap();
    std::os::unix::fs::symlink("elsewhere", &lock).unwrap();
    let said = bench.run(&["status"]);
    assert_eq!(said.code, 6, "{said:?}");
    for part in ["state_dir_unusable", "manager.lock is a symbolic link", "rm "] {
        assert!(said.err.contains(part), "{part} in {}", said.err);
    }
    std::fs::remove_file(&lock).unwrap();
}

#[test]
fn manager_works_below_a_path_of_any_length() {
    let bench = Bench::new().at(&format!("{}/{}", "d".repeat(150), "e".repeat(150)));
    let id = bench.launch("exit 3");
    assert_eq!(bench.run(&["wait", &id]).code, 3);
}

#[test]
fn program_without_a_shim_executable_is_its_own_shim() {
    let bench = Bench::new();
    let program = bench.top().join("longhaul");
    std::fs::copy(env!("CARGO_BIN_EXE_longhaul"), &program).unwrap();
    std::fs::copy(env!("CARGO_BIN_EXE_longhauld"), bench.top().join("longhauld")).unwrap();
    let bench = bench.with_program(program);
    let id = bench.launch("echo here; exit 4");
    assert_eq!(bench.run(&["wait", &id]).code, 4);
    assert_eq!(bench.run(&["logs", &id]).out, "here\n");
}

#[test]
fn client_without_the_manager_program_names_the_programs_to_install() {
    let bench = Bench::new();
    let program = bench.top().join("longhaul");
    std::fs::copy(env!("CARGO_BIN_EXE_longhaul"), &program).unwrap();
    let bench = bench.with_program(program);
    for (command, code) in [(&["status"][..], 6), (&["doctor"], 1)] {
        let said = bench.run(command);
        assert_eq!(said.code, code, "{said:?}");
        assert!(said.err.contains("longhauld") && said.err.contains("in one directory"), "{}", said.err);
    }
}

#[test]
fn manager_program_refuses_commands_of_the_client() {
    let bench = Bench::new().with_program(env!("CARGO_BIN_EXE_longhauld").into());
    let said = bench.run(&["status"]);
    assert_eq!((said.code, said.out.as_str()), (2, ""));
    assert!(said.err.contains("run the same command with the program longhaul"), "{}", said.err);
}

#[test]
fn failed_start_shows_the_error_of_the_manager() {
    let bench = Bench::new();
    let config = bench.top().join(".config/longhaul");
    std::fs::create_dir_all(&config).unwrap();
    std::fs::write(config.join("config.toml"), "[limits]\nmax_paralel = 3\n").unwrap();
    let said = bench.run(&["run", "-b", "--", "true"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("limits.max_paralel") && said.err.contains("config.toml:2"), "{}", said.err);
}

#[test]
fn state_directory_that_is_a_file_is_named_as_such() {
    let bench = Bench::new();
    let file = bench.top().join("file");
    std::fs::write(&file, "precious").unwrap();
    let bench = bench.with_state(file.clone());
    let said = bench.run(&["status"]);
    assert!(said.code == 6 && said.err.contains("[state_dir_unusable]"), "{said:?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
}

#[test]
fn damaged_store_is_named_and_left_unchanged() {
    let bench = Bench::new();
    let said = bench.run(&["run", "-b", "--", "true"]);
    assert_eq!(said.code, 0, "{said:?}");
    bench.end_manager(rustix::process::Signal::TERM);
    let database = bench.state().join("longhaul.db");
    let garbage = vec![0x5a; 40_000];
    std::fs::write(&database, &garbage).unwrap();
    let said = bench.run(&["run", "-b", "--", "true"]);
    assert_eq!(said.code, 6, "{said:?}");
    assert!(said.err.contains("longhaul.db"), "{}", said.err);
    assert!(std::fs::read(&database).unwrap() == garbage);
}

#[test]
fn large_log_is_put_aside_at_a_start() {
    let bench = Bench::new();
    std::fs::DirBuilder::new().mode(0o700).create(bench.state()).unwrap();
    let log = bench.state().join("manager.log");
    std::fs::write(&log, vec![b'x'; 10 * 1024 * 1024 + 1]).unwrap();
    bench.launch("true");
    assert!(log.metadata().unwrap().len() < 10_000);
    assert!(bench.state().join("manager.log.1").metadata().unwrap().len() > 10_000_000);
}

#[test]
fn version_starts_no_manager() {
    let bench = Bench::new();
    let said = bench.run(&["version"]);
    assert_eq!(said.code, 0);
    assert!(
        said.out.contains(env!("CARGO_PKG_VERSION")) && said.out.contains("no manager answers"),
        "{said:?}"
    );
    assert!(!bench.is_serving() && !bench.state().exists());
    bench.launch("true");
    let said = bench.run(&["--json", "version"]);
    let version: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(version["manager"]["protocol"], 1);
}

#[test]
fn manager_that_managed_work_started_survives_that_work() {
    let bench = Bench::new();
    let inner = Bench::new();
    let program = env!("CARGO_BIN_EXE_longhaul");
    let state = inner.state().display();
    let id =
        bench.launch(&format!("{program} --state-dir {state} run -b --no-parent -- sleep 30; exec sleep 30"));
    until("the inner manager serves", || inner.is_serving());
    until("the inner command runs", || {
        inner.run(&["--no-autostart", "status", "--json"]).out.contains("\"running\"")
    });
    let said = bench.run(&["cancel", &id]);
    assert_eq!(said.code, 0, "{said:?}");
    until("the outer work has ended", || bench.show(&id)["status"] == "cancelled");
    let left = inner.run(&["--no-autostart", "status", "--json"]);
    assert!(left.out.contains("\"running\""), "{left:?}");
}
