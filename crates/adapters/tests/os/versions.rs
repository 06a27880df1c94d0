//! Tests with shims of other builds. A manager needs only the parts of their files and messages that never change.
#![expect(clippy::indexing_slicing, reason = "a test fails by panicking, its helpers too")]

use crate::bench::{Bench, SOON, by_user, code, key};
use longhaul_domain::{ExitStatus, Observation, StopCause};
use longhaul_ports::{Adopted, AttemptKey, Spawner};
use longhaul_shim::{
    AttemptDirectory, Containment, ControlFrame, ErrorCode, FrameBuffer, FrameWriter, Identity,
    MAX_FRAME_LEN, ProcessStat, ShimMessage, ShimWelcome, receive, send,
};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::thread::JoinHandle;

/// Script that runs until the file `go` exists.
const WAITS: &str = "while [ ! -e go ]; do sleep 0.01; done; exit 7";

/// How the build of a shim differs from this build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Build {
    /// Supports only the messages that never change, and writes only the record lines of the first version.
    Older,
    /// Sends messages and writes record lines that this build does not support.
    Newer,
}

/// A shim of another build, simulated by a thread. Its command runs until it is stopped or the file `go` exists.
struct Foreign {
    pid: u32,
    thread: JoinHandle<Result<(), String>>,
}

impl Foreign {
    fn start(bench: &Bench, key: AttemptKey, build: Build) -> Self {
        let path = bench.attempt(key);
        std::fs::create_dir_all(&path).unwrap();
        let lock = AttemptDirectory::open(&path).unwrap().lock().unwrap().expect("the lock is free");
        let mut command = Command::new("sh");
        command.args(["-c", WAITS]).current_dir(bench.path()).process_group(0);
        let child = command.spawn().unwrap();
        let pid = child.id();
        let identity = Identity {
            process: key.id.to_string(),
            attempt: 1,
            boot_id: bench.clock().boot_id().to_owned(),
            // No process has the start time 0, so the test program itself is not mistaken for the shim.
            shim_pid: std::process::id(),
            shim_start: 0,
            pid,
            start_time: ProcessStat::read(pid).unwrap().start_time,
            cgroup: None,
            mechanism: Containment::Group,
            started_at: 5,
            wall: 6,
        };
        std::fs::write(path.join("identity"), build.record(identity.encode())).unwrap();
        let listener = UnixListener::bind(path.join("ctl")).unwrap();
        let part = Part { build, path, identity, lock };
        Self { pid, thread: std::thread::spawn(move || part.play(&listener, child)) }
    }

    /// Waits until the manager has acknowledged the recorded end of the attempt.
    async fn acknowledged(self) {
        let left = tokio::task::spawn_blocking(|| self.thread.join().unwrap());
        tokio::time::timeout(SOON, left).await.expect("the exit was never acknowledged").unwrap().unwrap();
    }
}

/// State of the thread that simulates the shim.
struct Part {
    build: Build,
    path: PathBuf,
    identity: Identity,
    lock: OwnedFd,
}

impl Part {
    /// Serves one manager until the manager acknowledges the end of the attempt.
    fn play(self, listener: &UnixListener, mut child: Child) -> Result<(), String> {
        let (socket, _) = listener.accept().map_err(|error| error.to_string())?;
        let (pid, build, path) = (self.identity.pid, self.build, self.path.clone());
        let to = socket.try_clone().map_err(|error| error.to_string())?;
        let ending = std::thread::spawn(move || {
            let status = child.wait().unwrap();
            let how = match (status.code(), status.signal()) {
                (Some(code), _) => format!("kind=exited\ncode={code}\n"),
                (None, signal) => format!("kind=signaled\nsignal={}\nstopped=user\n", signal.unwrap_or(0)),
            };
            let lines = format!("longhaul-exit 1\n{how}ended_at=7\nwall=8\nsettled=1\n");
            let record = build.record(sealed(lines.into_bytes()));
            std::fs::write(path.join("exit"), &record).unwrap();
            let exited = FrameWriter::new(0x87).bytes(1, &record).flag(2, true).finish();
            tell(&to, &build.message(exited));
        });
        let (mut frames, mut none) = (FrameBuffer::new(MAX_FRAME_LEN), Vec::new());
        loop {
            let got = receive(&socket, &mut frames, &mut none).map_err(|error| error.to_string())?;
            if got == 0 {
                return Err("the manager hung up".to_owned());
            }
            while let Some(frame) = frames.pull().map_err(|error| error.to_string())? {
                if self.answer(&socket, &frame, pid) {
                    ending.join().unwrap();
                    drop(self.lock);
                    return Ok(());
                }
            }
        }
    }

    /// Executes a request of a kind that never changes. Returns true if the shim may exit.
    fn answer(&self, socket: &UnixStream, order: &ControlFrame, pid: u32) -> bool {
        match order.kind() {
            1 => self.greet(socket),
            4 => {
                let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
                rustix::process::kill_process_group(pid, rustix::process::Signal::TERM).unwrap();
            }
            8 => return true,
            _ => {
                let text = "this build does not know the message".to_owned();
                let error = ShimMessage::Error { code: ErrorCode::Unknown, text };
                tell(socket, &self.build.message(error.encode()));
            }
        }
        false
    }

    fn greet(&self, socket: &UnixStream) {
        let (version, capabilities) = match self.build {
            Build::Older => (0, Vec::new()),
            Build::Newer => (99, vec!["input".to_owned(), "teleport".to_owned()]),
        };
        let (process, shim_pid) = (self.identity.process.clone(), self.identity.shim_pid);
        let welcome = ShimWelcome { version, capabilities, process, attempt: 1, shim_pid };
        tell(socket, &self.build.message(ShimMessage::Hello(welcome).encode()));
        if self.build == Build::Newer {
            tell(socket, &FrameWriter::new(0xf0).bytes(1, b"news").finish());
        }
        let identity = self.build.record(self.identity.encode());
        let started = FrameWriter::new(0x82).bytes(1, &identity).bytes(2, &[]).finish();
        tell(socket, &self.build.message(started));
    }
}

impl Build {
    /// Returns a record in the form that this build writes.
    fn record(self, record: Vec<u8>) -> Vec<u8> {
        match self {
            Self::Older => record,
            Self::Newer => {
                let end = record.windows(5).rposition(|window| window == b"\nend=").unwrap();
                sealed([&record[..=end], b"moon=full%0aexit\n"].concat())
            }
        }
    }

    /// Returns a message in the form that this build sends.
    fn message(self, mut message: Vec<u8>) -> Vec<u8> {
        if self == Self::Newer {
            message.extend_from_slice(&[200, 5, 0, 0, 0]);
            message.extend_from_slice(b"later");
            let length = u32::try_from(message.len() - 4).unwrap();
            message[..4].copy_from_slice(&length.to_le_bytes());
        }
        message
    }
}

fn sealed(mut lines: Vec<u8>) -> Vec<u8> {
    let sum =
        !lines.iter().fold(u32::MAX, |sum, byte| {
            (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
                if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 }
            })
        });
    lines.extend_from_slice(format!("end={sum:08x}\n").as_bytes());
    lines
}

fn tell(socket: &UnixStream, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        bytes = &bytes[send(socket, bytes, &[]).unwrap()..];
    }
}

#[tokio::test]
async fn a_command_under_a_shim_of_another_version_is_found_and_its_end_is_reported() {
    for (number, build) in [(1, Build::Older), (2, Build::Newer)] {
        let (bench, key) = (Bench::new(), key(number));
        let shim = Foreign::start(&bench, key, build);
        let found = bench.adopt(key).await.unwrap();
        let Adopted::Alive(Observation::Spawned { pid, .. }) = found else { panic!("{build:?}: {found:?}") };
        assert_eq!(pid, Some(shim.pid));
        // A pause is not among the requests that never change, so the shim refuses it with an error text.
        let refused = bench.spawner.pause(key).await.unwrap_err();
        assert!(format!("{refused:?}").contains("does not know"), "{build:?}: {refused:?}");
        std::fs::write(bench.path().join("go"), "").unwrap();
        assert_eq!(code(&bench.exited().await), 7, "{build:?}");
        bench.spawner.end_recorded(key).await;
        shim.acknowledged().await;
    }
}

#[tokio::test]
async fn a_command_under_a_shim_of_another_version_is_stopped() {
    for (number, build) in [(1, Build::Older), (2, Build::Newer)] {
        let (bench, key) = (Bench::new(), key(number));
        let shim = Foreign::start(&bench, key, build);
        bench.adopt(key).await.unwrap();
        bench.spawner.stop(key, by_user(false)).await.unwrap();
        let exit = bench.exited().await;
        assert_eq!(exit.status, ExitStatus::Signal { number: 15, core: false }, "{build:?}");
        assert_eq!(exit.stopped, Some(StopCause::User), "{build:?}");
        bench.spawner.end_recorded(key).await;
        shim.acknowledged().await;
    }
}

#[tokio::test]
async fn the_exit_record_of_a_shim_of_another_version_is_read() {
    for (number, build) in [(1, Build::Older), (2, Build::Newer)] {
        let (bench, key) = (Bench::new(), key(number));
        let path = bench.attempt(key);
        std::fs::create_dir_all(&path).unwrap();
        let lines = b"longhaul-exit 1\nkind=exited\ncode=41\nended_at=7\nwall=8\nsettled=1\n".to_vec();
        std::fs::write(path.join("exit"), build.record(sealed(lines))).unwrap();
        match bench.adopt(key).await.unwrap() {
            Adopted::Over(Observation::Exited { exit, .. }) => assert_eq!(code(&exit), 41, "{build:?}"),
            other => panic!("{build:?}: {other:?}"),
        }
    }
}
