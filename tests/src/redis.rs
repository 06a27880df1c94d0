//! A Redis of a test's own, in a directory and on a Unix socket.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const PROGRAM: &str = "redis-server";
const TIMEOUT: Duration = Duration::from_secs(20);

/// What a server keeps on its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeps {
    /// Nothing at all.
    Nothing,
    /// Each write, before it is acknowledged.
    EachWrite,
}

/// A server that is killed when the test is over.
#[derive(Debug)]
pub struct Redis {
    directory: PathBuf,
    keeps: Keeps,
    process: Child,
}

#[expect(clippy::unwrap_used, reason = "a test without its server cannot go on")]
impl Redis {
    /// Whether there is one on this machine; where it has to be, nobody goes on without.
    ///
    /// # Panics
    /// When it is missing where it must not be.
    #[must_use]
    pub fn is_here() -> bool {
        let found = Command::new(PROGRAM).arg("--version").stdout(Stdio::null()).status().is_ok();
        assert!(found || may_miss(), "{PROGRAM} is missing (Debian: apt-get install redis-server)");
        found
    }

    /// Starts one below a directory; none where the program is missing and may be.
    ///
    /// # Panics
    /// When it does not start, or is missing where it must not be.
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

    /// Where it listens.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.directory.join("socket")
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Runs a script in it.
    ///
    /// # Panics
    /// When the script fails.
    pub fn eval(&self, script: &str) {
        let mut client = Command::new("redis-cli");
        client.arg("-s").arg(self.socket()).args(["-e", "eval", script, "0"]);
        let said = client.output().unwrap();
        assert!(said.status.success(), "{said:?}");
    }

    /// Kills it: it loses all that it has not on its disk.
    ///
    /// # Panics
    /// When it cannot be waited for.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again on what it kept.
    ///
    /// # Panics
    /// When it does not start.
    pub fn restart(&mut self) {
        let _ = fs::remove_file(self.socket());
        if self.keeps == Keeps::EachWrite {
            self.take_out_torn();
        }
        self.process = run(&self.directory, self.keeps).unwrap();
        self.until_it_answers();
    }

    /// Takes out what the kill has cut off, as whoever runs a server does.
    fn take_out_torn(&self) {
        let mut files = Command::new("redis-check-aof");
        files.arg("--fix").arg(self.directory.join("appendonlydir/appendonly.aof.manifest"));
        let mut files = files.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        // It asks before it cuts anything.
        let _ = files.stdin.take().unwrap().write_all(b"y\n");
        assert!(files.wait().unwrap().success(), "what the server has written cannot be mended");
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
        // By itself it would take a file that ends inside of a script for whole: half of that would come into effect later.
        Keeps::EachWrite => &["--appendonly", "yes", "--appendfsync", "always", "--aof-load-truncated", "no"],
    };
    Command::new(PROGRAM)
        .current_dir(directory)
        .args(["--port", "0", "--save", "", "--logfile", "log", "--unixsocket", "socket"])
        // Some runs act as another user.
        .args(["--unixsocketperm", "777"])
        .args(appends)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}
