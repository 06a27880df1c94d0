//! Starts a Redis server for one test, in its own directory and with a Unix socket.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const PROGRAM: &str = "redis-server";
const TIMEOUT: Duration = Duration::from_secs(20);

/// Data that a Redis server writes to disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeps {
    /// The server writes nothing to disk.
    Nothing,
    /// The server syncs each write to disk before it acknowledges the write.
    EachWrite,
}

/// A Redis server that is killed at the end of the test.
#[derive(Debug)]
pub struct Redis {
    directory: PathBuf,
    keeps: Keeps,
    process: Child,
}

#[expect(clippy::unwrap_used, reason = "a test without its server cannot continue")]
impl Redis {
    /// Returns true if the Redis server program is installed.
    ///
    /// # Panics
    /// If the program is missing and the environment variable `CI` is `true`.
    #[must_use]
    pub fn is_here() -> bool {
        let found = Command::new(PROGRAM).arg("--version").stdout(Stdio::null()).status().is_ok();
        assert!(found || may_miss(), "{PROGRAM} is missing (Debian: apt-get install redis-server)");
        found
    }

    /// Starts a server in a new directory below `ground`. Returns `None` if the server program is not installed and
    /// need not be.
    ///
    /// # Panics
    /// If the server does not start, or if the program is missing although it is required.
    #[must_use]
    pub fn start(ground: &Path, keeps: Keeps) -> Option<Self> {
        let directory = ground.join("redis");
        fs::create_dir(&directory).unwrap();
        match run(&directory, keeps) {
            Ok(process) => {
                let mut server = Self { directory, keeps, process };
                server.until_it_answers();
                Some(server)
            }
            Err(error) => {
                assert!(may_miss(), "{PROGRAM} cannot be started: {error}");
                eprintln!(
                    "ignored: {PROGRAM} cannot be started: {error} (Debian: apt-get install redis-server)"
                );
                None
            }
        }
    }

    /// Returns the path of the server's socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.directory.join("socket")
    }

    /// Returns the pid of the server.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Runs a Lua script in the server.
    ///
    /// # Panics
    /// If the script fails.
    pub fn eval(&self, script: &str) {
        let mut client = Command::new("redis-cli");
        client.arg("-s").arg(self.socket()).args(["-e", "eval", script, "0"]);
        let said = client.output().unwrap();
        assert!(said.status.success(), "{said:?}");
    }

    /// Kills the server. It loses all data that is not on disk.
    ///
    /// # Panics
    /// If the exit status of the server cannot be collected.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Restarts the server with the data that is on disk.
    ///
    /// # Panics
    /// If the server does not start.
    pub fn restart(&mut self) {
        let _ = fs::remove_file(self.socket());
        if self.keeps == Keeps::EachWrite {
            self.take_out_torn();
        }
        self.process = run(&self.directory, self.keeps).unwrap();
        self.until_it_answers();
    }

    /// Removes an incomplete entry from the end of the append-only file, as an operator does after a crash.
    fn take_out_torn(&self) {
        let mut files = Command::new("redis-check-aof");
        files.arg("--fix").arg(self.directory.join("appendonlydir/appendonly.aof.manifest"));
        let mut files = files.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        // Answer `redis-check-aof`, which requests a confirmation before it truncates the file.
        let _ = files.stdin.take().unwrap().write_all(b"y\n");
        assert!(files.wait().unwrap().success(), "the append-only file cannot be repaired");
    }

    fn until_it_answers(&mut self) {
        let socket = self.socket();
        crate::within(TIMEOUT, "the server answers", || {
            let exited = self.process.try_wait().unwrap();
            assert!(exited.is_none(), "the server does not start: {exited:?}");
            UnixStream::connect(&socket).ok()
        });
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn may_miss() -> bool {
    std::env::var_os("CI").is_none_or(|ci| ci != "true")
}

fn run(directory: &Path, keeps: Keeps) -> io::Result<Child> {
    let appends: &[&str] = match keeps {
        Keeps::Nothing => &["--appendonly", "no"],
        // Refuse a truncated file. By default the server accepts a file that ends within a script, and later applies
        // half of the script.
        Keeps::EachWrite => &["--appendonly", "yes", "--appendfsync", "always", "--aof-load-truncated", "no"],
    };
    Command::new(PROGRAM)
        .current_dir(directory)
        .args(["--port", "0", "--save", "", "--logfile", "log", "--unixsocket", "socket"])
        // Allow all users to connect, because some runs use another user.
        .args(["--unixsocketperm", "777"])
        .args(appends)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}
