//! What was asked for: it is fixed at the submit and never changes.

use crate::id::{
    AgentId, AgentType, Capability, LaunchKey, NodeId, Priority, ProcessName, ProjectName, SessionId, SlotKey,
};
use crate::input::Capabilities;
use crate::json::JsonText;
use crate::monitoring::{ReadyWhen, SilencePolicy, WatchPattern};
use crate::process_type::ProcessType;
use crate::retry::RetryPolicy;
use crate::time::Timestamp;
use std::fmt;
use std::time::Duration;

/// Everything that a caller decides about a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// What is executed or reported.
    pub work: Work,
    /// What sort of work it is.
    pub kind: ProcessType,
    /// The name a person may call it by.
    pub name: Option<ProcessName>,
    /// What it is for.
    pub project: Option<ProjectName>,
    /// Who asked.
    pub session: Option<SessionId>,
    /// A sentence about it.
    pub description: Option<String>,
    /// Any JSON object of the caller's.
    pub metadata: Option<JsonText>,
    /// The agent behind it.
    pub agent: AgentDescriptor,
    /// Whose slots it uses; without one only its node's limit counts.
    pub key: Option<SlotKey>,
    /// How urgent it is.
    pub priority: Priority,
    /// The same key in the same session never starts a second copy.
    pub launch_key: Option<LaunchKey>,
    /// Not before this moment.
    pub not_before: Option<Timestamp>,
    /// Which nodes may run it.
    pub placement: Placement,
    /// When a failed attempt is followed by another.
    pub retry: RetryPolicy,
    /// What becomes of its descendants when it ends by itself.
    pub children: ChildrenPolicy,
    /// What becomes of it when its session ends.
    pub on_session_end: SessionPolicy,
    /// How long it may be silent before that is told.
    pub silence: SilencePolicy,
}

impl Spec {
    /// This work with nothing else asked for.
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
            on_session_end: SessionPolicy::default(),
            silence: SilencePolicy::default(),
        }
    }

    /// The command, if it is one.
    #[must_use]
    pub const fn command(&self) -> Option<&CommandSpec> {
        match &self.work {
            Work::Command(command) => Some(command),
            Work::Reported(_) => None,
        }
    }

    /// What it asks for that a spawner cannot do, in words; nothing if it can do it all.
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

    /// Whether a launch key would find the same asked for again.
    ///
    /// Compared is what the work is: command, arguments, directory, type, key, limits, declared variables, and what an
    /// agent was told. The inherited environment is not, nor are names, times and how urgent it is.
    #[must_use]
    pub fn same_launch(&self, other: &Self) -> bool {
        self.launch_part() == other.launch_part()
    }

    /// What two launches with the same key do not have in common, in words; nothing if they are
    /// [the same](Self::same_launch).
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

    /// The part that [`same_launch`](Self::same_launch) compares, with everything else as if it had not been asked for.
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

/// What is executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// A command that a node spawns.
    Command(Box<CommandSpec>),
    /// Work that someone else does and reports.
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

/// A command line and how to run it.
#[derive(Clone, PartialEq, Eq)]
pub struct CommandSpec {
    /// The program as it was given: a path, or a name that is searched in `PATH`.
    pub program: String,
    /// Its arguments, without the program itself.
    pub args: Vec<String>,
    /// The absolute working directory.
    pub directory: String,
    /// Where its environment comes from.
    pub environment: EnvironmentSpec,
    /// What it reads from its standard input.
    pub stdin: Stdin,
    /// How long it may run, awake and not paused; none means as long as it likes.
    pub timeout: Option<Duration>,
    /// How it is stopped.
    pub stop: StopPolicy,
    /// What becomes of descendants that outlive it.
    pub leftovers: Leftovers,
    /// How much of its output is kept.
    pub output: OutputBound,
    /// What it may use up.
    pub limits: ResourceLimits,
    /// How it is found out that it does what it was started for; none means that nobody wants to know.
    pub ready_when: Option<ReadyWhen>,
    /// What to look for in its output.
    pub watch: Vec<WatchPattern>,
}

impl CommandSpec {
    /// This program in this directory with nothing else asked for.
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

/// The environment of a command: captured by content hash, plus what the launch declares.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct EnvironmentSpec {
    /// The hash under which the node's vault keeps the captured variables; none means an empty base.
    pub captured: Option<EnvironmentHash>,
    /// Variables that are part of the launch; they win over captured ones.
    pub declared: Vec<(String, String)>,
    /// Names to leave out of the captured ones.
    pub removed: Vec<String>,
    /// Leave out the non-interactive defaults such as `CI` and `PAGER=cat`.
    pub bare: bool,
}

impl fmt::Debug for EnvironmentSpec {
    /// Prints names only: values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("captured", &self.captured)
            .field("declared", &self.declared.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .field("removed", &self.removed)
            .finish_non_exhaustive()
    }
}

/// The content hash of a captured environment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnvironmentHash(pub String);

/// What a command reads from its standard input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Stdin {
    /// Nothing: the null device.
    #[default]
    Null,
    /// The file at this absolute path.
    File(String),
    /// What is written to it while it runs.
    Pipe,
}

/// How a command is stopped: signals, each with its patience, then KILL for the whole tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StopPolicy {
    /// From the stop signal to KILL.
    pub grace: Duration,
    /// The signal that asks it to end; 15 (TERM) by default.
    pub signal: u8,
    /// Send INT first and wait this long for reports to be written.
    pub interrupt_first: Option<Duration>,
}

impl StopPolicy {
    /// The grace unless another is asked for.
    pub const DEFAULT_GRACE: Duration = Duration::from_secs(5);
    /// How long a test suite may take to write its reports after INT.
    pub const REPORT_GRACE: Duration = Duration::from_secs(2);

    /// The longest time from the first signal to KILL.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.grace.saturating_add(self.interrupt_first.unwrap_or_default())
    }
}

impl Default for StopPolicy {
    fn default() -> Self {
        Self { grace: Self::DEFAULT_GRACE, signal: 15, interrupt_first: None }
    }
}

/// What becomes of descendants that outlive their command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Leftovers {
    /// They are stopped like the command itself would be.
    #[default]
    Sweep,
    /// They are left alone.
    Keep,
}

/// How much output of an attempt is kept; the middle is dropped with an explicit gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputBound {
    /// Bytes kept from the beginning.
    pub head: u64,
    /// Bytes kept from the end.
    pub tail: u64,
}

impl Default for OutputBound {
    fn default() -> Self {
        Self { head: 1024 * 1024, tail: 64 * 1024 * 1024 }
    }
}

/// What one attempt may use up; none means no limit of ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResourceLimits {
    /// Processor seconds.
    pub cpu_seconds: Option<u64>,
    /// Bytes of memory.
    pub memory_bytes: Option<u64>,
    /// Open files.
    pub open_files: Option<u64>,
    /// Processes of the user.
    pub processes: Option<u64>,
    /// Bytes of one written file.
    pub file_bytes: Option<u64>,
}

/// Work that someone else does and reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportedSpec {
    /// Where it is done: a label of the caller's, never an owner.
    pub node: Option<NodeId>,
    /// Waits for a slot of its key instead of starting at once.
    pub queued: bool,
    /// Without a sign of life for this long it is interrupted.
    pub heartbeat: Option<Duration>,
    /// From a cancel to `cancelled` when the reporter does not answer.
    pub grace: Duration,
}

impl ReportedSpec {
    /// How long a reporter has to acknowledge a cancel.
    pub const DEFAULT_GRACE: Duration = Duration::from_secs(60);
}

impl Default for ReportedSpec {
    fn default() -> Self {
        Self { node: None, queued: false, heartbeat: None, grace: Self::DEFAULT_GRACE }
    }
}

/// The agent behind a process, and what it was told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentDescriptor {
    /// Which agent.
    pub agent_id: Option<AgentId>,
    /// What kind of agent.
    pub agent_type: Option<AgentType>,
    /// What it can do.
    pub capabilities: Vec<Capability>,
    /// The message of the parent session that asked for it.
    pub parent_message_id: Option<String>,
    /// What it was told.
    pub prompt: Option<String>,
    /// The name of the agent that a host is to run.
    pub agent: Option<String>,
    /// The model that a host is to use; the concurrency key of an agent launch by default.
    pub model: Option<String>,
}

/// Which nodes may run a process.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Placement {
    /// The node that accepted it, because directory and environment belong to it.
    #[default]
    Here,
    /// A node by name.
    Node(NodeId),
    /// Any node that has all these labels.
    Labels(Vec<Capability>),
    /// Any node.
    Anywhere,
}

/// What becomes of the live descendants of a process that ends by itself; a cancel always reaches them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChildrenPolicy {
    /// They go on.
    #[default]
    Keep,
    /// They are cancelled.
    Cancel,
    /// It has not ended before they have: it stays running, without a slot, and ends as it did then.
    Wait,
}

/// What becomes of a process when its session ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SessionPolicy {
    /// It goes on.
    #[default]
    Keep,
    /// It is cancelled.
    Cancel,
    /// It may go on for so long, and is cancelled then.
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
