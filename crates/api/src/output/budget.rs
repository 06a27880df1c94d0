//! How much an answer may cost.

use super::within;
use crate::error::ApiError;
use serde::Serialize;

/// Bytes that an answer may have beyond its tokens, for the cursors in it.
const ENVELOPE_BYTES: usize = 160;
/// Bytes of a token, as clients estimate it.
const TOKEN: usize = 4;
const DEFAULT_TOKENS: u32 = 1_500;
/// Both ends of an output, or a match and its place, fit into so many tokens.
const MIN_TOKENS: u32 = 100;
const MAX_TOKENS: u32 = 8_000;

/// The most bytes of an answer in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Budget {
    bytes: usize,
}

impl Budget {
    pub(super) fn of(tokens: Option<u32>) -> Result<Self, ApiError> {
        let tokens = within("max_tokens", tokens, MIN_TOKENS..=MAX_TOKENS)?.unwrap_or(DEFAULT_TOKENS);
        Ok(Self { bytes: usize::try_from(tokens).unwrap_or(0) * TOKEN + ENVELOPE_BYTES })
    }

    /// What is left when the answer holds that much beside what it usually has.
    pub(super) const fn less(self, bytes: usize) -> Self {
        Self { bytes: self.bytes.saturating_sub(bytes) }
    }

    /// The most bytes of the answer.
    pub(super) const fn bytes(self) -> usize {
        self.bytes
    }

    /// The bytes that are left besides an answer that has its longest form in all but its texts.
    pub(super) fn room_beside(self, answer: &impl Serialize) -> usize {
        self.bytes.saturating_sub(length(answer))
    }
}

/// The bytes of a value in JSON.
pub(super) fn length(value: &impl Serialize) -> usize {
    serde_json::to_vec(value).map_or(usize::MAX, |json| json.len())
}
