//! Handles a manager that was started inside a managed process. Such a manager is not part of that process.

use longhaul_shim::{ATTEMPT_ARGUMENT, AttemptDirectory, ProcessStat, ShimHello, ShimRequest};
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Maximum time to wait for the shim's answer to the introduction of this manager.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_millis(500);
const MAX_DEPTH: usize = 64;

/// Introduces this program to every shim among its ancestors, so that no shim stops this program together with the
/// shim's command.
pub(super) fn advertise() {
    let mut pid = std::process::id();
    for _ in 0..MAX_DEPTH {
        let Some(stat) = ProcessStat::read(pid).filter(|stat| stat.parent > 1) else {
            return;
        };
        pid = stat.parent;
        if let Some(directory) = attempt_of(pid)
            && let Err(error) = introduce(&directory)
        {
            tracing::warn!(
                %error, directory = %directory.display(),
                "could not register this manager with the shim under which it runs"
            );
        }
    }
}

/// Returns the attempt directory that a process supervises, or `None` if the process is not a shim.
pub(super) fn attempt_of(pid: u32) -> Option<PathBuf> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let mut words = line.split(|byte| *byte == 0).skip(1);
    let is_shim = words.next()? == ATTEMPT_ARGUMENT.as_bytes();
    let directory = PathBuf::from(std::str::from_utf8(words.next()?).ok()?);
    (is_shim && directory.is_absolute()).then_some(directory)
}

fn introduce(directory: &Path) -> io::Result<()> {
    // Wait for the socket: a command that has just started may start a manager before its shim has created the socket.
    let mut socket = AttemptDirectory::open(directory)?.connect_within(HANDSHAKE_TIMEOUT)?;
    socket.set_read_timeout(Some(HANDSHAKE_TIMEOUT))?;
    socket.set_write_timeout(Some(HANDSHAKE_TIMEOUT))?;
    socket.write_all(&ShimRequest::Hello(ShimHello::default()).encode())?;
    // Any answer proves that the shim has read the introduction.
    let got = socket.read(&mut [0; 256])?;
    if got == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_arguments_of_a_shim_name_an_attempt() {
        assert_eq!(attempt_of(std::process::id()), None);
        assert_eq!(attempt_of(0), None);
    }
}
