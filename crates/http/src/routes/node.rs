//! Nodes.

use crate::entry::Entry;
use crate::refused::Refused;
use crate::reply::Reply;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use longhaul_api::{Api, Fault};
use longhaul_wire::api::{NodeListing, NodeView};

pub(crate) fn entries() -> Vec<Entry> {
    vec![
        Entry::get("/v1/nodes", list)
            .named("list_nodes", "Shows the nodes that share the store")
            .answers::<NodeListing>(200, "The nodes"),
        Entry::delete("/v1/nodes/{node}", forget)
            .named("forget_node", "Lets go of a node that left or is lost")
            .answers::<NodeView>(200, "The node as it was"),
        Entry::post("/v1/nodes/{node}/drain", drain)
            .named("drain_node", "Lets a node claim nothing from now on; what it has goes on")
            .answers::<NodeView>(200, "The node as it is now"),
        Entry::post("/v1/nodes/{node}/undrain", undrain)
            .named("undrain_node", "Lets a node claim again")
            .answers::<NodeView>(200, "The node as it is now"),
    ]
}

/// `GET /v1/nodes`.
async fn list(State(api): State<Api>) -> Result<Reply<NodeListing>, Refused> {
    Ok(Reply::ok(api.nodes().await?))
}

/// `DELETE /v1/nodes/{node}`.
async fn forget(
    State(api): State<Api>,
    node: Result<Path<String>, PathRejection>,
) -> Result<Reply<NodeView>, Refused> {
    Ok(Reply::ok(api.forget_node(&text(node)?).await?))
}

/// `POST /v1/nodes/{node}/drain`.
async fn drain(
    State(api): State<Api>,
    node: Result<Path<String>, PathRejection>,
) -> Result<Reply<NodeView>, Refused> {
    Ok(Reply::ok(api.drain_node(&text(node)?, true).await?))
}

/// `POST /v1/nodes/{node}/undrain`.
async fn undrain(
    State(api): State<Api>,
    node: Result<Path<String>, PathRejection>,
) -> Result<Reply<NodeView>, Refused> {
    Ok(Reply::ok(api.drain_node(&text(node)?, false).await?))
}

fn text(node: Result<Path<String>, PathRejection>) -> Result<String, Fault> {
    match node {
        Ok(Path(text)) => Ok(text),
        Err(error) => Err(Fault::invalid("node", error.body_text())),
    }
}
