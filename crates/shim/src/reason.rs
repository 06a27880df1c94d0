//! The reason why a process was stopped.

use std::fmt;

/// Cause of a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StopReason {
    /// A user cancelled the process.
    User,
    /// The process exceeded its timeout. The shim itself detects this.
    Timeout,
    /// The parent process of the process is being stopped.
    Parent,
    /// The session of the process ended.
    Session,
    /// The node is shutting down.
    Shutdown,
    /// The process used more of a resource than allowed, or the lease of its node expired.
    Limit,
    /// A stop reason that this version does not know.
    Other,
}

const WORDS: [(StopReason, u8, &str); 7] = [
    (StopReason::Other, 0, "other"),
    (StopReason::User, 1, "user"),
    (StopReason::Timeout, 2, "timeout"),
    (StopReason::Parent, 3, "parent"),
    (StopReason::Session, 4, "session"),
    (StopReason::Shutdown, 5, "shutdown"),
    (StopReason::Limit, 6, "limit"),
];

impl StopReason {
    /// Returns the name of the stop reason that the exit record uses.
    pub fn word(self) -> &'static str {
        WORDS.iter().find(|(reason, ..)| *reason == self).map_or("other", |(.., word)| word)
    }

    /// Returns the number of the stop reason that messages use.
    pub fn code(self) -> u8 {
        WORDS.iter().find(|(reason, ..)| *reason == self).map_or(0, |(_, code, _)| *code)
    }

    /// Returns the stop reason with this name, or `Other` if only a later version knows the name.
    pub fn from_word(word: &str) -> Self {
        WORDS.iter().find(|(.., each)| *each == word).map_or(Self::Other, |(reason, ..)| *reason)
    }

    /// Returns the stop reason with this number, or `Other` if only a later version knows the number.
    pub fn from_code(code: u64) -> Self {
        WORDS.iter().find(|(_, each, _)| u64::from(*each) == code).map_or(Self::Other, |(reason, ..)| *reason)
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_comes_back_from_its_word_and_its_code() {
        for (reason, ..) in WORDS {
            assert_eq!(StopReason::from_word(reason.word()), reason);
            assert_eq!(StopReason::from_code(u64::from(reason.code())), reason);
        }
    }

    #[test]
    fn unknown_reason_is_other() {
        assert_eq!(StopReason::from_word("eclipse"), StopReason::Other);
        assert_eq!(StopReason::from_code(200), StopReason::Other);
    }
}
