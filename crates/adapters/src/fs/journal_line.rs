//! Lines of the journal files: one JSON document each, so that `jq` and `grep` can read them.
//!
//! A line contains a complete value and not a difference. It may therefore be replayed twice, or after a later line, if
//! all later lines are replayed too.

use super::failure::corrupt;
use super::ledger::state::{LedgerReply, LedgerRow, Node};
use crate::record_json::{self, LeaseJson, PendingActionJson, is_zero, raw};
use longhaul_domain::{ActionSeq, Epoch, OpId, Policy, PolicyVersion, ProcessId, Revision, Seq, SlotKey};
use longhaul_ports::{
    EventCursor, LoggedEvent, NodeDescriptor, NodeHome, RetiredLaunchKey, StoreError, StoredProcess,
};
use longhaul_wire::record::{self, RecordDecodeError};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::str::FromStr;

/// A content line of a journal file, which is neither the first nor the last line.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum JournalLine {
    /// Counters that never decrease.
    Counters(Counters),
    /// A registered node.
    Node(NodeLine),
    /// The policy.
    Policy { version: u64, policy: Box<RawValue> },
    /// The number of the last claim that took a process with this concurrency key.
    Served {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
        at: u64,
    },
    /// The present state of a process. Only the first line of a process contains the fields that never change.
    Process(Box<ProcessLine>),
    /// The live stats of a running attempt.
    #[serde(alias = "vitals")]
    LiveStats {
        id: String,
        #[serde(alias = "vitals")]
        live_stats: Box<RawValue>,
    },
    /// Tombstone of a pruned process.
    #[serde(alias = "swept")]
    Tombstone(TombstoneLine),
    /// Launch key of a pruned process.
    LaunchKey(KeyLine),
    /// An event.
    Event(EventLine),
    /// Reply to a write operation.
    #[serde(alias = "answer")]
    OpReply(OpReplyLine),
    /// The last commit from which a checkpoint may contain some changes.
    Until { commit: u64 },
}

/// Counters that never decrease.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) struct Counters {
    pub(super) seq: u64,
    pub(super) cursor: u64,
    pub(super) claims: u64,
    #[serde(alias = "swept")]
    pub(super) pruned: u64,
}

#[derive(Serialize, Deserialize)]
pub(super) struct NodeLine {
    id: String,
    epoch: u64,
    boot: String,
    version: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    left: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(alias = "home")]
    state_dir: Option<StateDirLine>,
}

#[derive(Serialize, Deserialize)]
struct StateDirLine {
    id: String,
    #[serde(alias = "place")]
    path: String,
}

#[derive(Serialize, Deserialize)]
pub(super) struct ProcessLine {
    pub(super) id: String,
    pub(super) seq: u64,
    revision: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(alias = "owner")]
    lease: Option<LeaseJson>,
    #[serde(default, skip_serializing_if = "is_zero")]
    #[serde(alias = "last_wish")]
    last_action: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[serde(alias = "wishes")]
    pending_actions: Vec<PendingActionJson>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(alias = "vitals")]
    live_stats: Option<Box<RawValue>>,
    life: Box<RawValue>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) spec: Option<Box<RawValue>>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct TombstoneLine {
    pub(super) id: String,
    /// Fingerprint of the spec, in hexadecimal digits.
    pub(super) spec: String,
}

#[derive(Serialize, Deserialize)]
pub(super) struct KeyLine {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    key: String,
    id: String,
    /// Fingerprint of the launch spec, in hexadecimal digits.
    launch: String,
}

#[derive(Serialize, Deserialize)]
pub(super) struct EventLine {
    cursor: u64,
    id: String,
    revision: u64,
    #[serde(default, skip_serializing_if = "is_zero_index")]
    index: u32,
    event: Box<RawValue>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct OpReplyLine {
    op: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revision: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(alias = "wish")]
    action: Option<u64>,
}

/// Selects which fields of a process are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum WrittenExtent {
    /// Only the fields that commits can change.
    Change,
    /// All fields, including the launch spec.
    Whole,
}

impl JournalLine {
    pub(super) fn node(node: &Node) -> Self {
        Self::Node(NodeLine {
            id: node.facts.id.to_string(),
            epoch: node.epoch.0,
            boot: node.facts.boot.clone(),
            version: node.facts.version.clone(),
            left: node.left,
            state_dir: node
                .facts
                .home
                .as_ref()
                .map(|home| StateDirLine { id: home.id.clone(), path: home.place.clone() }),
        })
    }

    pub(super) fn policy(version: PolicyVersion, policy: &Policy) -> Self {
        Self::Policy { version: version.0, policy: raw(record::encode_policy(policy)) }
    }

    pub(super) fn served(key: Option<&SlotKey>, at: u64) -> Self {
        Self::Served { key: key.map(ToString::to_string), at }
    }

    pub(super) fn process(row: &LedgerRow, extent: WrittenExtent) -> Self {
        Self::Process(Box::new(ProcessLine::of(row, extent)))
    }

    pub(super) fn live_stats(stored: &StoredProcess) -> Self {
        Self::LiveStats {
            id: stored.process.id.to_string(),
            live_stats: raw(record::encode_live_stats(&stored.live_stats)),
        }
    }

    pub(super) fn pruned(id: ProcessId, spec: u64) -> Self {
        Self::Tombstone(TombstoneLine { id: id.to_string(), spec: format!("{spec:016x}") })
    }

    pub(super) fn launch_key(old: &RetiredLaunchKey) -> Self {
        Self::LaunchKey(KeyLine {
            session: old.session.as_ref().map(ToString::to_string),
            key: old.key.to_string(),
            id: old.id.to_string(),
            launch: format!("{:016x}", old.launch),
        })
    }

    pub(super) fn event(logged: &LoggedEvent) -> Self {
        Self::Event(EventLine {
            cursor: logged.cursor.0,
            id: logged.id.to_string(),
            revision: logged.revision.0,
            index: logged.index,
            event: raw(record::encode_event(&logged.event)),
        })
    }

    pub(super) fn answer(op: OpId, answer: LedgerReply) -> Self {
        let (revision, action) = match answer {
            LedgerReply::Committed(revision) => (Some(revision.0), None),
            LedgerReply::Enqueued(no) => (None, Some(no.0)),
        };
        Self::OpReply(OpReplyLine { op: op.as_uuid().to_string(), revision, action })
    }
}

impl NodeLine {
    pub(super) fn read(self) -> Result<Node, StoreError> {
        let home = self.state_dir.map(|dir| NodeHome { id: dir.id, place: dir.path });
        let facts = NodeDescriptor { id: name(&self.id)?, home, boot: self.boot, version: self.version };
        Ok(Node { facts, epoch: Epoch(self.epoch), left: self.left })
    }
}

impl ProcessLine {
    fn of(row: &LedgerRow, extent: WrittenExtent) -> Self {
        let stored = &row.stored;
        Self {
            id: stored.process.id.to_string(),
            seq: stored.seq.0,
            revision: stored.revision.0,
            lease: stored.owner.as_ref().map(LeaseJson::of),
            last_action: row.last_action.0,
            pending_actions: record_json::pending_actions(stored),
            live_stats: record_json::live_stats(stored),
            life: raw(record::encode_life(&stored.process)),
            spec: match extent {
                WrittenExtent::Whole => Some(raw(record::encode_spec(&stored.process))),
                WrittenExtent::Change => None,
            },
        }
    }

    /// Decodes the line into a row. `spec` is the JSON text of the fields that never change.
    pub(super) fn read(self, spec: &str) -> Result<LedgerRow, StoreError> {
        let process = record::decode(spec, self.life.get()).map_err(broken)?;
        if process.id.to_string() != self.id {
            return Err(corrupt(format!("the record of {} contains the id {}", self.id, process.id)));
        }
        Ok(LedgerRow {
            stored: StoredProcess {
                process,
                revision: Revision(self.revision),
                seq: Seq(self.seq),
                owner: self.lease.map(|lease| lease.decode(corrupt)).transpose()?,
                pending_actions: record_json::decode_pending_actions(&self.pending_actions, corrupt)?,
                live_stats: record_json::decode_live_stats(self.live_stats.as_deref(), corrupt)?,
            },
            last_action: ActionSeq(self.last_action),
            claimed_until: None,
        })
    }
}

impl KeyLine {
    pub(super) fn read(self) -> Result<RetiredLaunchKey, StoreError> {
        Ok(RetiredLaunchKey {
            session: self.session.as_deref().map(name).transpose()?,
            key: name(&self.key)?,
            id: id(&self.id)?,
            launch: hexadecimal(&self.launch)?,
        })
    }
}

impl EventLine {
    pub(super) fn read(self) -> Result<LoggedEvent, StoreError> {
        Ok(LoggedEvent {
            cursor: EventCursor(self.cursor),
            id: id(&self.id)?,
            revision: Revision(self.revision),
            index: self.index,
            event: record::decode_event(self.event.get()).map_err(broken)?,
        })
    }
}

impl OpReplyLine {
    pub(super) fn read(self) -> Result<(OpId, LedgerReply), StoreError> {
        let op = uuid::Uuid::parse_str(&self.op).map_err(|_| corrupt("a reply names no operation"))?;
        let answer = match (self.revision, self.action) {
            (Some(revision), None) => LedgerReply::Committed(Revision(revision)),
            (None, Some(no)) => LedgerReply::Enqueued(ActionSeq(no)),
            (Some(_), Some(_)) | (None, None) => return Err(corrupt("a reply is not valid")),
        };
        Ok((OpId::new(op), answer))
    }
}

pub(super) fn read_policy(policy: &RawValue) -> Result<Policy, StoreError> {
    record::decode_policy(policy.get()).map_err(broken)
}

pub(super) fn id(text: &str) -> Result<ProcessId, StoreError> {
    name(text)
}

pub(super) fn name<T: FromStr>(text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|_| corrupt("a name is not valid"))
}

pub(super) fn hexadecimal(text: &str) -> Result<u64, StoreError> {
    u64::from_str_radix(text, 16).map_err(|_| corrupt("a fingerprint is not valid"))
}

fn broken(error: RecordDecodeError) -> StoreError {
    record_json::undecodable(error, corrupt)
}

const fn is_zero_index(number: &u32) -> bool {
    *number == 0
}
