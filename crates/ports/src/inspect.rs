//! Result of inspecting the process tree of a running command.

use std::net::IpAddr;
use std::time::Duration;

/// Maximum number of process ids in [`TreeSnapshot::members`].
pub const MAX_MEMBERS: usize = 64;

/// Observed state of the process tree of a running attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TreeSnapshot {
    /// True if a process of the tree is blocked in a read of its standard input or terminal and no data is available.
    ///
    /// False for a process that is waiting for a connection, a timer or a child, or that polls its input together with
    /// other sources.
    pub waits_for_input: bool,
    /// True if a process of the tree has a terminal.
    pub has_terminal: bool,
    /// Distinct addresses at which processes of the tree listen for TCP connections, sorted by port.
    pub listening: Vec<ListeningPort>,
    /// CPU time that the tree has used so far, as far as it can be determined.
    ///
    /// The value may decrease when processes end whose CPU time was not counted. A decrease therefore says nothing
    /// about the use of CPU time between the two snapshots.
    pub cpu: Duration,
    /// Ids of the live processes of the tree, at most [`MAX_MEMBERS`].
    pub members: Vec<u32>,
}

/// A TCP address on which a process tree listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListeningPort {
    /// Port number.
    pub port: u16,
    /// IP address; the unspecified address (`0.0.0.0` or `::`) if the tree listens on all addresses.
    pub address: IpAddr,
}
