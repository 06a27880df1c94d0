//! Routes that list artifacts and return their content.

use crate::api_handle::ApiHandle;
use crate::error_response::ErrorResponse;
use crate::query::QueryString;
use crate::reference::PathReference;
use crate::reply::JsonReply;
use crate::route::{ParameterLocation, Route};
use axum::body::Body;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::HeaderValue;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS,
};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use longhaul_api::{ApiError, ArtifactQuery};
use longhaul_wire::api::ArtifactsView;
use serde_json::json;

const MEDIA_TYPE: &str = "application/octet-stream";

pub(crate) fn entries() -> Vec<Route> {
    let attempt = || json!({ "type": "integer", "minimum": 1, "maximum": u32::MAX });
    let about_attempt = "Artifacts of this attempt; default: the latest attempt";
    vec![
        Route::get("/v1/processes/{reference}/artifacts", list)
            .named("list_artifacts", "Lists the files that were copied when an attempt ended")
            .parameter(ParameterLocation::Query, "attempt", about_attempt, attempt())
            .answers::<ArtifactsView>(200, "Artifacts of the attempt"),
        Route::get("/v1/processes/{reference}/artifacts/{*path}", content)
            .named("read_artifact", "Returns the content of an artifact")
            .parameter(ParameterLocation::Query, "attempt", about_attempt, attempt())
            .parameter(
                ParameterLocation::Query,
                "from",
                "Offset of the first byte to return",
                json!({ "type": "integer", "minimum": 0, "maximum": u64::MAX }),
            )
            .answers_raw(200, "Content of the file", &[MEDIA_TYPE]),
    ]
}

/// `GET /v1/processes/{ref}/artifacts`: lists the artifacts of an attempt.
async fn list(
    ApiHandle(api): ApiHandle,
    PathReference(reference): PathReference,
    query: QueryString,
) -> Result<JsonReply<ArtifactsView>, ErrorResponse> {
    query.only(&["attempt"])?;
    Ok(JsonReply::ok(api.artifacts(&reference, query.read("attempt")?).await?))
}

/// `GET /v1/processes/{ref}/artifacts/{path}`: returns the content of an artifact.
///
/// The command of the process wrote the content. A browser must therefore not guess the type of the content and not
/// display the content, because the content could be a malicious web page.
async fn content(
    ApiHandle(api): ApiHandle,
    path: Result<Path<(String, String)>, PathRejection>,
    query: QueryString,
) -> Result<Response, ErrorResponse> {
    let Path((reference, path)) = path.map_err(|error| ApiError::invalid("path", error.body_text()))?;
    query.only(&["attempt", "from"])?;
    let from = query.read("from")?.unwrap_or(0_u64);
    let asked = ArtifactQuery { path, attempt: query.read("attempt")?, from };
    let mut reader = api.open_artifact(&reference, asked).await?;
    let length = reader.size().map(|size| size.saturating_sub(from));
    let first = reader.next().await?;
    let parts = stream::try_unfold((reader, first), |(mut reader, ready)| async move {
        let part = match ready {
            Some(part) => Some(part),
            None => reader
                .next()
                .await
                .inspect_err(|error| tracing::warn!(%error, "the transfer of an artifact was interrupted"))?,
        };
        Ok::<_, ApiError>(part.map(|part| (part, (reader, None))))
    });
    let head = [
        (CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE)),
        (CONTENT_DISPOSITION, HeaderValue::from_static("attachment")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    let mut response = (head, Body::from_stream(parts)).into_response();
    if let Some(length) = length {
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Ok(response)
}
