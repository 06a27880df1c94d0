//! Use case that waits until processes end, run or are ready.

use crate::api::Api;
use crate::convert::{DetailLevel, views};
use crate::error::ApiError;
use longhaul_engine::{WaitCondition, WaitMode};
use longhaul_wire::api::{WaitReply, WaitRequest};
use std::time::Duration;

/// Maximum number of processes that one request may name.
const MAX_IDS: usize = 1_000;

impl Api {
    /// Waits until all processes, or one of them, have reached the requested state, or until the timeout expires.
    ///
    /// # Errors
    /// Returns an error if the request is invalid, or if a reference does not match exactly one process.
    ///
    /// # Cancel safety
    /// Dropping the call ends only the wait and does not affect the processes.
    pub async fn wait(&self, request: &WaitRequest) -> Result<WaitReply, ApiError> {
        let engine = &self.engine;
        let (goal, mode) = (goal(request)?, mode(request)?);
        let time_limit = request.timeout_ms.map(Duration::from_millis);
        if request.ids.len() > MAX_IDS {
            return Err(ApiError::invalid("wait", format!("more than {MAX_IDS} processes are given")));
        }
        let mut ids = Vec::new();
        for reference in &request.ids {
            ids.push(engine.find(reference).await?);
        }
        if ids.is_empty() {
            return Err(
                ApiError::invalid("wait", "no process is given").help("give `id`, once for each process")
            );
        }
        let waited = engine.wait(&ids, goal, mode, time_limit).await?;
        Ok(WaitReply {
            processes: views(engine, &waited.processes, DetailLevel::Records).await,
            timed_out: waited.timed_out,
        })
    }
}

fn goal(request: &WaitRequest) -> Result<WaitCondition, ApiError> {
    match request.goal.as_deref() {
        None | Some("ended") => Ok(WaitCondition::Ended),
        Some("tree_ended") => Ok(WaitCondition::TreeEnded),
        Some("running") => Ok(WaitCondition::Running),
        Some("ready") => Ok(WaitCondition::Ready),
        Some(word) => {
            Err(ApiError::unreadable("for", word, &"the value must be ended, tree_ended, running or ready"))
        }
    }
}

fn mode(request: &WaitRequest) -> Result<WaitMode, ApiError> {
    match request.mode.as_deref() {
        None | Some("all") => Ok(WaitMode::All),
        Some("any") => Ok(WaitMode::Any),
        Some(word) => Err(ApiError::unreadable("mode", word, &"the value must be all or any")),
    }
}
