//! Runners, which build the command of an agent from a prompt.

/// The runner that built the command of a launch. The record contains it, so that a later change of the configuration
/// does not change how the process runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunnerChoice {
    /// Name of the runner in the configuration.
    pub name: String,
    /// Format of the output of the agent.
    pub output: AgentOutputFormat,
}

/// The format in which an agent writes its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentOutputFormat {
    /// The output contains no result. The command reports its result itself, or it has no result.
    Unread,
    /// Text for people. The result is the text on standard output.
    Plain,
    /// JSON lines of Claude Code (`--output-format stream-json`).
    Claude,
    /// JSON lines of Codex (`exec --json`).
    Codex,
    /// JSON lines of Gemini CLI (`--output-format stream-json`).
    Gemini,
    /// JSON lines of OpenCode (`run --format json`).
    Opencode,
}

impl AgentOutputFormat {
    /// All formats.
    pub const ALL: [Self; 6] =
        [Self::Unread, Self::Plain, Self::Claude, Self::Codex, Self::Gemini, Self::Opencode];

    /// Returns the name of the format, as used in the configuration and in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unread => "none",
            Self::Plain => "plain",
            Self::Claude => "claude",
            Self::Codex => "codex",
            Self::Gemini => "gemini",
            Self::Opencode => "opencode",
        }
    }

    /// Returns the format with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == name)
    }
}
