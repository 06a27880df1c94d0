//! A Redis of its own for a test, in a temporary directory and on a Unix socket.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PROGRAM: &str = "redis-server";
const PATIENCE: Duration = Duration::from_secs(10);

/// A server that is killed when the test is over.
pub(crate) struct Redis {
    process: Child,
    directory: tempfile::TempDir,
}

impl Redis {
    /// One that keeps nothing on disk; none where the program is missing and may be.
    pub(crate) fn start() -> Option<Self> {
        let directory = tempfile::Builder::new().prefix("lh-redis-").tempdir().unwrap();
        let socket = directory.path().join("socket");
        let started = Command::new(PROGRAM)
            .current_dir(directory.path())
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
            .arg(&socket)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let process = match started {
            Ok(process) => process,
            Err(error) => {
                let may_be = std::env::var_os("CI").is_none_or(|ci| ci != "true");
                assert!(may_be, "{PROGRAM} cannot be started: {error}");
                eprintln!(
                    "ignored: {PROGRAM} cannot be started: {error} (Debian: apt-get install redis-server)"
                );
                return None;
            }
        };
        let mut server = Self { process, directory };
        let begun = Instant::now();
        while UnixStream::connect(&socket).is_err() {
            let exited = server.process.try_wait().unwrap();
            assert!(exited.is_none() && begun.elapsed() < PATIENCE, "the server does not start: {exited:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
        Some(server)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("socket")
    }

    /// Runs a script in the server.
    pub(crate) fn eval(&self, script: &str) {
        let mut client = Command::new("redis-cli");
        client.arg("-s").arg(self.socket()).args(["-e", "eval", script, "0"]);
        let said = client.output().unwrap();
        assert!(said.status.success(), "{said:?}");
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
