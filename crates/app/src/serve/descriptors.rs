//! Limit on open file descriptors in a manager.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Maximum to which the soft limit is raised. A manager needs no more descriptors, and some systems allow more than
/// their memory can hold.
const MAX_DESCRIPTORS: u64 = 65_536;
/// Number of descriptors that are reserved for the store, for logs and for starting commands.
const RESERVED_DESCRIPTORS: u64 = 128;
/// Maximum number of connections that one listener accepts.
const DEFAULT_CONNECTIONS: u64 = 4_096;

/// The soft limit on open file descriptors of this program, before and after it was raised.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Descriptors {
    /// Original soft limit, which commands inherit. `None` if there is no limit.
    pub(crate) given: Option<u64>,
    /// Soft limit after the manager has raised it.
    pub(crate) raised: u64,
}

/// Raises the soft limit on open file descriptors of this program as far as permitted.
pub(super) fn raise() -> Descriptors {
    let found = getrlimit(Resource::Nofile);
    let now = found.current.unwrap_or(MAX_DESCRIPTORS);
    let wanted = found.maximum.unwrap_or(MAX_DESCRIPTORS).min(MAX_DESCRIPTORS);
    let given = found.current;
    if wanted <= now {
        return Descriptors { given, raised: now };
    }
    match setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: found.maximum }) {
        Ok(()) => Descriptors { given, raised: wanted },
        Err(error) => {
            tracing::warn!(%error, "the limit of open files could not be raised");
            Descriptors { given, raised: now }
        }
    }
}

impl Descriptors {
    /// Returns the maximum number of connections that each of the given number of listeners may accept. This maximum
    /// leaves enough descriptors for processes.
    pub(super) fn for_connections(self, doors: u64) -> usize {
        let rest = self.raised.saturating_sub(RESERVED_DESCRIPTORS).max(self.raised / 2);
        usize::try_from((rest / doors.max(1)).clamp(1, DEFAULT_CONNECTIONS)).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_keeps_descriptors_of_its_own() {
        let limit = |raised, doors| Descriptors { given: None, raised }.for_connections(doors);
        assert_eq!(limit(65_536, 1), 4_096);
        assert_eq!(limit(65_536, 3), 4_096);
        assert_eq!(limit(1_024, 1), 896);
        assert_eq!(limit(1_024, 2), 448);
        assert_eq!(limit(100, 1), 50);
        assert_eq!(limit(0, 1), 1);
    }
}
