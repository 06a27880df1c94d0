//! Records how the attempt ended, sends the exit record to peers, and decides when the shim may exit.

use longhaul_failpoint::crashpoint;

use super::{
    leader::{Leader, LeaderExit},
    stopping::TreeStop,
    supervisor::{PauseState, Supervisor},
};
use crate::{
    attempt_directory::EXIT,
    exit::ExitRecord,
    launch::Leftovers,
    message::{ErrorCode, ShimMessage},
};

const DRAIN_MS: u64 = 2_000;
const ACKNOWLEDGE_MS: u64 = 1_000;
const MIN_RETRY_DELAY_MS: u64 = 100;
const MAX_RETRY_DELAY_MS: u64 = 5_000;

/// State of the exit record of this attempt.
pub(super) enum RecordState {
    /// The attempt has not ended, so there is no exit record.
    Open,
    /// The record could not be written. `is_durable` is true if an earlier version of the record is durable. `due` is
    /// the time of the next try in milliseconds of awake time, and `pause` is the delay between that try and the
    /// following try.
    Unwritten { record: Box<ExitRecord>, is_durable: bool, due: u64, pause: u64 },
    /// The record is durable but not final: the output is not read completely, or processes are left. `idle_since` is
    /// the time, in milliseconds of awake time, since which only output is left.
    Written { record: Box<ExitRecord>, idle_since: Option<u64> },
    /// The record is final. `told` is the time at which the record was sent to peers, in milliseconds of awake time.
    Settled { record: Box<ExitRecord>, told: u64 },
}

impl RecordState {
    /// Returns the latest version of the exit record, and true if any version of the record is durable. Returns `None`
    /// if the attempt has not ended.
    pub(super) fn known(&self) -> Option<(&ExitRecord, bool)> {
        match self {
            Self::Open => None,
            Self::Unwritten { record, is_durable, .. } => Some((record, *is_durable)),
            Self::Written { record, .. } | Self::Settled { record, .. } => Some((record, true)),
        }
    }
}

impl Supervisor {
    /// Performs the next step of recording the end. Returns true if the shim may exit.
    pub(super) fn advance_ending(&mut self, now: u64) -> bool {
        self.end_sweep();
        match &mut self.record {
            RecordState::Open => self.begin_ending(now),
            // Exit without waiting for disk space: an earlier version of the record is durable in the attempt
            // directory, and a peer has stored the final version.
            RecordState::Unwritten { record, is_durable: true, .. }
                if record.settled && self.connections.is_acknowledged() =>
            {
                return true;
            }
            RecordState::Unwritten { record, due, pause, .. } if now >= *due => {
                let (record, pause) = (record.clone(), *pause);
                self.write(record, now, pause);
            }
            RecordState::Unwritten { .. } => {}
            RecordState::Written { .. } => self.settle(now),
            RecordState::Settled { told, .. } => {
                let waited = now.saturating_sub(*told) >= ACKNOWLEDGE_MS;
                return waited || !self.connections.awaits_acknowledgement();
            }
        }
        false
    }

    /// Returns the time of the next step of recording the end, in milliseconds of awake time.
    pub(super) fn ending_deadline(&self) -> Option<u64> {
        match &self.record {
            RecordState::Open => None,
            RecordState::Unwritten { due, .. } => Some(*due),
            RecordState::Written { idle_since: Some(since), .. } => Some(since.saturating_add(DRAIN_MS)),
            RecordState::Written { idle_since: None, .. } => {
                let sweeping = self.stopping.as_ref().is_some_and(|stopping| !stopping.is_empty());
                // If no process is left to kill, the wait for the remaining output must start immediately.
                (!sweeping).then_some(0)
            }
            RecordState::Settled { told, .. } => Some(told.saturating_add(ACKNOWLEDGE_MS)),
        }
    }

    /// Writes the first exit record. The time for this is when the leader has ended without a stop, or when the stopped
    /// tree is empty.
    fn begin_ending(&mut self, now: u64) {
        let Leader::Ended(end) = &self.leader else {
            return;
        };
        let end = end.clone();
        if self.stopping.as_ref().is_some_and(|stopping| !stopping.is_empty()) {
            return;
        }
        if self.pause != PauseState::Free {
            // Resume the tree, because paused processes cannot end.
            self.release();
        }
        self.pumps.drain();
        if self.stopping.is_none() {
            self.leftovers = self.count_leftovers();
        }
        let sweep = self.leftovers > 0 && self.launch.leftovers == Leftovers::Stop;
        let settled = !sweep && self.pumps.are_ended();
        let record = ExitRecord { sweeping: sweep, ..self.compose(&end, settled) };
        self.write(Box::new(record), now, MIN_RETRY_DELAY_MS);
        if sweep {
            self.begin_stop(None, None, now);
        }
    }

    /// Sends the record without `sweeping` as soon as all leftovers have ended. Does not wait for the disk, or for
    /// processes outside the tree that still hold the output pipes open.
    fn end_sweep(&mut self) {
        let Some(swept) = self.stopping.as_ref().filter(|each| each.is_empty()).map(TreeStop::swept) else {
            return;
        };
        let is_sweeping = self.record.known().is_some_and(|(record, _)| record.sweeping);
        if !is_sweeping {
            return;
        }
        self.pumps.drain();
        let output_open = !self.pumps.are_ended();
        let durable = self.record.known().is_some_and(|(_, durable)| durable);
        if let RecordState::Unwritten { record, .. } | RecordState::Written { record, .. } = &mut self.record
        {
            let writer = self.pumps.writer();
            record.sweeping = false;
            record.swept = swept;
            record.output_open = output_open;
            record.output_bytes = writer.length();
            record.dropped_bytes = writer.dropped();
            record.write_errors = writer.write_errors();
            let record = record.clone();
            self.connections.broadcast_exit(&ShimMessage::Exited { record, durable });
        }
    }

    fn count_leftovers(&self) -> u64 {
        if super::stopping::is_empty(&self.tree, self.require_no_live_descendants) {
            return 0;
        }
        // The tree is known to have members. Count at least one, because the list of members may have missed a process.
        u64::try_from(self.tree.members().len()).unwrap_or(u64::MAX).max(1)
    }

    fn compose(&self, end: &LeaderExit, settled: bool) -> ExitRecord {
        let writer = self.pumps.writer();
        let stopping = self.stopping.as_ref();
        ExitRecord {
            ending: end.ending,
            ended_at: self.launch.anchor_ms.saturating_add(end.ended_boot_ms),
            undated: end.undated,
            wall: end.wall,
            run_ms: end.run_ms,
            stopped: stopping.and_then(|each| each.reason),
            escalated: stopping.and_then(|each| each.escalated),
            swept: stopping.map_or(0, TreeStop::swept),
            leftovers: self.leftovers,
            output_open: !self.pumps.are_ended(),
            output_bytes: writer.length(),
            dropped_bytes: writer.dropped(),
            write_errors: writer.write_errors(),
            utime_ms: end.user_ms,
            stime_ms: end.system_ms,
            max_rss_kb: end.max_rss_kb,
            limit: end.limit,
            paused: end.paused,
            sweeping: false,
            unverified: false,
            settled,
        }
    }

    /// Writes an exit record durably and sends it to all peers. The record is sent also when the write fails for the
    /// first time, because the attempt has ended even if the disk does not work.
    fn write(&mut self, record: Box<ExitRecord>, now: u64, pause: u64) {
        let written = self.directory.write_durably(EXIT, self.reserved.take(), &record.encode());
        let first_failure = !matches!(self.record, RecordState::Unwritten { .. });
        let is_durable = self.record.known().is_some_and(|(_, durable)| durable);
        let durable = written.is_ok() || is_durable;
        if record.settled {
            crashpoint!("shim.settled.durable");
        } else {
            crashpoint!("shim.exit.durable");
        }
        if written.is_ok() || first_failure {
            self.connections.broadcast_exit(&ShimMessage::Exited { record: record.clone(), durable });
        }
        crashpoint!("shim.told");
        self.record = match written {
            Ok(()) if record.settled => RecordState::Settled { record, told: now },
            Ok(()) => RecordState::Written { record, idle_since: None },
            // The attempt directory was removed, so the record cannot be written. Do not retry.
            Err(_) if self.directory.is_removed() && record.settled => {
                RecordState::Settled { record, told: now }
            }
            Err(_) if self.directory.is_removed() => RecordState::Written { record, idle_since: None },
            Err(error) => {
                let text = format!("the exit record cannot be written: {error}");
                self.connections.broadcast(&ShimMessage::Error { code: ErrorCode::NotDurable, text });
                let next = pause.saturating_mul(2).min(MAX_RETRY_DELAY_MS);
                RecordState::Unwritten { record, is_durable, due: now.saturating_add(pause), pause: next }
            }
        };
    }

    /// Waits for the rest of the tree and of the output, and then replaces the exit record by its final version.
    fn settle(&mut self, now: u64) {
        let RecordState::Written { idle_since, .. } = &mut self.record else {
            return;
        };
        if self.stopping.as_ref().is_some_and(|stopping| !stopping.is_empty()) {
            *idle_since = None;
            return;
        }
        let since = *idle_since.get_or_insert(now);
        if !self.pumps.are_ended() && now.saturating_sub(since) < DRAIN_MS {
            return;
        }
        self.pumps.drain();
        if let Leader::Ended(end) = &self.leader {
            let mut record = self.compose(end, true);
            if let Some((first, _)) = self.record.known() {
                // Keep the stop reason of the first record: leftovers that the shim stopped afterwards do not change
                // why the attempt ended.
                record.stopped = first.stopped;
                record.escalated = first.escalated;
            }
            self.pumps.close();
            self.write(Box::new(record), now, MIN_RETRY_DELAY_MS);
        }
    }
}
