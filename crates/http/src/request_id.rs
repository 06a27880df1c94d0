//! Request ids. They connect the response, the problem document and the log lines of one request.

use axum::extract::Request;
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use longhaul_wire::api::Problem;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use tracing::Instrument;

/// Header that carries the request id, in requests and responses.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Maximum length of a request id that the client may choose, in bytes.
const MAX_ID_LEN: usize = 128;

/// Next id to generate. The counter starts at a random number, so that the ids of two managers differ.
static NEXT: LazyLock<AtomicU64> =
    LazyLock::new(|| AtomicU64::new(RandomState::new().build_hasher().finish()));

/// Assigns an id to every request, or uses the id that the client sent. The id appears in a response header, in the
/// problem document and in the log.
pub(crate) async fn identified(request: Request, next: Next) -> Response {
    let id = given(request.headers()).unwrap_or_else(made);
    let text = id.to_str().unwrap_or_default().to_owned();
    let span = tracing::debug_span!(
        "request",
        id = text,
        method = %request.method(),
        path = request.uri().path(),
        status = tracing::field::Empty,
    );
    let mut response = next.run(request).instrument(span.clone()).await;
    span.record("status", response.status().as_u16());
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        let instance = Some(format!("urn:longhaul:request:{text}"));
        if let Ok(body) = serde_json::to_vec(&Problem { instance, request_id: Some(text), ..problem }) {
            *response.body_mut() = body.into();
            response.headers_mut().remove(CONTENT_LENGTH);
        }
    }
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// Returns the request id that the client sent. Returns `None` if the header is missing, repeated or too long, or if it
/// contains bytes that are not visible ASCII.
fn given(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut all = headers.get_all(REQUEST_ID).iter();
    let id = all.next().filter(|_| all.next().is_none())?;
    let is_fine = (1..=MAX_ID_LEN).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic);
    is_fine.then(|| id.clone())
}

/// Generates an id that no other request to this manager has.
pub(crate) fn made() -> HeaderValue {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    HeaderValue::from_str(&format!("{number:016x}")).unwrap_or(HeaderValue::from_static("unknown"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_is_taken_over_only_if_it_is_short_and_visible() {
        let with = |ids: &[&[u8]]| {
            let values = ids.iter().map(|id| (REQUEST_ID, HeaderValue::from_bytes(id).unwrap()));
            given(&values.collect()).is_some()
        };
        assert!(with(&[b"job-7/try{2}"]));
        assert!(with(&[&[b'x'; 128]]));
        let refused: [&[&[u8]]; 6] =
            [&[], &[b""], &[b"a b"], &[&[b'x'; 129]], &["\u{e9}".as_bytes()], &[b"a", b"b"]];
        for ids in refused {
            assert!(!with(ids), "{ids:?}");
        }
    }

    #[test]
    fn no_two_made_ids_are_alike() {
        assert_ne!(made(), made());
    }
}
