//! Implements `status`.

use super::outage::{emptiness, print_outage};
use super::{complained, first_failed, hint_at_others_of_agent};
use crate::arguments::{OutputFormat, StatusArgs};
use crate::dispatch::VerbContext;
use crate::exit_code::DONE;
use crate::failure::CliError;
use crate::json::{indented, on_one_line};
use crate::nearest::similar;
use crate::render::{RenderTime, TableFormat, detail, summary, table};
use crate::shell_word::shell_word;
use crate::status::ParsedStatus;
use crate::verb::damage::print_damage;
use longhaul_client::{ClientError, RequestPath};
use longhaul_view::clean_label;
use longhaul_wire::api::{ProcessList, ProcessView, WaitReply};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::sleep;

/// Number of processes that are requested for each page of a list.
const PAGE: u32 = 200;
/// Maximum number of processes that are requested only to be counted.
const MAX_COUNTED: u32 = 10_000;
/// Process type of the processes that execute hooks.
const HOOK_TYPE: &str = "custom:hook";
/// Maximum time between two updates with `--watch`. It is needed because the long poll does not report every change.
const REFRESH_INTERVAL: Duration = Duration::from_secs(2);
/// Maximum number of processes in one long poll.
const MAX_WATCHED: usize = 50;

/// JSON output of the process list.
#[derive(Serialize)]
struct StatusJson<'a> {
    schema: &'static str,
    at: &'a str,
    last_changed: Option<&'a str>,
    processes: &'a [ProcessView],
    cursor: Option<&'a str>,
    stale_since: Option<&'a str>,
}

/// Processes that the arguments select.
enum StatusTargets {
    /// A list of processes. If a project is given, the list contains only its processes.
    List(Option<String>),
    /// Individual processes.
    Processes(Vec<ProcessView>),
}

/// Lists live processes, or prints the details of the named processes.
pub(crate) async fn status(context: &VerbContext, args: &StatusArgs) -> Result<i32, CliError> {
    let mut seen = ShownStatus::default();
    loop {
        let (list, code) = match meant(context, args).await? {
            (StatusTargets::List(project), code) => {
                let mut list = listed(context, args, project.as_deref()).await?;
                seen.print_outage(context, &list);
                seen.print_damaged(context, &list);
                if !args.watch && list.processes.is_empty() && !context.console.is_json() {
                    let nothing = nothing(args, project.as_deref());
                    context.console.say(&emptiness(list.stale_since.as_deref(), &nothing));
                } else {
                    if args.watch && !redraws(context) {
                        seen.add_ended(context, &mut list).await;
                    }
                    seen.show(context, args, &list, false)?;
                    if !args.watch && context.console.wants_hints() && !is_for_programs(context) {
                        let rest = remaining_pages(context, args, project.as_deref(), &list).await?;
                        context.console.hint(&summary(
                            &list.processes,
                            &rest.processes,
                            rest.cursor.is_some(),
                        ));
                    }
                }
                (list, code)
            }
            (StatusTargets::Processes(processes), code) => {
                let list = ProcessList { processes, ..ProcessList::default() };
                seen.show(context, args, &list, true)?;
                (list, code)
            }
        };
        if !args.watch {
            return Ok(code);
        }
        change(context, &list.processes).await?;
    }
}

/// Reads all pages of a list, but at most `limit` processes. `None` means no limit.
pub(super) async fn all_pages(
    context: &VerbContext,
    path: RequestPath,
    limit: Option<u32>,
) -> Result<ProcessList, CliError> {
    let page = limit.map_or(PAGE, |limit| limit.min(PAGE));
    let path = path.with("limit", &page.to_string());
    let mut all: ProcessList = context.client.fetch(&path).await?;
    let wanted = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    while all.processes.len() < wanted {
        let Some(cursor) = all.cursor.take() else {
            break;
        };
        let mut next: ProcessList = context.client.fetch(&path.clone().with("cursor", &cursor)).await?;
        all.processes.append(&mut next.processes);
        all.cursor = next.cursor;
    }
    all.processes.truncate(wanted);
    Ok(all)
}

async fn meant(context: &VerbContext, args: &StatusArgs) -> Result<(StatusTargets, i32), CliError> {
    if args.targets.is_empty() {
        return Ok((StatusTargets::List(context.global.project.clone()), DONE));
    }
    let mut processes = Vec::new();
    let mut codes = Vec::new();
    for target in &args.targets {
        match context.client.fetch(&page_of(target)).await {
            Ok(process) => {
                hint_at_others_of_agent(context, target).await;
                processes.push(process);
            }
            Err(failure) if args.targets.len() == 1 => {
                return project(context, target, failure.into())
                    .await
                    .map(|project| (StatusTargets::List(project), DONE));
            }
            Err(failure) => codes.push(complained(context, failure)),
        }
    }
    Ok((StatusTargets::Processes(processes), first_failed(codes)))
}

/// Interprets a word that is not a process reference as a project name, if at least one process belongs to such a
/// project.
async fn project(context: &VerbContext, word: &str, failure: CliError) -> Result<Option<String>, CliError> {
    if failure.slug() != "process_not_found" {
        return Err(failure);
    }
    let path = RequestPath::processes().with("project", word).with("all", "true").with("limit", "1");
    match context.client.fetch::<ProcessList>(&path).await {
        Ok(list) if !list.processes.is_empty() => Ok(Some(word.to_owned())),
        // A request that fails because the word is not a valid project name counts as no match.
        Ok(_) | Err(_) => Err(unknown(context, word, failure).await),
    }
}

/// Returns the error for a word that is neither a process nor a project, with a similar name as a hint.
async fn unknown(context: &VerbContext, word: &str, failure: CliError) -> CliError {
    let CliError::Client(ClientError::Problem { mut problem }) = failure else { return failure };
    problem.title = format!("no process and no project has the name {word:?}");
    let of_session = RequestPath::processes().with("session", word).with("all", "true").with("limit", "1");
    // A request that fails because the word is not a valid session name counts as no match.
    if context.client.fetch::<ProcessList>(&of_session).await.is_ok_and(|list| !list.processes.is_empty()) {
        problem.help = Some(format!(
            "longhaul status -a --session {}      lists the session of that name",
            shell_word(word)
        ));
        return ClientError::Problem { problem }.into();
    }
    let path = RequestPath::processes().with("all", "true").with("limit", &PAGE.to_string());
    let newest: ProcessList = context.client.fetch(&path).await.unwrap_or_default();
    let names: Vec<String> =
        newest.processes.into_iter().flat_map(|process| [process.name, process.project]).flatten().collect();
    if let Some(name) = similar(word, &names) {
        problem.help = Some(format!("longhaul status {}      shows the nearest name", shell_word(name)));
    }
    ClientError::Problem { problem }.into()
}

/// Returns the request path for one process including its resource usage.
fn page_of(reference: &str) -> RequestPath {
    RequestPath::process(reference).with("usage", "true")
}

async fn listed(
    context: &VerbContext,
    args: &StatusArgs,
    project: Option<&str>,
) -> Result<ProcessList, CliError> {
    let path = path_of(context, args, project);
    if args.latest {
        // `--latest` skips the processes that hooks started, unless the user requested a process type.
        let hooks = args.kind.is_none().then_some(HOOK_TYPE);
        return Ok(context.client.fetch(&path.with_some("not_type", hooks).with("limit", "1")).await?);
    }
    all_pages(context, path, args.limit).await
}

/// Reads the remaining pages of a list that was cut off, so that all processes can be counted.
async fn remaining_pages(
    context: &VerbContext,
    args: &StatusArgs,
    project: Option<&str>,
    list: &ProcessList,
) -> Result<ProcessList, CliError> {
    match &list.cursor {
        Some(cursor) if !args.latest => {
            let path = path_of(context, args, project).with("cursor", cursor);
            all_pages(context, path, Some(MAX_COUNTED)).await
        }
        Some(_) | None => Ok(ProcessList::default()),
    }
}

fn path_of(context: &VerbContext, args: &StatusArgs, project: Option<&str>) -> RequestPath {
    let statuses = (!args.status.is_empty()).then(|| args.status.join(","));
    let everything = statuses.is_none() && (args.all || args.latest);
    RequestPath::processes()
        .with_some("status", statuses)
        .with_some("all", everything.then_some(true))
        .with_some("project", project)
        .with_some("session", args.session.as_deref())
        .with_some("node", args.node.as_deref())
        .with_some("level", args.level)
        .with_some("agent_id", args.agent_id.as_deref())
        .with_some("parent", args.parent.as_deref())
        .with_some("tree", args.tree.as_deref())
        .with_some("usage", (context.console.format == Some(OutputFormat::Wide)).then_some(true))
        .with_some("type", args.kind.as_deref())
}

fn nothing(args: &StatusArgs, project: Option<&str>) -> String {
    let place = project.map(|project| format!(" in project {}", clean_label(project))).unwrap_or_default();
    let filtered = !args.status.is_empty()
        || args.level.is_some()
        || [&args.session, &args.node, &args.kind, &args.agent_id, &args.parent, &args.tree]
            .iter()
            .any(|each| each.is_some());
    if filtered {
        format!("no process matches{place}")
    } else if args.all || args.latest {
        format!("no process was started{place} yet; start one with: longhaul run -b -- COMMAND")
    } else {
        format!("nothing is running{place}; longhaul status -a shows what has ended")
    }
}

/// Waits until one of the live processes has ended, or until the refresh interval has passed.
async fn change(context: &VerbContext, processes: &[ProcessView]) -> Result<(), CliError> {
    let live: Vec<&ProcessView> =
        processes.iter().filter(|process| !ParsedStatus::of(process).is_ended()).take(MAX_WATCHED).collect();
    if live.is_empty() {
        sleep(REFRESH_INTERVAL).await;
        return Ok(());
    }
    let mut path =
        RequestPath::wait().with("mode", "any").with("timeout_ms", &REFRESH_INTERVAL.as_millis().to_string());
    for process in live {
        path = path.with("id", &process.id);
    }
    let _reply: WaitReply = super::wait::with_retries(context, &path, Some(REFRESH_INTERVAL)).await?;
    Ok(())
}

/// Returns true if the output format is not a table for people.
fn is_for_programs(context: &VerbContext) -> bool {
    context.console.is_json() || context.console.format == Some(OutputFormat::Name)
}

/// Returns true if `--watch` redraws the whole screen. Returns false if it prints only changed rows.
fn redraws(context: &VerbContext) -> bool {
    context.console.out.terminal && !context.console.is_json()
}

/// State that was last shown. `--watch` compares it with the current state to print only changes.
#[derive(Default)]
struct ShownStatus {
    shown: bool,
    processes: BTreeMap<String, ProcessView>,
    /// Last shown start time of a store outage; `None` if the store answered.
    stale_since: Option<String>,
    /// Ids of the damaged records that have already been shown.
    damaged: BTreeSet<String>,
}

impl ShownStatus {
    /// Prints the ids of damaged records. Each id is printed only the first time.
    fn print_damaged(&mut self, context: &VerbContext, list: &ProcessList) {
        let new: Vec<&str> = list
            .damaged
            .iter()
            .map(String::as_str)
            .filter(|id| self.damaged.insert((*id).to_owned()))
            .collect();
        print_damage(&context.console, &new);
    }

    /// Prints one note when the store stops answering, because the list is incomplete from then on.
    fn print_outage(&mut self, context: &VerbContext, list: &ProcessList) {
        if list.stale_since != self.stale_since {
            print_outage(context, list.stale_since.as_deref(), &list.at);
        }
        self.stale_since.clone_from(&list.stale_since);
    }

    fn show(
        &mut self,
        context: &VerbContext,
        args: &StatusArgs,
        list: &ProcessList,
        pages: bool,
    ) -> Result<(), CliError> {
        let console = &context.console;
        let redraw = args.watch && redraws(context);
        if args.watch && !redraw {
            return self.show_changes(context, list);
        }
        let text = if pages && matches!(console.format, None | Some(OutputFormat::Table | OutputFormat::Wide))
        {
            let now = RenderTime::here(console.utc);
            list.processes
                .iter()
                .map(|process| detail(process, console.out, console.unicode, now))
                .collect::<Vec<_>>()
                .join("\n")
        } else {
            text_of(context, list)?
        };
        if redraw {
            let nothing = emptiness(list.stale_since.as_deref(), "nothing is running");
            let note = if list.processes.is_empty() { format!("{nothing}\n") } else { String::new() };
            return console.print(&format!("\u{1b}[H\u{1b}[2J{text}{note}"));
        }
        console.print(&text)
    }

    /// Adds to the list the processes that were shown before and are no longer listed because they have ended.
    async fn add_ended(&mut self, context: &VerbContext, list: &mut ProcessList) {
        let listed: BTreeSet<&str> = list.processes.iter().map(|process| process.id.as_str()).collect();
        let is_missing = |process: &&ProcessView| {
            !ParsedStatus::of(process).is_ended() && !listed.contains(process.id.as_str())
        };
        let missing: Vec<String> =
            self.processes.values().filter(is_missing).map(|process| process.id.clone()).collect();
        for id in missing {
            match context.client.fetch::<ProcessView>(&RequestPath::process(&id)).await {
                Ok(process) if ParsedStatus::of(&process).is_ended() => list.processes.push(process),
                // The process is removed, because it no longer matches the filter, or because its record was pruned.
                Ok(_) => drop(self.processes.remove(&id)),
                Err(failure) if failure.slug() == "process_not_found" => drop(self.processes.remove(&id)),
                Err(_asked_again_next_time) => {}
            }
        }
    }

    fn show_changes(&mut self, context: &VerbContext, list: &ProcessList) -> Result<(), CliError> {
        let changed: Vec<ProcessView> = list
            .processes
            .iter()
            .filter(|process| self.processes.get(&process.id).is_none_or(|before| is_news(before, process)))
            .cloned()
            .collect();
        self.processes.extend(changed.iter().map(|process| (process.id.clone(), process.clone())));
        if context.console.is_json() {
            return changed.iter().try_for_each(|process| context.console.print_json(process));
        }
        let text = text_of(context, &ProcessList { processes: changed, ..list.clone() })?;
        let rows = if self.shown { text.split_once('\n').map_or("", |(_head, rows)| rows) } else { &text };
        self.shown = true;
        context.console.print(rows)
    }
}

/// Returns true if any value other than the run time has changed.
fn is_news(before: &ProcessView, after: &ProcessView) -> bool {
    (before.revision, &before.status, &before.stage, before.progress)
        != (after.revision, &after.status, &after.stage, after.progress)
}

fn text_of(context: &VerbContext, list: &ProcessList) -> Result<String, CliError> {
    let console = &context.console;
    match console.format {
        Some(OutputFormat::Json) => {
            let now = RenderTime::here(true).rfc3339();
            let document = StatusJson {
                schema: "longhaul/status/v1",
                at: if list.at.is_empty() { &now } else { &list.at },
                last_changed: list.last_changed.as_deref(),
                processes: &list.processes,
                cursor: list.cursor.as_deref(),
                stale_since: list.stale_since.as_deref(),
            };
            if console.out.terminal { indented(&document) } else { on_one_line(&document) }
        }
        Some(OutputFormat::Ndjson) => list.processes.iter().map(on_one_line).collect(),
        Some(OutputFormat::Name) => {
            Ok(list.processes.iter().map(|process| format!("{}\n", process.id)).collect())
        }
        Some(OutputFormat::Table | OutputFormat::Wide) | None => {
            Ok(table(&list.processes, TableFormat::of(console), RenderTime::parse(&list.at, console.utc)))
        }
    }
}
