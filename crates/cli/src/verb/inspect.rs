//! `inspect`

use super::{complained, first_failed};
use crate::arguments::{Format, InspectArgs};
use crate::client::Path;
use crate::dispatch::Context;
use crate::exit_code::DONE;
use crate::failure::Failure;
use crate::json::indented;
use crate::render::{Now, detail};
use longhaul_wire::api::ProcessView;

/// Prints everything that is known about processes.
pub(crate) async fn inspect(context: &Context, args: &InspectArgs) -> Result<i32, Failure> {
    let console = &context.console;
    let mut codes = Vec::new();
    for id in &args.ids {
        let process: ProcessView = match context.client.fetch(&Path::process(id).with("usage", "true")).await
        {
            Ok(process) => process,
            Err(failure) => {
                codes.push(complained(context, failure));
                continue;
            }
        };
        match console.format {
            None => console.print(&indented(&process)?)?,
            Some(Format::Json | Format::Ndjson) => console.print_json(&process)?,
            Some(Format::Name) => console.print(&format!("{}\n", process.id))?,
            Some(Format::Table | Format::Wide) => {
                console.print(&detail(&process, console.out, console.unicode, Now::here(console.utc)))?;
            }
        }
        codes.push(DONE);
    }
    Ok(first_failed(codes))
}
