//! What is asked of a process.

use crate::body::Ask;
use crate::entry::Entry;
use crate::expected::Expected;
use crate::reference::Reference;
use crate::refused::Refused;
use crate::replay::{Key, Replays, of_key};
use crate::reply::Reply;
use axum::extract::State;
use longhaul_api::Api;
use longhaul_wire::api::{
    CancelRequest, Launched, Outcome, PauseReply, PauseRequest, PriorityRequest, RestartRequest,
    SignalRequest,
};

pub(crate) fn entries(replays: &Replays) -> Vec<Entry> {
    vec![
        Entry::post("/v1/processes/{reference}/cancel", cancel)
            .named("cancel_process", "Ends a process with all its descendants, unless it is to be alone; answers while they are ending, and `GET /v1/wait?for=tree_ended` waits for the last of them")
            .guarded()
            .takes::<CancelRequest>()
            .answers::<Outcome>(200, "What came of it"),
        Entry::post("/v1/processes/{reference}/pause", pause)
            .named("pause_process", "Halts a process with all its descendants, unless it is to be alone")
            .guarded()
            .takes::<PauseRequest>()
            .answers::<PauseReply>(200, "What came of it"),
        Entry::post("/v1/processes/{reference}/resume", resume)
            .named(
                "resume_process",
                "Lets a process go on with all its descendants, unless it is to be alone",
            )
            .guarded()
            .takes::<PauseRequest>()
            .answers::<PauseReply>(200, "What came of it"),
        Entry::post("/v1/processes/{reference}/signal", signal)
            .named("signal_process", "Sends a signal to what runs")
            .guarded()
            .needs::<SignalRequest>()
            .answers::<Outcome>(200, "What came of it"),
        Entry::post("/v1/processes/{reference}/priority", priority)
            .named("prioritize_process", "Moves a process that waits in its queue")
            .guarded()
            .needs::<PriorityRequest>()
            .answers::<Outcome>(200, "What came of it"),
        Entry::post("/v1/processes/{reference}/retry", retry)
            .named("retry_process", "Lets a process that waits for its retry begin now")
            .guarded()
            .answers::<Outcome>(200, "What came of it"),
        Entry::post("/v1/processes/{reference}/restart", restart)
            .named("restart_process", "Runs something again that has ended, as a new process")
            .guarded()
            .replayed(replays)
            .takes::<RestartRequest>()
            .answers::<Launched>(201, "It was launched")
            .answers::<Launched>(200, "It was launched before"),
    ]
}

/// `POST /v1/processes/{ref}/cancel`: with all its descendants, unless it is to be alone.
async fn cancel(
    State(api): State<Api>,
    Reference(reference): Reference,
    expected: Expected,
    Ask(request): Ask<CancelRequest>,
) -> Result<Reply<Outcome>, Refused> {
    Ok(Reply::ok(expected.judge(api.cancel(&reference, request, expected.revision()).await)?))
}

/// `POST /v1/processes/{ref}/pause`.
async fn pause(
    State(api): State<Api>,
    Reference(reference): Reference,
    expected: Expected,
    Ask(request): Ask<PauseRequest>,
) -> Result<Reply<PauseReply>, Refused> {
    Ok(Reply::ok(expected.judge(api.pause(&reference, request, expected.revision()).await)?))
}

/// `POST /v1/processes/{ref}/resume`.
async fn resume(
    State(api): State<Api>,
    Reference(reference): Reference,
    expected: Expected,
    Ask(request): Ask<PauseRequest>,
) -> Result<Reply<PauseReply>, Refused> {
    Ok(Reply::ok(expected.judge(api.resume(&reference, request, expected.revision()).await)?))
}

/// `POST /v1/processes/{ref}/signal`.
async fn signal(
    State(api): State<Api>,
    Reference(reference): Reference,
    expected: Expected,
    Ask(request): Ask<SignalRequest>,
) -> Result<Reply<Outcome>, Refused> {
    Ok(Reply::ok(expected.judge(api.signal(&reference, request, expected.revision()).await)?))
}

/// `POST /v1/processes/{ref}/priority`.
async fn priority(
    State(api): State<Api>,
    Reference(reference): Reference,
    expected: Expected,
    Ask(request): Ask<PriorityRequest>,
) -> Result<Reply<Outcome>, Refused> {
    Ok(Reply::ok(expected.judge(api.prioritize(&reference, request, expected.revision()).await)?))
}

/// `POST /v1/processes/{ref}/retry`.
async fn retry(
    State(api): State<Api>,
    Reference(reference): Reference,
    expected: Expected,
) -> Result<Reply<Outcome>, Refused> {
    Ok(Reply::ok(expected.judge(api.retry(&reference, expected.revision()).await)?))
}

/// `POST /v1/processes/{ref}/restart`; an `Idempotency-Key` becomes the launch key of the new process, so that the store
/// knows it when the manager has forgotten its answers.
async fn restart(
    State(api): State<Api>,
    Reference(reference): Reference,
    expected: Expected,
    Key(key): Key,
    Ask(RestartRequest {}): Ask<RestartRequest>,
) -> Result<Reply<Launched>, Refused> {
    let launched = match key {
        Some(key) => api.restart_once(&reference, expected.revision(), &key).await.map_err(of_key),
        None => api.restart(&reference, expected.revision()).await,
    };
    let launched = expected.judge(launched)?;
    Ok(Reply::launched(launched))
}
