//! Implements `logs`.

use super::foreground::print_remark;
use super::{complained, first_failed, hint_at_others_of_agent};
use crate::arguments::{LineCount, LogsArgs};
use crate::dispatch::VerbContext;
use crate::exit_code::{DONE, FAILED, of_process};
use crate::failure::CliError;
use crate::output::{
    FollowRequest, Grep, Matches, OutputDisplay, OutputFollower, OutputPiece, PrintOptions, Printer, write,
};
use crate::render::{label, short};
use crate::status::ParsedStatus;
use futures_util::StreamExt;
use futures_util::stream::{self, LocalBoxStream};
use longhaul_client::RequestPath;
use longhaul_view::{CaseMode, Pattern, TerminalPolicy, clean_label};
use longhaul_wire::api::{ProcessView, WaitReply};
use tokio::io::AsyncWrite;

/// Default number of lines that are shown.
const DEFAULT_LINES: u64 = 50;

/// Prints the output of processes to standard output.
pub(crate) async fn logs(context: &VerbContext, args: &LogsArgs) -> Result<i32, CliError> {
    let mut out = tokio::io::stdout();
    logs_to(context, args, &mut out).await
}

/// Prints the output of processes to the given writer.
pub(super) async fn logs_to<W: AsyncWrite + Unpin>(
    context: &VerbContext,
    args: &LogsArgs,
    out: &mut W,
) -> Result<i32, CliError> {
    let pattern = args.grep.as_deref().map(|text| pattern(args, text)).transpose()?;
    let wanted = LogsRequest { args, pattern, is_quote: false };
    let ids = match &args.session {
        Some(session) => commands_of_session(context, session).await?,
        None => args.ids.clone(),
    };
    if ids.is_empty() {
        context.console.say("no process of the session has output");
        return Ok(DONE);
    }
    let (mut codes, has_found) = match ids.as_slice() {
        [id] => {
            hint_at_others_of_agent(context, id).await;
            let id = named(context, id).await?;
            (Vec::new(), show(context, &wanted, &id, None, out).await?)
        }
        ids => show_many(context, &wanted, ids, out).await?,
    };
    if !has_found {
        codes.push(FAILED);
    }
    if args.exit_status {
        for id in &ids {
            let path = RequestPath::wait().with("id", id).with("mode", "all");
            let reply: WaitReply = super::wait::with_retries(context, &path, None).await?;
            codes.extend(reply.processes.iter().map(of_process));
        }
    }
    Ok(first_failed(codes))
}

/// Returns the ids of all commands of a session, oldest first. Reported work has no output.
async fn commands_of_session(context: &VerbContext, session: &str) -> Result<Vec<String>, CliError> {
    let processes = super::wait::of_session(context, session).await?;
    let commands = processes.into_iter().filter(|process| process.work != "reported");
    Ok(commands.map(|process| process.id).collect())
}

/// Prints the last lines of the output of one process. Each line starts with a vertical bar.
pub(super) async fn print_last_lines<W: AsyncWrite + Unpin>(
    context: &VerbContext,
    id: &str,
    lines: u64,
    out: &mut W,
) -> Result<(), CliError> {
    let args =
        LogsArgs { ids: vec![id.to_owned()], lines: Some(LineCount::Last(lines)), ..LogsArgs::default() };
    let wanted = LogsRequest { args: &args, pattern: None, is_quote: true };
    show(context, &wanted, id, Some(" ".to_owned()), out).await.map(|_| ())
}

/// Arguments of `logs` together with the compiled search pattern.
struct LogsRequest<'a> {
    args: &'a LogsArgs,
    pattern: Option<Pattern>,
    /// True if the output is a part of another text. The control sequences in the output are then removed, even if the
    /// text is not printed to a terminal.
    is_quote: bool,
}

fn pattern(args: &LogsArgs, text: &str) -> Result<Pattern, CliError> {
    let case = if args.ignore_case { CaseMode::Ignored } else { CaseMode::Kept };
    Pattern::new(text, case).map_err(|error| CliError::Usage {
        what: format!("{text:?} is not a valid pattern"),
        why: Some(error.to_string()),
        help: "put a backslash before each special character that is meant literally".to_owned(),
    })
}

/// Returns the process reference for the output request. JSON output contains the full process id, so for JSON the
/// reference is first resolved to that id.
async fn named(context: &VerbContext, reference: &str) -> Result<String, CliError> {
    if !context.console.is_json() {
        return Ok(reference.to_owned());
    }
    let process = context.client.process(reference).await?;
    Ok(process.id)
}

/// Prints the output of one process. Returns false if a search found no match, and true in all other cases.
async fn show<W: AsyncWrite + Unpin>(
    context: &VerbContext,
    wanted: &LogsRequest<'_>,
    id: &str,
    prefix: Option<String>,
    out: &mut W,
) -> Result<bool, CliError> {
    let (mut follower, mut showing) = wanted.begin(context, id, prefix).await?;
    let mut is_empty = true;
    while let Some(piece) = follower.next().await? {
        is_empty = false;
        print_remark(context, &piece);
        write(out, &showing.show(&piece)?).await?;
        if showing.is_full() {
            break;
        }
    }
    let (rest, has_found) = showing.finish()?;
    write(out, &rest).await?;
    if is_empty {
        print_if_not_started(context, id).await;
    }
    Ok(has_found)
}

/// If the output is empty because the process has not started yet, prints the reason.
async fn print_if_not_started(context: &VerbContext, id: &str) {
    let process = context.client.process(id).await;
    if let Ok(process) = process
        && matches!(ParsedStatus::of(&process), ParsedStatus::Pending)
        && process.attempt == 0
    {
        let why = process.reason.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
        context.console.say(&clean_label(&format!("{} has not started{why}", label(&process))));
    }
}

/// Prints the output of several processes: one after the other, or interleaved with `--follow`. Returns a list of exit
/// codes, and a boolean that is false if a search found no match.
async fn show_many<W: AsyncWrite + Unpin>(
    context: &VerbContext,
    wanted: &LogsRequest<'_>,
    ids: &[String],
    out: &mut W,
) -> Result<(Vec<i32>, bool), CliError> {
    let mut codes = Vec::new();
    let mut has_found = false;
    let mut known = Vec::new();
    for id in ids {
        match context.client.process(id).await {
            Ok(process) => known.push((prefix(&process), process.id)),
            Err(failure) => codes.push(complained(context, failure)),
        }
    }
    if !wanted.args.follow {
        for (prefix, id) in known {
            codes.push(match show(context, wanted, &id, Some(prefix), out).await {
                Ok(found) => {
                    has_found |= found;
                    DONE
                }
                Err(failure) if failure.is_closed_output() => return Err(failure),
                Err(failure) => complained(context, failure),
            });
        }
        return Ok((codes, has_found));
    }
    let (mut followers, mut showings) = (Vec::new(), Vec::new());
    for (prefix, id) in known {
        match wanted.begin(context, &id, Some(prefix)).await {
            Ok((follower, showing)) => {
                followers.push(follower);
                showings.push(Some(showing));
            }
            Err(failure) => codes.push(complained(context, failure)),
        }
    }
    let pieces = followers.into_iter().enumerate().map(|(index, follower)| pieces(index, follower));
    let mut pieces = stream::select_all(pieces);
    while let Some((index, piece)) = pieces.next().await {
        let Some(slot) = showings.get_mut(index) else { continue };
        let ended = match piece {
            Ok(Some(piece)) => {
                print_remark(context, &piece);
                match slot {
                    Some(showing) => {
                        write(out, &showing.show(&piece)?).await?;
                        showing.is_full()
                    }
                    None => false,
                }
            }
            Ok(None) => true,
            Err(failure) => {
                codes.push(complained(context, failure));
                true
            }
        };
        if ended && let Some(showing) = slot.take() {
            let (rest, found) = showing.finish()?;
            has_found |= found;
            write(out, &rest).await?;
        }
        if showings.iter().all(Option::is_none) {
            break;
        }
    }
    Ok((codes, has_found))
}

/// Next chunk of output, with the index of its process. `None` means that the output has ended.
type IndexedOutput = (usize, Result<Option<OutputPiece>, CliError>);

fn pieces(index: usize, follower: OutputFollower<'_>) -> LocalBoxStream<'_, IndexedOutput> {
    stream::unfold(Some(follower), move |follower| async move {
        let mut follower = follower?;
        let piece = follower.next().await;
        let rest = matches!(piece, Ok(Some(_))).then_some(follower);
        Some(((index, piece), rest))
    })
    .boxed_local()
}

fn follow_request(args: &LogsArgs, id: &str) -> FollowRequest {
    FollowRequest {
        reference: id.to_owned(),
        follow: args.follow,
        lines: match (args.lines, args.since, &args.grep) {
            (Some(LineCount::Last(lines)), _, _) => Some(lines),
            (Some(LineCount::All), _, _) | (None, Some(_), _) | (None, None, Some(_)) => None,
            (None, None, None) => Some(DEFAULT_LINES),
        },
        since: args.since,
        stream: args.stream,
        attempt: args.attempt,
    }
}

impl LogsRequest<'_> {
    /// Opens the output of a process. For a search, also requests the number of the first line, so that each match can
    /// be shown with its line number.
    async fn begin<'a>(
        &self,
        context: &'a VerbContext,
        id: &str,
        prefix: Option<String>,
    ) -> Result<(OutputFollower<'a>, OutputDisplay), CliError> {
        let mut follower = OutputFollower::new(&context.client, follow_request(self.args, id));
        let first = if self.pattern.is_some() { follower.first_line().await? } else { None };
        Ok((follower, self.showing(context, id, prefix, first)))
    }

    fn showing(
        &self,
        context: &VerbContext,
        id: &str,
        prefix: Option<String>,
        first: Option<u64>,
    ) -> OutputDisplay {
        let args = self.args;
        let json = context.console.is_json().then(|| id.to_owned());
        if let Some(pattern) = &self.pattern {
            let wide = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
            return OutputDisplay::Matches(Box::new(Matches::new(Grep {
                pattern: pattern.clone(),
                context: args.context.map_or(0, wide),
                limit: args.max_matches.map_or(usize::MAX, wide),
                raw: args.raw,
                first,
                prefix,
                json,
            })));
        }
        let manner = self.manner(context, prefix, json);
        if args.fold { OutputDisplay::folded(manner) } else { OutputDisplay::All(Printer::new(manner)) }
    }

    fn manner(&self, context: &VerbContext, prefix: Option<String>, json: Option<String>) -> PrintOptions {
        let (console, args) = (&context.console, self.args);
        let is_clean = (console.out.terminal || self.is_quote) && !args.raw;
        let clean = is_clean.then_some(if console.out.colour {
            TerminalPolicy::Colour
        } else {
            TerminalPolicy::Plain
        });
        PrintOptions { clean, timestamps: args.timestamps, utc: console.utc, prefix, json }
    }
}

fn prefix(process: &ProcessView) -> String {
    let name = process.name.as_deref().map(|name| clean_label(name).into_owned());
    name.unwrap_or_else(|| short(&process.id).to_owned())
}
