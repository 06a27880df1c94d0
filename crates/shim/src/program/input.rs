//! The named pipe that the command reads as its input. Other programs write to it.

use std::{io, os::fd::OwnedFd};

use crate::attempt_directory::{AttemptDirectory, INPUT};

/// The shim's write end of the input pipe. It prevents the input from ending while writers connect and disconnect.
/// Empty if there is no pipe, or if the pipe was closed.
#[derive(Default)]
pub(super) struct StdinPipe {
    held: Option<OwnedFd>,
}

impl StdinPipe {
    /// Creates the input pipe. Returns it, and the read end for the command.
    pub(super) fn create(directory: &AttemptDirectory) -> io::Result<(Self, OwnedFd)> {
        let (reader, writer) = directory.make_pipe(INPUT)?;
        Ok((Self { held: Some(writer) }, reader))
    }

    /// Removes the file of the input pipe and closes the shim's write end. Returns true if this call closed it, false
    /// if it was closed before.
    pub(super) fn close(&mut self, directory: &AttemptDirectory) -> bool {
        let held = self.held.take();
        if held.is_some() {
            // Ignore an error of removing the file: after the command has ended, the pipe has no reader, so opening it
            // for writing fails.
            drop(directory.remove_input());
        }
        held.is_some()
    }
}
