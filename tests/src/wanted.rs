//! What whoever runs a test wants of it.

use std::env;

/// The number in a variable of the environment; none if it is not set, or empty.
///
/// # Panics
/// When it is no number.
#[must_use]
#[expect(clippy::panic, reason = "a test that is not told what it was meant to be must not go on")]
pub fn wanted(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}
