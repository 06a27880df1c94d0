//! Routes that show and change the nodes of the cluster.

use crate::error_response::ErrorResponse;
use crate::reply::JsonReply;
use crate::route::Route;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use longhaul_api::{Api, ApiError};
use longhaul_wire::api::{NodeListing, NodeView};

pub(crate) fn entries() -> Vec<Route> {
    vec![
        Route::get("/v1/nodes", list)
            .named("list_nodes", "Lists the nodes that share the store")
            .answers::<NodeListing>(200, "The nodes"),
        Route::delete("/v1/nodes/{node}", forget)
            .named("forget_node", "Removes a node that has left or is lost")
            .answers::<NodeView>(200, "The removed node"),
        Route::post("/v1/nodes/{node}/drain", drain)
            .named(
                "drain_node",
                "Drains a node: it claims no more processes, and its running processes continue",
            )
            .answers::<NodeView>(200, "The node after the change"),
        Route::post("/v1/nodes/{node}/undrain", undrain)
            .named("undrain_node", "Ends the drain of a node")
            .answers::<NodeView>(200, "The node after the change"),
    ]
}

/// `GET /v1/nodes`: lists the nodes that share the store.
async fn list(State(api): State<Api>) -> Result<JsonReply<NodeListing>, ErrorResponse> {
    Ok(JsonReply::ok(api.nodes().await?))
}

/// `DELETE /v1/nodes/{node}`: removes a node that has left or is lost.
async fn forget(
    State(api): State<Api>,
    node: Result<Path<String>, PathRejection>,
) -> Result<JsonReply<NodeView>, ErrorResponse> {
    Ok(JsonReply::ok(api.forget_node(&text(node)?).await?))
}

/// `POST /v1/nodes/{node}/drain`: stops a node from claiming processes; its running processes continue.
async fn drain(
    State(api): State<Api>,
    node: Result<Path<String>, PathRejection>,
) -> Result<JsonReply<NodeView>, ErrorResponse> {
    Ok(JsonReply::ok(api.drain_node(&text(node)?, true).await?))
}

/// `POST /v1/nodes/{node}/undrain`: allows a node to claim processes again.
async fn undrain(
    State(api): State<Api>,
    node: Result<Path<String>, PathRejection>,
) -> Result<JsonReply<NodeView>, ErrorResponse> {
    Ok(JsonReply::ok(api.drain_node(&text(node)?, false).await?))
}

fn text(node: Result<Path<String>, PathRejection>) -> Result<String, ApiError> {
    match node {
        Ok(Path(text)) => Ok(text),
        Err(error) => Err(ApiError::invalid("node", error.body_text())),
    }
}
