//! Route that returns metrics for Prometheus.

use crate::error_response::ErrorResponse;
use crate::route::Route;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use longhaul_api::Api;

/// Media type of the Prometheus text format.
const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(crate) fn entries() -> Vec<Route> {
    vec![
        Route::get("/metrics", metrics)
            .named("read_metrics", "Returns metrics of this manager in the text format of Prometheus")
            .answers_raw(200, "Metric families", &["text/plain"]),
    ]
}

/// `GET /metrics`: returns the metrics of this manager.
async fn metrics(State(api): State<Api>) -> Result<Response, ErrorResponse> {
    let text = api.metrics_text().await?;
    Ok(([(CONTENT_TYPE, MEDIA_TYPE)], text).into_response())
}
