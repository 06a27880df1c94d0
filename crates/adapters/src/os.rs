//! Runs commands on this machine, each under a shim that outlives the manager.
//!
//! [`OsSpawner`] starts one `longhaul-shim` for each attempt and communicates with it. If the shim is killed, the
//! spawner supervises the command in its place. [`OsOutput`] reads the output that the shims wrote. [`OsTestFiles`]
//! stores test results and reads test reports. [`OsArtifacts`] copies files of ended commands. [`OsProber`] runs the
//! probes that check if a command works. All files of an attempt are in `<attempts>/<process>/<n>/`; `longhaul-shim`
//! defines their format.
//!
//! # Input
//! A command that is started with a pipe as its standard input reads from the file `stdin` of its attempt directory.
//! The shim and the manager both hold that pipe open. The input therefore ends when it is closed explicitly or when
//! both programs are killed. Input that is not read before the command ends is lost.
//!
//! # Lease
//! In clusters the file `lease`, next to the directory of attempts, contains the end of this node's lease. If the node
//! is lost, some commands run again on another node. The shims of these commands read the lease file, and stop their
//! commands when the lease ends.
//!
//! # Inspection
//! The kernel shows whether a process tree is waiting for input, subject to permissions:
//! - root can inspect every process;
//! - with `kernel.yama.ptrace_scope` 0, a user can inspect all of their own processes;
//! - with `kernel.yama.ptrace_scope` 1, the manager that started a command can inspect its whole tree. A manager that
//!   adopted the command detects only processes that read standard input. It misses line editors, because these poll
//!   their terminal;
//! - processes with the rights of another user can never be inspected.
//!
//! # Limits
//! Processor time, open files and file length are limited for each process separately (`setrlimit`). The same applies
//! to memory (as address space) and to the number of processes, which the kernel counts for the whole user and never
//! enforces for root. If the cgroup v2 controllers are delegated, memory (without swap) and processes are limited for
//! the whole tree instead. If a limit ended a command, the exit names that limit. If a command was only refused a
//! resource and then exited, the exit has only its exit code.

mod artifacts;
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
mod test_files;
mod translate;
mod usage;
mod watch;

pub use artifacts::OsArtifacts;
pub use host_survey::{HostSurvey, SupervisedAttempt, containment_here, deserted_groups, names_left};
pub use options::{ContainmentChoice, OsOptions};
pub use output::OsOutput;
pub use prober::OsProber;
pub use spawner::OsSpawner;
pub use test_files::OsTestFiles;
