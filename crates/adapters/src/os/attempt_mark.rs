//! The mark that identifies every process of an attempt, even one that left the process group of the attempt.
//!
//! A command is started with two environment variables and with a resource limit that no other attempt has. Its
//! descendants inherit all three. A process can remove the variables, and only a program with ptrace permission can
//! read them. The limit is the soft limit of file locks (`RLIMIT_LOCKS`): Linux has not enforced it since 2.4, and
//! every program can read it in `/proc/PID/limits`.

use super::{launch, procfs};
use longhaul_ports::AttemptKey;
use longhaul_shim::ResourceLimit;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Kernel number of `RLIMIT_LOCKS`.
const FILE_LOCKS: u32 = 10;
const NAME: &str = "Max file locks";
/// Lowest value that marks an attempt. Limits that are set for other reasons are lower than this value.
const MIN_MARK_LIMIT: u64 = 1 << 62;

/// The variables and the limit that the processes of one attempt were started with.
#[derive(Clone, Debug)]
pub(super) struct AttemptMark {
    variables: [String; 2],
    limit: u64,
}

impl AttemptMark {
    pub(super) fn of(key: AttemptKey) -> Self {
        Self { variables: launch::marks(key), limit: limit_of(&key.id.to_string(), key.attempt.0.into()) }
    }

    /// Returns the limit that marks the command, or `None` if this system does not allow the limit to be set.
    pub(super) fn limit(&self) -> Option<ResourceLimit> {
        let own = getrlimit(Resource::Locks);
        let hard = own.maximum.unwrap_or(u64::MAX);
        // Some sandbox kernels refuse to set limits that they do not support. A command with an unsupported limit could
        // not start.
        let can_be_set = hard >= self.limit && setrlimit(Resource::Locks, own).is_ok();
        can_be_set.then_some(ResourceLimit { resource: FILE_LOCKS, soft: self.limit, hard })
    }

    /// Returns true if a process was started with this mark or descends from such a process.
    pub(super) fn is_on(&self, pid: u32) -> bool {
        match limit_on(pid) {
            Some(limit) if limit >= MIN_MARK_LIMIT => limit == self.limit,
            // The process has reset its limit, or the limit could not be set at the start. Compare the variables
            // instead.
            Some(_) | None => procfs::was_started_with(pid, &self.variables),
        }
    }

    /// Returns true if the limit of a process is the limit of this mark. An ended process keeps its limit until it is
    /// reaped.
    pub(super) fn limits(&self, pid: u32) -> bool {
        limit_on(pid) == Some(self.limit)
    }
}

/// If a managed command started this program, removes the mark of that attempt from this program. Neither a manager nor
/// its commands belong to that attempt.
pub(super) fn remove_own() {
    let own = getrlimit(Resource::Locks);
    if let Err(error) = setrlimit(Resource::Locks, Rlimit { current: own.maximum, ..own }) {
        tracing::debug!(%error, "could not set the limit of file locks, which marks the processes of an attempt");
    }
}

/// Returns the file-lock limit of a process, which may mark it as part of an attempt.
pub(super) fn limit_on(pid: u32) -> Option<u64> {
    procfs::limit(pid, NAME).map(|(soft, _)| soft)
}

/// Returns the limit that marks the processes of an attempt: an FNV-1a hash of the process id and the attempt number.
/// The top bit is cleared, because some programs read limits as signed numbers.
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
