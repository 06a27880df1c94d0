//! The user that runs the programs of a test run. Some defects are visible only for an ordinary user, because the
//! kernel hides from ordinary users what root can see.

use crate::program;
use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_res_gid, set_thread_res_uid};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// User id of the ordinary user. No other files or programs on the machine should belong to this user.
pub const USER: u32 = 47_017;

/// The user that runs the programs of a test run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The user that runs the tests.
    Same,
    /// [`USER`].
    Ordinary,
}

impl Owner {
    /// Returns the user for a run number. Odd runs use the ordinary user, if the tests run as root and an ordinary user
    /// may execute the programs. All other runs use the user of the tests.
    #[must_use]
    pub fn of_run(number: u64) -> Self {
        let is_possible = || rustix::process::geteuid().is_root() && is_open_to_all(&program("longhaul"));
        if number % 2 == 1 && is_possible() { Self::Ordinary } else { Self::Same }
    }

    /// Returns the owner of a file, or the user of the tests if the file does not exist.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        let is_ordinary = fs::metadata(path).is_ok_and(|found| found.uid() == USER);
        if is_ordinary && rustix::process::geteuid().is_root() { Self::Ordinary } else { Self::Same }
    }

    /// Returns a command that runs as this user.
    #[must_use]
    pub fn command(self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        if self == Self::Ordinary {
            command.uid(USER).gid(USER);
        }
        command
    }

    /// Runs the function `act` in this thread as this user. An example is a connection to a manager, which accepts only
    /// its own user.
    ///
    /// # Panics
    /// If the system refuses to change the user.
    #[expect(clippy::unwrap_used, reason = "a test cannot continue without its environment")]
    pub fn act<T>(self, act: impl FnOnce() -> T) -> T {
        if self == Self::Same {
            return act();
        }
        // The saved ids remain those of root, so that the thread can become root again.
        set_thread_res_gid(Gid::ROOT, Gid::from_raw(USER), Gid::ROOT).unwrap();
        set_thread_res_uid(Uid::ROOT, Uid::from_raw(USER), Uid::ROOT).unwrap();
        let done = act();
        set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT).unwrap();
        set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT).unwrap();
        done
    }

    /// Changes the owner of a file or directory to this user.
    ///
    /// # Panics
    /// If the path does not exist.
    #[expect(clippy::unwrap_used, reason = "a test cannot continue without its environment")]
    pub fn give(self, path: &Path) {
        if self == Self::Ordinary {
            chown(path, Some(USER), Some(USER)).unwrap();
        }
    }

    /// Returns the path of a shell for the commands of this user. For the ordinary user, this is a copy of the shell
    /// that the user may execute but not read. The kernel then hides details of its processes from the manager.
    ///
    /// # Panics
    /// If the copy cannot be made.
    #[must_use]
    #[expect(clippy::unwrap_used, reason = "a test cannot continue without its environment")]
    pub fn shell(self, directory: &Path) -> PathBuf {
        if self == Self::Same {
            return "sh".into();
        }
        let shell = directory.join("unreadable-sh");
        if !shell.exists() {
            fs::copy("/bin/sh", &shell).unwrap();
            fs::set_permissions(&shell, fs::Permissions::from_mode(0o711)).unwrap();
        }
        shell
    }
}

fn is_open_to_all(program: &Path) -> bool {
    let may_pass =
        |path: &Path| fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o001 != 0);
    program.ancestors().all(may_pass)
}
