//! An in-memory output log.

use super::VirtualClock;
use super::locked;
use async_trait::async_trait;
use longhaul_domain::{Deadline, ProcessId, Timestamp};
use longhaul_ports::{
    AttemptKey, Clock, Loss, OutputChunk, OutputError, OutputLocation, OutputLog, OutputPage, OutputRead,
    OutputSize, OutputSource, ProgressPage,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;

/// Maximum number of bytes that a read of a progress file returns.
const MAX_PROGRESS_READ: usize = 64 << 10;

/// An in-memory output log that a test or a scripted process writes. Clones share the same output.
#[derive(Clone, Debug)]
pub struct FakeOutput {
    clock: VirtualClock,
    logs: Arc<Mutex<BTreeMap<AttemptKey, FakeLog>>>,
    grown: Arc<Notify>,
    read_delay: Arc<Mutex<Duration>>,
}

#[derive(Debug, Default)]
struct FakeLog {
    bytes: Vec<FakeByte>,
    gap: Option<(u64, u64)>,
    losses: Vec<Loss>,
    closed: bool,
    /// Content of the progress file, and the time of its last change; `None` if there is no such file.
    progress: Option<(Vec<u8>, Timestamp)>,
}

#[derive(Clone, Copy, Debug)]
struct FakeByte {
    byte: u8,
    source: OutputSource,
    at: Timestamp,
}

impl FakeOutput {
    /// Creates an empty log. Written output is stamped with the time of this clock.
    #[must_use]
    pub fn new(clock: VirtualClock) -> Self {
        Self { clock, logs: Arc::default(), grown: Arc::default(), read_delay: Arc::default() }
    }

    /// Creates an empty output for an attempt.
    pub fn open(&self, key: AttemptKey) {
        locked(&self.logs).entry(key).or_default();
    }

    /// Appends to the output of an attempt. Creates the output if it does not exist.
    pub fn write(&self, key: AttemptKey, source: OutputSource, bytes: &[u8]) {
        let at = self.clock.now();
        let mut logs = locked(&self.logs);
        let log = logs.entry(key).or_default();
        log.bytes.extend(bytes.iter().map(|byte| FakeByte { byte: *byte, source, at }));
        drop(logs);
        self.grown.notify_waiters();
    }

    /// Appends to the progress file of an attempt. Creates the file if it does not exist.
    pub fn write_progress(&self, key: AttemptKey, bytes: &[u8]) {
        let at = self.clock.now();
        let mut logs = locked(&self.logs);
        let (text, changed) = logs.entry(key).or_default().progress.get_or_insert_with(|| (Vec::new(), at));
        text.extend_from_slice(bytes);
        *changed = at;
        drop(logs);
        self.grown.notify_waiters();
    }

    /// Ends the output of an attempt and wakes all tasks that are waiting for more output.
    pub fn close(&self, key: AttemptKey) {
        locked(&self.logs).entry(key).or_default().closed = true;
        self.grown.notify_waiters();
    }

    /// Drops the bytes from offset `from` (inclusive) to offset `to` (exclusive).
    pub fn drop_middle(&self, key: AttemptKey, from: u64, to: u64) {
        locked(&self.logs).entry(key).or_default().gap = Some((from, to));
    }

    /// Records that this many bytes after the current end could not be stored.
    pub fn lose(&self, key: AttemptKey, bytes: u64) {
        let mut logs = locked(&self.logs);
        let log = logs.entry(key).or_default();
        let offset = log.end();
        log.losses.push(Loss { offset, bytes });
    }

    /// Sets the time that each later read takes.
    pub fn delay_reads(&self, delay: Duration) {
        *locked(&self.read_delay) = delay;
    }

    /// Returns the number of bytes that were written so far.
    #[must_use]
    pub fn written(&self, key: AttemptKey) -> u64 {
        locked(&self.logs).get(&key).map_or(0, FakeLog::end)
    }

    fn with<T>(&self, key: AttemptKey, look: impl FnOnce(&FakeLog) -> T) -> Result<T, OutputError> {
        locked(&self.logs).get(&key).map(look).ok_or(OutputError::Missing { key })
    }
}

#[async_trait]
impl OutputLog for FakeOutput {
    async fn size(&self, key: AttemptKey) -> Result<OutputSize, OutputError> {
        self.with(key, |log| OutputSize {
            end: log.end(),
            gap: log.gap,
            last_at: log.bytes.last().map(|byte| byte.at),
        })
    }

    async fn losses(&self, key: AttemptKey) -> Result<Vec<Loss>, OutputError> {
        self.with(key, |log| log.losses.clone())
    }

    async fn read(&self, key: AttemptKey, wanted: OutputRead) -> Result<OutputPage, OutputError> {
        let delay = *locked(&self.read_delay);
        if !delay.is_zero() {
            self.clock.sleep_until(Deadline::Awake(self.clock.awake().plus(delay))).await;
        }
        self.with(key, |log| log.page(wanted))
    }

    async fn last_lines(
        &self,
        key: AttemptKey,
        lines: u32,
        only: Option<OutputSource>,
    ) -> Result<u64, OutputError> {
        self.with(key, |log| log.last_lines(lines, only))
    }

    async fn since(&self, key: AttemptKey, moment: Timestamp) -> Result<u64, OutputError> {
        self.with(key, |log| {
            let before = log.bytes.iter().take_while(|byte| byte.at < moment).count();
            offset(before)
        })
    }

    async fn grown(&self, key: AttemptKey, beyond: u64) -> Result<(), OutputError> {
        loop {
            let grown = self.grown.notified();
            tokio::pin!(grown);
            grown.as_mut().enable();
            if self.with(key, |log| log.closed || log.end() > beyond)? {
                return Ok(());
            }
            grown.await;
        }
    }

    async fn read_progress(&self, key: AttemptKey, from: u64) -> Result<ProgressPage, OutputError> {
        let read = self.with(key, |log| {
            let (text, at) = log.progress.as_ref()?;
            let from = usize::try_from(from).unwrap_or(usize::MAX);
            let start = from.max(text.len().saturating_sub(MAX_PROGRESS_READ));
            let bytes = text.iter().skip(start).copied().collect();
            Some(ProgressPage { bytes, next: offset(text.len()), skipped: start != from, at: *at })
        });
        read?.ok_or(OutputError::Missing { key })
    }

    async fn progress_grown(&self, key: AttemptKey, beyond: u64) -> Result<(), OutputError> {
        loop {
            let grown = self.grown.notified();
            tokio::pin!(grown);
            grown.as_mut().enable();
            let size = self.with(key, |log| log.progress.as_ref().map(|(text, _)| offset(text.len())))?;
            if size.ok_or(OutputError::Missing { key })? != beyond {
                return Ok(());
            }
            grown.await;
        }
    }

    fn place(&self, key: AttemptKey) -> OutputLocation {
        OutputLocation(format!("memory:{}/{}", key.id, key.attempt))
    }

    async fn size_on_disk(&self, id: ProcessId) -> Result<u64, OutputError> {
        let logs = locked(&self.logs);
        Ok(logs.iter().filter(|(key, _)| key.id == id).map(|(_, log)| offset(log.bytes.len())).sum())
    }

    async fn kept(&self, after: Option<ProcessId>, limit: u32) -> Result<Vec<ProcessId>, OutputError> {
        let ids: BTreeSet<ProcessId> = locked(&self.logs).keys().map(|key| key.id).collect();
        let later = ids.into_iter().filter(|id| after.is_none_or(|after| *id > after));
        Ok(later.take(usize::try_from(limit).unwrap_or(usize::MAX)).collect())
    }

    async fn remove(&self, id: ProcessId) -> Result<(), OutputError> {
        locked(&self.logs).retain(|key, _| key.id != id);
        self.grown.notify_waiters();
        Ok(())
    }
}

impl FakeLog {
    fn end(&self) -> u64 {
        offset(self.bytes.len())
    }

    /// Returns false if the byte at this offset was dropped.
    fn is_durable(&self, offset: u64) -> bool {
        self.gap.is_none_or(|(from, to)| offset < from || offset >= to)
    }

    fn page(&self, wanted: OutputRead) -> OutputPage {
        let mut page = OutputPage { chunks: Vec::new(), next: wanted.from, gap: 0, end: self.end() };
        let mut left = wanted.limit;
        for (place, byte) in (0_u64..).zip(&self.bytes) {
            if place < wanted.from {
                continue;
            }
            if !self.is_durable(place) {
                page.gap += 1;
            } else if wanted.only.is_none_or(|only| only == byte.source) {
                if left == 0 {
                    return page;
                }
                left -= 1;
                page.take(place, *byte);
            }
            page.next = place + 1;
        }
        page
    }

    fn last_lines(&self, lines: u32, only: Option<OutputSource>) -> u64 {
        let chosen: Vec<(u64, u8)> = (0_u64..)
            .zip(&self.bytes)
            .filter(|(place, byte)| self.is_durable(*place) && only.is_none_or(|only| only == byte.source))
            .map(|(place, byte)| (place, byte.byte))
            .collect();
        let mut begin = self.end();
        let mut seen = 0;
        for (place, byte) in chosen.iter().rev() {
            if *byte == b'\n' && begin != self.end() {
                seen += 1;
            }
            if seen == lines {
                return begin;
            }
            begin = *place;
        }
        begin
    }
}

/// Extension of an output page. It appends a byte to the last chunk if the byte directly follows that chunk, and starts
/// a new chunk otherwise.
trait AppendByte {
    fn take(&mut self, offset: u64, byte: FakeByte);
}

impl AppendByte for OutputPage {
    fn take(&mut self, offset: u64, byte: FakeByte) {
        if let Some(last) = self.chunks.last_mut()
            && last.source == byte.source
            && last.at == byte.at
            && last.offset + self::offset(last.bytes.len()) == offset
        {
            last.bytes.push(byte.byte);
            return;
        }
        self.chunks.push(OutputChunk { offset, source: byte.source, at: byte.at, bytes: vec![byte.byte] });
    }
}

fn offset(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
