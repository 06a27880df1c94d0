//! Decoders of the store's files, made accessible to fuzz tests.

use super::FORMAT;
use super::checkpoint::ground;
use super::journal::{self, JournalKind, JournalWriter};
use super::journal_line::{JournalLine, WrittenExtent};
use super::replay::ReplayState;
use super::state::StoreState;
use super::store_dir::KIND;
use crate::fingerprint::Fingerprint;
use longhaul_ports::StoreError;
use std::cell::Cell;
use std::io;

/// Reads a commit file or checkpoint file into an empty store, and writes a checkpoint of that store.
///
/// # Errors
/// Returns [`StoreError::Corrupt`] or [`StoreError::Format`] if the bytes are not a complete file of a store.
pub fn reread(file: &[u8]) -> Result<Vec<u8>, StoreError> {
    let mut state = StoreState::default();
    let known = Cell::new(ReplayState::Exactly);
    let titled = |title| {
        known.set(match title {
            JournalKind::Commit(_) => ReplayState::InPart,
            JournalKind::Checkpoint(_) => ReplayState::Exactly,
        });
        Ok(())
    };
    journal::whole(file, titled, &mut |line| state.read(line, known.get()))?;
    written(&state).map_err(|error| StoreError::Unavailable { source: Box::new(error) })
}

/// Adds the first line of a checkpoint before `lines`, and the last line with the checksum after them.
#[must_use]
pub fn signed(lines: &[u8]) -> Vec<u8> {
    let mut file = format!("{{\"longhaul\":\"{KIND}\",\"format\":{FORMAT},\"checkpoint\":1}}\n").into_bytes();
    file.extend_from_slice(lines);
    if !file.ends_with(b"\n") {
        file.push(b'\n');
    }
    let mut sum = Fingerprint::new();
    sum.add(&file);
    let count = file.iter().filter(|byte| **byte == b'\n').count().saturating_sub(1);
    let end = format!("{{\"end\":{{\"lines\":{count},\"sum\":\"{:016x}\"}}}}\n", sum.value());
    file.extend_from_slice(end.as_bytes());
    file
}

fn written(state: &StoreState) -> io::Result<Vec<u8>> {
    let mut writer = JournalWriter::begin(Vec::new(), JournalKind::Checkpoint(1))?;
    let rows = state.ledger.rows.by_id().values().map(|row| JournalLine::process(row, WrittenExtent::Whole));
    let lines = ground(state).into_iter().chain(rows).chain(state.ledger.log.iter().map(JournalLine::event));
    for line in lines {
        writer.line(&line)?;
    }
    writer.finish()
}
