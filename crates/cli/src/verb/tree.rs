//! Implements `tree`.

use super::outage::{emptiness, print_outage};
use super::status::all_pages;
use crate::arguments::{OutputFormat, TreeArgs};
use crate::dispatch::VerbContext;
use crate::exit_code::DONE;
use crate::failure::CliError;
use crate::render::{TableFormat, tree as drawn};
use crate::status::ParsedStatus;
use longhaul_client::RequestPath;
use longhaul_wire::api::{ProcessList, ProcessView, ProcessesReply};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// JSON output of the process tree.
#[derive(Serialize)]
struct TreeJson<'a> {
    schema: &'static str,
    processes: &'a [ProcessView],
}

/// Prints processes as a tree of parents and children.
pub(crate) async fn tree(context: &VerbContext, args: &TreeArgs) -> Result<i32, CliError> {
    let console = &context.console;
    let (processes, stale_since) = match &args.id {
        Some(id) => (below(context, id).await?, None),
        None => forest(context, args.all).await?,
    };
    match console.format {
        Some(OutputFormat::Json) => {
            console.print_json(&TreeJson { schema: "longhaul/tree/v1", processes: &processes })?;
        }
        Some(OutputFormat::Ndjson) => processes.iter().try_for_each(|process| console.print_json(process))?,
        Some(OutputFormat::Name) => {
            let ids: String = processes.iter().map(|process| format!("{}\n", process.id)).collect();
            console.print(&ids)?;
        }
        Some(OutputFormat::Table | OutputFormat::Wide) | None if processes.is_empty() => {
            let nothing = if args.all {
                "the store has no processes; start one with: longhaul run -b -- COMMAND"
            } else {
                "nothing is running; longhaul tree -a shows what has ended"
            };
            console.say(&emptiness(stale_since.as_deref(), nothing))
        }
        Some(OutputFormat::Table | OutputFormat::Wide) | None => {
            console.print(&drawn(&processes, TableFormat::of(console)))?
        }
    }
    Ok(DONE)
}

async fn below(context: &VerbContext, id: &str) -> Result<Vec<ProcessView>, CliError> {
    let reply: ProcessesReply = context.client.fetch(&RequestPath::process_part(id, "tree")).await?;
    Ok(reply.processes)
}

/// Returns the processes to show, oldest first: either all processes, or the live processes and their ancestors.
async fn forest(context: &VerbContext, all: bool) -> Result<(Vec<ProcessView>, Option<String>), CliError> {
    let path = RequestPath::processes()
        .with_some("all", all.then_some(true))
        .with_some("project", context.global.project.as_deref());
    let ProcessList { mut processes, stale_since, at, .. } = all_pages(context, path, None).await?;
    print_outage(context, stale_since.as_deref(), &at);
    processes.reverse();
    let known: BTreeSet<&str> = processes.iter().map(|process| process.id.as_str()).collect();
    let is_lost =
        |process: &&ProcessView| process.parent_id.as_deref().is_some_and(|parent| !known.contains(parent));
    let roots: BTreeSet<String> =
        processes.iter().filter(is_lost).map(|process| process.root_id.clone()).collect();
    for root in roots {
        match below(context, &root).await {
            Ok(whole) => add_ancestors(&mut processes, whole),
            // The record of the tree's root was pruned, so the ancestors cannot be shown.
            Err(failure) if failure.slug() == "process_not_found" => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok((processes, stale_since))
}

/// Adds processes of a complete tree to the list: all live processes, and all ancestors of live processes or of
/// processes in the list.
fn add_ancestors(processes: &mut Vec<ProcessView>, whole: Vec<ProcessView>) {
    let mut known: BTreeSet<String> = processes.iter().map(|process| process.id.clone()).collect();
    let parents: BTreeMap<&str, &str> = whole
        .iter()
        .filter_map(|process| Some((process.id.as_str(), process.parent_id.as_deref()?)))
        .collect();
    let mut wanted: BTreeSet<String> = BTreeSet::new();
    let leads =
        whole.iter().filter(|process| known.contains(&process.id) || !ParsedStatus::of(process).is_ended());
    for process in leads {
        let mut at = Some(process.id.as_str());
        while let Some(id) = at.filter(|id| wanted.insert((*id).to_owned())) {
            at = parents.get(id).copied();
        }
    }
    processes.extend(
        whole.into_iter().filter(|process| wanted.contains(&process.id) && known.insert(process.id.clone())),
    );
}
