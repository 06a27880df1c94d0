//! Tests of input that is written while the command runs.

use std::{
    fs,
    os::{
        fd::AsFd as _,
        unix::fs::{FileTypeExt as _, PermissionsExt as _},
    },
    path::Path,
};

use longhaul_shim::{
    Descriptor, INPUT, LaunchOrder, ProgramEnd, ShimHello, ShimMessage, ShimRequest, StdinSource,
};

use crate::harness::{Attempt, Directory, Peer, script, until};

const PIPE: usize = 64 << 10;

fn reading(text: &str) -> LaunchOrder {
    LaunchOrder { stdin: StdinSource::Pipe, ..script(text) }
}

/// Opens the input pipe, writes `text`, and closes it, like a manager that connects for a moment.
fn write(attempt: &Attempt, text: &str) {
    let pipe = attempt.files().input().unwrap().expect("the input is open");
    assert_eq!(rustix::io::write(&pipe, text.as_bytes()), Ok(text.len()));
}

fn close(peer: &mut Peer) {
    peer.tell(&ShimRequest::CloseInput);
    peer.hear_until(|notice| (notice == ShimMessage::InputClosed).then_some(()));
}

fn is_pipe(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_fifo())
}

#[test]
fn input_outlasts_its_writers_and_ends_when_it_is_closed() {
    let mut attempt = Attempt::launch(&reading("cat; echo ended"));
    attempt.peer.started();
    for line in ["one\n", "two\n"] {
        write(&attempt, line);
        attempt.await_output(line);
    }
    assert!(!attempt.log().contains("ended"));
    close(&mut attempt.peer);
    assert_eq!(attempt.peer.settled().ending, longhaul_shim::ProgramEnd::Exited { code: 0 });
    assert_eq!(attempt.log(), "one\ntwo\nended\n");
    attempt.finish();
}

#[test]
fn input_is_a_private_pipe_that_is_removed_with_the_shim() {
    let mut attempt = Attempt::launch(&reading("read line; exit 0"));
    // The started message names only descriptors that a manager of an older version, without support for input, knows.
    let (_, descriptors) = attempt.peer.started();
    assert_eq!(descriptors, [Descriptor::Pidfd, Descriptor::Stdout, Descriptor::Stderr]);
    let file = attempt.path().join(INPUT);
    assert!(is_pipe(&file));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    write(&attempt, "go\n");
    attempt.peer.settled();
    let directory = attempt.finish();
    assert!(!directory.path().join(INPUT).exists());
}

#[test]
fn input_that_was_closed_cannot_be_opened_and_closing_it_again_is_no_error() {
    let mut attempt = Attempt::launch(&reading("cat; sleep 60"));
    attempt.peer.started();
    close(&mut attempt.peer);
    assert!(attempt.files().input().unwrap().is_none());
    close(&mut attempt.peer);
    assert!(!attempt.path().join(INPUT).exists());
}

#[test]
fn every_manager_is_notified_of_a_closed_input() {
    let mut attempt = Attempt::launch(&reading("cat; sleep 60"));
    attempt.peer.started();
    let mut other = attempt.connect(ShimHello::default());
    other.status();
    close(&mut attempt.peer);
    other.hear_until(|notice| (notice == ShimMessage::InputClosed).then_some(()));
}

#[test]
fn input_without_a_reader_is_distinguished_from_a_full_input() {
    let mut attempt = Attempt::launch(&reading("exec <&-; echo away; sleep 60"));
    attempt.peer.started();
    attempt.await_output("away");
    // The shim must not hold the read end itself. If it did, the pipe would seem to have a reader.
    assert!(attempt.files().input().unwrap().is_none());

    let mut full = Attempt::launch(&reading("sleep 60"));
    full.peer.started();
    let pipe = full.files().input().unwrap().unwrap();
    assert_eq!(rustix::io::write(&pipe, &[0; PIPE * 2]), Ok(PIPE));
    assert_eq!(rustix::io::write(&pipe, &[0]), Err(rustix::io::Errno::AGAIN));
}

#[test]
fn work_without_a_pipe_has_no_input_to_open() {
    let mut attempt = Attempt::launch(&script("cat; sleep 60"));
    attempt.peer.started();
    assert!(attempt.files().input().unwrap().is_none());
    close(&mut attempt.peer);
}

#[test]
fn named_pipe_is_read_until_its_writer_closes_it() {
    let here = Directory::new();
    let path = here.path().join("fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
    // Opening a named pipe for both reading and writing does not block.
    let mut writer = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let launch = LaunchOrder { stdin: StdinSource::File(path), ..script("head -n 1; cat; exit 6") };
    let mut attempt = Attempt::launch(&launch);
    attempt.peer.started();
    std::io::Write::write_all(&mut writer, b"one\n").unwrap();
    attempt.await_output("one\n");
    drop(writer);
    assert_eq!(attempt.peer.settled().ending, ProgramEnd::Exited { code: 6 });
    attempt.finish();
}

#[test]
fn a_manager_that_holds_the_input_keeps_it_open_after_a_kill_of_the_shim() {
    let mut attempt = Attempt::launch(&reading("while read line; do echo got $line; done; echo ended"));
    attempt.peer.started();
    let pipe = attempt.files().input().unwrap().unwrap();
    let mut stdout = fs::File::from(attempt.peer.descriptors.remove(1));
    attempt.shim.kill().unwrap();
    attempt.shim.wait().unwrap();
    assert_eq!(rustix::io::write(pipe.as_fd(), b"on\n"), Ok(3));
    let mut said = String::new();
    until("the command has answered", || {
        let mut bytes = [0; 64];
        let got = std::io::Read::read(&mut stdout, &mut bytes).unwrap_or(0);
        said.push_str(std::str::from_utf8(&bytes[..got]).unwrap());
        said.contains("got on\n").then_some(())
    });
    drop(pipe);
    until("the command has ended", || {
        let mut bytes = [0; 64];
        let got = std::io::Read::read(&mut stdout, &mut bytes).unwrap_or(0);
        said.push_str(std::str::from_utf8(&bytes[..got]).unwrap());
        said.contains("ended\n").then_some(())
    });
}

#[test]
fn command_finds_an_ordinary_pipe_that_waits_for_input() {
    let mut attempt = Attempt::launch(&reading("head -n 1 /dev/stdin; cat; echo $?"));
    attempt.peer.started();
    write(&attempt, "first\n");
    attempt.await_output("first\n");
    write(&attempt, "second\n");
    attempt.await_output("second\n");
    close(&mut attempt.peer);
    attempt.peer.settled();
    assert!(attempt.log().ends_with("second\n0\n"), "{}", attempt.log());
    attempt.finish();
}
