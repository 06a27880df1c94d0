//! The readers of files, over bytes: for those who look for bytes that they do not stand.

use super::{clock, environment_store};
use std::io;

/// Reads the variables of an environment as the vault keeps them.
///
/// # Errors
/// If it is none.
pub fn environment(bytes: &[u8]) -> io::Result<Vec<(String, String)>> {
    environment_store::decode(bytes)
}

/// The variables of an environment as the vault keeps them.
///
/// # Errors
/// If they cannot be kept.
pub fn written_environment(variables: &[(String, String)]) -> io::Result<Vec<u8>> {
    environment_store::encode(variables)
}

/// Reads the file that says where steady time begins, and writes it anew.
///
/// # Errors
/// If it is none.
pub fn clock(text: &str) -> io::Result<String> {
    clock::anchor::ClockAnchor::decode(text).map(|anchor| anchor.encode())
}
