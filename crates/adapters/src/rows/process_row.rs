//! The row of a process: its record, and the data that only the store uses.

use super::codec;
use longhaul_domain::admission::Rank;
use longhaul_domain::{ActionSeq, Revision, SlotState, Spec, Timestamp};
use longhaul_ports::{PlacementClass, StoreError, StoredProcess};

/// The row of a process: its record, and the data that only the store uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessRow {
    pub(crate) stored: StoredProcess,
    pub(crate) last_action: ActionSeq,
    /// Time until which the row is reserved for the engine that claimed it as due.
    pub(crate) claimed_until: Option<Timestamp>,
    /// Time at which the node lost its ownership of the process. Used while the process holds a slot but has no owner.
    pub(crate) orphaned: Option<Timestamp>,
    /// Set if the record was lost and restored.
    pub(crate) restored: Option<RestoredFrom>,
}

/// Revisions of a restored row, valid until the row is written again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RestoredFrom {
    /// Revision that the record had before the loss.
    pub(crate) from: Revision,
    /// Revision that the row received when it was restored.
    pub(crate) at: Revision,
}

impl ProcessRow {
    /// Creates the row of a record that no store has changed yet.
    pub(crate) fn of(stored: StoredProcess) -> Self {
        let last_action = stored.pending_actions.iter().map(|(no, _)| *no).max().unwrap_or_default();
        Self { stored, last_action, claimed_until: None, orphaned: None, restored: None }
    }

    /// Returns the record.
    #[must_use]
    pub const fn stored(&self) -> &StoredProcess {
        &self.stored
    }

    /// Returns the part of the row that never changes, as one line of JSON: the launch spec.
    #[must_use]
    pub fn fixed_text(&self) -> String {
        longhaul_wire::record::encode_spec(&self.stored.process)
    }

    /// Returns the part of the row that changes with each write, as one line of JSON.
    #[must_use]
    pub fn changing_text(&self) -> String {
        codec::changing_text(self)
    }

    /// Decodes a row from its [fixed](Self::fixed_text) and its [changing](Self::changing_text) part.
    ///
    /// # Errors
    /// - [`StoreError::Corrupt`] if one of the parts is damaged.
    /// - [`StoreError::NewerRecord`] if a newer program wrote the row and this program must not read it.
    pub fn decode(fixed: &str, changing: &str) -> Result<Self, StoreError> {
        codec::row(fixed, changing)
    }

    pub(crate) fn slot_state(&self) -> SlotState {
        self.stored.slot_state()
    }

    pub(crate) const fn rank(&self) -> Rank {
        Rank { priority: self.stored.process.priority, seq: self.stored.seq }
    }

    /// Returns the time at which a row without an owner needs a decision. Returns `None` if the row has an owner.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        if self.stored.owner.is_some() {
            return None;
        }
        if !self.stored.pending_actions.is_empty() {
            return Some(self.stored.process.queued_at);
        }
        let orphaned = self.orphaned.filter(|_| self.slot_state() == SlotState::Holding);
        orphaned.into_iter().chain(self.stored.process.due()).min()
    }

    /// Returns the revision that is compared with a record to be restored.
    pub(crate) fn position(&self) -> Revision {
        match self.restored {
            Some(restored) if restored.at == self.stored.revision => restored.from,
            Some(_) | None => self.stored.revision,
        }
    }
}

/// Returns the placement class of a spec: the nodes that may run the process.
pub(crate) fn class_of(spec: &Spec) -> PlacementClass {
    PlacementClass::of(&spec.placement)
}
