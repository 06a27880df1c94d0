//! The spec of a process. It is set at the submission and never changes.

use crate::artifact_pattern::ArtifactPattern;
use crate::ending::Ending;
use crate::id::{
    AgentId, AgentType, Capability, LaunchKey, NodeId, Priority, ProcessName, ProjectName, SessionId, SlotKey,
};
use crate::input::Capabilities;
use crate::json::JsonText;
use crate::monitoring::{ProgressDetection, ReadyWhen, SilencePolicy, WatchPattern};
use crate::process_type::ProcessType;
use crate::retry::RetryPolicy;
use crate::runner::RunnerChoice;
use crate::test_report::TestReporting;
use crate::time::Timestamp;
use std::fmt;
use std::time::Duration;

mod reported;

pub use reported::ReportedSpec;

/// Everything that the caller specifies about a process when it submits the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Command to execute, or reported work.
    pub work: Work,
    /// Type of the process.
    pub kind: ProcessType,
    /// Name of the process, by which users can refer to it.
    pub name: Option<ProcessName>,
    /// Project that the process belongs to.
    pub project: Option<ProjectName>,
    /// Session on whose behalf the process runs.
    pub session: Option<SessionId>,
    /// Description of the process in one sentence.
    pub description: Option<String>,
    /// JSON object of any content that the caller attaches.
    pub metadata: Option<JsonText>,
    /// Agent on whose behalf the process works.
    pub agent: AgentDescriptor,
    /// Concurrency key whose slots the process uses. If `None`, only the limit of the node applies.
    pub key: Option<SlotKey>,
    /// Priority of the process; a higher value is served first.
    pub priority: Priority,
    /// Launch key. A second launch with the same key in the same session never starts a second process.
    pub launch_key: Option<LaunchKey>,
    /// Earliest start time.
    pub not_before: Option<Timestamp>,
    /// Nodes that may run the process.
    pub placement: Placement,
    /// Rules for retrying a failed attempt.
    pub retry: RetryPolicy,
    /// Policy for live descendants when the process ends without being cancelled.
    pub children: ChildrenPolicy,
    /// Policy for live descendants when the process fails, times out or is interrupted. `None` means the policy
    /// `children`.
    pub children_on_failure: Option<ChildrenPolicy>,
    /// Policy for the process when its session ends.
    pub on_session_end: SessionPolicy,
    /// Times after which silent work is reported as idle or stalled.
    pub silence: SilencePolicy,
}

impl Spec {
    /// Returns a spec of `work` with default values for all other fields.
    #[must_use]
    pub fn of(work: Work) -> Self {
        Self {
            work,
            kind: ProcessType::default(),
            name: None,
            project: None,
            session: None,
            description: None,
            metadata: None,
            agent: AgentDescriptor::default(),
            key: None,
            priority: Priority::default(),
            launch_key: None,
            not_before: None,
            placement: Placement::default(),
            retry: RetryPolicy::none(),
            children: ChildrenPolicy::default(),
            children_on_failure: None,
            on_session_end: SessionPolicy::default(),
            silence: SilencePolicy::default(),
        }
    }

    /// Returns the command; `None` for reported work.
    #[must_use]
    pub const fn command(&self) -> Option<&CommandSpec> {
        match &self.work {
            Work::Command(command) => Some(command),
            Work::Reported(_) => None,
        }
    }

    /// Returns the policy for live descendants after this ending.
    #[must_use]
    pub fn children_after(&self, ending: &Ending) -> ChildrenPolicy {
        match ending {
            Ending::Failed { .. } | Ending::Timeout { .. } | Ending::Interrupted { .. } => {
                self.children_on_failure.unwrap_or(self.children)
            }
            Ending::Completed { .. } | Ending::Cancelled { .. } => self.children,
        }
    }

    /// Returns the name of a feature that the spec requires but the spawner does not support. Returns `None` if all
    /// features are supported.
    #[must_use]
    pub fn unsupported_by(&self, capabilities: Capabilities) -> Option<&'static str> {
        let command = self.command()?;
        let by_looks = match &command.ready_when {
            Some(ReadyWhen::Port(_)) => true,
            Some(ReadyWhen::Http { .. } | ReadyWhen::Log { .. } | ReadyWhen::Command { .. }) | None => false,
        };
        match command.stdin {
            Stdin::Pipe if !capabilities.input => Some("a pipe as standard input"),
            Stdin::Null | Stdin::File(_) | Stdin::Pipe if by_looks && !capabilities.inspection => {
                Some("waiting for a listening port")
            }
            Stdin::Null | Stdin::File(_) | Stdin::Pipe => None,
        }
    }

    /// Returns true if two specs request the same work, so that a second launch with the same launch key counts as a
    /// repetition.
    ///
    /// - Compared: command, arguments, directory, declared variables, timeout, limits, type, concurrency key, and the
    ///   prompt, agent and model. For reported work: its node, and whether it waits for a slot.
    /// - Ignored: all other fields, such as the captured environment, names, times and priority.
    #[must_use]
    pub fn same_launch(&self, other: &Self) -> bool {
        self.launch_part() == other.launch_part()
    }

    /// Returns the names of the parts compared by [`same_launch`](Self::same_launch) in which two launches differ. The
    /// list is empty if the launches are the same.
    #[must_use]
    pub fn launch_differences(&self, other: &Self) -> Vec<&'static str> {
        let mut differs = self.work.differences(&other.work);
        let mine = (&self.kind, &self.key, &self.agent);
        let theirs = (&other.kind, &other.key, &other.agent);
        differs.extend(differing([
            ("type", mine.0 == theirs.0),
            ("key", mine.1 == theirs.1),
            ("prompt", mine.2.prompt == theirs.2.prompt),
            ("agent", mine.2.agent == theirs.2.agent),
            ("model", mine.2.model == theirs.2.model),
        ]));
        differs
    }

    /// Returns a spec with only the parts that [`same_launch`](Self::same_launch) compares; all other parts have their
    /// default.
    #[must_use]
    pub fn launch_part(&self) -> Self {
        let work = match &self.work {
            Work::Command(command) => Work::Command(Box::new(CommandSpec {
                program: command.program.clone(),
                args: command.args.clone(),
                directory: command.directory.clone(),
                environment: EnvironmentSpec {
                    declared: command.environment.declared.clone(),
                    ..EnvironmentSpec::default()
                },
                stdin: Stdin::default(),
                timeout: command.timeout,
                stop: StopPolicy::default(),
                leftovers: Leftovers::default(),
                output: OutputBound::default(),
                limits: command.limits,
                ready_when: None,
                watch: Vec::new(),
                artifacts: Vec::new(),
                runner: None,
                tests: TestReporting::default(),
                progress: ProgressDetection::default(),
            })),
            Work::Reported(reported) => Work::Reported(ReportedSpec {
                node: reported.node.clone(),
                queued: reported.queued,
                ..ReportedSpec::default()
            }),
        };
        Self {
            kind: self.kind.clone(),
            key: self.key.clone(),
            agent: AgentDescriptor {
                prompt: self.agent.prompt.clone(),
                agent: self.agent.agent.clone(),
                model: self.agent.model.clone(),
                ..AgentDescriptor::default()
            },
            ..Self::of(work)
        }
    }
}

/// The work of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// A command that a node executes.
    Command(Box<CommandSpec>),
    /// Work that the caller does itself and reports.
    Reported(ReportedSpec),
}

impl Work {
    fn differences(&self, other: &Self) -> Vec<&'static str> {
        match (self, other) {
            (Self::Command(mine), Self::Command(theirs)) => differing([
                ("program", mine.program == theirs.program),
                ("arguments", mine.args == theirs.args),
                ("directory", mine.directory == theirs.directory),
                ("declared variables", mine.environment.declared == theirs.environment.declared),
                ("timeout", mine.timeout == theirs.timeout),
                ("limits", mine.limits == theirs.limits),
            ])
            .collect(),
            (Self::Reported(mine), Self::Reported(theirs)) => {
                differing([("node", mine.node == theirs.node), ("queueing", mine.queued == theirs.queued)])
                    .collect()
            }
            (Self::Command(_), Self::Reported(_)) | (Self::Reported(_), Self::Command(_)) => {
                vec!["kind of work"]
            }
        }
    }
}

fn differing<const N: usize>(parts: [(&'static str, bool); N]) -> impl Iterator<Item = &'static str> {
    parts.into_iter().filter(|(_, same)| !same).map(|(what, _)| what)
}

/// A command line and the rules for running it.
#[derive(Clone, PartialEq, Eq)]
pub struct CommandSpec {
    /// Program as given by the caller: a path, or a name that is searched in `PATH`.
    pub program: String,
    /// Arguments, without the program.
    pub args: Vec<String>,
    /// Absolute path of the working directory.
    pub directory: String,
    /// Sources of the environment variables of the command.
    pub environment: EnvironmentSpec,
    /// Source of the standard input of the command.
    pub stdin: Stdin,
    /// Maximum run time; `None` means no limit. The time during which the machine is suspended or the process is paused
    /// does not count.
    pub timeout: Option<Duration>,
    /// Signals that stop the command, and the waiting times between them.
    pub stop: StopPolicy,
    /// Policy for descendants that are still alive after the command has exited.
    pub leftovers: Leftovers,
    /// Amount of the output that is stored.
    pub output: OutputBound,
    /// Maximum use of resources by the command.
    pub limits: ResourceLimits,
    /// Readiness check; without one, the command is never reported as ready.
    pub ready_when: Option<ReadyWhen>,
    /// Patterns to search for in the output.
    pub watch: Vec<WatchPattern>,
    /// Files to copy from the working directory when an attempt ends.
    pub artifacts: Vec<ArtifactPattern>,
    /// Runner that built the command from a prompt. `None` if the caller gave the command itself.
    pub runner: Option<RunnerChoice>,
    /// Source of test results.
    pub tests: TestReporting,
    /// Ways in which the progress of the command is detected.
    pub progress: ProgressDetection,
}

impl CommandSpec {
    /// Returns a command with default values for all fields except program, arguments and directory.
    #[must_use]
    pub fn of(program: &str, args: &[&str], directory: &str) -> Self {
        Self {
            program: program.to_owned(),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            directory: directory.to_owned(),
            environment: EnvironmentSpec::default(),
            stdin: Stdin::default(),
            timeout: None,
            stop: StopPolicy::default(),
            leftovers: Leftovers::default(),
            output: OutputBound::default(),
            limits: ResourceLimits::default(),
            ready_when: None,
            watch: Vec::new(),
            artifacts: Vec::new(),
            runner: None,
            tests: TestReporting::default(),
            progress: ProgressDetection::default(),
        }
    }
}

impl fmt::Debug for CommandSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandSpec")
            .field("program", &self.program)
            .field("args", &self.args)
            .field("directory", &self.directory)
            .field("environment", &self.environment)
            .field("timeout", &self.timeout)
            .field("stop", &self.stop)
            .finish_non_exhaustive()
    }
}

/// The environment of a command: captured variables plus declared variables. The captured variables are stored under
/// the hash of their content.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct EnvironmentSpec {
    /// Hash of the captured variables in the environment store of the node; `None` means that no variables are
    /// captured.
    pub captured: Option<EnvironmentHash>,
    /// Variables that the launch sets; they replace captured variables of the same name.
    pub declared: Vec<(String, String)>,
    /// Names of captured variables to leave out.
    pub removed: Vec<String>,
    /// True to omit the default variables for non-interactive use, such as `CI` and `PAGER=cat`.
    pub bare: bool,
}

impl fmt::Debug for EnvironmentSpec {
    /// Prints only the names of the variables, because their values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("captured", &self.captured)
            .field("declared", &self.declared.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .field("removed", &self.removed)
            .finish_non_exhaustive()
    }
}

/// Content hash of a captured environment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnvironmentHash(pub String);

/// The source of the standard input of a command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Stdin {
    /// No input: the command reads from the null device.
    #[default]
    Null,
    /// The file at this absolute path.
    File(String),
    /// A pipe to which callers can write while the command is running.
    Pipe,
}

/// The sequence that stops a command: one or two signals, each with a waiting time, then KILL for the whole tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StopPolicy {
    /// Time from the stop signal to KILL.
    pub grace: Duration,
    /// Number of the stop signal; 15 (TERM) by default.
    pub signal: u8,
    /// Time between INT and the stop signal, in which a test suite can write its reports. `None` sends no INT.
    pub interrupt_first: Option<Duration>,
}

impl StopPolicy {
    /// Default of `grace`.
    pub const DEFAULT_GRACE: Duration = Duration::from_secs(5);
    /// Default of the time between INT and the stop signal for a test suite.
    pub const REPORT_GRACE: Duration = Duration::from_secs(2);

    /// Returns the time from the first signal to KILL.
    #[must_use]
    pub fn total_grace(&self) -> Duration {
        self.grace.saturating_add(self.interrupt_first.unwrap_or_default())
    }
}

impl Default for StopPolicy {
    fn default() -> Self {
        Self { grace: Self::DEFAULT_GRACE, signal: 15, interrupt_first: None }
    }
}

/// Policies for descendants that are still alive after their command has exited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Leftovers {
    /// The descendants are stopped in the same way as the command.
    #[default]
    Stop,
    /// The descendants keep running.
    Keep,
}

/// The amount of output that is stored for each attempt: its start and its end. Output between them is dropped, and the
/// gap is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputBound {
    /// Maximum number of bytes stored from the start of the output.
    pub head: u64,
    /// Maximum number of bytes stored from the end of the output.
    pub tail: u64,
}

impl Default for OutputBound {
    fn default() -> Self {
        Self { head: 1024 * 1024, tail: 64 * 1024 * 1024 }
    }
}

/// The maximum use of resources by one attempt. `None` means that longhaul sets no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResourceLimits {
    /// Maximum CPU time, in seconds.
    pub cpu_seconds: Option<u64>,
    /// Maximum memory, in bytes.
    pub memory_bytes: Option<u64>,
    /// Maximum number of open files.
    pub open_files: Option<u64>,
    /// Maximum number of processes that the user of the command may have.
    pub processes: Option<u64>,
    /// Maximum size of a file that the command writes, in bytes.
    pub file_bytes: Option<u64>,
}

/// The agent on whose behalf a process works, and its task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentDescriptor {
    /// Identifier of the agent.
    pub agent_id: Option<AgentId>,
    /// Kind of the agent.
    pub agent_type: Option<AgentType>,
    /// Capabilities of the agent.
    pub capabilities: Vec<Capability>,
    /// Identifier of the message in the parent session that requested the process.
    pub parent_message_id: Option<String>,
    /// Prompt for the agent.
    pub prompt: Option<String>,
    /// Name of the agent that an agent host must run.
    pub agent: Option<String>,
    /// Model that an agent host must use. By default, the model is also the concurrency key of an agent launch.
    pub model: Option<String>,
}

/// The nodes that may run a process.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Placement {
    /// Only the node that accepted the process may run it, because its directory and environment exist only on that
    /// node.
    #[default]
    Here,
    /// Only the node with this name may run the process.
    Node(NodeId),
    /// Any node that has all these labels may run the process.
    Labels(Vec<Capability>),
    /// Any node.
    Anywhere,
}

/// Policies for live descendants of a process that ends without being cancelled. A cancel always includes the
/// descendants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChildrenPolicy {
    /// The descendants keep running.
    #[default]
    Keep,
    /// The descendants are cancelled.
    Cancel,
    /// The process stays in the status running, without a slot, until its descendants have ended. How the process ended
    /// does not change during that time.
    Wait,
}

/// What happens to a process when its session ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SessionPolicy {
    /// The process keeps running.
    #[default]
    Keep,
    /// The process is cancelled.
    Cancel,
    /// The process is cancelled after this time.
    Grace(Duration),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_launch_is_the_same_whatever_environment_it_inherits_and_another_with_other_arguments() {
        let first = Spec::of(Work::Command(Box::new(CommandSpec::of("make", &["check"], "/src"))));
        let mut inherited = first.clone();
        inherited.not_before = Some(Timestamp(1));
        if let Work::Command(command) = &mut inherited.work {
            command.environment.captured = Some(EnvironmentHash("other".to_owned()));
        }
        assert!(first.same_launch(&inherited));
        let other = Spec::of(Work::Command(Box::new(CommandSpec::of("make", &["all"], "/src"))));
        assert!(!first.same_launch(&other));
        let mut declared = first.clone();
        if let Work::Command(command) = &mut declared.work {
            command.environment.declared.push(("A".to_owned(), "1".to_owned()));
        }
        assert!(!first.same_launch(&declared));
    }

    #[test]
    fn launches_differ_in_words_exactly_where_they_are_not_the_same() {
        let first = Spec::of(Work::Command(Box::new(CommandSpec::of("make", &["check"], "/src"))));
        let with = |change: &dyn Fn(&mut CommandSpec)| {
            let mut spec = first.clone();
            if let Work::Command(command) = &mut spec.work {
                change(command);
            }
            spec
        };
        let reported = Spec::of(Work::Reported(ReportedSpec::default()));
        let by_agent = |agent| Spec { agent, ..first.clone() };
        let (none, some) = (AgentDescriptor::default(), Some("word".to_owned()));
        for (other, expected) in [
            (with(&|command| command.program = "ninja".to_owned()), vec!["program"]),
            (with(&|command| command.args.clear()), vec!["arguments"]),
            (with(&|command| command.directory = "/".to_owned()), vec!["directory"]),
            (
                with(&|command| command.environment.declared.push(("A".to_owned(), "1".to_owned()))),
                vec!["declared variables"],
            ),
            (with(&|command| command.timeout = Some(Duration::from_secs(1))), vec!["timeout"]),
            (with(&|command| command.limits.open_files = Some(1)), vec!["limits"]),
            (with(&|command| command.stop.grace = Duration::ZERO), vec![]),
            (Spec { kind: ProcessType::Build, ..first.clone() }, vec!["type"]),
            (Spec { key: SlotKey::new("k").ok(), ..first.clone() }, vec!["key"]),
            (by_agent(AgentDescriptor { prompt: some.clone(), ..none.clone() }), vec!["prompt"]),
            (by_agent(AgentDescriptor { agent: some.clone(), ..none.clone() }), vec!["agent"]),
            (by_agent(AgentDescriptor { model: some, ..none }), vec!["model"]),
            (Spec { project: ProjectName::new("p").ok(), ..first.clone() }, vec![]),
            (reported.clone(), vec!["kind of work"]),
        ] {
            assert_eq!(first.launch_differences(&other), expected);
            assert_eq!(other.launch_differences(&first), expected);
            assert_eq!(first.same_launch(&other), expected.is_empty());
        }
        let queued = ReportedSpec { queued: true, ..ReportedSpec::default() };
        let elsewhere = ReportedSpec { node: NodeId::new("n").ok(), ..ReportedSpec::default() };
        for (other, expected) in [(queued, "queueing"), (elsewhere, "node")] {
            let other = Spec::of(Work::Reported(other));
            assert_eq!(reported.launch_differences(&other), [expected]);
            assert!(!reported.same_launch(&other));
        }
    }
}
