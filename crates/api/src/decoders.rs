//! The readers of what clients say, alone: for those who look for words that they do not stand.

use crate::convert::{self, LaunchDefaults};
use crate::error::ApiError;
use crate::events::place::{START, cursor_text, read_cursor};
use longhaul_domain::Timestamp;
use longhaul_engine::Launch;
use longhaul_wire::api::LaunchRequest;

/// Understands a launch without a parent that is asked for at the beginning of time.
///
/// # Errors
/// [`ApiError`] says what is wrong with it.
pub fn launch(request: LaunchRequest) -> Result<Launch, ApiError> {
    convert::launch(request, None, Timestamp(0), &LaunchDefaults::default())
}

/// Reads a place in the event log, and writes it anew.
///
/// # Errors
/// [`ApiError`] says what is wrong with it.
pub fn place(text: &str) -> Result<String, ApiError> {
    let place = read_cursor(text)?;
    Ok(place.map_or_else(|| START.to_owned(), cursor_text))
}
