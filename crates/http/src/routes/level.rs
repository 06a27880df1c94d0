//! One level of one tree, or of all.

use crate::body::Ask;
use crate::entry::Entry;
use crate::refused::Refused;
use crate::reply::Reply;
use axum::extract::State;
use longhaul_api::Api;
use longhaul_wire::api::{CancelLevelRequest, OutcomesReply};

pub(crate) fn entries() -> Vec<Entry> {
    vec![
        Entry::post("/v1/cancel", cancel)
            .named("cancel_level", "Ends one level of one tree, or of all, with all that stands below it")
            .needs::<CancelLevelRequest>()
            .answers::<OutcomesReply>(200, "What came of it"),
    ]
}

/// `POST /v1/cancel`: ends a level with all that stands below it.
async fn cancel(
    State(api): State<Api>,
    Ask(request): Ask<CancelLevelRequest>,
) -> Result<Reply<OutcomesReply>, Refused> {
    Ok(Reply::ok(api.cancel_level(request).await?))
}
