//! The types of processes.

use crate::id::{InvalidText, TypeName};
use std::fmt;

/// The kind of work that a process does.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProcessType {
    /// Session of the Jules agent.
    JulesSession,
    /// Run of a test suite. By default, a stop first sends INT and waits for two seconds, so that the suite can write
    /// its reports.
    TestSuite,
    /// Build of software.
    Build,
    /// Server that runs until it is stopped.
    Server,
    /// Analysis of code or data.
    Analysis,
    /// Any kind of work without a more specific type.
    #[default]
    Custom,
    /// Any other kind of work, under its own name: `custom:<name>`.
    Named(TypeName),
}

impl fmt::Display for ProcessType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::JulesSession => f.write_str("jules_session"),
            Self::TestSuite => f.write_str("test_suite"),
            Self::Build => f.write_str("build"),
            Self::Server => f.write_str("server"),
            Self::Analysis => f.write_str("analysis"),
            Self::Custom => f.write_str("custom"),
            Self::Named(name) => write!(f, "custom:{name}"),
        }
    }
}

impl std::str::FromStr for ProcessType {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        match text {
            "jules_session" => Ok(Self::JulesSession),
            "test_suite" => Ok(Self::TestSuite),
            "build" => Ok(Self::Build),
            "server" => Ok(Self::Server),
            "analysis" => Ok(Self::Analysis),
            "custom" => Ok(Self::Custom),
            other => match other.strip_prefix("custom:") {
                Some(name) => TypeName::new(name).map(Self::Named),
                None => Err(InvalidText {
                    what: "process type",
                    why: "the value must be jules_session, test_suite, build, server, analysis, custom or custom:<name>",
                }),
            },
        }
    }
}
