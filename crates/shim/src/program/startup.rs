//! Starts a shim: from the first request of its starter until the child is waiting at its gate.

use std::{
    fs::File,
    io,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::net::UnixStream,
    },
    path::Path,
};

use longhaul_failpoint::{crashpoint, failpoint};
use rustix::{
    event::{PollFd, PollFlags, Timespec},
    fs::{Mode, OFlags},
};

use super::{
    cgroup::Cgroup,
    child::{self, GatedChild, InheritedFiles},
    connection::Connection,
    connections::Connections,
    ending::RecordState,
    input::StdinPipe,
    leader::Leader,
    lease::LeaseTerm,
    orders::CAPABILITIES,
    progress_file::ProgressFile,
    pumps::PipeReaders,
    supervisor::{PauseState, Supervisor},
    sys,
    tree::ProcessTree,
};
use crate::{
    attempt_directory::{AttemptDirectory, EXIT, IDENTITY},
    clock,
    containment::{AllowedContainment, Containment},
    exit::{ExitRecord, ProgramEnd, SpawnStage},
    frame::MAX_FRAME_LEN,
    identity::Identity,
    launch::{LaunchOrder, StdinSource},
    message::{ShimMessage, ShimWelcome},
    output::OutputWriter,
    process_stat::ProcessStat,
    request::{PROTOCOL_VERSION, ShimRequest},
    shortage::is_shortage,
};

const LAUNCH_TIMEOUT: Timespec = Timespec { tv_sec: 30, tv_nsec: 0 };
/// Maximum time to wait for the exit of a child after its gate was closed.
const EXIT_TIMEOUT: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
const DONE: i32 = 0;
const REFUSED: i32 = 3;

/// Reason why the shim ran no command. `errno` is the error number of the operating system, or `None` if the cause was
/// not a system error.
struct StartRefusal {
    why: String,
    errno: Option<i32>,
}

impl StartRefusal {
    fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), errno: None }
    }

    fn because<E: Into<io::Error>>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |error| {
            let error = error.into();
            Self { why: format!("{what}: {error}"), errno: error.raw_os_error() }
        }
    }
}

/// A child that is waiting at its gate, with its containment mechanism and its cgroup (if it has one).
struct ContainedChild {
    gated: GatedChild,
    containment: Containment,
    cgroup: Option<Cgroup>,
}

/// Supervises the attempt in an attempt directory until the attempt has ended. Returns the exit code of the shim.
pub(super) fn serve(path: &Path) -> i32 {
    sys::close_inherited();
    let Ok((mut control, null)) = take_control() else {
        return REFUSED;
    };
    match begin(path, &mut control, null) {
        Ok(Some(start)) => {
            PreparedStart::supervise(start, control);
            DONE
        }
        // The starter disconnected, or did not send a launch in time.
        Ok(None) => DONE,
        Err(StartRefusal { why, errno }) => {
            control.send(&ShimMessage::Refused { why, errno }, Vec::new());
            REFUSED
        }
    }
}

/// State of the shim when the child is waiting at its gate and the identity is durable.
struct PreparedStart {
    directory: AttemptDirectory,
    lock: OwnedFd,
    launch: LaunchOrder,
    identity: Identity,
    signals: OwnedFd,
    leader: Leader,
    tree: ProcessTree,
    pumps: PipeReaders,
    input: StdinPipe,
    term: Option<LeaseTerm>,
    progress: Option<ProgressFile>,
    reserved: Option<File>,
}

impl PreparedStart {
    fn supervise(self, mut control: Connection) {
        control.limit_to_orders();
        let supervisor = Supervisor {
            directory: self.directory,
            lock: self.lock,
            launch: self.launch,
            identity: self.identity,
            signals: self.signals,
            leader: self.leader,
            tree: self.tree,
            pumps: self.pumps,
            input: self.input,
            term: self.term,
            progress: self.progress,
            reserved: self.reserved,
            connections: Connections::new(control),
            stopping: None,
            pause: PauseState::Free,
            paused_ms: 0,
            require_no_live_descendants: false,
            leftovers: 0,
            record: RecordState::Open,
        };
        supervisor.run();
    }
}

/// Moves the control connection from standard input to another descriptor, because the child would inherit standard
/// input. Returns the connection, and the null device that replaces standard input.
fn take_control() -> io::Result<(Connection, OwnedFd)> {
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    sys::null_stdin(&null)?;
    let accepted = Connection::accept(UnixStream::from(socket), clock::awake_ms())?;
    let mut control = accepted.ok_or(io::ErrorKind::PermissionDenied)?;
    // The starter receives all messages, even if it sends no hello.
    control.greeted = true;
    control.wants_descriptors = true;
    control.set_limit(MAX_FRAME_LEN);
    Ok((control, null))
}

fn begin(
    path: &Path,
    control: &mut Connection,
    null: OwnedFd,
) -> Result<Option<PreparedStart>, StartRefusal> {
    // This call fails only if the shim already leads a session.
    let _leads_already = rustix::process::setsid();
    let signals = sys::block_signals().map_err(StartRefusal::because("cannot block signals"))?;
    let directory =
        AttemptDirectory::open(path).map_err(StartRefusal::because("cannot open the attempt directory"))?;
    if !directory.is_own() {
        return Err(StartRefusal::new("the attempt directory belongs to another user"));
    }
    rustix::process::chdir("/").map_err(StartRefusal::because("cannot leave the directory"))?;
    failpoint!("shim.lock").map_err(StartRefusal::because("cannot lock the attempt directory"))?;
    let lock = directory.lock().map_err(StartRefusal::because("cannot lock the attempt directory"))?;
    let lock = lock.ok_or_else(|| StartRefusal::new("another shim serves this attempt"))?;
    if directory.exists(IDENTITY) || directory.exists(EXIT) {
        return Err(StartRefusal::new("this attempt was started before"));
    }
    let Some(launch) = await_launch(control)? else {
        return Ok(None);
    };
    let copy = directory.as_fd().try_clone_to_owned();
    let copy = copy.map_err(StartRefusal::because("cannot copy a descriptor"))?;
    let writer = OutputWriter::create(copy, launch.output, launch.anchor_ms, null)
        .map_err(StartRefusal::because("cannot create the output files"))?;
    start(directory, lock, launch, signals, writer, control.peer).map(Some)
}

/// Receives requests until a launch arrives. Returns `None` if the peer disconnects before that or sends no request in
/// time.
fn await_launch(control: &mut Connection) -> Result<Option<LaunchOrder>, StartRefusal> {
    loop {
        while let Some(frame) = control.pull().map_err(|error| StartRefusal::new(error.to_string()))? {
            match ShimRequest::decode(&frame)
                .map_err(|error| StartRefusal::new(format!("launch refused: {error}")))?
            {
                Some(ShimRequest::Launch(launch)) => return Ok(Some(*launch)),
                Some(ShimRequest::Hello(_)) => control.send(&early_welcome(), Vec::new()),
                Some(ShimRequest::Stop(_)) => return Err(StartRefusal::new("stopped before the launch")),
                Some(
                    ShimRequest::Status
                    | ShimRequest::Signal { .. }
                    | ShimRequest::Pause
                    | ShimRequest::Resume
                    | ShimRequest::Acknowledge
                    | ShimRequest::CloseInput,
                )
                | None => return Err(StartRefusal::new("the first request must be a launch")),
            }
        }
        let mut fds = [PollFd::new(control, PollFlags::IN)];
        let ready = rustix::event::poll(&mut fds, Some(&LAUNCH_TIMEOUT));
        if ready == Ok(0) {
            return Ok(None);
        }
        control.receive();
        if control.is_broken() {
            return Ok(None);
        }
    }
}

fn early_welcome() -> ShimMessage {
    ShimMessage::Hello(ShimWelcome {
        version: PROTOCOL_VERSION,
        capabilities: CAPABILITIES.map(str::to_owned).to_vec(),
        process: String::new(),
        attempt: 0,
        shim_pid: std::process::id(),
    })
}

fn start(
    directory: AttemptDirectory,
    lock: OwnedFd,
    launch: LaunchOrder,
    signals: OwnedFd,
    writer: OutputWriter,
    manager: u32,
) -> Result<PreparedStart, StartRefusal> {
    let (input, reader) = match launch.stdin {
        StdinSource::Pipe => {
            let made = StdinPipe::create(&directory);
            let (input, reader) = made.map_err(StartRefusal::because("cannot create the standard input"))?;
            (input, Some(reader))
        }
        StdinSource::Null | StdinSource::File(_) => (StdinPipe::default(), None),
    };
    let term = launch.lease.clone().map(|path| LeaseTerm::begin(path, launch.boot_id.clone())).transpose();
    let term = term.map_err(StartRefusal::because("cannot create a timer"))?;
    // If the progress file cannot be created, the command runs without it, because progress is not essential. A crash
    // before or after this step leaves a directory without an identity, like a crash before any other file is created.
    let progress = launch
        .progress
        .then(|| ProgressFile::create(&directory, &launch.limits, clock::awake_ms()).ok())
        .flatten();
    failpoint!("shim.fork").map_err(StartRefusal::because("cannot create a process"))?;
    let ContainedChild { gated, containment, cgroup } =
        contain(&launch, reader.as_ref(), progress.as_ref(), &directory)?;
    // Close the shim's copy of the read end. Only the child has the read end open now, so that writers can detect
    // whether the input has a reader.
    drop(reader);
    crashpoint!("shim.forked");
    // The parent directories are synced last: a journaling file system has then already written them together with the
    // identity, at no extra cost.
    let record = |identity: &Identity| {
        directory.write_durably(IDENTITY, None, &identity.encode())?;
        directory.sync_parents(launch.sync_parents)
    };
    let prepared = identify(&launch, &gated, containment, cgroup.as_ref()).and_then(|identity| {
        let reserved = directory
            .reserve(EXIT)
            .map_err(StartRefusal::because("cannot reserve space for the exit record"))?;
        record(&identity).map_err(StartRefusal::because("cannot make the identity record durable"))?;
        Ok((identity, Some(reserved)))
    });
    let (identity, reserved) = match prepared {
        Ok(prepared) => prepared,
        Err(refusal) => {
            abandon(gated, cgroup.as_ref());
            directory.release(EXIT);
            // No command ran. Remove the identity file, because all readers of the directory conclude from its absence
            // that no command ran.
            drop(directory.remove(IDENTITY));
            return Err(refusal);
        }
    };
    crashpoint!("shim.identity.durable");
    let mut tree = ProcessTree::new(containment, cgroup, (identity.pid, identity.start_time), gated.pidfd);
    tree.exclude_manager(manager);
    Ok(PreparedStart {
        directory,
        lock,
        identity,
        signals,
        leader: Leader::Gated { gate: gated.gate, report: gated.report },
        tree,
        pumps: PipeReaders::new(writer, gated.stdout, gated.stderr),
        input,
        term,
        progress,
        reserved,
        launch,
    })
}

/// Gives up a child that is waiting at its gate: closes the gate, so that the child exits without executing the
/// command, and removes the cgroup of the child.
fn abandon(gated: GatedChild, cgroup: Option<&Cgroup>) {
    let GatedChild { gate, pidfd, .. } = gated;
    drop(gate);
    let Some(cgroup) = cgroup else { return };
    // The kernel refuses to remove a cgroup with a live process. The child normally exits within a millisecond.
    let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
    // If the child does not exit in time, the cgroup cannot be removed and stays behind.
    let _has_exited = rustix::event::poll(&mut fds, Some(&EXIT_TIMEOUT));
    cgroup.remove();
}

/// Creates the child with the strongest containment mechanism that the launch allows and that works on this machine.
fn contain(
    launch: &LaunchOrder,
    input: Option<&OwnedFd>,
    progress: Option<&ProgressFile>,
    directory: &AttemptDirectory,
) -> Result<ContainedChild, StartRefusal> {
    let inherited =
        InheritedFiles { input: input.map(OwnedFd::as_fd), progress: progress.map(ProgressFile::descriptor) };
    let (wants_cgroup, fallback) = match launch.containment {
        AllowedContainment::Auto => (true, Some(Containment::Subreaper)),
        AllowedContainment::Only(Containment::Cgroup) => (true, None),
        AllowedContainment::Only(other @ (Containment::Subreaper | Containment::Group)) => {
            (false, Some(other))
        }
    };
    if fallback != Some(Containment::Group) {
        let me = rustix::process::getpid();
        let made = rustix::process::set_child_subreaper(Some(me));
        made.map_err(StartRefusal::because("cannot become a subreaper"))?;
    }
    if let Some(path) = launch.cgroup.as_ref().filter(|_| wants_cgroup)
        && let Ok(cgroup) = Cgroup::open(path)
    {
        // Set the limits while the cgroup is empty, so that no process ever runs without them.
        let needless = cgroup.limit(&launch.tree_limits);
        match child::spawn(launch, inherited, Some(cgroup.as_fd()), &needless) {
            Ok(gated) => {
                return Ok(ContainedChild { gated, containment: Containment::Cgroup, cgroup: Some(cgroup) });
            }
            Err(_) => cgroup.remove(),
        }
    }
    let Some(containment) = fallback else {
        return Err(StartRefusal::new("the cgroup cannot be used"));
    };
    match child::spawn(launch, inherited, None, &[]) {
        Ok(gated) => Ok(ContainedChild { gated, containment, cgroup: None }),
        Err(error) => {
            if !is_shortage(&error) {
                let errno = error.raw_os_error().unwrap_or(0);
                let ended_at = launch.anchor_ms.saturating_add(clock::boot_ms());
                let mut record = ExitRecord::never_ran(ended_at, clock::wall_ms());
                record.ending = ProgramEnd::SpawnFailed { stage: SpawnStage::Fork, errno };
                drop(directory.write_durably(EXIT, None, &record.encode()));
            }
            Err(StartRefusal::because("cannot create a process")(error))
        }
    }
}

fn identify(
    launch: &LaunchOrder,
    gated: &GatedChild,
    mechanism: Containment,
    cgroup: Option<&Cgroup>,
) -> Result<Identity, StartRefusal> {
    failpoint!("shim.identify").map_err(StartRefusal::because("cannot identify the child"))?;
    let shim_pid = std::process::id();
    let stat = |pid| ProcessStat::read(pid).ok_or_else(|| StartRefusal::new("/proc cannot be read"));
    Ok(Identity {
        process: launch.process.clone(),
        attempt: launch.attempt,
        boot_id: launch.boot_id.clone(),
        shim_pid,
        shim_start: stat(shim_pid)?.start_time,
        pid: gated.pid,
        start_time: stat(gated.pid)?.start_time,
        cgroup: cgroup.map(|cgroup| cgroup.path().to_owned()),
        mechanism,
        started_at: launch.anchor_ms.saturating_add(clock::boot_ms()),
        wall: clock::wall_ms(),
    })
}
