//! The faults that a port can simulate, and the calls that they affect.

use super::ids::mix;
use std::collections::VecDeque;
use std::time::Duration;

/// Fault of one call to a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The call fails before it changes any data.
    Unavailable,
    /// The call is executed, but its answer is lost.
    Unknown,
    /// Writes are refused because the port is read-only; reads succeed.
    ReadOnly,
    /// Writes are refused because there is no space; reads succeed.
    Full,
    /// The call is executed after this delay, and succeeds.
    Late(Duration),
    /// The call is executed immediately, but its answer arrives after this delay.
    Slow(Duration),
    /// The call is not executed and never returns. The test then drops the caller, to simulate a crash of the caller.
    CrashBefore,
    /// The call is executed, but never returns.
    CrashAfter,
}

/// Kind of a call to a port. Some kinds combine several methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PortCall {
    /// Method `submit` of a store.
    Submit,
    /// Method `claim` of a store.
    Claim,
    /// Method `commit` of a store.
    Commit,
    /// Method `enqueue_action` of a store.
    Wish,
    /// Method `update_live_stats` of a store.
    Touch,
    /// Methods `load` and `list` of a store.
    Read,
    /// Methods `store_tail` and `load_tail` of a store.
    Tail,
    /// Method `claim_due` of a store.
    Attention,
    /// Method `sweep` of a store.
    Prune,
    /// Methods `policy`, `queues` and `label_classes` of a store.
    Queues,
    /// Method `set_policy` of a store.
    SetPolicy,
    /// Methods `read` and `end` of the event log.
    Events,
    /// Methods `register`, `leave`, `drain` and `forget` of a store.
    Register,
    /// Methods `renew_lease`, `wait_for_updates`, `advertise`, `nodes` and `list_nodes` of a store.
    Beat,
    /// Method `start` of a spawner.
    Start,
    /// Method `adopt` of a spawner.
    Adopt,
    /// Method `stop` of a spawner.
    Stop,
    /// Methods `pause`, `resume`, `signal`, `write_input` and `set_lease_end` of a spawner.
    Halt,
    /// Methods `usage` and `look` of a spawner.
    Usage,
    /// Method `next` of a spawner. Only delays and crashes affect it.
    Next,
    /// Method `exit_is_durable` of a spawner. A fault makes it return false.
    KeepsEnd,
    /// Method `settled` of a spawner. Only delays and crashes affect it.
    Settled,
    /// Method `keep` of an environment store.
    Keep,
    /// Method `open` of an environment store.
    Open,
    /// Every method that reads the output log.
    Output,
    /// Method `remove` of the output log.
    Remove,
}

impl PortCall {
    /// Returns true if the call makes a store larger.
    const fn takes_room(self) -> bool {
        match self {
            Self::Submit
            | Self::Claim
            | Self::Commit
            | Self::Wish
            | Self::Touch
            | Self::Tail
            | Self::Prune
            | Self::SetPolicy
            | Self::Register => true,
            Self::Read
            | Self::Attention
            | Self::Queues
            | Self::Events
            | Self::Beat
            | Self::Start
            | Self::Adopt
            | Self::Stop
            | Self::Halt
            | Self::Usage
            | Self::Next
            | Self::KeepsEnd
            | Self::Settled
            | Self::Keep
            | Self::Open
            | Self::Output
            | Self::Remove => false,
        }
    }

    /// Returns true if the call can change data.
    #[must_use]
    pub const fn writes(self) -> bool {
        match self {
            Self::Submit
            | Self::Claim
            | Self::Commit
            | Self::Wish
            | Self::Touch
            | Self::Tail
            | Self::Prune
            | Self::SetPolicy
            | Self::Register
            | Self::Start
            | Self::Stop
            | Self::Halt
            | Self::Keep
            | Self::Remove => true,
            Self::Read
            | Self::Attention
            | Self::Queues
            | Self::Events
            | Self::Beat
            | Self::Adopt
            | Self::Usage
            | Self::Next
            | Self::KeepsEnd
            | Self::Settled
            | Self::Open
            | Self::Output => false,
        }
    }
}

/// Rule for random faults that are drawn from a seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RandomFaults {
    /// Seed of the random numbers.
    pub seed: u64,
    /// Number of calls per fault: on average, one call in this many fails.
    pub one_in: u32,
    /// Upper limit (exclusive) for the delay of a slow call; zero disables slow calls.
    pub late: Duration,
    /// Number of faults per crash: on average, one fault in this many is a crash. 0 disables crashes.
    pub crash_in: u32,
}

/// Planned and random faults, and the list of all calls.
#[derive(Debug, Default)]
pub(super) struct FaultList {
    planned: VecDeque<PlannedFault>,
    mischief: Option<DrawnFault>,
    down: bool,
    full: bool,
    calls: Vec<PortCall>,
}

#[derive(Debug)]
struct PlannedFault {
    only: Option<PortCall>,
    /// Number of matching calls that succeed before the fault occurs.
    after: u32,
    fault: Fault,
}

#[derive(Debug)]
struct DrawnFault {
    state: u64,
    rule: RandomFaults,
}

impl FaultList {
    pub(super) fn plan(&mut self, only: Option<PortCall>, nth: u32, fault: Fault) {
        let after = nth.saturating_sub(1);
        self.planned.push_back(PlannedFault { only, after, fault });
    }

    pub(super) fn set_mischief(&mut self, rule: RandomFaults) {
        self.mischief = (rule.one_in > 0).then(|| DrawnFault { state: mix(rule.seed), rule });
    }

    pub(super) const fn set_down(&mut self, down: bool) {
        self.down = down;
    }

    pub(super) const fn set_full(&mut self, full: bool) {
        self.full = full;
    }

    pub(super) fn calls(&self) -> &[PortCall] {
        &self.calls
    }

    /// Records a call and returns the fault that applies to it, if there is one.
    pub(super) fn strike(&mut self, call: PortCall) -> Option<Fault> {
        self.calls.push(call);
        if self.down {
            return Some(Fault::Unavailable);
        }
        if self.full && call.takes_room() {
            return Some(Fault::Full);
        }
        self.planned_for(call).or_else(|| self.mischief.as_mut()?.strike(call))
    }

    fn planned_for(&mut self, call: PortCall) -> Option<Fault> {
        let place = self.planned.iter().position(|planned| planned.only.is_none_or(|only| only == call))?;
        let planned = self.planned.get_mut(place)?;
        if planned.after > 0 {
            planned.after -= 1;
            return None;
        }
        self.planned.remove(place).map(|planned| planned.fault)
    }
}

impl DrawnFault {
    fn strike(&mut self, call: PortCall) -> Option<Fault> {
        self.state = mix(self.state);
        let drawn = self.state;
        if !drawn.is_multiple_of(u64::from(self.rule.one_in)) {
            return None;
        }
        let second = (drawn >> 32) & 1 == 1;
        let crash_in = u64::from(self.rule.crash_in);
        if crash_in > 0 && mix(drawn ^ 1).is_multiple_of(crash_in) {
            return Some(if second { Fault::CrashAfter } else { Fault::CrashBefore });
        }
        let late = u64::try_from(self.rule.late.as_millis()).unwrap_or(u64::MAX);
        if late > 0 && mix(drawn ^ 2).is_multiple_of(3) {
            return Some(Fault::Late(Duration::from_millis(mix(drawn ^ 3) % late)));
        }
        Some(if call.writes() && second { Fault::Unknown } else { Fault::Unavailable })
    }
}
