//! Data about the processes that events refer to.

use crate::events::log_reader::patiently;
use longhaul_domain::{
    AgentId, AttemptNo, Event, Fact, NodeId, Process, ProcessId, ProcessName, ProcessType, ProjectName,
    ReportedOutcome, SessionId, Timestamp,
};
use longhaul_engine::Engine;
use longhaul_engine::ports::{EventCursor, StoredProcess};
use longhaul_wire::event::StartTrigger;
use std::collections::BTreeMap;

/// Maximum number of processes in the cache of one event reader. Data about other processes is loaded from the store
/// when needed.
const MAX_CACHED: usize = 128;
/// Maximum length of a command line in an event, in bytes.
const MAX_COMMAND_LEN: usize = 4_096;
/// Number of events before an end event that are searched for the pids of commands.
const LOOKBACK_EVENTS: u32 = 512;

/// Data about a process that is included in each event about this process.
#[derive(Clone, Debug)]
pub(crate) struct EventSubject {
    pub(crate) kind: ProcessType,
    pub(crate) begins: StartTrigger,
    pub(crate) name: Option<ProcessName>,
    pub(crate) project: Option<ProjectName>,
    pub(crate) session: Option<SessionId>,
    pub(crate) parent: Option<ProcessId>,
    pub(crate) agent: Option<AgentId>,
    pub(crate) command: Vec<String>,
    pub(crate) node: Option<NodeId>,
    pub(crate) attempt: Option<AttemptNo>,
    pub(crate) pid: Option<u32>,
    pub(crate) started_at: Option<Timestamp>,
    /// Result and error that the command reported.
    pub(crate) reported: ReportedOutcome,
}

impl EventSubject {
    fn of(stored: &StoredProcess) -> Self {
        let StoredProcess { process, .. } = stored;
        let spec = &process.spec;
        let mut subject = Self {
            kind: spec.kind.clone(),
            begins: StartTrigger::of(&spec.work),
            name: spec.name.clone(),
            project: spec.project.clone(),
            session: spec.session.clone(),
            parent: process.lineage.parent(),
            agent: spec.agent.agent_id.clone(),
            command: command_line(process),
            node: process.node.clone(),
            attempt: None,
            pid: None,
            started_at: None,
            reported: ReportedOutcome::default(),
        };
        // The record may be newer than the event. If the process has had only one attempt, the record and the event
        // describe the same attempt.
        if process.attempt <= AttemptNo(1) {
            subject.place(process);
        }
        subject
    }

    fn place(&mut self, process: &Process) {
        self.attempt = Some(process.attempt).filter(|attempt| attempt.0 > 0);
        self.started_at = process.started_at;
        self.node.clone_from(&process.node);
        self.reported.clone_from(&process.reported);
        let pid = process.state.execution().and_then(|execution| execution.pid);
        self.pid = pid.or(self.pid);
    }

    /// Updates the attempt, node, pid and start time from an event.
    pub(crate) fn note(&mut self, event: &Event) {
        match &event.fact {
            Fact::Claimed { attempt, node } => {
                (self.attempt, self.pid) = (Some(*attempt), None);
                self.reported = ReportedOutcome::default();
                match self.begins {
                    StartTrigger::WhenSpawned => (self.node, self.started_at) = (Some(node.clone()), None),
                    StartTrigger::AtOnce | StartTrigger::AtItsTurn => self.started_at = Some(event.at),
                }
            }
            Fact::Spawned { pid, .. } => (self.pid, self.started_at) = (*pid, Some(event.at)),
            // The cached data may come from a record that is newer than the event, so values of later attempts are
            // removed.
            Fact::Submitted => {
                (self.attempt, self.pid) = (None, None);
                self.reported = ReportedOutcome::default();
                self.started_at = (self.begins == StartTrigger::AtOnce).then_some(event.at);
            }
            Fact::NeverRan | Fact::BecameDue => (self.pid, self.started_at) = (None, None),
            Fact::OutcomeReported(outcome) => self.reported = self.reported.updated(outcome),
            Fact::RetryScheduled { .. }
            | Fact::TestsReported(_)
            | Fact::TestsDoubted(_)
            | Fact::StageChanged { .. }
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
            | Fact::NodeLost { .. }
            | Fact::Restored { .. }
            | Fact::Ended { .. }
            | Fact::SignalSent { .. }
            | Fact::OrphanStopRequested { .. }
            | Fact::LateExit { .. } => {}
        }
    }
}

/// Cache of data about the processes whose events a reader has recently read.
#[derive(Debug, Default)]
pub(crate) struct SubjectCache {
    known: BTreeMap<ProcessId, (u64, EventSubject)>,
    uses: u64,
    /// Pids that were logged shortly before the first end event of this reader. `None` until the pids are needed.
    earlier: Option<BTreeMap<ProcessId, u32>>,
}

impl SubjectCache {
    /// Returns the data about a process as it was after `event`. The inner value is `None` if the process was pruned;
    /// the outer value is `None` when the engine has shut down.
    pub(crate) async fn with(
        &mut self,
        engine: &Engine,
        id: ProcessId,
        event: &Event,
    ) -> Option<Option<&EventSubject>> {
        if !self.known.contains_key(&id) {
            let ids = [id];
            let mut found = patiently(engine, || engine.processes(&ids)).await?;
            let Some(stored) = found.pop().flatten() else { return Some(None) };
            self.remember(id, EventSubject::of(&stored));
        }
        self.uses += 1;
        let uses = self.uses;
        Some(self.known.get_mut(&id).map(|(used, subject)| {
            *used = uses;
            subject.note(event);
            &*subject
        }))
    }

    /// Adds missing data about a process that has ended. The data comes from the final record of the process and from
    /// events that were logged before the reader started.
    pub(crate) async fn complete(
        &mut self,
        engine: &Engine,
        id: ProcessId,
        place: EventCursor,
    ) -> Option<()> {
        let lacks = |subject: &EventSubject| subject.started_at.is_none() || subject.attempt.is_none();
        if self.known.get(&id).is_some_and(|(_, subject)| lacks(subject)) {
            let ids = [id];
            let found = patiently(engine, || engine.processes(&ids)).await?.pop().flatten();
            if let (Some((_, subject)), Some(stored)) = (self.known.get_mut(&id), found) {
                subject.place(&stored.process);
            }
        }
        let wants_pid = |subject: &EventSubject| {
            subject.begins == StartTrigger::WhenSpawned
                && subject.pid.is_none()
                && subject.started_at.is_some()
        };
        if !self.known.get(&id).is_some_and(|(_, subject)| wants_pid(subject)) {
            return Some(());
        }
        if self.earlier.is_none() {
            self.earlier = Some(pids_before(engine, place).await?);
        }
        let pid = self.earlier.as_ref().and_then(|earlier| earlier.get(&id)).copied();
        if let Some((_, subject)) = self.known.get_mut(&id) {
            subject.pid = pid;
        }
        Some(())
    }

    /// Returns the cached data about a process.
    pub(crate) fn known(&self, id: ProcessId) -> Option<&EventSubject> {
        self.known.get(&id).map(|(_, subject)| subject)
    }

    /// Removes a process from the cache, because no more events about it will follow.
    pub(crate) fn forget(&mut self, id: ProcessId) {
        self.known.remove(&id);
    }

    fn remember(&mut self, id: ProcessId, subject: EventSubject) {
        if self.known.len() >= MAX_CACHED
            && let Some(oldest) = self.known.iter().min_by_key(|(_, (used, _))| *used).map(|(id, _)| *id)
        {
            self.known.remove(&oldest);
        }
        self.uses += 1;
        self.known.insert(id, (self.uses, subject));
    }
}

/// Returns the pids of commands from the last [`LOOKBACK_EVENTS`] events before `place`.
async fn pids_before(engine: &Engine, place: EventCursor) -> Option<BTreeMap<ProcessId, u32>> {
    let from = EventCursor(place.0.saturating_sub(LOOKBACK_EVENTS.into()));
    let page = patiently(engine, || engine.log(Some(from), LOOKBACK_EVENTS, false)).await?;
    let mut pids = BTreeMap::new();
    for logged in page.events.iter().filter(|logged| logged.cursor < place) {
        if let Fact::Spawned { pid: Some(pid), .. } = &logged.event.fact {
            pids.insert(logged.id, *pid);
        }
    }
    Some(pids)
}

/// Returns the program and arguments of a command, truncated to [`MAX_COMMAND_LEN`] bytes.
fn command_line(process: &Process) -> Vec<String> {
    let Some(command) = process.spec.command() else { return Vec::new() };
    let mut left = MAX_COMMAND_LEN;
    let mut words = Vec::new();
    for word in std::iter::once(&command.program).chain(&command.args) {
        if word.len() > left {
            words.push(format!("{}…", word.get(..word.floor_char_boundary(left)).unwrap_or_default()));
            break;
        }
        left = left.saturating_sub(word.len() + 1);
        words.push(word.clone());
    }
    words
}
