//! Tests of the probe commands that check if a process is ready.

use crate::bench::{Bench, SOON, state, until};
use longhaul_adapters::os::{OsOptions, OsSpawner};
use longhaul_ports::{ProbeCommand, Prober};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const TIMEOUT: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_secs(1);

fn order(bench: &Bench, script: &str) -> ProbeCommand {
    ProbeCommand {
        program: "sh".to_owned(),
        args: vec!["-c".to_owned(), script.to_owned()],
        directory: bench.path().to_str().unwrap().to_owned(),
        environment: vec![
            ("PATH".to_owned(), "/usr/bin:/bin".to_owned()),
            ("ASKED".to_owned(), "yes".to_owned()),
        ],
    }
}

async fn succeeds(bench: &Bench, script: &str) -> bool {
    bench.spawner.prober().succeeds(order(bench, script), TIMEOUT).await
}

/// Waits until a script has written `count` pids to a file, and returns them.
async fn pids(file: &Path, count: usize) -> Vec<u32> {
    let read = || {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect::<Vec<u32>>()
    };
    until(async || read().len() == count).await;
    read()
}

async fn are_gone(pids: &[u32]) {
    until(async || pids.iter().all(|pid| state(*pid).is_none_or(|state| state == 'Z'))).await;
}

#[tokio::test]
async fn only_code_zero_is_success() {
    let bench = Bench::new();
    assert!(succeeds(&bench, "exit 0").await);
    assert!(!succeeds(&bench, "exit 3").await);
    assert!(!succeeds(&bench, "kill -9 $$").await);
    let mut missing = order(&bench, "");
    missing.program = "no-such-program".to_owned();
    assert!(!bench.spawner.prober().succeeds(missing, TIMEOUT).await);
}

#[tokio::test]
async fn command_runs_in_its_directory_with_its_environment_and_nothing_to_read() {
    let bench = Bench::new();
    let script = format!(
        "[ \"$PWD\" = {} ] && [ \"$ASKED\" = yes ] && [ -z \"$HOME\" ] && ! read line && echo silent && echo silent >&2",
        std::fs::canonicalize(bench.path()).unwrap().display()
    );
    assert!(succeeds(&bench, &script).await);
}

#[tokio::test]
async fn command_that_takes_too_long_is_ended_with_all_it_started() {
    let bench = Bench::new();
    let script = "echo $$ > pids; sleep 3600 & echo $! >> pids; setsid sleep 3600 & echo $! >> pids; wait";
    let begin = Instant::now();
    assert!(!bench.spawner.prober().succeeds(order(&bench, script), SHORT).await);
    assert!(begin.elapsed() < SOON);
    are_gone(&pids(&bench.path().join("pids"), 3).await).await;
}

#[tokio::test]
async fn leftovers_of_a_successful_probe_are_ended_too() {
    let bench = Bench::new();
    let script = "sleep 3600 & echo $! > pids; setsid sleep 3600 & echo $! >> pids; exit 0";
    assert!(succeeds(&bench, script).await);
    are_gone(&pids(&bench.path().join("pids"), 2).await).await;
}

#[tokio::test]
async fn question_that_is_dropped_ends_its_command() {
    let bench = Bench::new();
    let file = bench.path().join("pids");
    let prober = bench.spawner.prober();
    let asked = tokio::spawn({
        let order = order(&bench, "echo $$ > pids; sleep 3600 & echo $! >> pids; wait");
        async move { prober.succeeds(order, TIMEOUT).await }
    });
    let started = pids(&file, 2).await;
    asked.abort();
    assert!(asked.await.unwrap_err().is_cancelled());
    are_gone(&started).await;
}

#[tokio::test]
async fn question_that_is_dropped_at_once_leaves_nothing() {
    let bench = Bench::new();
    for _ in 0..20 {
        let prober = bench.spawner.prober();
        let asked = prober.succeeds(order(&bench, "echo $$ >> pids; exec sleep 3600"), TIMEOUT);
        assert!(tokio::time::timeout(Duration::from_millis(1), asked).await.is_err());
    }
    let mark = format!("LONGHAUL_PROBE={}", std::fs::canonicalize(bench.path()).unwrap().display());
    until(async || !someone_has(&mark)).await;
}

fn someone_has(mark: &str) -> bool {
    let everyone = std::fs::read_dir("/proc").unwrap().flatten();
    let environments = everyone.filter_map(|entry| std::fs::read(entry.path().join("environ")).ok());
    environments
        .into_iter()
        .any(|bytes| bytes.split(|byte| *byte == 0).any(|entry| entry.starts_with(mark.as_bytes())))
}

#[tokio::test]
async fn commands_are_waited_for_also_where_orphans_are_adopted() {
    let bench = Bench::new();
    let spawner = OsSpawner::open(OsOptions { adopt_orphans: true, ..bench.options() }).unwrap();
    let prober = spawner.prober();
    for number in 0..50 {
        let expected = number % 2 == 0;
        let script = format!("exit {}", u8::from(!expected));
        assert_eq!(prober.succeeds(order(&bench, &script), TIMEOUT).await, expected);
    }
    // Each process starts the next one, so that a new orphan appears whenever one is killed.
    let script = r#"export link='echo $$ >> pids; [ $((n -= 1)) -gt 0 ] && { n=$n setsid sh -c "$link" & }; sleep 3600 & wait'
        n=20 setsid sh -c "$link" &
        until [ "$(cat pids 2> /dev/null | wc -l)" -eq 20 ]; do sleep 0.01; done"#;
    assert!(prober.succeeds(order(&bench, script), TIMEOUT).await);
    let started = pids(&bench.path().join("pids"), 20).await;
    // Only the spawner reaps these processes.
    until(async || started.iter().all(|pid| state(*pid).is_none())).await;
}

#[tokio::test]
async fn leftovers_of_an_earlier_manager_are_ended_by_the_next_manager() {
    let bench = Bench::new();
    let attempts = std::fs::canonicalize(bench.path().join("attempts")).unwrap();
    let mut left = std::process::Command::new("sleep")
        .arg("3600")
        .env("LONGHAUL_PROBE", format!("{}#1.0", attempts.display()))
        .spawn()
        .unwrap();
    let mut other = std::process::Command::new("sleep")
        .arg("3600")
        .env("LONGHAUL_PROBE", format!("{}/other#1.0", attempts.display()))
        .spawn()
        .unwrap();
    let _prober = bench.spawner.prober();
    are_gone(&[left.id()]).await;
    assert!(state(other.id()).is_some_and(|state| state != 'Z'));
    other.kill().unwrap();
    left.wait().unwrap();
    other.wait().unwrap();
}

#[tokio::test]
async fn address_answers_only_with_a_status_of_success_or_redirection() {
    let bench = Bench::new();
    let prober = bench.spawner.prober();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    for (status, expected) in [(200, true), (399, true), (400, false), (503, false), (199, false)] {
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let got = stream.read(&mut [0; 1024]).await.unwrap();
            assert!(got > 0);
            let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        };
        let url = format!("http://localhost:{port}/health");
        let (answers, ()) = tokio::join!(prober.answers(&url, TIMEOUT), server);
        assert_eq!(answers, expected, "{status}");
    }
    drop(listener);
    assert!(!prober.answers(&format!("http://127.0.0.1:{port}/"), TIMEOUT).await);
    assert!(!prober.answers("http://no-such-host.invalid/", TIMEOUT).await);
    assert!(!prober.answers(&format!("https://127.0.0.1:{port}/"), TIMEOUT).await);
}

#[tokio::test]
async fn address_that_never_answers_is_given_up_in_time() {
    let bench = Bench::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let begin = Instant::now();
    assert!(!bench.spawner.prober().answers(&url, SHORT).await);
    assert!(begin.elapsed() >= SHORT && begin.elapsed() < SOON);
}
