//! The Redis of a run: it syncs each write, and is killed and halted.

use crate::outage::{self, Outage};
use crate::process::signal;
use longhaul_tests::{Keeps, Redis};
use rustix::process::Signal;
use std::path::Path;

/// How long leases last, and the grace behind them, in seconds.
pub(crate) const LEASE: u64 = 3;
pub(crate) const GRACE: u64 = 2;

/// A server that is killed when the run is over.
pub(crate) struct Server {
    redis: Redis,
    outages: Vec<Outage>,
}

impl Server {
    /// None where the program is missing and may be.
    pub(crate) fn start(ground: &Path) -> Option<Self> {
        Some(Self { redis: Redis::start(ground, Keeps::EachWrite)?, outages: Vec::new() })
    }

    pub(crate) fn url(&self) -> String {
        let socket = self.redis.socket();
        format!("redis+unix://{}?namespace=chaos&lease={LEASE}&grace={GRACE}", socket.display())
    }

    pub(crate) fn outages(&self) -> &[Outage] {
        &self.outages
    }

    /// Kills it: it loses all that it has not on disk.
    pub(crate) fn kill(&mut self) {
        self.outages.push(Outage::begins());
        self.redis.kill();
    }

    /// Starts it again on what it kept.
    pub(crate) fn restart(&mut self) {
        self.redis.restart();
        outage::ends(&mut self.outages);
    }

    /// Stops it where it stands.
    pub(crate) fn halt(&mut self) {
        self.outages.push(Outage::begins());
        signal(self.redis.pid(), Signal::STOP);
    }

    /// Lets it go on.
    pub(crate) fn go_on(&mut self) {
        signal(self.redis.pid(), Signal::CONT);
        outage::ends(&mut self.outages);
    }
}
