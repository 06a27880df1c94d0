//! When a store fails, and how.

use super::ids::mix;
use std::collections::VecDeque;
use std::time::Duration;

/// How one call of a store goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It fails before anything was written.
    Unavailable,
    /// It is written, and the answer is lost.
    Unknown,
    /// It is refused because nothing can be written; reads go on.
    ReadOnly,
    /// It takes so long, and then goes well.
    Late(Duration),
    /// It never returns and nothing was written: the caller is to be dropped there, as a crash would.
    CrashBefore,
    /// It is written and never returns.
    CrashAfter,
}

/// What was asked of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// `submit`.
    Submit,
    /// `claim`.
    Claim,
    /// `commit`.
    Commit,
    /// `wish`.
    Wish,
    /// `touch`.
    Touch,
    /// `load` or `list`.
    Read,
    /// `attention`.
    Attention,
    /// `sweep`.
    Sweep,
    /// `policy` or `queues`.
    Queues,
    /// `set_policy`.
    SetPolicy,
    /// `read` or `end` of the event log.
    Events,
    /// `register` or `leave`.
    Register,
    /// `beat`, `called` or `nodes`.
    Beat,
}

impl Call {
    /// Whether it changes anything.
    #[must_use]
    pub const fn writes(self) -> bool {
        match self {
            Self::Submit
            | Self::Claim
            | Self::Commit
            | Self::Wish
            | Self::Touch
            | Self::Sweep
            | Self::SetPolicy
            | Self::Register => true,
            Self::Read | Self::Attention | Self::Queues | Self::Events | Self::Beat => false,
        }
    }
}

/// The plan after which calls fail, and the list of what was called.
#[derive(Debug, Default)]
pub struct Faults {
    planned: VecDeque<Planned>,
    chaos: Option<Chaos>,
    down: bool,
    calls: Vec<Call>,
}

#[derive(Debug)]
struct Planned {
    only: Option<Call>,
    /// How many calls of that kind go well before.
    after: u32,
    fault: Fault,
}

#[derive(Debug)]
struct Chaos {
    state: u64,
    one_in: u64,
}

impl Faults {
    pub(super) fn plan(&mut self, only: Option<Call>, nth: u32, fault: Fault) {
        let after = nth.saturating_sub(1);
        self.planned.push_back(Planned { only, after, fault });
    }

    pub(super) fn set_chaos(&mut self, seed: u64, one_in: u32) {
        self.chaos = (one_in > 0).then(|| Chaos { state: mix(seed), one_in: u64::from(one_in) });
    }

    pub(super) const fn set_down(&mut self, down: bool) {
        self.down = down;
    }

    pub(super) fn calls(&self) -> &[Call] {
        &self.calls
    }

    /// Notes a call and says how it goes wrong.
    pub(super) fn strike(&mut self, call: Call) -> Option<Fault> {
        self.calls.push(call);
        if self.down {
            return Some(Fault::Unavailable);
        }
        self.planned_for(call).or_else(|| self.drawn(call))
    }

    fn planned_for(&mut self, call: Call) -> Option<Fault> {
        let place = self.planned.iter().position(|planned| planned.only.is_none_or(|only| only == call))?;
        let planned = self.planned.get_mut(place)?;
        if planned.after > 0 {
            planned.after -= 1;
            return None;
        }
        self.planned.remove(place).map(|planned| planned.fault)
    }

    fn drawn(&mut self, call: Call) -> Option<Fault> {
        let chaos = self.chaos.as_mut()?;
        chaos.state = mix(chaos.state);
        if !chaos.state.is_multiple_of(chaos.one_in) {
            return None;
        }
        Some(if call.writes() && (chaos.state >> 32) & 1 == 1 { Fault::Unknown } else { Fault::Unavailable })
    }
}
