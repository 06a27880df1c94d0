//! Containment mechanisms: methods to find and kill the descendants of a process.

use std::fmt;

/// Containment mechanism of one attempt. The mechanisms are listed from the strongest to the weakest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Containment {
    /// A separate cgroup v2: no descendant can leave the cgroup unnoticed.
    Cgroup,
    /// The shim is the subreaper of all descendants, and kills them repeatedly until none is alive.
    Subreaper,
    /// The process group only: a descendant that moves to another group escapes.
    Group,
}

impl Containment {
    /// Returns the name of the mechanism that files and messages use.
    pub fn word(self) -> &'static str {
        match self {
            Self::Cgroup => "cgroup",
            Self::Subreaper => "subreaper",
            Self::Group => "group",
        }
    }

    /// Returns the containment mechanism with this name, or `None` if the name is unknown.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Cgroup, Self::Subreaper, Self::Group].into_iter().find(|each| each.word() == word)
    }
}

impl fmt::Display for Containment {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.word())
    }
}

/// Containment mechanisms that a launch allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AllowedContainment {
    /// The strongest mechanism that works on this machine.
    #[default]
    Auto,
    /// Exactly this mechanism. The shim refuses the launch if the mechanism does not work on this machine.
    Only(Containment),
}

impl AllowedContainment {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Only(containment) => containment.word(),
        }
    }

    pub(crate) fn from_word(word: &str) -> Option<Self> {
        if word == "auto" {
            return Some(Self::Auto);
        }
        Containment::from_word(word).map(Self::Only)
    }
}
