//! The records, and the index over them.

use super::index::{IndexPosition, RowIndex};
use super::state::MemoryRow;
use longhaul_domain::ProcessId;
use std::collections::BTreeMap;

/// The records, and the index over them. Rows change only here, so that the index follows.
#[derive(Clone, Debug, Default)]
pub(crate) struct IndexedRows {
    rows: BTreeMap<ProcessId, MemoryRow>,
    index: RowIndex,
}

impl IndexedRows {
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) const fn index(&self) -> &RowIndex {
        &self.index
    }

    pub(crate) fn get(&self, id: &ProcessId) -> Option<&MemoryRow> {
        self.rows.get(id)
    }

    /// The rows with ids from one to the other.
    pub(crate) fn between(&self, low: ProcessId, high: ProcessId) -> impl Iterator<Item = &MemoryRow> {
        self.rows.range(low..=high).map(|(_, row)| row)
    }

    /// All rows by their ids, for whoever takes everything down.
    #[cfg(feature = "fs")]
    pub(crate) const fn by_id(&self) -> &BTreeMap<ProcessId, MemoryRow> {
        &self.rows
    }

    /// Puts a row in, in the place of an older one.
    pub(crate) fn insert(&mut self, row: MemoryRow) {
        self.remove(&row.stored.process.id);
        self.index.insert(&row);
        self.rows.insert(row.stored.process.id, row);
        self.check();
    }

    pub(crate) fn remove(&mut self, id: &ProcessId) -> Option<MemoryRow> {
        let row = self.rows.remove(id)?;
        self.index.remove(&row);
        self.check();
        Some(row)
    }

    /// Changes a row. Its identity, its session and its place in its tree stay as they are.
    pub(crate) fn change<T>(
        &mut self,
        id: &ProcessId,
        change: impl FnOnce(&mut MemoryRow) -> T,
    ) -> Option<T> {
        let row = self.rows.get_mut(id)?;
        let before = IndexPosition::of(row);
        let answer = change(row);
        self.index.moved(&before, &IndexPosition::of(row));
        self.check();
        Some(answer)
    }

    /// In tests every change is held to an index that is made anew.
    #[cfg(test)]
    fn check(&self) {
        let mut fresh = RowIndex::default();
        self.rows.values().for_each(|row| fresh.insert(row));
        assert_eq!(self.index, fresh, "the index does not follow from the rows");
    }

    #[cfg(not(test))]
    const fn check(&self) {}
}
