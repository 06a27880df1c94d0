//! Tests of the inspection of a process tree.

use crate::bench::{Bench, SOON, by_user, key, state, until};
use longhaul_adapters::os::ContainmentChoice;
use longhaul_ports::{AttemptKey, SpawnError, Spawner};
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

/// Number of inspections that check that a condition is never true.
const LOOKS: u32 = 50;

fn is_installed(program: &str) -> bool {
    let found = ["/bin", "/usr/bin"].iter().any(|each| Path::new(each).join(program).exists());
    if !found {
        eprintln!("SKIPPED: {program} is not installed");
    }
    found
}

/// Returns the path of the real Python interpreter, which runs even without the environment of this test.
fn python() -> Option<String> {
    let asked =
        std::process::Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output();
    let path = asked.ok().filter(|answer| answer.status.success());
    let path = path.map(|answer| String::from_utf8(answer.stdout).unwrap().trim().to_owned());
    if path.is_none() {
        eprintln!("SKIPPED: python3 is not installed");
    }
    path
}

async fn waits(bench: &Bench, key: AttemptKey) -> bool {
    bench.inspect(key).await.waits_for_input
}

/// Starts a program that reads its input. Inspects it until the inspection reports that it is waiting for input.
async fn is_noticed(program: &str, arguments: &[&str]) {
    let bench = Bench::new();
    bench.start_reading(key(1), program, arguments).await;
    bench.spawned().await;
    until(async || waits(&bench, key(1)).await).await;
    bench.spawner.stop(key(1), by_user(true)).await.unwrap();
    bench.exited().await;
}

/// Starts a program that waits for something other than input. Checks that no inspection reports that it is waiting for
/// input.
async fn is_never_noticed(program: &str, arguments: &[&str]) {
    let bench = Bench::new();
    bench.start_reading(key(1), program, arguments).await;
    let pid = bench.spawned().await;
    bench.says(key(1), "ready").await;
    until(async || state(pid) == Some('S')).await;
    for _ in 0..LOOKS {
        assert!(!waits(&bench, key(1)).await, "{program} {arguments:?} was reported as waiting for input");
    }
    assert_eq!(state(pid), Some('S'), "{program} {arguments:?} did not stay asleep");
    bench.spawner.stop(key(1), by_user(true)).await.unwrap();
    bench.exited().await;
}

#[tokio::test]
async fn read_of_a_shell_is_noticed() {
    is_noticed("sh", &["-c", "read line"]).await;
    if is_installed("bash") {
        is_noticed("bash", &["-c", "read line"]).await;
    }
}

#[tokio::test]
async fn cat_on_the_pipe_is_noticed() {
    is_noticed("cat", &[]).await;
}

#[tokio::test]
async fn input_of_python_is_noticed() {
    if let Some(python) = python() {
        is_noticed(&python, &["-c", "input()"]).await;
    }
}

#[tokio::test]
async fn reading_thread_among_other_threads_is_detected() {
    if let Some(python) = python() {
        let script = "import threading, time; threading.Thread(target=input).start(); time.sleep(60)";
        is_noticed(&python, &["-c", script]).await;
    }
}

#[tokio::test]
async fn copy_from_the_input_inside_the_kernel_is_noticed_and_one_that_waits_for_its_target_is_not() {
    let Some(python) = python() else { return };
    let begin = "import os\nr, w = os.pipe()\n";
    is_noticed(&python, &["-c", &format!("{begin}os.splice(0, w, 100)")]).await;
    let full = "while True:\n  try: os.write(w, b'x' * 4096)\n  except BlockingIOError: break\n";
    let script = format!(
        "{begin}os.set_blocking(w, False)\n{full}os.set_blocking(w, True)\nos.read(0, 1)\n\
         print('ready', flush=True)\nos.splice(0, w, 100)"
    );
    let bench = Bench::new();
    bench.start_reading(key(1), &python, &["-c", &script]).await;
    bench.spawned().await;
    bench.write(key(1), "more than a byte").await;
    bench.says(key(1), "ready").await;
    for _ in 0..LOOKS {
        assert!(!waits(&bench, key(1)).await);
    }
}

#[tokio::test]
async fn child_that_reads_inherited_input_is_detected() {
    is_noticed("sh", &["-c", "sh -c 'cat; true'; true"]).await;
}

#[tokio::test]
async fn cat_on_a_terminal_is_noticed() {
    if is_installed("script") {
        is_noticed("script", &["-qc", "cat", "/dev/null"]).await;
    }
}

#[tokio::test]
async fn line_editors_that_select_their_terminal_are_noticed() {
    if is_installed("script") && is_installed("bash") {
        is_noticed("script", &["-qc", "bash --norc -i", "/dev/null"]).await;
    }
    if let Some(python) = python().filter(|_| is_installed("script")) {
        is_noticed("script", &["-qc", &format!("{python} -i"), "/dev/null"]).await;
        is_noticed("script", &["-qc", &format!("{python} -c 'input()'"), "/dev/null"]).await;
    }
}

#[tokio::test]
async fn poll_of_only_the_terminal_is_detected() {
    if let Some(python) = python().filter(|_| is_installed("script")) {
        let poll = "import select; p = select.poll(); p.register(0); p.modify(0, 1); p.poll()";
        is_noticed("script", &["-qc", &format!("{python} -c '{poll}'"), "/dev/null"]).await;
    }
}

#[tokio::test]
async fn sleep_and_waiting_for_a_child_are_never_noticed() {
    is_never_noticed("sh", &["-c", "echo ready; exec sleep 3600"]).await;
    is_never_noticed("sh", &["-c", "sleep 3600 & echo ready; wait"]).await;
}

#[tokio::test]
async fn read_of_a_pipe_within_the_tree_is_never_reported() {
    is_never_noticed("sh", &["-c", "(echo ready; exec sleep 3600) | tee log"]).await;
    is_never_noticed("sh", &["-c", "sleep 3600 | cat & echo ready; wait"]).await;
    is_never_noticed("sh", &["-c", "mkfifo f; sleep 3600 > f & echo ready; cat < f"]).await;
}

#[tokio::test]
async fn wait_for_connections_and_their_data_is_never_reported() {
    let Some(python) = python() else { return };
    let server =
        "import socket; s = socket.create_server((\"127.0.0.1\", 0)); print(\"ready\", flush=True); ";
    is_never_noticed(&python, &["-c", &format!("{server} s.accept()")]).await;
    let client = format!("{server} c = socket.create_connection(s.getsockname()); c.recv(1)");
    is_never_noticed(&python, &["-c", &client]).await;
    let pair = "import socket, os; a, b = socket.socketpair(); os.dup2(a.fileno(), 0); \
                print(\"ready\", flush=True); os.read(0, 1)";
    is_never_noticed(&python, &["-c", pair]).await;
}

#[tokio::test]
async fn server_that_polls_its_input_is_never_noticed() {
    let Some(python) = python() else { return };
    let begin =
        "import select, socket; s = socket.create_server((\"127.0.0.1\", 0)); print(\"ready\", flush=True); ";
    for rest in [
        "select.select([0, s], [], [])",
        "select.select([0], [], [])",
        "p = select.poll(); p.register(0); p.poll()",
        "p = select.epoll(); p.register(0); p.register(s); p.poll()",
    ] {
        is_never_noticed(&python, &["-c", &format!("{begin}{rest}")]).await;
    }
}

#[tokio::test]
async fn server_that_polls_its_terminal_and_other_files_is_never_reported() {
    let Some(python) = python().filter(|_| is_installed("script")) else { return };
    let server = "import select, socket; s = socket.create_server((\"127.0.0.1\", 0)); print(\"ready\", flush=True); \
                  select.select([0, s], [], [])";
    is_never_noticed("script", &["-qc", &format!("{python} -c '{server}'"), "/dev/null"]).await;
}

#[tokio::test]
async fn sleep_and_futex_on_a_terminal_are_never_noticed() {
    let Some(python) = python().filter(|_| is_installed("script")) else { return };
    for script in [
        "import time; print(\"ready\", flush=True); time.sleep(3600)",
        "import select; print(\"ready\", flush=True); select.select([], [], [], 3600)",
        "import threading; print(\"ready\", flush=True); threading.Event().wait()",
    ] {
        is_never_noticed("script", &["-qc", &format!("{python} -c '{script}'"), "/dev/null"]).await;
    }
}

#[tokio::test]
async fn process_that_received_its_input_no_longer_waits() {
    let bench = Bench::new();
    bench.start_reading(key(1), "sh", &["-c", "read line; echo got $line; exec sleep 3600"]).await;
    bench.spawned().await;
    until(async || waits(&bench, key(1)).await).await;
    bench.write(key(1), "it\n").await;
    bench.says(key(1), "got it").await;
    until(async || !waits(&bench, key(1)).await).await;
}

#[tokio::test]
async fn paused_tree_is_never_waiting_for_input() {
    let bench = Bench::new();
    bench.start_reading(key(1), "cat", &[]).await;
    bench.spawned().await;
    until(async || waits(&bench, key(1)).await).await;
    bench.spawner.pause(key(1)).await.unwrap();
    assert!(!waits(&bench, key(1)).await);
    bench.spawner.resume(key(1)).await.unwrap();
    until(async || waits(&bench, key(1)).await).await;
}

#[tokio::test]
async fn ports_of_the_whole_tree_are_found_and_those_of_others_are_not() {
    let Some(python) = python() else { return };
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    for containment in [ContainmentChoice::Subreaper, ContainmentChoice::Auto] {
        let bench = Bench::with(containment);
        let script = "import os, socket, time\n\
            a = socket.create_server((\"127.0.0.1\", 0))\n\
            print(a.getsockname()[1], flush=True)\n\
            if os.fork() == 0:\n  \
              b = socket.create_server((\"\", 0))\n  \
              print(b.getsockname()[1], \"ready\", flush=True)\n\
            time.sleep(3600)";
        bench.start_reading(key(1), &python, &["-c", script]).await;
        bench.spawned().await;
        bench.says(key(1), "ready").await;
        let text = bench.text(key(1)).await;
        let mut printed = text.split_ascii_whitespace().filter_map(|word| word.parse::<u16>().ok());
        let (own, of_child) = (printed.next().unwrap(), printed.next().unwrap());
        let found = bench.inspect(key(1)).await.listening;
        let expect = |port, address: &str| (port, address.parse::<IpAddr>().unwrap());
        let mut expected = vec![expect(own, "127.0.0.1"), expect(of_child, "0.0.0.0")];
        expected.sort_unstable();
        let found: Vec<_> = found.into_iter().map(|each| (each.port, each.address)).collect();
        assert_eq!(found, expected);
        assert!(found.iter().all(|(port, _)| *port != other.local_addr().unwrap().port()));
    }
}

#[tokio::test]
async fn terminal_is_found_where_there_is_one() {
    let bench = Bench::new();
    bench.start_reading(key(1), "sleep", &["3600"]).await;
    bench.spawned().await;
    assert!(!bench.inspect(key(1)).await.has_terminal);
    if is_installed("script") {
        bench.start_reading(key(2), "script", &["-qc", "sleep 3600", "/dev/null"]).await;
        bench.spawned().await;
        until(async || bench.inspect(key(2)).await.has_terminal).await;
    }
}

#[tokio::test]
async fn processor_time_of_a_busy_tree_grows_and_that_of_a_sleeper_does_not() {
    let bench = Bench::new();
    bench.start(key(1), "sh -c 'while :; do :; done' & wait").await;
    bench.spawned().await;
    let before = bench.inspect(key(1)).await.cpu;
    until(async || bench.inspect(key(1)).await.cpu > before + Duration::from_millis(50)).await;
    bench.start(key(2), "exec sleep 3600").await;
    let pid = bench.spawned().await;
    until(async || state(pid) == Some('S')).await;
    assert!(bench.inspect(key(2)).await.cpu < Duration::from_millis(200));
}

#[tokio::test]
async fn tree_without_a_shim_can_be_looked_into_too() {
    let bench = Bench::new();
    bench.start_reading(key(1), "cat", &[]).await;
    bench.spawned().await;
    until(async || waits(&bench, key(1)).await).await;
    bench.kill_shim(key(1));
    until(async || {
        let seen = tokio::time::timeout(SOON, bench.spawner.inspect(key(1))).await.unwrap();
        seen.is_ok_and(|seen| seen.waits_for_input)
    })
    .await;
}

#[tokio::test]
async fn inspection_of_an_ended_or_unknown_attempt_is_refused() {
    let bench = Bench::new();
    bench.start(key(1), "exit 0").await;
    bench.spawned().await;
    bench.exited().await;
    for key in [key(1), key(2)] {
        let refused = bench.spawner.inspect(key).await;
        assert!(matches!(refused, Err(SpawnError::Unknown { key: named }) if named == key), "{refused:?}");
    }
}
