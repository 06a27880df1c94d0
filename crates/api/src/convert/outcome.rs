//! Converts the results of actions to replies.

use crate::convert::details::{DetailLevel, view};
use crate::error::ApiError;
use futures_util::{StreamExt, stream};
use longhaul_domain::NoOpReason;
use longhaul_engine::{ActionOutcome, Engine, MemberOutcome};
use longhaul_wire::api::{ActionReply, LaunchReply, OutcomeView, OutcomesReply};

/// Maximum number of processes whose live data is read in parallel.
const MAX_CONCURRENT: usize = 16;

/// Converts the result of a launch or restart to a reply.
pub(crate) async fn launched(engine: &Engine, launched: &longhaul_engine::LaunchOutcome) -> LaunchReply {
    let is_over = launched.stored.process.status().is_ended();
    let outcome = match (launched.created, is_over) {
        (true, _) => "created",
        (false, false) => "already_running",
        (false, true) => "already_ended",
    };
    LaunchReply {
        process: view(engine, &launched.stored, DetailLevel::Records).await,
        created: launched.created,
        outcome: outcome.to_owned(),
    }
}

/// Converts the result of an action on one process to a reply.
pub(crate) async fn outcome(engine: &Engine, answer: ActionOutcome) -> ActionReply {
    ActionReply {
        process: view(engine, &answer.stored, DetailLevel::Records).await,
        changed: answer.changed,
        note: answer.note.map(note),
    }
}

/// Converts the results of an action on several processes to a reply.
pub(crate) async fn outcomes(engine: &Engine, told: Vec<MemberOutcome>) -> OutcomesReply {
    let each: Vec<_> = told
        .into_iter()
        .map(async |MemberOutcome { id, outcome }| match outcome {
            Ok(answer) => OutcomeView {
                id: id.to_string(),
                process: Some(view(engine, &answer.stored, DetailLevel::Records).await),
                changed: answer.changed,
                note: answer.note.map(note),
                problem: None,
            },
            Err(error) => OutcomeView {
                id: id.to_string(),
                problem: Some(ApiError::from(error).into_problem()),
                ..OutcomeView::default()
            },
        })
        .collect();
    OutcomesReply { outcomes: stream::iter(each).buffered(MAX_CONCURRENT).collect().await }
}

/// Returns the text form of the reason why an action changed nothing.
fn note(note: NoOpReason) -> String {
    match note {
        NoOpReason::NoChange => "no_change",
        NoOpReason::AlreadyEnded => "already_ended",
        NoOpReason::OrphanStopRequested => "orphan_stop_requested",
        NoOpReason::KeptByPolicy => "kept_by_policy",
        NoOpReason::EndsWithAncestor => "ends_with_ancestor",
        NoOpReason::Stale => "stale",
    }
    .to_owned()
}
