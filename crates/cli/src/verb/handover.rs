//! Forwards the standard input of this program to a command.

use super::send::{StdinUpload, UnreadInput};
use super::wait::with_retries;
use crate::arguments::RunArgs;
use crate::dispatch::VerbContext;
use crate::failure::CliError;
use crate::render::short;
use crate::status::ParsedStatus;
use crate::value::StdinArg;
use longhaul_client::RequestPath;
use longhaul_view::clean_label;
use rustix::fs::{FileType, fstat, major, minor};
use std::fs::File;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use tokio::io::AsyncRead;

/// Major and minor device numbers of `/dev/null`.
const NULL: (u32, u32) = (1, 3);

/// Returns true if a launch is to forward the standard input of this program. If `--stdin` names another file
/// descriptor, that descriptor first becomes the standard input.
///
/// A background launch forwards input only with `--stdin`. The input of a script is often a pipe that another program
/// is supposed to read.
pub(super) fn is_wanted(args: &RunArgs) -> Result<bool, CliError> {
    let wanted = match &args.stdin {
        _ if args.stdin_pipe => false,
        Some(StdinArg::File(_) | StdinArg::Nothing) => false,
        Some(StdinArg::Own | StdinArg::Descriptor(_)) => true,
        None => !args.background && is_piped(),
    };
    let place = &args.place;
    let repeats =
        args.retry.is_some_and(|retries| retries > 0) || place.any_node || !place.node_label.is_empty();
    if wanted && repeats {
        return Err(CliError::Usage {
            what: "standard input cannot be passed to a command that may run more than once".to_owned(),
            why: Some(
                "standard input can be read only once, so a second attempt would get an empty input"
                    .to_owned(),
            ),
            help: "longhaul run --stdin FILE … for every attempt, or --stdin none".to_owned(),
        });
    }
    if let (Some(StdinArg::Descriptor(number)), true) = (&args.stdin, wanted) {
        take_in(*number)?;
    }
    Ok(wanted)
}

/// Makes the file behind a descriptor the standard input of this program.
fn take_in(number: u32) -> Result<(), CliError> {
    let path = PathBuf::from(format!("/proc/self/fd/{number}"));
    let opened = File::open(&path).and_then(|file| Ok(rustix::stdio::dup2_stdin(file)?));
    opened.map_err(|source| CliError::file("read", &path, source))
}

/// Prints a note if standard input contains data that will not be forwarded. `advice` says what the user can do
/// instead.
pub(super) fn note_ignored_input(context: &VerbContext, advice: &str) {
    if is_piped() && rustix::io::ioctl_fionread(io::stdin()).is_ok_and(|waiting| waiting > 0) {
        context
            .console
            .say(&format!("  note:   standard input contains data that the command does not get: {advice}"));
    }
}

/// Returns true if standard input may contain data to forward: it is neither a terminal nor `/dev/null`.
pub(super) fn is_piped() -> bool {
    let stdin = io::stdin();
    !stdin.is_terminal()
        && fstat(&stdin).is_ok_and(|stat| {
            let device = (major(stat.st_rdev), minor(stat.st_rdev));
            FileType::from_raw_mode(stat.st_mode) != FileType::CharacterDevice || device != NULL
        })
}

/// Forwards all of `source` to the process as soon as the process is running, and then closes the input of the process.
///
/// It is not an error if the process does not read all of the data, or ends earlier.
pub(super) async fn hand_over(
    context: &VerbContext,
    id: &str,
    source: impl AsyncRead + Unpin,
) -> Result<(), CliError> {
    let mut sending = StdinUpload::to(context, id, UnreadInput::Waits);
    let outcome = send_all(context, id, source, &mut sending).await;
    outcome.or_else(|failure| match failure.slug() {
        // The process does not read its input any more.
        "input_closed" | "invalid_status_transition" => Ok(()),
        _ => Err(CliError::Unfinished {
            what: format!("standard input was passed only in part: {failure}"),
            why: Some(format!("the process has received at least {} bytes of the input", sending.taken())),
            help: left_open(id),
        }),
    })
}

async fn send_all(
    context: &VerbContext,
    id: &str,
    source: impl AsyncRead + Unpin,
    sending: &mut StdinUpload<'_>,
) -> Result<(), CliError> {
    let running = RequestPath::wait().with("id", id).with("for", "running");
    let reply = with_retries(context, &running, None).await?;
    if reply.processes.first().is_some_and(|process| ParsedStatus::of(process).is_ended()) {
        return Ok(());
    }
    sending.all_of(source).await?;
    sending.close().await
}

/// Returns a hint for an input that is still open although no data is forwarded any more. The hint says what the user
/// can do with the input.
pub(super) fn left_open(id: &str) -> String {
    let id = clean_label(short(id));
    format!("its input is open: `longhaul send {id}` writes to it, `longhaul send --close {id}` closes it")
}
