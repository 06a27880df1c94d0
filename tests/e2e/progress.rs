//! Tests of progress that is found in the output, in the progress file and in earlier runs.

use crate::socket::configure;
use longhaul_tests::{GATED, Home, is_alive, until};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

fn until_progress(home: &Home, id: &str, percent: f64) {
    until(&format!("{id} is at {percent} %"), || {
        (home.record(id)["progress"].as_f64() == Some(percent)).then_some(())
    });
}

#[test]
fn progress_in_the_output_survives_a_killed_manager() {
    let home = Home::new();
    let script = format!(
        "printf '\\r 20%%|##   | 20/100 [00:10<00:40,  2.00it/s]' >&2; {GATED}; \
         printf '\\r 60%%|##   | 60/100 [00:30<00:20,  2.00it/s]' >&2; sleep 60"
    );
    let id = home.ok(&["run", "-b", "--progress", "auto", "--", "sh", "-c", &script]);
    until_progress(&home, &id, 20.0);
    let record = home.record(&id);
    assert_eq!(record["eta_source"], "progress");
    assert!(record["eta_ms"].as_u64().is_some_and(|eta| eta <= 40_000), "{record}");
    home.end_manager("-KILL");
    home.open_gate();
    std::thread::sleep(Duration::from_millis(300));
    until_progress(&home, &id, 60.0);
    assert!(home.ok(&["status", &id]).contains("60 %, eta ~"));
}

#[test]
fn command_writes_its_progress_to_a_descriptor_while_no_manager_runs() {
    let home = Home::new();
    let script = format!(
        "echo '{{\"percent\":10,\"stage\":\"copy\",\"eta_s\":100}}' >&$LONGHAUL_PROGRESS_FD; {GATED}; \
         echo 'not json' >&$LONGHAUL_PROGRESS_FD; \
         for n in 1 2 3; do echo \"{{\\\"done\\\":$n,\\\"total\\\":4}}\" >&$LONGHAUL_PROGRESS_FD; done; \
         touch written; sleep 60"
    );
    let id = home.ok(&["run", "-b", "--progress", "fd", "--", "sh", "-c", &script]);
    until_progress(&home, &id, 10.0);
    let record = home.record(&id);
    assert_eq!((record["stage"].as_str(), record["eta_source"].as_str()), (Some("copy"), Some("reported")));
    let pid = home.pid(&id);
    home.end_manager("-KILL");
    home.open_gate();
    until("the lines are written", || home.work().join("written").exists().then_some(()));
    assert!(is_alive(pid), "the command keeps running without a manager");
    until_progress(&home, &id, 75.0);
}

#[test]
fn invalid_data_in_the_progress_file_affects_neither_the_command_nor_the_manager() {
    let home = Home::new();
    let script = format!(
        "head -c 3000000 /dev/urandom >&$LONGHAUL_PROGRESS_FD; \
         echo >&$LONGHAUL_PROGRESS_FD; \
         echo '{{\"eta_s\":-1}}' >&$LONGHAUL_PROGRESS_FD; \
         echo \"{{\\\"stage\\\":\\\"$(head -c 90000 /dev/zero | tr '\\0' x)\\\"}}\" >&$LONGHAUL_PROGRESS_FD; \
         touch written; {GATED}; \
         echo '{{\"percent\":40}}' >&$LONGHAUL_PROGRESS_FD; \
         sleep 60"
    );
    let id = home.ok(&["run", "-b", "--progress", "fd", "--", "sh", "-c", &script]);
    home.until_written("written");
    let file = home.state().join("attempts").join(&id).join("1/progress");
    until("the disk space of the read lines is freed", || {
        std::fs::metadata(&file).is_ok_and(|file| file.blocks() * 512 <= 256 << 10).then_some(())
    });
    home.open_gate();
    until_progress(&home, &id, 40.0);
    assert_eq!(home.status(&id), "running");
    assert!(home.record(&id)["stage"].is_null());
}

#[test]
fn command_without_a_request_has_no_progress_descriptor_and_a_bad_pattern_is_explained() {
    let home = Home::new();
    let id = home.launch(&["sh", "-c", "env"]);
    assert_eq!(home.run(&["wait", &id]).code, 0);
    assert!(!home.ok(&["logs", &id]).contains("LONGHAUL_PROGRESS_FD"));
    let refused = home.run(&["run", "-b", "--progress", "step (\\d+)", "--", "true"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.err.contains("(?P<percent>") && refused.err.contains("(?P<total>"), "{refused:?}");
}

#[test]
fn progress_default_applies_to_every_launch() {
    let home = Home::new();
    configure(&home, "progress.default = \"auto\"\n");
    let id = home.launch(&["sh", "-c", "echo 'Progress: 30%'; sleep 60"]);
    until_progress(&home, &id, 30.0);
    let off = home.ok(&["run", "-b", "--progress", "off", "--", "sh", "-c", "echo 'Progress: 30%'; sleep 3"]);
    assert_eq!(home.run(&["wait", &off]).code, 0);
    assert_ne!(home.record(&off)["progress"].as_f64(), Some(30.0));
}

#[test]
fn remaining_time_is_estimated_from_an_earlier_run() {
    let home = Home::new();
    let first = home.ok(&["run", "-b", "--name", "nightly", "--", "sleep", "6"]);
    assert_eq!(home.run(&["wait", &first]).code, 0);
    let id = home.ok(&["run", "-b", "--name", "nightly", "--", "sleep", "60"]);
    until("an estimate", || (home.record(&id)["eta_source"] == "history").then_some(()));
    let record = home.record(&id);
    assert!(record["progress"].is_null(), "{record}");
    assert!(record["eta_ms"].as_u64().is_some_and(|eta| eta <= 6_000), "{record}");
    until("no estimate", || home.record(&id)["eta_ms"].is_null().then_some(()));
}
