//! Tests of bad input. The error must say what happened, why it happened, and what to do, and the exit code must match
//! the documentation.

use longhaul_tests::{Answer, Home};
use std::os::unix::fs::PermissionsExt;

#[test]
fn an_unknown_id_is_named_and_exits_with_3() {
    let home = Home::new();
    for verb in ["inspect", "logs", "cancel", "restart", "pause", "wait"] {
        let answer = home.run(&[verb, "deadbeef"]);
        assert_eq!(answer.code, 3, "{verb}: {answer:?}");
        explains(&answer, "deadbeef");
    }
}

#[test]
fn an_ambiguous_name_lists_its_matches() {
    let home = Home::new();
    let first = home.ok(&["run", "-b", "--name", "twin", "--", "sleep", "30"]);
    let second = home.ok(&["run", "-b", "--name", "twin", "--", "sleep", "30"]);
    let answer = home.run(&["cancel", "twin"]);
    assert_eq!(answer.code, 3, "{answer:?}");
    assert!(answer.err.contains(&first[..8]) && answer.err.contains(&second[..8]), "{answer:?}");
}

#[test]
fn a_prefix_of_four_is_enough_and_of_three_is_not() {
    let home = Home::new();
    let id = home.launch(&["true"]);
    assert_eq!(home.run(&["wait", &id[..4]]).code, 0);
    assert_eq!(home.run(&["wait", &format!("bg-{id}")]).code, 0);
    assert_eq!(home.run(&["wait", "@last"]).code, 0);
    assert_eq!(home.run(&["inspect", &id[..3]]).code, 3);
}

#[test]
fn an_empty_command_is_a_usage_error() {
    let home = Home::new();
    assert_eq!(home.run(&["run", "-b"]).code, 2);
    assert_eq!(home.run(&["run", "-b", "--", ""]).code, 2);
}

#[test]
fn the_error_of_a_missing_program_names_the_path_and_the_nearest_match() {
    let home = Home::new();
    let answer = home.run(&["run", "--", "slep", "1"]);
    assert_eq!(answer.code, 127, "{answer:?}");
    assert!(answer.err.contains("slep") && answer.err.contains("sleep"), "{answer:?}");
    let file = home.work().join("plain");
    std::fs::write(&file, "no program").unwrap();
    let answer = home.run(&["run", "--", file.to_str().unwrap()]);
    assert_eq!(answer.code, 126, "{answer:?}");
}

#[test]
fn a_missing_directory_is_named() {
    let home = Home::new();
    let answer = home.run(&["run", "-C", "/no/such/place", "--", "true"]);
    assert_ne!(answer.code, 0);
    explains(&answer, "/no/such/place");
}

#[test]
fn absurd_times_are_refused() {
    let home = Home::new();
    for timeout in ["-5", "1000d", "soon", "99999999999999999999"] {
        let answer = home.run(&["run", "-b", &format!("--timeout={timeout}"), "--", "true"]);
        assert_eq!(answer.code, 2, "{timeout}: {answer:?}");
    }
}

#[test]
fn oversized_arguments_are_refused_with_their_limit() {
    let home = Home::new();
    let long = "x".repeat(120_000);
    let answer = home.run(&["run", "-b", "--", "echo", &long, &long]);
    assert_ne!(answer.code, 0, "{:?}", answer.out);
    assert!(answer.err.contains("error:"), "{}", &answer.err[..answer.err.len().min(500)]);
}

#[test]
fn a_background_launch_of_a_non_executable_file_prints_the_reason() {
    let home = Home::new();
    for (name, content, reason) in [
        ("orphan", "#!/nope\necho hi\n", "the interpreter in its first line or its header is missing"),
        ("junk", "junk\n", "a script must start with a line such as #!/bin/sh"),
    ] {
        let path = home.work().join(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let program = format!("./{name}");
        let foreground = home.run(&["run", "--", &program]);
        let background = home.run(&["run", "-b", "--", &program]);
        assert_eq!((foreground.code, background.code), (126, 126), "{background:?}");
        assert!(foreground.err.contains(reason) && background.err.contains(reason), "{background:?}");
        let record = home.record(background.out.trim_end());
        assert!(record["error"].as_str().unwrap().contains(reason), "{record}");
        assert_eq!(
            (record["status"].as_str(), record["start_failure"]["stage"].as_str()),
            (Some("failed"), Some("exec"))
        );
    }
}

#[test]
fn a_damaged_database_is_refused_and_left_unchanged() {
    let home = Home::new();
    let _ = home.launch(&["true"]);
    home.end_manager("-TERM");
    let path = home.state().join("longhaul.db");
    let rubbish = b"this is not a database, it only has its name".repeat(500);
    std::fs::write(&path, &rubbish).unwrap();
    for side in ["longhaul.db-wal", "longhaul.db-shm"] {
        let _ = std::fs::remove_file(home.state().join(side));
    }
    let answer = home.run(&["status"]);
    assert_eq!(answer.code, 6, "{answer:?}");
    explains(&answer, "longhaul.db");
    assert_eq!(std::fs::read(&path).unwrap(), rubbish);
}

#[test]
fn a_state_directory_that_others_may_write_is_refused() {
    let home = Home::new();
    std::fs::create_dir_all(home.state()).unwrap();
    std::fs::set_permissions(home.state(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let answer = home.run(&["run", "-b", "--", "true"]);
    assert_eq!(answer.code, 6, "{answer:?}");
    assert!(answer.err.contains("chmod"), "{answer:?}");
}

#[test]
fn connections_of_another_user_are_rejected_by_peer_credentials() {
    let home = Home::new();
    let _ = home.ok(&["run", "--", "true"]);
    let top = home.state().parent().unwrap().to_owned();
    let sockets = ["longhaul.sock", "mcp.sock"].map(|name| home.state().join(name));
    // Open all permissions on the path to the sockets, so that only the check of the peer can reject the connection.
    for path in [top, home.state()].iter().chain(&sockets) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
    }
    let program = "import socket,sys\n\
        s=socket.socket(socket.AF_UNIX); s.settimeout(10); s.connect(sys.argv[1])\n\
        try:\n s.sendall(sys.argv[2].encode()); print(s.recv(4000).decode())\n\
        except (ConnectionResetError,BrokenPipeError): print('')\n";
    let asked = [
        "GET /v1/processes HTTP/1.1\r\nhost: longhaul\r\nconnection: close\r\n\r\n",
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n",
    ];
    for (socket, asked) in sockets.iter().zip(asked) {
        let answer = |before: &[&str]| {
            let mut words: Vec<&str> = before.to_vec();
            words.extend(["python3", "-c", program]);
            let mut command = std::process::Command::new(words.remove(0));
            Answer::of(command.args(words).arg(socket).arg(asked).output().unwrap())
        };
        let stranger = answer(&["setpriv", "--reuid=65534", "--clear-groups", "/usr/bin/env"]);
        if stranger.code != 0 {
            eprintln!("NOT RUN: only root, with setpriv and python3, can try as another user: {stranger:?}");
            return;
        }
        let reported = stranger.out.contains("not_authorised") || stranger.out.trim().is_empty();
        assert!(reported, "{}: {stranger:?}", socket.display());
        let owner = answer(&["/usr/bin/env"]);
        let heard = !owner.out.contains("not_authorised") && !owner.out.trim().is_empty();
        assert!(heard, "{}: the manager accepts its owner: {owner:?}", socket.display());
    }
}

#[test]
fn no_manager_and_no_autostart_names_the_socket() {
    let home = Home::new();
    let answer = home.run(&["status", "--no-autostart"]);
    assert_eq!(answer.code, 6);
    explains(&answer, "longhaul.sock");
}

#[test]
fn an_error_is_json_when_json_is_asked_for() {
    let home = Home::new();
    let answer = home.run(&["inspect", "--json", "deadbeef"]);
    assert_eq!(answer.code, 3);
    let problem: serde_json::Value = serde_json::from_str(answer.err.trim()).unwrap();
    assert_eq!(problem["type"], "process_not_found");
}

fn explains(answer: &Answer, what: &str) {
    assert!(answer.err.contains("error:") && answer.err.contains(what), "{answer:?}");
    assert!(answer.err.contains("help:"), "{answer:?}");
    assert!(answer.err.lines().count() <= 8, "{answer:?}");
}

#[test]
fn a_pipe_without_another_end_holds_up_no_launch() {
    let home = Home::new();
    let pipe = home.work().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0)
        .unwrap();
    let answer = home.run(&["run", "-b", "--id-file", "pipe", "--", "true"]);
    assert_eq!(answer.code, 1, "{answer:?}");
    explains(&answer, "pipe");
    let answer = home.run(&["run", "-b", "--env-file", "/dev/zero", "--", "true"]);
    assert_eq!(answer.code, 1, "{answer:?}");
    explains(&answer, "more than 1 MiB");
    assert_eq!(home.ok(&["status", "-a", "-o", "name"]), "", "nothing was launched");
}

#[test]
fn a_background_launch_of_a_missing_program_says_why_and_exits_as_in_the_foreground() {
    let home = Home::new();
    std::fs::write(home.work().join("notes.txt"), "").unwrap();
    for (command, code, words) in [
        ("slep", 127, "nearest: sleep"),
        ("./notes.txt", 126, "notes.txt"),
        ("sleep 1 && echo done", 127, "--shell"),
    ] {
        let answer = home.run(&["run", "-b", "--", command]);
        assert_eq!((answer.code, answer.out.lines().count()), (code, 1), "{answer:?}");
        assert!(answer.err.contains(words), "{answer:?}");
        assert_eq!(home.run(&["run", "--", command]).code, code);
    }
}

#[test]
fn an_unknown_word_of_status_does_not_count_as_a_project() {
    let home = Home::new();
    let id = home.launch(&["true"]);
    assert_eq!(home.run(&["wait", &id]).code, 0);
    for words in [&["status", "nosuch-job"][..], &["status", "nosuch-job", &id]] {
        let answer = home.run(words);
        assert_eq!(answer.code, 3, "{answer:?}");
        explains(&answer, "nosuch-job");
    }
    assert!(home.run(&["status", "nosuch-job"]).err.contains("no process and no project"));
    let answer = home.run(&["status", "wrok"]);
    assert!(answer.err.contains("longhaul status work"), "{answer:?}");
    assert!(home.ok(&["status", "-a", "work"]).contains(&id[..8]), "a project of that name is listed");
}
