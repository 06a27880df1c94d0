//! JSON that callers hand over and get back untouched.

/// The largest metadata or result, in bytes.
pub const MAX_JSON_BYTES: usize = 64 * 1024;

/// A JSON text that longhaul keeps and returns but never looks into.
///
/// Whoever builds one has parsed it; the rules need no parser.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct JsonText(String);

impl JsonText {
    /// Wraps a text that was checked to be JSON.
    ///
    /// # Errors
    /// [`JsonTooLarge`] beyond 64 KiB.
    pub fn checked(text: String) -> Result<Self, JsonTooLarge> {
        if text.len() > MAX_JSON_BYTES {
            return Err(JsonTooLarge { bytes: text.len() });
        }
        Ok(Self(text))
    }

    /// The text itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A JSON text beyond 64 KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{bytes} bytes of JSON exceed the maximum of {MAX_JSON_BYTES}")]
pub struct JsonTooLarge {
    /// Its size.
    pub bytes: usize,
}
