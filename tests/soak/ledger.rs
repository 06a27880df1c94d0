//! The requests that the clients sent, and the answers that they received.

use std::collections::{BTreeMap, BTreeSet};

/// All requests of a soak run.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// All launches, by launch key.
    pub(crate) launches: BTreeMap<String, Launch>,
    /// The ids of the processes that a client tried to cancel, whatever the result.
    pub(crate) cancelled: BTreeSet<String>,
    /// Descriptions of answers that no client should receive, and of commands that were alive after a successful
    /// cancel.
    pub(crate) oddities: Vec<String>,
    /// Number of successful cancels.
    pub(crate) gone: u64,
    /// Number of killed clients.
    pub(crate) clients: u64,
}

/// One launch.
#[derive(Debug)]
pub(crate) struct Launch {
    /// The exit code that the command must return.
    pub(crate) code: i32,
    /// The id of the process; `None` if the launch was not answered.
    pub(crate) id: Option<String>,
}

impl Ledger {
    pub(crate) fn accepted(&mut self, key: &str, id: &str) {
        let Some(launch) = self.launches.get_mut(key) else { return };
        match &launch.id {
            Some(before) if before != id => {
                self.oddities.push(format!("the answer to launch {key} was {before}, then {id}"));
            }
            Some(_) => {}
            None => launch.id = Some(id.to_owned()),
        }
    }
}
