//! Implements `tests`.

mod junit;

use super::rerun_failed::rerun_command;
use crate::arguments::{OutputFormat, TestsArgs};
use crate::dispatch::VerbContext;
use crate::exit_code::DONE;
use crate::failure::CliError;
use crate::render::{FailureDetail, TableFormat, TestRunText, test_diff, test_run as text_of, test_table};
use junit::JunitWriter;
use longhaul_client::RequestPath;
use longhaul_wire::api::{ProcessView, TestCaseView, TestDiffView, TestResultsView};
use std::collections::BTreeSet;
use std::path::Path;

/// Number of tests on one page.
const PAGE: &str = "1000";
/// Maximum number of failures that are shown to people.
const MAX_SHOWN: usize = 1_000;

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
    let is_for_people =
        !args.all && matches!(console.format, None | Some(OutputFormat::Table | OutputFormat::Wide));
    let limit = if is_for_people { MAX_SHOWN } else { usize::MAX };
    let view = fetch(context, args, limit).await?;
    match console.format {
        Some(OutputFormat::Json) => console.print_json(&view)?,
        Some(OutputFormat::Ndjson) => view.cases.iter().try_for_each(|case| console.print_json(case))?,
        Some(OutputFormat::Name) => console.print(&format!("{}\n", view.id))?,
        Some(OutputFormat::Table | OutputFormat::Wide) | None if args.all => {
            console.print(&test_table(&view.cases, TableFormat::of(console)))?;
        }
        Some(OutputFormat::Table | OutputFormat::Wide) | None => {
            let process = ProcessView {
                id: view.id.clone(),
                status: view.status.clone(),
                tests: Some(view.tests.clone()),
                ..ProcessView::default()
            };
            let rerun = rerun_command(context, &process, args.attempt).await?;
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

/// Writes all results as JUnit XML, page by page. Only the list of failed tests contains messages and traces, so the
/// failed tests are written first.
async fn write_junit(context: &VerbContext, args: &TestsArgs, file: &Path) -> Result<i32, CliError> {
    let mut failures = BTreeSet::new();
    let mut writer: Option<JunitWriter<'_>> = None;
    for failed in [true, false] {
        let path = page_path(args, failed, false);
        let mut page: TestResultsView = context.client.fetch(&path).await?;
        loop {
            let writer = match &mut writer {
                Some(writer) => writer,
                None => {
                    let mut created = JunitWriter::create(context, file)?;
                    created.begin(&page)?;
                    writer.insert(created)
                }
            };
            let has_cases = !page.cases.is_empty();
            if failed {
                failures.extend(page.cases.iter().map(|case| case.id.clone()));
            } else {
                let is_failure = |case: &TestCaseView| matches!(case.outcome.as_str(), "failed" | "error");
                page.cases.retain(|case| !is_failure(case) || !failures.contains(&case.id));
            }
            writer.add(&page.cases)?;
            let Some(cursor) = page.cursor.take().filter(|_| has_cases) else { break };
            page = context.client.fetch(&path.clone().with("cursor", &cursor)).await?;
        }
    }
    if let Some(writer) = writer {
        writer.finish()?;
    }
    Ok(DONE)
}
