//! Tests of the standard input of `longhaul run`, which is passed to the command.

use longhaul_tests::{Answer, Home, until};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

/// Runs a command with this content as its standard input.
fn fed(mut command: Command, input: &[u8]) -> Answer {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // Ignore write errors, because the reader may exit before it has read all data.
    let feeder = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let answer = Answer::of(child.wait_with_output().unwrap());
    feeder.join().unwrap();
    answer
}

#[test]
fn a_pipe_reaches_the_command_in_the_foreground() {
    let home = Home::new();
    for arguments in [&["run", "--", "cat"][..], &["run", "--stdin", "-", "--", "cat"]] {
        let answer = fed(home.command(arguments), b"hi\nthere");
        assert_eq!((answer.code, answer.out.as_str(), answer.err.as_str()), (0, "hi\nthere", ""));
    }
    // If the input is empty, the first read of the command must return the end of the file.
    assert_eq!(fed(home.command(&["run", "--", "wc", "-c"]), b"").out, "0\n");
}

#[test]
fn a_redirected_file_reaches_the_command_in_the_foreground() {
    let home = Home::new();
    let path = home.work().join("query.sql");
    std::fs::write(&path, "select 1;\n").unwrap();
    let mut command = home.command(&["run", "--", "cat"]);
    let answer = Answer::of(command.stdin(File::open(&path).unwrap()).output().unwrap());
    assert_eq!((answer.code, answer.out.as_str()), (0, "select 1;\n"));
}

#[test]
fn input_that_is_larger_than_every_buffer_arrives_whole() {
    let home = Home::new();
    let input: Vec<u8> = (0..8_000_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let path = home.work().join("copy");
    let copy = path.to_str().unwrap();
    // The command starts to read late, so that all buffers between the test and the command become full.
    let answer = fed(home.command(&["run", "--", "sh", "-c", "sleep 1.5; cat > $0", copy]), &input);
    assert_eq!((answer.code, answer.err.as_str()), (0, ""));
    assert!(std::fs::read(&path).unwrap() == input);
}

#[test]
fn a_command_that_does_not_read_its_input_ends_normally() {
    let home = Home::new();
    let endless = || {
        let mut command = Command::new("yes");
        command.stdout(Stdio::piped()).spawn().unwrap()
    };
    for (script, code) in
        [("exit 3", 3), ("head -n 1 > first; exit 4", 4), ("exec <&-; sleep 0.5; exit 5", 5)]
    {
        let mut source = endless();
        let mut command = home.command(&["run", "--", "sh", "-c", script]);
        let answer = Answer::of(command.stdin(source.stdout.take().unwrap()).output().unwrap());
        assert_eq!((answer.code, answer.err.as_str()), (code, ""), "{script}");
        source.kill().unwrap();
        source.wait().unwrap();
    }
    // An input that never ends must not delay the exit either.
    let (_writer, reader) = held();
    let answer = Answer::of(home.command(&["run", "--", "true"]).stdin(reader).output().unwrap());
    assert_eq!((answer.code, answer.err.as_str()), (0, ""));
}

#[test]
fn standard_input_is_not_read_if_no_input_or_another_input_is_requested() {
    let home = Home::new();
    std::fs::write(home.work().join("other"), "other").unwrap();
    for (flags, seen) in [(&["--stdin", "none"][..], "0"), (&["--stdin", "other"], "5")] {
        let (mut writer, mut reader) = held();
        writer.write_all(b"line 2\n").unwrap();
        let mut command = home.command(&[&["run"], flags, &["--", "wc", "-c"]].concat());
        let answer = Answer::of(command.stdin(reader.try_clone().unwrap()).output().unwrap());
        assert_eq!((answer.code, answer.out.split(' ').next().unwrap().trim()), (0, seen));
        drop(writer);
        let mut left = String::new();
        reader.read_to_string(&mut left).unwrap();
        assert_eq!(left, "line 2\n", "a loop that reads from the same pipe finds its next line");
    }
}

#[test]
fn a_background_launch_passes_its_input_on_only_with_the_stdin_flag() {
    let home = Home::new();
    let answer = fed(home.command(&["run", "-b", "--stdin", "-", "--", "wc", "-c"]), &[b'x'; 300_000]);
    assert_eq!((answer.code, answer.err.as_str()), (0, ""));
    let id = answer.out.trim_end();
    assert_eq!(home.run(&["wait", id]).code, 0);
    assert_eq!(home.ok(&["logs", id]), "300000");

    let (_writer, reader) = held();
    let answer = Answer::of(home.command(&["run", "-b", "--", "wc", "-c"]).stdin(reader).output().unwrap());
    assert_eq!((answer.code, answer.err.as_str()), (0, ""), "a script whose input is a pipe gets no warning");
    let id = answer.out.trim_end();
    assert_eq!(home.run(&["wait", id]).code, 0);
    assert_eq!(home.ok(&["logs", id]), "0");
}

#[test]
fn a_background_launch_reports_input_that_it_does_not_read() {
    let home = Home::new();
    for (flags, is_told) in [(&[][..], true), (&["--stdin", "none"], false), (&["--stdin-pipe"], false)] {
        let (mut writer, mut reader) = held();
        writer.write_all(b"x\n").unwrap();
        let mut command = home.command(&[&["run", "-b"], flags, &["--", "true"]].concat());
        let answer = Answer::of(command.stdin(reader.try_clone().unwrap()).output().unwrap());
        assert_eq!(
            (answer.code, answer.err.contains("`--stdin -` passes it on")),
            (0, is_told),
            "{answer:?}"
        );
        drop(writer);
        let mut left = String::new();
        reader.read_to_string(&mut left).unwrap();
        assert_eq!(left, "x\n");
    }
}

#[test]
fn descriptors_of_the_client_are_read_by_the_client() {
    let home = Home::new();
    for path in ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"] {
        let answer = fed(home.command(&["run", "--stdin", path, "--", "cat"]), b"hi");
        assert_eq!((answer.code, answer.out.as_str(), answer.err.as_str()), (0, "hi", ""), "{path}");
    }
    // A shell passes a descriptor like `/dev/fd/3` for `<(…)`.
    for background in [&[][..], &["-b"]] {
        let run = home.command(&[&["run"], background, &["--stdin", "/dev/fd/3", "--", "cat"]].concat());
        let mut shell = Command::new("sh");
        shell.args(["-c", "exec \"$@\" 3<&0 </dev/null", "sh"]).arg(run.get_program()).args(run.get_args());
        shell.envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell.current_dir(run.get_current_dir().unwrap());
        let answer = fed(shell, b"via");
        assert_eq!((answer.code, answer.err.as_str()), (0, ""));
        if background.is_empty() {
            assert_eq!(answer.out, "via");
        } else {
            assert_eq!(home.run(&["wait", answer.out.trim_end()]).code, 0);
            assert_eq!(home.ok(&["logs", answer.out.trim_end()]), "via");
        }
    }
    let closed = home.run(&["run", "--stdin", "/dev/fd/99", "--", "cat"]);
    assert!(closed.code != 0 && closed.err.contains("/proc/self/fd/99"), "{closed:?}");
}

#[test]
fn a_restart_reports_that_the_input_is_not_passed_on_again() {
    let home = Home::new();
    assert_eq!(fed(home.command(&["run", "--name", "fed", "--", "cat"]), b"x").out, "x");
    let again = home.run(&["restart", "-b", "fed"]);
    assert_eq!(again.code, 0);
    assert!(again.err.contains("`longhaul send --close "), "{again:?}");
    let id = again.out.trim_end();
    assert_eq!(home.run(&["wait", "--for", "running", id]).code, 0);
    assert_eq!(home.run(&["send", id, "y", "--close"]).code, 0);
    assert_eq!(home.run(&["wait", id]).code, 0);
    assert_eq!(home.ok(&["logs", id]), "y");
    let piped = fed(home.command(&["restart", id]), b"z");
    assert_eq!((piped.code, piped.out.as_str(), piped.err.as_str()), (0, "z", ""));
}

#[test]
fn input_that_could_not_be_read_again_is_refused_before_anything_runs() {
    let home = Home::new();
    let answer = fed(home.command(&["run", "--retry", "2", "--", "cat"]), b"x");
    assert_eq!(answer.code, 2, "{answer:?}");
    assert!(answer.err.contains("--stdin FILE") && answer.err.contains("--stdin none"), "{}", answer.err);
    assert_eq!(home.ok(&["status", "-a", "-o", "name"]), "");
}

#[test]
fn input_stays_open_when_the_client_is_killed_and_can_be_ended_by_another() {
    let home = Home::new();
    let (writer, reader) = held();
    (&writer).write_all(b"one\n").unwrap();
    let mut command = home.command(&["run", "--name", "fed", "--", "sh", "-c", "tee seen"]);
    let mut client: Child = command.stdin(reader).stdout(Stdio::null()).spawn().unwrap();
    until("the first line has arrived", || {
        (std::fs::read(home.work().join("seen")).ok()? == b"one\n").then_some(())
    });
    client.kill().unwrap();
    client.wait().unwrap();
    assert_eq!(home.status("fed"), "running");
    assert_eq!(home.run(&["send", "fed", "two", "--close"]).code, 0);
    assert_eq!(home.run(&["wait", "fed"]).code, 0);
    assert_eq!(std::fs::read(home.work().join("seen")).unwrap(), b"one\ntwo\n");
}

/// Creates a pipe whose writer stays open. Returns the writer and the reader.
fn held() -> (File, File) {
    let (reader, writer) = std::io::pipe().unwrap();
    (OwnedFd::from(writer).into(), OwnedFd::from(reader).into())
}
