//! `logs`

use super::foreground::tell_gap;
use super::{complained, first_failed};
use crate::arguments::{Lines, LogsArgs};
use crate::client::Path;
use crate::dispatch::Context;
use crate::exit_code::{DONE, of_process};
use crate::failure::Failure;
use crate::output::{Asked, Follower, Manner, Piece, Printer, write};
use crate::render::short;
use futures_util::StreamExt;
use futures_util::stream::{self, LocalBoxStream};
use longhaul_view::{Terminal, clean_label};
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
    let mut codes = match args.ids.as_slice() {
        [id] => {
            let id = named(context, id).await?;
            show(context, args, &id, None, out).await?;
            Vec::new()
        }
        ids => show_many(context, args, ids, out).await?,
    };
    if args.exit_status {
        for id in &args.ids {
            let path = Path::wait().with("id", id).with("mode", "all");
            let reply: WaitReply = super::wait::patiently(context, &path, None).await?;
            codes.extend(reply.processes.iter().map(of_process));
        }
    }
    Ok(first_failed(codes))
}

/// Gives what output is asked for by: programs read whole ids, whatever was said.
async fn named(context: &Context, reference: &str) -> Result<String, Failure> {
    if !context.console.is_json() {
        return Ok(reference.to_owned());
    }
    let process: ProcessView = context.client.fetch(&Path::process(reference)).await?;
    Ok(process.id)
}

async fn show<W: AsyncWrite + Unpin>(
    context: &Context,
    args: &LogsArgs,
    id: &str,
    prefix: Option<String>,
    out: &mut W,
) -> Result<(), Failure> {
    let mut follower = Follower::new(&context.client, asked(args, id));
    let mut printer = Printer::new(manner(context, args, id, prefix));
    while let Some(piece) = follower.next().await? {
        if let Piece::Gap { dropped } = piece {
            tell_gap(context, dropped);
        }
        write(out, &printer.show(&piece)?).await?;
    }
    write(out, &printer.finish()).await
}

/// Shows several processes: one after the other, or all at once while they are followed.
async fn show_many<W: AsyncWrite + Unpin>(
    context: &Context,
    args: &LogsArgs,
    ids: &[String],
    out: &mut W,
) -> Result<Vec<i32>, Failure> {
    let mut codes = Vec::new();
    let mut known = Vec::new();
    for id in ids {
        match context.client.fetch::<ProcessView>(&Path::process(id)).await {
            Ok(process) => known.push((prefix(&process), process.id)),
            Err(failure) => codes.push(complained(context, failure)),
        }
    }
    if !args.follow {
        for (prefix, id) in known {
            codes.push(match show(context, args, &id, Some(prefix), out).await {
                Ok(()) => DONE,
                Err(failure) if failure.is_closed_output() => return Err(failure),
                Err(failure) => complained(context, failure),
            });
        }
        return Ok(codes);
    }
    let mut printers: Vec<Option<Printer>> = known
        .iter()
        .map(|(prefix, id)| Some(Printer::new(manner(context, args, id, Some(prefix.clone())))))
        .collect();
    let pieces = known.iter().enumerate().map(|(index, (_, id))| pieces(context, args, index, id));
    let mut pieces = stream::select_all(pieces);
    while let Some((index, piece)) = pieces.next().await {
        let printer = printers.get_mut(index);
        match piece {
            Ok(Some(Piece::Gap { dropped })) => tell_gap(context, dropped),
            Ok(Some(piece)) => {
                if let Some(Some(printer)) = printer {
                    write(out, &printer.show(&piece)?).await?;
                }
            }
            Ok(None) => {
                if let Some(printer) = printer.and_then(Option::take) {
                    write(out, &printer.finish()).await?;
                }
            }
            Err(failure) => codes.push(complained(context, failure)),
        }
    }
    Ok(codes)
}

/// A piece of the output of the process at this index; none at its end.
type Indexed = (usize, Result<Option<Piece>, Failure>);

fn pieces<'a>(context: &'a Context, args: &LogsArgs, index: usize, id: &str) -> LocalBoxStream<'a, Indexed> {
    let follower = Follower::new(&context.client, asked(args, id));
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
        lines: match (args.lines, args.since) {
            (Some(Lines::Last(lines)), _) => Some(lines),
            (Some(Lines::All), _) | (None, Some(_)) => None,
            (None, None) => Some(USUAL),
        },
        since: args.since,
        stream: args.stream,
        attempt: args.attempt,
    }
}

fn manner(context: &Context, args: &LogsArgs, id: &str, prefix: Option<String>) -> Manner {
    let console = &context.console;
    let clean = (console.out.terminal && !args.raw).then_some(if console.out.colour {
        Terminal::Colour
    } else {
        Terminal::Plain
    });
    Manner {
        clean,
        timestamps: args.timestamps,
        utc: console.utc,
        prefix,
        json: console.is_json().then(|| id.to_owned()),
    }
}

fn prefix(process: &ProcessView) -> String {
    let name = process.name.as_deref().map(|name| clean_label(name).into_owned());
    name.unwrap_or_else(|| short(&process.id).to_owned())
}
