//! Tests of resource limits that end commands, and of the reported resource usage.

use crate::bench::{Bench, by_user, code, key, kill, state, until};
use longhaul_adapters::os::ContainmentChoice;
use longhaul_domain::{ExceededLimit, Exit, ExitStatus, LimitMechanism, ResourceLimits, TreeUsage};
use longhaul_ports::{SpawnError, Spawner};
use std::time::Duration;

const BURN: &str = "echo ready; while :; do :; done";
/// Script that waits together with a child, almost without CPU time, until the file `go` exists. Then it fully uses one
/// CPU.
const BURNS_ON_REQUEST: &str =
    "ulimit -c 0; sleep 60 & echo $! ready; while [ ! -e go ]; do sleep 0.05; done; while :; do :; done";
const XCPU: ExitStatus = ExitStatus::Signal { number: 24, core: false };

async fn start(bench: &Bench, script: &str, limits: ResourceLimits) {
    let mut order = bench.order(key(1), script);
    order.command.limits = limits;
    bench.spawner.start(order).await.unwrap();
    bench.spawned().await;
}

async fn end(script: &str, limits: ResourceLimits) -> (Exit, String) {
    let bench = Bench::new();
    // Core dumps are disabled, because a command that is killed by the limit would write one.
    start(&bench, &format!("ulimit -c 0; {script}"), limits).await;
    let exit = bench.exited().await;
    let text = bench.text(key(1)).await;
    (exit, text)
}

fn cpu(seconds: u64) -> ResourceLimits {
    ResourceLimits { cpu_seconds: Some(seconds), ..ResourceLimits::default() }
}

/// Returns the resource usage. On a busy machine, the supervisor may exceed the time limit of a call.
async fn used(bench: &Bench) -> TreeUsage {
    loop {
        match bench.spawner.usage(key(1)).await {
            Err(SpawnError::Unreachable { .. }) => {}
            usage => return usage.unwrap(),
        }
    }
}

#[tokio::test]
async fn a_command_that_exceeds_its_cpu_limit_is_ended_and_names_the_limit() {
    let (exit, _) = end(BURN, cpu(1)).await;
    assert_eq!((exit.status, exit.limit), (XCPU, Some(ExceededLimit::Cpu)), "{exit:?}");
    assert!(exit.usage.user + exit.usage.system >= Duration::from_millis(500), "{:?}", exit.usage);
}

#[tokio::test]
async fn a_shell_whose_command_exceeds_its_cpu_limit_names_the_limit_too() {
    let (exit, _) = end("sh -c 'while :; do :; done'; exit $?", cpu(1)).await;
    assert_eq!((code(&exit), exit.limit), (128 + 24, Some(ExceededLimit::Cpu)));
}

#[tokio::test]
async fn the_same_signal_without_the_time_is_no_limit() {
    let (exit, _) = end("kill -XCPU $$", cpu(60)).await;
    assert_eq!((exit.status, exit.limit), (XCPU, None));
    let (exit, _) = end("kill -KILL $$", cpu(60)).await;
    assert_eq!(exit.limit, None);
}

#[tokio::test]
async fn a_file_that_grows_too_large_ends_its_writer() {
    let limits = ResourceLimits { file_bytes: Some(1 << 20), ..ResourceLimits::default() };
    let (exit, _) = end("exec head -c 10M /dev/zero > file", limits).await;
    assert_eq!(exit.status, ExitStatus::Signal { number: 25, core: false });
    assert_eq!(exit.limit, Some(ExceededLimit::FileSize), "{exit:?}");
    let (exit, text) = end("head -c 10M /dev/zero > file; code=$?; wc -c < file; exit $code", limits).await;
    assert_eq!((code(&exit), exit.limit), (128 + 25, Some(ExceededLimit::FileSize)));
    assert!(text.contains("1048576\n"), "{text}");
}

#[tokio::test]
async fn no_more_files_than_allowed_are_open() {
    let limits = ResourceLimits { open_files: Some(16), ..ResourceLimits::default() };
    let script = "python3 -c 'held = [open(\"/dev/null\") for _ in range(20)]' 2>&1";
    let (exit, text) = end(script, limits).await;
    assert!(text.contains("Too many open files"), "{text}");
    assert_eq!(
        (code(&exit), exit.limit),
        (1, None),
        "a command that exits by itself was not ended by a limit"
    );
}

#[tokio::test]
async fn no_more_processes_than_allowed_are_made() {
    let limits = ResourceLimits { processes: Some(1), ..ResourceLimits::default() };
    // The limit does not apply to root. If the test runs as root, the script changes to a user that has no processes.
    // This user may run nothing but the shell.
    let script = "[ $(id -u) != 0 ] || as='setpriv --reuid 54321 --regid 54321 --clear-groups'
        exec $as sh -c 'grep processes /proc/self/limits; (true); echo made' 2>&1";
    let (exit, text) = end(script, limits).await;
    assert!(!text.contains("made") && text.contains("ork"), "{text}");
    assert!(code(&exit) != 0 && exit.limit.is_none());
}

#[tokio::test]
async fn a_command_that_is_denied_memory_fails_by_itself() {
    let limits = ResourceLimits { memory_bytes: Some(64 << 20), ..ResourceLimits::default() };
    let (exit, text) = end("python3 -c 'x = bytearray(80 << 20)' 2>&1", limits).await;
    assert!(text.contains("MemoryError"), "{text}");
    assert_eq!((code(&exit), exit.limit), (1, None));
}

#[tokio::test]
async fn a_tree_is_counted_as_a_whole_and_without_its_shim() {
    for containment in [ContainmentChoice::Subreaper, ContainmentChoice::Group, ContainmentChoice::Auto] {
        let bench = Bench::with(containment);
        start(&bench, "sleep 30 & sleep 30; :", ResourceLimits::default()).await;
        until(async || used(&bench).await.processes == 3).await;
        let usage = used(&bench).await;
        assert!(usage.memory > 0 && usage.read.is_some() && usage.written.is_some(), "{usage:?}");
        assert_eq!(usage.limited_by, LimitMechanism::Rlimit);
        bench.spawner.stop(key(1), by_user(true)).await.unwrap();
        bench.exited().await;
    }
}

#[tokio::test]
async fn the_cpu_time_of_a_tree_increases_and_includes_ended_processes() {
    for containment in [ContainmentChoice::Subreaper, ContainmentChoice::Auto] {
        let bench = Bench::with(containment);
        // The parent exits, so the process that uses the CPU is reaped only by the shim.
        let script = "( (ulimit -c 0; ulimit -t 1; sh -c 'while :; do :; done') & ); exec sleep 3600";
        start(&bench, script, ResourceLimits::default()).await;
        until(async || used(&bench).await.processes > 1).await;
        until(async || used(&bench).await.processes == 1).await;
        let with_those_who_ended = async || used(&bench).await.cpu >= Duration::from_millis(500);
        until(with_those_who_ended).await;
        bench.spawner.stop(key(1), by_user(true)).await.unwrap();
        bench.exited().await;
    }
    let bench = Bench::new();
    start(&bench, BURN, ResourceLimits::default()).await;
    until(async || used(&bench).await.cpu >= Duration::from_millis(100)).await;
    let before = used(&bench).await.cpu;
    until(async || used(&bench).await.cpu > before).await;
}

#[tokio::test]
async fn bytes_that_were_written_to_storage_are_counted() {
    let bench = Bench::new();
    let script = "dd if=/dev/zero of=file bs=1M count=3 conv=fsync 2>/dev/null; echo ready; sleep 60";
    start(&bench, script, ResourceLimits::default()).await;
    bench.says(key(1), "ready").await;
    let written = used(&bench).await.written.unwrap();
    assert!(written >= 3 << 20, "{written}");
}

#[tokio::test]
async fn an_ended_attempt_has_no_resource_usage() {
    let bench = Bench::new();
    assert!(matches!(bench.spawner.usage(key(1)).await, Err(SpawnError::Unknown { .. })));
    start(&bench, "exit 0", ResourceLimits::default()).await;
    bench.exited().await;
    assert!(matches!(bench.spawner.usage(key(1)).await, Err(SpawnError::Unknown { .. })));
    bench.spawner.end_recorded(key(1)).await;
    until(async || matches!(bench.spawner.usage(key(1)).await, Err(SpawnError::Unknown { .. }))).await;
}

#[tokio::test]
async fn leftovers_do_not_count_for_the_usage_of_a_command() {
    let bench = Bench::new();
    let mut order = bench.order(key(1), "sleep 60 & echo $!; exit 0");
    order.command.leftovers = longhaul_domain::Leftovers::Keep;
    bench.spawner.start(order).await.unwrap();
    bench.spawned().await;
    let exit = bench.exited().await;
    assert_eq!(exit.leftovers_found, 1);
    let usage = bench.spawner.usage(key(1)).await;
    kill(bench.text(key(1)).await.trim().parse().unwrap());
    assert!(matches!(usage, Err(SpawnError::Unknown { .. })), "{usage:?}");
}

#[tokio::test]
async fn usage_of_an_ending_attempt_is_measured_or_unknown() {
    let bench = Bench::new();
    start(&bench, "for i in 1 2 3 4 5 6 7 8 9; do /bin/true & done; wait", ResourceLimits::default()).await;
    loop {
        match bench.spawner.usage(key(1)).await {
            Ok(usage) => assert!(usage.processes > 0),
            Err(SpawnError::Unknown { .. }) => break,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(code(&bench.exited().await), 0);
}

#[tokio::test]
async fn the_next_manager_counts_and_names_limits_too() {
    let mut bench = Bench::new();
    start(&bench, BURNS_ON_REQUEST, cpu(1)).await;
    bench.says(key(1), "ready").await;
    bench.next_life();
    bench.adopt(key(1)).await.unwrap();
    assert!(used(&bench).await.processes >= 2);
    std::fs::write(bench.path().join("go"), "").unwrap();
    let exit = bench.exited().await;
    assert_eq!((exit.status, exit.limit), (XCPU, Some(ExceededLimit::Cpu)), "{exit:?}");
}

#[tokio::test]
async fn a_command_without_its_shim_is_counted_and_its_limit_named() {
    without_shim(ContainmentChoice::Subreaper).await;
}

#[tokio::test]
async fn a_command_in_a_control_group_without_its_shim_is_counted_and_its_limit_named() {
    without_shim(ContainmentChoice::Auto).await;
}

async fn without_shim(containment: ContainmentChoice) {
    let bench = Bench::with(containment);
    start(&bench, BURNS_ON_REQUEST, cpu(1)).await;
    bench.says(key(1), "ready").await;
    let child: u32 = bench.text(key(1)).await.split(' ').next().unwrap().parse().unwrap();
    bench.kill_shim(key(1));
    until(async || bench.spawner.usage(key(1)).await.is_ok_and(|usage| usage.processes >= 2)).await;
    let usage = used(&bench).await;
    assert!(usage.memory > 0, "{usage:?}");
    std::fs::write(bench.path().join("go"), "").unwrap();
    let exit = bench.exited().await;
    assert_eq!((exit.status, exit.limit), (XCPU, Some(ExceededLimit::Cpu)), "{exit:?}");
    // The child of the command must end as well, and the control group, if it exists, must be removed.
    until(async || state(child).is_none_or(|state| state == 'Z')).await;
    let cgroup = bench.identity(key(1)).cgroup;
    until(async || cgroup.as_ref().is_none_or(|cgroup| !cgroup.exists())).await;
}

#[tokio::test]
async fn a_manager_inside_a_tree_and_its_commands_are_not_counted() {
    for containment in [ContainmentChoice::Subreaper, ContainmentChoice::Auto] {
        let bench = Bench::with(containment);
        let program = std::env::current_exe().unwrap();
        let script = format!(
            "'{}' --ignored --exact limits::inner_manager >/dev/null 2>&1 & sleep 3600; :",
            program.display()
        );
        let mut order = bench.order(key(1), &script);
        order.environment.push(("LONGHAUL_TEST_PLACE".to_owned(), bench.path().to_str().unwrap().to_owned()));
        bench.spawner.start(order).await.unwrap();
        bench.spawned().await;
        let opened = bench.path().join("opened");
        until(async || std::fs::read_to_string(&opened).is_ok_and(|text| !text.is_empty())).await;
        let inner: u32 = std::fs::read_to_string(&opened).unwrap().parse().unwrap();
        // The shell and its `sleep` are counted. The inner manager, its shim and its command are not.
        assert_eq!(used(&bench).await.processes, 2);
        bench.spawner.stop(key(1), by_user(true)).await.unwrap();
        bench.exited().await;
        assert!(state(inner).is_some_and(|state| state != 'Z'));
        std::fs::write(bench.path().join("go"), "").unwrap();
        until(async || state(inner).is_none_or(|state| state == 'Z')).await;
    }
}

/// Inner manager of the previous test: starts a command, writes its pid to a file, and waits.
#[tokio::test]
#[ignore = "run by another test as a program of its own"]
async fn inner_manager() {
    let inner = Bench::new();
    let place = std::path::PathBuf::from(std::env::var("LONGHAUL_TEST_PLACE").unwrap());
    inner.start(key(1), "sleep 3600").await;
    let pid = inner.spawned().await;
    std::fs::write(place.join("opened"), pid.to_string()).unwrap();
    until(async || place.join("go").exists()).await;
    inner.spawner.stop(key(1), by_user(true)).await.unwrap();
    inner.exited().await;
}

/// A control group (version 1) with a low memory limit. Only root can create one.
struct ShortOfMemory(std::path::PathBuf);

impl ShortOfMemory {
    fn open() -> Option<Self> {
        let path =
            std::path::PathBuf::from(format!("/sys/fs/cgroup/memory/longhaul-test-{}", std::process::id()));
        std::fs::create_dir(&path).ok()?;
        let this = Self(path);
        std::fs::write(this.0.join("memory.limit_in_bytes"), "33554432").ok()?;
        std::fs::File::open("/dev/kmsg").ok()?;
        Some(this)
    }
}

impl Drop for ShortOfMemory {
    fn drop(&mut self) {
        drop(std::fs::remove_dir(&self.0));
    }
}

#[tokio::test]
async fn a_command_that_the_kernel_killed_for_memory_names_the_reason() {
    let Some(group) = ShortOfMemory::open() else {
        eprintln!(
            "SKIPPED: no group can be made short of memory here, or the log of the kernel cannot be read"
        );
        return;
    };
    for without_shim in [false, true] {
        let bench = Bench::new();
        let script = format!(
            "echo $$ > {}/cgroup.procs; echo ready; while [ ! -e go ]; do sleep 0.01; done
            exec python3 -c 'x = bytearray(256 << 20)'",
            group.0.display()
        );
        start(&bench, &script, ResourceLimits::default()).await;
        bench.says(key(1), "ready").await;
        if without_shim {
            bench.kill_shim(key(1));
        }
        std::fs::write(bench.path().join("go"), "").unwrap();
        let exit = bench.exited().await;
        assert_eq!(exit.status, ExitStatus::Signal { number: 9, core: false }, "{without_shim}");
        assert_eq!(exit.limit, Some(ExceededLimit::Memory), "{without_shim}");
    }
}

#[tokio::test]
async fn a_kill_by_another_program_is_not_attributed_to_memory() {
    let bench = Bench::new();
    start(&bench, "echo ready; sleep 60", ResourceLimits::default()).await;
    bench.says(key(1), "ready").await;
    kill(bench.identity(key(1)).pid);
    let exit = bench.exited().await;
    assert_eq!((exit.status, exit.limit), (ExitStatus::Signal { number: 9, core: false }, None));
}
