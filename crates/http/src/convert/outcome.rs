//! What came of commands, as clients see it.

use crate::convert::look::{Depth, view};
use crate::fault::Fault;
use futures_util::{StreamExt, stream};
use longhaul_domain::Note;
use longhaul_engine::{Answer, Engine, Told};
use longhaul_wire::api::{Outcome, OutcomeView, OutcomesReply};

/// So many processes are looked at side by side.
const SIDE_BY_SIDE: usize = 16;

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
        Note::GoesOn => "goes_on",
        Note::Stale => "stale",
    }
    .to_owned()
}
