//! The parts of a stored process that file stores and databases write in the same way as JSON.

use longhaul_domain::{ActionSeq, Epoch, LiveStats, PendingAction};
use longhaul_ports::{Lease, StoreError, StoredProcess};
use longhaul_wire::record::{self, RecordDecodeError};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Creates the error of a store for damaged content.
pub(crate) type DamageError = fn(String) -> StoreError;

/// A lease as JSON.
#[derive(Serialize, Deserialize)]
pub(crate) struct LeaseJson {
    node: String,
    epoch: u64,
}

/// A pending action as JSON.
#[derive(Serialize, Deserialize)]
pub(crate) struct PendingActionJson {
    no: u64,
    #[serde(alias = "wish")]
    pending_action: Box<RawValue>,
}

impl LeaseJson {
    pub(crate) fn of(lease: &Lease) -> Self {
        Self { node: lease.node.to_string(), epoch: lease.epoch.0 }
    }

    pub(crate) fn decode(&self, damaged: DamageError) -> Result<Lease, StoreError> {
        let node = self.node.parse().map_err(|_| damaged("a name is not valid".to_owned()))?;
        Ok(Lease { node, epoch: Epoch(self.epoch) })
    }
}

/// Encodes the pending actions of a process.
pub(crate) fn pending_actions(stored: &StoredProcess) -> Vec<PendingActionJson> {
    let encode = |(no, action): &(ActionSeq, _)| PendingActionJson {
        no: no.0,
        pending_action: raw(record::encode_pending_action(action)),
    };
    stored.pending_actions.iter().map(encode).collect()
}

/// Decodes the pending actions of a process.
pub(crate) fn decode_pending_actions(
    actions: &[PendingActionJson],
    damaged: DamageError,
) -> Result<Vec<(ActionSeq, PendingAction)>, StoreError> {
    let decode = |action: &PendingActionJson| {
        let decoded = record::decode_pending_action(action.pending_action.get());
        Ok((ActionSeq(action.no), decoded.map_err(|error| undecodable(error, damaged))?))
    };
    actions.iter().map(decode).collect()
}

/// Encodes the live stats of a process. Returns `None` for live stats without any value.
pub(crate) fn live_stats(stored: &StoredProcess) -> Option<Box<RawValue>> {
    (stored.live_stats != LiveStats::default()).then(|| raw(record::encode_live_stats(&stored.live_stats)))
}

/// Decodes the live stats of a process.
pub(crate) fn decode_live_stats(
    live_stats: Option<&RawValue>,
    damaged: DamageError,
) -> Result<LiveStats, StoreError> {
    let Some(live_stats) = live_stats else { return Ok(LiveStats::default()) };
    record::decode_live_stats(live_stats.get()).map_err(|error| undecodable(error, damaged))
}

/// Returns the store error for a record that cannot be decoded.
pub(crate) fn undecodable(error: RecordDecodeError, damaged: DamageError) -> StoreError {
    match error {
        RecordDecodeError::TooNew { needs, reads } => StoreError::NewerRecord { needs, reads },
        error @ (RecordDecodeError::Damaged { .. } | _) => damaged(error.to_string()),
    }
}

/// Wraps text that is already valid JSON.
pub(crate) fn raw(text: String) -> Box<RawValue> {
    #[expect(clippy::expect_used, reason = "what was written as JSON is JSON")]
    RawValue::from_string(text).expect("a record is JSON")
}

/// Returns true for a number that is left out of the JSON.
pub(crate) const fn is_zero(number: &u64) -> bool {
    *number == 0
}
