//! The time between the end of a command and the end of its leftovers, which are being killed.

use super::{AttemptState, AttemptWatch};
use crate::os::translate;
use longhaul_shim::ExitRecord;
use std::pin::pin;
use std::time::Duration;
use tokio::time::Instant;

/// Delay before a clean-up of leftovers is reported. Most leftovers end before that, so that no report is needed.
const REPORT_DELAY: Duration = Duration::from_millis(250);
/// Delay before the report of a clean-up that an earlier manager began. If the clean-up ends before that, a caller that
/// adopts the attempt receives only its end.
const ADOPTED_REPORT_DELAY: Duration = Duration::from_secs(1);

/// A command that has ended and whose leftovers are being killed.
#[derive(Debug)]
pub(super) struct LeftoverCleanup {
    record: Box<ExitRecord>,
    /// Time at which the clean-up must be reported; `None` after the report.
    due: Option<Instant>,
}

impl LeftoverCleanup {
    /// Returns the exit record of the command whose leftovers are being killed.
    pub(super) fn record(&self) -> &ExitRecord {
        &self.record
    }
}

impl AttemptWatch {
    /// Records how the command ended. The end of the attempt is reported only after its tree is empty.
    pub(crate) fn see_sweep(&mut self, record: &ExitRecord) {
        if self.cleanup.is_none() {
            let soon = match self.known {
                AttemptState::Nothing => ADOPTED_REPORT_DELAY,
                AttemptState::Running(_) | AttemptState::Over(_) => REPORT_DELAY,
            };
            let due = Instant::now().checked_add(soon);
            self.cleanup = Some(LeftoverCleanup { record: Box::new(record.clone()), due });
        }
    }

    /// Answers requests while `work` is in progress. Returns `None` if the spawner is dropped first.
    pub(crate) async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        loop {
            let lasts = self.sweep_lasts();
            tokio::select! {
                biased;
                done = &mut work => return Some(done),
                ask = self.asks.recv() => self.answer_at_its_end(ask?),
                () = lasts => self.report_cleanup(),
            }
        }
    }

    /// Waits until the clean-up must be reported. Never completes if no report is due.
    pub(super) fn sweep_lasts(&self) -> impl Future<Output = ()> + use<> {
        let due = self.cleanup.as_ref().and_then(|sweep| sweep.due);
        async move {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        }
    }

    /// Reports that a clean-up is in progress, unless this was already reported. If the start of the command was never
    /// reported, reports it first.
    pub(super) fn report_cleanup(&mut self) {
        if let (AttemptState::Nothing, Some(identity)) = (&self.known, self.identity.clone()) {
            self.set_state(AttemptState::Running(translate::spawned(self.key, &identity)));
        }
        let is_known = match self.known {
            AttemptState::Running(_) => true,
            AttemptState::Nothing | AttemptState::Over(_) => false,
        };
        if let Some(sweep) = &mut self.cleanup {
            sweep.due = None;
            let sweeping = translate::cleaning_up(self.key, &sweep.record);
            if is_known {
                self.tell(&sweeping);
            }
        }
    }
}
