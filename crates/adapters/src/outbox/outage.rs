//! Determines whether the shared store is unreachable, and since when.

use longhaul_domain::{AwakeTime, Timestamp};
use longhaul_ports::{Clock, StoreError};
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Minimum time between two warnings that report an unreachable store.
const REPORT_INTERVAL: Duration = Duration::from_secs(60);

/// State of the connection to the shared store. It is derived from the results of all calls.
#[derive(Debug)]
pub(super) struct OutageTracker {
    clock: Arc<dyn Clock>,
    state: Mutex<OutageState>,
}

#[derive(Debug)]
struct OutageState {
    /// Time of the store's latest answer, whether success or error.
    answered_at: Timestamp,
    answered_awake: AwakeTime,
    away: Option<Outage>,
}

#[derive(Clone, Copy, Debug)]
struct Outage {
    /// Time at which the last warning was logged.
    warned_at: AwakeTime,
    /// Number of calls that the store did not answer.
    calls: u64,
}

/// An unfinished call to the store, with its start time.
#[derive(Clone, Copy, Debug)]
pub(super) struct InFlightCall {
    at: AwakeTime,
}

impl OutageTracker {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let (answered_at, answered_awake) = (clock.now(), clock.awake());
        Self { clock, state: Mutex::new(OutageState { answered_at, answered_awake, away: None }) }
    }

    /// Returns the time of the last answer if the store is unreachable, or `None` if the store is reachable.
    pub(super) fn since(&self) -> Option<Timestamp> {
        self.with_state(|state| state.away.map(|_| state.answered_at))
    }

    pub(super) fn ask(&self) -> InFlightCall {
        InFlightCall { at: self.clock.awake() }
    }

    /// Updates the outage state from the result of a call.
    pub(super) fn record<T>(&self, call: InFlightCall, answer: &Result<T, StoreError>) {
        let (now, awake) = (self.clock.now(), self.clock.awake());
        match answer {
            Err(error @ (StoreError::Unavailable { .. } | StoreError::Unknown { .. })) => {
                // If the store has answered another call since this call started, it is reachable.
                self.with_state(|state| {
                    if state.answered_awake <= call.at {
                        state.missed(awake, error);
                    }
                });
            }
            Ok(_) | Err(_) => self.with_state(|state| {
                state.is_back();
                (state.answered_at, state.answered_awake) = (now, awake);
            }),
        }
    }

    fn with_state<T>(&self, action: impl FnOnce(&mut OutageState) -> T) -> T {
        action(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl OutageState {
    /// Logs a warning for the first unanswered call. After that, logs at most one warning in each [`REPORT_INTERVAL`],
    /// to keep the log short.
    fn missed(&mut self, now: AwakeTime, error: &StoreError) {
        let Some(away) = &mut self.away else {
            let why = error.source().map(ToString::to_string);
            tracing::warn!(%error, why, "the store stopped answering: operations that need the store wait, \
                and running processes continue");
            self.away = Some(Outage { warned_at: now, calls: 1 });
            return;
        };
        away.calls += 1;
        if now.since(away.warned_at) >= REPORT_INTERVAL {
            away.warned_at = now;
            tracing::warn!(%error, calls = away.calls, "the store still does not answer");
        }
    }

    fn is_back(&mut self) {
        if let Some(Outage { calls, .. }) = self.away.take() {
            tracing::warn!(calls, "the store answers again");
        }
    }
}
