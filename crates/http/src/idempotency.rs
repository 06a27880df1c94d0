//! Replays a stored response if a request is repeated with the same `Idempotency-Key`.

use crate::body::whole;
use crate::error_response::ErrorResponse;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use longhaul_api::ApiError;
use longhaul_wire::api::Problem;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

/// Request header with the idempotency key, which allows the client to repeat the request.
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Response header that marks a replayed response.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Maximum number of cached responses.
const MAX_RESPONSES: usize = 256;
/// Maximum length of a key, in bytes. A launch key has the same limit.
const MAX_KEY_LEN: usize = longhaul_domain::MAX_NAME_LEN;

/// Extractor for the `Idempotency-Key` of a request; `None` if the request has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IdempotencyKey(pub(crate) Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = ErrorResponse;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ErrorResponse> {
        Ok(Self(key(&parts.headers)?))
    }
}

/// Cached responses of the routes that create a process or another resource, by idempotency key. The cache is in memory
/// and is lost when the manager exits. The store provides the permanent protection against duplicates.
#[derive(Clone, Debug, Default)]
pub(crate) struct IdempotencyCache {
    hasher: RandomState,
    kept: Arc<Mutex<ReplayMap>>,
}

#[derive(Debug, Default)]
struct ReplayMap {
    slots: HashMap<String, ReplaySlot>,
    /// Keys in order of age, oldest first.
    order: VecDeque<String>,
}

#[derive(Debug)]
struct ReplaySlot {
    /// Hash of the path, query and body of the request that was sent with the key.
    request: u64,
    /// Stored response; `None` while the first request is still being answered.
    answer: Option<SavedResponse>,
}

#[derive(Clone, Debug)]
struct SavedResponse {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    /// Problem document of an error response. It is stored separately because each replay gets its own request id.
    problem: Option<Problem>,
}

/// Middleware that replays the stored response if the same request has already been answered. Requests without an
/// idempotency key are passed on unchanged.
pub(crate) async fn replayed(
    State(replays): State<IdempotencyCache>,
    request: Request,
    next: Next,
) -> Result<Response, ErrorResponse> {
    let Some(key) = key(request.headers())? else { return Ok(next.run(request).await) };
    let (head, body) = request.into_parts();
    let body = whole(body).await?;
    let asked = replays.hasher.hash_one((head.uri.path(), head.uri.query(), &body));
    if let Some(saved) = replays.begin(&key, asked)? {
        return Ok(saved.into_response());
    }
    let request = Request::from_parts(head, Body::from(body));
    // The request is processed to its end even if its client disconnects, so that the response is stored when the
    // client retries.
    let run = tokio::spawn(async move {
        let _end = ReplayGuard { replays: replays.clone(), key: key.clone() };
        let saved = SavedResponse::of(next.run(request).await).await;
        replays.finish(&key, &saved);
        saved
    });
    let saved = run.await.map_err(|error| {
        ApiError::new(500, "internal", "the request received no reply").because(error.to_string())
    })?;
    Ok(saved.into_response())
}

impl IdempotencyCache {
    /// Returns the stored response for the key. Returns `None` if the key is new; the caller must then create the
    /// response.
    ///
    /// # Errors
    /// Fails with 422 if the key was used with another request, and with 409 if the first request is still being
    /// answered.
    fn begin(&self, key: &str, request: u64) -> Result<Option<SavedResponse>, ApiError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        match kept.slots.get(key) {
            None => {
                kept.slots.insert(key.to_owned(), ReplaySlot { request, answer: None });
                kept.order.push_back(key.to_owned());
                while kept.order.len() > MAX_RESPONSES {
                    if let Some(oldest) = kept.order.pop_front() {
                        kept.slots.remove(&oldest);
                    }
                }
                Ok(None)
            }
            Some(slot) if slot.request != request => Err(reused()),
            Some(ReplaySlot { answer: Some(saved), .. }) => {
                let mut saved = saved.clone();
                saved.headers.insert(REPLAYED, HeaderValue::from_static("true"));
                Ok(Some(saved))
            }
            Some(ReplaySlot { answer: None, .. }) => Err(ApiError::new(
                409,
                "idempotency_key_in_use",
                "an identical request is still being processed",
            )
            .help("try again in a moment")),
        }
    }

    /// Stores a response. Server errors are not stored, so that a retry can succeed.
    fn finish(&self, key: &str, saved: &SavedResponse) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if saved.status.is_server_error() {
            return;
        }
        if let Some(slot) = kept.slots.get_mut(key) {
            slot.answer = Some(saved.clone());
        }
    }

    /// Removes a key that has no stored response.
    fn give_up(&self, key: &str) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.slots.get(key).is_some_and(|slot| slot.answer.is_none()) {
            kept.slots.remove(key);
            kept.order.retain(|other| other != key);
        }
    }
}

/// Guard that removes the key if its request ends without a stored response, for example after a panic.
struct ReplayGuard {
    replays: IdempotencyCache,
    key: String,
}

impl Drop for ReplayGuard {
    fn drop(&mut self) {
        self.replays.give_up(&self.key);
    }
}

impl SavedResponse {
    async fn of(response: Response) -> Self {
        let (mut head, body) = response.into_parts();
        // The responses of these routes are not streamed: they are already complete in memory.
        let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let problem = head.extensions.remove::<Problem>();
        Self { status: head.status, headers: head.headers, body, problem }
    }
}

impl IntoResponse for SavedResponse {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.headers, self.body).into_response();
        if let Some(problem) = self.problem {
            response.extensions_mut().insert(problem);
        }
        response
    }
}

/// Converts the error for conflicting launch keys to the error for a reused `Idempotency-Key`. Other errors stay
/// unchanged.
pub(crate) fn of_key(fault: ApiError) -> ApiError {
    match fault.problem().slug.as_str() {
        "key_conflict" => fault.of_kind(422, &reused().problem().slug),
        _ => fault,
    }
}

/// Builds the error for a key that was already used with another request.
fn reused() -> ApiError {
    ApiError::new(422, "idempotency_key_reused", "the Idempotency-Key was already used for another request")
        .because("a key may be used again only with an identical request")
        .help("use a new key for another request")
}

/// Reads the idempotency key of a request. The key may be a quoted string, as in the IETF draft, or bare text.
fn key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let mut all = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = all.next() else { return Ok(None) };
    let invalid = |why: &str| ApiError::invalid("Idempotency-Key", why);
    if all.next().is_some() {
        return Err(invalid("the header is given twice"));
    }
    let text = value.to_str().map_err(|_| invalid("the header is not plain text"))?.trim();
    let text = match text.strip_prefix('"') {
        Some(rest) => {
            rest.strip_suffix('"').ok_or_else(|| invalid("the closing quotation mark is missing"))?
        }
        None => text,
    };
    if text.is_empty() || text.len() > MAX_KEY_LEN {
        return Err(invalid(&format!("the key must have 1 to {MAX_KEY_LEN} bytes")));
    }
    if text.contains(['"', '\\']) || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(invalid("the key contains a space, a quotation mark or a backslash"));
    }
    Ok(Some(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_comes_quoted_or_bare_and_once() {
        let read = |texts: &[&str]| {
            let values = texts.iter().map(|text| (IDEMPOTENCY_KEY, HeaderValue::from_str(text).unwrap()));
            key(&values.collect())
        };
        assert_eq!(read(&[]).unwrap(), None);
        assert_eq!(read(&["\"a-7\""]).unwrap().as_deref(), Some("a-7"));
        assert_eq!(read(&["a-7"]).unwrap().as_deref(), Some("a-7"));
        let long = "x".repeat(129);
        for refused in [&[""][..], &["\"\""], &["\"a"], &["a b"], &["a\"b"], &[&long], &["a", "a"]] {
            assert!(read(refused).is_err(), "{refused:?}");
        }
    }

    #[test]
    fn oldest_answers_go_first() {
        let replays = IdempotencyCache::default();
        let fine = saved(StatusCode::OK);
        for number in 0..=MAX_RESPONSES {
            let key = number.to_string();
            assert!(replays.begin(&key, 1).unwrap().is_none());
            replays.finish(&key, &fine);
        }
        assert!(replays.begin("1", 1).unwrap().is_some());
        assert!(replays.begin("0", 1).unwrap().is_none());
        assert_eq!(replays.kept.lock().unwrap().slots.len(), MAX_RESPONSES);
    }

    #[test]
    fn key_is_in_use_until_its_answer_and_free_again_without_one() {
        let replays = IdempotencyCache::default();
        assert!(replays.begin("k", 1).unwrap().is_none());
        assert_eq!(replays.begin("k", 1).unwrap_err().problem().slug, "idempotency_key_in_use");
        assert_eq!(replays.begin("k", 2).unwrap_err().problem().slug, "idempotency_key_reused");
        replays.finish("k", &saved(StatusCode::SERVICE_UNAVAILABLE));
        replays.give_up("k");
        assert!(replays.begin("k", 2).unwrap().is_none());
    }

    fn saved(status: StatusCode) -> SavedResponse {
        SavedResponse { status, headers: HeaderMap::new(), body: Bytes::new(), problem: None }
    }
}
