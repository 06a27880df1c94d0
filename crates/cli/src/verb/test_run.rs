//! Implements `tests`.

mod junit;

use crate::arguments::{OutputFormat, TestsArgs};
use crate::dispatch::VerbContext;
use crate::exit_code::DONE;
use crate::failure::CliError;
use crate::render::{FailureDetail, TableFormat, TestRunText, test_diff, test_run as text_of, test_table};
use crate::status::ParsedStatus;
use junit::JunitWriter;
use longhaul_client::{ClientError, RequestPath};
use longhaul_wire::api::{ProcessView, RerunFailedReply, RerunFailedRequest, TestDiffView, TestResultsView};
use std::path::Path;

/// Number of tests on one page.
const PAGE: &str = "1000";
/// Maximum number of failures that are read for the grouped view.
const MAX_GROUPED: usize = 1_000;

/// Shows the test results of a process.
pub(crate) async fn test_run(context: &VerbContext, args: &TestsArgs) -> Result<i32, CliError> {
    let console = &context.console;
    if let Some(base) = &args.diff {
        let path = RequestPath::process_part(&args.id, "tests/diff").with("base", base);
        let diff: TestDiffView = context.client.fetch(&path).await?;
        if console.is_json() {
            console.print_json(&diff)?
        } else {
            console.print(&test_diff(&diff))?
        }
        return Ok(DONE);
    }
    if let Some(file) = &args.junit {
        return write_junit(context, args, file).await;
    }
    let limit = if args.failed || args.all || console.is_json() { usize::MAX } else { MAX_GROUPED };
    let view = fetch(context, args, limit).await?;
    match console.format {
        Some(OutputFormat::Json) => console.print_json(&view)?,
        Some(OutputFormat::Ndjson) => view.cases.iter().try_for_each(|case| console.print_json(case))?,
        Some(OutputFormat::Name) => console.print(&format!("{}\n", view.id))?,
        Some(OutputFormat::Table | OutputFormat::Wide) | None if args.all => {
            console.print(&test_table(&view.cases, TableFormat::of(console)))?;
        }
        Some(OutputFormat::Table | OutputFormat::Wide) | None => {
            let rerun = rerun_command(context, args, &view).await?;
            let detail = if args.failed { FailureDetail::Whole } else { FailureDetail::Grouped };
            console.print(&text_of(&TestRunText {
                view: &view,
                failures: &view.cases,
                detail,
                rerun: rerun.as_deref(),
                unicode: console.unicode,
            }))?;
        }
    }
    Ok(DONE)
}

fn page_path(args: &TestsArgs, failed: bool, brief: bool) -> RequestPath {
    let path = RequestPath::process_part(&args.id, "tests").with("limit", PAGE);
    let path = path.with_some("attempt", args.attempt).with_some("failed", failed.then_some("true"));
    path.with_some("brief", brief.then_some("true"))
}

/// Reads the results with about `limit` tests: all tests with `--all`, otherwise only failed tests.
async fn fetch(context: &VerbContext, args: &TestsArgs, limit: usize) -> Result<TestResultsView, CliError> {
    let path = page_path(args, !args.all, !args.failed);
    let mut view: TestResultsView = context.client.fetch(&path).await?;
    while let Some(cursor) = view.cursor.take().filter(|_| view.cases.len() < limit) {
        let mut page: TestResultsView = context.client.fetch(&path.clone().with("cursor", &cursor)).await?;
        view.cursor = page.cursor.take().filter(|_| !page.cases.is_empty());
        view.cases.append(&mut page.cases);
    }
    Ok(view)
}

/// Returns the command that runs only the failed tests. Returns `None` if no test failed, the tests are still running,
/// or the framework has no such command.
async fn rerun_command(
    context: &VerbContext,
    args: &TestsArgs,
    view: &TestResultsView,
) -> Result<Option<Vec<String>>, CliError> {
    let process = ProcessView { status: view.status.clone(), ..ProcessView::default() };
    if view.tests.failed.saturating_add(view.tests.errors) == 0 || !ParsedStatus::of(&process).is_ended() {
        return Ok(None);
    }
    let request = RerunFailedRequest { attempt: args.attempt, dry_run: true };
    let path = RequestPath::process_part(&view.id, "rerun-failed");
    let reply: Result<RerunFailedReply, _> = context.client.send(&path, &request).await;
    match reply {
        Ok(reply) => Ok(Some(reply.command)),
        Err(ClientError::Problem { .. }) => Ok(None),
        Err(failure) => Err(failure.into()),
    }
}

/// Writes all results as JUnit XML, page by page.
async fn write_junit(context: &VerbContext, args: &TestsArgs, file: &Path) -> Result<i32, CliError> {
    let path = page_path(args, false, false);
    let mut page: TestResultsView = context.client.fetch(&path).await?;
    let mut writer = JunitWriter::create(context, file)?;
    writer.begin(&page)?;
    loop {
        writer.add(&page.cases)?;
        let Some(cursor) = page.cursor.take().filter(|_| !page.cases.is_empty()) else { break };
        page = context.client.fetch(&path.clone().with("cursor", &cursor)).await?;
    }
    writer.finish()?;
    Ok(DONE)
}
