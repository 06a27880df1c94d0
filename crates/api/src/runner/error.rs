/// Reason why the configuration of a runner is not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunnerError {
    /// The name of the runner is not valid.
    #[error("the name of a runner consists of 1 to 64 letters, digits, `-` and `_`, and is not `default`")]
    Name,
    /// A required key is missing or empty.
    #[error("the runner needs `{field}`")]
    Missing {
        /// Name of the key.
        field: &'static str,
    },
    /// The runner has a local command and a remote session.
    #[error("the runner has both `command` and `start`")]
    LocalAndRemote,
    /// A key is set that has an effect only for remote sessions.
    #[error("`{field}` belongs to a remote session, and the runner has no `start`")]
    OnlyRemote {
        /// Name of the key.
        field: &'static str,
    },
    /// An argument contains a placeholder that has no value in this key.
    #[error("the placeholder {{{name}}} {}", if *is_elsewhere { "has no value here" } else { "does not exist" })]
    UnknownPlaceholder {
        /// Name of the key.
        field: &'static str,
        /// Name of the placeholder.
        name: String,
        /// True if the placeholder exists, but has a value only in other keys.
        is_elsewhere: bool,
        /// The placeholders that have a value in this key.
        known: String,
    },
    /// The program contains a placeholder.
    #[error("the program contains a placeholder, so a prompt could choose what is executed")]
    PlaceholderInProgram {
        /// Name of the key.
        field: &'static str,
    },
    /// No argument contains the prompt.
    #[error("no argument contains {{prompt}}, so the agent would not get its task")]
    PromptUnused {
        /// Name of the key.
        field: &'static str,
    },
    /// A pattern is not valid.
    #[error("the pattern {pattern:?} is not valid: {why}")]
    Pattern {
        /// Name of the key.
        field: &'static str,
        /// The pattern.
        pattern: String,
        /// Reason.
        why: String,
    },
    /// A rule in `states` is not valid.
    #[error("{text:?} is not a rule for a state")]
    State {
        /// Text of the rule.
        text: String,
    },
    /// No rule in `states` says when a session has completed.
    #[error("no rule for the state `completed` is given, so a session would never end")]
    NoCompletedState,
    /// A rule for concurrency keys is not valid.
    #[error("{text:?} is not a rule for a concurrency key")]
    Key {
        /// Text of the rule.
        text: String,
    },
    /// The name of an environment variable is not valid.
    #[error("{text:?} is not the name of an environment variable")]
    Variable {
        /// Text of the name.
        text: String,
    },
    /// The process type is not valid.
    #[error("{text:?} is not a process type")]
    ProcessType {
        /// Text of the type.
        text: String,
    },
}

impl RunnerError {
    /// Returns the name of the key that is not valid.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        match self {
            Self::Name => "command",
            Self::LocalAndRemote => "start",
            Self::Missing { field }
            | Self::OnlyRemote { field }
            | Self::UnknownPlaceholder { field, .. }
            | Self::PlaceholderInProgram { field }
            | Self::PromptUnused { field }
            | Self::Pattern { field, .. } => field,
            Self::State { .. } | Self::NoCompletedState => "states",
            Self::Key { .. } => "key",
            Self::Variable { .. } => "environment",
            Self::ProcessType { .. } => "type",
        }
    }

    /// Returns the next step that the user should take.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::Name => "rename the table, for example to [runner.my-agent]".to_owned(),
            Self::Missing { .. } | Self::PlaceholderInProgram { .. } | Self::PromptUnused { .. } => {
                "give a program and its arguments, such as [\"agent\", \"--\", \"{prompt}\"]".to_owned()
            }
            Self::LocalAndRemote => "remove one of them".to_owned(),
            Self::OnlyRemote { .. } => "remove the key, or give `start` instead of `command`".to_owned(),
            Self::UnknownPlaceholder { known, .. } => {
                format!("the placeholders here are {known}; write {{{{name}}}} for the text {{name}}")
            }
            Self::Pattern { .. } => "give a regular expression; `session_id` needs exactly one group".to_owned(),
            Self::State { .. } | Self::NoCompletedState => {
                "give rules such as \"\\\\bDONE\\\\b=completed\"; the states are queued, running, waiting_for_input, \
                 paused, completed and failed"
                    .to_owned()
            }
            Self::Key { .. } => "give rules such as \"claude-opus*=opus\"".to_owned(),
            Self::Variable { .. } => "give NAME=VALUE, or NAME to copy the variable from the manager".to_owned(),
            Self::ProcessType { .. } => {
                "give test_suite, build, server, analysis, jules_session, custom or custom:NAME".to_owned()
            }
        }
    }
}
