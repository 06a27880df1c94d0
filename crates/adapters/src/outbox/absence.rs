//! Whether the store is away, and since when.

use longhaul_domain::{Awake, Timestamp};
use longhaul_ports::{Clock, StoreError};
use std::sync::{Arc, Mutex, PoisonError};

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
    is_away: bool,
}

/// A question that is on its way to the store.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    at: Awake,
}

impl Absence {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let (heard, heard_awake) = (clock.now(), clock.awake());
        Self { clock, state: Mutex::new(State { heard, heard_awake, is_away: false }) }
    }

    /// Since when nothing is heard of the store, if it is away.
    pub(super) fn since(&self) -> Option<Timestamp> {
        self.look(|state| state.is_away.then_some(state.heard))
    }

    pub(super) fn ask(&self) -> Asked {
        Asked { at: self.clock.awake() }
    }

    /// Learns from what came of a question.
    pub(super) fn told<T>(&self, asked: Asked, answer: &Result<T, StoreError>) {
        let (now, awake) = (self.clock.now(), self.clock.awake());
        let is_silent = matches!(answer, Err(StoreError::Unavailable { .. } | StoreError::Unknown { .. }));
        self.look(|state| {
            if !is_silent {
                (state.heard, state.heard_awake, state.is_away) = (now, awake, false);
            } else if state.heard_awake <= asked.at {
                // Any answer since then would show that it is there, whatever became of this one.
                state.is_away = true;
            }
        });
    }

    fn look<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
