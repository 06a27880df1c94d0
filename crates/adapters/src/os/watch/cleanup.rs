//! The time between the end of a command and that of what it left behind.

use super::{AttemptState, AttemptWatch};
use crate::os::translate;
use longhaul_shim::ExitRecord;
use std::pin::pin;
use std::time::Duration;
use tokio::time::Instant;

/// A sweep that is over sooner is not told of: most leftovers end as soon as they are asked to.
const REPORT_DELAY: Duration = Duration::from_millis(250);
/// The same of a sweep that another life began: whoever asks first is told the end alone if it is over by then.
const ADOPTED_REPORT_DELAY: Duration = Duration::from_secs(1);

/// A command that has ended, and left something behind that is being ended.
#[derive(Debug)]
pub(super) struct LeftoverCleanup {
    record: Box<ExitRecord>,
    /// When it is told of; none if it was.
    due: Option<Instant>,
}

impl LeftoverCleanup {
    /// How the command ended.
    pub(super) fn record(&self) -> &ExitRecord {
        &self.record
    }
}

impl AttemptWatch {
    /// Takes in how the command ended. That is told as the end of the attempt only once its tree is empty.
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

    /// Answers whoever asks until the work on what is left of the attempt is done; none if the spawner is gone before.
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

    /// Waits until a sweep is to be told of; for ever if there is none.
    pub(super) fn sweep_lasts(&self) -> impl Future<Output = ()> + use<> {
        let due = self.cleanup.as_ref().and_then(|sweep| sweep.due);
        async move {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        }
    }

    /// Tells that a sweep lasts, once, after the start of a command that was never told of.
    pub(super) fn report_cleanup(&mut self) {
        if let (AttemptState::Nothing, Some(identity)) = (&self.known, self.identity.clone()) {
            self.see(AttemptState::Running(translate::spawned(self.key, &identity)));
        }
        let is_known = match self.known {
            AttemptState::Running(_) => true,
            AttemptState::Nothing | AttemptState::Over(_) => false,
        };
        if let Some(sweep) = &mut self.cleanup {
            sweep.due = None;
            let sweeping = translate::sweeping(self.key, &sweep.record);
            if is_known {
                self.tell(&sweeping);
            }
        }
    }
}
