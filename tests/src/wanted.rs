//! Reads the settings of a test run from environment variables.

use std::env;

/// Returns the number in an environment variable. Returns `None` if the variable is not set or is empty.
///
/// # Panics
/// If the value is not a number.
#[must_use]
#[expect(clippy::panic, reason = "a test must not continue with an invalid setting")]
pub fn wanted(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is not a number: {text}")))
}
