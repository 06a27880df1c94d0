//! `prune`

use crate::arguments::{Format, PruneArgs};
use crate::client::Path;
use crate::dispatch::Context;
use crate::exit_code::DONE;
use crate::failure::Failure;
use crate::render::bytes;
use crate::value::{Age, Size};
use longhaul_wire::api::{PruneReply, PruneRequest};

/// Lets records of ended processes go.
pub(crate) async fn prune(context: &Context, args: &PruneArgs) -> Result<i32, Failure> {
    let console = &context.console;
    let request = PruneRequest {
        older_than_ms: args.older_than.map(Age::as_millis),
        keep: args.keep,
        bytes: args.bytes.map(Size::as_bytes),
        dry_run: args.dry_run,
    };
    let reply: PruneReply = context.client.send_slowly(&Path::prune(), &request).await?;
    match console.format {
        Some(Format::Json | Format::Ndjson) => console.print_json(&reply)?,
        Some(Format::Table | Format::Wide) | None if !args.dry_run => {}
        Some(Format::Table | Format::Wide | Format::Name) | None => {
            let ids: String = reply.ids.iter().map(|id| format!("{id}\n")).collect();
            console.print(&ids)?;
        }
    }
    console.say(&sentence(&reply, args.dry_run));
    Ok(DONE)
}

fn sentence(reply: &PruneReply, dry_run: bool) -> String {
    let records = match reply.count {
        0 => return "nothing that has ended is to go".to_owned(),
        1 => "1 record".to_owned(),
        count => format!("{count} records"),
    };
    let would = if dry_run { "would go" } else { "went" };
    format!("{records} {would}, and {} of output", bytes(reply.bytes))
}
