//! Checks each network request before it reaches the routes.

use crate::guard::{
    Access, Guard, ListenerKind, MAX_BODY_BYTES, MAX_MCP_BODY_BYTES, MCP, RequestRejection, SignedBody,
    check_body,
};
use crate::json_rpc::{JsonRpcCall, NotJson};
use crate::serve::limiter::{ActiveRequest, ConnectionSlot};
use crate::serve::network::HEADER_TIMEOUT;
use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::header::{CONTENT_TYPE, EXPECT};
use axum::http::request::Parts;
use axum::http::{Method, Request, Response};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Maximum time for reading and discarding a request body that is not needed.
const BODY_DRAIN_TIMEOUT: Duration = Duration::from_millis(500);
/// Maximum number of bytes that are read from a request body that is not needed.
const BODY_DRAIN_LIMIT: usize = 64 * 1024;

/// Service for one network connection. It checks each request, then passes it to the routes or rejects it.
#[derive(Clone, Debug)]
pub(super) struct NetworkService {
    pub(super) guard: Arc<Guard>,
    pub(super) door: ListenerKind,
    pub(super) control: Router,
    pub(super) reading: Router,
    /// Router that answers a rejected request with the reason for the rejection.
    pub(super) turning: Router,
    pub(super) place: Arc<ConnectionSlot>,
}

impl NetworkService {
    /// Answers or rejects a request.
    pub(super) async fn answer(self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        let (head, body) = request.into_parts();
        match self.guard.admit_peer(&head) {
            None => {}
            Some(Ok(sealed)) => return self.answer_peer(head, body, sealed).await,
            Some(Err(turned)) => return self.reject_early(head, body, turned, None).await,
        }
        let access = match self.guard.admit(&head, self.door) {
            Ok(access) => access,
            Err(turned) => return self.reject_early(head, body, turned, None).await,
        };
        // A connection with a valid token counts as authenticated, even if the request is rejected for another reason.
        let Some(work) = self.place.work(access) else {
            return self.reject_early(head, body, RequestRejection::Crowded, None).await;
        };
        if let Err(turned) = access.check(&head) {
            return self.reject_early(head, body, turned, Some(work)).await;
        }
        let (body, call) = match head.uri.path() {
            MCP => {
                match whole(body, MAX_MCP_BODY_BYTES).await.and_then(|text| Ok((call(&head, &text)?, text))) {
                    Ok((call, text)) => (Body::from(text), call),
                    Err(turned) => return self.turn(head, turned, Some(work)).await,
                }
            }
            // No route reads the body of a GET or HEAD request. The body is still read to its end: if the connection
            // were closed while the client is sending, the client could not read the response.
            _ if [Method::GET, Method::HEAD].contains(&head.method) => {
                let_finish(&head, body).await;
                (Body::empty(), None)
            }
            _ => (Body::new(body), None),
        };
        let router = match access {
            Access::Control => self.control,
            Access::ReadOnly => self.reading,
        };
        let answer = TowerToHyperService::new(router).call(Request::from_parts(head, body)).await?;
        let answer = match call {
            Some(call) => call.answered(answer),
            None => answer,
        };
        Ok(holding(answer, Some(work)))
    }

    /// Answers a request from another node.
    async fn answer_peer(
        self,
        head: Parts,
        body: Incoming,
        sealed: SignedBody,
    ) -> Result<Response<Body>, Infallible> {
        let Some(work) = self.place.work(Access::Control) else {
            return self.reject_early(head, body, RequestRejection::Crowded, None).await;
        };
        if let Err(turned) = check_body(&head) {
            return self.reject_early(head, body, turned, Some(work)).await;
        }
        let text = match whole(body, MAX_BODY_BYTES).await.and_then(|text| sealed.check(&text).map(|()| text))
        {
            Ok(text) => text,
            Err(turned) => return self.turn(head, turned, Some(work)).await,
        };
        let request = Request::from_parts(head, Body::from(text));
        let answer = TowerToHyperService::new(self.control).call(request).await?;
        Ok(holding(answer, Some(work)))
    }

    /// Rejects a request whose body has not been read yet.
    async fn reject_early(
        self,
        head: Parts,
        body: Incoming,
        turned: RequestRejection,
        work: Option<ActiveRequest>,
    ) -> Result<Response<Body>, Infallible> {
        tracing::debug!(?turned, door = %self.door.local, "rejected a request");
        let_finish(&head, body).await;
        self.turn(head, turned, work).await
    }

    /// Rejects a request.
    async fn turn(
        self,
        mut head: Parts,
        turned: RequestRejection,
        work: Option<ActiveRequest>,
    ) -> Result<Response<Body>, Infallible> {
        head.extensions.insert(turned);
        let request = Request::from_parts(head, Body::empty());
        Ok(holding(TowerToHyperService::new(self.turning).call(request).await?, work))
    }
}

/// Reads and discards a request body that is not needed. If the connection were closed while the client is still
/// sending, the client could not read the response.
async fn let_finish(head: &Parts, body: Incoming) {
    // A client that sends `Expect: 100-continue` is still waiting for permission and has not sent its body.
    if !body.is_end_stream() && !head.headers.contains_key(EXPECT) {
        let _ =
            tokio::time::timeout(BODY_DRAIN_TIMEOUT, Limited::new(body, BODY_DRAIN_LIMIT).collect()).await;
    }
}

/// Reads the whole body of a request. Some services would otherwise report a body that ends early as their own failure.
async fn whole(body: Incoming, limit: u64) -> Result<Bytes, RequestRejection> {
    let length = usize::try_from(limit).unwrap_or(usize::MAX);
    match tokio::time::timeout(HEADER_TIMEOUT, Limited::new(body, length).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(RequestRejection::TooLarge { limit }),
        Ok(Err(_)) => Err(RequestRejection::Broken),
        Err(_) => Err(RequestRejection::Late),
    }
}

/// Parses the JSON-RPC call of a request. Returns `None` if the request is not a POST or has no content type.
fn call(head: &Parts, text: &[u8]) -> Result<Option<JsonRpcCall>, RequestRejection> {
    if head.method != Method::POST || !head.headers.contains_key(CONTENT_TYPE) {
        return Ok(None);
    }
    JsonRpcCall::read(text).map(Some).map_err(|NotJson| RequestRejection::Unreadable)
}

/// Keeps the connection marked as working until the whole response body has been sent.
fn holding(answer: Response<Body>, work: Option<ActiveRequest>) -> Response<Body> {
    answer.map(|body| Body::new(GuardedBody { body, _work: work }))
}

/// Response body that holds its [`ActiveRequest`] until it is dropped.
struct GuardedBody {
    body: Body,
    _work: Option<ActiveRequest>,
}

impl HttpBody for GuardedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
