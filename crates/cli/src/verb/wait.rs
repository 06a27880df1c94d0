//! Implements `wait`.

mod session;

use super::status::all_pages;
use crate::arguments::{OutputFormat, WaitArgs, WaitGoal};
use crate::dispatch::VerbContext;
use crate::exit_code::{DONE, WAIT_TIMED_OUT, of_process};
use crate::failure::CliError;
use crate::reconnection::Reconnection;
use crate::render::{ended_line, label, waiting_line};
use crate::status::ParsedStatus;
use indicatif::{ProgressBar, ProgressStyle};
use longhaul_client::{ClientError, RequestPath};
use longhaul_view::clean_label;
use longhaul_wire::api::{ProcessView, WaitReply};
use serde::Serialize;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Delay between two requests, which avoids a busy loop.
const STEP: Duration = Duration::from_millis(100);
/// Delay before a request is repeated because the store did not answer.
const RETRY_DELAY: Duration = Duration::from_millis(500);
/// Interval at which progress is shown on a terminal.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(2);
/// Maximum number of processes in one long poll. When one of these processes has ended, the next process is added to
/// the long poll.
const MAX_NAMED: usize = 200;

/// JSON output of the processes after the wait.
#[derive(Serialize)]
struct WaitJson<'a> {
    schema: &'static str,
    #[serde(flatten)]
    reply: &'a WaitReply,
}

/// Waits until processes have ended, started or become ready. Returns the exit code of the process that determines the
/// result.
pub(crate) async fn wait(context: &VerbContext, args: &WaitArgs) -> Result<i32, CliError> {
    if let Some(session) = args.session.as_ref().filter(|_| args.prints_completions()) {
        return session::wait_for_session(context, args, session).await;
    }
    let until = args.timeout.map(|timeout| Instant::now() + timeout.as_duration());
    let bar = WaitProgress::new(context);
    let mut ids = args.ids.clone();
    let mut known: Vec<Option<ProcessView>> = vec![None; ids.len()];
    if let Some(session) = &args.session {
        for process in of_session(context, session).await? {
            let standing = ParsedStatus::of(&process);
            if standing.is_ended() && standing != ParsedStatus::Completed {
                print_end(context, &process, args.goal);
            }
            ids.push(process.id.clone());
            known.push(Some(process));
        }
    }
    // The first long poll returns without waiting, so that a terminal shows the current state immediately.
    let mut glance = Duration::ZERO;
    loop {
        let waiting: Vec<usize> = known
            .iter()
            .enumerate()
            .filter(|(_, each)| !is_reached(each.as_ref(), args.goal))
            .map(|(index, _)| index)
            .collect();
        if waiting.is_empty() || (args.any && waiting.len() < known.len()) {
            break;
        }
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let slice = if bar.is_shown() { Some(left.map_or(glance, |left| left.min(glance))) } else { left };
        glance = PROGRESS_INTERVAL;
        let reply = match ask(context, args.goal, named(&ids, &waiting), slice).await {
            // The processes are known and continue while the store does not answer, so the wait continues too.
            Err(failure) if failure.is_of_store() && known.iter().any(Option::is_some) => {
                sleep(RETRY_DELAY).await;
                WaitReply { processes: Vec::new(), timed_out: true }
            }
            reply => reply?,
        };
        let mut nothing_new = true;
        for (index, process) in waiting.iter().zip(reply.processes) {
            if is_reached(Some(&process), args.goal) {
                nothing_new = false;
                bar.aside(|| print_end(context, &process, args.goal));
            }
            if let Some(place) = known.get_mut(*index) {
                *place = Some(process);
            }
        }
        bar.show(known.iter().flatten());
        if until.is_some_and(|until| Instant::now() >= until) {
            break;
        }
        if nothing_new && !reply.timed_out {
            // The manager returned early for a reason that this version of the program does not know.
            sleep(STEP).await;
        }
    }
    bar.clear();
    conclude(context, args, known)
}

/// Sends a long poll. Repeats it if the manager restarts during the poll.
pub(super) async fn with_retries(
    context: &VerbContext,
    path: &RequestPath,
    time_limit: Option<Duration>,
) -> Result<WaitReply, ClientError> {
    let mut reconnection = Reconnection::none();
    loop {
        let failure = match context.client.fetch_slowly(path, time_limit).await {
            Err(failure) if failure.is_temporary() => failure,
            outcome => return outcome,
        };
        // If no manager answered the first request, the client has already tried to start one, so a retry would not
        // help.
        if matches!(failure, ClientError::Down { .. }) && !reconnection.has_begun() {
            return Err(failure);
        }
        reconnection.survive(failure).await?;
    }
}

/// Returns all processes of a session, oldest first. Returns an error if there are none.
pub(super) async fn of_session(context: &VerbContext, session: &str) -> Result<Vec<ProcessView>, CliError> {
    let path = RequestPath::processes().with("all", "true").with("session", session);
    let mut processes = all_pages(context, path, None).await?.processes;
    processes.reverse();
    if processes.is_empty() { Err(session::unknown(session)) } else { Ok(processes) }
}

fn named<'a>(ids: &'a [String], waiting: &'a [usize]) -> impl Iterator<Item = &'a str> {
    waiting.iter().filter_map(|index| ids.get(*index)).map(String::as_str).take(MAX_NAMED)
}

/// Waits until one of these processes reaches the goal, or until the time `slice` has passed.
async fn ask(
    context: &VerbContext,
    goal: WaitGoal,
    ids: impl Iterator<Item = &str>,
    slice: Option<Duration>,
) -> Result<WaitReply, CliError> {
    let goal = match goal {
        WaitGoal::Ended => "ended",
        WaitGoal::Running => "running",
        WaitGoal::Ready => "ready",
    };
    let mut path = RequestPath::wait().with("mode", "any").with("for", goal);
    for id in ids {
        path = path.with("id", id);
    }
    let path = path.with_some("timeout_ms", slice.map(|slice| slice.as_millis()));
    Ok(with_retries(context, &path, slice).await?)
}

fn is_reached(process: Option<&ProcessView>, goal: WaitGoal) -> bool {
    process.is_some_and(|process| match goal {
        WaitGoal::Ended => ParsedStatus::of(process).is_ended(),
        WaitGoal::Running => ParsedStatus::of(process).has_started(),
        WaitGoal::Ready => ParsedStatus::of(process).is_ended() || process.ready == Some(true),
    })
}

fn print_end(context: &VerbContext, process: &ProcessView, goal: WaitGoal) {
    let console = &context.console;
    let standing = ParsedStatus::of(process);
    console.say(&if standing.is_ended() {
        ended_line(process, console.unicode)
    } else {
        let word = match goal {
            WaitGoal::Ready => "ready".into(),
            WaitGoal::Running | WaitGoal::Ended => clean_label(&process.status),
        };
        format!("{} {} {word}", label(process), standing.glyph(console.unicode))
    });
}

fn conclude(
    context: &VerbContext,
    args: &WaitArgs,
    known: Vec<Option<ProcessView>>,
) -> Result<i32, CliError> {
    let timed_out = {
        let reached = known.iter().filter(|each| is_reached(each.as_ref(), args.goal)).count();
        reached < if args.any { known.len().min(1) } else { known.len() }
    };
    let processes: Vec<ProcessView> = known.into_iter().flatten().collect();
    let mut first = None;
    for process in &processes {
        let code = code_of(process, args.goal);
        let counts = !args.any || is_reached(Some(process), args.goal);
        if counts && first.is_none_or(|first| first == DONE) {
            first = Some(code);
        }
        if timed_out && !is_reached(Some(process), args.goal) {
            context.console.say(&waiting_line(process, context.console.unicode));
        }
    }
    let reply = WaitReply { processes, timed_out };
    match context.console.format {
        // The completions of a session have already been printed, one on each line.
        Some(OutputFormat::Json | OutputFormat::Ndjson) if args.prints_completions() => {}
        Some(OutputFormat::Json | OutputFormat::Ndjson) => {
            context.console.print_json(&WaitJson { schema: "longhaul/wait/v1", reply: &reply })?;
        }
        Some(OutputFormat::Name) => {
            let ids: String = reply.processes.iter().map(|process| format!("{}\n", process.id)).collect();
            context.console.print(&ids)?;
        }
        Some(OutputFormat::Table | OutputFormat::Wide) | None => {}
    }
    // If the wait timed out, the exit code reports the timeout even if a process has failed.
    Ok(first.filter(|_| !timed_out).unwrap_or(WAIT_TIMED_OUT))
}

fn code_of(process: &ProcessView, goal: WaitGoal) -> i32 {
    let standing = ParsedStatus::of(process);
    match goal {
        WaitGoal::Running if standing.has_started() && !standing.is_ended() => DONE,
        WaitGoal::Ready if process.ready == Some(true) && !standing.is_ended() => DONE,
        WaitGoal::Running | WaitGoal::Ready | WaitGoal::Ended => of_process(process),
    }
}

/// Progress display that a terminal shows during a wait.
struct WaitProgress {
    bar: Option<ProgressBar>,
    unicode: bool,
}

impl WaitProgress {
    fn new(context: &VerbContext) -> Self {
        let console = &context.console;
        if !console.err.terminal || console.quiet || console.is_json() {
            return Self { bar: None, unicode: console.unicode };
        }
        let bar = ProgressBar::new(100);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(125));
        Self { bar: Some(bar), unicode: console.unicode }
    }

    const fn is_shown(&self) -> bool {
        self.bar.is_some()
    }

    fn show<'a>(&self, processes: impl Iterator<Item = &'a ProcessView>) {
        if let Some(bar) = &self.bar {
            let live: Vec<&ProcessView> =
                processes.filter(|process| !ParsedStatus::of(process).is_ended()).collect();
            bar.set_message(match live.as_slice() {
                [] => String::new(),
                [process] => waiting_line(process, self.unicode),
                live => format!("{} processes", live.len()),
            });
        }
    }

    fn aside(&self, print: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
