//! Test programs that create processes and leave their process group or session.

#![expect(clippy::zombie_processes, reason = "a program that leaves children behind does not wait for them")]

use crate::census::{again_and_again, beside, linger, ready, tell};
use crate::system::{
    KILL, TERM, be_traced, creature, fork, fork_unseen, ignore, leave_session, parent, reap, unignore,
};
use std::io::Read;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

const GENERATION: Duration = Duration::from_millis(4);
const ZOMBIES: u32 = 50;

/// Test program that runs in its own session and ignores stop requests.
pub(crate) fn far(_: &[String]) -> i32 {
    leave_session();
    ignore(TERM);
    tell("ready", "");
    linger()
}

/// Test program that becomes a daemon in the classic way, with two forks and a new session. The first process exits
/// when the daemon is ready.
pub(crate) fn daemon(_: &[String]) -> i32 {
    if !fork() {
        wait_until_ready();
        return 0;
    }
    leave_session();
    if !fork() {
        return 0;
    }
    for output in 0..3 {
        crate::system::close(output);
    }
    ignore(TERM);
    ready();
    linger()
}

/// Test program that exits with 3 and leaves a child behind, which holds the output pipe open.
pub(crate) fn holds_output(_: &[String]) -> i32 {
    Command::new(std::env::current_exe().unwrap()).arg("far").spawn().unwrap();
    wait_until_ready();
    3
}

/// Test program that exits with 0 and leaves a child behind, which holds a TCP port open.
pub(crate) fn holds_port(_: &[String]) -> i32 {
    creature("port").spawn().unwrap();
    wait_until_ready();
    0
}

/// Test program that listens on a TCP port and reports its number to the test.
pub(crate) fn port(_: &[String]) -> i32 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    tell("port", &listener.local_addr().unwrap().port().to_string());
    far(&[])
}

/// Test program with a chain of processes. Each process starts the next process in a new session and exits; only the
/// first process keeps running.
pub(crate) fn hops(words: &[String]) -> i32 {
    ignore(TERM);
    if words.is_empty() {
        creature("hops").arg("1").spawn().unwrap();
        return linger();
    }
    leave_session();
    let generation: u32 = words.concat().parse().unwrap();
    if generation == 3 {
        ready();
    }
    std::thread::sleep(GENERATION);
    if generation < 10_000 {
        creature("hops").arg((generation + 1).to_string()).spawn().unwrap();
    }
    0
}

/// Test program with four chains of processes. Each process forks its successor and exits, so that parents change all
/// the time.
pub(crate) fn re_parents(_: &[String]) -> i32 {
    ignore(TERM);
    for _ in 0..4 {
        if fork() {
            return descend();
        }
    }
    ready();
    linger()
}

/// Test program that exits with 4 and leaves a chain of processes behind, in which each process forks its successor and
/// exits.
pub(crate) fn leaves_storm(_: &[String]) -> i32 {
    ignore(TERM);
    if fork() {
        return descend();
    }
    std::thread::sleep(Duration::from_millis(50));
    4
}

/// Test program with five processes that each fork a new child every four milliseconds.
pub(crate) fn storms(_: &[String]) -> i32 {
    ignore(TERM);
    for _ in 0..5 {
        if fork() {
            return again_and_again(|| {
                if fork() {
                    std::thread::sleep(GENERATION * 3);
                    std::process::exit(0);
                }
                reap();
                std::thread::sleep(GENERATION);
            });
        }
    }
    ready();
    linger()
}

/// Test program with three forked children, each in its own session. They never call exec.
pub(crate) fn forks_only(_: &[String]) -> i32 {
    // The children inherit the ignored signal. Otherwise TERM could end a child before the child ignores TERM.
    ignore(TERM);
    for _ in 0..3 {
        if fork() {
            return far(&[]);
        }
    }
    unignore(TERM);
    ready();
    linger()
}

/// Test program that creates children that exit immediately, and never reaps them. The program is ready when all
/// children have exited.
pub(crate) fn makes_zombies(_: &[String]) -> i32 {
    let (mut held_by_children, writer) = std::io::pipe().unwrap();
    for _ in 0..ZOMBIES {
        if fork() {
            return 0;
        }
    }
    drop(writer);
    held_by_children.read_to_end(&mut Vec::new()).unwrap();
    ready();
    linger()
}

/// Test program that starts other programs with vfork, one after the other.
pub(crate) fn vforks(_: &[String]) -> i32 {
    let mut runs = 0_u32;
    again_and_again(|| {
        Command::new("/bin/true").status().unwrap();
        runs += 1;
        if runs == 10 {
            ready();
        }
    })
}

/// Test program that leaves a child behind with another name, other arguments, no environment and its own session.
pub(crate) fn sheds_its_name(_: &[String]) -> i32 {
    if fork() {
        leave_session();
        ignore(TERM);
        let mut heir = Command::new(std::env::current_exe().unwrap());
        heir.arg0("[kworker/0:1]").arg("renamed").arg(beside("")).env_clear();
        heir.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let error = heir.exec();
        unreachable!("{error}");
    }
    linger()
}

/// The child of `sheds_its_name`. Its name imitates the fields of /proc/PID/stat, with the state of a zombie.
pub(crate) fn renamed(words: &[String]) -> i32 {
    rustix::thread::set_name(c"a) Z 1 1 1 (b").unwrap();
    std::fs::write(format!("{}.ready", words.concat()), "").unwrap();
    linger()
}

/// Test program that traces its child. The child therefore does not react to signals.
pub(crate) fn traces(_: &[String]) -> i32 {
    if fork() {
        ignore(TERM);
        be_traced();
        return linger();
    }
    if fork_unseen() {
        // Report to the test as soon as the traced child is stopped.
        let begin = std::time::Instant::now();
        while begin.elapsed() < Duration::from_secs(10) && !is_traced(parent()) {
            std::thread::sleep(GENERATION);
        }
        ready();
        return 0;
    }
    linger()
}

fn descend() -> i32 {
    let mut generation = 0_u32;
    again_and_again(|| {
        std::thread::sleep(GENERATION);
        generation += 1;
        if generation < 10_000 && !fork() {
            std::process::exit(0);
        }
    })
}

fn is_traced(parent: u32) -> bool {
    let children =
        std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    children.split_ascii_whitespace().any(|child| {
        let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('t'))
    })
}

fn wait_until_ready() {
    let begin = std::time::Instant::now();
    while !beside("ready").exists() {
        if begin.elapsed() > Duration::from_secs(20) {
            crate::system::kill_itself(KILL);
        }
        std::thread::sleep(GENERATION);
    }
}
