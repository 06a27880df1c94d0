//! The requests of clients and the answers to them.

use std::collections::{BTreeMap, BTreeSet};

/// All requests of a run.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// All launches, by launch key.
    pub(crate) launches: BTreeMap<String, Launch>,
    /// The processes that a client tried to cancel, with any result.
    pub(crate) cancelled: BTreeSet<String>,
    /// Answers that no client should get, and commands that were alive after a successful cancel.
    pub(crate) oddities: Vec<String>,
    /// Number of successful cancels.
    pub(crate) gone: u64,
    /// Number of killed clients.
    pub(crate) clients: u64,
}

/// One launch.
#[derive(Debug)]
pub(crate) struct Launch {
    /// The exit code that the command was given.
    pub(crate) code: i32,
    /// The id of the process, if the launch was answered.
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
