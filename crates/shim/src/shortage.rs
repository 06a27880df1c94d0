//! Detects errors that are caused by a temporary shortage of a system resource.

use rustix::io::Errno;
use std::io;

const SHORTAGES: [Errno; 6] =
    [Errno::AGAIN, Errno::NOMEM, Errno::MFILE, Errno::NFILE, Errno::NOSPC, Errno::DQUOT];

/// Returns true if an error means that the system ran out of a resource that may become free again: processes, memory,
/// descriptors, or disk space.
pub fn is_shortage(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(|raw| SHORTAGES.iter().any(|errno| errno.raw_os_error() == raw))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_a_shortage_and_a_missing_file_is_none() {
        assert!(is_shortage(&io::Error::from_raw_os_error(28)));
        assert!(!is_shortage(&io::Error::from_raw_os_error(2)));
        assert!(!is_shortage(&io::Error::other("no space")));
    }
}
