//! Runs a process in the foreground: shows its output, forwards signals and returns its exit code.

use super::handover::{hand_over, left_open};
use super::run::print_end;
use crate::dispatch::VerbContext;
use crate::exit_code::{CTRL_C, DONE, ExitCodeMode, INTERNAL_ERROR, of_failure, of_process};
use crate::failure::CliError;
use crate::output::{FollowRequest, OutputFollower, OutputPiece, pass_through};
use crate::render::{bytes, label, short, waiting_line};
use crate::status::ParsedStatus;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use longhaul_client::{ClientError, RequestPath};
use longhaul_view::clean_label;
use longhaul_wire::api::{ActionReply, CancelRequest, ProcessView, WaitReply};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;

/// Time without output after which the user is informed why there is none.
const HINT_DELAY: Duration = Duration::from_secs(1);

/// Delay before a request is repeated because the store did not answer.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// Request that this program received as a signal, from the user or from the program that started it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UserSignal {
    /// Ctrl-C (SIGINT): cancel the process.
    Interrupt,
    /// Ctrl-\ (SIGQUIT): leave the process running in the background.
    Detach,
    /// SIGTERM: cancel the process, because no program reads its output any more.
    Terminate,
}

/// Listeners for the signals that this program handles while a process runs in the foreground.
pub(super) struct ForegroundSignals {
    interrupt: Signal,
    quit: Signal,
    terminate: Signal,
}

impl ForegroundSignals {
    pub(super) fn new() -> Result<Self, CliError> {
        let listen = |kind| {
            signal(kind).map_err(|source| CliError::Unfinished {
                what: "signals cannot be handled".to_owned(),
                why: Some(source.to_string()),
                help: "run the command in the background: longhaul run -b".to_owned(),
            })
        };
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            quit: listen(SignalKind::quit())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> UserSignal {
        tokio::select! {
            _ = self.interrupt.recv() => UserSignal::Interrupt,
            _ = self.quit.recv() => UserSignal::Detach,
            _ = self.terminate.recv() => UserSignal::Terminate,
        }
    }
}

/// Shows the output of a process until the process ends, and returns its exit code. If `hands_over` is set, this
/// program also forwards its standard input to the process.
pub(super) async fn follow_in_foreground(
    context: &VerbContext,
    process: ProcessView,
    mut signals: ForegroundSignals,
    hands_over: bool,
) -> Result<i32, CliError> {
    let streams = (tokio::io::stdout(), tokio::io::stderr());
    let input = hands_over.then(tokio::io::stdin);
    accompany_with(context, process, async || signals.next().await, input, streams).await
}

/// Shows the output of a process that was launched again, like [`follow_in_foreground`]. Prints a failure and converts
/// it to an exit code as `longhaul run` does, even if the subcommand usually converts failures in the other mode.
pub(super) async fn follow_relaunched(
    context: &VerbContext,
    process: ProcessView,
    signals: ForegroundSignals,
    hands_over: bool,
) -> Result<i32, CliError> {
    match follow_in_foreground(context, process, signals, hands_over).await {
        Err(failure) => {
            let code = of_failure(&failure, ExitCodeMode::PassThrough);
            context.console.complain(failure);
            Ok(code)
        }
        code => code,
    }
}

/// Implements [`follow_in_foreground`]. The sources of signals and input and the output streams are parameters, for
/// tests.
async fn accompany_with<O, E>(
    context: &VerbContext,
    process: ProcessView,
    mut pending_actions: impl AsyncFnMut() -> UserSignal,
    input: Option<impl AsyncRead + Unpin>,
    streams: (O, E),
) -> Result<i32, CliError>
where
    O: AsyncWrite + Unpin,
    E: AsyncWrite + Unpin,
{
    let console = &context.console;
    let mut whole = std::pin::pin!(output_and_end(context, &process, streams));
    let mut input_open = input.is_some();
    let mut input = std::pin::pin!(async {
        match input {
            Some(input) => hand_over(context, &process.id, input).await,
            None => Ok(()),
        }
    });
    let mut cancels = FuturesUnordered::new();
    let (mut stops, mut by_ctrl_c) = (0_u32, false);
    let mut queue = std::pin::pin!(print_queue_position(context, &process.id));
    let mut queue_told = !console.wants_hints();
    loop {
        tokio::select! {
            ended = &mut whole => {
                let ended = match ended {
                    Err(failure) if failure.is_closed_output() => {
                        cancel(context, &process.id, false).await?;
                        end(context, &process.id).await?
                    }
                    Err(failure) => {
                        console.say(&format!("{} continues; follow it with: longhaul logs -f {}", label(&process), short(&process.id)));
                        return Err(failure);
                    }
                    Ok(ended) => ended,
                };
                return Ok(code_of(context, &ended, by_ctrl_c));
            }
            Some(outcome) = cancels.next(), if !cancels.is_empty() => {
                if let Err(failure) = outcome {
                    console.complain(failure);
                }
            }
            outcome = &mut input, if input_open => {
                input_open = false;
                if let Err(failure) = outcome {
                    console.complain(failure);
                }
            }
            () = &mut queue, if !queue_told => queue_told = true,
            signal = pending_actions() => match signal {
                UserSignal::Detach => {
                    console.say(&format!("\n{} continues in the background: longhaul logs -f {}", process.id, short(&process.id)));
                    if input_open {
                        console.say(&left_open(&process.id));
                    }
                    return Ok(DONE);
                }
                UserSignal::Interrupt | UserSignal::Terminate => {
                    stops += 1;
                    by_ctrl_c |= signal == UserSignal::Interrupt;
                    match stops {
                        1 => console.hint("\ncancelling; press Ctrl-C again to kill it"),
                        2 => console.hint("\nkilling"),
                        _ => {
                            console.say(&format!("\n{} is still being stopped: longhaul wait {}", label(&process), short(&process.id)));
                            return Err(CliError::Interrupted);
                        }
                    }
                    cancels.push(cancel(context, &process.id, stops > 1));
                }
            }
        }
    }
}

async fn output_and_end<O, E>(
    context: &VerbContext,
    process: &ProcessView,
    (mut out, mut err): (O, E),
) -> Result<ProcessView, CliError>
where
    O: AsyncWrite + Unpin,
    E: AsyncWrite + Unpin,
{
    let asked = FollowRequest { reference: process.id.clone(), follow: true, ..FollowRequest::default() };
    let mut follower = OutputFollower::new(&context.client, asked);
    let mut absence = StoreOutage::default();
    while let Err(failure) =
        pass_through(&mut follower, &mut out, &mut err, |piece| print_remark(context, piece)).await
    {
        absence.outlast(context, failure).await?;
    }
    loop {
        match end(context, &process.id).await {
            Err(failure) => absence.outlast(context, failure).await?,
            ended => return ended,
        }
    }
}

/// Handles a store that does not answer. An accepted process continues during that time, so this program keeps
/// following the process.
#[derive(Debug, Default)]
struct StoreOutage {
    is_told: bool,
}

impl StoreOutage {
    /// Waits for a short time if the failure is that the store does not answer. Returns any other failure as an error.
    async fn outlast(&mut self, context: &VerbContext, failure: CliError) -> Result<(), CliError> {
        if !failure.is_of_store() {
            return Err(failure);
        }
        if !std::mem::replace(&mut self.is_told, true) {
            context.console.hint("the store does not answer; the output continues when it is back");
        }
        sleep(RETRY_DELAY).await;
        Ok(())
    }
}

/// Waits for a delay and then prints why a pending process has no output yet.
async fn print_queue_position(context: &VerbContext, id: &str) {
    sleep(HINT_DELAY).await;
    let Ok(process) = context.client.process(id).await else {
        return;
    };
    if ParsedStatus::of(&process) == ParsedStatus::Pending {
        context.console.hint(&waiting_line(&process, context.console.unicode));
    }
}

/// Waits until a process has ended. Reconnects to the manager if necessary.
async fn end(context: &VerbContext, id: &str) -> Result<ProcessView, CliError> {
    let path = RequestPath::wait().with("id", id).with("mode", "all");
    let reply: WaitReply = super::wait::with_retries(context, &path, None).await?;
    let missing = || ClientError::Broken { why: "the reply of the manager contains no process".to_owned() };
    Ok(reply.processes.into_iter().next().ok_or_else(missing)?)
}

async fn cancel(context: &VerbContext, id: &str, force: bool) -> Result<(), CliError> {
    let path = RequestPath::process_part(id, "cancel");
    let _outcome: ActionReply =
        context.client.send(&path, &CancelRequest { force, no_descendants: false }).await?;
    Ok(())
}

/// Prints a remark that was received instead of output: a note, or the fact that output is missing.
pub(super) fn print_remark(context: &VerbContext, piece: &OutputPiece) {
    let dropped = match piece {
        OutputPiece::Stdout { .. } | OutputPiece::Stderr { .. } => return,
        OutputPiece::Note { text } => return context.console.say(&clean_label(text)),
        OutputPiece::Gap { dropped } => *dropped,
    };
    context.console.say(&match dropped {
        Some(dropped) => format!("… {} dropped …", bytes(dropped)),
        None => "… output dropped …".to_owned(),
    });
}

fn code_of(context: &VerbContext, ended: &ProcessView, by_ctrl_c: bool) -> i32 {
    let standing = ParsedStatus::of(ended);
    let code = of_process(ended);
    let own_exit = standing == ParsedStatus::Completed
        || (standing == ParsedStatus::Failed && ended.exit_code.is_some());
    if !own_exit {
        print_end(context, ended);
    }
    match standing {
        ParsedStatus::Cancelled if by_ctrl_c => CTRL_C,
        ParsedStatus::Pending
        | ParsedStatus::Starting
        | ParsedStatus::Running
        | ParsedStatus::Paused
        | ParsedStatus::Stopping
        | ParsedStatus::OtherLive => INTERNAL_ERROR,
        ParsedStatus::Completed
        | ParsedStatus::Failed
        | ParsedStatus::Timeout
        | ParsedStatus::Cancelled
        | ParsedStatus::Interrupted
        | ParsedStatus::OtherEnded => code,
    }
}

#[cfg(test)]
mod tests;
