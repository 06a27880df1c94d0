//! What is let go, and what is brought back.

use crate::body::Ask;
use crate::convert::{Depth, views};
use crate::face::Face;
use crate::fault::Fault;
use crate::reply::Reply;
use axum::extract::State;
use longhaul_domain::{ProcessId, Retention};
use longhaul_wire::api::{
    ClearReply, ClearRequest, ProcessesReply, PruneReply, PruneRequest, RestartInterruptedRequest,
};
use std::time::Duration;

/// The most processes that one request names.
const MOST: usize = 1_000;

/// `POST /v1/prune`.
pub(crate) async fn prune(
    State(face): State<Face>,
    Ask(request): Ask<PruneRequest>,
) -> Result<Reply<PruneReply>, Fault> {
    if request.older_than_ms.is_none() && request.keep.is_none() && request.bytes.is_none() {
        return Err(Fault::invalid("prune", "it has no bound")
            .help("give `older_than_ms`, `keep`, `bytes` or several of them"));
    }
    let rule = Retention {
        age: request.older_than_ms.map(Duration::from_millis),
        count: request.keep,
        before: None,
    };
    let pruned = face.engine.prune(&rule, request.bytes, request.dry_run).await?;
    Ok(Reply::ok(PruneReply {
        dry_run: request.dry_run,
        count: u64::try_from(pruned.ids.len()).unwrap_or(u64::MAX),
        ids: texts(&pruned.ids),
        bytes: pruned.bytes,
        total: pruned.total,
    }))
}

/// `POST /v1/clear`.
pub(crate) async fn clear(
    State(face): State<Face>,
    Ask(request): Ask<ClearRequest>,
) -> Result<Reply<ClearReply>, Fault> {
    if request.dry_run == request.confirm {
        return Err(Fault::invalid("clear", "it stops everything and lets every record go")
            .help("give `confirm` to do so, or `dry_run` to see what would be stopped"));
    }
    let cleared = face.engine.clear(request.dry_run).await?;
    Ok(Reply::ok(ClearReply {
        dry_run: request.dry_run,
        stopped: texts(&cleared.stopped),
        removed: cleared.removed,
        left: texts(&cleared.left),
    }))
}

/// `POST /v1/restart-interrupted`.
pub(crate) async fn restart_interrupted(
    State(face): State<Face>,
    Ask(request): Ask<RestartInterruptedRequest>,
) -> Result<Reply<ProcessesReply>, Fault> {
    let engine = &face.engine;
    if request.ids.len() > MOST {
        return Err(Fault::invalid("restart", format!("more than {MOST} processes are named")));
    }
    let mut ids = Vec::new();
    for reference in &request.ids {
        ids.push(engine.find(reference).await?);
    }
    let only = (!ids.is_empty()).then_some(ids.as_slice());
    let launched = engine.restart_interrupted(only).await?;
    let launched: Vec<_> = launched.into_iter().map(|launched| launched.stored).collect();
    Ok(Reply::ok(ProcessesReply { processes: views(engine, &launched, Depth::Records).await }))
}

fn texts(ids: &[ProcessId]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}
