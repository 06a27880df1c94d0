//! Standard input of a command, as managed by the watch of its attempt.

use super::AttemptWatch;
use super::ask::{DoneReply, InputAnswer};
use crate::os::input::{CommandInput, InputError};
use std::io;
use std::sync::Arc;

impl AttemptWatch {
    /// Opens the standard input and keeps it open, so that the input does not end if the shim is killed.
    pub(crate) fn hold_input(&mut self) {
        if let Err(error) = self.open_input() {
            tracing::warn!(id = %self.key.id, %error, "could not keep the standard input of a command open");
        }
    }

    /// Sends the standard input of a running command to the caller.
    pub(crate) fn give_input(&mut self, answer: InputAnswer) {
        if self.is_over() {
            // Dropping the channel without an answer shows the caller that the attempt has ended.
            return;
        }
        let given = if self.identity.is_none() {
            Err(InputError::Failed("the command has not started yet".to_owned()))
        } else {
            match self.open_input() {
                Ok(Some(input)) => Ok(input),
                Ok(None) => Err(InputError::Closed),
                Err(error) => Err(error.into()),
            }
        };
        drop(answer.send(given));
    }

    /// Records that the shim has closed the standard input.
    pub(super) fn see_input_closed(&mut self) {
        self.input = None;
        self.conduct.input = false;
        for closer in self.closers.drain(..) {
            drop(closer.send(Ok(())));
        }
    }

    /// Ends the standard input of an attempt that has no shim.
    pub(crate) fn end_input(&mut self) -> io::Result<()> {
        let directory = self.shared.attempts.attempt(self.key)?;
        let removed = directory.map_or(Ok(()), |directory| directory.remove_input());
        self.see_input_closed();
        removed
    }

    /// Sends an error to the callers that are waiting for the end of the input, because no shim can close it now.
    pub(super) fn refuse_closers(&mut self, why: &str) {
        for closer in self.closers.drain(..) {
            drop(closer.send(Err(why.to_owned())));
        }
    }

    /// Adds a caller that is waiting for the end of the input.
    pub(super) fn await_closed(&mut self, answer: DoneReply) {
        self.closers.push(answer);
    }

    fn open_input(&mut self) -> io::Result<Option<Arc<CommandInput>>> {
        if self.input.is_none() && self.conduct.input {
            let directory = self.shared.attempts.attempt(self.key)?;
            self.input = directory.map(|directory| CommandInput::open(&directory)).transpose()?.flatten();
        }
        Ok(self.input.clone())
    }
}
