//! Reports to the manager. While the manager does not answer, for example during its restart, reports are kept and sent
//! later.

use super::stop_signal::StopSignal;
use crate::console::Console;
use longhaul_client::{Client, ClientError, RequestPath};
use longhaul_view::clean_label;
use longhaul_wire::api::{ActionReply, ProcessView, UpdateRequest};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Delay before a report is sent again for the first time.
const RETRY_DELAY: Duration = Duration::from_millis(100);
/// Maximum time to wait for the record of the process. A manager that does not answer must not delay a poll for long.
const RECORD_TIMEOUT: Duration = Duration::from_secs(2);
/// Maximum delay before a report is sent again.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(5);

/// Sends reports about one process, in order.
pub(super) struct Reporter<'a> {
    client: &'a Client,
    console: &'a Console,
    process: &'a str,
    /// Reports that the manager has not received yet.
    pending: VecDeque<UpdateRequest>,
}

impl<'a> Reporter<'a> {
    pub(super) const fn new(client: &'a Client, console: &'a Console, process: &'a str) -> Self {
        Self { client, console, process, pending: VecDeque::new() }
    }

    /// Adds a report and tries to send all pending reports. A pending report of a state is replaced by a newer one.
    pub(super) async fn report(&mut self, mut update: UpdateRequest) {
        if update.stage.is_some() {
            let outdated = self.pending.iter().filter(|earlier| earlier.stage.is_some());
            let waits = outdated.filter_map(|earlier| earlier.waiting_for_input).next_back();
            update.waiting_for_input = update.waiting_for_input.or(waits);
            self.pending.retain(|earlier| earlier.stage.is_none());
        }
        self.pending.push_back(update);
        self.flush().await;
    }

    /// Sends a report of a stage again if the record shows another stage. A manager writes stages to its store at most
    /// once per second, so a manager that is killed can lose the latest stage.
    pub(super) async fn confirm(&mut self, update: UpdateRequest) {
        let path = RequestPath::process(self.process);
        let found: Result<Result<ProcessView, _>, _> =
            timeout(RECORD_TIMEOUT, self.client.fetch(&path)).await;
        if let Ok(Ok(record)) = found
            && record.stage != update.stage
        {
            self.report(update).await;
        }
    }

    /// Tries once to send all pending reports.
    pub(super) async fn flush(&mut self) {
        while let Some(update) = self.pending.front() {
            let path = RequestPath::process(self.process);
            let sent: Result<ActionReply, _> = self.client.amend(&path, update).await;
            match sent {
                Ok(_) => {}
                Err(ClientError::Problem { problem }) if problem.status < 500 => {
                    self.console
                        .say(&clean_label(&format!("the manager refused a report: {}", problem.title)));
                }
                Err(_) => return,
            }
            self.pending.pop_front();
        }
    }

    /// Sends the pending reports until the manager has received all of them. Gives up if a stop is requested.
    pub(super) async fn finish(&mut self, stop: &mut StopSignal) {
        let mut delay = RETRY_DELAY;
        loop {
            self.flush().await;
            if self.pending.is_empty() {
                return;
            }
            if stop.is_requested() {
                return self.console.say("the manager did not receive the last reports");
            }
            wait_to_retry(&mut delay, stop).await;
        }
    }

    /// Returns true if the manager is stopping the process. Returns false if the manager does not answer.
    pub(super) async fn is_stopping(&self) -> bool {
        let found: Result<ProcessView, _> = self.client.fetch(&RequestPath::process(self.process)).await;
        found.is_ok_and(|record| record.status == "stopping")
    }

    /// Returns true if the manager has no record of the process. Returns false if the manager does not answer.
    pub(super) async fn is_unknown(&self, process: &str) -> bool {
        let found = self.client.process(process).await;
        matches!(found, Err(ClientError::Problem { problem }) if problem.slug == "process_not_found")
    }

    /// Waits until the manager answers, and returns the record of a process. Returns `None` if there is no such
    /// process, or if a stop is requested.
    pub(super) async fn record(&self, process: &str, stop: &mut StopSignal) -> Option<ProcessView> {
        let mut delay = RETRY_DELAY;
        loop {
            let found = self.client.process(process).await;
            match found {
                Ok(record) => return Some(record),
                Err(ClientError::Problem { problem }) if problem.status < 500 => return None,
                Err(_) => {}
            }
            if stop.is_requested() {
                return None;
            }
            wait_to_retry(&mut delay, stop).await;
        }
    }
}

/// Waits for the delay, or until a stop is requested. Increases the delay for the next try.
async fn wait_to_retry(delay: &mut Duration, stop: &mut StopSignal) {
    tokio::select! {
        () = stop.requested() => {}
        () = sleep(*delay) => {}
    }
    *delay = (*delay * 2).min(MAX_RETRY_DELAY);
}
