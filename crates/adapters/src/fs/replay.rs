//! What was written, read again.

use super::core::Core;
use super::failure::corrupt;
use super::line::{Line, ProcessLine, hexadecimal, id, name, read_policy, read_vitals};
use crate::memory::ledger::Node;
use longhaul_domain::{PolicyVersion, Seq, SlotKey};
use longhaul_ports::{Cursor, Lease, StoreError};
use longhaul_wire::record;
use std::sync::Arc;

/// How what was read so far fits what is read next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// Nothing is missing.
    Exactly,
    /// A checkpoint may show what comes later already.
    InPart,
}

impl Core {
    /// Reads a line again. What a checkpoint took in already may lack what has gone since.
    pub(super) fn read(&mut self, line: Line, known: Known) -> Result<(), StoreError> {
        match line {
            Line::Counters(counters) => {
                let ledger = &mut self.ledger;
                ledger.last_seq = ledger.last_seq.max(Seq(counters.seq));
                ledger.last_cursor = ledger.last_cursor.max(Cursor(counters.cursor));
                ledger.claims = ledger.claims.max(counters.claims);
                ledger.swept = ledger.swept.max(counters.swept);
            }
            Line::Node(line) => self.read_node(line.read()?),
            Line::Policy { version, policy } => {
                if PolicyVersion(version) >= self.ledger.policy.0 {
                    self.ledger.policy = (PolicyVersion(version), read_policy(&policy)?);
                }
            }
            Line::Served { key, at } => {
                let key: Option<SlotKey> = key.as_deref().map(name).transpose()?;
                let served = self.ledger.served.entry(key).or_default();
                *served = at.max(*served);
            }
            Line::Process(line) => return self.read_process(*line, known),
            Line::Vitals { id: of, vitals } => {
                let vitals = read_vitals(&vitals)?;
                let changed = self.ledger.rows.change(&id(&of)?, |row| row.stored.vitals = vitals);
                match (changed, known) {
                    (Some(()), _) | (None, Known::InPart) => {}
                    (None, Known::Exactly) => return Err(unknown(&of)),
                }
            }
            Line::Swept(line) => {
                let of = id(&line.id)?;
                // One that came from another store was never here.
                self.ledger.rows.remove(&of);
                self.ledger.bury(of, hexadecimal(&line.spec)?);
            }
            Line::LaunchKey(line) => self.retire(line.read()?),
            Line::Event(line) => {
                let logged = line.read()?;
                let last = self.ledger.log.back().map_or(Cursor(0), |last| last.cursor);
                if logged.cursor > last {
                    // What was trimmed while a checkpoint was written leaves no hole in the middle.
                    if logged.cursor.0 > last.0.saturating_add(1) {
                        self.ledger.log.clear();
                    }
                    self.ledger.log.push_back(logged);
                }
            }
            Line::Answer(line) => {
                let (op, answer) = line.read()?;
                if self.ledger.answered(&op).is_none() {
                    self.ledger.remember(op, answer);
                }
            }
            Line::Until { .. } => {}
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

    fn read_process(&mut self, mut line: ProcessLine, known: Known) -> Result<(), StoreError> {
        let of = id(&line.id)?;
        if let Some(spec) = line.spec.take() {
            self.place(line.read(spec.get())?);
            return Ok(());
        }
        let Some(before) = self.ledger.rows.get(&of) else {
            return match known {
                Known::InPart => Ok(()),
                Known::Exactly => Err(unknown(&line.id)),
            };
        };
        let mut row = line.read(&record::encode_spec(&before.stored.process))?;
        // The same text in one place only.
        row.stored.process.spec = Arc::clone(&before.stored.process.spec);
        self.ledger.rows.insert(row);
        Ok(())
    }
}

fn unknown(id: &str) -> StoreError {
    corrupt(format!("it goes on about {id}, which is not known"))
}
