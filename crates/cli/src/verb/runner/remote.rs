//! Starts a remote session and follows it to its end.

use super::super::progress::enclosing;
use super::reporter::Reporter;
use super::result_text::bounded;
use super::session_file::{SessionFile, StoredSession};
use super::session_lookup::{self, FoundSession};
use super::session_report::{error, report_of, stage};
use super::state_rules::{PrintedState, SessionPattern, StateRules};
use super::stop_signal::StopSignal;
use super::tool_run::{ToolEnd, ToolOptions, ToolOutput, run_creation, run_tool};
use crate::dispatch::VerbContext;
use crate::exit_code::{DONE, FAILED, WAIT_TIMED_OUT};
use crate::failure::CliError;
use longhaul_view::{TerminalPolicy, clean_label, sanitize};
use longhaul_wire::api::UpdateRequest;
use longhaul_wire::runner_plan::{RemotePlan, RemoteState, SESSION_PLACEHOLDER, remote_stage};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Options of the command that creates the session, and of the commands that fetch the result.
const LONG_RUN: ToolOptions = ToolOptions { timeout: Duration::from_secs(600), shows_output: true };
/// Options of a poll.
const POLL: ToolOptions = ToolOptions { timeout: Duration::from_secs(60), shows_output: false };
/// Options of the command that cancels the session. The time limit applies to all tries together, and is shorter than
/// the grace period of the process.
const CANCEL: ToolOptions = ToolOptions { timeout: Duration::from_secs(20), shows_output: true };
/// Delay before the command that cancels a remote session is repeated.
const CANCEL_RETRY_DELAY: Duration = Duration::from_millis(200);
/// Number of tries to cancel a session.
const MAX_CANCELS: u32 = 3;
/// Delay between two checks whether the record shows the stage of the creation.
const STAGE_INTERVAL: Duration = Duration::from_secs(2);
/// Number of consecutive polls without a state after which the session counts as lost.
const MAX_FAILED_POLLS: u32 = 10;
/// Maximum number of tries to fetch the result.
const MAX_FETCHES: u32 = 5;
/// Maximum delay after a failed poll, as a multiple of the usual delay.
const MAX_BACKOFF_FACTOR: u32 = 32;
/// Maximum delay after a failed poll, unless the usual delay is longer.
const MAX_BACKOFF: Duration = Duration::from_secs(300);
/// Maximum delay before a command that fetches the result is repeated for the first time.
const FETCH_RETRY_DELAY: Duration = Duration::from_secs(10);
/// Exit code after a stop. A command that SIGTERM killed has the same exit code.
const STOPPED: i32 = 143;

/// A remote session of one process.
pub(super) struct RemoteSession<'a> {
    context: &'a VerbContext,
    plan: RemotePlan,
    process: String,
    state_dir: PathBuf,
    file: SessionFile,
}

impl<'a> RemoteSession<'a> {
    /// Prepares the session of the process in which this program runs.
    pub(super) fn new(context: &'a VerbContext, plan: RemotePlan) -> Result<Self, CliError> {
        let id = context.around.variable("LONGHAUL_ID");
        let process = enclosing(id.as_deref(), "longhaul task PROJECT DESCRIPTION --agent NAME")?.to_owned();
        let state_dir = context.client.socket().parent().unwrap_or(Path::new(".")).to_owned();
        let file = SessionFile::of(&state_dir, &process);
        Ok(Self { context, plan, process, state_dir, file })
    }

    /// Follows the session to its end. Returns the exit code: 0 if the session has completed, 1 if it has failed or
    /// could not be created, 75 if its end is unknown, and 143 after a stop.
    pub(super) async fn run(&self, stop: &mut StopSignal) -> Result<i32, CliError> {
        let mut reporter = Reporter::new(&self.context.client, &self.context.console, &self.process);
        session_lookup::remove_outdated(&self.state_dir, &self.process, &reporter).await;
        let found = session_lookup::find(&self.state_dir, &self.process, &reporter, stop).await;
        // A stop signal that arrived before this program could receive signals is lost, but the record contains the
        // stop.
        if reporter.is_stopping().await {
            stop.request();
        }
        let session = match found.map_err(|source| self.unwritable(source))? {
            FoundSession::Exists { session } => {
                self.say(&format!("continues the remote session {session}"));
                session
            }
            FoundSession::Uncertain { file, why } => {
                let why = format!(
                    "{why}, so a session may exist. longhaul creates no second session. If no session exists, remove \
                     {} and restart the process",
                    file.display()
                );
                reporter.report(stage(remote_stage::NOT_CONFIRMED)).await;
                return Ok(self.fail(&mut reporter, stop, &why).await);
            }
            FoundSession::StartFailed { why } => {
                let why = format!(
                    "the remote session could not be created: {why}; a retry does not try again, because a session may \
                     exist; a restart of the process creates a session"
                );
                reporter.report(stage(remote_stage::NOT_CONFIRMED)).await;
                return Ok(self.fail(&mut reporter, stop, &why).await);
            }
            FoundSession::Taken { by } => {
                let why = format!("the process {by} already follows the remote session of this process");
                reporter.report(stage(remote_stage::TAKEN)).await;
                return Ok(self.fail(&mut reporter, stop, &why).await);
            }
            FoundSession::None if stop.is_requested() => return Ok(STOPPED),
            FoundSession::None => match self.create(&mut reporter, stop).await? {
                Ok(session) => session,
                Err(why) => return Ok(self.fail(&mut reporter, stop, &why).await),
            },
        };
        let id = UpdateRequest { agent_session_id: Some(session.clone()), ..UpdateRequest::default() };
        reporter.report(id).await;
        let rules = StateRules::new(&self.plan.states, &session).map_err(|error| unusable(&error))?;
        let code = match self.follow(&session, &rules, &mut reporter, stop).await {
            Followed::Completed { state } => self.fetch_result(&session, &state, &mut reporter, stop).await?,
            Followed::Failed { state } => {
                self.file.remove().map_err(|source| self.unwritable(source))?;
                self.fail(&mut reporter, stop, &format!("the remote session {session} ended as {state}"))
                    .await
            }
            Followed::Lost { why } => {
                let why = format!(
                    "the state of the remote session {session} is unknown after {MAX_FAILED_POLLS} failed polls: {why}; \
                     the session may continue, and a restart of the process follows the session again"
                );
                self.fail(&mut reporter, stop, &why).await;
                WAIT_TIMED_OUT
            }
            Followed::Stopped => self.cancel(&session, &mut reporter).await,
        };
        reporter.finish(stop).await;
        Ok(code)
    }

    /// Creates the session and stores its id. The inner error says why no session was created. After a crash during
    /// this function, the session file says that a session may exist.
    async fn create(
        &self,
        reporter: &mut Reporter<'_>,
        stop: &mut StopSignal,
    ) -> Result<Result<String, String>, CliError> {
        let pattern = SessionPattern::new(&self.plan.session_id).map_err(|error| unusable(&error))?;
        self.store(&StoredSession::Starting)?;
        reporter.report(stage(remote_stage::CREATING)).await;
        // Do not kill the tool after a stop request. Otherwise, the id of a session that it has created would be lost.
        let mut creation = Box::pin(run_creation(&self.plan.start, LONG_RUN, &pattern));
        let mut known = remote_stage::CREATING;
        let ended = loop {
            tokio::select! {
                biased;
                ended = &mut creation => break ended,
                () = stop.requested(), if known == remote_stage::CREATING => {
                    self.say("a stop was requested while the remote session is being created; waiting for the end of the creation");
                    // Report the stage now, because SIGKILL may follow before the tool ends.
                    known = remote_stage::STOPPED_CREATION;
                    reporter.report(stage(known)).await;
                }
                () = sleep(STAGE_INTERVAL) => reporter.confirm(stage(known)).await,
            }
        };
        let (output, failure) = match ended {
            ToolEnd::NotStarted { why } => {
                self.file.remove().map_err(|source| self.unwritable(source))?;
                reporter.report(stage(remote_stage::NOT_CREATED)).await;
                return Ok(Err(format!("the remote session could not be created: {why}")));
            }
            ToolEnd::Done(output) => (output, None),
            ToolEnd::Failed { why, output } if stop.check().await => {
                (output, Some(CreationFailure { why, is_over: false }))
            }
            ToolEnd::Failed { why, output } => (output, Some(CreationFailure { why, is_over: true })),
            ToolEnd::CutOff { why, output } => (output, Some(CreationFailure { why, is_over: false })),
            ToolEnd::Stopped { output } => {
                let why = "the creation was stopped".to_owned();
                (output, Some(CreationFailure { why, is_over: false }))
            }
        };
        let Some(session) = output.session else {
            if !stop.is_requested() {
                reporter.report(stage(remote_stage::NOT_CONFIRMED)).await;
            }
            return self.without_id(failure).map(Err);
        };
        // Print the id, so that the output contains it even if the file cannot be written.
        self.say(&format!("created the remote session {session}"));
        self.store(&StoredSession::Created { session: session.clone() })?;
        if let Some(CreationFailure { why, .. }) = failure {
            self.say(&format!("the session was created, but {why}"));
        }
        Ok(Ok(session))
    }

    /// Stores that the tool printed no session id, and returns the error message for the process.
    fn without_id(&self, failure: Option<CreationFailure>) -> Result<String, CliError> {
        let advice =
            format!("If no session exists, remove {} and restart the process", self.file.path().display());
        match failure {
            Some(CreationFailure { why, is_over: true }) => {
                self.store(&StoredSession::StartFailed { why: why.clone() })?;
                Ok(format!("the remote session could not be created: {why}"))
            }
            Some(CreationFailure { why, is_over: false }) => {
                self.store(&StoredSession::Unidentified { why: why.clone() })?;
                Ok(format!("{why}; a session may exist. {advice}"))
            }
            None => {
                let why = "the tool reported success, but its output contains no session id";
                self.store(&StoredSession::Unidentified { why: why.to_owned() })?;
                Ok(format!(
                    "{why}, so a session may exist. {advice}; if the output of the tool has changed, correct \
                     runner.{}.session_id",
                    self.plan.runner
                ))
            }
        }
    }

    /// Polls the session until it ends. After a failed poll, only the delay before the next poll is longer.
    async fn follow(
        &self,
        session: &str,
        rules: &StateRules,
        reporter: &mut Reporter<'_>,
        stop: &mut StopSignal,
    ) -> Followed {
        let interval = Duration::from_millis(self.plan.poll_interval_ms.max(1));
        let mut shown: Option<PrintedState> = None;
        let mut failures = 0;
        loop {
            match self.poll(session, rules, stop).await {
                Poll::State(state) => {
                    if failures > 0 || shown.as_ref() != Some(&state) {
                        self.say(&format!("remote session {session}: {}", state.text));
                        reporter.report(report_of(&state, shown.as_ref())).await;
                    } else {
                        reporter.confirm(report_of(&state, None)).await;
                    }
                    failures = 0;
                    match state.state {
                        RemoteState::Completed => return Followed::Completed { state: state.text },
                        RemoteState::Failed => return Followed::Failed { state: state.text },
                        RemoteState::Queued
                        | RemoteState::Running
                        | RemoteState::WaitingForInput
                        | RemoteState::Paused => {}
                    }
                    shown = Some(state);
                }
                Poll::Failed(why) => {
                    failures += 1;
                    self.say(&format!("poll {failures} of {MAX_FAILED_POLLS} without a state: {why}"));
                    if failures >= MAX_FAILED_POLLS {
                        return Followed::Lost { why };
                    }
                    if failures == 1 {
                        reporter.report(stage(remote_stage::UNKNOWN)).await;
                    } else {
                        reporter.confirm(stage(remote_stage::UNKNOWN)).await;
                    }
                }
                Poll::Stopped => return Followed::Stopped,
            }
            reporter.flush().await;
            tokio::select! {
                biased;
                () = stop.requested() => return Followed::Stopped,
                () = sleep(delay_after(failures, interval)) => {}
            }
        }
    }

    async fn poll(&self, session: &str, rules: &StateRules, stop: &mut StopSignal) -> Poll {
        match run_until_stop(&with_session(&self.plan.poll, session), POLL, stop).await {
            ToolAnswer::Stopped => Poll::Stopped,
            ToolAnswer::Failed(why) => Poll::Failed(why),
            ToolAnswer::Done(output) => {
                match rules.read(&output.stdout).or_else(|| rules.read(&output.stderr)) {
                    Some(state) => Poll::State(state),
                    None => {
                        let printed = sanitize(output.stdout.as_bytes(), TerminalPolicy::Plain);
                        let printed = String::from_utf8_lossy(&printed);
                        let printed: String = printed.trim().chars().take(80).collect();
                        Poll::Failed(format!("no rule for states matches {printed:?}"))
                    }
                }
            }
        }
    }

    /// Runs the commands that fetch the result of a completed session. If these commands fail, the session still counts
    /// as completed. The session file is then kept, so that a restart of the process fetches the result again.
    async fn fetch_result(
        &self,
        session: &str,
        state: &str,
        reporter: &mut Reporter<'_>,
        stop: &mut StopSignal,
    ) -> Result<i32, CliError> {
        let mut last = ToolOutput::default();
        for step in &self.plan.on_complete {
            match self.fetch(&with_session(step, session), state, reporter, stop).await {
                ToolAnswer::Done(output) => last = output,
                ToolAnswer::Stopped => {
                    reporter.report(stage(remote_stage::RESULT_MISSING)).await;
                    return Ok(STOPPED);
                }
                ToolAnswer::Failed(why) => {
                    let why = format!(
                        "the remote session {session} has completed, but its result could not be fetched: {why}; a restart of \
                         the process fetches it again"
                    );
                    self.say(&why);
                    reporter.report(stage(remote_stage::RESULT_MISSING)).await;
                    reporter.report(error(why)).await;
                    return Ok(DONE);
                }
            }
        }
        if !self.plan.on_complete.is_empty() {
            let result = Some(bounded(&last).into());
            reporter.report(UpdateRequest { result, ..UpdateRequest::default() }).await;
        }
        // Remove the file last: after a crash before this step, the next run fetches the result again.
        reporter.finish(stop).await;
        self.file.remove().map_err(|source| self.unwritable(source))?;
        Ok(DONE)
    }

    /// Runs a command that fetches the result, and repeats the command if it fails. `state` is the state of the
    /// session.
    async fn fetch(
        &self,
        step: &[String],
        state: &str,
        reporter: &mut Reporter<'_>,
        stop: &mut StopSignal,
    ) -> ToolAnswer {
        let mut delay = Duration::from_millis(self.plan.poll_interval_ms.max(1)).min(FETCH_RETRY_DELAY);
        let mut tries = 0;
        loop {
            let why = match run_until_stop(step, LONG_RUN, stop).await {
                ToolAnswer::Failed(why) => why,
                ToolAnswer::Done(output) => {
                    if tries > 0 {
                        reporter.report(stage(state)).await;
                    }
                    return ToolAnswer::Done(output);
                }
                ToolAnswer::Stopped => return ToolAnswer::Stopped,
            };
            tries += 1;
            self.say(&format!("try {tries} of {MAX_FETCHES} to fetch the result failed: {why}"));
            if tries >= MAX_FETCHES {
                return ToolAnswer::Failed(why);
            }
            if tries == 1 {
                reporter.report(stage(remote_stage::FETCHING)).await;
            }
            tokio::select! {
                biased;
                () = stop.requested() => return ToolAnswer::Stopped,
                () = sleep(delay) => {}
            }
            delay = delay.saturating_mul(2);
        }
    }

    /// Cancels the session if the service supports cancellation, and prints what happened to the session.
    async fn cancel(&self, session: &str, reporter: &mut Reporter<'_>) -> i32 {
        let (remains, why) = if self.plan.cancel.is_empty() {
            (true, format!("the remote session {session} continues: the runner has no command to cancel it"))
        } else {
            match self.run_cancel(session).await {
                ToolEnd::Done(_) => (false, format!("cancelled the remote session {session}")),
                ToolEnd::NotStarted { why } | ToolEnd::Failed { why, .. } | ToolEnd::CutOff { why, .. } => (
                    true,
                    format!(
                        "the remote session {session} continues, because it could not be cancelled: {why}"
                    ),
                ),
                ToolEnd::Stopped { .. } => (true, format!("the remote session {session} may continue")),
            }
        };
        self.say(&why);
        if !remains && let Err(error) = self.file.remove() {
            self.say(&format!("cannot remove {}: {error}", self.file.path().display()));
        }
        let known = if remains { remote_stage::CONTINUES } else { remote_stage::CANCELLED };
        reporter.report(stage(known)).await;
        if remains {
            reporter.report(error(why)).await;
        }
        STOPPED
    }

    /// Runs the command that cancels the session. Repeats a failed command, because a further signal of the stop plan
    /// may have killed the command.
    async fn run_cancel(&self, session: &str) -> ToolEnd {
        let command = with_session(&self.plan.cancel, session);
        let until = Instant::now() + CANCEL.timeout;
        let mut tries = 0;
        loop {
            let timeout = until.saturating_duration_since(Instant::now());
            let end = run_tool(&command, ToolOptions { timeout, ..CANCEL }, None).await;
            tries += 1;
            let (ToolEnd::Failed { why, .. } | ToolEnd::CutOff { why, .. }) = &end else { return end };
            if tries >= MAX_CANCELS || Instant::now() + CANCEL_RETRY_DELAY >= until {
                return end;
            }
            self.say(&format!("try {tries} of {MAX_CANCELS} to cancel the remote session failed: {why}"));
            sleep(CANCEL_RETRY_DELAY).await;
        }
    }

    /// Reports an error, and returns the exit code of a failure.
    async fn fail(&self, reporter: &mut Reporter<'_>, stop: &mut StopSignal, why: &str) -> i32 {
        self.say(why);
        reporter.report(error(why.to_owned())).await;
        reporter.finish(stop).await;
        FAILED
    }

    fn say(&self, text: &str) {
        self.context.console.say(&clean_label(text));
    }

    fn store(&self, stored: &StoredSession) -> Result<(), CliError> {
        self.file.write(stored).map_err(|source| self.unwritable(source))
    }

    fn unwritable(&self, source: io::Error) -> CliError {
        CliError::file("use", self.file.path(), source)
    }
}

/// Failure of the command that creates a session.
struct CreationFailure {
    why: String,
    /// True if the command exited by itself, so that it does no further work.
    is_over: bool,
}

/// The reason why the polls ended.
enum Followed {
    Completed { state: String },
    Failed { state: String },
    Lost { why: String },
    Stopped,
}

enum Poll {
    State(PrintedState),
    Failed(String),
    Stopped,
}

/// The end of a tool that a stop request may kill.
enum ToolAnswer {
    Done(ToolOutput),
    Failed(String),
    Stopped,
}

async fn run_until_stop(words: &[String], options: ToolOptions, stop: &mut StopSignal) -> ToolAnswer {
    match run_tool(words, options, Some(stop)).await {
        ToolEnd::Done(output) => ToolAnswer::Done(output),
        ToolEnd::Stopped { .. } => ToolAnswer::Stopped,
        ToolEnd::NotStarted { why } => ToolAnswer::Failed(why),
        // The signal may also reach the tool. The failure of the tool then says nothing about the session.
        ToolEnd::Failed { .. } | ToolEnd::CutOff { .. } if stop.check().await => ToolAnswer::Stopped,
        ToolEnd::Failed { why, .. } | ToolEnd::CutOff { why, .. } => ToolAnswer::Failed(why),
    }
}

fn unusable(error: &regex::Error) -> CliError {
    CliError::Unfinished {
        what: "a pattern of the runner is not valid".to_owned(),
        why: Some(error.to_string()),
        help: "longhaul config check".to_owned(),
    }
}

fn with_session(words: &[String], session: &str) -> Vec<String> {
    words.iter().map(|word| word.replace(SESSION_PLACEHOLDER, session)).collect()
}

/// Returns the delay before the next poll after a number of consecutive failures.
fn delay_after(failures: u32, interval: Duration) -> Duration {
    let factor = 2_u32.saturating_pow(failures.saturating_sub(1)).min(MAX_BACKOFF_FACTOR);
    interval.saturating_mul(factor).min(MAX_BACKOFF.max(interval))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delay_grows_with_each_failure_up_to_a_limit() {
        let second = Duration::from_secs(1);
        let delays: Vec<u64> = (0..9).map(|failures| delay_after(failures, second).as_secs()).collect();
        assert_eq!(delays, [1, 1, 2, 4, 8, 16, 32, 32, 32]);
        assert_eq!(delay_after(9, Duration::from_secs(60)), MAX_BACKOFF);
        let hour = Duration::from_secs(3600);
        assert_eq!(delay_after(9, hour), hour, "a long interval is never shortened");
    }
}
