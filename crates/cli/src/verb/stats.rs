//! `stats`

use crate::arguments::{Format, StatsArgs};
use crate::client::Path;
use crate::dispatch::Context;
use crate::exit_code::DONE;
use crate::failure::Failure;
use crate::render::{Look, stats as table};
use crate::verb::damage::tell_of_damage;
use longhaul_wire::api::StatsView;
use serde::Serialize;

/// What programs are told.
#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    #[serde(flatten)]
    stats: &'a StatsView,
}

/// Counts processes by level.
pub(crate) async fn stats(context: &Context, args: &StatsArgs) -> Result<i32, Failure> {
    let console = &context.console;
    let path = Path::stats()
        .with_some("session", args.session.as_deref())
        .with_some("tree", args.tree.as_deref())
        .with_some("project", context.global.project.as_deref());
    let stats: StatsView = context.client.fetch_slowly(&path, None).await?;
    match console.format {
        Some(Format::Json) => console.print_json(&Document { schema: "longhaul/stats/v1", stats: &stats })?,
        Some(Format::Ndjson) => {
            stats.levels.iter().chain([&stats.total]).try_for_each(|level| console.print_json(level))?;
        }
        Some(Format::Table | Format::Wide | Format::Name) | None => {
            console.print(&table(&stats, Look::of(console)))?;
        }
    }
    if console.format != Some(Format::Json) {
        tell_of_damage(console, &stats.damaged.iter().map(String::as_str).collect::<Vec<_>>());
    }
    Ok(DONE)
}
