//! The Redis server of a chaos run. It syncs each write, and is killed and stopped during the run.

use crate::outage::{self, Outage};
use crate::process::signal;
use longhaul_tests::{Keeps, Redis};
use rustix::process::Signal;
use std::path::Path;

/// Duration of a lease, and of the grace period after it, in seconds.
pub(crate) const LEASE: u64 = 3;
pub(crate) const GRACE: u64 = 2;

/// A Redis server that is killed at the end of the run.
pub(crate) struct Server {
    redis: Redis,
    outages: Vec<Outage>,
}

impl Server {
    /// Starts a Redis server. Returns `None` if the server program is not installed and need not be.
    pub(crate) fn start(run_directory: &Path) -> Option<Self> {
        Some(Self { redis: Redis::start(run_directory, Keeps::EachWrite)?, outages: Vec::new() })
    }

    pub(crate) fn url(&self) -> String {
        let socket = self.redis.socket();
        format!("redis+unix://{}?namespace=chaos&lease={LEASE}&grace={GRACE}", socket.display())
    }

    pub(crate) fn outages(&self) -> &[Outage] {
        &self.outages
    }

    /// Kills the server. It loses all data that is not on disk.
    pub(crate) fn kill(&mut self) {
        self.outages.push(Outage::begins());
        self.redis.kill();
    }

    /// Restarts the server with the data that is on disk.
    pub(crate) fn restart(&mut self) {
        self.redis.restart();
        outage::ends(&mut self.outages);
    }

    /// Stops the server with `SIGSTOP`.
    pub(crate) fn halt(&mut self) {
        self.outages.push(Outage::begins());
        signal(self.redis.pid(), Signal::STOP);
    }

    /// Continues the stopped server.
    pub(crate) fn resume(&mut self) {
        signal(self.redis.pid(), Signal::CONT);
        outage::ends(&mut self.outages);
    }
}
