//! How many files, pipes and connections a manager may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// More than this serves nobody, and some systems promise far more than they have memory for.
const MOST: u64 = 65_536;
/// So many are kept for work: the store, logs, starts.
const FOR_WORK: u64 = 128;

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
    let now = found.current.unwrap_or(MOST);
    let wanted = found.maximum.unwrap_or(MOST).min(MOST);
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

/// How many connections there may be at once: `usual`, unless work would be left without descriptors.
pub(super) fn for_connections(limit: u64, usual: usize) -> usize {
    let rest = limit.saturating_sub(FOR_WORK).max(limit / 2).max(1);
    usize::try_from(rest).unwrap_or(usize::MAX).min(usual)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_keeps_descriptors_of_its_own() {
        assert_eq!(for_connections(65_536, 4_096), 4_096);
        assert_eq!(for_connections(1_024, 4_096), 896);
        assert_eq!(for_connections(100, 4_096), 50);
        assert_eq!(for_connections(0, 4_096), 1);
    }
}
