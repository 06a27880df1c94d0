//! Implements `prune`.

use crate::arguments::{OutputFormat, PruneArgs};
use crate::dispatch::VerbContext;
use crate::exit_code::DONE;
use crate::failure::CliError;
use crate::render::bytes;
use crate::value::{AgeArg, SizeArg};
use longhaul_client::RequestPath;
use longhaul_wire::api::{PruneReply, PruneRequest};

/// Deletes ended processes and their output.
pub(crate) async fn prune(context: &VerbContext, args: &PruneArgs) -> Result<i32, CliError> {
    let console = &context.console;
    let request = PruneRequest {
        older_than_ms: args.older_than.map(AgeArg::as_millis),
        keep: args.keep,
        bytes: args.bytes.map(SizeArg::as_bytes),
        dry_run: args.dry_run,
    };
    let reply: PruneReply = context.client.send_slowly(&RequestPath::prune(), &request).await?;
    match console.format {
        Some(OutputFormat::Json | OutputFormat::Ndjson) => console.print_json(&reply)?,
        Some(OutputFormat::Table | OutputFormat::Wide) | None if !args.dry_run => {}
        Some(OutputFormat::Table | OutputFormat::Wide | OutputFormat::Name) | None => {
            let ids: String = reply.ids.iter().map(|id| format!("{id}\n")).collect();
            console.print(&ids)?;
        }
    }
    console.say(&sentence(&reply, args.dry_run));
    Ok(DONE)
}

fn sentence(reply: &PruneReply, dry_run: bool) -> String {
    let records = match reply.count {
        0 => return "there are no ended processes to prune".to_owned(),
        1 => "1 record".to_owned(),
        count => format!("{count} records"),
    };
    let would = if dry_run { "would be deleted" } else { "were deleted" };
    format!("{records} {would}, and {} of output", bytes(reply.bytes))
}
