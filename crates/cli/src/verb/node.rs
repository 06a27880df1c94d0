//! `nodes` and `node`

use super::status::all_pages;
use crate::arguments::{Format, NodeArgs, NodeName, NodeVerb};
use crate::choice::{Question, counted};
use crate::client::Path;
use crate::dispatch::Context;
use crate::exit_code::DONE;
use crate::failure::Failure;
use crate::render::{self, Look, Now, waiting_line};
use crate::standing::Standing;
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
        NodeVerb::Forget(named) => {
            if !may_be_forgotten(context, &named.id).await? {
                return Ok(DONE);
            }
            (
                context.client.remove(&Path::node(&named.id)).await?,
                "is forgotten, and what it owned is decided by the others",
            )
        }
    };
    if context.console.is_json() {
        context.console.print_json(&node)?;
    }
    context.console.say(&format!("node {} {told}", clean_label(&node.id)));
    Ok(DONE)
}

/// Asks whether a node may go whose work goes on without its manager: it is called interrupted then.
async fn may_be_forgotten(context: &Context, id: &str) -> Result<bool, Failure> {
    if context.console.yes {
        return Ok(true);
    }
    let listing: NodeListing = context.client.fetch(&Path::nodes()).await?;
    // Of one that is lost everything was taken, and any other is not let go.
    if !listing.nodes.iter().any(|node| node.id == id && node.presence == "left") {
        return Ok(true);
    }
    let mut live = all_pages(context, Path::processes().with("node", id), None).await?.processes;
    live.retain(|process| {
        let standing = Standing::of(process);
        !standing.is_ended() && standing != Standing::Pending
    });
    if live.is_empty() {
        return Ok(true);
    }
    let (id, count) = (clean_label(id), counted(live.len()));
    let question = Question {
        text: format!("Forget node {id}, and call {count} interrupted that may still run there?"),
        would: format!("{count} of node {id}, which may still run there, would be called interrupted"),
        list: live.iter().map(|process| waiting_line(process, context.console.unicode)).collect(),
        help: "start its manager again to keep them, or: longhaul node forget ID --yes",
    };
    question.ask(&context.console)
}
