//! Waits that clients ask about again later: tasks (`io.modelcontextprotocol/tasks`).
//!
//! **A task is no row.** Its id says for whom it waits, since when, and carries a signature under a secret of the state
//! directory, so that `tasks/get` is a pure function of the records in the store: it answers the same after a restart,
//! costs nothing while nobody asks, and needs no tidying. A record of its own for each wait would show in every list,
//! count as live work, and raise events that nobody means. What cannot be read off the records is that a wait was
//! cancelled: that alone is written down, in one line of a file beside the secret, which the newest 4,096 share.
//!
//! Only waits for ends become tasks: an end is final, and so is its task.

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

/// How soon a young task is best asked about again; it grows with its age.
const MIN_POLL_INTERVAL: Duration = Duration::from_secs(2);
/// How late an old one is.
const LATEST: Duration = Duration::from_secs(10);

/// What makes and reads tasks.
#[derive(Debug)]
pub(crate) struct Tasks {
    secret: TaskSecret,
    cancelled: CancelledTasks,
}

impl Tasks {
    /// Takes the secret of a state directory, or makes one.
    pub(crate) fn open(state: &Path) -> io::Result<Self> {
        Ok(Self { secret: TaskSecret::open(state)?, cancelled: CancelledTasks::open(state)? })
    }

    /// The task of a wait that may become one; none if it is met already, or is of another sort.
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
            ids.push(view.id.parse().map_err(|_| ToolError::invalid("its id cannot be read"))?);
        }
        let token = TaskToken::new(ids, asked.mode, api.engine.now());
        let now = self.look(api, &token).await?;
        if !now.timed_out {
            return Ok(None);
        }
        Ok(Some(working(api, &token, self.secret.sealed(&token), &now.processes)))
    }

    /// How a task stands; none if nobody here made it.
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
            // Its records were let go: the wait is over all the same.
            Err(refusal) => (refusal.into_result(), None),
        };
        let (result, at) = result;
        let Ok(serde_json::Value::Object(result)) = serde_json::to_value(result) else { return None };
        let task = task(TaskStatus::Completed, at.as_deref().unwrap_or(&created));
        Some(DetailedTask::new(task, TaskPayload::Completed { result }))
    }

    /// Takes a wait back, and never what it waits for; false if nobody here made it. One that is met stays so.
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

/// Whom it still waits for, in one line.
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

/// The older it is, the later anybody has to ask again.
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
    fn message_names_those_that_go_on() {
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
