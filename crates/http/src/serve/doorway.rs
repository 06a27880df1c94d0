//! What stands between a network connection and the routes.

use crate::guard::{Access, Door, Guard, MCP, MCP_LARGEST, Turned};
use crate::serve::crowd::{Place, Work};
use crate::serve::network::PATIENCE;
use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::request::Parts;
use axum::http::{Request, Response};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// What stands between a network connection and the routes.
#[derive(Clone, Debug)]
pub(super) struct Doorway {
    pub(super) guard: Arc<Guard>,
    pub(super) door: Door,
    pub(super) control: Router,
    pub(super) reading: Router,
    /// Tells why nothing else is told.
    pub(super) turning: Router,
    pub(super) place: Arc<Place>,
}

impl Doorway {
    /// Answers, or turns away.
    pub(super) async fn answer(self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        let (head, body) = request.into_parts();
        let access = match self.guard.check(&head, self.door) {
            Ok(access) => access,
            Err(turned) => {
                tracing::debug!(?turned, door = %self.door.local, "a request was turned away");
                // One whose token is good is no stranger, whatever else is wrong.
                let work = (!turned.is_stranger()).then(|| self.place.work());
                return self.turn(head, turned, work).await;
            }
        };
        let work = self.place.work();
        let body = match head.uri.path() {
            MCP => whole(body).await,
            _ => Ok(Body::new(body)),
        };
        let body = match body {
            Ok(body) => body,
            Err(turned) => return self.turn(head, turned, Some(work)).await,
        };
        let router = match access {
            Access::Control => self.control,
            Access::ReadOnly => self.reading,
        };
        let answer = TowerToHyperService::new(router).call(Request::from_parts(head, body)).await?;
        Ok(holding(answer, Some(work)))
    }

    /// Tells why nothing else is told.
    async fn turn(
        self,
        mut head: Parts,
        turned: Turned,
        work: Option<Work>,
    ) -> Result<Response<Body>, Infallible> {
        head.extensions.insert(turned);
        let request = Request::from_parts(head, Body::empty());
        Ok(holding(TowerToHyperService::new(self.turning).call(request).await?, work))
    }
}

/// The whole body of a request, for a service that takes one that breaks off for a fault of its own.
async fn whole(body: Incoming) -> Result<Body, Turned> {
    let most = usize::try_from(MCP_LARGEST).unwrap_or(usize::MAX);
    match tokio::time::timeout(PATIENCE, Limited::new(body, most).collect()).await {
        Ok(Ok(body)) => Ok(Body::from(body.to_bytes())),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Turned::TooLarge { most: MCP_LARGEST }),
        Ok(Err(_)) => Err(Turned::Broken),
        Err(_) => Err(Turned::Late),
    }
}

/// The connection is at work until the last byte of the answer has been handed over.
fn holding(answer: Response<Body>, work: Option<Work>) -> Response<Body> {
    answer.map(|body| Body::new(Held { body, _work: work }))
}

/// A body that holds something until it is through.
struct Held {
    body: Body,
    _work: Option<Work>,
}

impl HttpBody for Held {
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
