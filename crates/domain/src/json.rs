//! JSON texts that callers store and get back unchanged.

/// Maximum size of metadata or a result, in bytes.
pub const MAX_JSON_BYTES: usize = 64 * 1024;

/// A JSON text that longhaul stores and returns but never parses.
///
/// The creator of the value must have validated that the text is JSON.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct JsonText(String);

impl JsonText {
    /// Wraps a text that the caller has already validated as JSON.
    ///
    /// # Errors
    /// [`JsonTooLarge`] if the text is larger than 64 KiB.
    pub fn checked(text: String) -> Result<Self, JsonTooLarge> {
        if text.len() > MAX_JSON_BYTES {
            return Err(JsonTooLarge { bytes: text.len() });
        }
        Ok(Self(text))
    }

    /// Returns the JSON text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The error for a JSON text that is larger than 64 KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{bytes} bytes of JSON exceed the maximum of {MAX_JSON_BYTES}")]
pub struct JsonTooLarge {
    /// Size of the text, in bytes.
    pub bytes: usize,
}
