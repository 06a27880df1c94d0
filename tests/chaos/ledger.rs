//! What clients asked for, and what they were told.

use longhaul_wire::api::LaunchRequest;
use std::collections::{BTreeMap, BTreeSet};

/// Everything that was asked, by the launch key of each launch.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) launches: BTreeMap<String, Launch>,
    /// The processes whose end was asked for, whatever came of it.
    pub(crate) cancelled: BTreeSet<String>,
    /// Answers that contradict each other, or that nobody should ever get.
    pub(crate) oddities: Vec<String>,
    /// How often a slug was the answer.
    pub(crate) refusals: BTreeMap<String, u64>,
    pub(crate) asked: u64,
    pub(crate) silences: u64,
}

/// One launch.
#[derive(Debug)]
pub(crate) struct Launch {
    pub(crate) request: LaunchRequest,
    /// Once it was sent and what came of that is not known.
    pub(crate) in_doubt: bool,
    pub(crate) fate: Fate,
}

/// What a launch was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Unanswered,
    Accepted { id: String },
    Refused,
}

impl Ledger {
    /// Puts down what a launch was answered, which has to agree with what it was answered before.
    pub(crate) fn answered(&mut self, launch_key: &str, fate: Fate) {
        let Some(launch) = self.launches.get_mut(launch_key) else { return };
        match (&launch.fate, &fate) {
            (_, Fate::Unanswered) => launch.in_doubt = true,
            (Fate::Unanswered, Fate::Accepted { .. } | Fate::Refused) => launch.fate = fate,
            (before, after) if before == after => {}
            // What nobody knew the fate of at the refusal may have been accepted nevertheless.
            (Fate::Refused, Fate::Accepted { .. }) if launch.in_doubt => launch.fate = fate,
            (before @ (Fate::Accepted { .. } | Fate::Refused), after) => {
                self.oddities.push(format!("the launch {launch_key} was {before:?}, then {after:?}"));
            }
        }
    }

    /// The launches that were accepted, by the ids of their processes.
    pub(crate) fn accepted(&self) -> impl Iterator<Item = (&str, &Launch)> {
        self.launches.values().filter_map(|launch| match &launch.fate {
            Fate::Accepted { id } => Some((id.as_str(), launch)),
            Fate::Unanswered | Fate::Refused => None,
        })
    }
}
