//! Queues.

use crate::body::Ask;
use crate::entry::Entry;
use crate::refused::Refused;
use crate::reply::Reply;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use longhaul_api::{Api, Fault};
use longhaul_wire::api::{QueueListing, QueueRequest};

pub(crate) fn entries() -> Vec<Entry> {
    vec![
        Entry::get("/v1/queues", list)
            .named("list_queues", "Shows the queues that anybody uses or that are held")
            .answers::<QueueListing>(200, "The queues"),
        Entry::get("/v1/queues/{key}", show)
            .named("show_queue", "Shows the queue of a concurrency key")
            .answers::<QueueListing>(200, "The queue"),
        Entry::patch("/v1/queues/{key}", change)
            .named("change_queue", "Changes the slots of a key or pattern, holds its queue or lets it go on")
            .needs::<QueueRequest>()
            .answers::<QueueListing>(200, "The queue as it is now"),
    ]
}

/// `GET /v1/queues`.
async fn list(State(api): State<Api>) -> Result<Reply<QueueListing>, Refused> {
    Ok(Reply::ok(api.queues(None).await?))
}

/// `GET /v1/queues/{key}`: one that nobody uses is shown too, with the slots that it would have.
async fn show(
    State(api): State<Api>,
    key: Result<Path<String>, PathRejection>,
) -> Result<Reply<QueueListing>, Refused> {
    Ok(Reply::ok(api.queues(Some(&text(key)?)).await?))
}

/// `PATCH /v1/queues/{key}`: what is refused is refused before anything is changed.
async fn change(
    State(api): State<Api>,
    key: Result<Path<String>, PathRejection>,
    Ask(request): Ask<QueueRequest>,
) -> Result<Reply<QueueListing>, Refused> {
    Ok(Reply::ok(api.change_queue(&text(key)?, request).await?))
}

fn text(key: Result<Path<String>, PathRejection>) -> Result<String, Fault> {
    match key {
        Ok(Path(text)) => Ok(text),
        Err(error) => Err(Fault::invalid("concurrency key", error.body_text())),
    }
}
