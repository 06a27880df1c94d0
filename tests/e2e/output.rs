//! Tests of output: complete, separate, in order, and followed. Requirements C3 and H5.

use longhaul_tests::{GATED, Home, kill, until};
use std::io::{BufRead, BufReader};
use std::process::Stdio;

#[test]
fn the_last_lines_are_shown_fifty_by_default() {
    let home = Home::new();
    let id = home.launch(&["seq", "200"]);
    assert_eq!(home.run(&["wait", &id]).code, 0);
    let fifty: Vec<String> = (151..=200).map(|n| n.to_string()).collect();
    assert_eq!(home.ok(&["logs", &id]), fifty.join("\n"));
    assert_eq!(home.ok(&["logs", "-n", "2", &id]), "199\n200");
}

#[test]
fn the_streams_can_be_read_separately_and_together_in_order() {
    let home = Home::new();
    let script = "echo 1; sleep .05; echo 2 >&2; sleep .05; echo 3";
    let id = home.launch(&["sh", "-c", script]);
    assert_eq!(home.run(&["wait", &id]).code, 0);
    assert_eq!(home.ok(&["logs", "--stream", "stdout", &id]), "1\n3");
    let err = home.run(&["logs", "--stream", "stderr", &id]);
    assert_eq!(format!("{}{}", err.out, err.err), "2\n");
    let both = home.command(&["logs", &id]).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&both.stdout).lines().count()
            + String::from_utf8_lossy(&both.stderr).lines().count(),
        3
    );
}

#[test]
fn a_follower_sees_lines_as_they_come_and_ends_with_the_process() {
    let home = Home::new();
    let id = home.launch(&["sh", "-c", "echo one; while [ ! -e go ]; do sleep .05; done; echo two"]);
    let mut follower = home.command(&["logs", "-f", &id]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "one");
    std::fs::write(home.work().join("go"), "").unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "two");
    assert!(lines.next().is_none());
    assert_eq!(follower.wait().unwrap().code(), Some(0));
}

#[test]
fn a_follower_survives_a_crash_of_the_manager() {
    let home = Home::new();
    let id = home.launch(&["sh", "-c", "echo one; while [ ! -e go ]; do sleep .05; done; echo two"]);
    until("the first line", || (home.ok(&["logs", &id]) == "one").then_some(()));
    home.end_manager("-KILL");
    std::fs::write(home.work().join("go"), "").unwrap();
    assert_eq!(home.run(&["wait", &id]).code, 0);
    assert_eq!(home.ok(&["logs", &id]), "one\ntwo");
}

#[test]
fn output_that_could_not_be_stored_is_reported_by_logs() {
    let home = Home::new();
    let script = format!("echo ready; {GATED}; head -c 1000000 /dev/zero; echo last; exit 7");
    let bounds = ["--log-head", "4096", "--log-tail", "4096"];
    let id = home.ok(&[&["run", "-b"][..], &bounds, &["--", "sh", "-c", &script]].concat());
    until("the command is ready", || home.ok(&["logs", &id]).contains("ready").then_some(()));
    // The manager then reads the pipe in place of the shim, but stores only a limited amount.
    kill("-KILL", home.shim(&id));
    home.open_gate();
    assert_eq!(home.run(&["wait", &id]).code, 7);
    let lost = home.record(&id)["exit"]["dropped_bytes"].as_u64().unwrap();
    assert!(lost > 900_000, "{lost}");
    let told = format!("{lost} bytes of the output could not be stored and are lost");
    for flags in [&[] as &[&str], &["-n", "1"], &["--grep", "last"]] {
        let came = home.run(&[&["logs", &id][..], flags].concat());
        assert_eq!(came.code, i32::from(flags.contains(&"--grep")));
        assert!(came.err.contains(&told), "{flags:?}: {}", came.err);
        let json = home.run(&[&["logs", "--json", &id][..], flags].concat());
        let last: serde_json::Value = serde_json::from_str(json.out.lines().last().unwrap()).unwrap();
        assert_eq!(last["note"], told, "{flags:?}");
    }
}

#[test]
fn output_that_cannot_be_stored_is_reported_by_logs_while_the_command_runs() {
    let home = Home::new();
    let id = home.launch(&[
        "sh",
        "-c",
        &format!("echo ready; {GATED}; head -c 100000 /dev/zero; exec sleep 1000"),
    ]);
    until("the command is ready", || home.ok(&["logs", &id]).contains("ready").then_some(()));
    // The file size limit prevents the files of the shim from growing, as on a full disk.
    let limit = ["--pid", &home.shim(&id).to_string(), "--fsize=4096"];
    assert!(std::process::Command::new("prlimit").args(limit).status().unwrap().success());
    home.open_gate();
    let told = "95910 bytes of the output could not be stored here and are lost";
    until("the loss is reported", || home.run(&["logs", &id]).err.contains(told).then_some(()));
    let json = home.run(&["logs", "--json", &id]);
    let last: serde_json::Value = serde_json::from_str(json.out.lines().last().unwrap()).unwrap();
    assert_eq!((last["note"].as_str(), home.status(&id).as_str()), (Some(told), "running"));
}

#[test]
fn large_output_is_limited_and_its_head_and_tail_are_kept() {
    let home = Home::new();
    let script = "echo first; head -c 30000000 /dev/zero | tr '\\0' x | fold -w 99; echo; echo last";
    let id = home.ok(&["run", "-b", "--log-head", "1MiB", "--log-tail", "2MiB", "--", "sh", "-c", script]);
    assert_eq!(home.run(&["wait", &id]).code, 0);
    assert_eq!(home.ok(&["logs", "-n", "1", &id]), "last");
    let path = home.record(&id)["log_path"].as_str().unwrap().to_owned();
    let begin = std::fs::read(&path).unwrap();
    assert!(begin.starts_with(b"first\n"));
    let used = std::os::unix::fs::MetadataExt::blocks(&std::fs::metadata(&path).unwrap()) * 512;
    assert!(used < 6 * 1024 * 1024, "{used} bytes on disk");
}
