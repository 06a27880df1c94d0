//! Whether the answers of a connection still belong to its questions.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the answers of a connection still belong to its questions. Whoever reads one that is none to what was asked
/// says so here; the connection is given up then, for all answers that follow it may be another's. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct DesyncFlag(Arc<AtomicBool>);

impl DesyncFlag {
    /// An answer is none to what was asked, or the connection is lost.
    pub(super) fn lose(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_lost(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
