//! The plan of the hidden command `longhaul runner`. A launch passes the plan to this command as an argument. The
//! record contains the plan, so a later change of the configuration does not affect the process.

use serde::{Deserialize, Serialize};

/// Placeholder for the id of a remote session, in commands and in patterns.
pub const SESSION_PLACEHOLDER: &str = "{session}";

/// Number of the stop signal of a remote session: SIGURG. A stop signal reaches the whole process tree. Programs ignore
/// SIGURG by default, so a stop does not kill a tool that is just creating a session.
pub const REMOTE_STOP_SIGNAL: u8 = 23;

/// Stages that the program which follows a remote session reports, in addition to the states that the tool prints.
pub mod remote_stage {
    /// The command that creates the session is running.
    pub const CREATING: &str = "creating the remote session";
    /// A stop was requested while the command that creates the session is running.
    pub const STOPPED_CREATION: &str = "stopped while the remote session was created; it may exist";
    /// The command that creates the session could not be started.
    pub const NOT_CREATED: &str = "no remote session created";
    /// The command that creates the session has ended without an id, or its end is unknown.
    pub const NOT_CONFIRMED: &str = "creation not confirmed; a remote session may exist";
    /// Another process follows the session.
    pub const TAKEN: &str = "another process follows the remote session";
    /// The session was cancelled.
    pub const CANCELLED: &str = "remote session cancelled";
    /// The session was not cancelled.
    pub const CONTINUES: &str = "remote session continues";
    /// The state of the session is unknown.
    pub const UNKNOWN: &str = "state unknown";
    /// The session has completed, and the command that fetches its result is repeated.
    pub const FETCHING: &str = "completed, fetching the result";
    /// The session has completed, and its result was not fetched.
    pub const RESULT_MISSING: &str = "completed, result missing";
}

/// The work that the command `longhaul runner` has to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunnerPlan {
    /// Runs a command, and then further commands.
    Steps(StepsPlan),
    /// Starts a remote session and follows it to its end.
    Remote(RemotePlan),
}

impl RunnerPlan {
    /// Parses the text of a plan. Returns `None` if the text is not a plan.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// Returns the plan as one line of text.
    #[must_use]
    pub fn to_text(&self) -> String {
        #[expect(clippy::expect_used, reason = "writing texts to memory cannot fail")]
        serde_json::to_string(self).expect("a plan can be written")
    }
}

/// A command, and the commands that run after this command has succeeded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepsPlan {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Commands that run one after the other after `command` has succeeded.
    pub on_complete: Vec<Vec<String>>,
}

/// A remote session. A tool on this machine starts the session and reports its state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemotePlan {
    /// Name of the runner, for messages.
    pub runner: String,
    /// Command that creates the session.
    pub start: Vec<String>,
    /// Pattern with one group, which is the id of the session in the output of `start`.
    pub session_id: String,
    /// Command that prints the state of the session.
    pub poll: Vec<String>,
    /// Time between two polls, in milliseconds.
    pub poll_interval_ms: u64,
    /// Patterns of states. The first pattern that matches the output of `poll` determines the state.
    pub states: Vec<StateRule>,
    /// Commands that run after the session has completed. The output of the last one is the result.
    #[serde(default)]
    pub on_complete: Vec<Vec<String>>,
    /// Command that cancels the session; empty if the service does not support cancellation.
    #[serde(default)]
    pub cancel: Vec<String>,
}

/// A pattern, and the state that a match of the pattern indicates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateRule {
    /// Pattern. The placeholder `{session}` stands for the id of the session.
    pub pattern: String,
    /// State.
    pub state: RemoteState,
}

/// State of a remote session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemoteState {
    /// The session has not begun to work.
    Queued,
    /// The session works.
    Running,
    /// The session waits for an answer or an approval from a person.
    WaitingForInput,
    /// The session is paused.
    Paused,
    /// The session has ended successfully.
    Completed,
    /// The session has failed.
    Failed,
}

impl RemoteState {
    /// All states.
    pub const ALL: [Self; 6] =
        [Self::Queued, Self::Running, Self::WaitingForInput, Self::Paused, Self::Completed, Self::Failed];

    /// Returns the name of the state in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::WaitingForInput => "waiting_for_input",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }

    /// Returns the state with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plan_is_the_same_after_a_round_trip_through_one_line() {
        let plan = RunnerPlan::Remote(RemotePlan {
            runner: "jules".to_owned(),
            start: vec!["jules".to_owned(), "--prompt=\"x\"\n$(rm)".to_owned()],
            session_id: r"id: (\d+)".to_owned(),
            poll: vec!["jules".to_owned(), SESSION_PLACEHOLDER.to_owned()],
            poll_interval_ms: 5_000,
            states: RemoteState::ALL
                .map(|state| StateRule { pattern: state.as_str().to_owned(), state })
                .to_vec(),
            on_complete: vec![vec!["pull".to_owned()]],
            cancel: Vec::new(),
        });
        let text = plan.to_text();
        assert_eq!(RunnerPlan::parse(&text), Some(plan));
        assert!(!text.contains('\n'), "{text}");
        assert_eq!(RunnerPlan::parse("{}"), None);
    }

    #[test]
    fn states_have_the_names_of_the_configuration() {
        for state in RemoteState::ALL {
            assert_eq!(RemoteState::named(state.as_str()), Some(state));
        }
    }
}
