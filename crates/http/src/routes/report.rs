//! What workers tell.

use crate::body::Ask;
use crate::entry::Entry;
use crate::expected::Expected;
use crate::reference::Reference;
use crate::refused::Refused;
use crate::reply::Reply;
use axum::extract::State;
use longhaul_api::Api;
use longhaul_wire::api::{CompleteRequest, FailRequest, Outcome, UpdateRequest};

pub(crate) fn entries() -> Vec<Entry> {
    vec![
        Entry::patch("/v1/processes/{reference}", update)
            .named("update_process", "Takes in what a reporter says of a process")
            .guarded()
            .takes::<UpdateRequest>()
            .answers::<Outcome>(200, "What came of it"),
        Entry::post("/v1/processes/{reference}/complete", complete)
            .named("complete_process", "Ends reported work well")
            .guarded()
            .takes::<CompleteRequest>()
            .answers::<Outcome>(200, "What came of it"),
        Entry::post("/v1/processes/{reference}/fail", fail)
            .named("fail_process", "Ends reported work badly")
            .guarded()
            .needs::<FailRequest>()
            .answers::<Outcome>(200, "What came of it"),
    ]
}

/// `PATCH /v1/processes/{ref}`.
async fn update(
    State(api): State<Api>,
    Reference(reference): Reference,
    expected: Expected,
    Ask(request): Ask<UpdateRequest>,
) -> Result<Reply<Outcome>, Refused> {
    let outcome = expected.judge(api.update(&reference, request, expected.revision()).await)?;
    let revision = outcome.process.revision;
    Ok(Reply::ok(outcome).tagged(revision))
}

/// `POST /v1/processes/{ref}/complete`.
async fn complete(
    State(api): State<Api>,
    Reference(reference): Reference,
    expected: Expected,
    Ask(request): Ask<CompleteRequest>,
) -> Result<Reply<Outcome>, Refused> {
    Ok(Reply::ok(expected.judge(api.complete(&reference, request, expected.revision()).await)?))
}

/// `POST /v1/processes/{ref}/fail`.
async fn fail(
    State(api): State<Api>,
    Reference(reference): Reference,
    expected: Expected,
    Ask(request): Ask<FailRequest>,
) -> Result<Reply<Outcome>, Refused> {
    Ok(Reply::ok(expected.judge(api.fail(&reference, request, expected.revision()).await)?))
}
