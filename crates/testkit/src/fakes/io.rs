//! Input, listening ports and tree snapshots of scripted processes.

use longhaul_domain::{AwakeTime, PortHolder};
use longhaul_ports::{AttemptKey, TreeSnapshot};
use std::collections::BTreeMap;

/// Snapshots and inputs of individual attempts, as set by a test, and a log of the inspections.
#[derive(Debug, Default)]
pub(super) struct FakeIo {
    looks: BTreeMap<AttemptKey, TreeSnapshot>,
    looked: Vec<(AwakeTime, AttemptKey)>,
    inputs: BTreeMap<AttemptKey, FakeInput>,
    blind: bool,
    port_holder: Option<PortHolder>,
}

/// Bytes that were written to the input of an attempt.
#[derive(Clone, Debug, Default)]
pub(super) struct FakeInput {
    pub(super) bytes: Vec<u8>,
    pub(super) closed: bool,
    /// Number of bytes that the input still accepts; `None` means no limit.
    pub(super) room: Option<usize>,
}

impl FakeIo {
    pub(super) fn set_look(&mut self, key: AttemptKey, look: TreeSnapshot) {
        self.looks.insert(key, look);
    }

    pub(super) fn set_room(&mut self, key: AttemptKey, room: usize) {
        self.inputs.entry(key).or_default().room = Some(room);
    }

    pub(super) const fn set_blind(&mut self, blind: bool) {
        self.blind = blind;
    }

    pub(super) fn set_port_holder(&mut self, holder: PortHolder) {
        self.port_holder = Some(holder);
    }

    pub(super) fn port_holder(&self, port: u16) -> Option<PortHolder> {
        self.port_holder.clone().filter(|holder| holder.port == port)
    }

    pub(super) const fn is_blind(&self) -> bool {
        self.blind
    }

    /// Records an inspection and returns the snapshot that a test has set. Returns `None` if no snapshot was set.
    pub(super) fn look(&mut self, key: AttemptKey, at: AwakeTime) -> Option<TreeSnapshot> {
        self.looked.push((at, key));
        self.looks.get(&key).cloned()
    }

    pub(super) fn looked(&self) -> Vec<(AwakeTime, AttemptKey)> {
        self.looked.clone()
    }

    pub(super) fn input(&self, key: AttemptKey) -> FakeInput {
        self.inputs.get(&key).cloned().unwrap_or_default()
    }

    /// Writes to the input of an attempt and returns the number of accepted bytes. Returns `None` if the input was
    /// closed.
    pub(super) fn write(&mut self, key: AttemptKey, bytes: &[u8], close: bool) -> Option<usize> {
        let input = self.inputs.entry(key).or_default();
        if input.closed {
            return None;
        }
        let taken = input.room.map_or(bytes.len(), |room| room.min(bytes.len()));
        input.room = input.room.map(|room| room.saturating_sub(taken));
        input.bytes.extend(bytes.iter().take(taken));
        input.closed = close && taken == bytes.len();
        Some(taken)
    }
}
