//! Who answers, and that it does.

use crate::face::Face;
use crate::reply::Reply;
use axum::extract::State;
use longhaul_wire::api::Version;
use serde_json::{Value, json};

/// `GET /v1/version`.
pub(crate) async fn version(State(face): State<Face>) -> Reply<Version> {
    Reply::ok(face.about.as_ref().clone())
}

/// `GET /v1/health`.
pub(crate) async fn health() -> Reply<Value> {
    Reply::ok(json!({ "status": "ok" }))
}
