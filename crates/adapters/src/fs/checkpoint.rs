//! Checkpoints: files that contain the whole store, so that the earlier commits can be deleted.
//!
//! A checkpoint is written while the store is in use. It contains every change up to its start commit, and may contain
//! some later changes. The commits after the start commit are kept and replayed. Each line contains a complete value
//! and not a difference. The checkpoint and the later commits together therefore give the exact content of the store.

use super::failure::{WriteError, closed};
use super::journal::{JournalKind, JournalWriter};
use super::journal_line::{JournalLine, WrittenExtent};
use super::journal_view::JournalShared;
use super::state::StoreState;
use super::store_dir::JournalFileId;
use longhaul_domain::ProcessId;
use longhaul_ports::{EventCursor, StoreError};
use std::io::{self, Write};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

/// Number of commits after which a checkpoint is written.
pub(super) const CHECKPOINT_COMMITS: u64 = 1_000;
/// Number of lines to write before the records are unlocked for a waiting writer.
const STEP: usize = 256;
/// Maximum number of replies to store, newest first. A client does not repeat an operation that is older than these.
const MAX_REPLIES: usize = 10_000;

/// Writes checkpoints on a separate thread.
#[derive(Debug)]
pub(super) struct CheckpointWriter {
    asked: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl CheckpointWriter {
    pub(super) fn start(shared: Arc<JournalShared>) -> Result<Self, StoreError> {
        let (asked, orders): (SyncSender<()>, Receiver<()>) = sync_channel(1);
        let thread = thread::Builder::new()
            .name("store-checkpoint".to_owned())
            .spawn(move || {
                while orders.recv().is_ok() {
                    write_or_log(&shared);
                }
            })
            .map_err(|error| StoreError::Unavailable { source: Box::new(error) })?;
        Ok(Self { asked: Some(asked), thread: Some(thread) })
    }

    /// Returns a handle to request a checkpoint.
    pub(super) fn order(&self) -> Result<SyncSender<()>, StoreError> {
        self.asked.clone().ok_or_else(closed)
    }
}

impl Drop for CheckpointWriter {
    fn drop(&mut self) {
        self.asked = None;
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has no work to finish.
            let _ = thread.join();
        }
    }
}

/// Writes a checkpoint. If the checkpoint cannot be written, logs an error and does not delete the commits, so no data
/// is lost.
pub(super) fn write_or_log(shared: &JournalShared) {
    if let Err(trouble) = write(shared) {
        tracing::warn!(%trouble, "could not write a checkpoint of the store");
        if trouble.is_final() {
            shared.fail(format!(
                "a checkpoint failed ({trouble}); restart the manager to open the store again"
            ));
        }
    }
}

fn write(shared: &JournalShared) -> Result<(), WriteError> {
    let _alone = shared.checkpointing();
    let from = shared.view.blocking_read().last;
    if from <= shared.checkpointed.load(Ordering::Relaxed) || shared.failed().is_some() {
        return Ok(());
    }
    shared.store_dir.prepare(JournalFileId::Checkpoint, |to| {
        let mut writer = JournalWriter::begin(to, JournalKind::Checkpoint(from))?;
        write_all(shared, &mut writer)?;
        writer.finish().map(drop)
    })?;
    let _files = shared.files();
    shared.store_dir.publish(JournalFileId::Checkpoint)?;
    shared.checkpointed.store(from, Ordering::Relaxed);
    if let Err(error) = shared.store_dir.remove_commits(from) {
        tracing::warn!(%error, "could not remove commit files that are already part of a checkpoint");
    }
    Ok(())
}

fn write_all<W: Write>(shared: &JournalShared, writer: &mut JournalWriter<W>) -> io::Result<()> {
    write_metadata(shared, writer)?;
    let mut after: Option<ProcessId> = None;
    while let Some((lines, last)) = next_rows(shared, after) {
        lines.iter().try_for_each(|line| writer.line(line))?;
        after = Some(last);
    }
    let mut after = EventCursor(0);
    while let Some((lines, last)) = next_events(shared, after) {
        lines.iter().try_for_each(|line| writer.line(line))?;
        after = last;
    }
    writer.line(&JournalLine::Until { commit: shared.view.blocking_read().last })
}

/// Writes all data of the store except processes and events.
fn write_metadata<W: Write>(shared: &JournalShared, writer: &mut JournalWriter<W>) -> io::Result<()> {
    let lines = ground(&shared.view.blocking_read().state);
    lines.iter().try_for_each(|line| writer.line(line))
}

pub(super) fn ground(state: &StoreState) -> Vec<JournalLine> {
    let ledger = &state.ledger;
    let beyond = ledger.ops_in_order.len().saturating_sub(MAX_REPLIES);
    let ops = ledger.ops_in_order.iter().skip(beyond);
    let pruned = ledger.tombstone_order.iter().filter_map(|id| Some((*id, *ledger.tombstones.get(id)?)));
    std::iter::once(state.counters())
        .chain(ledger.nodes.values().map(JournalLine::node))
        .chain(std::iter::once(JournalLine::policy(ledger.policy.0, &ledger.policy.1)))
        .chain(ledger.served.iter().map(|(key, at)| JournalLine::served(key.as_ref(), *at)))
        .chain(state.old_keys.values().map(JournalLine::launch_key))
        .chain(pruned.map(|(id, spec)| JournalLine::pruned(id, spec)))
        .chain(ops.filter_map(|op| Some(JournalLine::answer(*op, ledger.stored_reply(op)?))))
        .collect()
}

fn next_rows(shared: &JournalShared, after: Option<ProcessId>) -> Option<(Vec<JournalLine>, ProcessId)> {
    let view = shared.view.blocking_read();
    let begin = after.map_or(Bound::Unbounded, Bound::Excluded);
    let rows = view.state.ledger.rows.by_id().range((begin, Bound::Unbounded)).take(STEP);
    let mut last = None;
    let lines = rows
        .map(|(id, row)| {
            last = Some(*id);
            JournalLine::process(row, WrittenExtent::Whole)
        })
        .collect();
    Some((lines, last?))
}

fn next_events(shared: &JournalShared, after: EventCursor) -> Option<(Vec<JournalLine>, EventCursor)> {
    let view = shared.view.blocking_read();
    let log = &view.state.ledger.log;
    let begin = log.partition_point(|logged| logged.cursor <= after);
    let mut last = None;
    let lines = log
        .range(begin..)
        .take(STEP)
        .map(|logged| {
            last = Some(logged.cursor);
            JournalLine::event(logged)
        })
        .collect();
    Some((lines, last?))
}
