//! Checks a start request and translates it into a launch order for the shim.

use super::attempt_mark::AttemptMark;
use super::options::{ContainmentChoice, OsOptions};
use super::program::{self, failed};
use longhaul_domain::{
    CommandSpec, Leftovers, ProgressDetection, ResourceLimits, StartFailure, StartStage, Stdin, StopPolicy,
    millis,
};
use longhaul_ports::{AttemptKey, StartRequest};
use longhaul_shim::{
    AllowedContainment, CgroupLimits, Containment, LaunchOrder, OutputBound, ResourceLimit, StdinSource,
    StopPlan, StopStep,
};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Environment variable that contains the process id of a command.
const ID: &str = "LONGHAUL_ID";
/// Environment variable that contains the attempt number of a command.
const ATTEMPT: &str = "LONGHAUL_ATTEMPT";
/// Environment variables that mark the processes of an attempt.
pub(super) const MARKS: [&str; 2] = [ID, ATTEMPT];

const MAX_ARGUMENTS: usize = 1_000;
const MAX_ARGUMENTS_BYTES: usize = 128 << 10;
const MAX_VARIABLES: usize = 1_000;
const MAX_ENVIRONMENT_BYTES: usize = 256 << 10;

/// Seconds of processor time between the soft limit, which sends `SIGXCPU`, and the hard limit, which kills the
/// process.
const PROCESSOR_GRACE: u64 = 5;

const INTERRUPT: i32 = 2;

// The numbers of the resource limits are the same on all supported architectures. MIPS and SPARC have other numbers and
// are not supported.
const OPEN_FILES: u32 = 7;
pub(super) const PROCESSOR_TIME: u32 = 0;
pub(super) const FILE_SIZE: u32 = 1;

/// The settings of an attempt that a manager needs to take over from its shim.
#[derive(Clone, Debug)]
pub(super) struct TakeoverSpec {
    /// Name of the program as written in the spec.
    pub(super) program: String,
    pub(super) stop: StopPlan,
    /// True if leftovers of the command must be killed.
    pub(super) sweep: bool,
    /// Limits on the size of the stored output.
    pub(super) output: OutputBound,
    /// True if the standard input of the command is a pipe.
    pub(super) input: bool,
}

impl TakeoverSpec {
    /// Copies these settings from a command spec.
    pub(super) fn of(command: &CommandSpec) -> Self {
        Self {
            program: command.program.clone(),
            stop: plan(&command.stop),
            sweep: command.leftovers == Leftovers::Stop,
            output: bound(command),
            input: command.stdin == Stdin::Pipe,
        }
    }
}

/// Returns the `NAME=value` entries that mark the environment of every process of an attempt.
pub(super) fn marks(key: AttemptKey) -> [String; 2] {
    let [process, number] = MARKS;
    [format!("{process}={}", key.id), format!("{number}={}", key.attempt)]
}

/// Returns the process id and attempt number that the marking environment entries contain.
pub(super) fn attempt_of([process, number]: &[Vec<u8>; 2]) -> Option<(String, u64)> {
    let value = |entry: &[u8]| Some(std::str::from_utf8(entry).ok()?.split_once('=')?.1.to_owned());
    Some((value(process)?, value(number)?.parse().ok()?))
}

/// Checks a start request, finds its program, and builds the launch order for the shim.
pub(super) fn prepare(
    order: &StartRequest,
    options: &OsOptions,
    lease: &Path,
    cgroup: Option<PathBuf>,
) -> Result<LaunchOrder, StartFailure> {
    let command = &order.command;
    check_arguments(&command.program, &command.args)?;
    check_environment(&order.environment)?;
    program::check_directory(&command.directory)?;
    let stdin = match &command.stdin {
        Stdin::Null => StdinSource::Null,
        Stdin::Pipe => StdinSource::Pipe,
        Stdin::File(file) => {
            program::check_stdin(file)?;
            StdinSource::File(file.into())
        }
    };
    let found = program::find(&command.program, &command.directory, &order.environment)?;
    let mut launch = LaunchOrder::new(order.key.id.to_string(), u64::from(order.key.attempt.0), found);
    launch.arguments = std::iter::once(&command.program).chain(&command.args).map(OsString::from).collect();
    let inherited = order.environment.iter().filter(|(name, _)| name != ID && name != ATTEMPT);
    launch.environment.0 = inherited.map(|(name, value)| OsString::from(format!("{name}={value}"))).collect();
    launch.environment.0.extend(marks(order.key).map(OsString::from));
    launch.directory = PathBuf::from(&command.directory);
    launch.stdin = stdin;
    launch.timeout_ms = command.timeout.map_or(0, |timeout| span(timeout).max(1));
    launch.stop_plan = plan(&command.stop);
    launch.output = bound(command);
    launch.containment = allowed(options.containment);
    if cgroup.is_some() {
        launch.tree_limits =
            CgroupLimits { memory: command.limits.memory_bytes, processes: command.limits.processes };
    }
    launch.cgroup = cgroup;
    launch.limits = limits(&command.limits);
    if command.limits.open_files.is_none() {
        launch.limits.extend(options.open_files.map(inherited_files));
    }
    launch.limits.extend(AttemptMark::of(order.key).limit());
    launch.anchor_ms = u64::try_from(options.anchor_ms).unwrap_or(0);
    launch.boot_id.clone_from(&options.boot_id);
    launch.progress = command.progress != ProgressDetection::Off;
    launch.lease = order.leased.then(|| lease.to_owned());
    launch.sync_parents = super::attempts::NEW_LEVELS;
    launch.leftovers = match command.leftovers {
        Leftovers::Stop => longhaul_shim::Leftovers::Stop,
        Leftovers::Keep => longhaul_shim::Leftovers::Keep,
    };
    Ok(launch)
}

fn check_arguments(program: &str, arguments: &[String]) -> Result<(), StartFailure> {
    if program.contains('\0') || arguments.iter().any(|each| each.contains('\0')) {
        let detail = "the command line contains a NUL byte".to_owned();
        return Err(failed(StartStage::Exec, Errno::INVAL, detail));
    }
    let bytes = arguments.iter().map(String::len).fold(program.len(), usize::saturating_add);
    if arguments.len() > MAX_ARGUMENTS || bytes > MAX_ARGUMENTS_BYTES {
        let count = arguments.len();
        let detail = format!(
            "the command line is too long: {count} arguments of {bytes} bytes; at most {MAX_ARGUMENTS} of \
             {MAX_ARGUMENTS_BYTES} bytes"
        );
        return Err(failed(StartStage::Exec, Errno::TOOBIG, detail));
    }
    Ok(())
}

fn check_environment(variables: &[(String, String)]) -> Result<(), StartFailure> {
    let bad = |(name, value): &&(String, String)| {
        name.is_empty() || name.contains(['=', '\0']) || value.contains('\0')
    };
    if let Some((name, _)) = variables.iter().find(bad) {
        // The message contains only the name of the variable, because the value may be a secret.
        let detail = format!(
            "the environment variable {name:?} has an invalid name, or its value contains \
            a NUL byte"
        );
        return Err(failed(StartStage::Environment, Errno::INVAL, detail));
    }
    let length = |(name, value): &(String, String)| name.len().saturating_add(value.len()).saturating_add(2);
    let bytes = variables.iter().map(length).fold(0, usize::saturating_add);
    if variables.len() > MAX_VARIABLES || bytes > MAX_ENVIRONMENT_BYTES {
        let count = variables.len();
        let detail = format!(
            "the environment is too large: {count} variables of {bytes} bytes; at most {MAX_VARIABLES} of \
             {MAX_ENVIRONMENT_BYTES} bytes"
        );
        return Err(failed(StartStage::Environment, Errno::TOOBIG, detail));
    }
    Ok(())
}

fn plan(policy: &StopPolicy) -> StopPlan {
    let step = |signal, wait| StopStep { signal, wait_ms: span(wait) };
    let first = policy.interrupt_first.map(|wait| step(INTERRUPT, wait));
    StopPlan { steps: first.into_iter().chain([step(i32::from(policy.signal), policy.grace)]).collect() }
}

const fn bound(command: &CommandSpec) -> OutputBound {
    OutputBound { head: command.output.head, tail: command.output.tail, rotate: false }
}

const fn allowed(choice: ContainmentChoice) -> AllowedContainment {
    match choice {
        ContainmentChoice::Auto => AllowedContainment::Auto,
        ContainmentChoice::Cgroup => AllowedContainment::Only(Containment::Cgroup),
        ContainmentChoice::Subreaper => AllowedContainment::Only(Containment::Subreaper),
        ContainmentChoice::Group => AllowedContainment::Only(Containment::Group),
    }
}

/// Returns the limit of open files with this soft limit, but at most the hard limit that children inherit from this
/// program.
fn inherited_files(soft: u64) -> ResourceLimit {
    let hard = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    ResourceLimit { resource: OPEN_FILES, soft: soft.min(hard), hard }
}

fn limits(limits: &ResourceLimits) -> Vec<ResourceLimit> {
    let asked = [
        (PROCESSOR_TIME, limits.cpu_seconds, PROCESSOR_GRACE),
        (9, limits.memory_bytes, 0),
        (OPEN_FILES, limits.open_files, 0),
        (6, limits.processes, 0),
        (FILE_SIZE, limits.file_bytes, 0),
    ];
    let set = asked.into_iter().filter_map(|(resource, limit, grace)| {
        let soft = limit?;
        Some(ResourceLimit { resource, soft, hard: soft.saturating_add(grace) })
    });
    set.collect()
}

fn span(span: Duration) -> u64 {
    millis(span).unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_domain::{AttemptNo, ProcessId};

    const NOTE: &str = "/state/lease";

    fn options() -> OsOptions {
        OsOptions {
            attempts_dir: "/tmp".into(),
            shim: "/bin/true".into(),
            anchor_ms: 5,
            boot_id: "boot".to_owned(),
            containment: ContainmentChoice::Auto,
            adopt_orphans: false,
            open_files: None,
        }
    }

    fn order(args: &[&str]) -> StartRequest {
        StartRequest {
            key: AttemptKey { id: ProcessId::new(uuid::Uuid::from_u128(1)), attempt: AttemptNo(2) },
            command: CommandSpec::of("sh", args, "/"),
            environment: vec![("A".to_owned(), "1".to_owned()), (ID.to_owned(), "another".to_owned())],
            leased: false,
        }
    }

    #[test]
    fn a_command_learns_its_own_id_and_attempt() {
        let launch = prepare(&order(&["-c", "x"]), &options(), NOTE.as_ref(), None).unwrap();
        let id = ProcessId::new(uuid::Uuid::from_u128(1));
        let expected = ["A=1".to_owned(), format!("LONGHAUL_ID={id}"), "LONGHAUL_ATTEMPT=2".to_owned()];
        assert_eq!(launch.environment.0, expected.map(OsString::from));
        assert_eq!(launch.arguments, ["sh", "-c", "x"].map(OsString::from));
    }

    #[test]
    fn a_command_gets_the_given_limit_of_open_files_unless_it_names_one() {
        let options = OsOptions { open_files: Some(100), ..options() };
        let mut order = order(&[]);
        let mark = AttemptMark::of(order.key).limit().unwrap();
        let limits = prepare(&order, &options, NOTE.as_ref(), None).unwrap().limits;
        let hard = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
        assert_eq!(limits, [ResourceLimit { resource: OPEN_FILES, soft: 100, hard }, mark]);
        order.command.limits.open_files = Some(50);
        let limits = prepare(&order, &options, NOTE.as_ref(), None).unwrap().limits;
        assert_eq!(limits, [ResourceLimit { resource: OPEN_FILES, soft: 50, hard: 50 }, mark]);
    }

    #[test]
    fn the_tree_as_a_whole_is_limited_only_where_it_has_a_group() {
        let mut order = order(&[]);
        order.command.limits.memory_bytes = Some(1 << 20);
        order.command.limits.processes = Some(7);
        let with = prepare(&order, &options(), NOTE.as_ref(), Some("/sys/fs/cgroup/x".into())).unwrap();
        assert_eq!(with.tree_limits, CgroupLimits { memory: Some(1 << 20), processes: Some(7) });
        let without = prepare(&order, &options(), NOTE.as_ref(), None).unwrap();
        assert_eq!(without.tree_limits, CgroupLimits::default());
        // The launch order always contains both limits. The shim skips them if the control group enforces them.
        let asked = |launch: &LaunchOrder| {
            launch.limits.iter().filter(|limit| [6, 9].contains(&limit.resource)).count()
        };
        assert_eq!((asked(&with), asked(&without)), (2, 2));
    }

    #[test]
    fn only_attempts_that_must_end_with_the_lease_get_the_lease_file() {
        let mut order = order(&[]);
        assert_eq!(prepare(&order, &options(), NOTE.as_ref(), None).unwrap().lease, None);
        order.leased = true;
        assert_eq!(prepare(&order, &options(), NOTE.as_ref(), None).unwrap().lease, Some(NOTE.into()));
    }

    #[test]
    fn a_suite_of_tests_is_interrupted_before_it_is_asked_to_end() {
        let mut order = order(&[]);
        order.command.stop.interrupt_first = Some(Duration::from_secs(2));
        let plan = prepare(&order, &options(), NOTE.as_ref(), None).unwrap().stop_plan;
        let steps = [(2, 2_000), (15, 5_000)].map(|(signal, wait_ms)| StopStep { signal, wait_ms });
        assert_eq!(plan.steps, steps);
    }

    #[test]
    fn command_that_the_kernel_would_refuse_is_refused_with_its_stage() {
        let stage = |order: &StartRequest| prepare(order, &options(), NOTE.as_ref(), None).unwrap_err().stage;
        assert_eq!(stage(&order(&["a\0b"])), StartStage::Exec);
        assert_eq!(stage(&order(&["x"; MAX_ARGUMENTS + 1])), StartStage::Exec);
        assert_eq!(stage(&order(&[&"x".repeat(MAX_ARGUMENTS_BYTES)])), StartStage::Exec);
        for (name, value) in
            [("", "x"), ("A=B", "x"), ("A", "\0"), ("A", &*"x".repeat(MAX_ENVIRONMENT_BYTES))]
        {
            let mut order = order(&[]);
            order.environment = vec![(name.to_owned(), value.to_owned())];
            assert_eq!(stage(&order), StartStage::Environment);
        }
    }

    #[test]
    fn an_error_about_the_environment_hides_the_values() {
        let mut order = order(&[]);
        order.environment = vec![("TOKEN".to_owned(), "hunter2\0".to_owned())];
        let failure = prepare(&order, &options(), NOTE.as_ref(), None).unwrap_err();
        assert!(failure.detail.contains("TOKEN") && !failure.detail.contains("hunter2"));
    }
}
