//! Commands on this machine, each under a shim that outlives the manager.
//!
//! [`OsSpawner`] starts `longhaul-shim` once per attempt, talks to it, and stands in for it when it is killed.
//! [`OsOutput`] reads what the shims wrote, [`OsProber`] finds out whether what runs works yet. Everything about an attempt lies in `<attempts>/<process>/<n>/`; the form
//! of the files in there belongs to `longhaul-shim`.
//!
//! # Input
//! A command that is started with a pipe reads it from the file `stdin` of its attempt, which the shim holds open, and so
//! does this program: the input ends when it is closed, or when both are killed. What was not read when the command ends
//! is lost.
//!
//! # Lease
//! Beside the directory of attempts lies the file `lease`, which says how long the lease of this node lasts, where leases
//! end. The shims of commands that run again elsewhere once the node is lost read it, and end them when it is over.
//!
//! # Looks
//! Whether a tree waits for input is told by the kernel, of which root, and the user himself where
//! `kernel.yama.ptrace_scope` is 0, sees everything. Where it is 1, a manager that has started a command sees all, and one
//! that has taken it over finds whoever reads the standard input only: line editors, which poll their terminal, are not
//! found then. Nothing is seen of processes with the rights of another user.
//!
//! # Limits
//! Processor time, open files and the length of a file are limited for each process by itself (`setrlimit`), and so are
//! memory, as address space, and processes, which the kernel counts for the whole user and never refuses to root. Where
//! the controllers of cgroup v2 are delegated, memory (without swap) and processes are limited for the tree as a whole
//! instead. A command that a limit ended has that in its exit; one that was refused something and left by itself has
//! only its own code.

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
