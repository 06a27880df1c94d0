//! Reads, filters and prints the output of processes.

mod display;
mod follower;
mod matches;
mod printer;

pub(crate) use display::OutputDisplay;
pub(crate) use follower::{FollowRequest, OutputFollower, OutputPiece};
pub(crate) use matches::{Grep, Matches};
pub(crate) use printer::{PrintOptions, Printer};

use crate::failure::CliError;
use tokio::io::{AsyncWrite, AsyncWriteExt};

/// Copies the output of a process unchanged until the output ends: standard output to `out`, standard error to `err`.
/// Gaps and notes are passed to `aside`.
pub(crate) async fn pass_through<O, E>(
    follower: &mut OutputFollower<'_>,
    out: &mut O,
    err: &mut E,
    aside: impl Fn(&OutputPiece),
) -> Result<(), CliError>
where
    O: AsyncWrite + Unpin,
    E: AsyncWrite + Unpin,
{
    while let Some(piece) = follower.next().await? {
        match piece {
            OutputPiece::Stdout { bytes, .. } => write(out, &bytes).await?,
            OutputPiece::Stderr { bytes, .. } => write(err, &bytes).await?,
            OutputPiece::Gap { .. } | OutputPiece::Note { .. } => aside(&piece),
        }
    }
    Ok(())
}

/// Writes the bytes and flushes immediately, because a reader may be waiting for them.
pub(crate) async fn write<W: AsyncWrite + Unpin>(writer: &mut W, bytes: &[u8]) -> Result<(), CliError> {
    writer.write_all(bytes).await?;
    Ok(writer.flush().await?)
}
