//! The reader of the files, over bytes: for those who look for bytes that it does not stand.

use super::FORMAT;
use super::checkpoint::ground;
use super::core::Core;
use super::line::{Extent, Line};
use super::place::KIND;
use super::replay::Known;
use super::sheet::{self, Pen, Title};
use crate::fingerprint::Fingerprint;
use longhaul_ports::StoreError;
use std::cell::Cell;
use std::io;

/// Reads a commit or a checkpoint into an empty store, and writes a checkpoint of it.
///
/// # Errors
/// [`StoreError::Corrupt`] and [`StoreError::Format`] for what is no whole file of a store.
pub fn reread(file: &[u8]) -> Result<Vec<u8>, StoreError> {
    let mut core = Core::default();
    let known = Cell::new(Known::Exactly);
    let titled = |title| {
        known.set(match title {
            Title::Commit(_) => Known::InPart,
            Title::Checkpoint(_) => Known::Exactly,
        });
        Ok(())
    };
    sheet::whole(file, titled, &mut |line| core.read(line, known.get()))?;
    written(&core).map_err(|error| StoreError::Unavailable { source: Box::new(error) })
}

/// Puts the first line of a checkpoint before these lines, and one behind them that proves them whole.
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

fn written(core: &Core) -> io::Result<Vec<u8>> {
    let mut pen = Pen::begin(Vec::new(), Title::Checkpoint(1))?;
    let rows = core.ledger.rows.by_id().values().map(|row| Line::process(row, Extent::Whole));
    let lines = ground(core).into_iter().chain(rows).chain(core.ledger.log.iter().map(Line::event));
    for line in lines {
        pen.line(&line)?;
    }
    pen.finish()
}
