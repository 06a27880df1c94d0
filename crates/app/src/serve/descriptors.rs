//! How many files, pipes and connections a manager may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// More than this serves nobody, and some systems promise far more than they have memory for.
const MAX_DESCRIPTORS: u64 = 65_536;
/// So many are kept for work: the store, logs, starts.
const RESERVED_DESCRIPTORS: u64 = 128;
/// More connections than this at one door serve nobody either.
const DEFAULT_CONNECTIONS: u64 = 4_096;

/// The soft limit of this process, before and after it was raised.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Descriptors {
    /// What this process was started with, and its commands get.
    pub(crate) given: Option<u64>,
    /// What it has now.
    pub(crate) raised: u64,
}

/// Raises the soft limit of this process as far as it may.
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
    /// How many connections there may be at once at each of so many doors, so that work is not left without
    /// descriptors.
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
        let most = |raised, doors| Descriptors { given: None, raised }.for_connections(doors);
        assert_eq!(most(65_536, 1), 4_096);
        assert_eq!(most(65_536, 3), 4_096);
        assert_eq!(most(1_024, 1), 896);
        assert_eq!(most(1_024, 2), 448);
        assert_eq!(most(100, 1), 50);
        assert_eq!(most(0, 1), 1);
    }
}
