//! As much of a message as tells whose it is.

use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use std::fmt;

/// As much of a message as tells whose it is.
#[derive(Debug, Default, serde::Deserialize)]
pub(super) struct MessageEnvelope {
    pub(super) id: Option<Value>,
    pub(super) method: Option<String>,
    pub(super) error: Option<IgnoredAny>,
}

impl MessageEnvelope {
    /// What the begin of a message tells of it.
    pub(super) fn of_begin(begin: &[u8]) -> Self {
        let mut head = Self::default();
        // It breaks off somewhere behind what is looked for.
        let _broken = serde_json::Deserializer::from_slice(begin).deserialize_map(EnvelopeFields(&mut head));
        head
    }

    /// The call that it is, if it is one.
    pub(super) fn asks(&self) -> Option<String> {
        self.id.as_ref().filter(|_| self.method.is_some()).and_then(key)
    }

    /// The call that it answers, if it is an answer.
    pub(super) fn answers(&self) -> Option<String> {
        self.id.as_ref().filter(|_| self.method.is_none()).and_then(key)
    }
}

/// An id as the calls are known by; none if no answer can have it. To JSON 1.0 is 1, and so it is answered.
pub(super) fn key(id: &Value) -> Option<String> {
    /// Whole numbers below are told apart by a float.
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
    fn begin_of_an_answer_tells_whose_it_is() {
        let answers = |begin: &str| MessageEnvelope::of_begin(begin.as_bytes()).answers();
        assert_eq!(answers(r#"{"jsonrpc":"2.0","id":7,"result":{"text":"aaa"#), Some("7".to_owned()));
        assert_eq!(answers(r#"{"id":"a\"b","result":["#), Some(r#""a\"b""#.to_owned()));
        assert_eq!(answers(r#"{"jsonrpc":"2.0","method":"m","id":7,"params":{"#), None);
        assert_eq!(answers(r#"{"jsonrpc":"2.0","result":{"text":"aaa"#), None);
        assert_eq!(answers("aaa"), None);
    }

    #[test]
    fn call_is_known_by_what_its_answer_has() {
        assert_eq!(key(&json!(1.0)), Some("1".to_owned()));
        assert_eq!(key(&json!(-1)), Some("-1".to_owned()));
        assert_eq!(key(&json!("1")), Some("\"1\"".to_owned()));
        for none in [json!(1.5), json!(null), json!(true), json!([]), json!(u64::MAX), json!(1e300)] {
            assert_eq!(key(&none), None, "{none}");
        }
    }
}
