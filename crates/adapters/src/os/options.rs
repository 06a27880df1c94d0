//! Options of the spawner.

use std::path::PathBuf;

/// Options of the spawner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OsOptions {
    /// Directory that contains the attempt directories; created if absent.
    pub attempts_dir: PathBuf,
    /// Absolute path of the program that supervises an attempt.
    pub shim: PathBuf,
    /// Milliseconds to add to the boot-time clock to get steady time.
    pub anchor_ms: i64,
    /// Identity of the machine's current boot.
    pub boot_id: String,
    /// Mechanism that groups the descendants of a command.
    pub containment: ContainmentChoice,
    /// True if this program adopts and reaps orphaned descendants.
    ///
    /// The whole program becomes a subreaper and reaps every child that it does not know. Do not use this in a library.
    pub adopt_orphans: bool,
    /// Soft limit of open files for commands whose spec has no such limit. With `None` they inherit this program's
    /// limit.
    pub open_files: Option<u64>,
}

/// Mechanism that groups the descendants of a command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ContainmentChoice {
    /// The strongest mechanism that works on this host.
    #[default]
    Auto,
    /// A control group; the start is refused if this is not possible.
    Cgroup,
    /// The shim adopts every descendant.
    Subreaper,
    /// Only the process group.
    Group,
}
