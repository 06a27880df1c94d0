//! A Redis server of our own, on a socket in the ground.

use crate::Failure;
use crate::ground;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a server may take to come.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A server, which is killed when it is dropped.
pub(crate) struct Redis {
    server: Child,
    socket: PathBuf,
}

impl Redis {
    /// One that waits for its disk once a second.
    pub(crate) fn start() -> Result<Self, Failure> {
        let home = ground::patch("redis-")?;
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

    /// The URL of a store in it.
    pub(crate) fn url(&self) -> String {
        format!("redis+unix://{}?durability=cache", self.socket.display())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
