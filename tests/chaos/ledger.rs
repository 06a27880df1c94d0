//! The requests that the clients sent, and the answers that they received.

use longhaul_wire::api::LaunchRequest;
use std::collections::{BTreeMap, BTreeSet};

/// All launches of a run by launch key, and facts about its other requests.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) launches: BTreeMap<String, Launch>,
    /// The ids of the processes that a client tried to cancel, whatever the result.
    pub(crate) cancelled: BTreeSet<String>,
    /// Descriptions of answers that contradict each other or that no client should receive.
    pub(crate) oddities: Vec<String>,
    /// Number of refused requests, by error code.
    pub(crate) refusals: BTreeMap<String, u64>,
    pub(crate) asked: u64,
    pub(crate) silences: u64,
}

/// One launch.
#[derive(Debug)]
pub(crate) struct Launch {
    pub(crate) request: LaunchRequest,
    /// True if the result of at least one request for this launch is unknown.
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
    /// Records an answer to a launch. The answer must agree with earlier answers.
    pub(crate) fn answered(&mut self, launch_key: &str, fate: Fate) {
        let Some(launch) = self.launches.get_mut(launch_key) else { return };
        match (&launch.fate, &fate) {
            (_, Fate::Unanswered) => launch.in_doubt = true,
            (Fate::Unanswered, Fate::Accepted { .. } | Fate::Refused) => launch.fate = fate,
            (before, after) if before == after => {}
            // A refusal may be followed by an acceptance if an earlier request was not answered: that request may have
            // been accepted.
            (Fate::Refused, Fate::Accepted { .. }) if launch.in_doubt => launch.fate = fate,
            (before @ (Fate::Accepted { .. } | Fate::Refused), after) => {
                self.oddities.push(format!("the launch {launch_key} was {before:?}, then {after:?}"));
            }
        }
    }

    /// Returns the accepted launches, each with the id of its process.
    pub(crate) fn accepted(&self) -> impl Iterator<Item = (&str, &Launch)> {
        self.launches.values().filter_map(|launch| match &launch.fate {
            Fate::Accepted { id } => Some((id.as_str(), launch)),
            Fate::Unanswered | Fate::Refused => None,
        })
    }
}
