//! `nodes` and `node`

use crate::arguments::{Format, NodeArgs, NodeName, NodeVerb};
use crate::client::Path;
use crate::dispatch::Context;
use crate::exit_code::DONE;
use crate::failure::Failure;
use crate::render::{self, Look, Now};
use longhaul_view::clean_label;
use longhaul_wire::api::{NodeListing, NodeView};
use serde::Serialize;
use serde_json::{Map, Value};

/// What programs are told.
#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    #[serde(flatten)]
    listing: &'a NodeListing,
}

/// Shows every node.
pub(crate) async fn nodes(context: &Context) -> Result<i32, Failure> {
    let listing: NodeListing = context.client.fetch(&Path::nodes()).await?;
    let console = &context.console;
    match console.format {
        Some(Format::Json) => {
            console.print_json(&Document { schema: "longhaul/nodes/v1", listing: &listing })?;
        }
        Some(Format::Ndjson) => listing.nodes.iter().try_for_each(|node| console.print_json(node))?,
        Some(Format::Name) => {
            console.print(&listing.nodes.iter().map(|node| format!("{}\n", node.id)).collect::<String>())?;
        }
        Some(Format::Table | Format::Wide) | None => {
            let now = Now::said(&listing.at, console.utc);
            console.print(&render::nodes(&listing, Look::of(console), now))?;
        }
    }
    Ok(DONE)
}

/// Takes a node out of work, or back into it.
pub(crate) async fn node(context: &Context, args: &NodeArgs) -> Result<i32, Failure> {
    let nothing = Map::<String, Value>::new();
    let part = |named: &NodeName, part: &str| Path::node_part(&named.id, part);
    let (node, told): (NodeView, _) = match &args.verb {
        NodeVerb::Drain(named) => (
            context.client.send(&part(named, "drain"), &nothing).await?,
            "drains: what it runs goes on, and it starts nothing more",
        ),
        NodeVerb::Undrain(named) => {
            (context.client.send(&part(named, "undrain"), &nothing).await?, "starts work again")
        }
        NodeVerb::Forget(named) => (
            context.client.remove(&Path::node(&named.id)).await?,
            "is forgotten, and what it owned is decided by the others",
        ),
    };
    if context.console.is_json() {
        context.console.print_json(&node)?;
    }
    context.console.say(&format!("node {} {told}", clean_label(&node.id)));
    Ok(DONE)
}
