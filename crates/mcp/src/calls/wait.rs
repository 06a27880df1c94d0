//! The tool that waits for processes.

use crate::answer::{
    JsonObject, MatchedLine, WaitEndReason, WaitResult, WaitedProcess, brief, object, suggested_wait, waiting,
};
use crate::calls::status::around;
use crate::calls::{ToolContext, millis, span};
use crate::error::ToolError;
use crate::tool::input::{MAX_WAIT_SECS, WaitInput, WaitModeInput, WaitUntil};
use longhaul_api::Api;
use longhaul_wire::api::{ProcessView, ReadRequest, SearchRequest, WaitReply, WaitRequest};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

/// Default wait time, in seconds. Many clients time out after one minute.
const DEFAULT_WAIT_SECS: f64 = 45.0;
/// Minimum time between two searches of the same output. Without it, output that grows byte by byte would cause a
/// search for each byte.
const STEP: Duration = Duration::from_millis(100);

impl ToolContext<'_> {
    /// Waits until a condition on processes is met or the time limit is reached.
    pub(super) async fn wait(self, asked: WaitInput) -> Result<JsonObject, ToolError> {
        let time_limit = span(asked.timeout_seconds.unwrap_or(DEFAULT_WAIT_SECS));
        check(&asked)?;
        let ids = self.find_all(&asked.process_ids).await?;
        match (asked.until, &asked.pattern) {
            (WaitUntil::OutputMatch, Some(pattern)) => {
                self.wait_for_match(&asked, ids, pattern, time_limit).await
            }
            (WaitUntil::OutputMatch, None)
            | (WaitUntil::Ended | WaitUntil::Running | WaitUntil::Ready, _) => {
                let reply = self.api.wait(&request(ids, asked.until, asked.mode, time_limit)).await?;
                let reason = match reply.timed_out {
                    true => WaitEndReason::Timeout,
                    false if asked.until == WaitUntil::Ready && !is_ready(&asked, &reply.processes) => {
                        WaitEndReason::Ended
                    }
                    false => WaitEndReason::Met,
                };
                Ok(object(&result(self.api, &reply.processes, reason).await))
            }
        }
    }

    async fn wait_for_match(
        self,
        asked: &WaitInput,
        ids: Vec<String>,
        pattern: &str,
        time_limit: Duration,
    ) -> Result<JsonObject, ToolError> {
        let mut looks = JoinSet::new();
        for id in &ids {
            let (api, id, pattern) = (self.api.clone(), id.clone(), pattern.to_owned());
            looks.spawn(async move { first_match(&api, &id, &pattern).await });
        }
        let until = Instant::now() + time_limit;
        let mut matched = None;
        let mut open = ids.len();
        // When the set is dropped, the remaining searches stop.
        let reason = loop {
            match timeout(until.saturating_duration_since(Instant::now()), looks.join_next()).await {
                Err(_) => break WaitEndReason::Timeout,
                Ok(None) if open == 0 && matched.is_some() => break WaitEndReason::Met,
                Ok(None) => break WaitEndReason::Ended,
                Ok(Some(Ok(Ok(Some(found))))) => {
                    matched = Some(found);
                    open -= 1;
                    if asked.mode == WaitModeInput::Any || open == 0 {
                        break WaitEndReason::Met;
                    }
                }
                Ok(Some(Ok(Ok(None)))) => {}
                Ok(Some(Ok(Err(refusal)))) => return Err(refusal),
                Ok(Some(Err(broken))) => {
                    return Err(ToolError::invalid(format!("the search in the output failed: {broken}")));
                }
            }
        };
        let now = self.api.wait(&request(ids, asked.until, asked.mode, Duration::ZERO)).await?;
        let mut answer = result(self.api, &now.processes, reason).await;
        answer.matched = matched;
        Ok(object(&answer))
    }
}

/// Converts the reply to a wait to a tool result.
pub(crate) async fn answered(api: &Api, reply: &WaitReply) -> JsonObject {
    let reason = if reply.timed_out { WaitEndReason::Timeout } else { WaitEndReason::Met };
    object(&result(api, &reply.processes, reason).await)
}

async fn result(api: &Api, processes: &[ProcessView], reason: WaitEndReason) -> WaitResult {
    let mut answer = WaitResult { reason, processes: Vec::new(), matched: None, suggested_wait_s: None };
    for view in processes {
        answer.processes.push(match view.completed_at {
            Some(_) => WaitedProcess(brief(view, &around(api, view).await)),
            None => waiting(view),
        });
    }
    if reason == WaitEndReason::Timeout {
        answer.suggested_wait_s = Some(suggested_wait(processes));
    }
    answer
}

/// Returns true if the wait for readiness ended because the processes are ready. Returns false if they ended before
/// they were ready.
fn is_ready(asked: &WaitInput, views: &[ProcessView]) -> bool {
    let ready = |view: &ProcessView| view.ready == Some(true);
    match asked.mode {
        WaitModeInput::All => views.iter().all(ready),
        WaitModeInput::Any => views.iter().any(ready),
    }
}

/// Rejects a wait whose `until` and `pattern` contradict each other.
pub(crate) fn check(asked: &WaitInput) -> Result<(), ToolError> {
    match (asked.until, &asked.pattern) {
        (WaitUntil::OutputMatch, None) => Err(ToolError::invalid("until: output_match requires pattern")),
        (WaitUntil::Ended | WaitUntil::Running | WaitUntil::Ready, Some(_)) => {
            Err(ToolError::invalid("pattern is only allowed with until: output_match"))
        }
        (WaitUntil::OutputMatch, Some(_))
        | (WaitUntil::Ended | WaitUntil::Running | WaitUntil::Ready, None) => Ok(()),
    }
}

/// Converts the arguments of a wait to an API request.
pub(crate) fn request(
    ids: Vec<String>,
    until: WaitUntil,
    mode: WaitModeInput,
    time_limit: Duration,
) -> WaitRequest {
    WaitRequest {
        ids,
        goal: match until {
            WaitUntil::Ended | WaitUntil::OutputMatch => None,
            WaitUntil::Running => Some("running".to_owned()),
            WaitUntil::Ready => Some("ready".to_owned()),
        },
        mode: match mode {
            WaitModeInput::Any => Some("any".to_owned()),
            WaitModeInput::All => None,
        },
        timeout_ms: Some(millis(time_limit)),
    }
}

/// Returns the first matching line of the output, including output that is still to be written. Returns `None` if the
/// output ends without a match.
async fn first_match(api: &Api, reference: &str, pattern: &str) -> Result<Option<MatchedLine>, ToolError> {
    let mut search =
        SearchRequest { pattern: pattern.to_owned(), max_matches: Some(1), ..SearchRequest::default() };
    loop {
        let found = api.search_output(reference, &search).await?;
        if let Some(line) = found.matches.into_iter().next() {
            let process_id = reference.to_owned();
            return Ok(Some(MatchedLine { process_id, text: line.text, cursor: Some(line.cursor) }));
        }
        let is_more = found.truncated;
        search.from_cursor = Some(found.next_cursor.clone());
        if is_more {
            continue;
        }
        let read = ReadRequest {
            cursor: Some(found.next_cursor),
            wait_ms: Some(millis(span(MAX_WAIT_SECS))),
            ..ReadRequest::default()
        };
        let begun = Instant::now();
        let grown = api.read_output(reference, &read).await?;
        if grown.eof {
            // Output that arrived at the same time as the end has not been searched yet.
            let last = api.search_output(reference, &search).await?;
            return Ok(last.matches.into_iter().next().map(|line| MatchedLine {
                process_id: reference.to_owned(),
                text: line.text,
                cursor: Some(line.cursor),
            }));
        }
        sleep(STEP.saturating_sub(begun.elapsed())).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(until: WaitUntil, pattern: Option<&str>) -> WaitInput {
        WaitInput {
            process_ids: vec!["p".into()],
            until,
            mode: WaitModeInput::All,
            pattern: pattern.map(str::to_owned),
            timeout_seconds: None,
        }
    }

    #[test]
    fn pattern_and_output_match_come_together() {
        assert!(check(&input(WaitUntil::OutputMatch, None)).is_err());
        assert!(check(&input(WaitUntil::OutputMatch, Some("x"))).is_ok());
        assert!(check(&input(WaitUntil::Running, Some("x"))).is_err());
    }
}
