//! Empties the two output pipes into the log.

use std::{io, os::fd::OwnedFd};

use crate::{
    notice::Descriptor,
    output::{OutputWriter, Stream, Taken},
};

const ROUND: usize = 4 << 20;
const SMALL: usize = 4 << 10;
const USUAL_PIPE: usize = 64 << 10;
const LARGE_PIPE: usize = 1 << 20;

/// Both pipes and the log behind them.
pub(super) struct Pumps {
    writer: OutputWriter,
    stdout: Pump,
    stderr: Pump,
}

/// The read end of one pipe, until nobody can write to it any more.
struct Pump {
    stream: Stream,
    pipe: Option<OwnedFd>,
    large: bool,
}

impl Pumps {
    pub(super) fn new(writer: OutputWriter, stdout: OwnedFd, stderr: OwnedFd) -> Self {
        let pump = |stream, pipe| Pump {
            stream,
            pipe: Some(pipe),
            large: false,
        };
        Self {
            writer,
            stdout: pump(Stream::Stdout, stdout),
            stderr: pump(Stream::Stderr, stderr),
        }
    }

    pub(super) fn writer(&self) -> &OutputWriter {
        &self.writer
    }

    pub(super) fn pipe(&self, stream: Stream) -> Option<&OwnedFd> {
        match stream {
            Stream::Stdout => self.stdout.pipe.as_ref(),
            Stream::Stderr => self.stderr.pipe.as_ref(),
        }
    }

    pub(super) fn are_ended(&self) -> bool {
        self.stdout.pipe.is_none() && self.stderr.pipe.is_none()
    }

    /// Moves what is there now, but not endlessly.
    pub(super) fn pump(&mut self, stream: Stream) {
        let pump = match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        pump.run(&mut self.writer, SMALL);
        self.writer.flush();
    }

    /// Moves all that was written before now.
    pub(super) fn drain(&mut self) {
        self.stdout.run(&mut self.writer, 0);
        self.stderr.run(&mut self.writer, 0);
        self.writer.flush();
    }

    /// Gives up reading, for somebody who holds a pipe but was not part of the work.
    pub(super) fn close(&mut self) {
        self.stdout.pipe = None;
        self.stderr.pipe = None;
    }

    /// Copies the read ends that are still open, so that another process can hold them too.
    pub(super) fn share(&self) -> io::Result<Vec<(Descriptor, OwnedFd)>> {
        let ends = [
            (Descriptor::Stdout, &self.stdout.pipe),
            (Descriptor::Stderr, &self.stderr.pipe),
        ];
        let open = ends
            .into_iter()
            .filter_map(|(descriptor, pipe)| Some((descriptor, pipe.as_ref()?)));
        open.map(|(descriptor, pipe)| Ok((descriptor, pipe.try_clone()?)))
            .collect()
    }
}

impl Pump {
    /// Stops early after `enough` or fewer bytes, where the pipe is most likely empty.
    fn run(&mut self, writer: &mut OutputWriter, enough: usize) {
        let mut moved = 0_usize;
        while let Some(pipe) = &self.pipe {
            match writer.take(pipe, self.stream) {
                Taken::Bytes(bytes) => {
                    self.fit(bytes);
                    moved = moved.saturating_add(bytes);
                    if bytes < enough || moved >= ROUND {
                        break;
                    }
                }
                Taken::Nothing => break,
                Taken::Ended => self.pipe = None,
            }
        }
    }

    /// Makes the pipe large for a flood and usual again after it.
    ///
    /// All pipes of a user share one allowance; with it used up, every new pipe of the user would be tiny.
    fn fit(&mut self, bytes: usize) {
        let wanted = if bytes >= USUAL_PIPE && !self.large {
            LARGE_PIPE
        } else if bytes < SMALL && self.large {
            USUAL_PIPE
        } else {
            return;
        };
        if let Some(pipe) = &self.pipe {
            // Where it is refused the usual size is used on; asking again at every read would be in vain.
            let _refused = rustix::pipe::fcntl_setpipe_size(pipe, wanted);
            self.large = wanted == LARGE_PIPE;
        }
    }
}
