//! Conditions that are checked after every write to the store.

use longhaul_domain::{
    Capabilities, Condition, DecisionContext, Ending, ExitStatus, Fact, LaunchKey, NodeId, Policy, Process,
    ProcessId, RandomBits, Revision, Seq, SessionId, SilencePolicy, SlotKey, SlotState, State, Status,
    TreeLimits, admission::Rank,
};
use longhaul_engine::ports::{
    AttemptKey, ClaimCapacity, Clock, LoggedEvent, PlacementClass, StoredProcess, Submission,
};
use longhaul_testkit::fakes::VirtualClock;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Observes every write to the store and records violations of the conditions.
#[derive(Debug)]
pub(crate) struct Oracle {
    pub(crate) clock: VirtualClock,
    pub(crate) log: Vec<String>,
    pub(crate) violations: Vec<String>,
    pub(crate) lives: BTreeMap<ProcessId, Life>,
    pub(crate) policy: Policy,
    pub(crate) events: u64,
    /// The processes that must end because a request to end them was accepted.
    pub(crate) must_end: BTreeSet<ProcessId>,
    pub(crate) started: BTreeMap<AttemptKey, NodeId>,
    /// The attempts that were lost with their node.
    pub(crate) lost: BTreeSet<AttemptKey>,
    pub(crate) again: u64,
    launch_keys: BTreeMap<(Option<SessionId>, LaunchKey), ProcessId>,
    tree: TreeLimits,
    pub(crate) roots: u32,
}

/// A process as its events describe it.
#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) number: usize,
    pub(crate) process: Process,
    pub(crate) seq: Seq,
    pub(crate) owner: Option<NodeId>,
    pub(crate) swept: bool,
    /// True if the cancellation of the process and all its descendants has started.
    pub(crate) terminated: bool,
    last: (Revision, u32),
}

impl Life {
    pub(crate) fn has_ended(&self) -> bool {
        self.standing() == SlotState::Ended
    }

    pub(crate) fn standing(&self) -> SlotState {
        self.process.state.slot_state()
    }

    pub(crate) fn is_root(&self) -> bool {
        self.process.lineage.ancestors.is_empty()
    }

    pub(crate) fn key(&self) -> Option<&SlotKey> {
        self.process.spec.key.as_ref()
    }

    const fn rank(&self) -> Rank {
        Rank { priority: self.process.priority, seq: self.seq }
    }

    const fn ending(&self) -> Option<&Ending> {
        match &self.process.state {
            State::Ended(ended) => Some(&ended.ending),
            State::Pending(_)
            | State::Starting { .. }
            | State::Running { .. }
            | State::Reported { .. }
            | State::Paused { .. }
            | State::Stopping { .. }
            | State::CancelRequested { .. }
            | State::AwaitingChildren(_) => None,
        }
    }
}

impl Oracle {
    pub(crate) fn new(clock: VirtualClock, tree: TreeLimits, roots: u32) -> Self {
        Self {
            clock,
            log: Vec::new(),
            violations: Vec::new(),
            lives: BTreeMap::new(),
            policy: Policy::default(),
            events: 0,
            must_end: BTreeSet::new(),
            started: BTreeMap::new(),
            lost: BTreeSet::new(),
            again: 0,
            launch_keys: BTreeMap::new(),
            tree,
            roots,
        }
    }

    pub(crate) fn note(&mut self, line: impl fmt::Display) {
        let at = self.clock.now().0 - 1_700_000_000_000;
        self.log.push(format!("{at:>7} {line}"));
    }

    pub(crate) fn violated(&mut self, what: impl fmt::Display) {
        self.note(format_args!("VIOLATED: {what}"));
        if self.violations.len() < 20 {
            self.violations.push(what.to_string());
        }
    }

    /// Returns the short name that the log uses for a process.
    pub(crate) fn name(&self, id: ProcessId) -> String {
        self.lives.get(&id).map_or_else(|| format!("unknown {id}"), |life| format!("p{}", life.number))
    }

    /// Records an accepted submission, before the events of the process are read.
    pub(crate) fn accepted(&mut self, asked: &Submission, stored: &StoredProcess) {
        let id = stored.process.id;
        if self.lives.contains_key(&id) {
            return self.violated(format_args!("{} was accepted twice", self.name(id)));
        }
        let lineage = &asked.process.lineage;
        for ancestor in &lineage.ancestors {
            let is_parent = lineage.ancestors.last() == Some(ancestor);
            let is_closed = self.lives.get(ancestor).is_none_or(|life| {
                let head = life.process.head();
                if is_parent { life.swept || head.closing } else { head.is_ending() }
            });
            if is_closed {
                self.violated(format_args!("{id} joined {} while it was closing", self.name(*ancestor)));
            }
        }
        let level = lineage.level();
        if let Some(root) = lineage.ancestors.first() {
            let on_level = self.lives.values().filter(|life| {
                !life.has_ended()
                    && life.process.lineage.level() == level
                    && life.process.lineage.ancestors.first() == Some(root)
            });
            if on_level.count() >= usize::try_from(self.tree.per_level).unwrap_or(usize::MAX) {
                self.violated(format_args!("{id} is one too many on level {level} of {}", self.name(*root)));
            }
        }
        if level > self.tree.max_level {
            self.violated(format_args!("{id} is too deep, on level {level}"));
        }
        let spec = &asked.process.spec;
        if let Some(key) = &spec.launch_key {
            let first = self.launch_keys.insert((spec.session.clone(), key.clone()), id);
            if let Some(first) = first {
                self.violated(format_args!("launch key {key} has two copies: {} and {id}", self.name(first)));
            }
        }
        let ctx = DecisionContext {
            now: asked.process.queued_at,
            awake: self.clock.awake(),
            chance: RandomBits(0),
            capabilities: Capabilities::ALL,
        };
        let (mut process, _) = Process::submit(&ctx, id, lineage.clone(), spec.clone());
        process.signature.clone_from(&asked.process.signature);
        let number = self.lives.len() + 1;
        self.note(format_args!("p{number} is {id}, under {:?}: {spec:?}", lineage.ancestors.last()));
        let life = Life {
            number,
            process,
            seq: stored.seq,
            owner: None,
            swept: false,
            terminated: false,
            last: (Revision(0), 0),
        };
        self.lives.insert(id, life);
    }

    /// Checks the order of a claim, before its events are read.
    pub(crate) fn claimed(&mut self, node: &NodeId, room: &ClaimCapacity, given: &[StoredProcess]) {
        let ids: BTreeSet<ProcessId> = given.iter().map(|stored| stored.process.id).collect();
        let mut unfair = Vec::new();
        for taken in ids.iter().filter_map(|id| self.lives.get(id)) {
            for left in self.lives.values().filter(|life| life.standing() == SlotState::Waiting) {
                let may = room.classes.contains(&PlacementClass::of(&left.process.spec.placement));
                let same_room = !left.is_root() || taken.is_root();
                if !ids.contains(&left.process.id)
                    && may
                    && same_room
                    && left.key() == taken.key()
                    && left.rank() < taken.rank()
                {
                    unfair.push(format!("{node} claimed p{} before p{}", taken.number, left.number));
                }
            }
        }
        for what in unfair {
            self.violated(what);
        }
    }

    /// Records one committed event, and checks it.
    pub(crate) fn happened(&mut self, logged: &LoggedEvent) {
        self.events += 1;
        let name = self.name(logged.id);
        self.note(format_args!("{name} r{}.{} {:?}", logged.revision.0, logged.index, logged.event.fact));
        let Some(life) = self.lives.get_mut(&logged.id) else {
            return self.violated(format_args!("an event of the unknown process {name}: {logged:?}"));
        };
        let place = (logged.revision, logged.index);
        let follows = place.1 == 0 && place.0 > life.last.0 || place == (life.last.0, life.last.1 + 1);
        let before = life.ending().cloned();
        life.last = place;
        life.process.evolve(std::slice::from_ref(&logged.event));
        let after = life.ending().cloned();
        if !follows {
            self.violated(format_args!("{name}: event {place:?} is out of order"));
        }
        if before.is_some() && before != after {
            self.violated(format_args!("{name} ended {before:?}, then {after:?}"));
        }
        match &logged.event.fact {
            Fact::Claimed { .. } => self.took_slot(logged.id),
            Fact::CascadeStarted { .. } => {
                if let Some(life) = self.lives.get_mut(&logged.id) {
                    life.terminated = true;
                }
            }
            Fact::Ended { ending, .. } => self.ended_truly(logged.id, ending),
            Fact::ConditionStarted { condition } => self.noticed(logged.id, *condition),
            Fact::ConditionEnded { .. } | Fact::OutputMatched { .. } => self.noticed_more(logged.id),
            Fact::NodeLost { .. } => self.lost_with_its_node(logged.id),
            Fact::Submitted
            | Fact::Spawned { .. }
            | Fact::NeverRan
            | Fact::BecameDue
            | Fact::RetryScheduled { .. }
            | Fact::StageChanged { .. }
            | Fact::OutcomeReported(_)
            | Fact::TestsReported(_)
            | Fact::TestsDoubted(_)
            | Fact::Paused { .. }
            | Fact::Resumed { .. }
            | Fact::StopRequested { .. }
            | Fact::KillStarted { .. }
            | Fact::BecameStuck
            | Fact::AwaitingChildren { .. }
            | Fact::CascadeEnded
            | Fact::Prioritized { .. }
            | Fact::SessionEnded { .. }
            | Fact::SessionKept
            | Fact::SignalSent { .. }
            | Fact::OrphanStopRequested { .. }
            | Fact::Restored { .. }
            | Fact::LateExit { .. } => {}
        }
    }

    fn lost_with_its_node(&mut self, id: ProcessId) {
        let Some(life) = self.lives.get(&id) else { return };
        let (attempt, owner) = (life.process.attempt, life.owner.clone());
        if let Some(owner) = owner {
            let name = self.name(id);
            self.violated(format_args!("{name} was lost while {owner} owned it"));
        }
        self.lost.insert(AttemptKey { id, attempt });
    }

    /// Records the owner of a process, because no event contains the owner.
    pub(crate) fn owned(&mut self, id: ProcessId, owner: Option<&NodeId>) {
        if let Some(life) = self.lives.get_mut(&id) {
            life.owner = owner.cloned();
        }
    }

    /// Compares the stored record with the process that its events lead to. All events must have been recorded before.
    pub(crate) fn compare(&mut self, stored: &StoredProcess) {
        let id = stored.process.id;
        let Some(life) = self.lives.get_mut(&id) else { return };
        life.owner = stored.owner.as_ref().map(|owner| owner.node.clone());
        if life.process != stored.process {
            let (told, kept) = (life.process.clone(), &stored.process);
            self.violated(format_args!("the events lead to {told:?}, the store has {kept:?}"));
        }
        let Some(owner) = stored.owner.as_ref().map(|owner| owner.node.clone()) else { return };
        let roots = self.lives.values().filter(|life| {
            life.is_root() && life.standing() == SlotState::Holding && life.owner.as_ref() == Some(&owner)
        });
        let roots = roots.count();
        if roots > usize::try_from(self.roots).unwrap_or(usize::MAX) {
            self.violated(format_args!("{owner} has {roots} roots"));
        }
    }

    pub(crate) fn swept(&mut self, ids: &[ProcessId]) {
        for id in ids {
            let name = self.name(*id);
            self.note(format_args!("{name} was pruned"));
            let ended = self.lives.get_mut(id).is_some_and(|life| {
                life.swept = true;
                life.has_ended()
            });
            if !ended {
                self.violated(format_args!("{name} was pruned while it was live"));
            }
        }
    }

    /// Returns the number of processes that hold a slot of a concurrency key.
    pub(crate) fn holders(&self, key: &SlotKey) -> usize {
        let holds = |life: &&Life| life.standing() == SlotState::Holding && life.key() == Some(key);
        self.lives.values().filter(holds).count()
    }

    fn took_slot(&mut self, id: ProcessId) {
        let Some(key) = self.lives.get(&id).and_then(Life::key).cloned() else { return };
        let (slots, holders) = (self.policy.slots_of(&key), self.holders(&key));
        if slots.is_some_and(|slots| holders > usize::try_from(slots).unwrap_or(usize::MAX)) {
            self.violated(format_args!(
                "{} is holder {holders} of {key}, which has {slots:?} slots",
                self.name(id)
            ));
        }
        if self.policy.held.contains_key(&key) {
            self.violated(format_args!("{} took a slot of {key}, which is on hold", self.name(id)));
        }
    }

    /// Checks that the script of a process can cause the condition that was reported.
    fn noticed(&mut self, id: ProcessId, condition: Condition) {
        self.noticed_more(id);
        let Some(life) = self.lives.get(&id) else { return };
        let program = life.process.spec.command().map(|command| command.program.clone());
        let can_be = match condition {
            Condition::WaitingForInput => program.as_deref() == Some("ask"),
            Condition::Ready => matches!(program.as_deref(), Some("serve" | "echo")),
            Condition::Idle | Condition::Stalled => life.process.spec.silence != SilencePolicy::default(),
            // These conditions cannot occur, because no script leaves descendants behind and the simulation has no
            // shims.
            Condition::CleaningUp | Condition::SupervisorStopped => false,
        };
        if !can_be {
            self.violated(format_args!("{} has the condition {condition}", self.name(id)));
        }
    }

    /// Checks that a process with a condition is running, paused or stopping.
    fn noticed_more(&mut self, id: ProcessId) {
        let Some(status) = self.lives.get(&id).map(|life| life.process.status()) else { return };
        if !matches!(status, Status::Running | Status::Paused | Status::Stopping) {
            self.violated(format_args!("{} is {status} and has a condition", self.name(id)));
        }
    }

    /// Checks that the exit code is the one in the script, and that a process that never started has no exit code.
    fn ended_truly(&mut self, id: ProcessId, ending: &Ending) {
        let Some(command) = self.lives.get(&id).and_then(|life| life.process.spec.command().cloned()) else {
            return;
        };
        let Some(ExitStatus::Code(code)) = ending.exit().map(|exit| exit.status) else { return };
        let scripted = match command.program.as_str() {
            "exit" => command.args.first().and_then(|arg| arg.parse().ok()),
            "sleep" | "echo" => Some(0),
            _ => None,
        };
        if scripted != Some(code) {
            self.violated(format_args!("{} exited with {code}, its script says {scripted:?}", self.name(id)));
        }
    }
}
