//! What the system may have again later.

use rustix::io::Errno;
use std::io;

const SHORTAGES: [Errno; 6] =
    [Errno::AGAIN, Errno::NOMEM, Errno::MFILE, Errno::NFILE, Errno::NOSPC, Errno::DQUOT];

/// Tells whether the system ran short of something that others may give back: processes, memory, descriptors, or disk.
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
