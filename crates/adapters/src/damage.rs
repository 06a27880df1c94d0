//! Logs each damaged record only once.

use longhaul_ports::StoreError;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// Maximum number of damaged records to remember. When the set is full, it is cleared, and records may be logged again.
const MAX_NAMED: usize = 1_000;

/// The damaged records that are already logged.
#[derive(Debug, Default)]
pub(crate) struct NamedDamage(Mutex<BTreeSet<String>>);

impl NamedDamage {
    /// Logs a damaged record, unless it is already logged.
    pub(crate) fn name(&self, error: &StoreError) {
        let mut named = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if named.len() >= MAX_NAMED {
            named.clear();
        }
        if named.insert(error.to_string()) {
            tracing::error!(%error, "skipped a damaged record of the store");
        }
    }
}
