//! Tests of peers that reconnect, misbehave or disconnect.

use std::{
    fs::File,
    io::{Read as _, Write as _},
};

use longhaul_shim::{
    Descriptor, ErrorCode, FrameWriter, ProgramEnd, ShimHello, ShimMessage, ShimRequest, ShimStopRequest,
    StopReason,
};

use crate::harness::{Attempt, Peer, TIMEOUT, is_alive, kill, script, until};

fn force() -> ShimRequest {
    ShimRequest::Stop(ShimStopRequest { force: true, ..ShimStopRequest::new(StopReason::User) })
}

#[test]
fn descriptors_keep_output_and_exit_reachable_when_the_shim_is_killed() {
    let directory = crate::harness::Directory::new();
    let release = directory.path().join("go");
    let text = format!(
        "echo before; while [ ! -e {} ]; do sleep 0.01; done; echo after; exit 41",
        release.display()
    );
    let mut attempt = Attempt::launch(&script(&text));
    let (identity, descriptors) = attempt.peer.started();
    assert_eq!(descriptors, [Descriptor::Pidfd, Descriptor::Stdout, Descriptor::Stderr]);
    assert_eq!(attempt.peer.descriptors.len(), 3);
    attempt.await_output("before");
    attempt.shim.kill().unwrap();
    attempt.shim.wait().unwrap();
    std::fs::write(&release, "").unwrap();
    // Only this test holds the read end of the output now. If it were closed, SIGPIPE would end the command.
    until("the command ended", || (!is_alive(identity.pid)).then_some(()));
    let mut stdout = File::from(attempt.peer.descriptors.remove(1));
    let mut text = [0; 64];
    let got = stdout.read(&mut text).unwrap();
    assert_eq!(&text[..got], b"after\n");
}

#[test]
fn manager_that_reconnects_gets_all_reports_again() {
    let mut attempt = Attempt::launch(&script("sleep 60"));
    let (identity, _) = attempt.peer.started();
    let mut again = attempt.connect(ShimHello { want_descriptors: true, ..ShimHello::default() });
    let (same, descriptors) = again.started();
    assert_eq!(same, identity);
    assert_eq!((descriptors.len(), again.descriptors.len()), (3, 3));
    again.tell(&force());
    again.settled();
    attempt.finish();
}

#[test]
fn manager_that_connects_after_the_end_gets_the_end() {
    let mut attempt = Attempt::launch(&script("setsid sleep 60 & exit 3"));
    attempt.peer.exited();
    // The shim keeps running until a peer has acknowledged the exit record and the output is read completely.
    let mut late = attempt.connect(ShimHello::default());
    assert_eq!(late.exited().ending, ProgramEnd::Exited { code: 3 });
}

#[test]
fn shim_continues_without_any_manager() {
    let mut attempt = Attempt::launch(&script("sleep 0.2; exit 12"));
    attempt.peer.started();
    let files = attempt.files();
    drop(attempt.peer);
    until("the shim exits", || attempt.shim.try_wait().unwrap());
    assert_eq!(files.exit_record().unwrap().unwrap().ending, ProgramEnd::Exited { code: 12 });
}

#[test]
fn attempt_whose_starter_disconnects_immediately_is_found_and_stopped() {
    for _ in 0..10 {
        let mut attempt = Attempt::launch(&script("sleep 60"));
        let (identity, _) = attempt.peer.started();
        let files = attempt.files();
        drop(attempt.peer);
        let socket = files.connect_within(TIMEOUT).unwrap();
        let mut next = Peer::new(socket);
        next.tell(&ShimRequest::Hello(ShimHello { want_descriptors: true, ..ShimHello::default() }));
        assert_eq!(next.started().0, identity);
        next.tell(&force());
        assert_eq!(next.settled().stopped, Some(StopReason::User));
        next.tell(&ShimRequest::Acknowledge);
        until("the shim exits", || attempt.shim.try_wait().unwrap());
        assert!(!attempt.directory.path().join("ctl").exists());
    }
}

#[test]
fn starter_that_disconnects_before_the_start_report_loses_nothing() {
    let mut attempt = Attempt::launch(&script("sleep 60"));
    let files = attempt.files();
    drop(attempt.peer);
    until("the command has an identity", || files.identity().unwrap());
    let mut next = Peer::new(files.connect_within(TIMEOUT).unwrap());
    next.tell(&ShimRequest::Hello(ShimHello::default()));
    next.tell(&force());
    assert_eq!(next.settled().stopped, Some(StopReason::User));
    next.tell(&ShimRequest::Acknowledge);
    until("the shim exits", || attempt.shim.try_wait().unwrap());
}

#[test]
fn no_client_waits_for_the_socket_of_a_dead_shim() {
    let mut attempt = Attempt::launch(&script("exec sleep 60"));
    let (identity, _) = attempt.peer.started();
    drop(attempt.connect(ShimHello::default()));
    attempt.shim.kill().unwrap();
    attempt.shim.wait().unwrap();
    assert!(attempt.path().join("ctl").exists());
    let begin = std::time::Instant::now();
    let error = attempt.files().connect_within(TIMEOUT).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    assert!(begin.elapsed() < TIMEOUT / 2);
    kill(identity.pid);
}

#[test]
fn hostile_peers_neither_block_nor_end_the_shim() {
    let mut attempt = Attempt::launch(&script("sleep 60"));
    attempt.peer.started();
    let mut garbage = vec![0xff; 4_096];
    let huge = u32::MAX.to_le_bytes().to_vec();
    let empty = vec![0; 4];
    let half = ShimRequest::Status.encode()[..3].to_vec();
    let mut unknown = FrameWriter::new(77).finish();
    unknown.extend(FrameWriter::new(200).finish());
    let bad_stop = FrameWriter::new(4).bytes(3, b"xx").finish();
    let second_launch = ShimRequest::Launch(Box::new(script("true"))).encode();
    garbage[4] = 9;
    for bytes in [garbage, huge, empty, half, unknown, bad_stop, second_launch] {
        let mut peer = attempt.files().connect_within(TIMEOUT).unwrap();
        let _may_be_refused = peer.write_all(&bytes);
    }
    // The shim must disconnect a peer that keeps sending requests and never reads the answers.
    let mut deaf = attempt.files().connect().unwrap();
    deaf.set_write_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
    let order = ShimRequest::Status.encode().repeat(1_000);
    let mut sent = 0;
    while deaf.write_all(&order).is_ok() {
        sent += order.len();
        assert!(sent < 64 << 20, "the shim waits forever for a peer that never reads");
    }
    // New peers must replace peers that have not sent a hello.
    let silent: Vec<_> = (0..20).map(|_| attempt.files().connect().unwrap()).collect();
    let mut honest = attempt.connect(ShimHello::default());
    let status = honest.status();
    assert!(is_alive(status.pid));
    drop(silent);
    honest.tell(&force());
    attempt.peer.settled();
    attempt.finish();
}

#[test]
fn illegal_and_unknown_requests_are_answered_with_an_error() {
    let mut attempt = Attempt::launch(&script("sleep 60"));
    attempt.peer.started();
    let error = |peer: &mut Peer| {
        peer.hear_until(|notice| match notice {
            ShimMessage::Error { code, .. } => Some(code),
            _ => None,
        })
    };
    attempt.peer.tell(&ShimRequest::Launch(Box::new(script("true"))));
    assert_eq!(error(&mut attempt.peer), ErrorCode::Illegal);
    attempt.peer.socket.write_all(&FrameWriter::new(99).finish()).unwrap();
    assert_eq!(error(&mut attempt.peer), ErrorCode::Unknown);
    attempt.peer.socket.write_all(&FrameWriter::new(5).finish()).unwrap();
    assert_eq!(error(&mut attempt.peer), ErrorCode::Malformed);
    attempt.peer.tell(&force());
    attempt.peer.settled();
    attempt.finish();
}

#[test]
fn manager_of_another_version_gets_answers_and_reports_and_can_send_requests() {
    for version in [0, 99] {
        let mut attempt = Attempt::launch(&script("sleep 60"));
        let (identity, _) = attempt.peer.started();
        let mut other =
            attempt.connect(ShimHello { version, want_descriptors: true, ..ShimHello::default() });
        let (same, _) = other.started();
        assert_eq!(same, identity);
        other.socket.write_all(&FrameWriter::new(99).bytes(1, b"later").finish()).unwrap();
        other.socket.write_all(&FrameWriter::new(3).bytes(200, b"later").finish()).unwrap();
        let status = other.hear_until(|notice| match notice {
            ShimMessage::Status(status) => Some(status),
            _ => None,
        });
        assert_eq!(status.pid, identity.pid);
        // The stop request has a reason and a field that this version does not know. It must still be executed.
        let stop = FrameWriter::new(4).number(1, 250).bytes(200, b"later").finish();
        other.socket.write_all(&stop).unwrap();
        let record = other.settled();
        assert!(matches!(record.ending, ProgramEnd::Signaled { signal: 15, .. }), "{record:?}");
        assert!(record.stopped.is_some(), "{record:?}");
        drop(other);
        attempt.finish();
    }
}

#[test]
fn malformed_launch_is_refused_and_nothing_runs() {
    let mut attempt = Attempt::idle();
    attempt.peer.socket.write_all(&FrameWriter::new(2).bytes(1, b"p").finish()).unwrap();
    let why = attempt.peer.hear_until(|notice| match notice {
        ShimMessage::Refused { why, .. } => Some(why),
        _ => None,
    });
    assert!(why.contains("launch refused"), "{why}");
    assert_eq!(attempt.shim.wait().unwrap().code(), Some(3));
}

#[test]
fn connection_of_another_user_is_rejected() {
    // Only root can start a program as another user, so this test is skipped for ordinary users. Root itself may always
    // connect.
    if !std::fs::read_to_string("/proc/self/status").unwrap().contains("Uid:\t0\t") {
        eprintln!("SKIPPED: only root can try as another user");
        return;
    }
    let mut attempt = Attempt::launch(&script("sleep 60"));
    let (identity, _) = attempt.peer.started();
    let socket = attempt.path().join("ctl");
    until("the socket is there", || socket.exists().then_some(()));
    for path in [attempt.path(), &socket] {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    }
    let program = "import socket,sys\n\
        s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n\
        s.sendall(bytes([11,0,0,0, 4, 2, 1,0,0,0, 1]))\n\
        s.settimeout(5)\n\
        try:\n print(len(s.recv(100)))\n\
        except ConnectionResetError: print(0)\n";
    let tried = std::process::Command::new("setpriv")
        .args(["--reuid=65534", "--clear-groups", "/usr/bin/env", "python3", "-c", program])
        .arg(&socket)
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&tried.stderr);
    if !tried.status.success() {
        eprintln!("SKIPPED: no program to try as another user: {error}");
    } else {
        assert_eq!(String::from_utf8_lossy(&tried.stdout), "0\n", "{error}");
    }
    assert!(is_alive(identity.pid));
    kill(identity.pid);
    attempt.peer.settled();
    attempt.finish();
}
