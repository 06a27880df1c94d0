//! Implements `stats`.

use crate::arguments::{OutputFormat, StatsArgs};
use crate::dispatch::VerbContext;
use crate::exit_code::DONE;
use crate::failure::CliError;
use crate::render::{TableFormat, stats as table};
use crate::verb::damage::print_damage;
use longhaul_client::RequestPath;
use longhaul_wire::api::StatsView;
use serde::Serialize;

/// JSON output of the statistics.
#[derive(Serialize)]
struct StatsJson<'a> {
    schema: &'static str,
    #[serde(flatten)]
    stats: &'a StatsView,
}

/// Prints the process statistics of each level.
pub(crate) async fn stats(context: &VerbContext, args: &StatsArgs) -> Result<i32, CliError> {
    let console = &context.console;
    let path = RequestPath::stats()
        .with_some("session", args.session.as_deref())
        .with_some("tree", args.tree.as_deref())
        .with_some("project", context.global.project.as_deref());
    let stats: StatsView = context.client.fetch_slowly(&path, None).await?;
    match console.format {
        Some(OutputFormat::Json) => {
            console.print_json(&StatsJson { schema: "longhaul/stats/v1", stats: &stats })?
        }
        Some(OutputFormat::Ndjson) => {
            stats.levels.iter().chain([&stats.total]).try_for_each(|level| console.print_json(level))?;
        }
        Some(OutputFormat::Table | OutputFormat::Wide | OutputFormat::Name) | None => {
            console.print(&table(&stats, TableFormat::of(console)))?;
        }
    }
    if console.format != Some(OutputFormat::Json) {
        print_damage(console, &stats.damaged.iter().map(String::as_str).collect::<Vec<_>>());
    }
    Ok(DONE)
}
