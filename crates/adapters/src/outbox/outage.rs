//! Whether the store is away, and since when.

use longhaul_domain::{AwakeTime, Timestamp};
use longhaul_ports::{Clock, StoreError};
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// So often it is told that the store is still away.
const REPORT_INTERVAL: Duration = Duration::from_secs(60);

/// Whether the store is away.
#[derive(Debug)]
pub(super) struct OutageTracker {
    clock: Arc<dyn Clock>,
    state: Mutex<OutageState>,
}

#[derive(Debug)]
struct OutageState {
    /// The latest answer that came, whatever it said: what was told later is not known here.
    heard: Timestamp,
    heard_awake: AwakeTime,
    away: Option<Outage>,
}

#[derive(Clone, Copy, Debug)]
struct Outage {
    /// When it was told last.
    told: AwakeTime,
    /// So many questions were not answered.
    questions: u64,
}

/// A question that is on its way to the store.
#[derive(Clone, Copy, Debug)]
pub(super) struct InFlightCall {
    at: AwakeTime,
}

impl OutageTracker {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let (heard, heard_awake) = (clock.now(), clock.awake());
        Self { clock, state: Mutex::new(OutageState { heard, heard_awake, away: None }) }
    }

    /// Since when nothing is heard of the store, if it is away.
    pub(super) fn since(&self) -> Option<Timestamp> {
        self.look(|state| state.away.map(|_| state.heard))
    }

    pub(super) fn ask(&self) -> InFlightCall {
        InFlightCall { at: self.clock.awake() }
    }

    /// Learns from what came of a question.
    pub(super) fn told<T>(&self, asked: InFlightCall, answer: &Result<T, StoreError>) {
        let (now, awake) = (self.clock.now(), self.clock.awake());
        match answer {
            Err(error @ (StoreError::Unavailable { .. } | StoreError::Unknown { .. })) => {
                // Any answer since then would show that it is there, whatever became of this one.
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
    /// Tells of the first question, and of all of them now and then: each would fill the log with what is known.
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
