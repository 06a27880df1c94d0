//! Detects that the replies of a connection no longer match its requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Flag of a connection that is lost or whose replies no longer match its requests. A reader sets the flag after a
/// reply that does not match its request. The connection is then dropped, because every later reply may belong to
/// another request. Clones share the flag.
#[derive(Clone, Debug, Default)]
pub(super) struct DesyncFlag(Arc<AtomicBool>);

impl DesyncFlag {
    /// Marks the connection as unusable.
    pub(super) fn lose(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_lost(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
