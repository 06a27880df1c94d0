//! The input of a command, on the side of its watch.

use super::AttemptWatch;
use super::ask::{DoneReply, InputAnswer};
use crate::os::input::{CommandInput, InputError};
use std::io;
use std::sync::Arc;

impl AttemptWatch {
    /// Holds the input open from now on, so that a killed shim does not end it.
    pub(crate) fn hold_input(&mut self) {
        if let Err(error) = self.open_input() {
            tracing::warn!(id = %self.key.id, %error, "the input of a command cannot be held open");
        }
    }

    /// Hands out the input of what runs.
    pub(crate) fn give_input(&mut self, answer: InputAnswer) {
        if self.is_over() {
            // Whoever asks is told that nothing runs by being told nothing.
            return;
        }
        let given = if self.identity.is_none() {
            Err(InputError::Failed("it has not started yet".to_owned()))
        } else {
            match self.open_input() {
                Ok(Some(input)) => Ok(input),
                Ok(None) => Err(InputError::Closed),
                Err(error) => Err(error.into()),
            }
        };
        drop(answer.send(given));
    }

    /// Notes that the shim has let go of the input.
    pub(super) fn see_input_closed(&mut self) {
        self.input = None;
        self.conduct.input = false;
        for closer in self.closers.drain(..) {
            drop(closer.send(Ok(())));
        }
    }

    /// Ends the input where no shim holds it.
    pub(crate) fn end_input(&mut self) -> io::Result<()> {
        let directory = self.shared.attempts.attempt(self.key)?;
        let removed = directory.map_or(Ok(()), |directory| directory.remove_input());
        self.see_input_closed();
        removed
    }

    /// Answers those who wait for the end of the input that there is nobody to see to it now.
    pub(super) fn refuse_closers(&mut self, why: &str) {
        for closer in self.closers.drain(..) {
            drop(closer.send(Err(why.to_owned())));
        }
    }

    /// Remembers who waits for the end of the input.
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
