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
mod ticket;

use crate::refusal::Refusal;
use crate::tool::input::{Until, Wait};
use crate::work::{self, Desk};
use cancelled::Cancelled;
use longhaul_api::{Api, Depth, rfc3339};
use longhaul_domain::Timestamp;
use longhaul_wire::api::{ProcessView, WaitReply};
use rmcp::model::{CallToolResult, DetailedTask, Task, TaskPayload, TaskStatus};
use secret::Secret;
use std::io;
use std::path::Path;
use std::time::Duration;
pub(crate) use ticket::Ticket;

/// How soon a young task is best asked about again; it grows with its age.
const SOONEST: Duration = Duration::from_secs(2);
/// How late an old one is.
const LATEST: Duration = Duration::from_secs(10);

/// What makes and reads tasks.
#[derive(Debug)]
pub(crate) struct Tasks {
    secret: Secret,
    cancelled: Cancelled,
}

impl Tasks {
    /// Takes the secret of a state directory, or makes one.
    pub(crate) fn open(state: &Path) -> io::Result<Self> {
        Ok(Self { secret: Secret::open(state)?, cancelled: Cancelled::open(state)? })
    }

    /// The task of a wait that may become one; none if it is met already, or is of another sort.
    pub(crate) async fn begin(&self, desk: Desk<'_>, asked: &Wait) -> Result<Option<Task>, Refusal> {
        if asked.until != Until::Ended || asked.timeout_seconds.is_some() {
            return Ok(None);
        }
        work::check(asked)?;
        let api = desk.api;
        let mut ids = Vec::with_capacity(asked.process_ids.len());
        for reference in desk.find_all(&asked.process_ids).await? {
            let view = api.show(&reference, Depth::Records).await?;
            ids.push(view.id.parse().map_err(|_| Refusal::invalid("its id cannot be read"))?);
        }
        let ticket = Ticket::new(ids, asked.mode, api.engine.now());
        let now = self.look(api, &ticket).await?;
        if !now.timed_out {
            return Ok(None);
        }
        Ok(Some(working(api, &ticket, self.secret.sealed(&ticket), &now.processes)))
    }

    /// How a task stands; none if nobody here made it.
    pub(crate) async fn get(&self, api: &Api, id: &str) -> Option<DetailedTask> {
        let ticket = self.secret.opened(id)?;
        let created = rfc3339(ticket.created);
        let task = |status, at: &str| Task::new(id, status, created.clone(), at);
        if self.cancelled.holds(&ticket.nonce) {
            return Some(DetailedTask::new(task(TaskStatus::Cancelled, &created), TaskPayload::Cancelled));
        }
        let result = match self.look(api, &ticket).await {
            Ok(reply) if reply.timed_out => {
                let task = working(api, &ticket, id.to_owned(), &reply.processes);
                return Some(DetailedTask::new(task, TaskPayload::Working));
            }
            Ok(reply) => {
                let at = reply.processes.iter().filter_map(|view| view.completed_at.clone()).max();
                let answer = work::answered(api, &reply).await;
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
        let Some(ticket) = self.secret.opened(id) else { return Ok(false) };
        if self.look(api, &ticket).await.is_ok_and(|reply| reply.timed_out) {
            self.cancelled.add(ticket.nonce).await?;
        }
        Ok(true)
    }

    async fn look(&self, api: &Api, ticket: &Ticket) -> Result<WaitReply, Refusal> {
        let ids = ticket.ids.iter().map(ToString::to_string).collect();
        Ok(api.wait(&work::request(ids, Until::Ended, ticket.mode, Duration::ZERO)).await?)
    }
}

fn working(api: &Api, ticket: &Ticket, id: String, views: &[ProcessView]) -> Task {
    let created = rfc3339(ticket.created);
    Task::new(id, TaskStatus::Working, created.clone(), created)
        .with_status_message(message(views))
        .with_poll_interval_ms(work::millis(interval(api.engine.now(), ticket.created)))
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
    (now.since(created) / 10).clamp(SOONEST, LATEST)
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
