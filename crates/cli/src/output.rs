//! Output of processes on its way to the reader.

mod follower;
mod matches;
mod printer;
mod showing;

pub(crate) use follower::{Asked, Follower, Piece};
pub(crate) use matches::{Grep, Matches};
pub(crate) use printer::{Manner, Printer};
pub(crate) use showing::Showing;

use crate::failure::Failure;
use tokio::io::{AsyncWrite, AsyncWriteExt};

/// Copies all output of a process as it is, each stream to its own writer, until it is over.
pub(crate) async fn pass_through<O, E>(
    follower: &mut Follower<'_>,
    out: &mut O,
    err: &mut E,
    aside: impl Fn(&Piece),
) -> Result<(), Failure>
where
    O: AsyncWrite + Unpin,
    E: AsyncWrite + Unpin,
{
    while let Some(piece) = follower.next().await? {
        match piece {
            Piece::Stdout { bytes, .. } => write(out, &bytes).await?,
            Piece::Stderr { bytes, .. } => write(err, &bytes).await?,
            Piece::Gap { .. } | Piece::Note { .. } => aside(&piece),
        }
    }
    Ok(())
}

/// Writes and flushes: a reader waits for what is there.
pub(crate) async fn write<W: AsyncWrite + Unpin>(writer: &mut W, bytes: &[u8]) -> Result<(), Failure> {
    writer.write_all(bytes).await?;
    Ok(writer.flush().await?)
}
