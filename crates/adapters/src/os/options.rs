//! What a spawner has to be told.

use std::path::PathBuf;

/// What a spawner has to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OsOptions {
    /// Where the directories of attempts lie; made if absent.
    pub attempts_dir: PathBuf,
    /// The program that supervises an attempt, as an absolute path.
    pub shim: PathBuf,
    /// The milliseconds that added to the boot-time clock give steady time.
    pub anchor_ms: i64,
    /// The identity of the machine's present boot.
    pub boot_id: String,
    /// What keeps the descendants of a command together.
    pub containment: ContainmentChoice,
    /// Adopt and reap what orphaned descendants leave behind.
    ///
    /// This makes the whole program a subreaper that waits for every child it does not know: not for a library.
    pub adopt_orphans: bool,
    /// The soft limit of open files for commands that name none; without it they inherit that of this program.
    pub open_files: Option<u64>,
}

/// What keeps the descendants of a command together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ContainmentChoice {
    /// The strongest that works here.
    #[default]
    Auto,
    /// A control group, else the start is refused.
    Cgroup,
    /// The shim adopts every descendant.
    Subreaper,
    /// Only the process group.
    Group,
}
