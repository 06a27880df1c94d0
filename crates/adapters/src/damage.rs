//! Records that are damaged, each named in the log once.

use longhaul_ports::StoreError;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// So many are remembered; then each is named once more.
const MAX_NAMED: usize = 1_000;

/// Those that were named.
#[derive(Debug, Default)]
pub(crate) struct NamedDamage(Mutex<BTreeSet<String>>);

impl NamedDamage {
    /// Names one in the log, unless it was.
    pub(crate) fn name(&self, error: &StoreError) {
        let mut named = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if named.len() >= MAX_NAMED {
            named.clear();
        }
        if named.insert(error.to_string()) {
            tracing::error!(%error, "skipped a damaged record");
        }
    }
}
