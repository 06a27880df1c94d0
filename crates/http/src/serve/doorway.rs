//! What stands between a network connection and the routes.

use crate::guard::{Access, Door, Guard, MCP, MCP_LARGEST};
use crate::serve::crowd::{Place, Work};
use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::{Request, Response};
use http_body_util::Limited;
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
        let is_mcp = head.uri.path() == MCP;
        let checked = self.guard.check(&head, self.door);
        let mut request = Request::from_parts(head, body);
        let (router, work) = match checked {
            Ok(Access::Control) => (self.control, Some(self.place.work())),
            Ok(Access::ReadOnly) => (self.reading, Some(self.place.work())),
            Err(turned) => {
                tracing::debug!(?turned, door = %self.door.local, "a request was turned away");
                request.extensions_mut().insert(turned);
                // One whose token is good is no stranger, whatever else is wrong.
                (self.turning, (!turned.is_stranger()).then(|| self.place.work()))
            }
        };
        let request = request.map(|body| match is_mcp {
            true => Body::new(Limited::new(body, usize::try_from(MCP_LARGEST).unwrap_or(usize::MAX))),
            false => Body::new(body),
        });
        Ok(holding(TowerToHyperService::new(router).call(request).await?, work))
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
