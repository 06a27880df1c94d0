//! Implements `why`.

use super::logs::print_last_lines;
use super::status::all_pages;
use crate::arguments::{OutputFormat, WhyArgs};
use crate::dispatch::VerbContext;
use crate::exit_code::DONE;
use crate::failure::CliError;
use crate::prompt::one_of;
use crate::render::{RenderTime, why as text_of};
use longhaul_client::RequestPath;
use longhaul_wire::api::WhyView;

/// Number of output lines that are shown for a failed process.
const LAST_LINES: u64 = 10;

/// Explains why a process is waiting or why it failed.
pub(crate) async fn why(context: &VerbContext, args: &WhyArgs) -> Result<i32, CliError> {
    let console = &context.console;
    let Some(id) = meant(context, args).await? else {
        console.say("nothing waits");
        return Ok(DONE);
    };
    let why: WhyView = context.client.fetch(&RequestPath::process_part(&id, "why")).await?;
    match console.format {
        Some(OutputFormat::Json | OutputFormat::Ndjson) => console.print_json(&why)?,
        Some(OutputFormat::Name) => console.print(&format!("{}\n", why.id))?,
        Some(OutputFormat::Table | OutputFormat::Wide) | None => {
            console.print(&text_of(&why, console.unicode, RenderTime::parse(&why.at, console.utc)))?;
            if matches!(why.status.as_str(), "failed" | "timeout" | "interrupted") {
                print_last_lines(context, &why.id, LAST_LINES, &mut tokio::io::stdout()).await?;
            }
        }
    }
    Ok(DONE)
}

async fn meant(context: &VerbContext, args: &WhyArgs) -> Result<Option<String>, CliError> {
    if args.id.is_some() {
        return Ok(args.id.clone());
    }
    let path = RequestPath::processes()
        .with("status", "pending")
        .with_some("project", context.global.project.as_deref());
    let waiting = all_pages(context, path, None).await?.processes;
    match waiting.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(one.id.clone())),
        many => one_of(&context.console, many, "Explain the wait of which process?", "longhaul why ID"),
    }
}
