//! Records of processes and the index that finds them.

use super::index::{IndexPosition, RowIndex};
use super::state::LedgerRow;
use longhaul_domain::ProcessId;
use std::collections::BTreeMap;

/// Records with their index. All changes of rows go through this type, so that the index stays consistent.
#[derive(Clone, Debug, Default)]
pub(crate) struct IndexedRows {
    rows: BTreeMap<ProcessId, LedgerRow>,
    index: RowIndex,
}

impl IndexedRows {
    pub(crate) const fn index(&self) -> &RowIndex {
        &self.index
    }

    pub(crate) fn get(&self, id: &ProcessId) -> Option<&LedgerRow> {
        self.rows.get(id)
    }

    /// Returns the rows whose ids are in this range.
    pub(crate) fn between(&self, low: ProcessId, high: ProcessId) -> impl Iterator<Item = &LedgerRow> {
        self.rows.range(low..=high).map(|(_, row)| row)
    }

    /// Returns all rows in a map with the process id as key, for a checkpoint.
    #[cfg(feature = "fs")]
    pub(crate) const fn by_id(&self) -> &BTreeMap<ProcessId, LedgerRow> {
        &self.rows
    }

    /// Inserts a row, or replaces an older one.
    pub(crate) fn insert(&mut self, row: LedgerRow) {
        self.remove(&row.stored.process.id);
        self.index.insert(&row);
        self.rows.insert(row.stored.process.id, row);
        self.check();
    }

    pub(crate) fn remove(&mut self, id: &ProcessId) -> Option<LedgerRow> {
        let row = self.rows.remove(id)?;
        self.index.remove(&row);
        self.check();
        Some(row)
    }

    /// Changes a row. The change must not affect the id, the session or the lineage.
    pub(crate) fn change<T>(
        &mut self,
        id: &ProcessId,
        change: impl FnOnce(&mut LedgerRow) -> T,
    ) -> Option<T> {
        let row = self.rows.get_mut(id)?;
        let before = IndexPosition::of(row);
        let answer = change(row);
        self.index.update_position(&before, &IndexPosition::of(row));
        self.check();
        Some(answer)
    }

    /// In tests, compares the index with a newly built one after every change.
    #[cfg(test)]
    fn check(&self) {
        let mut fresh = RowIndex::default();
        self.rows.values().for_each(|row| fresh.insert(row));
        assert_eq!(self.index, fresh, "the index does not follow from the rows");
    }

    #[cfg(not(test))]
    const fn check(&self) {}
}
