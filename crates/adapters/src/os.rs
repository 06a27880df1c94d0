//! Commands on this machine, each under a shim that outlives the manager.
//!
//! [`OsSpawner`] starts `longhaul-shim` once per attempt, talks to it, and stands in for it when it is killed.
//! [`OsOutput`] reads what the shims wrote. Everything about an attempt lies in `<attempts>/<process>/<n>/`; the form
//! of the files in there belongs to `longhaul-shim`.
//!
//! # Limits
//! Processor time, open files and the length of a file are limited for each process by itself (`setrlimit`), and so are
//! memory, as address space, and processes, which the kernel counts for the whole user and never refuses to root. Where
//! the controllers of cgroup v2 are delegated, memory (without swap) and processes are limited for the tree as a whole
//! instead. A command that a limit ended has that in its exit; one that was refused something and left by itself has
//! only its own code.

mod attempts;
mod cgroups;
mod examine;
mod launch;
mod link;
mod nearest;
mod nested;
mod options;
mod output;
mod pidfd;
mod procfs;
mod program;
mod reaper;
mod spawner;
mod takeover;
mod translate;
mod usage;
mod watch;

pub use options::{ContainmentChoice, OsOptions};
pub use output::OsOutput;
pub use spawner::OsSpawner;
