//! How the descendants of a process are found and ended.

use std::fmt;

/// The mechanism in force for one attempt, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Containment {
    /// A cgroup v2 of its own: nothing that it starts can leave unnoticed.
    Cgroup,
    /// The shim is the subreaper of all descendants and sweeps them until none is left.
    Subreaper,
    /// Only the process group: a descendant that makes its own group escapes.
    Group,
}

impl Containment {
    /// Returns the word used in files and messages.
    pub fn word(self) -> &'static str {
        match self {
            Self::Cgroup => "cgroup",
            Self::Subreaper => "subreaper",
            Self::Group => "group",
        }
    }

    /// Finds the mechanism for a word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Cgroup, Self::Subreaper, Self::Group].into_iter().find(|each| each.word() == word)
    }
}

impl fmt::Display for Containment {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.word())
    }
}

/// Which mechanism a launch asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AllowedContainment {
    /// The strongest that works here.
    #[default]
    Auto,
    /// Exactly this one; the launch is refused where it does not work.
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
