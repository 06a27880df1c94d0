//! `why`

use super::status::all_pages;
use crate::arguments::{Format, WhyArgs};
use crate::choice::one_of;
use crate::client::Path;
use crate::dispatch::Context;
use crate::exit_code::DONE;
use crate::failure::Failure;
use crate::render::{Now, why as text_of};
use longhaul_wire::api::WhyView;

/// Says why a process waits.
pub(crate) async fn why(context: &Context, args: &WhyArgs) -> Result<i32, Failure> {
    let console = &context.console;
    let Some(id) = meant(context, args).await? else {
        console.say("nothing waits");
        return Ok(DONE);
    };
    let why: WhyView = context.client.fetch(&Path::process_part(&id, "why")).await?;
    match console.format {
        Some(Format::Json | Format::Ndjson) => console.print_json(&why)?,
        Some(Format::Name) => console.print(&format!("{}\n", why.id))?,
        Some(Format::Table | Format::Wide) | None => {
            console.print(&text_of(&why, console.unicode, Now::said(&why.at, console.utc)))?;
        }
    }
    Ok(DONE)
}

async fn meant(context: &Context, args: &WhyArgs) -> Result<Option<String>, Failure> {
    if args.id.is_some() {
        return Ok(args.id.clone());
    }
    let path =
        Path::processes().with("status", "pending").with_some("project", context.global.project.as_deref());
    let waiting = all_pages(context, path, None).await?.processes;
    match waiting.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(one.id.clone())),
        many => one_of(&context.console, many, "Why does which one wait?", "longhaul why ID"),
    }
}
