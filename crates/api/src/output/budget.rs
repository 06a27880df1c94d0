//! Size limits of replies that contain output.

use super::within;
use crate::error::ApiError;
use serde::Serialize;

/// Number of bytes that a reply may use for its cursors, in addition to the token budget.
const ENVELOPE_BYTES: usize = 160;
/// Assumed size of a token, in bytes.
const TOKEN: usize = 4;
const DEFAULT_TOKENS: u32 = 1_500;
/// Minimum token budget. It is enough for the head and tail of an output, or for one match with its position.
const MIN_TOKENS: u32 = 100;
const MAX_TOKENS: u32 = 8_000;

/// Maximum size of a reply as JSON, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Budget {
    bytes: usize,
}

impl Budget {
    pub(super) fn of(tokens: Option<u32>) -> Result<Self, ApiError> {
        let tokens = within("max_tokens", tokens, MIN_TOKENS..=MAX_TOKENS)?.unwrap_or(DEFAULT_TOKENS);
        Ok(Self { bytes: usize::try_from(tokens).unwrap_or(0) * TOKEN + ENVELOPE_BYTES })
    }

    /// Returns this budget, reduced by the size of an additional field.
    pub(super) const fn less(self, bytes: usize) -> Self {
        Self { bytes: self.bytes.saturating_sub(bytes) }
    }

    /// Returns the maximum size of the reply, in bytes.
    pub(super) const fn bytes(self) -> usize {
        self.bytes
    }

    /// Returns the number of bytes that remain for the text of a reply. All other fields of `answer` must have their
    /// maximum length.
    pub(super) fn room_beside(self, answer: &impl Serialize) -> usize {
        self.bytes.saturating_sub(length(answer))
    }
}

/// Returns the length of a value as JSON, in bytes.
pub(super) fn length(value: &impl Serialize) -> usize {
    serde_json::to_vec(value).map_or(usize::MAX, |json| json.len())
}
