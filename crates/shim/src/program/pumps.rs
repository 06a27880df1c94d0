//! Reads the two output pipes and writes their bytes to the log.

use std::{io, os::fd::OwnedFd};

use crate::{
    clock,
    message::Descriptor,
    output::{OutputWriter, PumpStep, StreamId},
};

const DRAIN_BATCH_BYTES: usize = 4 << 20;
const SMALL: usize = 4 << 10;
const RATE_INTERVAL_MS: usize = 4;
const FLOOD_BYTES_PER_MS: usize = 32 << 10;
const DEFAULT_PIPE: usize = 64 << 10;
const LARGE_PIPE: usize = 1 << 20;

/// Both output pipes, and the log that their bytes are written to.
pub(super) struct PipeReaders {
    writer: OutputWriter,
    stdout: PipeReader,
    stderr: PipeReader,
}

/// The read end of one output pipe. It is closed when all writers have closed the pipe.
struct PipeReader {
    stream: StreamId,
    pipe: Option<OwnedFd>,
    rate: FlowRate,
}

/// Data rate of an output stream, measured at intervals. `flood` is true while the rate is very high.
struct FlowRate {
    since: u64,
    bytes: usize,
    flood: bool,
}

impl PipeReaders {
    pub(super) fn new(writer: OutputWriter, stdout: OwnedFd, stderr: OwnedFd) -> Self {
        let pump = |stream, pipe| PipeReader { stream, pipe: Some(pipe), rate: FlowRate::new() };
        Self { writer, stdout: pump(StreamId::Stdout, stdout), stderr: pump(StreamId::Stderr, stderr) }
    }

    pub(super) fn writer(&self) -> &OutputWriter {
        &self.writer
    }

    pub(super) fn pipe(&self, stream: StreamId) -> Option<&OwnedFd> {
        match stream {
            StreamId::Stdout => self.stdout.pipe.as_ref(),
            StreamId::Stderr => self.stderr.pipe.as_ref(),
        }
    }

    pub(super) fn are_ended(&self) -> bool {
        self.stdout.pipe.is_none() && self.stderr.pipe.is_none()
    }

    /// Returns true if output arrives so fast that the shim should wait a moment and then read more bytes in one step.
    pub(super) fn are_flooded(&self) -> bool {
        let flooded = |pump: &PipeReader| pump.rate.flood && pump.pipe.is_some();
        flooded(&self.stdout) || flooded(&self.stderr)
    }

    /// Moves the available bytes of one pipe to the log, up to a maximum amount.
    pub(super) fn pump(&mut self, stream: StreamId) {
        let pump = match stream {
            StreamId::Stdout => &mut self.stdout,
            StreamId::Stderr => &mut self.stderr,
        };
        // While the data rate is very high, continue only if the pipe was full. If it was not full, more bytes should
        // arrive first.
        let enough = if pump.rate.flood { LARGE_PIPE } else { SMALL };
        pump.run(&mut self.writer, enough);
        self.writer.flush();
    }

    /// Moves all bytes that are already in the pipes.
    pub(super) fn drain(&mut self) {
        self.stdout.run(&mut self.writer, 0);
        self.stderr.run(&mut self.writer, 0);
        self.writer.flush();
    }

    /// Stops reading the output pipes, even if a process that is not part of the tree still holds a pipe open.
    pub(super) fn close(&mut self) {
        self.stdout.pipe = None;
        self.stderr.pipe = None;
    }

    /// Duplicates the read ends of the output pipes that are still open, so that another process can hold them too.
    pub(super) fn share(&self) -> io::Result<Vec<(Descriptor, OwnedFd)>> {
        let ends = [(Descriptor::Stdout, &self.stdout.pipe), (Descriptor::Stderr, &self.stderr.pipe)];
        let open = ends.into_iter().filter_map(|(descriptor, pipe)| Some((descriptor, pipe.as_ref()?)));
        open.map(|(descriptor, pipe)| Ok((descriptor, pipe.try_clone()?))).collect()
    }
}

impl PipeReader {
    /// Moves bytes from the pipe to the log. Stops when one step moves fewer than `enough` bytes, because the pipe is
    /// then most likely empty.
    fn run(&mut self, writer: &mut OutputWriter, enough: usize) {
        let mut moved = 0_usize;
        self.fit();
        while let Some(pipe) = &self.pipe {
            match writer.take(pipe, self.stream) {
                PumpStep::Bytes(bytes) => {
                    moved = moved.saturating_add(bytes);
                    self.rate.bytes = self.rate.bytes.saturating_add(bytes);
                    if bytes < enough || moved >= DRAIN_BATCH_BYTES {
                        break;
                    }
                }
                PumpStep::Nothing => break,
                PumpStep::Ended => self.pipe = None,
            }
        }
    }

    /// Enlarges the pipe when the data rate becomes very high, and restores the usual size when the rate is lower
    /// again.
    ///
    /// A pipe is not large all the time, because all pipes of a user share one memory allowance. If it is used up,
    /// every new pipe of that user is tiny.
    fn fit(&mut self) {
        let before = self.rate.flood;
        self.rate.look(clock::awake_ms());
        if let Some(pipe) = self.pipe.as_ref().filter(|_| self.rate.flood != before) {
            let size = if self.rate.flood { LARGE_PIPE } else { DEFAULT_PIPE };
            let _stays_as_it_is = rustix::pipe::fcntl_setpipe_size(pipe, size);
        }
    }
}

impl FlowRate {
    fn new() -> Self {
        Self { since: 0, bytes: 0, flood: false }
    }

    fn look(&mut self, now: u64) {
        let span = usize::try_from(now.saturating_sub(self.since)).unwrap_or(usize::MAX);
        if span >= RATE_INTERVAL_MS {
            self.flood = self.bytes / span >= FLOOD_BYTES_PER_MS;
            self.since = now;
            self.bytes = 0;
        }
    }
}
