//! Implements `report`.

use super::rerun_failed::rerun_command;
use crate::arguments::{OutputFormat, ReportArgs};
use crate::dispatch::VerbContext;
use crate::exit_code::DONE;
use crate::failure::CliError;
use crate::render::{ProcessReport, RenderTime, ReportStep};
use longhaul_client::{ClientError, RequestPath};
use longhaul_wire::api::{ArtifactsView, OutputView, ProcessView, WhyView};
use serde::Serialize;

/// Number of output lines that are shown for a process that has not completed.
const LAST_LINES: &str = "10";
/// Maximum size of the shown output lines, in tokens of four bytes.
const LAST_TOKENS: &str = "800";

/// JSON output of a report.
#[derive(Serialize)]
struct ReportJson<'a> {
    schema: &'static str,
    process: &'a ProcessView,
    why: &'a WhyView,
    artifacts: &'a ArtifactsView,
    last_output: Option<&'a str>,
    next: Vec<ReportStep>,
}

/// Prints a report about one process.
pub(crate) async fn report(context: &VerbContext, args: &ReportArgs) -> Result<i32, CliError> {
    let report = fetch(context, &args.id).await?;
    let console = &context.console;
    let now = RenderTime::here(console.utc);
    if args.markdown {
        console.print(&report.markdown(now))?;
        return Ok(DONE);
    }
    match console.format {
        Some(OutputFormat::Json | OutputFormat::Ndjson) => console.print_json(&ReportJson {
            schema: "longhaul/report/v1",
            process: &report.process,
            why: &report.why,
            artifacts: &report.artifacts,
            last_output: report.last_output.as_deref(),
            next: report.next(),
        })?,
        Some(OutputFormat::Name) => console.print(&format!("{}\n", report.process.id))?,
        Some(OutputFormat::Table | OutputFormat::Wide) | None => {
            console.print(&report.text(console.out, console.unicode, now))?;
        }
    }
    Ok(DONE)
}

async fn fetch(context: &VerbContext, reference: &str) -> Result<ProcessReport, CliError> {
    let client = &context.client;
    let process: ProcessView = client.fetch(&RequestPath::process(reference).with("usage", "true")).await?;
    let part = |part| RequestPath::process_part(&process.id, part);
    let why = client.fetch(&part("why")).await?;
    // If the node that has the artifacts or the output is unreachable, the report leaves them out.
    let artifacts = client.fetch(&part("artifacts")).await.or_else(unless_down)?;
    let last_output = if process.work == "reported" || process.status == "completed" {
        None
    } else {
        let lines = part("text").with("tail_lines", LAST_LINES).with("max_tokens", LAST_TOKENS);
        let page: OutputView = client.fetch(&lines).await.or_else(unless_down)?;
        Some(page.text).filter(|text| !text.is_empty())
    };
    let can_rerun = rerun_command(context, &process, None).await?.is_some();
    Ok(ProcessReport { process, why, artifacts, last_output, can_rerun })
}

/// Replaces a refusal of the manager by an empty answer. Returns every other failure, so that the command fails.
fn unless_down<T: Default>(failure: ClientError) -> Result<T, ClientError> {
    if matches!(failure, ClientError::Problem { .. }) { Ok(T::default()) } else { Err(failure) }
}
