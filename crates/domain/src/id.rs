//! Identities: random ids, validated names, and the small numbers that order things.

use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// The identity of one process: a random UUID (version 4), so that a short prefix is enough to name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessId(Uuid);

impl ProcessId {
    /// Wraps a UUID that was drawn through the id port.
    #[must_use]
    pub const fn new(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The UUID itself.
    #[must_use]
    pub const fn as_uuid(&self) -> &Uuid {
        &self.0
    }

    /// The first eight characters, as tables show them.
    #[must_use]
    pub fn short(&self) -> String {
        let mut text = self.to_string();
        text.truncate(8);
        text
    }
}

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl FromStr for ProcessId {
    type Err = InvalidText;

    /// Reads the whole id, with or without the prefix `bg-`.
    fn from_str(text: &str) -> Result<Self, InvalidText> {
        Uuid::try_parse(text.strip_prefix("bg-").unwrap_or(text))
            .map(Self)
            .map_err(|_| InvalidText { what: "process id", why: "it is not a UUID" })
    }
}

/// The identity of one write, so that sending it again gives the same answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(Uuid);

impl OpId {
    /// Wraps a UUID that was drawn through the id port.
    #[must_use]
    pub const fn new(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The UUID itself.
    #[must_use]
    pub const fn as_uuid(&self) -> &Uuid {
        &self.0
    }
}

/// Why a text was refused as a name or an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid {what}: {why}")]
pub struct InvalidText {
    /// What it was meant to be.
    pub what: &'static str,
    /// What is wrong with it.
    pub why: &'static str,
}

/// The longest name or key, in bytes.
pub const MAX_NAME_LEN: usize = 128;

fn checked(what: &'static str, text: &str) -> Result<String, InvalidText> {
    if text.is_empty() {
        return Err(InvalidText { what, why: "it is empty" });
    }
    if text.len() > MAX_NAME_LEN {
        return Err(InvalidText { what, why: "it is longer than 128 bytes" });
    }
    if text.chars().any(|c| c.is_control() || is_bidi_control(c)) {
        return Err(InvalidText { what, why: "it contains a control character" });
    }
    if text.trim() != text {
        return Err(InvalidText { what, why: "it starts or ends with a space" });
    }
    Ok(text.to_owned())
}

const fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident = $what:literal;)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Checks and wraps a text of 1 to 128 bytes without control characters or outer spaces.
            ///
            /// # Errors
            /// [`InvalidText`] says what is wrong with it.
            pub fn new(text: &str) -> Result<Self, InvalidText> {
                checked($what, text).map(Self)
            }

            /// The text itself.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidText;

            fn from_str(text: &str) -> Result<Self, InvalidText> {
                Self::new(text)
            }
        }
    )* };
}

names! {
    /// A machine that runs processes, or the label that a reporter gives the place where it works.
    NodeId = "node id";
    /// Whoever asked: the scope of launch keys and of session policies.
    SessionId = "session id";
    /// What a process is for; `status PROJECT` filters by it.
    ProjectName = "project";
    /// The name a person gave a process.
    ProcessName = "name";
    /// A concurrency key: processes that share one share its slots.
    SlotKey = "concurrency key";
    /// A launch key: the same one in the same session never starts a second copy.
    LaunchKey = "launch key";
    /// An agent on whose behalf a process works.
    AgentId = "agent id";
    /// The kind of agent.
    AgentType = "agent type";
    /// Something an agent or a node can do.
    Capability = "capability";
    /// The name of a custom process type, after `custom:`.
    TypeName = "process type";
    /// What a worker says it is doing now.
    Stage = "stage";
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident($inner:ty);)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl $name {
            /// The next one.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )* };
}

counters! {
    /// Which execution of a process: 1, 2, … It counts claims and is never reused; 0 means not claimed yet.
    AttemptNo(u32);
    /// How often a process was written: its submit is the first time.
    Revision(u64);
    /// The order in which processes were submitted.
    Seq(u64);
    /// The fencing number of a lease.
    Epoch(u64);
    /// The order in which wishes for one process arrived; 0 means none.
    ActionSeq(u64);
    /// How often the queue policy was changed.
    PolicyVersion(u64);
    /// The depth of a process in its tree; the root is 0.
    Level(u8);
}

/// How urgent a process is within the order of claim, 0 by default, higher first.
///
/// What is asked for lies from −100 to 100. Above that stands only who was moved before the best waiter of its key, so
/// that there is always a place before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(i32);

impl Priority {
    /// Checks and wraps a number from −100 to 100.
    ///
    /// # Errors
    /// [`InvalidText`] outside that range.
    pub fn new(value: i64) -> Result<Self, InvalidText> {
        match i32::try_from(value) {
            Ok(small) if (MIN..=MAX_REQUESTED).contains(&small) => Ok(Self(small)),
            _ => Err(InvalidText { what: "priority", why: "it is not between -100 and 100" }),
        }
    }

    /// Checks and wraps a number that was kept: one that was asked for, or that a move came to.
    ///
    /// # Errors
    /// [`InvalidText`] for one that neither can be.
    pub fn kept(value: i64) -> Result<Self, InvalidText> {
        match i32::try_from(value) {
            Ok(kept) if kept >= MIN => Ok(Self(kept)),
            _ => Err(InvalidText { what: "priority", why: "no process has ever had this id" }),
        }
    }

    /// The next more urgent one; none above the highest number there is, which takes two thousand million moves.
    #[must_use]
    pub fn above(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }

    /// The number itself.
    #[must_use]
    pub const fn value(self) -> i32 {
        self.0
    }
}

const MIN: i32 = -100;
/// Above it only a move goes.
const MAX_REQUESTED: i32 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_refuse_what_could_deceive_a_reader() {
        for bad in ["", " a", "a ", "a\nb", "a\u{1b}[2J", "a\u{202e}b", &"x".repeat(129)] {
            assert!(SlotKey::new(bad).is_err(), "{bad:?}");
        }
        assert_eq!(SlotKey::new("claude-opus*").map(|k| k.to_string()), Ok("claude-opus*".to_owned()));
    }

    #[test]
    fn an_id_is_read_with_and_without_its_prefix() {
        let id = ProcessId::new(Uuid::from_u128(7));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(format!("bg-{id}").parse(), Ok(id));
        assert!("bg-nonsense".parse::<ProcessId>().is_err());
    }

    #[test]
    fn priorities_end_at_one_hundred() {
        assert!(Priority::new(100).is_ok() && Priority::new(-100).is_ok());
        assert!(
            Priority::new(101).is_err() && Priority::new(-101).is_err() && Priority::new(i64::MIN).is_err()
        );
        let moved = Priority::new(100).unwrap().above().unwrap();
        assert_eq!(Priority::kept(101).unwrap(), moved);
        assert!(Priority::kept(-101).is_err() && Priority::kept(i64::MAX).is_err());
        assert_eq!(Priority::kept(i32::MAX.into()).unwrap().above(), None);
    }
}
