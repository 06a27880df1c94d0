//! `logs`

use super::foreground::tell_aside;
use super::{complained, first_failed};
use crate::arguments::{Lines, LogsArgs};
use crate::client::Path;
use crate::dispatch::Context;
use crate::exit_code::{DONE, FAILED, of_process};
use crate::failure::Failure;
use crate::output::{Asked, Follower, Grep, Manner, Matches, Piece, Printer, Showing, write};
use crate::render::{label, short};
use crate::standing::Standing;
use futures_util::StreamExt;
use futures_util::stream::{self, LocalBoxStream};
use longhaul_view::{Case, Pattern, Terminal, clean_label};
use longhaul_wire::api::{ProcessView, WaitReply};
use tokio::io::AsyncWrite;

/// How many lines are shown where nobody says.
const USUAL: u64 = 50;

/// Shows the output of processes.
pub(crate) async fn logs(context: &Context, args: &LogsArgs) -> Result<i32, Failure> {
    let mut out = tokio::io::stdout();
    logs_to(context, args, &mut out).await
}

/// Shows the output of processes on the given writer.
pub(super) async fn logs_to<W: AsyncWrite + Unpin>(
    context: &Context,
    args: &LogsArgs,
    out: &mut W,
) -> Result<i32, Failure> {
    let pattern = args.grep.as_deref().map(|text| pattern(args, text)).transpose()?;
    let wanted = Wanted { args, pattern };
    let (mut codes, has_found) = match args.ids.as_slice() {
        [id] => {
            let id = named(context, id).await?;
            (Vec::new(), show(context, &wanted, &id, None, out).await?)
        }
        ids => show_many(context, &wanted, ids, out).await?,
    };
    if !has_found {
        codes.push(FAILED);
    }
    if args.exit_status {
        for id in &args.ids {
            let path = Path::wait().with("id", id).with("mode", "all");
            let reply: WaitReply = super::wait::patiently(context, &path, None).await?;
            codes.extend(reply.processes.iter().map(of_process));
        }
    }
    Ok(first_failed(codes))
}

/// What is wanted, with what was made of it.
struct Wanted<'a> {
    args: &'a LogsArgs,
    pattern: Option<Pattern>,
}

fn pattern(args: &LogsArgs, text: &str) -> Result<Pattern, Failure> {
    let case = if args.ignore_case { Case::Ignored } else { Case::Kept };
    Pattern::new(text, case).map_err(|error| Failure::Usage {
        what: format!("cannot search for {text:?}"),
        why: Some(error.to_string()),
        help: "put a backslash before a character that is meant as it is".to_owned(),
    })
}

/// Gives what output is asked for by: programs read whole ids, whatever was said.
async fn named(context: &Context, reference: &str) -> Result<String, Failure> {
    if !context.console.is_json() {
        return Ok(reference.to_owned());
    }
    let process: ProcessView = context.client.fetch(&Path::process(reference)).await?;
    Ok(process.id)
}

/// Shows one process, and tells whether something was found.
async fn show<W: AsyncWrite + Unpin>(
    context: &Context,
    wanted: &Wanted<'_>,
    id: &str,
    prefix: Option<String>,
    out: &mut W,
) -> Result<bool, Failure> {
    let (mut follower, mut showing) = wanted.begin(context, id, prefix).await?;
    let mut is_empty = true;
    while let Some(piece) = follower.next().await? {
        is_empty = false;
        tell_aside(context, &piece);
        write(out, &showing.show(&piece)?).await?;
        if showing.is_full() {
            break;
        }
    }
    let (rest, has_found) = showing.finish()?;
    write(out, &rest).await?;
    if is_empty {
        tell_if_not_begun(context, id).await;
    }
    Ok(has_found)
}

/// Tells people why there is nothing of what has not begun.
async fn tell_if_not_begun(context: &Context, id: &str) {
    let process: Result<ProcessView, Failure> = context.client.fetch(&Path::process(id)).await;
    if let Ok(process) = process
        && matches!(Standing::of(&process), Standing::Pending)
        && process.attempt == 0
    {
        let why = process.reason.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
        context.console.say(&clean_label(&format!("{} has not begun{why}", label(&process))));
    }
}

/// Shows several processes: one after the other, or all at once while they are followed. Tells how that went, and
/// whether something was found.
async fn show_many<W: AsyncWrite + Unpin>(
    context: &Context,
    wanted: &Wanted<'_>,
    ids: &[String],
    out: &mut W,
) -> Result<(Vec<i32>, bool), Failure> {
    let mut codes = Vec::new();
    let mut has_found = false;
    let mut known = Vec::new();
    for id in ids {
        match context.client.fetch::<ProcessView>(&Path::process(id)).await {
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
                tell_aside(context, &piece);
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
                false
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
    // Of one that broke off, what was found is found.
    has_found |= showings.iter().flatten().any(Showing::has_found);
    Ok((codes, has_found))
}

/// A piece of the output of the process at this index; none at its end.
type Indexed = (usize, Result<Option<Piece>, Failure>);

fn pieces(index: usize, follower: Follower<'_>) -> LocalBoxStream<'_, Indexed> {
    stream::unfold(Some(follower), move |follower| async move {
        let mut follower = follower?;
        let piece = follower.next().await;
        let rest = matches!(piece, Ok(Some(_))).then_some(follower);
        Some(((index, piece), rest))
    })
    .boxed_local()
}

fn asked(args: &LogsArgs, id: &str) -> Asked {
    Asked {
        reference: id.to_owned(),
        follow: args.follow,
        lines: match (args.lines, args.since, &args.grep) {
            (Some(Lines::Last(lines)), _, _) => Some(lines),
            (Some(Lines::All), _, _) | (None, Some(_), _) | (None, None, Some(_)) => None,
            (None, None, None) => Some(USUAL),
        },
        since: args.since,
        stream: args.stream,
        attempt: args.attempt,
    }
}

impl Wanted<'_> {
    /// Begins to read the output of a process. Lines that match are told with their numbers, wherever it begins.
    async fn begin<'a>(
        &self,
        context: &'a Context,
        id: &str,
        prefix: Option<String>,
    ) -> Result<(Follower<'a>, Showing), Failure> {
        let mut follower = Follower::new(&context.client, asked(self.args, id));
        let first = if self.pattern.is_some() { follower.first_line().await? } else { None };
        Ok((follower, self.showing(context, id, prefix, first)))
    }

    fn showing(&self, context: &Context, id: &str, prefix: Option<String>, first: Option<u64>) -> Showing {
        let args = self.args;
        let json = context.console.is_json().then(|| id.to_owned());
        if let Some(pattern) = &self.pattern {
            let wide = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
            return Showing::Matches(Box::new(Matches::new(Grep {
                pattern: pattern.clone(),
                context: args.context.map_or(0, wide),
                most: args.max.map_or(usize::MAX, wide),
                raw: args.raw,
                first,
                prefix,
                json,
            })));
        }
        let manner = manner(context, args, prefix, json);
        if args.fold { Showing::folded(manner) } else { Showing::All(Printer::new(manner)) }
    }
}

fn manner(context: &Context, args: &LogsArgs, prefix: Option<String>, json: Option<String>) -> Manner {
    let console = &context.console;
    let clean = (console.out.terminal && !args.raw).then_some(if console.out.colour {
        Terminal::Colour
    } else {
        Terminal::Plain
    });
    Manner { clean, timestamps: args.timestamps, utc: console.utc, prefix, json }
}

fn prefix(process: &ProcessView) -> String {
    let name = process.name.as_deref().map(|name| clean_label(name).into_owned());
    name.unwrap_or_else(|| short(&process.id).to_owned())
}
