//! Requests that say by an `Idempotency-IdempotencyKey` that they are the same as one before.

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

/// The header of a request that may be sent again.
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The header of an answer that was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// So many answers are kept.
const MAX_RESPONSES: usize = 256;
/// The longest key, in bytes: that of a launch key.
const MAX_KEY_LEN: usize = longhaul_domain::MAX_NAME_LEN;

/// The `Idempotency-IdempotencyKey` of a request, if it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IdempotencyKey(pub(crate) Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = ErrorResponse;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ErrorResponse> {
        Ok(Self(key(&parts.headers)?))
    }
}

/// The answers of a route that makes something, by the keys of their requests. They live as long as the manager; what
/// must not be made twice is for the store to know.
#[derive(Clone, Debug, Default)]
pub(crate) struct IdempotencyCache {
    hasher: RandomState,
    kept: Arc<Mutex<ReplayMap>>,
}

#[derive(Debug, Default)]
struct ReplayMap {
    slots: HashMap<String, ReplaySlot>,
    /// Keys in the order in which they came.
    order: VecDeque<String>,
}

#[derive(Debug)]
struct ReplaySlot {
    /// What was asked for under the key.
    request: u64,
    /// The answer, once there is one.
    answer: Option<SavedResponse>,
}

#[derive(Clone, Debug)]
struct SavedResponse {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    /// What it says if it is a refusal: whoever gets it has a request id of his own.
    problem: Option<Problem>,
}

/// Answers a request that came before as it was answered then; one without a key is passed on.
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
    // It goes on without its client, so that the answer is there when the client asks again.
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
    /// The answer that was given before; none for whoever has to find it now.
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

    /// Keeps an answer; one that says that the manager failed is not worth keeping.
    fn finish(&self, key: &str, saved: &SavedResponse) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if saved.status.is_server_error() {
            return;
        }
        if let Some(slot) = kept.slots.get_mut(key) {
            slot.answer = Some(saved.clone());
        }
    }

    /// Lets go of a key whose request came to no answer.
    fn give_up(&self, key: &str) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.slots.get(key).is_some_and(|slot| slot.answer.is_none()) {
            kept.slots.remove(key);
            kept.order.retain(|other| other != key);
        }
    }
}

/// The end of a request, however it comes.
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
        // Answers of these routes are whole in memory already.
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

/// A launch key that stands for something else, said as of the `Idempotency-IdempotencyKey` that it came as.
pub(crate) fn of_key(fault: ApiError) -> ApiError {
    match fault.problem().slug.as_str() {
        "key_conflict" => fault.of_kind(422, &reused().problem().slug),
        _ => fault,
    }
}

/// A key that stands for another request.
fn reused() -> ApiError {
    ApiError::new(422, "idempotency_key_reused", "the Idempotency-Key was already used for another request")
        .because("a key may be used again only with an identical request")
        .help("use a new key for another request")
}

/// The key of a request: a quoted string as the draft has it, or the bare text.
fn key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let mut all = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = all.next() else { return Ok(None) };
    let invalid = |why: &str| ApiError::invalid("Idempotency-Key", why);
    if all.next().is_some() {
        return Err(invalid("the header is given twice"));
    }
    let text = value.to_str().map_err(|_| invalid("it is not plain text"))?.trim();
    let text = match text.strip_prefix('"') {
        Some(rest) => {
            rest.strip_suffix('"').ok_or_else(|| invalid("its closing quotation mark is missing"))?
        }
        None => text,
    };
    if text.is_empty() || text.len() > MAX_KEY_LEN {
        return Err(invalid(&format!("it must have 1 to {MAX_KEY_LEN} bytes")));
    }
    if text.contains(['"', '\\']) || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(invalid("it contains a space, a quotation mark or a backslash"));
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
