//! Options of the spawner.

use std::path::PathBuf;

/// Options of the spawner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OsOptions {
    /// Directory that contains the attempt directories. It is created if it does not exist.
    pub attempts_dir: PathBuf,
    /// Absolute path of the shim program, which supervises an attempt.
    pub shim: PathBuf,
    /// Milliseconds to add to the boot-time clock to get steady time.
    pub anchor_ms: i64,
    /// Identity of the machine's current boot.
    pub boot_id: String,
    /// Mechanism that groups the descendants of a command.
    pub containment: ContainmentChoice,
    /// True if this program adopts and reaps orphaned descendants.
    ///
    /// The whole program becomes a subreaper, and reaps every child that no task of the spawner is waiting for. Do not
    /// use this option in a library.
    pub adopt_orphans: bool,
    /// Soft limit of open files for commands whose spec does not limit open files. If `None`, these commands inherit
    /// the limit of this program.
    pub open_files: Option<u64>,
}

/// Mechanism that groups the descendants of a command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ContainmentChoice {
    /// The strongest mechanism that works on this host.
    #[default]
    Auto,
    /// A control group. If it cannot be created, the start is refused.
    Cgroup,
    /// The shim becomes a subreaper and adopts every descendant.
    Subreaper,
    /// Only the process group of the command.
    Group,
}
