//! Exposes the parsers for client input as public functions, for fuzz tests.

use crate::convert::{self, LaunchDefaults};
use crate::error::ApiError;
use crate::events::place::{START, cursor_text, read_cursor};
use longhaul_domain::Timestamp;
use longhaul_engine::Launch;
use longhaul_wire::api::LaunchRequest;

/// Converts a launch request. The launch has no parent, the current time is 0, and default settings apply.
///
/// # Errors
/// Returns an [`ApiError`] if the request is invalid.
pub fn launch(request: LaunchRequest) -> Result<Launch, ApiError> {
    convert::launch(request, None, Timestamp(0), &LaunchDefaults::default())
}

/// Parses a cursor of the event log and formats it again.
///
/// # Errors
/// Returns an [`ApiError`] if the text is not a valid cursor.
pub fn place(text: &str) -> Result<String, ApiError> {
    let place = read_cursor(text)?;
    Ok(place.map_or_else(|| START.to_owned(), cursor_text))
}
