//! Runs commands on this machine, each under a shim that outlives the manager.
//!
//! [`OsSpawner`] starts `longhaul-shim` once per attempt, talks to it, and takes over its work if the shim is killed.
//! [`OsOutput`] reads the output that the shims wrote. [`OsProber`] runs the probes that check if a command works.
//! All files of an attempt are in `<attempts>/<process>/<n>/`; `longhaul-shim` defines their format.
//!
//! # Input
//! A command that is started with a pipe as its standard input reads from the file `stdin` of its attempt directory.
//! The
//! shim and this program both hold that pipe open. The input therefore ends when it is closed explicitly or when both
//! are
//! killed. Input that is not read before the command ends is lost.
//!
//! # Lease
//! In clusters the file `lease`, next to the directory of attempts, contains the end of this node's lease. The shims of
//! commands that run again elsewhere after the node is lost read this file. They stop their commands when the lease
//! ends.
//!
//! # Inspection
//! The kernel reports if a tree waits for input, subject to permissions:
//! - root sees every process;
//! - with `kernel.yama.ptrace_scope` 0, a user sees all of their own processes;
//! - with `kernel.yama.ptrace_scope` 1, the manager that started a command sees all of its tree. A manager that adopted
//!   the
//!   command finds only processes that read standard input. It misses line editors, because these poll their terminal;
//! - processes with the rights of another user are never visible.
//!
//! # Limits
//! Processor time, open files and file length are limited for each process separately (`setrlimit`). The same applies
//! to
//! memory (as address space) and to the number of processes, which the kernel counts for the whole user and never
//! enforces
//! for root. If the cgroup v2 controllers are delegated, memory (without swap) and processes are limited for the whole
//! tree
//! instead. The exit of a command that was ended by a limit names that limit. A command that was only refused a
//! resource
//! and then exited has just its own exit code.

mod attempt_mark;
mod attempts;
mod cgroups;
mod examine;
mod host_survey;
mod input;
mod inspect;
mod launch;
mod lease;
mod link;
mod nearest;
mod nested;
mod options;
mod output;
mod pidfd;
mod prober;
mod procfs;
mod program;
mod reaper;
mod spawner;
mod takeover;
mod translate;
mod usage;
mod watch;

pub use host_survey::{HostSurvey, SupervisedAttempt, containment_here, deserted_groups, names_left};
pub use options::{ContainmentChoice, OsOptions};
pub use output::OsOutput;
pub use prober::OsProber;
pub use spawner::OsSpawner;
