//! Statistics.

use crate::convert::{stats as seen, uses};
use crate::face::Face;
use crate::fault::Fault;
use crate::query::Query;
use crate::reply::Reply;
use crate::routes::list::root;
use axum::extract::State;
use longhaul_engine::ports::Filter;
use longhaul_wire::api::StatsView;

/// `GET /v1/stats`.
pub(crate) async fn stats(State(face): State<Face>, query: Query) -> Result<Reply<StatsView>, Fault> {
    let engine = &face.engine;
    query.only(&["session", "tree", "project"])?;
    let scope = Filter {
        session: query.read("session")?,
        project: query.read("project")?,
        ancestor: root(engine, &query).await?,
        ..Filter::default()
    };
    let uses = uses(engine, &scope).await?;
    Ok(Reply::ok(seen(&engine.stats(&scope).await?, &uses, engine.now())))
}
