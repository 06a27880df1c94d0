//! The requests of clients and the answers to them.

use longhaul_wire::api::LaunchRequest;
use std::collections::{BTreeMap, BTreeSet};

/// All launches, by launch key, and other requests.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) launches: BTreeMap<String, Launch>,
    /// The processes that a client tried to cancel, with any result.
    pub(crate) cancelled: BTreeSet<String>,
    /// Answers that contradict each other, or that no client should get.
    pub(crate) oddities: Vec<String>,
    /// Number of refusals by error code.
    pub(crate) refusals: BTreeMap<String, u64>,
    pub(crate) asked: u64,
    pub(crate) silences: u64,
}

/// One launch.
#[derive(Debug)]
pub(crate) struct Launch {
    pub(crate) request: LaunchRequest,
    /// True if at least one request was sent without a known result.
    pub(crate) in_doubt: bool,
    pub(crate) fate: Fate,
}

/// The answer to a launch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Unanswered,
    Accepted { id: String },
    Refused,
}

impl Ledger {
    /// Records the answer to a launch, which must agree with earlier answers.
    pub(crate) fn answered(&mut self, launch_key: &str, fate: Fate) {
        let Some(launch) = self.launches.get_mut(launch_key) else { return };
        match (&launch.fate, &fate) {
            (_, Fate::Unanswered) => launch.in_doubt = true,
            (Fate::Unanswered, Fate::Accepted { .. } | Fate::Refused) => launch.fate = fate,
            (before, after) if before == after => {}
            // A launch without an answer may have been accepted although a repetition was refused.
            (Fate::Refused, Fate::Accepted { .. }) if launch.in_doubt => launch.fate = fate,
            (before @ (Fate::Accepted { .. } | Fate::Refused), after) => {
                self.oddities.push(format!("the launch {launch_key} was {before:?}, then {after:?}"));
            }
        }
    }

    /// Returns the accepted launches with the ids of their processes.
    pub(crate) fn accepted(&self) -> impl Iterator<Item = (&str, &Launch)> {
        self.launches.values().filter_map(|launch| match &launch.fate {
            Fate::Accepted { id } => Some((id.as_str(), launch)),
            Fate::Unanswered | Fate::Refused => None,
        })
    }
}
