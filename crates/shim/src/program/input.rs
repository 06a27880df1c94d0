//! The named pipe that the command reads as its input, and into which other programs write.

use std::{io, os::fd::OwnedFd};

use crate::attempt_directory::{AttemptDirectory, INPUT};

/// The shim's write end of the input pipe, which prevents the input from ending while writers connect and disconnect.
/// Empty if there is no pipe, or if the pipe was closed.
#[derive(Default)]
pub(super) struct StdinPipe {
    held: Option<OwnedFd>,
}

impl StdinPipe {
    /// Creates the pipe. Returns it with the read end for the command.
    pub(super) fn create(directory: &AttemptDirectory) -> io::Result<(Self, OwnedFd)> {
        let (reader, writer) = directory.make_pipe(INPUT)?;
        Ok((Self { held: Some(writer) }, reader))
    }

    /// Removes the pipe's file and closes the write end of the shim. Returns true if the write end was open until now.
    pub(super) fn close(&mut self, directory: &AttemptDirectory) -> bool {
        let held = self.held.take();
        if held.is_some() {
            // If the file cannot be removed, opening it for writing fails once the command has ended, because it has no
            // reader.
            drop(directory.remove_input());
        }
        held.is_some()
    }
}
