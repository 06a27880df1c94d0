//! Random tokens that let a script recognise a repeated request.

use std::hash::{BuildHasher, Hasher, RandomState};

/// Returns a random token, different for every request.
pub(super) fn token() -> [u8; 16] {
    let [high, low] = [(); 2].map(|()| RandomState::new().build_hasher().finish());
    (u128::from(high) << 64 | u128::from(low)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_tokens_are_alike() {
        let tokens: BTreeSet<_> = (0..1_000).map(|_| token()).collect();
        assert_eq!(tokens.len(), 1_000);
    }
}
