//! Who answers, and that it does.

use crate::face::Face;
use crate::reply::Reply;
use axum::extract::State;
use longhaul_wire::api::{Health, Version};

/// `GET /v1/version`.
pub(crate) async fn version(State(face): State<Face>) -> Reply<Version> {
    Reply::ok(face.about.as_ref().clone())
}

/// `GET /v1/health`.
pub(crate) async fn health(State(face): State<Face>) -> Reply<Health> {
    let swept = face.engine.swept();
    Reply::ok(Health { status: "ok".to_owned(), swept, retention: face.retention })
}
