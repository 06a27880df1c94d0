//! Commands on this machine, each under a shim that outlives the manager.
//!
//! [`OsSpawner`] starts `longhaul-shim` once per attempt, talks to it, and stands in for it when it is killed.
//! [`OsOutput`] reads what the shims wrote. Everything about an attempt lies in `<attempts>/<process>/<n>/`; the form
//! of the files in there belongs to `longhaul-shim`.

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
mod watch;

pub use options::{ContainmentChoice, OsOptions};
pub use output::OsOutput;
pub use spawner::OsSpawner;
