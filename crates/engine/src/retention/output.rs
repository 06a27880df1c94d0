//! How much output is kept, and letting go of it.

use crate::engine::EngineShared;
use crate::error::EngineError;
use longhaul_domain::{AttemptNo, Process, ProcessId, Seq, State, Timestamp};
use longhaul_ports::{OutputError, ProcessFilter};
use std::collections::HashSet;

/// The most processes that one look at the output names.
const PAGE: u32 = 10_000;

/// The output of one ended process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct EndedOutput {
    ended_at: Timestamp,
    seq: Seq,
    id: ProcessId,
    bytes: u64,
}

/// All output that there is.
#[derive(Clone, Debug, Default)]
pub(super) struct OutputUsage {
    /// Oldest end first.
    ended: Vec<EndedOutput>,
    /// The bytes of all others together.
    live: u64,
}

impl OutputUsage {
    /// The moment before which records go so that the output of the newer ones comes to at most so much.
    pub(super) fn first_to_stay(&self, most: u64) -> Option<Timestamp> {
        let mut bytes = 0_u64;
        for each in self.ended.iter().rev() {
            bytes = bytes.saturating_add(each.bytes);
            if bytes > most {
                return Some(Timestamp(each.ended_at.0.saturating_add(1)));
            }
        }
        None
    }

    /// The processes that ended before a moment whose output has to go, oldest first, so that the rest comes to at most
    /// so much.
    pub(super) fn beyond(&self, most: u64, before: Timestamp) -> Vec<ProcessId> {
        let mut total = self.ended.iter().fold(self.live, |total, each| total.saturating_add(each.bytes));
        let mut beyond = Vec::new();
        for each in self.ended.iter().take_while(|each| each.ended_at < before) {
            if total <= most {
                break;
            }
            if each.bytes > 0 {
                beyond.push(each.id);
                total = total.saturating_sub(each.bytes);
            }
        }
        beyond
    }

    /// The rest when these are gone.
    pub(super) fn without(mut self, gone: &[ProcessId]) -> Self {
        let gone: HashSet<&ProcessId> = gone.iter().collect();
        self.ended.retain(|each| !gone.contains(&each.id));
        self
    }
}

impl EngineShared {
    /// How much output there is, and of whom.
    pub(super) async fn outputs(&self) -> Result<OutputUsage, EngineError> {
        let ids = self.all_kept().await?;
        let mut outputs = OutputUsage::default();
        let (mut unclear, mut live) = (Vec::new(), Vec::new());
        self.each(&ProcessFilter::default(), |stored| {
            let process = &stored.process;
            if !ids.contains(&process.id) {
                return;
            }
            let Some(ended_at) = process.completed_at() else {
                return live.push(process.id);
            };
            let each = EndedOutput { ended_at, seq: stored.seq, id: process.id, bytes: 0 };
            match recorded_bytes(process) {
                Some(bytes) => outputs.ended.push(EndedOutput { bytes, ..each }),
                None => unclear.push(each),
            }
        })
        .await?;
        for each in unclear {
            outputs.ended.push(EndedOutput { bytes: self.size_on_disk(each.id).await, ..each });
        }
        for id in live {
            outputs.live = outputs.live.saturating_add(self.size_on_disk(id).await);
        }
        outputs.ended.sort_unstable();
        Ok(outputs)
    }

    /// Every process of which anything is kept.
    pub(super) async fn all_kept(&self) -> Result<HashSet<ProcessId>, EngineError> {
        let mut all = HashSet::new();
        let mut after = None;
        loop {
            let page = self.parts.output.kept(after, PAGE).await;
            let page = page.map_err(|source| EngineError::Output { source })?;
            after = page.last().copied();
            if after.is_none() {
                return Ok(all);
            }
            all.extend(page);
        }
    }

    /// The bytes of storage that removing the output of a process gives back.
    pub(super) async fn size_on_disk(&self, id: ProcessId) -> u64 {
        match self.parts.output.size_on_disk(id).await {
            Ok(bytes) => bytes,
            Err(OutputError::Missing { .. }) => 0,
            Err(error) => {
                tracing::warn!(%id, %error, "the output of a process cannot be measured");
                0
            }
        }
    }
}

/// What the record of an ended process tells of its output: nothing if it had several attempts, or if its exit is not
/// known.
fn recorded_bytes(process: &Process) -> Option<u64> {
    let State::Ended(ended) = &process.state else {
        return None;
    };
    let bound = process.spec.command()?.output;
    let exit = ended.ending.exit().filter(|_| process.attempt <= AttemptNo(1))?;
    Some(exit.output_bytes.min(bound.head.saturating_add(bound.tail)))
}
