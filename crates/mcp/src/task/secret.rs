//! The secret that signs task ids.

use crate::task::file;
use crate::task::token::TaskToken;
use longhaul_api::hmac;
use std::fmt;
use std::io;
use std::path::Path;
use uuid::Uuid;

/// Name of the file with the secret in the state directory.
const FILE: &str = "mcp.secret";
/// Length of the secret, in bytes.
const LENGTH: usize = 32;
/// Prefix of every task id.
const PREFIX: &str = "w_";
/// Length of a signature, in bytes. An attacker cannot try all 2^128 values.
const SIGNATURE: usize = 16;

/// Secret that signs task ids. It remains valid as long as its state directory exists.
pub(super) struct TaskSecret([u8; LENGTH]);

impl TaskSecret {
    /// Reads the secret from a state directory, or creates a new one. A new secret is stored durably before its first
    /// use.
    pub(super) fn open(state: &Path) -> io::Result<Self> {
        let path = state.join(FILE);
        // An incomplete secret has never signed a task, so it can be replaced.
        if let Some(secret) = file::read(&path)?.and_then(|bytes| bytes.try_into().ok()) {
            return Ok(Self(secret));
        }
        let mut secret = [0; LENGTH];
        for half in secret.chunks_mut(LENGTH / 2) {
            half.copy_from_slice(Uuid::new_v4().as_bytes());
        }
        file::replace(state, FILE, &secret)?;
        Ok(Self(secret))
    }

    /// Returns the signed id of a task.
    pub(super) fn sealed(&self, ticket: &TaskToken) -> String {
        let mut bytes = ticket.to_bytes();
        let signature = self.signature(&bytes);
        bytes.extend(signature);
        format!("{PREFIX}{}", hex(&bytes))
    }

    /// Decodes a task id. Returns `None` if the id was not signed with this secret.
    pub(super) fn opened(&self, id: &str) -> Option<TaskToken> {
        let bytes = unhex(id.strip_prefix(PREFIX)?)?;
        let (reported, signature) = bytes.split_at_checked(bytes.len().checked_sub(SIGNATURE)?)?;
        let differs = self.signature(reported).iter().zip(signature).fold(0, |sum, (a, b)| sum | (a ^ b));
        (differs == 0).then(|| TaskToken::from_bytes(reported)).flatten()
    }

    /// Returns the first half of the HMAC-SHA-256 of these bytes.
    fn signature(&self, bytes: &[u8]) -> [u8; SIGNATURE] {
        let mut signature = [0; SIGNATURE];
        for (byte, made) in signature.iter_mut().zip(hmac(&self.0, &[bytes])) {
            *byte = made;
        }
        signature
    }
}

impl fmt::Debug for TaskSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Encodes bytes as hexadecimal text.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Decodes hexadecimal text. Returns `None` if the text is invalid.
pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::input::WaitModeInput;
    use longhaul_domain::{ProcessId, Timestamp};
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn ticket() -> TaskToken {
        TaskToken::new(vec![ProcessId::new(Uuid::from_u128(7))], WaitModeInput::All, Timestamp(1))
    }

    #[test]
    fn task_of_an_earlier_life_is_known_again() {
        let state = tempfile::tempdir().unwrap();
        let ticket = ticket();
        let id = TaskSecret::open(state.path()).unwrap().sealed(&ticket);
        assert_eq!(TaskSecret::open(state.path()).unwrap().opened(&id), Some(ticket));
        let mode = fs::metadata(state.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn only_a_regular_file_is_accepted_as_the_secret() {
        let state = tempfile::tempdir().unwrap();
        let (file, target) = (state.path().join(FILE), state.path().join("target"));
        fs::write(&target, [7; LENGTH]).unwrap();
        symlink(&target, &file).unwrap();
        TaskSecret::open(state.path()).unwrap_err();
        fs::remove_file(&file).unwrap();
        symlink(&target, state.path().join(format!("{FILE}.new"))).unwrap();
        TaskSecret::open(state.path()).unwrap();
        assert!(fs::symlink_metadata(&file).unwrap().is_file(), "a draft is no link");
        assert_eq!(fs::read(target).unwrap(), [7; LENGTH]);
    }

    #[test]
    fn id_that_was_changed_or_made_elsewhere_is_nobodys() {
        let state = tempfile::tempdir().unwrap();
        let secret = TaskSecret::open(state.path()).unwrap();
        let id = secret.sealed(&ticket());
        for place in PREFIX.len()..id.len() {
            let mut other = id.clone().into_bytes();
            other[place] = if other[place] == b'0' { b'1' } else { b'0' };
            assert!(secret.opened(std::str::from_utf8(&other).unwrap()).is_none(), "{place}");
        }
        let elsewhere = tempfile::tempdir().unwrap();
        assert!(TaskSecret::open(elsewhere.path()).unwrap().opened(&id).is_none());
        for wrong in ["", "w_", "w_zz", "w_0", "x", "w_é0"] {
            assert!(secret.opened(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn signature_is_that_of_the_standard() {
        // RFC 4231, test case 1. The key of 20 bytes is padded with zeros.
        let mut key = [0; LENGTH];
        key[..20].fill(0x0b);
        assert_eq!(hex(&TaskSecret(key).signature(b"Hi There")), "b0344c61d8db38535ca8afceaf0bf12b");
    }

    #[test]
    fn truncated_secret_is_created_again() {
        let state = tempfile::tempdir().unwrap();
        fs::write(state.path().join(FILE), b"short").unwrap();
        TaskSecret::open(state.path()).unwrap();
        assert_eq!(fs::read(state.path().join(FILE)).unwrap().len(), LENGTH);
    }
}
