//! What came of commands, as clients see it.

use crate::convert::look::{Depth, view};
use crate::fault::Fault;
use futures_util::{StreamExt, stream};
use longhaul_domain::Note;
use longhaul_engine::{Answer, Engine, Told};
use longhaul_wire::api::{Launched, Outcome, OutcomeView, OutcomesReply};

/// So many processes are looked at side by side.
const SIDE_BY_SIDE: usize = 16;

/// The answer to a launch, or to one that runs something again.
pub(crate) async fn launched(engine: &Engine, launched: &longhaul_engine::Launched) -> Launched {
    let is_over = launched.stored.process.status().is_ended();
    let outcome = match (launched.created, is_over) {
        (true, _) => "created",
        (false, false) => "already_running",
        (false, true) => "already_ended",
    };
    Launched {
        process: view(engine, &launched.stored, Depth::Records).await,
        created: launched.created,
        outcome: outcome.to_owned(),
    }
}

/// What came of a command to one process.
pub(crate) async fn outcome(engine: &Engine, answer: Answer) -> Outcome {
    Outcome {
        process: view(engine, &answer.stored, Depth::Records).await,
        changed: answer.changed,
        note: answer.note.map(note),
    }
}

/// What came of a command to many.
pub(crate) async fn outcomes(engine: &Engine, told: Vec<Told>) -> OutcomesReply {
    let each: Vec<_> = told
        .into_iter()
        .map(async |Told { id, outcome }| match outcome {
            Ok(answer) => OutcomeView {
                id: id.to_string(),
                process: Some(view(engine, &answer.stored, Depth::Records).await),
                changed: answer.changed,
                note: answer.note.map(note),
                problem: None,
            },
            Err(error) => OutcomeView {
                id: id.to_string(),
                problem: Some(Fault::from(error).into_problem()),
                ..OutcomeView::default()
            },
        })
        .collect();
    OutcomesReply { outcomes: stream::iter(each).buffered(SIDE_BY_SIDE).collect().await }
}

/// The word for why nothing changed.
fn note(note: Note) -> String {
    match note {
        Note::AlreadySo => "already_so",
        Note::AlreadyEnded => "already_ended",
        Note::RestTold => "rest_told",
        Note::GoesOn => "goes_on",
        Note::Stale => "stale",
    }
    .to_owned()
}
