//! Who answers, and that it does.

use crate::entry::Entry;
use crate::refused::Refused;
use crate::reply::Reply;
use axum::extract::State;
use longhaul_api::Api;
use longhaul_wire::api::{Health, Ready, Version};

pub(crate) fn entries() -> Vec<Entry> {
    vec![
        Entry::get("/v1/version", version)
            .named("show_version", "Tells who answers")
            .answers::<Version>(200, "Who answers"),
        Entry::get("/v1/health", health)
            .named("check_health", "Tells that the manager answers, and what it lets go")
            .answers::<Health>(200, "It answers"),
        Entry::get("/v1/ready", ready)
            .named("check_readiness", "Tells whether the manager can do its work: its store answers in time")
            .answers::<Ready>(200, "It can"),
    ]
}

/// `GET /v1/version`.
async fn version(State(api): State<Api>) -> Reply<Version> {
    Reply::ok(api.version())
}

/// `GET /v1/health`.
async fn health(State(api): State<Api>) -> Reply<Health> {
    Reply::ok(api.health())
}

/// `GET /v1/ready`.
async fn ready(State(api): State<Api>) -> Result<Reply<Ready>, Refused> {
    Ok(Reply::ok(api.ready().await?))
}
