//! Tests of launch requests.

use super::*;
use crate::arguments::{Cli, TrackArgs, TrackVerb, Verb, read};
use std::os::unix::ffi::OsStringExt;

#[test]
fn plain_launch_says_directory_project_and_environment() {
    let top = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(top.path().join("atlas/.git")).unwrap();
    let inner = top.path().join("atlas/src");
    std::fs::create_dir(&inner).unwrap();
    let request = asked(&["--", "cargo", "test"], &inner, &[("PATH", "/bin")]);
    let command = request.command.as_ref().unwrap();
    assert_eq!((command.program.as_str(), command.args.as_slice()), ("cargo", &["test".to_owned()][..]));
    assert_eq!(command.directory, inner.to_str().unwrap());
    assert_eq!(request.project.as_deref(), Some("atlas"));
    assert_eq!(command.environment.captured.as_ref().unwrap().get("PATH").unwrap(), "/bin");
    assert_eq!((command.timeout_ms, command.grace_ms), (0, None));
    assert!(request.retry.is_none() && request.parent_id.is_none() && request.metadata.is_none());
}

#[test]
fn directory_outside_of_any_repository_names_the_project() {
    let top = tempfile::tempdir().unwrap();
    let plain = top.path().join("plain");
    std::fs::create_dir(&plain).unwrap();
    assert_eq!(asked(&["true"], &plain, &[]).project.as_deref(), Some("plain"));
    let named = asked(&["-C", plain.to_str().unwrap(), "-p", "other", "true"], top.path(), &[]);
    assert_eq!(named.project.as_deref(), Some("other"));
}

#[test]
fn every_flag_arrives() {
    let top = tempfile::tempdir().unwrap();
    std::fs::write(top.path().join("in.txt"), "x").unwrap();
    let request = asked(
        &[
            "-b",
            "--name",
            "n",
            "--description",
            "d",
            "--type",
            "build",
            "--meta",
            "a=1",
            "--meta",
            "{\"b\": 2}",
            "--key",
            "k",
            "--priority",
            "-5",
            "--timeout",
            "5m",
            "--grace",
            "2s",
            "--stop-signal",
            "INT",
            "--retry",
            "3",
            "--backoff",
            "1s..60s",
            "--retry-on",
            "1,75,timeout",
            "--launch-key",
            "lk",
            "--no-queue",
            "--delay",
            "1s",
            "--parent",
            "abcd",
            "--session",
            "s",
            "--children",
            "wait",
            "--on-session-end",
            "grace",
            "--session-grace",
            "30s",
            "--agent-id",
            "a",
            "--agent-type",
            "coder",
            "--capability",
            "read,write",
            "--capability",
            "test",
            "--max-cpu",
            "1500ms",
            "--max-memory",
            "1GiB",
            "--max-files",
            "64",
            "--max-processes",
            "8",
            "--max-file-size",
            "1K",
            "--stdin",
            "in.txt",
            "--keep-leftovers",
            "--log-head",
            "1K",
            "--log-tail",
            "2MiB",
            "--",
            "make",
            "-j",
        ],
        top.path(),
        &[],
    );
    let command = request.command.unwrap();
    assert_eq!(request.metadata.unwrap(), serde_json::json!({"a": "1", "b": 2}));
    assert_eq!((request.priority, request.delay_ms, request.no_queue), (Some(-5), Some(1_000), true));
    assert_eq!((command.timeout_ms, command.grace_ms, command.stop_signal), (300_000, Some(2_000), Some(2)));
    let retry = request.retry.unwrap();
    assert_eq!((retry.retries, retry.first_ms, retry.cap_ms), (3, Some(1_000), Some(60_000)));
    assert_eq!((retry.codes, retry.after_timeout, retry.after_interruption), (vec![1, 75], true, false));
    assert_eq!((request.parent_id.as_deref(), request.session_id.as_deref()), (Some("abcd"), Some("s")));
    assert!(command.stdin.unwrap().ends_with("/in.txt"));
    assert_eq!((command.output.head, command.output.tail), (Some(1_024), Some(2 << 20)));
    assert!(command.keep_leftovers);
    assert_eq!(
        (request.children.as_deref(), request.on_session_end.as_deref(), request.session_grace_ms),
        (Some("wait"), Some("grace"), Some(30_000))
    );
    assert_eq!((request.agent_id.as_deref(), request.agent_type.as_deref()), (Some("a"), Some("coder")));
    assert_eq!(request.capabilities, ["read", "write", "test"]);
    let limits = command.limits;
    assert_eq!(
        (limits.cpu_seconds, limits.memory_bytes, limits.open_files, limits.processes, limits.file_bytes),
        (Some(2), Some(1 << 30), Some(64), Some(8), Some(1_024))
    );
}

#[test]
fn all_options_of_a_launch_are_part_of_the_request() {
    let plain = asked(&["cat"], Path::new("/"), &[]).command.unwrap();
    assert!(!plain.stdin_pipe && plain.ready_when.is_none() && plain.watch.is_empty());
    let words = ["--stdin-pipe", "--watch", "stderr:e=^E", "--idle-after", "30s", "--stall-after", "0"];
    let request = asked(&[&words[..], &["--ready-cmd", "test -e up", "cat"]].concat(), Path::new("/"), &[]);
    assert_eq!((request.idle_after_ms, request.stall_after_ms), (Some(30_000), Some(0)));
    let command = request.command.unwrap();
    assert!(command.stdin_pipe);
    let shell = ["/bin/sh", "-c", "test -e up"].map(str::to_owned).to_vec();
    assert_eq!(command.ready_when.unwrap().command, Some(shell));
    let [watch] = command.watch.as_slice() else { panic!("one is watched for") };
    assert_eq!((watch.name.as_str(), watch.pattern.as_str()), ("e", "^E"));
    assert_eq!(watch.stream, Some(StreamChoice::Stderr));
    let port = asked(&["--ready-port", "80", "cat"], Path::new("/"), &[]).command.unwrap();
    assert_eq!(port.ready_when.unwrap().port, Some(80));
}

#[test]
fn moment_of_a_launch_is_handed_over_as_it_is_and_excludes_a_delay() {
    let request = asked(&["--at", "2026-11-21T15:00:00+01:00", "true"], Path::new("/"), &[]);
    assert_eq!(request.not_before.as_deref(), Some("2026-11-21T14:00:00Z"));
    assert_eq!(request.delay_ms, None);
    let both = ["longhaul", "run", "--at", "15:00", "--delay", "1s", "true"];
    assert_eq!(read(both.map(OsString::from)).unwrap_err().exit_code(), 2);
}

#[test]
fn parent_is_adopted_only_from_the_manager_that_is_asked() {
    let top = tempfile::tempdir().unwrap();
    let socket = top.path().join("longhaul.sock");
    std::fs::write(&socket, "").unwrap();
    let other_way = top.path().join("link");
    std::os::unix::fs::symlink(top.path(), &other_way).unwrap();
    let parent = |said: &Path| {
        let variables = [("LONGHAUL_ID", "p1"), ("LONGHAUL_SOCKET", said.to_str().unwrap())];
        CallerContext::of(Path::new("/"), &variables).own_process(&socket)
    };
    assert_eq!(parent(&socket).as_deref(), Some("p1"));
    assert_eq!(parent(&other_way.join("longhaul.sock")).as_deref(), Some("p1"));
    assert_eq!(parent(Path::new("/other/longhaul.sock")), None);
}

#[test]
fn reported_work_has_the_common_fields_and_its_own() {
    let words = "longhaul track start -n n --session s --key k --parent p --node host-7 --queued --heartbeat 1m \
                 --grace 5s --agent-id a --meta a=1 -p atlas";
    let Cli { command: Verb::Track(TrackArgs { verb: TrackVerb::Start(start) }), global } =
        read(words.split_whitespace().map(OsString::from)).unwrap()
    else {
        panic!("another verb");
    };
    let around = CallerContext::of(Path::new("/"), &[("LONGHAUL_ID", "p1")]);
    let request = track_request(&start, &global, &around, Path::new("/s/longhaul.sock")).unwrap();
    assert!(request.command.is_none());
    let reported = request.reported.unwrap();
    assert_eq!((reported.node_id.as_deref(), reported.queued), (Some("host-7"), true));
    assert_eq!((reported.heartbeat_ms, reported.grace_ms), (Some(60_000), Some(5_000)));
    assert_eq!((request.name.as_deref(), request.parent_id.as_deref()), (Some("n"), Some("p")));
    assert_eq!((request.key.as_deref(), request.project.as_deref()), (Some("k"), Some("atlas")));
}

#[test]
fn launch_inside_of_a_process_is_its_child_by_default() {
    let inside = [("LONGHAUL_ID", "p1"), ("LONGHAUL_SESSION", "s1")];
    let here = Path::new("/");
    let request = asked(&["true"], here, &inside);
    assert_eq!((request.parent_id.as_deref(), request.session_id.as_deref()), (Some("p1"), Some("s1")));
    assert_eq!(asked(&["--no-parent", "true"], here, &inside).parent_id, None);
    assert_eq!(asked(&["--parent", "p2", "true"], here, &inside).parent_id.as_deref(), Some("p2"));
}

#[test]
fn variables_of_files_yield_to_those_of_flags() {
    let top = tempfile::tempdir().unwrap();
    std::fs::write(top.path().join("env"), "# comment\n\nA=file\nexport B=file=x\n").unwrap();
    let file = top.path().join("env");
    let request = asked(
        &["--env-file", file.to_str().unwrap(), "-e", "A=flag", "-e", "HOME", "--clear-env", "true"],
        top.path(),
        &[("HOME", "/home/me")],
    );
    let environment = request.command.unwrap().environment;
    assert!(environment.captured.is_none());
    let declared: Vec<_> =
        environment.declared.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(declared, [("A", "flag"), ("B", "file=x"), ("HOME", "/home/me")]);
}

#[test]
fn shell_gets_one_command_line() {
    let command = asked(&["--shell", "make | tee log"], Path::new("/"), &[]).command.unwrap();
    assert_eq!(
        (command.program.as_str(), command.args.as_slice()),
        ("/bin/sh", &["-c".to_owned(), "make | tee log".to_owned()][..])
    );
}

#[test]
fn wrong_values_are_refused_with_a_way_out() {
    for words in [
        &["--meta", "novalue", "true"][..],
        &["--meta", "{broken", "true"],
        &["-e", "NOT_SET_ANYWHERE", "true"],
        &["-C", "/nonexistent/directory", "true"],
        &["--stdin", "/nonexistent/file", "true"],
        &["--env-file", "/nonexistent/file", "true"],
    ] {
        assert!(request(words, Path::new("/"), &[]).is_err(), "{words:?}");
    }
}

#[test]
fn argument_that_is_no_text_is_named() {
    let words = [OsString::from("echo"), OsString::from_vec(vec![b'a', 0xff])];
    let failure = command(&words, false).unwrap_err();
    assert!(matches!(failure, CliError::NotText { position: 2, .. }), "{failure:?}");
}

#[test]
fn shown_request_hides_values() {
    let request = asked(&["-e", "TOKEN=hunter2", "true"], Path::new("/"), &[("PASSWORD", "hunter3")]);
    let shown = shown(&request).to_string();
    assert!(shown.contains("TOKEN") && shown.contains("PASSWORD") && !shown.contains("hunter"), "{shown}");
    assert!(!format!("{request:?}").contains("hunter"));
}

fn asked(words: &[&str], directory: &Path, variables: &[(&str, &str)]) -> LaunchRequest {
    request(words, directory, variables).unwrap()
}

fn request(words: &[&str], directory: &Path, variables: &[(&str, &str)]) -> Result<LaunchRequest, CliError> {
    let words = ["longhaul", "run"].iter().chain(words).map(|word| OsString::from(*word));
    let cli = read(words).unwrap();
    let Verb::Run(run) = cli.command else {
        panic!("another verb");
    };
    let around = CallerContext::of(directory, variables);
    launch_request(&run, &cli.global, &around, Path::new("/s/longhaul.sock"), false)
}
