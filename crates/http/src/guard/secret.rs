//! Digests of tokens. They allow the manager to recognize a token without storing it.

use sha2::{Digest as _, Sha256};
use std::fmt;
use std::hint::black_box;

/// SHA-256 digest of a token. The digest identifies the token, but the token cannot be recovered from it.
#[derive(Clone, Copy)]
pub struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// Computes the digest of a token.
    #[must_use]
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }

    /// Returns true if both digests are equal. The comparison takes constant time, so that its duration reveals nothing
    /// about either digest.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        let differs = self.0.iter().zip(&other.0).fold(0, |differs, (one, other)| differs | (one ^ other));
        black_box(differs) == 0
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_token_is_recognised_and_none_is_shown() {
        let secret = TokenDigest::of("abc");
        assert!(secret.is(&TokenDigest::of("abc")));
        for other in ["", "ab", "abcd", "Abc", "abd"] {
            assert!(!secret.is(&TokenDigest::of(other)), "{other}");
        }
        for place in 0..32 {
            let mut other = secret;
            other.0[place] ^= 1;
            assert!(!secret.is(&other), "byte {place}");
        }
        assert_eq!(format!("{secret:?}"), "Secret");
    }
}
