//! Implements `events`.

use super::resumable_stream::ResumableStream;
use crate::arguments::{EventsArgs, OutputFormat};
use crate::dispatch::VerbContext;
use crate::exit_code::DONE;
use crate::failure::CliError;
use crate::render::{RenderTime, event_line};
use longhaul_client::{ClientError, RequestPath};
use longhaul_view::clean_json;
use longhaul_wire::event::Envelope;

/// Prints past events. With `--follow`, also prints new events as they happen.
pub(crate) async fn events(context: &VerbContext, args: &EventsArgs) -> Result<i32, CliError> {
    let mut path = RequestPath::events().with_some("session", args.session.as_ref());
    path = path.with_some("process", args.id.as_ref());
    for word in &args.types {
        path = path.with("type", word);
    }
    let console = &context.console;
    let mut telling = ResumableStream::new(&context.client, path, args.after.clone(), args.follow);
    let mut nothing_told = true;
    while let Some(sent) = telling.next().await? {
        // A `caught_up` event only marks the point at which the past events end.
        if sent.event == "caught_up" {
            continue;
        }
        nothing_told = false;
        match console.format {
            // JSON output contains the manager's JSON unchanged, including fields that this version does not know.
            Some(OutputFormat::Json | OutputFormat::Ndjson) => {
                console.print(&format!("{}\n", clean_json(&sent.data)))?;
            }
            Some(OutputFormat::Name) => {
                let envelope = read(&sent.data)?;
                if let Some(id) = envelope.subject {
                    console.print(&format!("{id}\n"))?;
                }
            }
            Some(OutputFormat::Table | OutputFormat::Wide) | None => {
                let line = event_line(&read(&sent.data)?, RenderTime::here(console.utc), console.unicode);
                console.print(&format!("{line}\n"))?;
            }
        }
    }
    if nothing_told {
        console.say("no stored event matches; longhaul events -f shows new events");
    }
    Ok(DONE)
}

fn read(data: &str) -> Result<Envelope, CliError> {
    let broken =
        |error| ClientError::Broken { why: format!("an event of the manager cannot be decoded: {error}") };
    Ok(serde_json::from_str(data).map_err(broken)?)
}
