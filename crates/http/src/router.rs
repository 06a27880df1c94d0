//! Which request goes where.

use crate::face::Face;
use crate::fault::Fault;
use crate::routes::{
    control, health, launch, level, list, output, queue, report, session, show, stats, upkeep, wait,
};
use axum::Router;
use axum::http::{HeaderName, HeaderValue, Method, Uri};
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::{get, post};
use longhaul_wire::api::{PROTOCOL, PROTOCOL_HEADER};

/// The header in which every answer names the version of the program.
const VERSION_HEADER: HeaderName = HeaderName::from_static("longhaul-version");

/// Builds the routes of the API over an engine.
pub fn router(face: Face) -> Router {
    Router::new()
        .route("/v1/processes", post(launch::launch).get(list::list))
        .route("/v1/processes/{reference}", get(show::show).patch(report::update))
        .route("/v1/processes/{reference}/cancel", post(control::cancel))
        .route("/v1/processes/{reference}/pause", post(control::pause))
        .route("/v1/processes/{reference}/resume", post(control::resume))
        .route("/v1/processes/{reference}/priority", post(control::priority))
        .route("/v1/processes/{reference}/retry", post(control::retry))
        .route("/v1/processes/{reference}/restart", post(control::restart))
        .route("/v1/processes/{reference}/complete", post(report::complete))
        .route("/v1/processes/{reference}/fail", post(report::fail))
        .route("/v1/processes/{reference}/output", get(output::output))
        .route("/v1/processes/{reference}/usage", get(show::usage))
        .route("/v1/processes/{reference}/why", get(show::why))
        .route("/v1/processes/{reference}/tree", get(show::tree))
        .route("/v1/cancel", post(level::cancel))
        .route("/v1/queues", get(queue::list))
        .route("/v1/queues/{key}", get(queue::show).patch(queue::change))
        .route("/v1/sessions/{id}", get(session::show))
        .route("/v1/sessions/{id}/end", post(session::end))
        .route("/v1/stats", get(stats::stats))
        .route("/v1/prune", post(upkeep::prune))
        .route("/v1/clear", post(upkeep::clear))
        .route("/v1/restart-interrupted", post(upkeep::restart_interrupted))
        .route("/v1/wait", get(wait::wait))
        .route("/v1/version", get(health::version))
        .route("/v1/health", get(health::health))
        .fallback(unknown_route)
        .method_not_allowed_fallback(unknown_method)
        .with_state(face)
        .layer(map_response(named_protocol))
}

async fn unknown_route(uri: Uri) -> Fault {
    Fault::new(404, "not_found", format!("there is nothing at {}", uri.path()))
        .help("the routes of this version begin with /v1: see GET /v1/version")
}

async fn unknown_method(method: Method, uri: Uri) -> Fault {
    Fault::new(405, "method_not_allowed", format!("{} does not take {method}", uri.path()))
}

/// Puts the versions of the protocol and of the program on every answer, refusals included.
pub(crate) async fn named_protocol(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(HeaderName::from_static(PROTOCOL_HEADER), HeaderValue::from(PROTOCOL));
    headers.insert(VERSION_HEADER, HeaderValue::from_static(env!("CARGO_PKG_VERSION")));
    response
}
