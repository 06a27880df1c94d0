//! Announces a manager that was started inside a managed process to the shim of this process. The manager then does not
//! count as part of the process.

use longhaul_domain::ProcessId;
use longhaul_shim::{AttemptDirectory, ShimHello, ShimRequest};
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Name of the directory that contains all attempts, inside a state directory.
pub(crate) const ATTEMPTS: &str = "attempts";
/// Time limit for the announcement. A shim responds immediately, unless it is exiting.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_millis(500);

/// Announces to the enclosing shim (if this program runs inside a managed process) that this program is a manager. The
/// shim then does not count or stop this program as part of its attempt.
///
/// If the shim does not respond, the manager continues, but the shim will stop it together with the attempt.
pub(crate) fn announce(variable: impl Fn(&str) -> Option<OsString>) {
    let Some(directory) = attempt_above(variable) else {
        return;
    };
    match greet(&directory) {
        Ok(()) => {
            tracing::debug!(attempt = %directory.display(), "the manager was started by a managed process")
        }
        Err(error) => {
            tracing::debug!(attempt = %directory.display(), %error, "the shim of the enclosing attempt \
         does not answer")
        }
    }
}

/// Returns the attempt directory of the managed process that started this program. Returns `None` outside a managed
/// process.
fn attempt_above(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let socket = PathBuf::from(variable("LONGHAUL_SOCKET")?);
    let id: ProcessId = variable("LONGHAUL_ID")?.to_str()?.parse().ok()?;
    let attempt: u32 = variable("LONGHAUL_ATTEMPT")?.to_str()?.parse().ok()?;
    let attempts = socket.parent()?.join(ATTEMPTS);
    Some(attempts.join(id.to_string()).join(attempt.to_string()))
}

fn greet(directory: &Path) -> io::Result<()> {
    // A command may start a manager before its shim has created the socket.
    let mut shim = AttemptDirectory::open(directory)?.connect_within(HANDSHAKE_TIMEOUT)?;
    shim.set_read_timeout(Some(HANDSHAKE_TIMEOUT))?;
    shim.set_write_timeout(Some(HANDSHAKE_TIMEOUT))?;
    let hello = ShimHello { manager: true, ..ShimHello::default() };
    shim.write_all(&ShimRequest::Hello(hello).encode())?;
    // The first byte of the response confirms that the shim has processed the announcement.
    shim.read_exact(&mut [0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const ID: &str = "3f2a9c1b-0000-4000-8000-000000000000";

    #[test]
    fn enclosing_attempt_is_found_by_its_environment_variables() {
        let complete = BTreeMap::from([
            ("LONGHAUL_SOCKET", "/state/longhaul.sock"),
            ("LONGHAUL_ID", ID),
            ("LONGHAUL_ATTEMPT", "2"),
        ]);
        let above =
            |variables: &BTreeMap<&str, &str>| attempt_above(|name| variables.get(name).map(OsString::from));
        assert_eq!(above(&complete), Some(format!("/state/attempts/{ID}/2").into()));
        for name in complete.keys() {
            let mut partial = complete.clone();
            partial.remove(name);
            assert_eq!(above(&partial), None, "without {name}");
        }
        let hostile = BTreeMap::from([
            ("LONGHAUL_SOCKET", "/state/longhaul.sock"),
            ("LONGHAUL_ID", "../../etc"),
            ("LONGHAUL_ATTEMPT", "2"),
        ]);
        assert_eq!(above(&hostile), None);
    }
}
