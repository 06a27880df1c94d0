//! Tasks (`io.modelcontextprotocol/tasks`): waits whose result a client requests later.
//!
//! **A task is not stored.** The id of a task contains the processes, the start time, and a signature made with a
//! secret of the state directory. The result of `tasks/get` therefore depends only on the id and the records in the
//! store: it is the same after a restart, an unused task costs nothing, and no clean-up is needed. A stored record for
//! each wait would appear in lists, count as live work and cause events. Only the cancellation of a wait cannot be
//! derived from the records. Cancelled tasks are therefore stored in a file next to the secret, which contains one line
//! for each of the newest 4,096 cancelled tasks.
//!
//! A wait becomes a task only if it waits for the end of processes. An end is final, so the result of the task is final
//! too.

mod cancelled;
mod file;
mod secret;
mod token;

use crate::calls::{self, ToolContext};
use crate::error::ToolError;
use crate::tool::input::{WaitInput, WaitUntil};
use cancelled::CancelledTasks;
use longhaul_api::{Api, DetailLevel, rfc3339};
use longhaul_domain::Timestamp;
use longhaul_wire::api::{ProcessView, WaitReply};
use rmcp::model::{CallToolResult, DetailedTask, Task, TaskPayload, TaskStatus};
use secret::TaskSecret;
use std::io;
use std::path::Path;
use std::time::Duration;
pub(crate) use token::TaskToken;

/// Minimum interval at which a client should poll a task. The interval grows with the age of the task.
const MIN_POLL_INTERVAL: Duration = Duration::from_secs(2);
/// Maximum interval at which a client should poll a task.
const LATEST: Duration = Duration::from_secs(10);

/// Creates, reads and cancels tasks.
#[derive(Debug)]
pub(crate) struct Tasks {
    secret: TaskSecret,
    cancelled: CancelledTasks,
}

impl Tasks {
    /// Opens the secret and the cancelled tasks in a state directory. Creates the secret if it does not exist.
    pub(crate) fn open(state: &Path) -> io::Result<Self> {
        Ok(Self { secret: TaskSecret::open(state)?, cancelled: CancelledTasks::open(state)? })
    }

    /// Creates a task for a wait. Returns `None` if the condition is already met, or if the wait cannot become a task.
    pub(crate) async fn begin(
        &self,
        desk: ToolContext<'_>,
        asked: &WaitInput,
    ) -> Result<Option<Task>, ToolError> {
        if asked.until != WaitUntil::Ended || asked.timeout_seconds.is_some() {
            return Ok(None);
        }
        calls::check(asked)?;
        let api = desk.api;
        let mut ids = Vec::with_capacity(asked.process_ids.len());
        for reference in desk.find_all(&asked.process_ids).await? {
            let view = api.show(&reference, DetailLevel::Records).await?;
            ids.push(
                view.id.parse().map_err(|_| ToolError::invalid("the id of the process cannot be read"))?,
            );
        }
        let token = TaskToken::new(ids, asked.mode, api.engine.now());
        let now = self.look(api, &token).await?;
        if !now.timed_out {
            return Ok(None);
        }
        Ok(Some(working(api, &token, self.secret.sealed(&token), &now.processes)))
    }

    /// Returns the state of a task. Returns `None` if this manager did not create the task.
    pub(crate) async fn get(&self, api: &Api, id: &str) -> Option<DetailedTask> {
        let token = self.secret.opened(id)?;
        let created = rfc3339(token.created);
        let task = |status, at: &str| Task::new(id, status, created.clone(), at);
        if self.cancelled.holds(&token.nonce) {
            return Some(DetailedTask::new(task(TaskStatus::Cancelled, &created), TaskPayload::Cancelled));
        }
        let result = match self.look(api, &token).await {
            Ok(reply) if reply.timed_out => {
                let task = working(api, &token, id.to_owned(), &reply.processes);
                return Some(DetailedTask::new(task, TaskPayload::Working));
            }
            Ok(reply) => {
                let at = reply.processes.iter().filter_map(|view| view.completed_at.clone()).max();
                let answer = calls::answered(api, &reply).await;
                (CallToolResult::structured(answer.into()), at)
            }
            // The records of the processes were pruned, so the wait is over.
            Err(refusal) => (refusal.into_result(), None),
        };
        let (result, at) = result;
        let Ok(serde_json::Value::Object(result)) = serde_json::to_value(result) else { return None };
        let task = task(TaskStatus::Completed, at.as_deref().unwrap_or(&created));
        Some(DetailedTask::new(task, TaskPayload::Completed { result }))
    }

    /// Cancels the wait of a task, but not the processes. Returns false if this manager did not create the task. A task
    /// that is already completed is not changed.
    pub(crate) async fn cancel(&self, api: &Api, id: &str) -> io::Result<bool> {
        let Some(token) = self.secret.opened(id) else { return Ok(false) };
        if self.look(api, &token).await.is_ok_and(|reply| reply.timed_out) {
            self.cancelled.add(token.nonce).await?;
        }
        Ok(true)
    }

    async fn look(&self, api: &Api, token: &TaskToken) -> Result<WaitReply, ToolError> {
        let ids = token.ids.iter().map(ToString::to_string).collect();
        Ok(api.wait(&calls::request(ids, WaitUntil::Ended, token.mode, Duration::ZERO)).await?)
    }
}

fn working(api: &Api, token: &TaskToken, id: String, views: &[ProcessView]) -> Task {
    let created = rfc3339(token.created);
    Task::new(id, TaskStatus::Working, created.clone(), created)
        .with_status_message(message(views))
        .with_poll_interval_ms(calls::millis(interval(api.engine.now(), token.created)))
}

/// Returns a one-line summary of the processes that have not ended.
fn message(views: &[ProcessView]) -> String {
    let ended = views.iter().filter(|view| view.completed_at.is_some()).count();
    let going = views.iter().filter(|view| view.completed_at.is_none()).map(|view| {
        let name = view.name.as_deref().unwrap_or(&view.id);
        match view.progress {
            Some(progress) => format!("{name} {} {progress:.0} %", view.status),
            None => format!("{name} {}", view.status),
        }
    });
    format!("{ended} of {} ended; {}", views.len(), going.collect::<Vec<_>>().join(", "))
}

/// Returns the interval at which a client should poll the task. The interval grows with the age of the task.
fn interval(now: Timestamp, created: Timestamp) -> Duration {
    (now.since(created) / 10).clamp(MIN_POLL_INTERVAL, LATEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_task_is_asked_about_later() {
        let after = |seconds: i64| interval(Timestamp(seconds * 1_000), Timestamp(0)).as_secs();
        assert_eq!([after(0), after(20), after(50), after(3_600)], [2, 2, 5, 10]);
    }

    #[test]
    fn message_names_the_live_processes() {
        let ended = ProcessView { completed_at: Some("t".to_owned()), ..ProcessView::default() };
        let going = ProcessView {
            name: Some("tests".to_owned()),
            status: "running".to_owned(),
            progress: Some(45.4),
            ..ProcessView::default()
        };
        assert_eq!(message(&[ended, going]), "1 of 2 ended; tests running 45 %");
    }
}
