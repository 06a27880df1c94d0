//! Replays the lines of journal files.

use super::failure::corrupt;
use super::journal_line::{JournalLine, ProcessLine, hexadecimal, id, name, read_policy};
use super::ledger::state::Node;
use super::state::StoreState;
use crate::record_json;
use longhaul_domain::{PolicyVersion, Seq, SlotKey};
use longhaul_ports::{EventCursor, Lease, StoreError};
use longhaul_wire::record;
use std::sync::Arc;

/// How the next file relates to the lines that were read before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReplayState {
    /// The next file directly continues the lines that were read.
    Exactly,
    /// The checkpoint that was read may already contain changes of the next file.
    InPart,
}

impl StoreState {
    /// Replays a line. The line may refer to a record that is missing, because a later commit deleted the record before
    /// the checkpoint was written.
    pub(super) fn read(&mut self, line: JournalLine, known: ReplayState) -> Result<(), StoreError> {
        match line {
            JournalLine::Counters(counters) => {
                let ledger = &mut self.ledger;
                ledger.last_seq = ledger.last_seq.max(Seq(counters.seq));
                ledger.last_cursor = ledger.last_cursor.max(EventCursor(counters.cursor));
                ledger.claims = ledger.claims.max(counters.claims);
                ledger.pruned_total = ledger.pruned_total.max(counters.pruned);
            }
            JournalLine::Node(line) => self.read_node(line.read()?),
            JournalLine::Policy { version, policy } => {
                if PolicyVersion(version) >= self.ledger.policy.0 {
                    self.ledger.policy = (PolicyVersion(version), read_policy(&policy)?);
                }
            }
            JournalLine::Served { key, at } => {
                let key: Option<SlotKey> = key.as_deref().map(name).transpose()?;
                let served = self.ledger.served.entry(key).or_default();
                *served = at.max(*served);
            }
            JournalLine::Process(line) => return self.read_process(*line, known),
            JournalLine::LiveStats { id: of, live_stats } => {
                let live_stats = record_json::decode_live_stats(Some(&live_stats), corrupt)?;
                let changed = self.ledger.rows.change(&id(&of)?, |row| row.stored.live_stats = live_stats);
                match (changed, known) {
                    (Some(()), _) | (None, ReplayState::InPart) => {}
                    (None, ReplayState::Exactly) => return Err(unknown(&of)),
                }
            }
            JournalLine::Tombstone(line) => {
                let of = id(&line.id)?;
                // The record may be missing from the replayed state if the process was restored.
                self.ledger.rows.remove(&of);
                self.ledger.mark_pruned(of, hexadecimal(&line.spec)?);
            }
            JournalLine::LaunchKey(line) => self.retire(line.read()?),
            JournalLine::Event(line) => {
                let logged = line.read()?;
                let last = self.ledger.log.back().map_or(EventCursor(0), |last| last.cursor);
                if logged.cursor > last {
                    // Events that were trimmed during the checkpoint leave a gap. Drop the events before the gap,
                    // because the log must be contiguous.
                    if logged.cursor.0 > last.0.saturating_add(1) {
                        self.ledger.log.clear();
                    }
                    self.ledger.log.push_back(logged);
                }
            }
            JournalLine::OpReply(line) => {
                let (op, answer) = line.read()?;
                if self.ledger.stored_reply(&op).is_none() {
                    self.ledger.remember(op, answer);
                }
            }
            JournalLine::Until { .. } => {}
        }
        Ok(())
    }

    fn read_node(&mut self, node: Node) {
        let id = node.facts.id.clone();
        let epoch = node.epoch;
        if self.ledger.nodes.get(&id).is_some_and(|known| known.epoch > epoch) {
            return;
        }
        self.ledger.renew(&Lease { node: id.clone(), epoch });
        self.ledger.nodes.insert(id, node);
    }

    fn read_process(&mut self, mut line: ProcessLine, known: ReplayState) -> Result<(), StoreError> {
        let of = id(&line.id)?;
        if let Some(spec) = line.spec.take() {
            self.insert_row(line.read(spec.get())?);
            return Ok(());
        }
        let Some(before) = self.ledger.rows.get(&of) else {
            return match known {
                ReplayState::InPart => Ok(()),
                ReplayState::Exactly => Err(unknown(&line.id)),
            };
        };
        let mut row = line.read(&record::encode_spec(&before.stored.process))?;
        // Reuse the existing copy of the spec.
        row.stored.process.spec = Arc::clone(&before.stored.process.spec);
        self.ledger.rows.insert(row);
        Ok(())
    }
}

fn unknown(id: &str) -> StoreError {
    corrupt(format!("a line changes the process {id}, which the store does not contain"))
}
