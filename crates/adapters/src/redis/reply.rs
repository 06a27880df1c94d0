//! Decodes the replies of scripts.

#![expect(clippy::wildcard_enum_match_arm, reason = "what the client may say is not ours, and grows")]

use super::desync::DesyncFlag;
use super::failure::corrupt;
use longhaul_ports::StoreError;
use redis::Value;
use std::vec;

/// The values of a script's reply. They are consumed in sequence.
#[derive(Debug)]
pub(super) struct ScriptReply {
    values: vec::IntoIter<Value>,
    step: DesyncFlag,
    /// Newest record format that is accepted in this reply.
    record_format: u32,
}

impl ScriptReply {
    /// Wraps a reply. `step` is the flag that marks its connection as unusable.
    pub(super) fn of(value: Value, step: DesyncFlag, record_format: u32) -> Result<Self, StoreError> {
        match value {
            Value::Array(values) | Value::Set(values) => {
                Ok(Self { values: values.into_iter(), step, record_format })
            }
            other => Err(unfit(&step, "an array", &other)),
        }
    }

    /// Returns the error for a reply that does not match the request, and marks the connection as unusable.
    pub(super) fn strange(&self, what: impl Into<String>) -> StoreError {
        strange(&self.step, what)
    }

    /// Returns true if this word is next. Does not consume the word.
    pub(super) fn begins_with(&self, word: &[u8]) -> bool {
        matches!(self.values.as_slice().first(), Some(Value::BulkString(first)) if first == word)
    }

    pub(super) fn word(&mut self) -> Result<String, StoreError> {
        String::from_utf8(self.bytes()?).map_err(|_| corrupt("a part of the reply is not text"))
    }

    pub(super) fn bytes(&mut self) -> Result<Vec<u8>, StoreError> {
        match self.next()? {
            Value::BulkString(bytes) => Ok(bytes),
            Value::SimpleString(text) => Ok(text.into_bytes()),
            Value::Okay => Ok(b"OK".to_vec()),
            Value::Int(number) => Ok(number.to_string().into_bytes()),
            other => Err(unfit(&self.step, "a string", &other)),
        }
    }

    pub(super) fn number(&mut self) -> Result<u64, StoreError> {
        u64::try_from(self.signed()?).map_err(|_| corrupt("a count is negative"))
    }

    pub(super) fn signed(&mut self) -> Result<i64, StoreError> {
        match self.next()? {
            Value::Int(number) => Ok(number),
            Value::BulkString(bytes) => digits(&bytes),
            other => Err(unfit(&self.step, "a number", &other)),
        }
    }

    /// Returns the next text, or `None` if it is empty or absent.
    pub(super) fn optional_text(&mut self) -> Result<Option<String>, StoreError> {
        match self.next()? {
            Value::Nil => Ok(None),
            Value::BulkString(bytes) if bytes.is_empty() => Ok(None),
            Value::BulkString(bytes) => {
                String::from_utf8(bytes).map(Some).map_err(|_| corrupt("a part of the reply is not text"))
            }
            other => Err(unfit(&self.step, "a string", &other)),
        }
    }

    /// Returns the next bytes, or `None` if they are empty or absent.
    pub(super) fn optional_bytes(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        match self.next()? {
            Value::Nil => Ok(None),
            Value::BulkString(bytes) => Ok(Some(bytes).filter(|bytes| !bytes.is_empty())),
            other => Err(unfit(&self.step, "a string", &other)),
        }
    }

    /// Returns the next number, or `None` if it is empty or absent.
    pub(super) fn optional_signed(&mut self) -> Result<Option<i64>, StoreError> {
        match self.next()? {
            Value::Nil => Ok(None),
            Value::Int(number) => Ok(Some(number)),
            Value::BulkString(bytes) if bytes.is_empty() => Ok(None),
            Value::BulkString(bytes) => digits(&bytes).map(Some),
            other => Err(unfit(&self.step, "a number", &other)),
        }
    }

    /// Returns the next value, which must be an array.
    pub(super) fn list(&mut self) -> Result<Self, StoreError> {
        Self::of(self.next()?, self.step.clone(), self.record_format)
    }

    pub(super) const fn record_format(&self) -> u32 {
        self.record_format
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.values.len() == 0
    }

    fn next(&mut self) -> Result<Value, StoreError> {
        self.values.next().ok_or_else(|| strange(&self.step, "a reply is too short"))
    }
}

fn digits(bytes: &[u8]) -> Result<i64, StoreError> {
    std::str::from_utf8(bytes)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| corrupt("a number in a reply is not valid"))
}

fn unfit(step: &DesyncFlag, wanted: &str, found: &Value) -> StoreError {
    let kind = match found {
        Value::Nil => "nothing",
        Value::Int(_) => "a number",
        Value::Array(_) | Value::Set(_) => "an array",
        Value::BulkString(_) | Value::SimpleString(_) | Value::Okay => "a string",
        _ => "something else",
    };
    strange(step, format!("a reply contains {kind} instead of {wanted}"))
}

/// Marks the connection as unusable, because later replies may belong to other requests.
fn strange(step: &DesyncFlag, what: impl Into<String>) -> StoreError {
    let error = corrupt(what);
    if !step.is_lost() {
        tracing::warn!(%error, "the store sent a reply to another request: reconnecting");
    }
    step.lose();
    error
}
