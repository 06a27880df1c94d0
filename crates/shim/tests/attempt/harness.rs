//! Helpers that start shims and exchange messages with them.

use std::{
    fs, io,
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::{Path, PathBuf},
    process::Child,
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use longhaul_shim::{
    AllowedContainment, AttemptDirectory, AttemptStatus, Containment, Descriptor, ExitRecord, FrameBuffer,
    Identity, LaunchOrder, MAX_FRAME_LEN, OutputReader, ShimHello, ShimMessage, ShimRequest, receive, send,
    start,
};

pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A temporary directory that is removed when the value is dropped.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        loop {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let path = std::env::temp_dir().join(format!("shim-test-{}-{number}", std::process::id()));
            match fs::create_dir(&path) {
                Ok(()) => return Self(path),
                // A test run with the same process id may have been killed and have left this directory behind.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// A connection from a test to a shim.
pub(crate) struct Peer {
    pub(crate) socket: UnixStream,
    frames: FrameBuffer,
    pub(crate) descriptors: Vec<OwnedFd>,
}

impl Peer {
    pub(crate) fn new(socket: UnixStream) -> Self {
        socket.set_read_timeout(Some(TIMEOUT)).unwrap();
        Self { socket, frames: FrameBuffer::new(MAX_FRAME_LEN), descriptors: Vec::new() }
    }

    pub(crate) fn tell(&self, order: &ShimRequest) {
        self.try_to_tell(order).unwrap();
    }

    fn try_to_tell(&self, order: &ShimRequest) -> std::io::Result<()> {
        let bytes = order.encode();
        let mut sent = 0;
        while sent < bytes.len() {
            sent += send(&self.socket, &bytes[sent..], &[])?;
        }
        Ok(())
    }

    /// Returns the next message of the shim, or `None` if the shim has closed the connection.
    pub(crate) fn hear(&mut self) -> Option<ShimMessage> {
        loop {
            if let Some(frame) = self.frames.pull().unwrap() {
                return Some(ShimMessage::decode(&frame).unwrap().expect("a message this library knows"));
            }
            match receive(&self.socket, &mut self.frames, &mut self.descriptors) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("no message received: {error}"),
            }
        }
    }

    pub(crate) fn hear_until<T>(&mut self, mut wanted: impl FnMut(ShimMessage) -> Option<T>) -> T {
        loop {
            let notice = self.hear().expect("the shim exited before it sent the expected message");
            if let Some(found) = wanted(notice) {
                return found;
            }
        }
    }

    pub(crate) fn started(&mut self) -> (Identity, Vec<Descriptor>) {
        self.hear_until(|notice| match notice {
            ShimMessage::Started { identity, descriptors } => Some((*identity, descriptors)),
            ShimMessage::Exited { record, .. } => panic!("the attempt ended before its start: {record:?}"),
            ShimMessage::Refused { why, .. } => panic!("refused: {why}"),
            _ => None,
        })
    }

    /// Returns the next exit record that the shim reports.
    pub(crate) fn exited(&mut self) -> ExitRecord {
        self.hear_until(|notice| match notice {
            ShimMessage::Exited { record, durable } => {
                assert!(durable);
                Some(*record)
            }
            ShimMessage::Refused { why, .. } => panic!("refused: {why}"),
            _ => None,
        })
    }

    /// Waits for the final exit record and returns it.
    pub(crate) fn settled(&mut self) -> ExitRecord {
        loop {
            let record = self.exited();
            if record.settled {
                return record;
            }
        }
    }

    pub(crate) fn status(&mut self) -> AttemptStatus {
        self.tell(&ShimRequest::Status);
        self.hear_until(|notice| match notice {
            ShimMessage::Status(status) => Some(*status),
            _ => None,
        })
    }
}

/// A running shim with its attempt directory.
pub(crate) struct Attempt {
    pub(crate) shim: Child,
    pub(crate) peer: Peer,
    pub(crate) directory: Directory,
}

impl Attempt {
    /// Starts a shim without sending a launch.
    pub(crate) fn idle() -> Self {
        let directory = Directory::new();
        let (shim, socket) = start(&program(), directory.path()).unwrap();
        Self { shim, peer: Peer::new(socket), directory }
    }

    pub(crate) fn launch(launch: &LaunchOrder) -> Self {
        let attempt = Self::idle();
        attempt.peer.tell(&ShimRequest::Launch(Box::new(launch.clone())));
        attempt
    }

    /// Launches an attempt with the given shim executable instead of the executable of this package.
    pub(crate) fn launch_by(program: &Path, launch: &LaunchOrder) -> Self {
        let directory = Directory::new();
        let (shim, socket) = start(program, directory.path()).unwrap();
        let attempt = Self { shim, peer: Peer::new(socket), directory };
        attempt.peer.tell(&ShimRequest::Launch(Box::new(launch.clone())));
        attempt
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn files(&self) -> AttemptDirectory {
        AttemptDirectory::open(self.path()).unwrap()
    }

    pub(crate) fn output(&self) -> OutputReader {
        OutputReader::open(self.path()).unwrap()
    }

    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.path().join("output.log")).unwrap()).into_owned()
    }

    pub(crate) fn connect(&self, hello: ShimHello) -> Peer {
        let peer = Peer::new(self.files().connect_within(TIMEOUT).unwrap());
        peer.tell(&ShimRequest::Hello(hello));
        peer
    }

    /// Acknowledges the exit record and waits until the shim has exited.
    pub(crate) fn finish(mut self) -> Directory {
        // Ignore errors: the shim waits only one second for the acknowledgement, so the shim may have exited already.
        if let Err(error) = self.peer.try_to_tell(&ShimRequest::Acknowledge) {
            assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
        }
        until("the shim exits", || self.shim.try_wait().unwrap());
        self.directory
    }

    /// Waits until the output contains `text`.
    pub(crate) fn await_output(&self, text: &str) {
        until(&format!("output has {text}"), || self.log().contains(text).then_some(()));
    }
}

pub(crate) fn program() -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.join("examples").join("shim")
}

/// Returns a launch of a shell script, without a cgroup.
pub(crate) fn script(text: &str) -> LaunchOrder {
    let mut launch = LaunchOrder::new("0b8e1e6a", 1, "/bin/sh");
    launch.arguments = vec!["sh".into(), "-c".into(), text.into()];
    launch.environment.0.push("PATH=/usr/local/bin:/usr/bin:/bin".into());
    launch.directory = "/tmp".into();
    launch.containment = AllowedContainment::Only(Containment::Subreaper);
    launch.anchor_ms = 1_000_000;
    launch.boot_id = "boot".to_owned();
    launch
}

/// Calls `ask` repeatedly until it returns a value.
///
/// # Panics
/// Panics if there is no value within [`TIMEOUT`].
pub(crate) fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + TIMEOUT;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "timed out waiting until {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Returns the state letter of a process, or `None` if the process does not exist.
pub(crate) fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.get(stat.rfind(')')? + 2..)?.chars().next()
}

pub(crate) fn is_alive(pid: u32) -> bool {
    state(pid).is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

pub(crate) fn kill(pid: u32) {
    signal("-KILL", pid);
}

pub(crate) fn signal(signal: &str, pid: u32) {
    let sent = std::process::Command::new("/bin/kill").args([signal, &pid.to_string()]).status().unwrap();
    assert!(sent.success());
}

/// Waits until a file contains one complete line with a number, and returns the number.
pub(crate) fn number_in(path: &Path) -> u32 {
    until(&format!("{} holds a number", path.display()), || {
        let text = fs::read_to_string(path).ok()?;
        text.strip_suffix('\n')?.parse().ok()
    })
}
