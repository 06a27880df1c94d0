//! Waits: parked until something is true of processes.

use crate::engine::Engine;
use crate::error::EngineError;
use longhaul_domain::{Deadline, ProcessId, Status};
use longhaul_ports::Stored;
use std::time::Duration;

/// What to wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Goal {
    /// It has ended.
    #[default]
    Ended,
    /// It runs, or has ended.
    Running,
}

/// Of how many processes it has to be true.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Of all.
    #[default]
    All,
    /// Of one.
    Any,
}

/// What a wait came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waited {
    /// The processes, in the order in which they were named.
    pub processes: Vec<Stored>,
    /// True if the time was over first.
    pub timed_out: bool,
}

impl Engine {
    /// Parks until the goal is reached, or the patience is over. It costs nothing meanwhile; dropping it ends it.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] for an unknown id.
    pub async fn wait(
        &self,
        ids: &[ProcessId],
        goal: Goal,
        mode: Mode,
        patience: Option<Duration>,
    ) -> Result<Waited, EngineError> {
        let core = &self.core;
        let deadline = patience.map(|patience| core.parts.clock.awake().plus(patience));
        let ear = core.hub.subscribe(ids);
        loop {
            let mut processes = Vec::with_capacity(ids.len());
            for id in ids {
                processes.push(core.load(*id).await?);
            }
            let reached = |stored: &Stored| goal.is_reached(stored.process.status());
            let enough = match mode {
                Mode::All => processes.iter().all(reached),
                Mode::Any => processes.is_empty() || processes.iter().any(reached),
            };
            if enough {
                return Ok(Waited { processes, timed_out: false });
            }
            match deadline {
                None => ear.changed().await,
                Some(deadline) => {
                    if deadline <= core.parts.clock.awake() {
                        return Ok(Waited { processes, timed_out: true });
                    }
                    tokio::select! {
                        () = ear.changed() => {}
                        () = core.parts.clock.sleep_until(Deadline::Awake(deadline)) => {}
                    }
                }
            }
        }
    }
}

impl Goal {
    const fn is_reached(self, status: Status) -> bool {
        match (self, status) {
            (Self::Running, Status::Running | Status::Paused | Status::Stopping) => true,
            (Self::Ended | Self::Running, status) => status.is_ended(),
        }
    }
}
