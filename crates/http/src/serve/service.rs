//! What stands between a network connection and the routes.

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

/// How long a client whose body is not wanted may go on with it.
const BODY_DRAIN_TIMEOUT: Duration = Duration::from_millis(500);
/// So much of it is read, in bytes.
const BODY_DRAIN_LIMIT: usize = 64 * 1024;

/// What stands between a network connection and the routes.
#[derive(Clone, Debug)]
pub(super) struct NetworkService {
    pub(super) guard: Arc<Guard>,
    pub(super) door: ListenerKind,
    pub(super) control: Router,
    pub(super) reading: Router,
    /// Tells why nothing else is told.
    pub(super) turning: Router,
    pub(super) place: Arc<ConnectionSlot>,
}

impl NetworkService {
    /// Answers, or turns away.
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
        // One whose token is good is no stranger, whatever else is wrong.
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
            // Nobody reads what comes with a question, and a connection that breaks on it takes the answer along.
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

    /// Answers another node.
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

    /// Tells why nothing else is told, before the body has been read.
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

    /// Tells why nothing else is told.
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

/// Lets a client finish whose body is not wanted: it could not read its answer if its connection broke while it still
/// sends.
async fn let_finish(head: &Parts, body: Incoming) {
    // Who asks first whether its body is wanted sends none.
    if !body.is_end_stream() && !head.headers.contains_key(EXPECT) {
        let _ =
            tokio::time::timeout(BODY_DRAIN_TIMEOUT, Limited::new(body, BODY_DRAIN_LIMIT).collect()).await;
    }
}

/// The whole body of a request, for a service that takes one that breaks off for a fault of its own.
async fn whole(body: Incoming, most: u64) -> Result<Bytes, RequestRejection> {
    let length = usize::try_from(most).unwrap_or(usize::MAX);
    match tokio::time::timeout(HEADER_TIMEOUT, Limited::new(body, length).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(RequestRejection::TooLarge { most }),
        Ok(Err(_)) => Err(RequestRejection::Broken),
        Err(_) => Err(RequestRejection::Late),
    }
}

/// The call that a request is; none if it is none, or does not say that it is JSON.
fn call(head: &Parts, text: &[u8]) -> Result<Option<JsonRpcCall>, RequestRejection> {
    if head.method != Method::POST || !head.headers.contains_key(CONTENT_TYPE) {
        return Ok(None);
    }
    JsonRpcCall::read(text).map(Some).map_err(|NotJson| RequestRejection::Unreadable)
}

/// The connection is at work until the last byte of the answer has been handed over.
fn holding(answer: Response<Body>, work: Option<ActiveRequest>) -> Response<Body> {
    answer.map(|body| Body::new(GuardedBody { body, _work: work }))
}

/// A body that holds something until it is through.
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
