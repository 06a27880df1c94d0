//! The mark by which every member of an attempt can be recognised, wherever it went.
//!
//! A command is started with two variables and with a limit that no other attempt has, and its descendants inherit both. The
//! variables can be removed, and only a program that may trace a process can read them. The limit is the soft one of file
//! locks (`RLIMIT_LOCKS`): Linux has not enforced it since 2.4, and every program can read it in `/proc/PID/limits`.

use super::{launch, procfs};
use longhaul_ports::AttemptKey;
use longhaul_shim::ResourceLimit;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The number of `RLIMIT_LOCKS`.
const FILE_LOCKS: u32 = 10;
const NAME: &str = "Max file locks";
/// No limit that marks an attempt is lower, and none that somebody sets for another reason is so high.
const MIN_MARK_LIMIT: u64 = 1 << 62;

/// What the processes of one attempt were started with.
#[derive(Clone, Debug)]
pub(super) struct AttemptMark {
    variables: [String; 2],
    limit: u64,
}

impl AttemptMark {
    /// The mark of an attempt.
    pub(super) fn of(key: AttemptKey) -> Self {
        Self { variables: launch::marks(key), limit: limit_of(&key.id.to_string(), key.attempt.0.into()) }
    }

    /// The limit to start a command with; none where it cannot be set.
    pub(super) fn limit(&self) -> Option<ResourceLimit> {
        let own = getrlimit(Resource::Locks);
        let hard = own.maximum.unwrap_or(u64::MAX);
        // Some kernels in a sandbox refuse to set limits that they do not know, and then nothing could start.
        let can_be_set = hard >= self.limit && setrlimit(Resource::Locks, own).is_ok();
        can_be_set.then_some(ResourceLimit { resource: FILE_LOCKS, soft: self.limit, hard })
    }

    /// Whether a process was started with it, or descends from one that was.
    pub(super) fn is_on(&self, pid: u32) -> bool {
        match limit_on(pid) {
            Some(limit) if limit >= MIN_MARK_LIMIT => limit == self.limit,
            // The mark was removed from its limit, or could not be set.
            Some(_) | None => procfs::was_started_with(pid, &self.variables),
        }
    }

    /// Whether a process has the limit. One that has ended shows it until it is reaped.
    pub(super) fn limits(&self, pid: u32) -> bool {
        limit_on(pid) == Some(self.limit)
    }
}

/// Removes from this program the mark of work that started it: a manager is no part of that work, nor is what it starts.
pub(super) fn remove_own() {
    let own = getrlimit(Resource::Locks);
    if let Err(error) = setrlimit(Resource::Locks, Rlimit { current: own.maximum, ..own }) {
        tracing::debug!(%error, "the limit of file locks cannot be set here");
    }
}

/// The limit on a process that may mark it as part of an attempt.
pub(super) fn limit_on(pid: u32) -> Option<u64> {
    procfs::limit(pid, NAME).map(|(soft, _)| soft)
}

/// The limit that marks the processes of an attempt: FNV-1a of its names, without the bit that some programs read as a sign.
pub(super) fn limit_of(id: &str, attempt: u64) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = id.bytes().chain(attempt.to_le_bytes()).fold(0xcbf2_9ce4_8422_2325, step);
    hash & (u64::MAX >> 1) | MIN_MARK_LIMIT
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_domain::{AttemptNo, ProcessId};

    #[test]
    fn every_attempt_has_a_limit_of_its_own() {
        let mark = |id, attempt| {
            AttemptMark::of(AttemptKey {
                id: ProcessId::new(uuid::Uuid::from_u128(id)),
                attempt: AttemptNo(attempt),
            })
        };
        let limits = [mark(1, 1), mark(1, 2), mark(2, 1)].map(|mark| mark.limit().unwrap().soft);
        assert!(limits[0] != limits[1] && limits[0] != limits[2] && limits[1] != limits[2], "{limits:?}");
        assert!(limits.iter().all(|limit| i64::try_from(*limit).is_ok()), "{limits:?}");
    }
}
