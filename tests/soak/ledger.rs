//! What clients asked for, and what they were told.

use std::collections::{BTreeMap, BTreeSet};

/// Everything that was asked.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// By the launch key of each launch.
    pub(crate) launches: BTreeMap<String, Launch>,
    /// The processes whose end was asked for, whatever came of it.
    pub(crate) cancelled: BTreeSet<String>,
    /// Answers that nobody should ever get, and what lived after it was said to be gone.
    pub(crate) oddities: Vec<String>,
    /// The cancels that were answered: all of it is gone.
    pub(crate) gone: u64,
    /// The clients that were killed.
    pub(crate) clients: u64,
}

/// One launch.
#[derive(Debug)]
pub(crate) struct Launch {
    /// The code with which it is to exit.
    pub(crate) code: i32,
    /// The process that it was answered with, if it was.
    pub(crate) id: Option<String>,
}

impl Ledger {
    pub(crate) fn accepted(&mut self, key: &str, id: &str) {
        let Some(launch) = self.launches.get_mut(key) else { return };
        match &launch.id {
            Some(before) if before != id => {
                self.oddities.push(format!("the launch {key} was answered with {before}, then with {id}"));
            }
            Some(_) => {}
            None => launch.id = Some(id.to_owned()),
        }
    }
}
