//! Sends signals to processes that this test or its managers started, and inspects them.

use rustix::process::{Pid, Signal, kill_process};

/// Sends a signal to a process. Has no effect if the process has exited.
pub(crate) fn signal(pid: u32, signal: Signal) {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return };
    let _ = kill_process(pid, signal);
}

/// Returns the pids of all processes whose command-line arguments contain this text.
pub(crate) fn naming(text: &str) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&line).contains(text) && longhaul_tests::is_alive(pid) {
            found.push(pid);
        }
    }
    found
}

/// Returns a variable from the environment that a process was started with.
pub(crate) fn variable(pid: u32, name: &str) -> Option<String> {
    let all = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    let all = String::from_utf8_lossy(&all);
    all.split('\0').find_map(|pair| Some(pair.strip_prefix(name)?.strip_prefix('=')?.to_owned()))
}
