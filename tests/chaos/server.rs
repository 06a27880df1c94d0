//! The server of a chaos run. It syncs each write, and is killed and stopped during the run.

use crate::outage::{self, Outage};
use crate::postgres::Server as Postgres;
use crate::process::signal;
use longhaul_tests::{Keeps, Redis, descendants};
use rustix::process::Signal;
use std::path::Path;

/// Duration of a lease, and of the grace period after it, in seconds.
pub(crate) const LEASE: u64 = 3;
pub(crate) const GRACE: u64 = 2;

/// A server that is killed at the end of the run.
pub(crate) struct Server {
    process: Process,
    outages: Vec<Outage>,
}

enum Process {
    Redis(Redis),
    Postgres(Postgres),
}

impl Server {
    /// Starts a Redis server. Returns `None` if the server program is not installed and need not be.
    pub(crate) fn redis(run_directory: &Path) -> Option<Self> {
        Some(Self::of(Process::Redis(Redis::start(run_directory, Keeps::EachWrite)?)))
    }

    pub(crate) fn postgres() -> Self {
        Self::of(Process::Postgres(Postgres::start()))
    }

    const fn of(process: Process) -> Self {
        Self { process, outages: Vec::new() }
    }

    pub(crate) fn url(&self) -> String {
        match &self.process {
            Process::Redis(redis) => {
                let socket = redis.socket();
                format!("redis+unix://{}?namespace=chaos&lease={LEASE}&grace={GRACE}", socket.display())
            }
            Process::Postgres(postgres) => format!("{}&lease={LEASE}&grace={GRACE}", postgres.url()),
        }
    }

    pub(crate) fn outages(&self) -> &[Outage] {
        &self.outages
    }

    /// Kills the server. It loses all data that is not on disk.
    pub(crate) fn kill(&mut self) {
        self.outages.push(Outage::begins());
        match &mut self.process {
            Process::Redis(redis) => redis.kill(),
            Process::Postgres(postgres) => postgres.kill(),
        }
    }

    /// Restarts the server with the data that is on disk.
    pub(crate) fn restart(&mut self) {
        match &mut self.process {
            Process::Redis(redis) => redis.restart(),
            Process::Postgres(postgres) => postgres.restart(),
        }
        outage::ends(&mut self.outages);
    }

    /// Stops all processes of the server with `SIGSTOP`.
    pub(crate) fn halt(&mut self) {
        self.outages.push(Outage::begins());
        self.signal(Signal::STOP);
    }

    /// Continues the stopped server.
    pub(crate) fn resume(&mut self) {
        self.signal(Signal::CONT);
        outage::ends(&mut self.outages);
    }

    fn signal(&self, sent: Signal) {
        let server = match &self.process {
            Process::Redis(redis) => redis.pid(),
            Process::Postgres(postgres) => postgres.process.id(),
        };
        // The server is the first of its processes, so that it starts no further process while they are stopped.
        signal(server, sent);
        descendants(server).into_iter().for_each(|pid| signal(pid, sent));
    }
}

impl Drop for Server {
    /// Continues a stopped server, so that it can exit.
    fn drop(&mut self) {
        self.signal(Signal::CONT);
    }
}
