//! A node as the server keeps it.

use super::codec::name;
use super::reply::Reply;
use longhaul_domain::{Capability, Epoch, Timestamp};
use longhaul_ports::{KnownNode, NodeFacts, NodeOffer, Presence, StoreError};
use std::collections::BTreeSet;
use std::time::Duration;

/// A node as the server keeps it.
#[derive(Debug)]
pub(super) struct Registered {
    pub(super) facts: NodeFacts,
    pub(super) epoch: Epoch,
    standing: Standing,
    draining: bool,
    offer: NodeOffer,
}

/// How it stands with a node by its record, as it was at one moment.
#[derive(Clone, Copy, Debug)]
enum Standing {
    Left,
    Lost { since: Timestamp },
    Leased { until: Option<Timestamp>, now: Timestamp },
}

impl Registered {
    /// Reads what the script tells of a node after its name.
    pub(super) fn read(now: Timestamp, node: &str, row: &mut Reply) -> Result<Self, StoreError> {
        let facts = NodeFacts { id: name(node)?, boot: row.word()?, version: row.word()? };
        let epoch = Epoch(row.number()?);
        let left = row.word()? == "1";
        let until = row.optional_signed()?.map(Timestamp);
        let lost = row.optional_signed()?.map(Timestamp);
        let standing = match (left, lost) {
            (true, _) => Standing::Left,
            (false, Some(since)) => Standing::Lost { since },
            (false, None) => Standing::Leased { until, now },
        };
        let draining = row.word()? == "1";
        let labels = row.word()?;
        let labels: Result<BTreeSet<Capability>, StoreError> = labels.lines().map(name).collect();
        let address = row.optional_text()?;
        let roots = row.optional_signed()?.map(|roots| u32::try_from(roots).unwrap_or(u32::MAX));
        Ok(Self { facts, epoch, standing, draining, offer: NodeOffer { labels: labels?, address, roots } })
    }

    pub(super) const fn has_left(&self) -> bool {
        match self.standing {
            Standing::Left => true,
            Standing::Lost { .. } | Standing::Leased { .. } => false,
        }
    }

    /// What is known of it where work is a node's own for so long after the end of its lease.
    pub(super) fn known(self, grace: Option<Duration>) -> KnownNode {
        let presence = match self.standing {
            Standing::Left => Presence::Left,
            Standing::Lost { since } => Presence::Lost { since },
            Standing::Leased { until: Some(since), now } if since <= now => {
                Presence::Unreachable { since, lost_at: since.plus(grace.unwrap_or(Duration::MAX)) }
            }
            Standing::Leased { until, .. } => Presence::Here { until },
        };
        let Self { facts, epoch, offer, draining, standing: _ } = self;
        KnownNode { facts, epoch, offer, presence, draining }
    }
}
