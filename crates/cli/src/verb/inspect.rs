//! Implements `inspect`.

use super::{complained, first_failed};
use crate::arguments::{InspectArgs, OutputFormat};
use crate::dispatch::VerbContext;
use crate::exit_code::DONE;
use crate::failure::CliError;
use crate::json::indented;
use crate::render::{RenderTime, detail};
use longhaul_client::RequestPath;
use longhaul_wire::api::ProcessView;

/// Prints all details of processes.
pub(crate) async fn inspect(context: &VerbContext, args: &InspectArgs) -> Result<i32, CliError> {
    let console = &context.console;
    let mut codes = Vec::new();
    for id in &args.ids {
        let process: ProcessView =
            match context.client.fetch(&RequestPath::process(id).with("usage", "true")).await {
                Ok(process) => process,
                Err(failure) => {
                    codes.push(complained(context, failure));
                    continue;
                }
            };
        match console.format {
            None => console.print(&indented(&process)?)?,
            Some(OutputFormat::Json | OutputFormat::Ndjson) => console.print_json(&process)?,
            Some(OutputFormat::Name) => console.print(&format!("{}\n", process.id))?,
            Some(OutputFormat::Table | OutputFormat::Wide) => {
                console.print(&detail(
                    &process,
                    console.out,
                    console.unicode,
                    RenderTime::here(console.utc),
                ))?;
            }
        }
        codes.push(DONE);
    }
    Ok(first_failed(codes))
}
