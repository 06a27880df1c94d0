//! Converts the record of a process to the view that clients get.

use crate::convert::agent_doubt;
use crate::convert::moment::rfc3339;
use crate::convert::monitoring;
use crate::convert::reason;
use crate::convert::test_report;
use longhaul_domain::{
    ChildrenPolicy, Condition, EndTimePrecision, Ending, Exit, ExitStatus, Failure, FirstError, Leftovers,
    LiveStats, NodeId, Pending, Process, Progress, QueueHold, ResourceLimits, SessionPolicy, State, Status,
    StopPhase, Timestamp, TokenCounts, TreeUsage, Work,
};
use longhaul_engine::ports::{ListeningPort, StoredProcess};
use longhaul_wire::api::{
    ExitView, FirstErrorView, HolderView, LimitsView, ListeningPortView, PendingView, PortHolderView,
    ProcessView, StartFailureView, TokensView, TreeUsageView, UsageView,
};
use std::time::Duration;

/// Data that the view of a process needs in addition to its record.
#[derive(Debug, Default)]
pub(super) struct ProcessContext {
    pub(super) now: Timestamp,
    /// Path of the output log, if the output is on this node.
    pub(super) log_path: Option<String>,
    pub(super) hindrance: BlockedBy,
    /// Current resource usage of the command and its descendants.
    pub(super) usage: Option<TreeUsage>,
    /// Current size of the output in bytes, if the record does not contain the final size yet.
    pub(super) written: Option<u64>,
    /// Time since the last output.
    pub(super) silent_for: Option<Duration>,
    /// Ports on which the command and its descendants listen.
    pub(super) listening: Option<Vec<ListeningPort>>,
    /// Other node that stores the output of the latest attempt. `None` if this node stores it.
    pub(super) elsewhere: Option<NodeId>,
    /// Pids of the live members of the process tree.
    pub(super) members: Option<Vec<u32>>,
}

/// Obstacle that prevents a queued process from starting even when a slot is free.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum BlockedBy {
    /// No obstacle: the process is waiting only for a slot.
    #[default]
    None,
    /// The queue is on hold.
    Held(QueueHold),
    /// The store has lost data. No process starts until the nodes have restored the data.
    Settling {
        /// Time at which processes may start again.
        until: Timestamp,
    },
    /// No available node may run the process.
    NoNode {
        /// Nodes that fit the placement of the process but are draining.
        draining: Vec<NodeId>,
    },
}

/// Converts a record and its live data to the view that clients get.
pub(super) fn basic_view(stored: &StoredProcess, around: ProcessContext) -> ProcessView {
    let now = around.now;
    let process = &stored.process;
    let spec = &process.spec;
    let status = process.status();
    let live_stats = live_stats(stored);
    let execution = process.state.execution();
    let ended = ended(process);
    let exit = ended.and_then(|ended| ended.ending.exit());
    let command = spec.command();
    let lineage = &process.lineage;
    let agent = &spec.agent;
    let (on_session_end, session_grace) = session(spec.on_session_end);
    let eta = if status == Status::Running { live_stats.eta(now) } else { None };
    ProcessView {
        id: process.id.to_string(),
        work: work(&spec.work).to_owned(),
        kind: spec.kind.to_string(),
        name: spec.name.as_ref().map(ToString::to_string),
        project: spec.project.as_ref().map(ToString::to_string),
        session_id: spec.session.as_ref().map(ToString::to_string),
        description: spec.description.clone(),
        metadata: spec.metadata.as_ref().and_then(|text| serde_json::from_str(text.as_str()).ok()),
        command: command.map_or_else(Vec::new, |command| {
            std::iter::once(&command.program).chain(&command.args).cloned().collect()
        }),
        directory: command.map(|command| command.directory.clone()),
        stdin: command.map(|command| monitoring::stdin(&command.stdin).to_owned()),
        status: status.as_str().to_owned(),
        pending: pending(&process.state, &around.hindrance),
        reason: not_started(process, &around).or_else(|| {
            let members = around.members.as_deref().unwrap_or_default();
            reason::reason(process, now, &around.hindrance, members)
        }),
        stage: super::remote_stage::after_cut(process)
            .or_else(|| live_stats.stage.as_ref().map(ToString::to_string)),
        progress: progress(process, live_stats).map(Progress::percent),
        eta_ms: eta.map(|(left, _)| millis(left)),
        eta_source: eta.map(|(_, source)| source.as_str().to_owned()),
        attempt: process.attempt.0,
        max_attempts: spec.retry.retries.saturating_add(1),
        node_id: process.node.as_ref().map(ToString::to_string),
        parent_id: lineage.parent().map(|id| id.to_string()),
        root_id: lineage.root(process.id).to_string(),
        level: lineage.level().0,
        restarted_from: lineage.restarted_from.map(|id| id.to_string()),
        children: children(spec.children).to_owned(),
        children_on_failure: children(spec.children_on_failure.unwrap_or(spec.children)).to_owned(),
        cancelling_descendants: process.cascade.is_some(),
        on_session_end: on_session_end.to_owned(),
        session_grace_ms: session_grace.map(millis),
        cancel_at: process.session_deadline().map(rfc3339),
        key: spec.key.as_ref().map(ToString::to_string),
        priority: process.priority.value(),
        launch_key: spec.launch_key.as_ref().map(ToString::to_string),
        agent_id: agent.agent_id.as_ref().map(ToString::to_string),
        agent_type: agent.agent_type.as_ref().map(ToString::to_string),
        capabilities: agent.capabilities.iter().map(ToString::to_string).collect(),
        parent_message_id: agent.parent_message_id.clone(),
        prompt: agent.prompt.clone(),
        agent: agent.agent.clone(),
        model: agent.model.clone(),
        runner: command.and_then(|command| command.runner.as_ref()).map(|runner| runner.name.clone()),
        tokens: process.reported.tokens.map(tokens),
        agent_session_id: process.reported.agent_session.clone(),
        pid: execution.and_then(|execution| execution.pid),
        containment: process.state.containment().map(|containment| containment.as_str().to_owned()),
        ended_by: ended.and_then(|ended| ended.ending.blame()).map(|blame| blame.as_str().to_owned()),
        exit: exit.map(self::exit),
        exit_code: exit.and_then(|exit| match exit.status {
            ExitStatus::Code(code) => Some(code),
            ExitStatus::Signal { .. } => None,
        }),
        error: not_started(process, &around)
            .or_else(|| ended.and_then(|ended| error(process, &ended.ending, now))),
        first_error: exit.and_then(|exit| exit.first_error.as_deref()).map(first_error),
        first_error_incomplete: exit.is_some_and(|exit| exit.circumstances.search_incomplete),
        tests: test_report::live_tests(process, live_stats),
        start_failure: ended.and_then(|ended| start_failure(&ended.ending)),
        result: ended
            .and_then(|ended| match &ended.ending {
                Ending::Completed { result, .. } => {
                    result.as_ref().and_then(|text| serde_json::from_str(text.as_str()).ok())
                }
                Ending::Failed { .. }
                | Ending::Timeout { .. }
                | Ending::Cancelled { .. }
                | Ending::Interrupted { .. } => None,
            })
            .or_else(|| serde_json::from_str(process.reported.result.as_ref()?.as_str()).ok()),
        late_exit: ended.and_then(|ended| ended.late.as_ref()).map(|late| self::exit(&late.exit)),
        conditions: conditions(process),
        stale_since: None,
        ready: command
            .is_some_and(|command| command.ready_when.is_some())
            .then(|| process.conditions.holds(Condition::Ready)),
        idle_ms: around.silent_for.map(millis),
        listening_ports: around.listening.map(|ports| ports.iter().map(listening).collect()),
        queued_at: rfc3339(process.queued_at),
        started_at: process.started_at.map(rfc3339),
        completed_at: process.completed_at().map(rfc3339),
        updated_at: rfc3339(updated_at(stored)),
        completed_at_precision: ended.and_then(|ended| dating(&ended.ending)).map(ToOwned::to_owned),
        duration_ms: duration(process, now).map(millis),
        timeout_ms: command.and_then(|command| command.timeout).map(millis),
        output_bytes: command.and(match (exit, around.written, &around.elsewhere) {
            (_, Some(written), _) => Some(written),
            (Some(exit), None, _) => Some(exit.output_bytes),
            // While the output grows, only the node that runs the command has its current size.
            (None, None, Some(_)) => None,
            (None, None, None) => Some(live_stats.output_bytes),
        }),
        limits: command.map(|command| limits(&command.limits)),
        usage: around.usage.as_ref().map(tree_usage),
        log_path: around.log_path,
        revision: stored.revision.0,
    }
}

/// Converts a process that holds a slot to the view of a slot holder that clients get.
pub(super) fn holder(process: &Process) -> HolderView {
    HolderView {
        id: process.id.to_string(),
        name: process.spec.name.as_ref().map(ToString::to_string),
        status: Some(process.status().as_str().to_owned()),
        started_at: process.started_at.map(rfc3339),
    }
}

/// Returns the message for a start that failed on another node. The message names the node, because directories and
/// programs differ between nodes.
fn not_started(process: &Process, around: &ProcessContext) -> Option<String> {
    let Ending::Failed { failure: Failure::Start(failure) } = &ended(process)?.ending else { return None };
    let node = around.elsewhere.as_ref()?;
    Some(format!("could not be started on node {node}: {}", failure.detail))
}

fn start_failure(ending: &Ending) -> Option<StartFailureView> {
    let Ending::Failed { failure: Failure::Start(failure) } = ending else { return None };
    Some(StartFailureView { stage: failure.stage.as_str().to_owned(), errno: failure.errno })
}

const fn work(work: &Work) -> &'static str {
    match work {
        Work::Command(_) => "command",
        Work::Reported(_) => "reported",
    }
}

pub(super) fn ended(process: &Process) -> Option<&longhaul_domain::Ended> {
    match &process.state {
        State::Ended(ended) => Some(ended),
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

/// Returns the live stats of a process. After its work has ended, these are the final live stats in the ending.
fn live_stats(stored: &StoredProcess) -> &LiveStats {
    match &stored.process.state {
        State::Ended(ended) => &ended.live_stats,
        State::AwaitingChildren(lingering) => &lingering.live_stats,
        State::Pending(_)
        | State::Starting { .. }
        | State::Running { .. }
        | State::Reported { .. }
        | State::Paused { .. }
        | State::Stopping { .. }
        | State::CancelRequested { .. } => &stored.live_stats,
    }
}

/// Returns the time at which the record of a process last changed, including its live stats.
pub(crate) fn updated_at(stored: &StoredProcess) -> Timestamp {
    live_stats(stored).updated_at().map_or(stored.process.updated_at, |at| at.max(stored.process.updated_at))
}

/// Returns the number of output bytes that the latest attempt of an ended process wrote. Returns 0 for a live process.
pub(super) fn output_at_end(stored: &StoredProcess) -> u64 {
    let Some(ended) = ended(&stored.process) else { return 0 };
    ended.ending.exit().map_or(ended.live_stats.output_bytes, |exit| exit.output_bytes)
}

/// Returns the progress in percent: 100 for completed processes, and at least 0 (never `None`) for reported work.
fn progress(process: &Process, live_stats: &LiveStats) -> Option<Progress> {
    match (process.status(), &process.spec.work) {
        (Status::Completed, _) => Some(Progress::DONE),
        (_, Work::Reported(_)) => live_stats.progress.or(Some(Progress::NONE)),
        (_, Work::Command(_)) => live_stats.progress,
    }
}

fn pending(state: &State, hindrance: &BlockedBy) -> Option<PendingView> {
    let State::Pending(pending) = state else {
        return None;
    };
    let (why, due, last_error) = match pending {
        Pending::Queued => match hindrance {
            BlockedBy::None => ("queued", None, None),
            BlockedBy::Held(_) => ("held", None, None),
            BlockedBy::Settling { until } => ("settling", Some(*until), None),
            BlockedBy::NoNode { .. } => ("no_node", None, None),
        },
        Pending::Delayed { until } => ("delayed", Some(*until), None),
        Pending::Retrying { at, after } => ("retry", Some(*at), Some(reason::of_ending(after))),
    };
    Some(PendingView { why: why.to_owned(), due_at: due.map(rfc3339), last_error })
}

/// Returns the error message of a process that did not complete. A cancelled process has an error message only if the
/// command reported an error.
fn error(process: &Process, ending: &Ending, now: Timestamp) -> Option<String> {
    match ending {
        Ending::Completed { .. } => None,
        Ending::Cancelled { .. } => process.reported.error.clone(),
        Ending::Failed { .. } | Ending::Timeout { .. } | Ending::Interrupted { .. } => {
            let found = || ending.exit()?.first_error.as_ref().map(|error| error.message.clone());
            let ended = || reason::reason(process, now, &BlockedBy::None, &[]);
            process.reported.error.clone().or_else(found).or_else(ended)
        }
    }
}

/// Converts the first error in the output of a failed command to the view for clients.
pub(crate) fn first_error(error: &FirstError) -> FirstErrorView {
    FirstErrorView {
        kind: error.kind.clone(),
        message: error.message.clone(),
        file: error.file.clone(),
        line: error.line,
        column: error.column,
        stream: error.has_place.then(|| if error.on_stdout { "stdout" } else { "stderr" }.to_owned()),
        offset: error.has_place.then_some(error.offset),
        detail: error.detail.clone(),
        port_holder: error.port_holder.as_ref().map(|holder| PortHolderView {
            port: holder.port,
            pid: holder.pid,
            name: holder.name.clone(),
        }),
    }
}

const fn tokens(TokenCounts { input, output, cached }: TokenCounts) -> TokensView {
    TokensView { input, output, cached }
}

fn exit(exit: &Exit) -> ExitView {
    let (code, signal, core) = match exit.status {
        ExitStatus::Code(code) => (Some(code), None, false),
        ExitStatus::Signal { number, core } => (None, Some(number), core),
    };
    ExitView {
        code,
        signal,
        core,
        stopped_by: exit.stopped.map(|cause| cause.as_str().to_owned()),
        limit: exit.limit.map(|limit| limit.as_str().to_owned()),
        last_signal: exit.last_signal,
        leftovers_killed: exit.leftovers_killed,
        leftovers_found: exit.leftovers_found,
        dropped_bytes: exit.dropped_bytes,
        paused: exit.circumstances.paused,
        output_open: exit.circumstances.output_open,
        exit_unobserved: exit.circumstances.exit_unobserved,
        usage: UsageView {
            user_ms: millis(exit.usage.user),
            system_ms: millis(exit.usage.system),
            peak_memory_bytes: exit.usage.peak_memory,
        },
    }
}

fn listening(listening: &ListeningPort) -> ListeningPortView {
    ListeningPortView { address: listening.address.to_string(), port: listening.port }
}

/// Returns the conditions that may need attention. `ready` is left out because the view has a separate field for it.
fn conditions(process: &Process) -> Vec<String> {
    let noticed = process.conditions.iter().map(|(condition, _)| condition);
    let mut conditions: Vec<String> = noticed
        .filter(|condition| *condition != Condition::Ready)
        .map(|condition| condition.as_str().to_owned())
        .collect();
    if let State::Stopping { phase: StopPhase::Stuck, .. } = &process.state {
        conditions.push("stuck".to_owned());
    }
    if let State::AwaitingChildren(_) = &process.state {
        conditions.push("waits_for_children".to_owned());
    }
    if let Some(ended) = ended(process) {
        let kept = process.spec.command().is_some_and(|command| command.leftovers == Leftovers::Keep);
        if kept && ended.ending.exit().is_some_and(|exit| exit.leftovers_found > 0) {
            conditions.push("detached_children".to_owned());
        }
        if ended.ending.is_unverified() {
            conditions.push("tree_unverified".to_owned());
        }
    }
    if process.tests.as_ref().is_some_and(|tests| tests.doubt.is_some()) {
        conditions.push(test_report::TESTS_DOUBTFUL.to_owned());
    }
    if agent_doubt::doubt(process).is_some() {
        conditions.push(agent_doubt::RESULT_DOUBTFUL.to_owned());
    }
    conditions
}

/// Returns the precision of the recorded end time, or `None` if the time is exact.
pub(crate) const fn dating(ending: &Ending) -> Option<&'static str> {
    match ending.dating() {
        EndTimePrecision::Exact => None,
        EndTimePrecision::Latest => Some("latest"),
        EndTimePrecision::DeclaredLost => Some("given_up"),
    }
}

const fn children(policy: ChildrenPolicy) -> &'static str {
    match policy {
        ChildrenPolicy::Keep => "keep",
        ChildrenPolicy::Cancel => "cancel",
        ChildrenPolicy::Wait => "wait",
    }
}

const fn session(policy: SessionPolicy) -> (&'static str, Option<Duration>) {
    match policy {
        SessionPolicy::Keep => ("keep", None),
        SessionPolicy::Cancel => ("cancel", None),
        SessionPolicy::Grace(grace) => ("grace", Some(grace)),
    }
}

const fn limits(limits: &ResourceLimits) -> LimitsView {
    LimitsView {
        cpu_seconds: limits.cpu_seconds,
        memory_bytes: limits.memory_bytes,
        open_files: limits.open_files,
        processes: limits.processes,
        file_bytes: limits.file_bytes,
    }
}

/// Converts the resource usage of a process tree to the view for clients.
pub(super) fn tree_usage(usage: &TreeUsage) -> TreeUsageView {
    TreeUsageView {
        processes: usage.processes,
        cpu_ms: millis(usage.cpu),
        memory_bytes: usage.memory,
        read_bytes: usage.read,
        written_bytes: usage.written,
        limited_by: usage.limited_by.as_str().to_owned(),
    }
}

/// Returns the run time of the latest attempt, up to now or up to its end. Returns `None` before the first start and
/// while a process is waiting for its next attempt.
pub(super) fn duration(process: &Process, now: Timestamp) -> Option<Duration> {
    let started = process.started_at?;
    match &process.state {
        State::Pending(_) | State::Starting { .. } => None,
        State::Ended(ended) => Some(ended.at.since(started)),
        State::Running { .. }
        | State::Reported { .. }
        | State::Paused { .. }
        | State::Stopping { .. }
        | State::CancelRequested { .. }
        | State::AwaitingChildren(_) => Some(now.since(started)),
    }
}

pub(super) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
