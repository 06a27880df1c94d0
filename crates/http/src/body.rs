//! Requests in JSON.

use crate::fault::Fault;
use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_LENGTH;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::time::Duration;

/// The most bytes of a request body.
pub(crate) const LARGEST: usize = 1024 * 1024;
/// A body that is not there by then never comes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where requests have objects inside.
const OBJECTS: &[&str] =
    &["/command", "/command/environment", "/command/output", "/command/limits", "/reported", "/retry"];

/// A request body in JSON; an empty one counts as an empty object.
#[derive(Debug)]
pub(crate) struct Ask<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Ask<T> {
    type Rejection = Fault;

    async fn from_request(request: Request, _: &S) -> Result<Self, Fault> {
        let announced = request
            .headers()
            .get(CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok())
            .and_then(|length| length.parse::<u64>().ok());
        if announced.is_some_and(|length| length > LARGEST as u64) {
            return Err(too_large());
        }
        let bytes = tokio::time::timeout(PATIENCE, whole(request.into_body()))
            .await
            .map_err(|_| Fault::new(408, "invalid_request", "the body of the request did not come"))??;
        let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        read(text).map(Self)
    }
}

fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T, Fault> {
    let unreadable = |why: String| {
        Fault::new(400, "invalid_request", "the body of the request cannot be read").because(why)
    };
    if text.trim_ascii_start().first() != Some(&b'{') {
        return Err(unreadable("it is no JSON object".to_owned()));
    }
    let value = serde_json::from_slice(text).map_err(|error| unreadable(error.to_string()))?;
    // A list is taken for an object with its fields in order, whose order nobody promises.
    let whole: Value = serde_json::from_slice(text).map_err(|error| unreadable(error.to_string()))?;
    match OBJECTS.iter().find(|place| whole.pointer(place).is_some_and(Value::is_array)) {
        None => Ok(value),
        Some(place) => Err(unreadable(format!("{} is a list and no object", place.trim_start_matches('/')))),
    }
}

async fn whole(body: Body) -> Result<Vec<u8>, Fault> {
    match Limited::new(body, LARGEST).collect().await {
        Ok(collected) => Ok(collected.to_bytes().into()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(error) => Err(Fault::new(400, "invalid_request", "the body of the request broke off")
            .because(error.to_string())),
    }
}

fn too_large() -> Fault {
    Fault::new(413, "payload_too_large", format!("the body of a request may have {LARGEST} bytes"))
        .help("large inputs belong into a file that the command reads")
}
