//! Reads those fields of a JSON-RPC message that identify the message.

use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use std::fmt;

/// Fields of a JSON-RPC message that identify it.
#[derive(Debug, Default, serde::Deserialize)]
pub(super) struct MessageEnvelope {
    pub(super) id: Option<Value>,
    pub(super) method: Option<String>,
    pub(super) error: Option<IgnoredAny>,
}

impl MessageEnvelope {
    /// Parses the first bytes of a message. Fields that these bytes do not contain stay empty.
    pub(super) fn of_begin(begin: &[u8]) -> Self {
        let mut head = Self::default();
        // The text is incomplete, so the parser reports an error. The fields before the error have been read by then.
        let _broken = serde_json::Deserializer::from_slice(begin).deserialize_map(EnvelopeFields(&mut head));
        head
    }

    /// Returns the id if the message is a request.
    pub(super) fn request_id(&self) -> Option<String> {
        self.id.as_ref().filter(|_| self.method.is_some()).and_then(key)
    }

    /// Returns the id if the message is a response.
    pub(super) fn response_id(&self) -> Option<String> {
        self.id.as_ref().filter(|_| self.method.is_none()).and_then(key)
    }
}

/// Returns the id of a request or response in normalized form: the number 1.0 becomes 1, because a response may use
/// either form. Returns `None` for an id that no response can contain.
pub(super) fn key(id: &Value) -> Option<String> {
    /// Upper limit for integers: below it, a floating-point number represents every integer exactly.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match id {
        Value::String(_) => Some(id.to_string()),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Some(whole.to_string()),
            (None, Some(float)) if float.fract() == 0.0 && float.abs() < EXACT => Some(format!("{float:.0}")),
            (None, Some(_) | None) => None,
        },
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

struct EnvelopeFields<'a>(&'a mut MessageEnvelope);

impl<'de> Visitor<'de> for EnvelopeFields<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut fields: M) -> Result<(), M::Error> {
        while let Some(name) = fields.next_key::<String>()? {
            match name.as_str() {
                "id" => self.0.id = fields.next_value()?,
                "method" => self.0.method = fields.next_value()?,
                _ => drop(fields.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn start_of_an_answer_contains_its_request_id() {
        let answers = |begin: &str| MessageEnvelope::of_begin(begin.as_bytes()).response_id();
        assert_eq!(answers(r#"{"jsonrpc":"2.0","id":7,"result":{"text":"aaa"#), Some("7".to_owned()));
        assert_eq!(answers(r#"{"id":"a\"b","result":["#), Some(r#""a\"b""#.to_owned()));
        assert_eq!(answers(r#"{"jsonrpc":"2.0","method":"m","id":7,"params":{"#), None);
        assert_eq!(answers(r#"{"jsonrpc":"2.0","result":{"text":"aaa"#), None);
        assert_eq!(answers("aaa"), None);
    }

    #[test]
    fn call_is_matched_to_its_answer() {
        assert_eq!(key(&json!(1.0)), Some("1".to_owned()));
        assert_eq!(key(&json!(-1)), Some("-1".to_owned()));
        assert_eq!(key(&json!("1")), Some("\"1\"".to_owned()));
        for none in [json!(1.5), json!(null), json!(true), json!([]), json!(u64::MAX), json!(1e300)] {
            assert_eq!(key(&none), None, "{none}");
        }
    }
}
