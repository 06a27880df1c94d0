//! Conditions: facts about a live process that do not change its status, such as ready or idle.

use crate::time::Timestamp;
use std::fmt;

/// A fact about a live process that has a start time and does not change its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    /// The readiness check of the launch has succeeded. The condition holds until the attempt ends.
    Ready,
    /// The command has written no output for the idle time that its launch specifies.
    Idle,
    /// The command has written no output and used no CPU time for the stall time that its launch specifies.
    Stalled,
    /// A process of the command's tree is waiting for input.
    WaitingForInput,
    /// The command has exited by itself, and its leftovers are being stopped. The condition lasts until the leftovers
    /// have ended and the attempt ends.
    CleaningUp,
    /// Another program stopped the shim with a signal. The output is not read until the shim continues. The manager
    /// continues the shim when the command exits or an action needs the shim.
    SupervisorStopped,
}

impl Condition {
    /// All conditions.
    pub const ALL: [Self; 6] = [
        Self::Ready,
        Self::Idle,
        Self::Stalled,
        Self::WaitingForInput,
        Self::CleaningUp,
        Self::SupervisorStopped,
    ];

    /// Returns the name of the condition.
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

/// The conditions of an attempt, with their start times.
///
/// A new attempt starts without conditions, and an ended process has none. All conditions except [`Condition::Ready`]
/// and [`Condition::CleaningUp`] describe work in progress, so a pause or a stop ends them.
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
    /// Returns the start time of a condition. Returns `None` if the condition does not hold.
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

    /// Returns true if the condition holds.
    #[must_use]
    pub const fn holds(&self, condition: Condition) -> bool {
        self.since(condition).is_some()
    }

    /// Returns the conditions that hold, with their start times.
    pub fn iter(&self) -> impl Iterator<Item = (Condition, Timestamp)> {
        let all = *self;
        Condition::ALL
            .into_iter()
            .filter_map(move |condition| all.since(condition).map(|since| (condition, since)))
    }

    /// Returns the conditions of the process after one condition has started or ended.
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

    /// Returns the conditions that still hold after the process is paused or stopped.
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
    fn condition_set_contains_the_given_conditions() {
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
