//! Whether the store is away, and since when.

use longhaul_domain::{Awake, Timestamp};
use longhaul_ports::{Clock, StoreError};
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// So often it is told that the store is still away.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// Whether the store is away.
#[derive(Debug)]
pub(super) struct Absence {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The latest answer that came, whatever it said: what was told later is not known here.
    heard: Timestamp,
    heard_awake: Awake,
    away: Option<Away>,
}

#[derive(Clone, Copy, Debug)]
struct Away {
    /// When it was told last.
    told: Awake,
    /// So many questions were not answered.
    questions: u64,
}

/// A question that is on its way to the store.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    at: Awake,
}

impl Absence {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let (heard, heard_awake) = (clock.now(), clock.awake());
        Self { clock, state: Mutex::new(State { heard, heard_awake, away: None }) }
    }

    /// Since when nothing is heard of the store, if it is away.
    pub(super) fn since(&self) -> Option<Timestamp> {
        self.look(|state| state.away.map(|_| state.heard))
    }

    pub(super) fn ask(&self) -> Asked {
        Asked { at: self.clock.awake() }
    }

    /// Learns from what came of a question.
    pub(super) fn told<T>(&self, asked: Asked, answer: &Result<T, StoreError>) {
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

    fn look<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    /// Tells of the first question, and of all of them now and then: each would fill the log with what is known.
    fn missed(&mut self, now: Awake, error: &StoreError) {
        let Some(away) = &mut self.away else {
            let why = error.source().map(ToString::to_string);
            tracing::warn!(%error, why, "the store does not answer: what needs it waits, what runs goes on");
            self.away = Some(Away { told: now, questions: 1 });
            return;
        };
        away.questions += 1;
        if now.since(away.told) >= TOLD_EVERY {
            away.told = now;
            tracing::warn!(%error, questions = away.questions, "the store still does not answer");
        }
    }

    fn is_back(&mut self) {
        if let Some(Away { questions, .. }) = self.away.take() {
            tracing::warn!(questions, "the store answers again");
        }
    }
}
