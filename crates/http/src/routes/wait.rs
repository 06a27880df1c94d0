//! Waits.

use crate::convert::{Depth, views};
use crate::face::Face;
use crate::fault::Fault;
use crate::query::{Query, invalid};
use crate::reply::Reply;
use axum::extract::State;
use longhaul_engine::{Goal, Mode};
use longhaul_wire::api::WaitReply;
use std::time::Duration;

/// The most processes of one wait.
const MOST: usize = 1_000;
const PARAMETERS: &[&str] = &["id", "mode", "timeout_ms", "for"];

/// `GET /v1/wait`: parks; a client that goes away ends the wait and nothing else.
pub(crate) async fn wait(State(face): State<Face>, query: Query) -> Result<Reply<WaitReply>, Fault> {
    let engine = &face.engine;
    query.only(PARAMETERS)?;
    let (goal, mode) = (goal(&query)?, mode(&query)?);
    let patience = query.read::<u64>("timeout_ms")?.map(Duration::from_millis);
    let mut ids = Vec::new();
    for reference in query.all("id") {
        if ids.len() == MOST {
            return Err(Fault::invalid("wait", format!("more than {MOST} processes are named")));
        }
        ids.push(engine.find(reference).await?);
    }
    if ids.is_empty() {
        return Err(
            Fault::invalid("wait", "no process is named").help("give `id`, more than once for several")
        );
    }
    let waited = engine.wait(&ids, goal, mode, patience).await?;
    Ok(Reply::ok(WaitReply {
        processes: views(engine, &waited.processes, Depth::Records).await,
        timed_out: waited.timed_out,
    }))
}

fn goal(query: &Query) -> Result<Goal, Fault> {
    match query.text("for") {
        None | Some("ended") => Ok(Goal::Ended),
        Some("running") => Ok(Goal::Running),
        Some(word) => Err(invalid("for", word, &"it is neither ended nor running")),
    }
}

fn mode(query: &Query) -> Result<Mode, Fault> {
    match query.text("mode") {
        None | Some("all") => Ok(Mode::All),
        Some("any") => Ok(Mode::Any),
        Some(word) => Err(invalid("mode", word, &"it is neither all nor any")),
    }
}
