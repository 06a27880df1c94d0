//! The file decoders of this module, made accessible to fuzz tests.

use super::{clock, environment_store};
use std::io;

/// Decodes a file of the environment store into its variables.
///
/// # Errors
/// Returns an error if the bytes are not a valid environment.
pub fn environment(bytes: &[u8]) -> io::Result<Vec<(String, String)>> {
    environment_store::decode(bytes)
}

/// Encodes variables as a file of the environment store.
///
/// # Errors
/// Returns an error if a variable contains a NUL byte or the environment is too large.
pub fn written_environment(variables: &[(String, String)]) -> io::Result<Vec<u8>> {
    environment_store::encode(variables)
}

/// Decodes the file `clock` and encodes the result again.
///
/// # Errors
/// Returns an error if the text is not a valid clock file.
pub fn clock(text: &str) -> io::Result<String> {
    clock::anchor::ClockAnchor::decode(text).map(|anchor| anchor.encode())
}
