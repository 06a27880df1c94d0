//! A Redis of its own for a run.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

/// A server that is killed when the run is over.
pub(crate) struct Redis(Child);

impl Redis {
    /// Whether there is one on this machine; where it has to be, nobody goes on without.
    pub(crate) fn is_here() -> bool {
        let found = Command::new("redis-server").arg("--version").stdout(Stdio::null()).status().is_ok();
        let may_miss = std::env::var_os("CI").is_none_or(|ci| ci != "true");
        assert!(found || may_miss, "redis-server is missing (Debian: apt-get install redis-server)");
        found
    }

    pub(crate) fn start(ground: &Path) -> Self {
        let directory = ground.join("redis");
        std::fs::create_dir(&directory).unwrap();
        let process = Command::new("redis-server")
            .current_dir(&directory)
            .args(["--port", "0", "--save", "", "--appendonly", "yes", "--appendfsync", "always"])
            .args(["--unixsocket", "socket"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while UnixStream::connect(directory.join("socket")).is_err() {
            assert!(begun.elapsed() < PATIENCE, "the server does not start");
            std::thread::sleep(Duration::from_millis(5));
        }
        Self(process)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
