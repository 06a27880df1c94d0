//! Why a process was stopped.

use std::fmt;

/// Who or what asked for a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StopReason {
    /// Somebody cancelled it.
    User,
    /// It ran longer than it may; the shim itself notices this.
    Timeout,
    /// Its parent process is being stopped.
    Parent,
    /// The session that it belongs to ended.
    Session,
    /// The node shuts down.
    Shutdown,
    /// It used more of something than it may.
    Limit,
    /// A reason that this version has no word for.
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
    /// Returns the word used in the exit record.
    pub fn word(self) -> &'static str {
        WORDS.iter().find(|(reason, ..)| *reason == self).map_or("other", |(.., word)| word)
    }

    /// Returns the number used in messages.
    pub fn code(self) -> u8 {
        WORDS.iter().find(|(reason, ..)| *reason == self).map_or(0, |(_, code, _)| *code)
    }

    /// Finds the reason for a word; a word of a later version is `Other`.
    pub fn from_word(word: &str) -> Self {
        WORDS.iter().find(|(.., each)| *each == word).map_or(Self::Other, |(reason, ..)| *reason)
    }

    /// Finds the reason for a number; a number of a later version is `Other`.
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
