//! When a port fails, and how.

use super::ids::mix;
use std::collections::VecDeque;
use std::time::Duration;

/// How one call of a port goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It fails before anything was done.
    Unavailable,
    /// It is done, and the answer is lost.
    Unknown,
    /// It is refused because nothing can be written; reads go on.
    ReadOnly,
    /// It is refused because there is no room; reads go on.
    Full,
    /// It takes so long, and then goes well.
    Late(Duration),
    /// It is done at once, and its answer takes so long.
    Slow(Duration),
    /// It never returns and nothing was done: the caller is to be dropped there, as a crash would.
    CrashBefore,
    /// It is done and never returns.
    CrashAfter,
}

/// What was asked of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PortCall {
    /// `submit`.
    Submit,
    /// `claim`.
    Claim,
    /// `commit`.
    Commit,
    /// `enqueue_action`.
    Wish,
    /// `update_live_stats`.
    Touch,
    /// `load` or `list`.
    Read,
    /// `store_tail` or `load_tail`.
    Tail,
    /// `claim_due`.
    Attention,
    /// `sweep`.
    Sweep,
    /// `policy`, `queues` or `label_classes`.
    Queues,
    /// `set_policy`.
    SetPolicy,
    /// `read` or `end` of the event log.
    Events,
    /// `register`, `leave`, `drain` or `forget`.
    Register,
    /// `renew_lease`, `wait_for_updates`, `advertise`, `nodes` or `list_nodes`.
    Beat,
    /// `start` of a spawner.
    Start,
    /// `adopt` of a spawner.
    Adopt,
    /// `stop` of a spawner.
    Stop,
    /// `pause` or `resume` of a spawner.
    Halt,
    /// `usage` of a spawner.
    Usage,
    /// `next` of a spawner, which cannot fail but crash or be late.
    Next,
    /// `exit_is_durable` of a spawner, which says no when it fails.
    KeepsEnd,
    /// `settled` of a spawner, which cannot fail but crash or be late.
    Settled,
    /// `keep` of a vault.
    Keep,
    /// `open` of a vault.
    Open,
    /// Anything that reads the output log.
    Output,
    /// `remove` of the output log.
    Remove,
}

impl PortCall {
    /// Whether it makes a store larger.
    const fn takes_room(self) -> bool {
        match self {
            Self::Submit
            | Self::Claim
            | Self::Commit
            | Self::Wish
            | Self::Touch
            | Self::Tail
            | Self::Sweep
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

    /// Whether it changes anything.
    #[must_use]
    pub const fn writes(self) -> bool {
        match self {
            Self::Submit
            | Self::Claim
            | Self::Commit
            | Self::Wish
            | Self::Touch
            | Self::Tail
            | Self::Sweep
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

/// Faults that are drawn from a seed: one call in so many goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RandomFaults {
    /// What everything is drawn from.
    pub seed: u64,
    /// One call in so many goes wrong.
    pub one_in: u32,
    /// A late call is late by less than this; zero for no late ones.
    pub late: Duration,
    /// One fault in so many is a crash; 0 for none.
    pub crash_in: u32,
}

/// The plan after which calls fail, and the list of what was called.
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
    /// How many calls of that kind go well before.
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

    /// Notes a call and says how it goes wrong.
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
