//! Implements `queue`.

use super::action::print_outcome;
use crate::arguments::{MoveArgs, OutputFormat, QueueArgs, QueueVerb};
use crate::dispatch::VerbContext;
use crate::exit_code::DONE;
use crate::failure::CliError;
use crate::render::{RenderTime, TableFormat, label, queues};
use crate::value::SlotsArg;
use longhaul_client::RequestPath;
use longhaul_view::clean_label;
use longhaul_wire::api::{ActionReply, PriorityRequest, QueueListing, QueueRequest, SlotsRequest};
use serde::Serialize;

/// JSON output of the queue list.
#[derive(Serialize)]
struct QueueJson<'a> {
    schema: &'static str,
    #[serde(flatten)]
    listing: &'a QueueListing,
}

/// Lists the queues, or changes one queue.
pub(crate) async fn queue(context: &VerbContext, args: &QueueArgs) -> Result<i32, CliError> {
    if let Some(QueueVerb::Move(args)) = &args.verb {
        return move_process(context, args).await;
    }
    let Some(key) = &args.key else {
        let listing: QueueListing = context.client.fetch(&RequestPath::queues()).await?;
        show(context, &listing, context.console.format == Some(OutputFormat::Wide))?;
        return Ok(DONE);
    };
    if args.limit.is_none() && !args.hold && !args.release {
        let mut listing: QueueListing = context.client.fetch(&RequestPath::queue(key)).await?;
        listing.slots.retain(|covered, _| covered == key);
        show(context, &listing, true)?;
        return Ok(DONE);
    }
    let request = QueueRequest {
        slots: args.limit.map(|slots| match slots {
            SlotsArg::Default => SlotsRequest::Default,
            SlotsArg::Count(slots) => SlotsRequest::Count(slots),
        }),
        held: (args.hold || args.release).then_some(args.hold),
        by: if args.hold { by(context) } else { None },
    };
    let listing: QueueListing = context.client.amend(&RequestPath::queue(key), &request).await?;
    if context.console.is_json() {
        context.console.print_json(&QueueJson { schema: SCHEMA, listing: &listing })?;
    }
    context.console.say(&done(key, args));
    Ok(DONE)
}

const SCHEMA: &str = "longhaul/queues/v1";

fn show(context: &VerbContext, listing: &QueueListing, wide: bool) -> Result<(), CliError> {
    let console = &context.console;
    match console.format {
        Some(OutputFormat::Json) => return console.print_json(&QueueJson { schema: SCHEMA, listing }),
        Some(OutputFormat::Ndjson) => {
            return listing.queues.iter().try_for_each(|queue| console.print_json(queue));
        }
        Some(OutputFormat::Name) => {
            let keys: String = listing
                .queues
                .iter()
                .filter_map(|queue| queue.key.as_ref())
                .map(|key| format!("{key}\n"))
                .collect();
            return console.print(&keys);
        }
        Some(OutputFormat::Table | OutputFormat::Wide) | None => {}
    }
    if listing.queues.is_empty() && listing.slots.is_empty() {
        console.say("no process runs or waits");
    } else {
        let look = TableFormat { wide, ..TableFormat::of(console) };
        console.print(&queues(listing, look, RenderTime::parse(&listing.at, console.utc)))?;
    }
    console.hint(&match listing.default_slots {
        0 => "all other keys have no limit".to_owned(),
        slots => format!("all other keys have {}", counted(slots)),
    });
    Ok(())
}

/// Changes the priority of a waiting process, or its place in the queue.
async fn move_process(context: &VerbContext, args: &MoveArgs) -> Result<i32, CliError> {
    let path = RequestPath::process_part(&args.id, "priority").with_some("revision", args.expected.revision);
    let request = PriorityRequest { priority: args.priority, first: args.first };
    let outcome: ActionReply = context.client.send(&path, &request).await?;
    if context.console.format.is_some() {
        print_outcome(context, &outcome)?;
        return Ok(DONE);
    }
    let process = &outcome.process;
    let was = if outcome.changed { "has" } else { "had already" };
    let first = if args.first { ", before all others that wait for the same key" } else { "" };
    context.console.say(&format!("{} {was} priority {}{first}", label(process), process.priority));
    Ok(DONE)
}

/// Returns the name of the caller that is recorded with a hold: the session if there is one, otherwise the user name.
fn by(context: &VerbContext) -> Option<String> {
    ["LONGHAUL_SESSION", "USER", "LOGNAME"].into_iter().find_map(|name| context.around.variable(name))
}

fn done(key: &str, args: &QueueArgs) -> String {
    let key = clean_label(key);
    let limit = args.limit.map(|slots| match slots {
        SlotsArg::Default => "has the limit of the next matching pattern, or the default".to_owned(),
        SlotsArg::Count(0) => "has no limit".to_owned(),
        SlotsArg::Count(slots) => format!("has {}", counted(slots)),
    });
    let hold = match (args.hold, args.release) {
        (true, _) => {
            Some("is on hold: waiting processes keep waiting, and running processes continue".to_owned())
        }
        (false, true) => Some("is released".to_owned()),
        (false, false) => None,
    };
    let said: Vec<String> = limit.into_iter().chain(hold).collect();
    format!("{key} {}", said.join(", and "))
}

fn counted(slots: u32) -> String {
    if slots == 1 { "1 slot".to_owned() } else { format!("{slots} slots") }
}
