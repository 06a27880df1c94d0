//! Values: everything that a store contains in addition to rows, index entries and events.

use super::codec::{self, broken, corrupt, json, name};
use super::key::RowKey;
use crate::record_json::raw;
use crate::tail_frames;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use longhaul_domain::{
    ActionSeq, AttemptNo, Capability, Epoch, NodeId, OpId, Policy, PolicyVersion, ProcessId, Revision,
    SlotKey, Timestamp,
};
use longhaul_ports::{NodeAdvertisement, NodeDescriptor, NodeHome, OutputTail, StoreError};
use longhaul_wire::record;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Counters of the whole store. They never decrease.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StoreCounters {
    /// Sequence number of the last submission.
    pub(crate) seq: u64,
    /// Cursor of the last event.
    pub(crate) cursor: u64,
    /// Cursor up to which events were trimmed.
    pub(crate) trimmed: u64,
    /// Number of claims.
    pub(crate) claims: u64,
    /// Total number of deleted records.
    pub(crate) pruned: u64,
    /// Number of operations whose replies were stored.
    pub(crate) ops: u64,
    /// Number of operations whose replies were deleted.
    pub(crate) old_ops: u64,
    /// Number of tombstones that were stored.
    pub(crate) tombstones: u64,
    /// Number of tombstones that were deleted.
    pub(crate) old_tombstones: u64,
    /// Number of updates for all nodes.
    pub(crate) updates: u64,
    /// Identity of the data in the store.
    pub(crate) incarnation: String,
    /// The cursor to which the last restore raised the event log, or 0.
    pub(crate) raised_to: u64,
    /// Lower bound of new epochs: every new epoch is higher.
    pub(crate) epochs_from: u64,
    /// Time of the latest heartbeat that any node sent.
    pub(crate) last_heartbeat: Option<i64>,
}

impl StoreCounters {
    pub(crate) fn key() -> RowKey {
        RowKey::of("counters")
    }

    /// Decodes the counters from numbers that are separated by spaces. Later versions may add numbers at the end.
    pub(crate) fn decode(text: Option<&str>) -> Result<Self, StoreError> {
        let Some(text) = text else { return Ok(Self::default()) };
        let mut parts = text.split(' ');
        let incarnation = parts.next().unwrap_or_default().to_owned();
        let last_heartbeat = parts.next().filter(|at| *at != NO_HEARTBEAT);
        let last_heartbeat = last_heartbeat.map(|at| at.parse().map_err(|_| damaged())).transpose()?;
        let mut next = || number(parts.next());
        Ok(Self {
            incarnation,
            last_heartbeat,
            seq: next()?,
            cursor: next()?,
            trimmed: next()?,
            claims: next()?,
            pruned: next()?,
            ops: next()?,
            old_ops: next()?,
            tombstones: next()?,
            old_tombstones: next()?,
            updates: next()?,
            raised_to: next()?,
            epochs_from: next()?,
        })
    }

    pub(crate) fn encode(&self) -> String {
        let heartbeat = self.last_heartbeat.map_or_else(|| NO_HEARTBEAT.to_owned(), |at| at.to_string());
        let numbers = [
            self.seq,
            self.cursor,
            self.trimmed,
            self.claims,
            self.pruned,
            self.ops,
            self.old_ops,
            self.tombstones,
            self.old_tombstones,
            self.updates,
            self.raised_to,
            self.epochs_from,
        ];
        let mut text = format!("{} {heartbeat}", self.incarnation);
        for number in numbers {
            text.push(' ');
            text.push_str(&number.to_string());
        }
        text
    }
}

/// Stands for the time of a heartbeat if no node has sent one.
const NO_HEARTBEAT: &str = "-";

fn damaged() -> StoreError {
    corrupt("the stored counters are not valid")
}

/// Returns the key of the queue policy.
pub(crate) fn policy_key() -> RowKey {
    RowKey::of("policy")
}

#[derive(Serialize, Deserialize)]
struct PolicyValue {
    version: u64,
    policy: Box<RawValue>,
}

pub(crate) fn encode_policy(version: PolicyVersion, policy: &Policy) -> String {
    json(&PolicyValue { version: version.0, policy: raw(record::encode_policy(policy)) })
}

pub(crate) fn decode_policy(text: Option<&str>) -> Result<(PolicyVersion, Policy), StoreError> {
    let Some(text) = text else { return Ok(Default::default()) };
    let value: PolicyValue = codec::read("policy", text)?;
    Ok((PolicyVersion(value.version), record::decode_policy(value.policy.get()).map_err(broken)?))
}

/// A node that has registered, with its lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NodeRow {
    pub(crate) facts: NodeDescriptor,
    pub(crate) epoch: Epoch,
    pub(crate) left: bool,
    /// True if the node was forgotten, so that only its epoch is stored.
    pub(crate) forgotten: bool,
    /// Time at which the lease expires. Not used if leases never expire.
    pub(crate) until: Timestamp,
    pub(crate) lost: bool,
    pub(crate) draining: bool,
    pub(crate) offer: NodeAdvertisement,
    /// Updates up to the registration of the node.
    pub(crate) seen: UpdateCounts,
}

/// Numbers of updates so far: for all nodes, and for one node.
pub(crate) type UpdateCounts = (u64, u64);

#[derive(Serialize, Deserialize)]
struct NodeValue {
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    home: Option<(String, String)>,
    boot: String,
    version: String,
    epoch: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    left: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    forgotten: bool,
    until: i64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    lost: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    draining: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    labels: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    roots: Option<u32>,
    seen: UpdateCounts,
}

impl NodeRow {
    /// Creates the row of a node that has no lease yet.
    pub(crate) fn of(facts: NodeDescriptor, epoch: Epoch) -> Self {
        Self {
            facts,
            epoch,
            left: false,
            forgotten: false,
            until: Timestamp(0),
            lost: false,
            draining: false,
            offer: NodeAdvertisement::default(),
            seen: (0, 0),
        }
    }

    pub(crate) fn key(node: &NodeId) -> RowKey {
        RowKey::of("node").name(node.as_str())
    }

    pub(crate) fn decode(text: &str) -> Result<Self, StoreError> {
        let value: NodeValue = codec::read("node", text)?;
        let labels = value.labels.iter().map(|label| name::<Capability>(label));
        Ok(Self {
            facts: NodeDescriptor {
                id: name(&value.id)?,
                home: value.home.map(|(id, place)| NodeHome { id, place }),
                boot: value.boot,
                version: value.version,
            },
            epoch: Epoch(value.epoch),
            left: value.left,
            forgotten: value.forgotten,
            until: Timestamp(value.until),
            lost: value.lost,
            draining: value.draining,
            offer: NodeAdvertisement {
                labels: labels.collect::<Result<_, _>>()?,
                address: value.address,
                roots: value.roots,
            },
            seen: value.seen,
        })
    }

    pub(crate) fn encode(&self) -> String {
        let Self { facts, epoch, left, forgotten, until, lost, draining, offer, seen } = self;
        json(&NodeValue {
            id: facts.id.to_string(),
            home: facts.home.clone().map(|home| (home.id, home.place)),
            boot: facts.boot.clone(),
            version: facts.version.clone(),
            epoch: epoch.0,
            left: *left,
            forgotten: *forgotten,
            until: until.0,
            lost: *lost,
            draining: *draining,
            labels: offer.labels.iter().map(ToString::to_string).collect(),
            address: offer.address.clone(),
            roots: offer.roots,
            seen: *seen,
        })
    }
}

/// Returns the key of the number of updates for one node.
pub(crate) fn updates_key(node: &NodeId) -> RowKey {
    RowKey::of("updates").name(node.as_str())
}

/// Returns the key of the number of the last claim under a concurrency key.
pub(crate) fn served_key(key: Option<&str>) -> RowKey {
    RowKey::of("served").optional(key)
}

/// Reads the concurrency key from the key of a value, in which it is the first part.
pub(crate) fn slot_key_of(key: &RowKey) -> Result<Option<SlotKey>, StoreError> {
    let text = key.part(1);
    if text.is_empty() { Ok(None) } else { name(&text).map(Some) }
}

/// Decodes a number. An absent number is 0.
pub(crate) fn number(text: Option<&str>) -> Result<u64, StoreError> {
    text.map_or(Ok(0), |text| text.parse().map_err(|_| corrupt("a stored number is not valid")))
}

/// Stored reply to an operation, for the case that the operation is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpReply {
    Committed(Revision),
    Enqueued(ActionSeq),
}

impl OpReply {
    pub(crate) fn key(op: &OpId) -> RowKey {
        RowKey::of("op").name(&op.as_uuid().to_string())
    }

    /// Returns the key of the entry that gives the order of the replies.
    pub(crate) fn order_key(no: u64) -> RowKey {
        RowKey::of("op-order").number(no)
    }

    pub(crate) fn encode(self) -> String {
        match self {
            Self::Committed(revision) => format!("revision {}", revision.0),
            Self::Enqueued(no) => format!("action {}", no.0),
        }
    }

    pub(crate) fn decode(text: &str) -> Result<Self, StoreError> {
        let (kind, no) = text.split_once(' ').unwrap_or_default();
        match (kind, no.parse()) {
            ("revision", Ok(no)) => Ok(Self::Committed(Revision(no))),
            ("action", Ok(no)) => Ok(Self::Enqueued(ActionSeq(no))),
            (_, _) => Err(corrupt("a stored reply is not valid")),
        }
    }
}

/// Tombstone of a deleted process.
pub(crate) fn tombstone_key(id: &ProcessId) -> RowKey {
    RowKey::of("tombstone").id(id)
}

/// Returns the key of the entry that gives the order of the tombstones.
pub(crate) fn tombstone_order_key(no: u64) -> RowKey {
    RowKey::of("tombstone-order").number(no)
}

pub(crate) fn encode_fingerprint(fingerprint: u64) -> String {
    format!("{fingerprint:016x}")
}

pub(crate) fn decode_fingerprint(text: &str) -> Result<u64, StoreError> {
    u64::from_str_radix(text, 16).map_err(|_| corrupt("a stored fingerprint is not valid"))
}

/// The process that was launched with a launch key. The value remains after the record of the process is deleted, so
/// that a key never starts a second process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LaunchKeyValue {
    pub(crate) id: ProcessId,
    /// Fingerprint of those parts of the spec that are compared when a launch with the same key arrives.
    pub(crate) launch: u64,
    /// True if the record of the process was deleted.
    pub(crate) retired: bool,
}

impl LaunchKeyValue {
    pub(crate) fn encode(&self) -> String {
        let state = if self.retired { "retired" } else { "live" };
        format!("{} {} {state}", self.id, encode_fingerprint(self.launch))
    }

    pub(crate) fn decode(text: &str) -> Result<Self, StoreError> {
        let mut parts = text.split(' ');
        let mut part = || parts.next().ok_or_else(|| corrupt("a stored launch key is not valid"));
        Ok(Self { id: name(part()?)?, launch: decode_fingerprint(part()?)?, retired: part()? == "retired" })
    }
}

/// Returns the key of the output tail of a process.
pub(crate) fn tail_key(id: &ProcessId) -> RowKey {
    RowKey::of("tail").id(id)
}

pub(crate) fn encode_tail(attempt: AttemptNo, tail: &OutputTail) -> String {
    format!("{} {} {}", attempt.0, tail.total, STANDARD_NO_PAD.encode(tail_frames::encode(tail)))
}

pub(crate) fn decode_tail(text: &str) -> Result<(AttemptNo, OutputTail), StoreError> {
    let damaged = || corrupt("a stored output tail is not valid");
    let mut parts = text.split(' ');
    let mut part = || parts.next().ok_or_else(damaged);
    let attempt = part()?.parse().map_err(|_| damaged())?;
    let total = part()?.parse().map_err(|_| damaged())?;
    let frames = STANDARD_NO_PAD.decode(part()?).map_err(|_| damaged())?;
    let chunks = tail_frames::decode(total, frames).map_err(corrupt)?;
    Ok((AttemptNo(attempt), OutputTail { total, chunks }))
}
