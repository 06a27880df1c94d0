//! Text forms of rows and events.

use super::process_row::{ProcessRow, RestoredFrom};
use crate::record_json::{self, LeaseJson, PendingActionJson, is_zero, raw};
use longhaul_domain::{ActionSeq, Event, Revision, Seq, Timestamp};
use longhaul_ports::{StoreError, StoredProcess};
use longhaul_wire::record::{self, RecordDecodeError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::str::FromStr;

/// The part of a row that changes with each write.
#[derive(Serialize, Deserialize)]
struct ChangingPart {
    seq: u64,
    revision: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lease: Option<LeaseJson>,
    #[serde(default, skip_serializing_if = "is_zero")]
    last_action: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pending_actions: Vec<PendingActionJson>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    live_stats: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    claimed_until: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    orphaned: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    restored_from: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    restored_at: Option<u64>,
    life: Box<RawValue>,
}

pub(super) fn changing_text(row: &ProcessRow) -> String {
    let stored = &row.stored;
    json(&ChangingPart {
        seq: stored.seq.0,
        revision: stored.revision.0,
        lease: stored.owner.as_ref().map(LeaseJson::of),
        last_action: row.last_action.0,
        pending_actions: record_json::pending_actions(stored),
        live_stats: record_json::live_stats(stored),
        claimed_until: row.claimed_until.map(|at| at.0),
        orphaned: row.orphaned.map(|at| at.0),
        restored_from: row.restored.map(|restored| restored.from.0),
        restored_at: row.restored.map(|restored| restored.at.0),
        life: raw(record::encode_life(&stored.process)),
    })
}

pub(super) fn row(fixed: &str, changing: &str) -> Result<ProcessRow, StoreError> {
    let part: ChangingPart = read("row", changing)?;
    let process = record::decode(fixed, part.life.get()).map_err(broken)?;
    let restored = part.restored_from.zip(part.restored_at);
    Ok(ProcessRow {
        stored: StoredProcess {
            process,
            revision: Revision(part.revision),
            seq: Seq(part.seq),
            owner: part.lease.map(|lease| lease.decode(corrupt)).transpose()?,
            pending_actions: record_json::decode_pending_actions(&part.pending_actions, corrupt)?,
            live_stats: record_json::decode_live_stats(part.live_stats.as_deref(), corrupt)?,
        },
        last_action: ActionSeq(part.last_action),
        claimed_until: part.claimed_until.map(Timestamp),
        orphaned: part.orphaned.map(Timestamp),
        restored: restored.map(|(from, at)| RestoredFrom { from: Revision(from), at: Revision(at) }),
    })
}

/// Returns the text form of an event, for a database.
#[must_use]
pub fn event_text(event: &Event) -> String {
    record::encode_event(event)
}

/// Decodes an event from its [text form](event_text).
///
/// # Errors
/// Returns [`StoreError::Corrupt`] or [`StoreError::NewerRecord`] if the text cannot be read.
pub fn event(text: &str) -> Result<Event, StoreError> {
    record::decode_event(text).map_err(broken)
}

/// Returns the error for damaged content.
pub fn corrupt(what: impl Into<String>) -> StoreError {
    let remedy = "restore the store from a backup, or start with an empty store".to_owned();
    StoreError::Corrupt { what: what.into(), remedy }
}

pub(super) fn broken(error: RecordDecodeError) -> StoreError {
    record_json::undecodable(error, corrupt)
}

pub(super) fn name<T: FromStr>(text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|_| corrupt("a name is not valid"))
}

/// Decodes a text. `what` names the kind of the text in the error.
pub(super) fn read<T: DeserializeOwned>(what: &str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| corrupt(format!("a stored {what} is not valid: {error}")))
}

pub(super) fn json(value: &impl Serialize) -> String {
    #[expect(clippy::expect_used, reason = "the types of this module have no keys other than texts")]
    serde_json::to_string(value).expect("the value is JSON")
}
