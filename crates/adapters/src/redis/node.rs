//! The stored record of a node.

use super::codec::name;
use super::reply::ScriptReply;
use super::script::ScriptArgs;
use longhaul_domain::{Capability, Epoch, Timestamp};
use longhaul_ports::{KnownNode, NodeAdvertisement, NodeDescriptor, NodeHome, Presence, StoreError};
use std::collections::BTreeSet;
use std::time::Duration;

/// A decoded node record.
#[derive(Debug)]
pub(super) struct RegisteredRow {
    pub(super) facts: NodeDescriptor,
    pub(super) epoch: Epoch,
    standing: NodeLeaseState,
    draining: bool,
    offer: NodeAdvertisement,
}

/// Lease state of a node at the time of the query.
#[derive(Clone, Copy, Debug)]
enum NodeLeaseState {
    Left,
    Lost { since: Timestamp },
    Leased { until: Option<Timestamp>, now: Timestamp },
}

impl RegisteredRow {
    /// Decodes the fields of a node row that follow the name.
    pub(super) fn read(now: Timestamp, node: &str, row: &mut ScriptReply) -> Result<Self, StoreError> {
        let (id, boot, version) = (name(node)?, row.word()?, row.word()?);
        let epoch = Epoch(row.number()?);
        let left = row.word()? == "1";
        let until = row.optional_signed()?.map(Timestamp);
        let lost = row.optional_signed()?.map(Timestamp);
        let standing = match (left, lost) {
            (true, _) => NodeLeaseState::Left,
            (false, Some(since)) => NodeLeaseState::Lost { since },
            (false, None) => NodeLeaseState::Leased { until, now },
        };
        let draining = row.word()? == "1";
        let labels = row.word()?;
        let labels: Result<BTreeSet<Capability>, StoreError> = labels.lines().map(name).collect();
        let address = row.optional_text()?;
        let roots = row.optional_signed()?.map(|roots| u32::try_from(roots).unwrap_or(u32::MAX));
        let home = read_home(row)?;
        let facts = NodeDescriptor { id, home, boot, version };
        Ok(Self {
            facts,
            epoch,
            standing,
            draining,
            offer: NodeAdvertisement { labels: labels?, address, roots },
        })
    }

    pub(super) const fn has_left(&self) -> bool {
        match self.standing {
            NodeLeaseState::Left => true,
            NodeLeaseState::Lost { .. } | NodeLeaseState::Leased { .. } => false,
        }
    }

    /// Converts the row for callers. `grace` is the time after the end of a lease during which the node still owns its
    /// processes.
    pub(super) fn known(self, grace: Option<Duration>) -> KnownNode {
        let presence = match self.standing {
            NodeLeaseState::Left => Presence::Left,
            NodeLeaseState::Lost { since } => Presence::Lost { since },
            NodeLeaseState::Leased { until: Some(since), now } if since <= now => {
                Presence::Unreachable { since, lost_at: since.plus(grace.unwrap_or(Duration::MAX)) }
            }
            NodeLeaseState::Leased { until, .. } => Presence::Present { until },
        };
        let Self { facts, epoch, offer, draining, standing: _ } = self;
        KnownNode { facts, epoch, offer, presence, draining }
    }
}

/// Adds the state directory of a node as two arguments, its id and its path. Both are empty if the directory is
/// unknown.
pub(super) fn push_home(args: &mut ScriptArgs, facts: &NodeDescriptor) {
    let (id, place) = facts.home.as_ref().map_or(("", ""), |home| (&home.id, &home.place));
    args.text(id).text(place);
}

/// Decodes the state directory of a node. Older programs stored only its id and no path.
pub(super) fn read_home(row: &mut ScriptReply) -> Result<Option<NodeHome>, StoreError> {
    let (id, place) = (row.optional_text()?, row.optional_text()?);
    Ok(id.map(|id| {
        let place = place.unwrap_or_else(|| format!("the state directory with the id {id}"));
        NodeHome { id, place }
    }))
}
