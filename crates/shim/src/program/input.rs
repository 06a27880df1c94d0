//! The pipe that the work reads as its input, for others to write into.

use std::{io, os::fd::OwnedFd};

use crate::attempt_directory::{AttemptDirectory, INPUT};

/// The end of the pipe that keeps the input from ending while those who write come and go; none is held where there is
/// no pipe, or no more.
#[derive(Default)]
pub(super) struct StdinPipe {
    held: Option<OwnedFd>,
}

impl StdinPipe {
    /// Makes the pipe; returns the end that the work is to read from too.
    pub(super) fn create(directory: &AttemptDirectory) -> io::Result<(Self, OwnedFd)> {
        let (reader, writer) = directory.make_pipe(INPUT)?;
        Ok((Self { held: Some(writer) }, reader))
    }

    /// Lets nobody open it any more and lets go of it; returns whether it was held until now.
    pub(super) fn close(&mut self, directory: &AttemptDirectory) -> bool {
        let held = self.held.take();
        if held.is_some() {
            // If it stays, it is found without a reader once the work has ended.
            drop(directory.remove_input());
        }
        held.is_some()
    }
}
