//! A Redis server for the measurements.

use crate::Failure;
use crate::directories;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Timeout for the start of a server.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A Redis server that is killed when the value is dropped.
pub(crate) struct Redis {
    server: Child,
    socket: PathBuf,
}

impl Redis {
    /// Starts a server that syncs its data to disk every second.
    pub(crate) fn start() -> Result<Self, Failure> {
        let home = directories::patch("redis-")?;
        let socket = home.join("socket");
        let server = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "yes", "--appendfsync", "everysec"])
            .arg("--unixsocket")
            .arg(&socket)
            .arg("--dir")
            .arg(&home)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("redis-server cannot be started: {error}"))?;
        let redis = Self { server, socket };
        let began = Instant::now();
        while UnixStream::connect(&redis.socket).is_err() {
            if began.elapsed() > TIMEOUT {
                return Err("redis-server does not answer".into());
            }
            sleep(Duration::from_millis(5));
        }
        Ok(redis)
    }

    /// Returns the store URL of the server.
    pub(crate) fn url(&self) -> String {
        format!("redis+unix://{}?durability=cache", self.socket.display())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // Ignore errors, because the server may have exited already.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
