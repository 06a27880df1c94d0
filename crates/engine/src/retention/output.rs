//! Measures the stored output and determines which part of it has to be deleted.

use crate::engine::EngineShared;
use crate::error::EngineError;
use longhaul_domain::{AttemptNo, Process, ProcessId, Seq, State, Timestamp};
use longhaul_ports::{OutputError, ProcessFilter};
use std::collections::HashSet;

/// Maximum number of processes in one page of the output listing.
const PAGE: u32 = 10_000;

/// The output size of one ended process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct EndedOutput {
    ended_at: Timestamp,
    seq: Seq,
    id: ProcessId,
    bytes: u64,
}

/// The size of all stored output.
#[derive(Clone, Debug, Default)]
pub(super) struct OutputUsage {
    /// Output of ended processes, oldest end first.
    ended: Vec<EndedOutput>,
    /// Total output of live processes in bytes.
    live: u64,
}

impl OutputUsage {
    /// Returns a time such that pruning all records that ended before it leaves at most `limit` bytes of output.
    /// Returns `None` if nothing has to be pruned.
    pub(super) fn prune_cutoff(&self, limit: u64) -> Option<Timestamp> {
        let mut bytes = 0_u64;
        for each in self.ended.iter().rev() {
            bytes = bytes.saturating_add(each.bytes);
            if bytes > limit {
                return Some(Timestamp(each.ended_at.0.saturating_add(1)));
            }
        }
        None
    }

    /// Returns the processes whose output must be deleted so that at most `limit` bytes remain, oldest first. Only
    /// processes that ended before `before` are included.
    pub(super) fn beyond(&self, limit: u64, before: Timestamp) -> Vec<ProcessId> {
        let mut total = self.ended.iter().fold(self.live, |total, each| total.saturating_add(each.bytes));
        let mut beyond = Vec::new();
        for each in self.ended.iter().take_while(|each| each.ended_at < before) {
            if total <= limit {
                break;
            }
            if each.bytes > 0 {
                beyond.push(each.id);
                total = total.saturating_sub(each.bytes);
            }
        }
        beyond
    }

    /// Returns the output usage without the output of the given processes.
    pub(super) fn without(mut self, gone: &[ProcessId]) -> Self {
        let gone: HashSet<&ProcessId> = gone.iter().collect();
        self.ended.retain(|each| !gone.contains(&each.id));
        self
    }
}

impl EngineShared {
    /// Measures all stored output.
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

    /// Returns every process that has stored output.
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

    /// Returns the disk space in bytes that becomes free if the output of a process is deleted.
    pub(super) async fn size_on_disk(&self, id: ProcessId) -> u64 {
        match self.parts.output.size_on_disk(id).await {
            Ok(bytes) => bytes,
            Err(OutputError::Missing { .. }) => 0,
            Err(error) => {
                tracing::warn!(%id, %error, "could not measure the output of a process");
                0
            }
        }
    }
}

/// Returns the output size from the record of an ended process. Returns `None` if the process had several attempts,
/// has artifacts, or its exit is unknown.
fn recorded_bytes(process: &Process) -> Option<u64> {
    let State::Ended(ended) = &process.state else {
        return None;
    };
    let command = process.spec.command().filter(|command| command.artifacts.is_empty())?;
    let bound = command.output;
    let exit = ended.ending.exit().filter(|_| process.attempt <= AttemptNo(1))?;
    Some(exit.output_bytes.min(bound.head.saturating_add(bound.tail)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{command, waiting};

    /// Returns the output usage of ended processes with these end times and sizes.
    fn usage(live: u64, ended: &[(i64, u64)]) -> OutputUsage {
        let ended = (0..).zip(ended).map(|(number, (at, bytes))| EndedOutput {
            ended_at: Timestamp(*at),
            seq: Seq(number),
            id: waiting(number, command()).process.id,
            bytes: *bytes,
        });
        OutputUsage { ended: ended.collect(), live }
    }

    fn ids(numbers: &[u64]) -> Vec<ProcessId> {
        numbers.iter().map(|number| waiting(*number, command()).process.id).collect()
    }

    #[test]
    fn records_go_until_the_output_of_the_newest_fits() {
        let usage = usage(1_000, &[(1, 10), (2, 20), (3, 30)]);
        assert_eq!(usage.prune_cutoff(60), None);
        assert_eq!(usage.prune_cutoff(59), Some(Timestamp(2)));
        assert_eq!(usage.prune_cutoff(50), Some(Timestamp(2)));
        assert_eq!(usage.prune_cutoff(49), Some(Timestamp(3)));
        assert_eq!(usage.prune_cutoff(0), Some(Timestamp(4)));
    }

    #[test]
    fn oldest_output_goes_until_the_total_fits_but_none_that_is_young_or_empty() {
        let usage = usage(100, &[(1, 10), (2, 0), (3, 30), (9, 40)]);
        let gone = |most| usage.beyond(most, Timestamp(9));
        assert_eq!(gone(180), []);
        assert_eq!(gone(179), ids(&[0]));
        assert_eq!(gone(170), ids(&[0]));
        assert_eq!(gone(169), ids(&[0, 2]));
        assert_eq!(gone(0), ids(&[0, 2]));
        assert_eq!(usage.clone().without(&ids(&[0])).beyond(0, Timestamp(9)), ids(&[2]));
    }
}
