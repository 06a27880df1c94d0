//! HMAC signatures.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// Returns the HMAC-SHA-256 (RFC 2104) of the concatenated parts.
#[must_use]
pub fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    #[expect(clippy::expect_used, reason = "RFC 2104 takes keys of every length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length is taken");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}
