//! The Redis of a run: it syncs each write, and is killed and halted.

use crate::outage::{self, Outage};
use crate::process::signal;
use rustix::process::Signal;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PROGRAM: &str = "redis-server";
const PATIENCE: Duration = Duration::from_secs(20);
/// How long leases last, and the grace behind them, in seconds.
pub(crate) const LEASE: u64 = 3;
pub(crate) const GRACE: u64 = 2;

/// A server that is killed when the run is over.
pub(crate) struct Server {
    directory: PathBuf,
    process: Child,
    outages: Vec<Outage>,
}

impl Server {
    /// None where the program is missing and may be.
    pub(crate) fn start(ground: &Path) -> Option<Self> {
        let directory = ground.join("redis");
        std::fs::create_dir(&directory).unwrap();
        let process = match run(&directory) {
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
        let mut server = Self { directory, process, outages: Vec::new() };
        server.until_it_answers();
        Some(server)
    }

    pub(crate) fn url(&self) -> String {
        let socket = self.socket();
        format!("redis+unix://{}?namespace=chaos&lease={LEASE}&grace={GRACE}", socket.display())
    }

    pub(crate) fn outages(&self) -> &[Outage] {
        &self.outages
    }

    /// Kills it: it loses all that it has not on disk.
    pub(crate) fn kill(&mut self) {
        self.outages.push(Outage::begins());
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again on what it kept.
    pub(crate) fn restart(&mut self) {
        let _ = std::fs::remove_file(self.socket());
        self.process = run(&self.directory).unwrap();
        self.until_it_answers();
        outage::ends(&mut self.outages);
    }

    /// Stops it where it stands.
    pub(crate) fn halt(&mut self) {
        self.outages.push(Outage::begins());
        signal(self.process.id(), Signal::STOP);
    }

    /// Lets it go on.
    pub(crate) fn go_on(&mut self) {
        signal(self.process.id(), Signal::CONT);
        outage::ends(&mut self.outages);
    }

    fn socket(&self) -> PathBuf {
        self.directory.join("socket")
    }

    fn until_it_answers(&mut self) {
        let begun = Instant::now();
        while UnixStream::connect(self.socket()).is_err() {
            let exited = self.process.try_wait().unwrap();
            assert!(exited.is_none() && begun.elapsed() < PATIENCE, "the server does not start: {exited:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn run(directory: &Path) -> std::io::Result<Child> {
    Command::new(PROGRAM)
        .current_dir(directory)
        .args(["--port", "0", "--save", "", "--appendonly", "yes", "--appendfsync", "always"])
        .args(["--logfile", "log", "--unixsocket"])
        .arg(directory.join("socket"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}
