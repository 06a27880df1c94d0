//! Conversion of errors to the [`Problem`]s that clients get.

mod store_failure;

use crate::convert::{command_line, span};
use longhaul_domain::{
    ActionKind, InvalidSignal, InvalidText, Level, NodeId, Process, ProcessId, Rejection, Status, Work,
};
use longhaul_engine::ports::{ArtifactError, StoreError, StoreRejection};
use longhaul_engine::{Candidate, EngineError, InputRefusal, LaunchBlocked, ReferenceField, with_causes};
use longhaul_wire::api::Problem;
use std::error::Error;
use std::fmt::{self, Display};
use std::io;
use store_failure::unstored;

/// An error for a client.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiError(Box<Problem>);

impl ApiError {
    /// Creates an error. `status` is the HTTP status code, and `slug` is the error code.
    #[must_use]
    pub fn new(status: u16, slug: &str, title: impl Into<String>) -> Self {
        Self(Box::new(Problem { slug: slug.to_owned(), title: title.into(), status, ..Problem::default() }))
    }

    /// Creates an error from the problem that another manager returned.
    pub(crate) fn of_problem(problem: Problem) -> Self {
        Self(Box::new(problem))
    }

    /// Creates the error for an invalid request or parameter. `what` names the parameter.
    #[must_use]
    pub fn invalid(what: &str, why: impl Into<String>) -> Self {
        Self::new(400, "invalid_request", format!("invalid {what}")).because(why)
    }

    /// Creates the error for a text that cannot be parsed. `what` names the kind of value that was expected.
    #[must_use]
    pub fn unreadable(what: &str, text: &str, why: &dyn Display) -> Self {
        Self::new(400, "invalid_request", format!("{text:?} is not a valid {what}")).because(why.to_string())
    }

    /// Sets the detail, which is the reason for the error.
    #[must_use]
    pub fn because(mut self, why: impl Into<String>) -> Self {
        self.0.detail = Some(why.into());
        self
    }

    /// Sets the help, which is the next step that the user should take.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.0.help = Some(help.into());
        self
    }

    /// Replaces the HTTP status and the error code. Needed by an interface that has its own codes.
    #[must_use]
    pub fn of_kind(mut self, status: u16, slug: &str) -> Self {
        self.0.status = status;
        slug.clone_into(&mut self.0.slug);
        self
    }

    /// Returns the problem that the client gets.
    #[must_use]
    pub fn problem(&self) -> &Problem {
        &self.0
    }

    /// Converts the error to the problem that the client gets.
    #[must_use]
    pub fn into_problem(self) -> Problem {
        *self.0
    }

    /// Creates the error for a request that reports the status `running` for a process that is not running.
    pub(crate) fn not_running(process: &Process) -> Self {
        let (slug, status) = ("invalid_status_transition", process.status());
        let title = format!("cannot set the status running on a process that is {status}");
        let mut fault = Self::new(409, slug, title);
        let reported = matches!(process.spec.work, Work::Reported(_));
        if status.is_ended() {
            fault =
                fault.because(ALREADY_ENDED_HELP).help(again(reported).replace("ID", &process.id.short()));
        }
        fault.0.reported = reported;
        fault.0.current_status = Some(status.as_str().to_owned());
        fault.0.attempted = Some(Status::Running.as_str().to_owned());
        fault
    }

    /// Creates the error for a launch whose parent cannot be found.
    pub(crate) fn of_parent(error: EngineError) -> Self {
        let is_unknown = matches!(error, EngineError::NotFound { .. });
        let fault = Self::from(error);
        if !is_unknown {
            return fault;
        }
        fault
            .because("the launch names this process as its parent")
            .help("launch without a parent, or give a live parent")
    }

    /// Creates the error for an unknown node name.
    fn unknown_node(title: String) -> Self {
        Self::new(404, "node_not_found", title).help("`longhaul node list` lists the nodes")
    }

    /// Creates the error for a launch on a node that never joined the store. `known` are the nodes that have joined.
    pub(crate) fn of_place(node: NodeId, known: impl IntoIterator<Item = NodeId>) -> Self {
        const MAX_CANDIDATES: usize = 10;
        let known: Vec<String> = known.into_iter().map(|node| node.to_string()).collect();
        let mut named = known.iter().take(MAX_CANDIDATES).cloned().collect::<Vec<_>>().join(", ");
        if known.len() > MAX_CANDIDATES {
            named.push_str(", …");
        }
        Self::unknown_node(EngineError::NodeUnknown { node }.to_string())
            .because(format!(
                "the node never joined the cluster, so the launch would wait forever; nodes: {named}"
            ))
            .among(known)
    }

    /// Replaces the title. The old title becomes the detail if the error has no detail yet.
    fn under(mut self, title: String) -> Self {
        let own = std::mem::replace(&mut self.0.title, title);
        self.0.detail.get_or_insert(own);
        self
    }

    fn at_level(mut self, level: Level, used: Option<u32>, max: u32) -> Self {
        self.0.level = Some(level.0);
        self.0.used = used.map(u64::from);
        self.0.max = Some(max.into());
        self
    }

    fn among(mut self, candidates: impl IntoIterator<Item = String>) -> Self {
        self.0.candidates = candidates.into_iter().collect();
        self
    }
}

impl Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.title)
    }
}

impl Error for ApiError {}

impl From<InvalidText> for ApiError {
    fn from(error: InvalidText) -> Self {
        Self::invalid(error.what, error.why)
    }
}

impl From<InvalidSignal> for ApiError {
    fn from(error: InvalidSignal) -> Self {
        let help = match &error {
            InvalidSignal::Unknown { .. } => "use a name, such as USR1 or SIGHUP, or a number from 1 to 64",
            InvalidSignal::Kills => "`longhaul cancel --force ID` kills the process and its descendants",
            InvalidSignal::Halts { .. } => "`longhaul pause ID` pauses the process and its descendants",
            InvalidSignal::Continues => "`longhaul resume ID` resumes the process and its descendants",
        };
        Self::invalid("signal", error.to_string()).help(help)
    }
}

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        let title = error.to_string();
        match error {
            EngineError::NotFound { .. } => Self::new(404, "process_not_found", title).help(
                "`longhaul status -a` lists all processes; ended ones are deleted after a while (`retention.*`)",
            ),
            EngineError::Ambiguous { by, candidates, .. } => Self::new(409, "ambiguous_id", title)
                .help(match by {
                    ReferenceField::IdPrefix => "use more characters of the id",
                    ReferenceField::Name => "several live processes have this name: use an id",
                    ReferenceField::Agent => "the agent has several live processes: use the id of one of them",
                })
                .among(candidates.iter().map(described)),
            EngineError::OtherSessions { candidates, .. } => Self::new(404, "process_not_found", title)
                .because("processes of other sessions have this name")
                .help("use the id of the process")
                .among(candidates.iter().map(described)),
            EngineError::Rejected { id, rejection } => rejected(&rejection, &id.short()),
            EngineError::Refused { refusal } => refused(&refusal),
            EngineError::KeyConflict { holder, differs, .. } => conflict(title, holder, &differs),
            EngineError::LaunchPruned { id, .. } => Self::new(409, "launch_pruned", title)
                .because("a launch key starts one process, also after its record was pruned")
                .help("use another launch key to run the command again")
                .among([id.to_string()]),
            EngineError::RevisionMoved { found, .. } => {
                let mut fault =
                    Self::new(409, "revision_conflict", title).help("read the process again, then repeat the request");
                fault.0.revision = Some(found.0);
                fault
            }
            EngineError::Invalid { why, help, .. } => {
                let fault = Self::new(400, "invalid_request", title).because(why);
                match help {
                    Some(help) => fault.help(help),
                    None => fault,
                }
            }
            EngineError::Artifacts { source: ArtifactError::NotListed { key, path } } => {
                Self::new(404, "artifact_not_found", format!("{} has no artifact {path:?}", key.id.short()))
                    .because(format!("the artifacts of attempt {} do not include it", key.attempt))
                    .help(format!("`longhaul artifacts {}` lists the artifacts", key.id.short()))
            }
            EngineError::Artifacts { source } => Self::new(500, "internal", title).because(with_causes(&source)),
            EngineError::Output { source } => Self::new(500, "internal", title).because(with_causes(&source)),
            EngineError::EnvironmentStore { source } if is_disk_full(&source) => Self::new(507, "store_full", title)
                .because(with_causes(&source))
                .help("free space on the disk of the state directory: `longhaul doctor` shows the free space, `longhaul prune` deletes old records; running work continues"),
            EngineError::EnvironmentStore { source } => Self::new(500, "internal", title).because(with_causes(&source)),
            EngineError::Store { source } => unstored(&source),
            EngineError::EnvironmentNotPortable { .. } => Self::new(400, "environment_not_portable", title)
                .because("captured variables are stored only on the node that captured them")
                .help("declare the variables instead: --clear-env -e NAME=VALUE; declared variables are readable in the store, so put secrets in a file on that node"),
            EngineError::CannotStartNow { standstill } => Self::new(409, "no_slot", title).help(match standstill {
                LaunchBlocked::Drains { node } => format!(
                    "`longhaul node undrain {node}` ends the drain; without --no-queue the launch waits"
                ),
                LaunchBlocked::Settles | LaunchBlocked::Elsewhere => {
                    "launch without --no-queue, and with limits.refuse_when_full = false, to wait".to_owned()
                }
            }),
            EngineError::NodeUnknown { .. } => Self::unknown_node(title),
            EngineError::NodeAlive { node } => Self::new(409, "node_alive", title)
                .because("only a node that left or is lost can be forgotten")
                .help(format!("`longhaul node drain {node}` stops the node from starting processes")),
            EngineError::DrainUnsupported { .. } => Self::new(409, "unsupported", title)
                .because("there is no other node that could start work instead")
                .help("hold the queues: `longhaul queue KEY --hold`"),
            EngineError::StopUnrecorded { source: source @ StoreError::Unavailable { .. }, .. } => {
                Self::new(503, "store_unavailable", title)
                    .because(with_causes(&source))
                    .help("nothing to do: the stop is recorded when the store is back")
            }
            EngineError::StopUnrecorded { source, .. } => unstored(&source).under(title).help(
                "make the store writable (is the disk of the state directory full?)",
            ),
            EngineError::ResetUnfinished { source: source @ StoreError::Unavailable { .. }, .. } => {
                Self::new(503, "store_unavailable", title)
                    .because(with_causes(&source))
                    .help("repeat the reset when the store is back; the requested stops continue")
            }
            EngineError::ResetUnfinished { source, .. } => unstored(&source).under(title).help(
                "make the store writable, then repeat the reset; the requested stops continue",
            ),
            EngineError::ResetInProgress => Self::new(503, "resetting", title)
                .because("all processes are being stopped and deleted")
                .help("launch again when the reset has finished"),
            EngineError::ShuttingDown => Self::new(503, "shutting_down", title)
                .help("try again: the next command starts a new manager"),
            EngineError::UntrustedLaunch { fault, .. } => Self::new(409, "launch_not_trusted", title).help(fault.help()),
            EngineError::InputRefused { refusal, .. } => unwritten(title, &refusal),
            EngineError::Broken { .. } | _ => Self::new(500, "internal", title),
        }
    }
}

/// Describes a candidate process in one line, with the data that distinguishes it from other processes of the same
/// name.
fn described(candidate: &Candidate) -> String {
    const MAX_COMMAND_LEN: usize = 60;
    let mut line = candidate.id.to_string();
    let mut add = |text: &str| line.push_str(text);
    if let Some(name) = &candidate.name {
        add(&format!(" {name}"));
    }
    add(&format!(" ({}, launched {} ago", candidate.status, span(candidate.age)));
    if let Some(session) = &candidate.session {
        add(&format!(", session {session}"));
    }
    if let Some(directory) = &candidate.directory {
        add(&format!(", in {directory}"));
    }
    if !candidate.command.is_empty() {
        let command = command_line(&candidate.command);
        let begin: String = command.chars().take(MAX_COMMAND_LEN).collect();
        let more = if begin.len() < command.len() { "…" } else { "" };
        add(&format!(": {begin}{more}"));
    }
    add(")");
    line
}

fn unwritten(title: String, refusal: &InputRefusal) -> ApiError {
    match refusal {
        InputRefusal::NoPipe => ApiError::new(409, "unsupported", title)
            .because("the input of a command is chosen at its launch")
            .help("launch the command with `stdin_pipe` (`longhaul run --stdin-pipe`) to send input while it runs"),
        InputRefusal::NotRunning { status } => {
            let mut fault = ApiError::new(409, "invalid_status_transition", title)
                .because("only a running process reads input")
                .help("wait until the process runs, or check how it ended");
            fault.0.current_status = Some(status.as_str().to_owned());
            fault.0.attempted = Some("send".to_owned());
            fault
        }
        InputRefusal::Elsewhere { .. } => {
            ApiError::new(409, "wrong_node", title).help("use the manager of that node")
        }
        InputRefusal::Closed => ApiError::new(409, "input_closed", title)
            .because("the input was closed with `close`, or no program reads it any more")
            .help("the input cannot be opened again: restart the process"),
        InputRefusal::Unreachable { .. } => ApiError::new(503, "input_unavailable", title).help("try again"),
    }
}

fn conflict(title: String, holder: ProcessId, differs: &[&'static str]) -> ApiError {
    let mut fault = ApiError::new(409, "key_conflict", title)
        .because("a launch key identifies one command, directory, type, key, limits and declared variables")
        .help("use another launch key, or repeat the first launch exactly")
        .among([holder.to_string()]);
    fault.0.differs = differs.iter().map(ToString::to_string).collect();
    fault
}

fn rejected(rejection: &Rejection, id: &str) -> ApiError {
    let fault = ApiError::new(409, rejection.slug(), rejection.to_string());
    let (status, attempted) = match rejection {
        Rejection::InvalidStatusTransition { from, attempted, .. } => (*from, *attempted),
        Rejection::Unsupported { status, attempted, .. } => (*status, *attempted),
    };
    let mut fault = match remedy(rejection, status, attempted) {
        Some(ErrorAdvice { why, help }) => fault.because(why).help(help.replace("ID", id)),
        None => fault,
    };
    fault.0.current_status = Some(status.as_str().to_owned());
    fault.0.attempted = Some(attempted.as_str().to_owned());
    fault.0.reported = match rejection {
        Rejection::InvalidStatusTransition { reported, .. } => *reported,
        // The rejection `Unsupported` refuses a restart only for reported work. A restart that was rejected for this
        // reason therefore identifies reported work.
        Rejection::Unsupported { attempted, .. } => *attempted == ActionKind::Restart,
    };
    fault
}

const ALREADY_ENDED_HELP: &str = "an ended process does not change any more";
const RESTART_REPORTING: &str =
    "the program that reports on this work must register it again: `longhaul track start`";

/// Returns advice on how to run an ended process again.
const fn again(reported: bool) -> &'static str {
    if reported { RESTART_REPORTING } else { "`longhaul restart ID` runs the command again as a new process" }
}

struct ErrorAdvice {
    why: &'static str,
    help: &'static str,
}

fn remedy(rejection: &Rejection, status: Status, attempted: ActionKind) -> Option<ErrorAdvice> {
    let way = |why, help| Some(ErrorAdvice { why, help });
    match (rejection, attempted) {
        (Rejection::Unsupported { .. }, ActionKind::Complete | ActionKind::Fail) => {
            way("the end of a command is observed, not reported", "`longhaul cancel ID` ends the process")
        }
        (Rejection::Unsupported { .. }, ActionKind::Restart) => {
            way("reported work has no command that longhaul could run", RESTART_REPORTING)
        }
        (Rejection::Unsupported { .. }, _) => None,
        (_, ActionKind::Restart) => {
            way("only an ended process can be restarted", "cancel the process first: `longhaul cancel ID`")
        }
        (Rejection::InvalidStatusTransition { reported, .. }, _) if status.is_ended() => {
            way(ALREADY_ENDED_HELP, again(*reported))
        }
        (_, ActionKind::Pause) => {
            way("only a running process can be paused", "`longhaul status ID` shows why the process waits")
        }
        (_, ActionKind::Resume) => {
            way("only a paused process can be resumed", "`longhaul status ID` shows its status")
        }
        (_, ActionKind::Signal) => {
            way("only a running process can receive a signal", "`longhaul status ID` shows its status")
        }
        (_, ActionKind::RetryNow) => way(
            "only a process that waits for its next attempt can be retried",
            "`longhaul status ID` shows its status",
        ),
        (_, ActionKind::Prioritize) => {
            way("only a waiting process can be moved in its queue", "`longhaul status ID` shows its status")
        }
        (
            _,
            ActionKind::Progress
            | ActionKind::ReportOutcome
            | ActionKind::Complete
            | ActionKind::Fail
            | ActionKind::Cancel
            | ActionKind::Force
            | ActionKind::Terminate
            | ActionKind::EndSession,
        ) => None,
    }
}

/// Returns true if an error is caused by a full disk or an exhausted disk quota.
fn is_disk_full(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        if matches!(kind, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)) {
            return true;
        }
        cause = error.source();
    }
    false
}

fn refused(refusal: &StoreRejection) -> ApiError {
    let title = refusal.to_string();
    match refusal {
        StoreRejection::ParentMissing { parent } => {
            ApiError::new(409, "parent_not_found", title).among([parent.to_string()])
        }
        StoreRejection::AncestorClosing { ancestor } => ApiError::new(409, "ancestor_stopping", title)
            .because("a process that is ending accepts no new children")
            .among([ancestor.to_string()]),
        StoreRejection::TooDeep { level, max_level } => ApiError::new(409, "too_deep", title)
            .because("a child is one level below its parent")
            .help("`limits.max_levels` sets the maximum level")
            .at_level(*level, None, max_level.0.into()),
        StoreRejection::LevelFull { level, live, limit } => ApiError::new(409, "level_limit_reached", title)
            .because("the number of live processes on a level of a tree is limited")
            .help("wait until one of these processes ends, or raise `limits.max_per_level`")
            .at_level(*level, Some(*live), *limit),
        StoreRejection::NoSlot { key, holders } => {
            let fault = ApiError::new(409, "no_slot", title);
            match key {
                Some(key) if holders.is_empty() => {
                    fault.because(format!("the queue of the key {key} is on hold, or other processes wait in it"))
                }
                Some(key) => fault.because(format!("every slot of the key {key} is taken")),
                None if holders.is_empty() => {
                    fault.because("other processes are ahead, or the node does not start processes at the moment")
                }
                None => fault
                    .because("the maximum number of running processes is reached (`limits.max_parallel`)"),
            }
            .help("`longhaul queue` shows the queues; launch without --no-queue to wait")
            .among(holders.iter().map(ToString::to_string))
        }
        StoreRejection::HeldByAncestors { holders, .. } => ApiError::new(409, "deadlock_with_ancestors", title)
            .because("the ancestors hold all slots and wait for this process, which would wait for a slot")
            .help("use another key for the child, or give the key more slots (`keys.limit`)")
            .among(holders.iter().map(ToString::to_string)),
        StoreRejection::StalePolicy { .. } => ApiError::new(409, "policy_conflict", title).help("try again"),
        StoreRejection::TooManyPendingActions => ApiError::new(409, "too_many_pending_actions", title)
            .because("the node of the process does not execute its pending actions"),
        StoreRejection::TooLarge { .. } => ApiError::new(413, "payload_too_large", title)
            .help("put large inputs in a file that the command reads"),
        StoreRejection::Full => ApiError::new(507, "store_full", title)
            .because("the disk of the store is full, or the memory of the server (`maxmemory`); running work continues")
            .help("free space on that disk, raise `maxmemory`, or delete old records: `longhaul prune`"),
        StoreRejection::DescendantLives { .. } | _ => ApiError::new(409, "rejected", title),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_domain::SlotKey;
    use longhaul_engine::StopReach;
    use longhaul_engine::ports::EnvironmentStoreError;

    #[test]
    fn environment_that_does_not_fit_on_the_disk_is_reported_as_a_full_disk() {
        for (kind, slug) in [(io::ErrorKind::StorageFull, "store_full"), (io::ErrorKind::Other, "internal")] {
            let source =
                EnvironmentStoreError::Failed { tried: "written", source: Box::new(io::Error::from(kind)) };
            let problem = ApiError::from(EngineError::EnvironmentStore { source }).problem().clone();
            assert_eq!(problem.slug, slug);
            assert_eq!(problem.help.is_some_and(|help| help.contains("free space")), slug == "store_full");
        }
    }

    #[test]
    fn rejection_names_status_attempt_and_way_out() {
        let id: ProcessId = "3f2a9c1b-0000-4000-8000-000000000000".parse().unwrap();
        let rejection = Rejection::InvalidStatusTransition {
            from: Status::Completed,
            attempted: ActionKind::Pause,
            reported: false,
        };
        let ApiError(problem) = ApiError::from(EngineError::Rejected { id, rejection });
        assert_eq!(problem.status, 409);
        assert_eq!(problem.slug, "invalid_status_transition");
        assert_eq!(problem.current_status.as_deref(), Some("completed"));
        assert_eq!(problem.attempted.as_deref(), Some("pause"));
        assert!(problem.help.unwrap().contains("longhaul restart 3f2a9c1b"));
    }

    #[test]
    fn refusal_for_want_of_a_slot_names_the_holders() {
        let holder: ProcessId = "3f2a9c1b-0000-4000-8000-000000000000".parse().unwrap();
        let ApiError(problem) = refused(&StoreRejection::NoSlot {
            key: Some(SlotKey::new("opus").unwrap()),
            holders: vec![holder],
        });
        assert_eq!((problem.status, problem.slug.as_str()), (409, "no_slot"));
        assert_eq!(problem.candidates, [holder.to_string()]);
    }

    #[test]
    fn stop_that_went_ahead_on_a_full_disk_says_both() {
        let id: ProcessId = "3f2a9c1b-0000-4000-8000-000000000000".parse().unwrap();
        let full = || StoreError::Refused(StoreRejection::Full);
        for (reached, word) in [(StopReach::Told, "received a stop request"), (StopReach::Ended, "has ended")]
        {
            let ApiError(problem) =
                ApiError::from(EngineError::StopUnrecorded { id, reached, source: full() });
            assert_eq!((problem.status, problem.slug.as_str()), (507, "store_full"));
            assert!(problem.title.contains(word), "{}", problem.title);
            assert!(problem.detail.unwrap().contains("the store is full"));
            assert!(problem.help.unwrap().contains("writable"));
        }
        let away = || StoreError::Unavailable { source: "it does not answer".into() };
        for error in [
            EngineError::StopUnrecorded { id, reached: StopReach::Told, source: away() },
            EngineError::ResetUnfinished { stopped: vec![id], removed: 0, source: away() },
        ] {
            let ApiError(problem) = ApiError::from(error);
            assert_eq!((problem.status, problem.slug.as_str()), (503, "store_unavailable"));
            let why = problem.detail.unwrap();
            assert!(why.contains("does not answer") && !why.contains("nothing was changed"), "{why}");
        }
        let cleared = EngineError::ResetUnfinished { stopped: vec![id], removed: 0, source: full() };
        let ApiError(problem) = ApiError::from(cleared);
        assert_eq!((problem.status, problem.slug.as_str()), (507, "store_full"));
        assert_eq!(
            problem.title,
            "the reset is incomplete (processes that are stopping: 1, deleted processes: 0)"
        );
        assert!(!problem.help.unwrap().contains("running work continues"));
    }

    #[test]
    fn unknown_outcome_has_a_separate_error_code() {
        let source = Box::new(std::io::Error::other("no answer"));
        let id: ProcessId = "5b7ee1ff-4abb-4c0a-9e5d-0f1de14b6a53".parse().unwrap();
        let op = Some(longhaul_domain::OpId::new(*id.as_uuid()));
        let ApiError(problem) = unstored(&StoreError::Unknown { op, source });
        assert_eq!((problem.status, problem.slug.as_str()), (503, "outcome_unknown"));
        assert!(problem.help.unwrap().contains("before you try again"));
    }

    #[test]
    fn store_error_contains_its_cause() {
        let source = Box::new(std::io::Error::other("disk on fire"));
        let ApiError(problem) = unstored(&StoreError::Unavailable { source });
        assert_eq!((problem.status, problem.slug.as_str()), (503, "store_unavailable"));
        assert_eq!(problem.detail.unwrap().matches("disk on fire").count(), 1);
        assert!(problem.help.unwrap().contains("longhaul doctor"));
    }

    #[test]
    fn damage_and_remedy_are_separate_texts() {
        let (what, remedy) = ("there is nothing any more".to_owned(), "try again".to_owned());
        let ApiError(problem) = unstored(&StoreError::Corrupt { what, remedy });
        assert_eq!(problem.detail.as_deref(), Some("the store is damaged: there is nothing any more"));
        assert_eq!(problem.help.as_deref(), Some("try again"));
    }
}
