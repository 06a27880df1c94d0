//! Checks the JSON-RPC calls that agents send, before the calls reach the MCP service.

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderValue, Response, StatusCode};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

/// JSON-RPC call whose body is valid JSON.
///
/// The MCP service answers calls that it cannot parse with status 415 and plain text. This type replaces such a
/// response with a JSON-RPC error that contains the id of the call.
#[derive(Debug)]
pub(crate) struct JsonRpcCall {
    /// Id of the call; null if the id is missing or invalid.
    id: Value,
}

/// Error for a call whose body is not valid JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotJson;

#[derive(Deserialize)]
struct NamedParams {
    id: Value,
}

impl JsonRpcCall {
    /// Checks that the body is JSON and reads the id of the call.
    pub(crate) fn read(text: &[u8]) -> Result<Self, NotJson> {
        serde_json::from_slice::<IgnoredAny>(text).map_err(|_| NotJson)?;
        // serde would accept a list in place of an object and assign the elements to the fields in order.
        let is_object = text.trim_ascii_start().first() == Some(&b'{');
        let named = is_object.then(|| serde_json::from_slice::<NamedParams>(text).ok()).flatten();
        let id = named.map(|NamedParams { id }| id).filter(|id| id.is_string() || id.is_i64() || id.is_u64());
        Ok(Self { id: id.unwrap_or_default() })
    }

    /// Replaces a response with status 415 by a JSON-RPC error. Returns any other response unchanged.
    pub(crate) fn answered(self, mut answer: Response<Body>) -> Response<Body> {
        if answer.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE {
            refuse(&mut answer, &self.id, -32_600, "the body is not a JSON-RPC 2.0 request");
        }
        answer
    }
}

impl NotJson {
    /// Builds the JSON-RPC response to a call whose body is not valid JSON.
    pub(crate) fn answer(self) -> Response<Body> {
        let mut answer = Response::default();
        refuse(&mut answer, &Value::Null, -32_700, "the body is not JSON");
        answer
    }
}

fn refuse(answer: &mut Response<Body>, id: &Value, code: i32, message: &str) {
    let body = json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } });
    *answer.status_mut() = StatusCode::BAD_REQUEST;
    *answer.body_mut() = body.to_string().into();
    let headers = answer.headers_mut();
    headers.remove(CONTENT_LENGTH);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_is_read_where_there_is_one() {
        let id = |text: &str| JsonRpcCall::read(text.as_bytes()).map(|call| call.id);
        assert_eq!(id("{\"id\":7,\"method\":1}"), Ok(json!(7)));
        assert_eq!(id(" {\"params\":[[{}]],\"id\":\"a\"}"), Ok(json!("a")));
        for text in ["{}", "[1]", "[{\"id\":1}]", "7", "null", "{\"id\":{}}", "{\"id\":1,\"id\":2}"] {
            assert_eq!(id(text), Ok(Value::Null), "{text}");
        }
        for text in ["", " ", "{", "{\"id\":1}}", "{'id':1}", "\u{feff}{}", "[".repeat(100_000).as_str()] {
            assert_eq!(id(text), Err(NotJson), "{text:.20}");
        }
    }

    #[test]
    fn answers_are_passed_on_unless_the_call_could_not_be_read() {
        let answer = |status: StatusCode| {
            let mut answer = Response::new(Body::empty());
            *answer.status_mut() = status;
            JsonRpcCall { id: Value::Null }.answered(answer).status()
        };
        assert_eq!(answer(StatusCode::NOT_ACCEPTABLE), StatusCode::NOT_ACCEPTABLE);
        assert_eq!(answer(StatusCode::UNSUPPORTED_MEDIA_TYPE), StatusCode::BAD_REQUEST);
    }
}
