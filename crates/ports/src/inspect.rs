//! What the outside shows of the tree of a live command.

use std::net::IpAddr;
use std::time::Duration;

/// So many members of a tree are named.
pub const MAX_MEMBERS: usize = 64;

/// What a look into the tree of a live attempt found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TreeSnapshot {
    /// A process of the tree sleeps in a read of its standard input or of its terminal, and there is nothing to read.
    ///
    /// Only that: whoever waits for a connection, a timer, a child, or polls its input beside other things does not.
    pub waits_for_input: bool,
    /// A process of the tree has a terminal.
    pub has_terminal: bool,
    /// Where the tree listens for TCP connections, in the order of the ports; each address once.
    pub listening: Vec<ListeningPort>,
    /// The processor time that the tree has used so far, as far as it can be told.
    ///
    /// It may fall when processes end whose time nobody counted; a fall means that nothing is known of the time between.
    pub cpu: Duration,
    /// Who is alive, by process ids; at most [`MAX_MEMBERS`] of them.
    pub members: Vec<u32>,
}

/// A TCP address on which a tree listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListeningPort {
    /// The port.
    pub port: u16,
    /// The address; unspecified (`0.0.0.0`, `::`) for all of them.
    pub address: IpAddr,
}
