//! The manager must not mistake an unrelated process that has a reused pid for one of its processes.

use longhaul_tests::{Answer, program};
use std::process::Command;

/// Script that runs in its own PID namespace, where it can choose the next pid. It kills the command, its shim and the
/// manager, and then starts an unrelated process with the pid of the command.
const SCRIPT: &str = r#"
set -e
id=$(longhaul run -b -- sleep 600)
while :; do
    pid=$(longhaul inspect "$id" | sed -n 's/^ *"pid": \([0-9]*\),$/\1/p' | head -n 1)
    [ -z "$pid" ] || break
    sleep 0.05
done
shim=$(sed -n 's/^PPid:\t//p' "/proc/$pid/status")
manager=$(sed -n 's/^pid=//p' "$LONGHAUL_STATE_DIR/manager.lock")
kill -KILL "$manager" "$shim" "$pid"
while kill -0 "$pid" 2>/dev/null || kill -0 "$shim" 2>/dev/null || kill -0 "$manager" 2>/dev/null; do sleep 0.05; done
tries=0
while :; do
    echo $((pid - 1)) > /proc/sys/kernel/ns_last_pid
    sleep 600 &
    [ "$!" != "$pid" ] || break
    kill -KILL "$!"
    tries=$((tries + 1))
    [ "$tries" -lt 50 ] || { echo "no unrelated process got the id" >&2; exit 98; }
done
echo "status $(longhaul inspect "$id" | sed -n 's/^ *"status": "\(.*\)",$/\1/p' | head -n 1)"
longhaul cancel --force "$id" >/dev/null 2>&1 || true
kill -0 "$pid" && echo "the unrelated process is alive"
longhaul status >/dev/null
kill -TERM "$(sed -n 's/^pid=//p' "$LONGHAUL_STATE_DIR/manager.lock")"
"#;

#[test]
fn a_reused_process_id_is_neither_adopted_nor_signalled() {
    let space = ["-p", "-f", "--mount-proc", "--kill-child", "--"];
    let choose = "echo 300 > /proc/sys/kernel/ns_last_pid";
    let may = Command::new("unshare").args(space).args(["sh", "-c", choose]).output();
    if !may.is_ok_and(|may| may.status.success()) {
        eprintln!("THIS TEST WAS NOT RUN: it needs root, unshare and /proc/sys/kernel/ns_last_pid");
        return;
    }
    // Do not use `Home`: it ends a manager by the pid in its lock, but this manager is in another PID namespace.
    let top = tempfile::tempdir().unwrap();
    let programs = program("longhaul").parent().unwrap().to_owned();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("unshare");
    command.args(space).args(["sh", "-c", SCRIPT]);
    command.current_dir(top.path()).env("LONGHAUL_STATE_DIR", top.path().join("state")).env("PATH", path);
    command.env("XDG_CONFIG_HOME", top.path()).env_remove("LONGHAUL_ID").env_remove("LONGHAUL_SOCKET");
    let answer = Answer::of(command.output().unwrap());
    assert_eq!(answer.code, 0, "{answer:?}");
    assert!(answer.out.contains("status interrupted"), "{answer:?}");
    assert!(answer.out.contains("the unrelated process is alive"), "{answer:?}");
}
