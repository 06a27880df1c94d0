//! What is let go, and what is brought back.

use crate::body::Ask;
use crate::entry::Entry;
use crate::refused::Refused;
use crate::replay::Replays;
use crate::reply::Reply;
use axum::extract::State;
use longhaul_api::Api;
use longhaul_wire::api::{
    ClearReply, ClearRequest, PruneReply, PruneRequest, RestartInterruptedReply, RestartInterruptedRequest,
};

pub(crate) fn entries(replays: &Replays) -> Vec<Entry> {
    vec![
        Entry::post("/v1/prune", prune)
            .named("prune", "Lets ended records and their output go")
            .needs::<PruneRequest>()
            .answers::<PruneReply>(200, "What went, or would go"),
        Entry::post("/v1/clear", clear)
            .named("clear", "Stops everything and lets every record go")
            .needs::<ClearRequest>()
            .answers::<ClearReply>(200, "What was stopped and let go, or would be"),
        Entry::post("/v1/restart-interrupted", restart_interrupted)
            .named("restart_interrupted", "Runs interrupted work again")
            .replayed(replays)
            .takes::<RestartInterruptedRequest>()
            .answers::<RestartInterruptedReply>(200, "What runs again"),
    ]
}

/// `POST /v1/prune`.
async fn prune(
    State(api): State<Api>,
    Ask(request): Ask<PruneRequest>,
) -> Result<Reply<PruneReply>, Refused> {
    Ok(Reply::ok(api.prune(request).await?))
}

/// `POST /v1/clear`.
async fn clear(
    State(api): State<Api>,
    Ask(request): Ask<ClearRequest>,
) -> Result<Reply<ClearReply>, Refused> {
    Ok(Reply::ok(api.clear(request).await?))
}

/// `POST /v1/restart-interrupted`.
async fn restart_interrupted(
    State(api): State<Api>,
    Ask(request): Ask<RestartInterruptedRequest>,
) -> Result<Reply<RestartInterruptedReply>, Refused> {
    Ok(Reply::ok(api.restart_interrupted(request).await?))
}
