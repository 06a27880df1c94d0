//! Waits.

use crate::api::Api;
use crate::convert::{Depth, views};
use crate::fault::Fault;
use longhaul_engine::{Goal, Mode};
use longhaul_wire::api::{WaitReply, WaitRequest};
use std::time::Duration;

/// The most processes of one wait.
const MOST: usize = 1_000;

impl Api {
    /// Parks until processes have got as far as they are waited for; who drops it ends the wait and nothing else.
    ///
    /// # Errors
    /// The request makes no sense, or nobody is meant.
    pub async fn wait(&self, request: &WaitRequest) -> Result<WaitReply, Fault> {
        let engine = &self.engine;
        let (goal, mode) = (goal(request)?, mode(request)?);
        let patience = request.timeout_ms.map(Duration::from_millis);
        if request.ids.len() > MOST {
            return Err(Fault::invalid("wait", format!("more than {MOST} processes are named")));
        }
        let mut ids = Vec::new();
        for reference in &request.ids {
            ids.push(engine.find(reference).await?);
        }
        if ids.is_empty() {
            return Err(
                Fault::invalid("wait", "no process is named").help("give `id`, more than once for several")
            );
        }
        let waited = engine.wait(&ids, goal, mode, patience).await?;
        Ok(WaitReply {
            processes: views(engine, &waited.processes, Depth::Records).await,
            timed_out: waited.timed_out,
        })
    }
}

fn goal(request: &WaitRequest) -> Result<Goal, Fault> {
    match request.goal.as_deref() {
        None | Some("ended") => Ok(Goal::Ended),
        Some("tree_ended") => Ok(Goal::TreeEnded),
        Some("running") => Ok(Goal::Running),
        Some("ready") => Ok(Goal::Ready),
        Some(word) => {
            Err(Fault::unreadable("for", word, &"it is none of ended, tree_ended, running and ready"))
        }
    }
}

fn mode(request: &WaitRequest) -> Result<Mode, Fault> {
    match request.mode.as_deref() {
        None | Some("all") => Ok(Mode::All),
        Some("any") => Ok(Mode::Any),
        Some(word) => Err(Fault::unreadable("mode", word, &"it is neither all nor any")),
    }
}
