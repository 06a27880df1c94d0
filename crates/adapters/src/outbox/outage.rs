//! Detects whether the shared store is unreachable, and since when.

use longhaul_domain::{AwakeTime, Timestamp};
use longhaul_ports::{Clock, StoreError};
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Minimum time between two warnings that the store is still unreachable.
const REPORT_INTERVAL: Duration = Duration::from_secs(60);

/// State of the connection to the shared store, derived from the results of all calls.
#[derive(Debug)]
pub(super) struct OutageTracker {
    clock: Arc<dyn Clock>,
    state: Mutex<OutageState>,
}

#[derive(Debug)]
struct OutageState {
    /// Time of the latest answer of the store, successful or not.
    heard: Timestamp,
    heard_awake: AwakeTime,
    away: Option<Outage>,
}

#[derive(Clone, Copy, Debug)]
struct Outage {
    /// Time of the last warning.
    told: AwakeTime,
    /// Number of calls that got no answer.
    questions: u64,
}

/// A call to the store that has not finished, with its start time.
#[derive(Clone, Copy, Debug)]
pub(super) struct InFlightCall {
    at: AwakeTime,
}

impl OutageTracker {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let (heard, heard_awake) = (clock.now(), clock.awake());
        Self { clock, state: Mutex::new(OutageState { heard, heard_awake, away: None }) }
    }

    /// Returns the time of the last answer if the store is unreachable. Returns `None` otherwise.
    pub(super) fn since(&self) -> Option<Timestamp> {
        self.look(|state| state.away.map(|_| state.heard))
    }

    pub(super) fn ask(&self) -> InFlightCall {
        InFlightCall { at: self.clock.awake() }
    }

    /// Updates the outage state from the result of a call.
    pub(super) fn told<T>(&self, asked: InFlightCall, answer: &Result<T, StoreError>) {
        let (now, awake) = (self.clock.now(), self.clock.awake());
        match answer {
            Err(error @ (StoreError::Unavailable { .. } | StoreError::Unknown { .. })) => {
                // If another call was answered since this call started, the store is reachable.
                self.look(|state| {
                    if state.heard_awake <= asked.at {
                        state.missed(awake, error);
                    }
                });
            }
            Ok(_) | Err(_) => self.look(|state| {
                state.is_back();
                (state.heard, state.heard_awake) = (now, awake);
            }),
        }
    }

    fn look<T>(&self, look: impl FnOnce(&mut OutageState) -> T) -> T {
        look(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl OutageState {
    /// Logs the first call without an answer, and then at most one warning for each [`REPORT_INTERVAL`], to keep the
    /// log short.
    fn missed(&mut self, now: AwakeTime, error: &StoreError) {
        let Some(away) = &mut self.away else {
            let why = error.source().map(ToString::to_string);
            tracing::warn!(%error, why, "the store does not answer: operations that need it wait, and running \
             processes continue");
            self.away = Some(Outage { told: now, questions: 1 });
            return;
        };
        away.questions += 1;
        if now.since(away.told) >= REPORT_INTERVAL {
            away.told = now;
            tracing::warn!(%error, questions = away.questions, "the store still does not answer");
        }
    }

    fn is_back(&mut self) {
        if let Some(Outage { questions, .. }) = self.away.take() {
            tracing::warn!(questions, "the store answers again");
        }
    }
}
