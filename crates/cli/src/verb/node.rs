//! Implements `node`.

use super::status::all_pages;
use crate::arguments::{NodeArgs, NodeName, NodeVerb, OutputFormat};
use crate::dispatch::VerbContext;
use crate::exit_code::DONE;
use crate::failure::CliError;
use crate::prompt::{Prompt, counted};
use crate::render::{self, RenderTime, TableFormat, waiting_line};
use crate::status::ParsedStatus;
use longhaul_client::RequestPath;
use longhaul_view::clean_label;
use longhaul_wire::api::{NodeListing, NodeView};
use serde::Serialize;
use serde_json::{Map, Value};

/// JSON output of the node list.
#[derive(Serialize)]
struct NodeJson<'a> {
    schema: &'static str,
    #[serde(flatten)]
    listing: &'a NodeListing,
}

/// Prints the list of all nodes.
async fn list(context: &VerbContext) -> Result<i32, CliError> {
    let listing: NodeListing = context.client.fetch(&RequestPath::nodes()).await?;
    let console = &context.console;
    match console.format {
        Some(OutputFormat::Json) => {
            console.print_json(&NodeJson { schema: "longhaul/nodes/v1", listing: &listing })?;
        }
        Some(OutputFormat::Ndjson) => listing.nodes.iter().try_for_each(|node| console.print_json(node))?,
        Some(OutputFormat::Name) => {
            console.print(&listing.nodes.iter().map(|node| format!("{}\n", node.id)).collect::<String>())?;
        }
        Some(OutputFormat::Table | OutputFormat::Wide) | None => {
            let now = RenderTime::parse(&listing.at, console.utc);
            console.print(&render::nodes(&listing, TableFormat::of(console), now))?;
        }
    }
    Ok(DONE)
}

/// Lists the nodes, or changes one node.
pub(crate) async fn node(context: &VerbContext, args: &NodeArgs) -> Result<i32, CliError> {
    let nothing = Map::<String, Value>::new();
    let part = |named: &NodeName, part: &str| RequestPath::node_part(&named.id, part);
    let (node, reported): (NodeView, _) = match &args.verb {
        NodeVerb::List => return list(context).await,
        NodeVerb::Drain(named) => (
            context.client.send(&part(named, "drain"), &nothing).await?,
            "is draining: its running processes continue, and it starts no more",
        ),
        NodeVerb::Undrain(named) => {
            (context.client.send(&part(named, "undrain"), &nothing).await?, "starts processes again")
        }
        NodeVerb::Forget(named) => {
            if !may_be_forgotten(context, &named.id).await? {
                return Ok(DONE);
            }
            (
                context.client.remove(&RequestPath::node(&named.id)).await?,
                "was forgotten; the other nodes decide about its processes",
            )
        }
    };
    if context.console.is_json() {
        context.console.print_json(&node)?;
    }
    context.console.say(&format!("node {} {reported}", clean_label(&node.id)));
    Ok(DONE)
}

/// Asks the user for confirmation before a node is removed whose commands may still be running without a manager. The
/// removal makes their processes interrupted.
async fn may_be_forgotten(context: &VerbContext, id: &str) -> Result<bool, CliError> {
    if context.console.yes {
        return Ok(true);
    }
    let listing: NodeListing = context.client.fetch(&RequestPath::nodes()).await?;
    // Only a node that has left needs a confirmation. The processes of a lost node have already been recorded as ended
    // by the other nodes, and a node in any other state cannot be removed.
    if !listing.nodes.iter().any(|node| node.id == id && node.presence == "left") {
        return Ok(true);
    }
    let mut live = all_pages(context, RequestPath::processes().with("node", id), None).await?.processes;
    live.retain(|process| {
        let standing = ParsedStatus::of(process);
        !standing.is_ended() && standing != ParsedStatus::Pending
    });
    if live.is_empty() {
        return Ok(true);
    }
    let (id, count) = (clean_label(id), counted(live.len()));
    let question = Prompt {
        text: format!("Forget node {id}, and record {count} as interrupted that may still be running there?"),
        would: format!(
            "{count} of node {id}, which may still be running there, would be recorded as interrupted"
        ),
        list: live.iter().map(|process| waiting_line(process, context.console.unicode)).collect(),
        help: "start its manager again to keep them, or: longhaul node forget ID --yes",
    };
    question.ask(&context.console)
}
