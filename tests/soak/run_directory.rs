//! The directory of a soak run. It contains the state directory, a working directory and the journal.

use longhaul_tests::{Owner, program};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The directory of a run, and the user that owns it.
#[derive(Clone, Debug)]
pub(crate) struct RunDirectory {
    root: PathBuf,
    owner: Owner,
}

impl RunDirectory {
    pub(crate) fn below(root: &Path, owner: Owner) -> Self {
        fs::create_dir(root.join("work")).unwrap();
        fs::write(root.join("serve.log"), "").unwrap();
        for name in ["", "work", "serve.log"] {
            owner.give(&root.join(name));
        }
        Self { root: root.to_owned(), owner }
    }

    /// Returns the path of the shell that runs the commands.
    pub(crate) fn shell(&self) -> String {
        self.owner.shell(&self.root).display().to_string()
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.root.join("state")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.state().join("longhaul.sock")
    }

    pub(crate) fn work(&self) -> PathBuf {
        self.root.join("work")
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.root.join("journal")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.root.join("serve.log")
    }

    /// Returns a `longhaul` command with these arguments. The command starts no manager, and its output is discarded.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.owner.command(program("longhaul"));
        for (variable, _) in std::env::vars_os() {
            if variable.to_str().is_some_and(|name| name.starts_with("LONGHAUL_")) {
                command.env_remove(variable);
            }
        }
        command
            .args(args)
            .current_dir(self.work())
            .env("LONGHAUL_STATE_DIR", self.state())
            .env("LONGHAUL_NO_AUTOSTART", "1")
            .env("XDG_CONFIG_HOME", &self.root)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }
}
