use super::agent_runner::AgentRunner;
use crate::error::ApiError;
use std::collections::BTreeMap;

/// The runners of a manager.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunnerSet {
    runners: BTreeMap<String, AgentRunner>,
    default: Option<String>,
    pub(super) host: RunnerHost,
}

/// Facts about the manager that runners need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunnerHost {
    /// Path of the `longhaul` program, which follows remote sessions and runs steps. `None` if an embedded engine has
    /// no such program.
    pub program: Option<String>,
    /// Path of the state directory.
    pub state_dir: String,
    /// Value of `PATH` for agents whose launch has no environment.
    pub path: String,
    /// Home directory of the user.
    pub home: Option<String>,
}

impl RunnerSet {
    /// Creates a set. `default` is the name of the runner for launches that do not name an agent.
    #[must_use]
    pub fn new(
        runners: impl IntoIterator<Item = AgentRunner>,
        default: Option<String>,
        host: RunnerHost,
    ) -> Self {
        let runners = runners.into_iter().map(|runner| (runner.name().to_owned(), runner)).collect();
        Self { runners, default, host }
    }

    /// Returns true if there is a runner with this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.runners.contains_key(name)
    }

    /// Returns the names of all runners.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.runners.keys().map(String::as_str)
    }

    /// Returns all runners.
    pub(super) fn all(&self) -> impl Iterator<Item = &AgentRunner> {
        self.runners.values()
    }

    /// Returns the runner for a launch.
    ///
    /// # Errors
    /// Returns an error that lists all runners if the launch names no agent and there is no default, or if no runner
    /// has the name of the agent.
    pub(super) fn runner_for(&self, agent: Option<&str>) -> Result<&AgentRunner, ApiError> {
        let names = self.names().collect::<Vec<_>>().join(", ");
        let names = if names.is_empty() { "none".to_owned() } else { names };
        let Some(name) = agent.or(self.default.as_deref()) else {
            return Err(ApiError::invalid(
                "launch",
                "a launch with a prompt and without a command needs an agent",
            )
            .help(format!("give `agent`, or set `runner.default`; the runners are: {names}")));
        };
        self.runners.get(name).ok_or_else(|| {
            ApiError::new(400, "runner_not_found", format!("there is no runner {name:?}"))
                .because(format!("the runners are: {names}"))
                .help("name one of them, or add a table [runner.NAME] to the configuration and restart the manager")
        })
    }
}
