//! Replays the event log. The replayed processes must equal the stored records, and no limit may be exceeded at any
//! step.

use crate::follower::Log;
use crate::journal::Attempt;
use crate::member::KEYS;
use crate::settling::Settled;
use longhaul_domain::{
    AwakeTime, Capabilities, DecisionContext, Ending, Fact, Interruption, Process, ProcessId, RandomBits,
    Revision, SlotState, State,
};
use longhaul_ports::{LoggedEvent, StoredProcess};
use longhaul_tests::Findings;
use std::collections::{BTreeMap, BTreeSet};

/// An attempt that was lost with its node.
#[derive(Clone, Debug)]
pub(crate) struct Loss {
    pub(crate) node: String,
    /// Time of the loss in microseconds, according to the clock of the store, which is the wall clock.
    pub(crate) at: u64,
}

/// Replays the event log. Returns the attempts that were lost with their node.
pub(crate) fn check(log: &Log, settled: &Settled, findings: &mut Findings) -> BTreeMap<Attempt, Loss> {
    if log.gap {
        findings.note("events are missing in the log");
    }
    check_kept(log, findings);
    check_told(settled, findings);
    check_facts(log, settled, findings)
}

/// Checks that the events that were read during the run equal the events in the store.
fn check_kept(log: &Log, findings: &mut Findings) {
    let Some(first) = log.kept.first() else { return findings.note("the store has no events") };
    let followed: Vec<&LoggedEvent> =
        log.followed.iter().filter(|event| event.cursor >= first.cursor).collect();
    if followed.len() != log.kept.len() {
        let (followed, kept) = (followed.len(), log.kept.len());
        findings.note(format_args!("{followed} events were read during the run, the store has {kept}"));
    }
    for (read, kept) in followed.iter().zip(&log.kept) {
        if *read != kept {
            return findings
                .note(format_args!("the log was changed: {read:?} was read, the store has {kept:?}"));
        }
    }
}

/// One process in the state to which the events have been replayed so far.
struct Life {
    process: Process,
    last: (Revision, u32),
    /// True if the latest attempt was lost with its node and the next attempt has not started yet.
    lost: bool,
}

fn check_facts(log: &Log, settled: &Settled, findings: &mut Findings) -> BTreeMap<Attempt, Loss> {
    let mut losses = BTreeMap::new();
    let stored: BTreeMap<ProcessId, &StoredProcess> =
        settled.stored.iter().map(|stored| (stored.process.id, stored)).collect();
    let mut lives: BTreeMap<ProcessId, Life> = BTreeMap::new();
    let mut holders: BTreeMap<String, BTreeSet<ProcessId>> = BTreeMap::new();
    for logged in &log.followed {
        let Some(stored) = stored.get(&logged.id) else {
            findings.note(format_args!("{} has events and no record", logged.id));
            continue;
        };
        let life = lives.entry(logged.id).or_insert_with(|| Life::of(&stored.process));
        life.happened(logged, findings);
        if let Fact::NodeLost { node } = &logged.event.fact {
            let node = node.to_string();
            let at = u64::try_from(logged.event.at.0).unwrap_or(0).saturating_mul(1_000);
            losses.insert((logged.id.to_string(), life.process.attempt.0), Loss { node, at });
        }
        // An attempt that was stopping when its node was lost has no `NodeLost` event: the process ends with an
        // unobserved exit.
        if let Fact::Ended { ending: Ending::Interrupted { why: Interruption::NodeGone }, .. } =
            &logged.event.fact
            && let Some(node) = &stored.process.node
        {
            let at = u64::try_from(logged.event.at.0).unwrap_or(0).saturating_mul(1_000);
            let loss = Loss { node: node.to_string(), at };
            losses.entry((logged.id.to_string(), life.process.attempt.0)).or_insert(loss);
        }
        count(&mut holders, &life.process, findings);
    }
    for stored in &settled.stored {
        let id = stored.process.id;
        match lives.get(&id) {
            None => findings.note(format_args!("{id} has a record and no events")),
            Some(life) if life.process != stored.process => {
                let facts = |process: &Process| {
                    let Process { state, attempt, retries, node, cascade, conditions, .. } = process;
                    format!("{state:?} {attempt:?} {retries} {node:?} {cascade:?} {conditions:?}")
                };
                let (told, kept) = (facts(&life.process), facts(&stored.process));
                findings.note(format_args!("{id}: the events lead to {told}, the store has {kept}"));
            }
            Some(life) if life.last.0 > stored.revision => {
                findings.note(format_args!("{id} has events of a revision that it never had"));
            }
            Some(_) => {}
        }
    }
    losses
}

/// Checks that no more processes hold a slot of a key than the key has slots.
fn count(holders: &mut BTreeMap<String, BTreeSet<ProcessId>>, process: &Process, findings: &mut Findings) {
    let Some(key) = &process.spec.key else { return };
    let holding = holders.entry(key.to_string()).or_default();
    if process.state.slot_state() != SlotState::Holding {
        holding.remove(&process.id);
        return;
    }
    let is_new = holding.insert(process.id);
    let slots =
        KEYS.iter().find(|(name, _)| *name == key.to_string()).map_or(usize::MAX, |(_, slots)| *slots);
    if is_new && holding.len() > slots {
        findings.note(format_args!("the key {key} has {slots} slots and is held by {holding:?}"));
    }
}

impl Life {
    fn of(process: &Process) -> Self {
        let ctx = DecisionContext {
            now: process.queued_at,
            awake: AwakeTime(0),
            chance: RandomBits(0),
            capabilities: Capabilities::ALL,
        };
        let (first, _) = Process::submit(&ctx, process.id, process.lineage.clone(), process.spec.clone());
        // Copy the signature from the stored record, because no event contains it. A launch is signed before it is
        // submitted, and its signature never changes.
        let process = Process { signature: process.signature.clone(), ..first };
        Self { process, last: (Revision(0), 0), lost: false }
    }

    fn happened(&mut self, logged: &LoggedEvent, findings: &mut Findings) {
        let (id, fact) = (logged.id, &logged.event.fact);
        let place = (logged.revision, logged.index);
        let follows = place.1 == 0 && place.0 > self.last.0 || place == (self.last.0, self.last.1 + 1);
        if !follows {
            findings.note(format_args!("{id}: event {place:?} comes after {:?}", self.last));
        }
        self.last = place;
        match fact {
            Fact::Claimed { attempt, .. } => {
                if attempt.0 != self.process.attempt.0 + 1 {
                    findings.note(format_args!("{id}: {attempt:?} comes after {:?}", self.process.attempt));
                }
                self.lost = false;
            }
            Fact::NodeLost { .. } => self.lost = true,
            Fact::Ended { ending, .. } | Fact::RetryScheduled { after: ending, .. } if self.lost => {
                // The node on which the attempt was lost may not write to the record any more.
                let is_fair = match ending {
                    Ending::Interrupted { why } => *why == Interruption::NodeGone,
                    Ending::Cancelled { exit, .. } => exit.is_none(),
                    Ending::Completed { .. } | Ending::Failed { .. } | Ending::Timeout { .. } => false,
                };
                if !is_fair {
                    findings.note(format_args!("{id} was lost with its node, and then ended {ending:?}"));
                }
            }
            Fact::Spawned { .. } if self.lost => {
                findings.note(format_args!("{id} was lost with its node, and then started"));
            }
            Fact::Ended { .. }
            | Fact::RetryScheduled { .. }
            | Fact::Spawned { .. }
            | Fact::Submitted
            | Fact::NeverRan
            | Fact::BecameDue
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
            | Fact::CascadeStarted { .. }
            | Fact::CascadeEnded
            | Fact::Prioritized { .. }
            | Fact::SessionEnded { .. }
            | Fact::SessionKept
            | Fact::ConditionStarted { .. }
            | Fact::ConditionEnded { .. }
            | Fact::OutputMatched { .. }
            | Fact::Restored { .. }
            | Fact::SignalSent { .. }
            | Fact::OrphanStopRequested { .. }
            | Fact::LateExit { .. } => {}
        }
        let before = ending(&self.process.state).cloned();
        self.process.evolve(std::slice::from_ref(&logged.event));
        let after = ending(&self.process.state);
        if before.is_some() && before.as_ref() != after {
            findings.note(format_args!("{id} ended {before:?}, then {after:?}"));
        }
    }
}

fn ending(state: &State) -> Option<&Ending> {
    match state {
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

/// Checks that replaying the events of the HTTP interface leads to the records of the HTTP interface.
fn check_told(settled: &Settled, findings: &mut Findings) {
    let mut last: BTreeMap<&str, (&str, &str)> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut is_whole = true;
    for event in &settled.told {
        if event.event == "GAP" {
            // The oldest events are pruned in a long run, so a gap is allowed.
            is_whole = false;
            continue;
        }
        if !seen.insert(&event.id) {
            findings.note(format_args!("the event {} was sent twice", event.id));
        }
        let Some(subject) = event.subject.as_deref() else { continue };
        let sequence = event.sequence.as_deref().unwrap_or_default();
        let before = last.get(subject).copied();
        if before.is_some_and(|(before, _)| before > sequence) {
            findings.note(format_args!("the event {} came after one of a later revision", event.id));
        }
        let status = event.data.status.as_deref().or(before.map(|(_, status)| status)).unwrap_or_default();
        last.insert(subject, (sequence, status));
    }
    for (id, view) in &settled.records {
        let told = last.get(id.as_str()).map(|(_, status)| *status);
        if told != Some(view.status.as_str()) && (is_whole || told.is_some()) {
            findings.note(format_args!("{id} is {}, and the events lead to {told:?}", view.status));
        }
    }
}
