//! JSON request bodies.

use crate::error_response::ErrorResponse;
use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use longhaul_api::ApiError;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::time::Duration;

/// Maximum size of a request body, in bytes.
pub(crate) const MAX_BODY_BYTES: usize = 1024 * 1024;
/// Time limit for receiving a request body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Maximum nesting depth of lists and objects in a request body. It allows for the maximum depth of caller-defined JSON
/// plus the objects around that JSON.
const MAX_JSON_DEPTH: usize = 66;

/// Paths of the nested objects in request bodies.
const OBJECTS: &[&str] = &[
    "/command",
    "/command/environment",
    "/command/output",
    "/command/limits",
    "/command/ready_when",
    "/reported",
    "/retry",
];

/// Path of the list of objects in request bodies.
const WATCHED: &str = "/command/watch";

/// Names of the fields that contain caller-defined JSON, which is stored unchanged.
const VERBATIM: &[&str] = &["metadata", "result"];
/// Upper limit (2^53) up to which a float represents every integer exactly.
const MAX_EXACT_INTEGER: f64 = 9_007_199_254_740_992.0;

/// Help for a launch whose command is a line of shell.
const COMMAND_LINE_HELP: &str = "send {\"command\": {\"program\": …, \"args\": […], \"directory\": …}}; for a command line, send \
                                 {\"agent\": \"shell\", \"prompt\": \"…\"}, which is executed by /bin/sh";

/// Extractor for a JSON request body. An empty body is treated as an empty object.
#[derive(Debug)]
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = ErrorResponse;

    async fn from_request(request: Request, _: &S) -> Result<Self, ErrorResponse> {
        check_type(request.headers())?;
        let announced = request
            .headers()
            .get(CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok())
            .and_then(|length| length.parse::<u64>().ok());
        if announced.is_some_and(|length| length > MAX_BODY_BYTES as u64) {
            return Err(too_large().into());
        }
        let bytes =
            tokio::time::timeout(BODY_TIMEOUT, whole(request.into_body())).await.map_err(|_| {
                ApiError::new(408, "invalid_request", "the body of the request did not arrive in time")
            })??;
        let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        Ok(Self(read(text)?))
    }
}

/// Refuses bodies whose content type is not JSON. This protects against web pages: without permission, a page can send
/// forms and plain text to any address, but not JSON.
fn check_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let mut kinds = headers.get_all(CONTENT_TYPE).iter();
    let Some(kind) = kinds.next() else { return Ok(()) };
    let kind = kind.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if kinds.next().is_none() && kind.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(ApiError::new(415, "unsupported_media_type", "the body of a request must be JSON")
        .because(format!("the content type is {kind:?}"))
        .help("send `content-type: application/json`"))
}

pub(crate) fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T, ApiError> {
    let unreadable = |why: String| {
        ApiError::new(400, "invalid_request", "the body of the request cannot be read").because(why)
    };
    if text.trim_ascii_start().first() != Some(&b'{') {
        return Err(unreadable("the value is not a JSON object".to_owned()));
    }
    if is_deeper(text, MAX_JSON_DEPTH) {
        return Err(unreadable(format!("the JSON is nested deeper than {MAX_JSON_DEPTH} levels")));
    }
    let value = match serde_json::from_slice(text) {
        Ok(value) => value,
        Err(error) => with_whole_numbers(text, &error.to_string()).ok_or_else(|| {
            let problem = unreadable(error.to_string());
            if has_command_line(text) { problem.help(COMMAND_LINE_HELP) } else { problem }
        })?,
    };
    // serde would accept a list in place of an object and assign the elements to the fields in order. The order of
    // fields is not part of the API, so such lists are refused.
    let whole: Value = serde_json::from_slice(text).map_err(|error| unreadable(error.to_string()))?;
    let is_list = |place: &str| whole.pointer(place).is_some_and(Value::is_array);
    let misread = OBJECTS.iter().copied().find(|place| is_list(place)).or_else(|| {
        let each = whole.pointer(WATCHED).and_then(Value::as_array);
        each.is_some_and(|each| each.iter().any(Value::is_array)).then_some(WATCHED)
    });
    match misread {
        None => Ok(value),
        Some(place) => {
            Err(unreadable(format!("{} contains a list instead of an object", place.trim_start_matches('/'))))
        }
    }
}

/// Returns true if the command of a launch is a text instead of an object with program and arguments.
fn has_command_line(text: &[u8]) -> bool {
    let body: Option<Value> = serde_json::from_slice(text).ok();
    body.is_some_and(|body| body.get("command").is_some_and(Value::is_string))
}

/// Parses a body again if the first attempt failed because of a float, such as 6.0, in place of an integer. In JSON,
/// both are the same number. Returns `None` if the first attempt failed for another reason.
fn with_whole_numbers<T: DeserializeOwned>(text: &[u8], error: &str) -> Option<T> {
    if !error.contains("floating point") {
        return None;
    }
    let mut body: Value = serde_json::from_slice(text).ok()?;
    for (field, value) in body.as_object_mut()? {
        // Caller-defined JSON must not be changed.
        if !VERBATIM.contains(&field.as_str()) {
            make_whole(value);
        }
    }
    serde_json::from_value(body).ok()
}

fn make_whole(value: &mut Value) {
    match value {
        Value::Number(number) => {
            let whole = number.as_f64().filter(|float| number.is_f64() && float.fract() == 0.0);
            // Beyond 2^53, a float does not identify a single integer.
            let whole = whole.filter(|float| float.abs() <= MAX_EXACT_INTEGER);
            #[expect(clippy::cast_possible_truncation, reason = "it must be an integer of at most 2^53")]
            if let Some(float) = whole {
                *number = (float as i64).into();
            }
        }
        Value::Array(values) => values.iter_mut().for_each(make_whole),
        Value::Object(fields) => fields.values_mut().for_each(make_whole),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// Returns true if lists and objects are nested more than `limit` levels deep. Only brackets and strings are
/// recognized; the JSON is not validated.
fn is_deeper(text: &[u8], limit: usize) -> bool {
    let mut open = 0_usize;
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'{' | b'[' => open += 1,
            b'}' | b']' => open = open.saturating_sub(1),
            b'"' => skip_string(&mut bytes),
            _ => {}
        }
        if open > limit {
            return true;
        }
    }
    false
}

fn skip_string<'a>(bytes: &mut impl Iterator<Item = &'a u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
}

pub(crate) async fn whole(body: Body) -> Result<Vec<u8>, ApiError> {
    match Limited::new(body, MAX_BODY_BYTES).collect().await {
        Ok(collected) => Ok(collected.to_bytes().into()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(error) => Err(ApiError::new(400, "invalid_request", "the body of the request ended early")
            .because(error.to_string())),
    }
}

fn too_large() -> ApiError {
    ApiError::new(
        413,
        "payload_too_large",
        format!("the body of a request may have at most {MAX_BODY_BYTES} bytes"),
    )
    .help("put large inputs in a file that the command reads")
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_wire::api::LaunchRequest;

    #[test]
    fn whole_number_may_be_written_with_a_fraction_of_zero() {
        let read = |text: &str| read::<LaunchRequest>(text.as_bytes());
        let body = r#"{"priority": 6.0, "command": {"timeout_ms": 5e3}, "metadata": {"a": 6.0}}"#;
        let request = read(body).unwrap();
        assert_eq!((request.priority, request.command.unwrap().timeout_ms), (Some(6), 5_000));
        assert_eq!(request.metadata.unwrap().to_string(), r#"{"a":6.0}"#);
        for wrong in [r#"{"priority": 6.5}"#, r#"{"delay_ms": -1.0}"#, r#"{"delay_ms": 1e300}"#] {
            assert_eq!(read(wrong).unwrap_err().problem().slug, "invalid_request", "{wrong}");
        }
    }

    #[test]
    fn command_line_in_place_of_a_command_is_refused_with_the_way_to_run_it() {
        let help = |text: &[u8]| read::<LaunchRequest>(text).unwrap_err().problem().help.clone();
        let advice = help(br#"{"command": "echo hi"}"#).unwrap();
        assert!(advice.contains(r#"{"agent": "shell", "prompt": "…"}"#), "{advice}");
        assert_eq!(help(br#"{"command": 7}"#), None);
    }

    #[test]
    fn depth_counts_open_brackets_outside_of_strings() {
        assert!(!is_deeper(br#"{"a":[[],[],{}],"b":"[[[[{\"[["}"#, 3));
        assert!(is_deeper(br#"{"a":[[1]]}"#, 2));
        assert!(is_deeper(&b"[".repeat(500_000), MAX_JSON_DEPTH));
        assert!(!is_deeper(b"]]]]\"", 0));
    }
}
