//! What is true of a live process beside its status: that it is ready, or that it may want attention.

use crate::time::Timestamp;
use std::fmt;

/// Something that may hold of a live process for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    /// It does what it was started for, as its launch asked to find out. It holds until the attempt ends.
    Ready,
    /// It has said nothing for as long as its launch calls idle.
    Idle,
    /// It has said nothing for as long as its launch calls stalled, and used no processor meanwhile.
    Stalled,
    /// A process of its tree waits for input that nobody has given.
    WaitingForInput,
    /// Its command has ended by itself, and what it left behind is being ended. It holds until that is over, and with it
    /// the attempt.
    CleaningUp,
    /// Its supervisor was halted by somebody: its output is not read until the supervisor goes on. The manager lets it go
    /// on when the command ends or an order needs it.
    SupervisorStopped,
}

impl Condition {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Ready,
        Self::Idle,
        Self::Stalled,
        Self::WaitingForInput,
        Self::CleaningUp,
        Self::SupervisorStopped,
    ];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Idle => "idle",
            Self::Stalled => "stalled",
            Self::WaitingForInput => "waiting_for_input",
            Self::CleaningUp => "cleaning_up",
            Self::SupervisorStopped => "supervisor_stopped",
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which conditions hold, and since when.
///
/// They belong to an attempt: a new one begins without any, and nothing of the kind holds of what has ended. All but
/// [`Condition::Ready`] and [`Condition::CleaningUp`] are told of work in progress, so that a pause and a stop end them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    ready: Option<Timestamp>,
    idle: Option<Timestamp>,
    stalled: Option<Timestamp>,
    waiting_for_input: Option<Timestamp>,
    cleaning_up: Option<Timestamp>,
    supervisor_stopped: Option<Timestamp>,
}

impl Conditions {
    /// Since when it holds; none if it does not.
    #[must_use]
    pub const fn since(&self, condition: Condition) -> Option<Timestamp> {
        match condition {
            Condition::Ready => self.ready,
            Condition::Idle => self.idle,
            Condition::Stalled => self.stalled,
            Condition::WaitingForInput => self.waiting_for_input,
            Condition::CleaningUp => self.cleaning_up,
            Condition::SupervisorStopped => self.supervisor_stopped,
        }
    }

    /// Whether it holds.
    #[must_use]
    pub const fn holds(&self, condition: Condition) -> bool {
        self.since(condition).is_some()
    }

    /// Those that hold, each with the moment since when.
    pub fn iter(&self) -> impl Iterator<Item = (Condition, Timestamp)> {
        let all = *self;
        Condition::ALL
            .into_iter()
            .filter_map(move |condition| all.since(condition).map(|since| (condition, since)))
    }

    /// These, with one of them begun or over.
    #[must_use]
    pub const fn with(mut self, condition: Condition, since: Option<Timestamp>) -> Self {
        match condition {
            Condition::Ready => self.ready = since,
            Condition::Idle => self.idle = since,
            Condition::Stalled => self.stalled = since,
            Condition::WaitingForInput => self.waiting_for_input = since,
            Condition::CleaningUp => self.cleaning_up = since,
            Condition::SupervisorStopped => self.supervisor_stopped = since,
        }
        self
    }

    /// What is left of them when the work is halted or told to end.
    pub(crate) fn undisturbed(self) -> Self {
        Self { ready: self.ready, cleaning_up: self.cleaning_up, ..Self::default() }
    }
}

impl FromIterator<(Condition, Timestamp)> for Conditions {
    fn from_iter<I: IntoIterator<Item = (Condition, Timestamp)>>(conditions: I) -> Self {
        conditions
            .into_iter()
            .fold(Self::default(), |all, (condition, since)| all.with(condition, Some(since)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_collected_from_what_they_list() {
        let all: Conditions = Condition::ALL.into_iter().zip((1..).map(Timestamp)).collect();
        assert_eq!(all.iter().map(|(condition, _)| condition).collect::<Vec<_>>(), Condition::ALL);
        assert_eq!(all.iter().collect::<Conditions>(), all);
    }

    #[test]
    fn only_readiness_and_leftovers_outlast_a_pause_and_a_stop() {
        let all: Conditions = Condition::ALL.into_iter().zip((1..).map(Timestamp)).collect();
        let left: Vec<Condition> = all.undisturbed().iter().map(|(condition, _)| condition).collect();
        assert_eq!(left, [Condition::Ready, Condition::CleaningUp]);
    }
}
