//! The launch: all data that a shim needs to run one attempt.

use std::{
    ffi::{OsStr, OsString},
    fmt,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::PathBuf,
};

use crate::{
    containment::AllowedContainment,
    frame::{ControlFrame, FrameWriter, ProtocolError},
    plan::StopPlan,
};

pub(crate) const KIND: u8 = 2;

/// Request to run one attempt. The starter of the shim sends it one time; only a hello may precede it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchOrder {
    /// Id of the managed process, as text.
    pub process: String,
    /// Number of the attempt.
    pub attempt: u64,
    /// Absolute path of the program.
    pub program: PathBuf,
    /// Arguments of the program. The first argument is the name of the program.
    pub arguments: Vec<OsString>,
    /// Complete environment of the program. The shim adds no variables, except `LONGHAUL_PROGRESS_FD` if the launch
    /// requests a progress file.
    pub environment: EnvironmentBlock,
    /// Absolute path of the working directory.
    pub directory: PathBuf,
    /// Standard input of the program.
    pub stdin: StdinSource,
    /// Maximum run time in milliseconds, without suspended and paused time; zero means no limit.
    pub timeout_ms: u64,
    /// Signals that the shim sends to stop the process tree, before it kills the tree.
    pub stop_plan: StopPlan,
    /// Maximum amount of output to store.
    pub output: OutputBound,
    /// Path of the cgroup v2 that contains only this attempt. The shim creates the cgroup if it does not exist.
    pub cgroup: Option<PathBuf>,
    /// Mechanism for finding and killing the descendants of the program.
    pub containment: AllowedContainment,
    /// Resource limits that apply to each process separately. They are set before the program starts.
    pub limits: Vec<ResourceLimit>,
    /// Limits that apply to the cgroup as a whole. They are set while the cgroup is still empty.
    pub tree_limits: CgroupLimits,
    /// Offset in milliseconds that converts the boot-time clock to steady time: steady time = boot time + offset.
    /// Steady time counts from the Unix epoch.
    pub anchor_ms: u64,
    /// Id of the current boot of the machine, which the identity records.
    pub boot_id: String,
    /// Number of parent directories, upwards from the attempt directory, that are synced to disk too.
    pub sync_parents: u8,
    /// Action of the shim on descendants that are still running when the program has ended.
    pub leftovers: Leftovers,
    /// Absolute path of the file that contains the expiry of the node's lease; `None` if the attempt may outlive the
    /// lease.
    pub lease: Option<PathBuf>,
    /// True if the program gets a descriptor to which it may write its progress.
    pub progress: bool,
}

/// Environment variables in the form `KEY=value`. The `Debug` output omits the values.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct EnvironmentBlock(pub Vec<OsString>);

impl fmt::Debug for EnvironmentBlock {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.0.iter().map(|entry| entry.as_bytes().split(|byte| *byte == b'=').next());
        out.debug_list().entries(keys.flatten().map(OsStr::from_bytes)).finish()
    }
}

/// Source of the standard input of a command.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum StdinSource {
    /// The null device: the input is empty.
    #[default]
    Null,
    /// The file at this absolute path.
    File(PathBuf),
    /// The named pipe in the attempt directory. Other programs write to it.
    Pipe,
}

/// Amount of output that is stored: the first bytes and the last bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputBound {
    /// Number of bytes that are stored from the start of the output.
    pub head: u64,
    /// Number of bytes that are stored from the end of the output.
    pub tail: u64,
    /// True to store the last bytes of output in alternating tail files, even if the file system can punch holes.
    pub rotate: bool,
}

impl Default for OutputBound {
    fn default() -> Self {
        Self { head: 1 << 20, tail: 64 << 20, rotate: false }
    }
}

/// Limits on the process tree as a whole. Only a cgroup can enforce them.
///
/// If the cgroup has the controller for such a limit, the limit replaces the corresponding limit on each process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CgroupLimits {
    /// Maximum memory of the tree in bytes; `None` means no limit. A tree with a memory limit may not use swap.
    pub memory: Option<u64>,
    /// Maximum number of processes and threads of the tree; `None` means no limit.
    pub processes: Option<u64>,
}

// The `RLIMIT_*` numbers below are equal on all supported architectures.
/// `RLIMIT_*` number of the limit on processor time, in seconds.
pub(crate) const PROCESSOR_TIME: u32 = 0;
/// `RLIMIT_*` number of the limit on the size of written files, in bytes.
pub(crate) const FILE_SIZE: u32 = 1;
/// `RLIMIT_*` number of the limit on the processes of one user.
pub(crate) const PROCESSES: u32 = 6;
/// `RLIMIT_*` number of the limit on the address space, in bytes.
pub(crate) const ADDRESS_SPACE: u32 = 9;

/// One resource limit, identified by the number that the kernel uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResourceLimit {
    /// `RLIMIT_*` number of the resource.
    pub resource: u32,
    /// Soft limit; `u64::MAX` means no limit.
    pub soft: u64,
    /// Hard limit; `u64::MAX` means no limit.
    pub hard: u64,
}

/// Action of the shim on descendants that are still running when the program has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Leftovers {
    /// The shim stops the descendants: it sends the signals of the stop plan, then SIGKILL.
    #[default]
    Stop,
    /// The descendants keep running.
    Keep,
}

mod tag {
    pub(super) const PROCESS: u8 = 1;
    pub(super) const ATTEMPT: u8 = 2;
    pub(super) const PROGRAM: u8 = 3;
    pub(super) const ARGUMENT: u8 = 4;
    pub(super) const ENVIRONMENT: u8 = 5;
    pub(super) const DIRECTORY: u8 = 6;
    pub(super) const STDIN_FILE: u8 = 7;
    pub(super) const TIMEOUT: u8 = 8;
    pub(super) const STOP_STEP: u8 = 9;
    pub(super) const HEAD: u8 = 10;
    pub(super) const TAIL: u8 = 11;
    pub(super) const CGROUP: u8 = 12;
    pub(super) const CONTAINMENT: u8 = 13;
    pub(super) const LIMIT: u8 = 14;
    pub(super) const ANCHOR: u8 = 15;
    pub(super) const BOOT: u8 = 16;
    pub(super) const SYNC_PARENTS: u8 = 17;
    pub(super) const KEEP_LEFTOVERS: u8 = 18;
    pub(super) const ROTATE: u8 = 19;
    pub(super) const TREE_MEMORY: u8 = 20;
    pub(super) const TREE_PROCESSES: u8 = 21;
    pub(super) const STDIN_PIPE: u8 = 22;
    pub(super) const LEASE: u8 = 23;
    pub(super) const PROGRESS: u8 = 24;
}

impl LaunchOrder {
    /// Creates a launch of a program without arguments, with defaults for all other fields.
    pub fn new(process: impl Into<String>, attempt: u64, program: impl Into<PathBuf>) -> Self {
        let program = program.into();
        Self {
            process: process.into(),
            attempt,
            arguments: vec![program.clone().into_os_string()],
            program,
            environment: EnvironmentBlock::default(),
            directory: PathBuf::from("/"),
            stdin: StdinSource::Null,
            timeout_ms: 0,
            stop_plan: StopPlan::default(),
            output: OutputBound::default(),
            cgroup: None,
            containment: AllowedContainment::Auto,
            limits: Vec::new(),
            tree_limits: CgroupLimits::default(),
            anchor_ms: 0,
            boot_id: String::new(),
            sync_parents: 0,
            leftovers: Leftovers::Stop,
            lease: None,
            progress: false,
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut frame = FrameWriter::new(KIND);
        frame
            .bytes(tag::PROCESS, self.process.as_bytes())
            .number(tag::ATTEMPT, self.attempt)
            .bytes(tag::PROGRAM, self.program.as_os_str().as_bytes())
            .bytes(tag::DIRECTORY, self.directory.as_os_str().as_bytes())
            .number(tag::TIMEOUT, self.timeout_ms)
            .number(tag::HEAD, self.output.head)
            .number(tag::TAIL, self.output.tail)
            .flag(tag::ROTATE, self.output.rotate)
            .bytes(tag::CONTAINMENT, self.containment.word().as_bytes())
            .number(tag::ANCHOR, self.anchor_ms)
            .bytes(tag::BOOT, self.boot_id.as_bytes())
            .number(tag::SYNC_PARENTS, u64::from(self.sync_parents))
            .flag(tag::KEEP_LEFTOVERS, self.leftovers == Leftovers::Keep);
        for argument in &self.arguments {
            frame.bytes(tag::ARGUMENT, argument.as_bytes());
        }
        for entry in &self.environment.0 {
            frame.bytes(tag::ENVIRONMENT, entry.as_bytes());
        }
        match &self.stdin {
            StdinSource::Null => {}
            StdinSource::File(path) => {
                frame.bytes(tag::STDIN_FILE, path.as_os_str().as_bytes());
            }
            StdinSource::Pipe => {
                frame.flag(tag::STDIN_PIPE, true);
            }
        }
        if let Some(path) = &self.cgroup {
            frame.bytes(tag::CGROUP, path.as_os_str().as_bytes());
        }
        if let Some(path) = &self.lease {
            frame.bytes(tag::LEASE, path.as_os_str().as_bytes());
        }
        if self.progress {
            frame.flag(tag::PROGRESS, true);
        }
        self.stop_plan.encode(&mut frame, tag::STOP_STEP);
        for limit in &self.limits {
            frame.bytes(tag::LIMIT, &limit.encode());
        }
        if let Some(bytes) = self.tree_limits.memory {
            frame.number(tag::TREE_MEMORY, bytes);
        }
        if let Some(limit) = self.tree_limits.processes {
            frame.number(tag::TREE_PROCESSES, limit);
        }
        frame.finish()
    }

    pub(crate) fn decode(frame: &ControlFrame) -> Result<Self, ProtocolError> {
        let mut launch = Self::new("", 0, "");
        launch.arguments.clear();
        launch.directory = PathBuf::new();
        let mut plan = StopPlan { steps: Vec::new() };
        for field in frame.fields() {
            let field = field?;
            match field.tag() {
                tag::PROCESS => launch.process = field.text()?.to_owned(),
                tag::ATTEMPT => launch.attempt = field.number()?,
                tag::PROGRAM => launch.program = path(field.bytes()),
                tag::ARGUMENT => launch.arguments.push(os(field.bytes())),
                tag::ENVIRONMENT => launch.environment.0.push(os(field.bytes())),
                tag::DIRECTORY => launch.directory = path(field.bytes()),
                tag::STDIN_FILE => launch.stdin = StdinSource::File(path(field.bytes())),
                tag::STDIN_PIPE if field.flag()? => launch.stdin = StdinSource::Pipe,
                tag::TIMEOUT => launch.timeout_ms = field.number()?,
                tag::STOP_STEP => plan.push_encoded(&field)?,
                tag::HEAD => launch.output.head = field.number()?,
                tag::TAIL => launch.output.tail = field.number()?,
                tag::ROTATE => launch.output.rotate = field.flag()?,
                tag::CGROUP => launch.cgroup = Some(path(field.bytes())),
                tag::CONTAINMENT => {
                    launch.containment =
                        AllowedContainment::from_word(field.text()?).ok_or_else(|| field.bad())?;
                }
                tag::LIMIT => {
                    let limit = ResourceLimit::decode(field.bytes()).ok_or_else(|| field.bad())?;
                    launch.limits.push(limit);
                }
                tag::TREE_MEMORY => launch.tree_limits.memory = Some(field.number()?),
                tag::TREE_PROCESSES => launch.tree_limits.processes = Some(field.number()?),
                tag::ANCHOR => launch.anchor_ms = field.number()?,
                tag::BOOT => launch.boot_id = field.text()?.to_owned(),
                tag::SYNC_PARENTS => launch.sync_parents = field.small()?,
                tag::LEASE => launch.lease = Some(path(field.bytes())),
                tag::PROGRESS => launch.progress = field.flag()?,
                tag::KEEP_LEFTOVERS if field.flag()? => launch.leftovers = Leftovers::Keep,
                _ => {}
            }
        }
        launch.stop_plan = plan;
        launch.validated()
    }

    fn validated(self) -> Result<Self, ProtocolError> {
        let with_nul = |text: &OsStr| text.as_bytes().contains(&0);
        let missing = |tag| Err(ProtocolError::Missing { tag });
        let bad = |tag| Err(ProtocolError::BadValue { tag });
        if self.process.is_empty() {
            return missing(tag::PROCESS);
        }
        if self.arguments.is_empty() {
            return missing(tag::ARGUMENT);
        }
        if !self.program.is_absolute() || with_nul(self.program.as_os_str()) {
            return bad(tag::PROGRAM);
        }
        if !self.directory.is_absolute() || with_nul(self.directory.as_os_str()) {
            return bad(tag::DIRECTORY);
        }
        if self.arguments.iter().any(|each| with_nul(each)) {
            return bad(tag::ARGUMENT);
        }
        if self.environment.0.iter().any(|each| with_nul(each) || !each.as_bytes().contains(&b'=')) {
            return bad(tag::ENVIRONMENT);
        }
        if self.cgroup.as_ref().is_some_and(|each| !each.is_absolute() || with_nul(each.as_os_str())) {
            return bad(tag::CGROUP);
        }
        if self.lease.as_ref().is_some_and(|each| !each.is_absolute() || with_nul(each.as_os_str())) {
            return bad(tag::LEASE);
        }
        match &self.stdin {
            StdinSource::File(path) if !path.is_absolute() || with_nul(path.as_os_str()) => {
                bad(tag::STDIN_FILE)
            }
            StdinSource::File(_) | StdinSource::Null | StdinSource::Pipe => Ok(self),
        }
    }
}

impl ResourceLimit {
    fn encode(self) -> Vec<u8> {
        let mut bytes = self.resource.to_le_bytes().to_vec();
        bytes.extend_from_slice(&self.soft.to_le_bytes());
        bytes.extend_from_slice(&self.hard.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (resource, rest) = bytes.split_first_chunk::<4>()?;
        let (soft, rest) = rest.split_first_chunk::<8>()?;
        let hard = rest.first_chunk::<8>()?;
        Some(Self {
            resource: u32::from_le_bytes(*resource),
            soft: u64::from_le_bytes(*soft),
            hard: u64::from_le_bytes(*hard),
        })
    }
}

fn os(bytes: &[u8]) -> OsString {
    OsString::from_vec(bytes.to_vec())
}

fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(os(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::ShimRequest;

    #[test]
    fn debug_prints_keys_only() {
        let mut launch = LaunchOrder::new("p", 1, "/bin/true");
        launch.environment.0.push("TOKEN=hunter2=x".into());
        let text = format!("{launch:?}");
        assert!(text.contains("TOKEN") && !text.contains("hunter2"));
    }

    #[test]
    fn relative_program_is_refused() {
        let launch = LaunchOrder::new("p", 1, "bin/true");
        let error = ShimRequest::from_bytes(&ShimRequest::Launch(Box::new(launch)).encode());
        assert_eq!(error, Err(ProtocolError::BadValue { tag: tag::PROGRAM }));
    }

    #[test]
    fn zero_byte_in_an_argument_is_refused() {
        let mut launch = LaunchOrder::new("p", 1, "/bin/true");
        launch.arguments.push("a\0b".into());
        let error = ShimRequest::from_bytes(&ShimRequest::Launch(Box::new(launch)).encode());
        assert_eq!(error, Err(ProtocolError::BadValue { tag: tag::ARGUMENT }));
    }
}
