//! The directories that a chaos run uses.

use crate::member::{KEYS, Member};
use longhaul_tests::Owner;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Names of the nodes.
const NODES: [&str; 5] = ["ada", "bob", "cleo", "dan", "eve"];

/// A temporary directory that is deleted at the end of the run, unless the run has findings.
pub(crate) struct RunDirectory {
    directory: TempDir,
    /// The user that runs all nodes.
    owner: Owner,
}

impl RunDirectory {
    pub(crate) fn new(owner: Owner) -> Self {
        let directory = tempfile::Builder::new().prefix("lh-chaos-").tempdir().unwrap();
        std::fs::create_dir(directory.path().join("work")).unwrap();
        for name in ["", "work"] {
            owner.give(&directory.path().join(name));
        }
        Self { directory, owner }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Returns the working directory of the commands.
    pub(crate) fn work(&self) -> PathBuf {
        self.path().join("work")
    }

    /// Returns the path of the journal, a file that the commands write to.
    pub(crate) fn journal(&self) -> PathBuf {
        self.path().join("journal")
    }

    /// Starts a manager for each node.
    pub(crate) fn members(&self, url: &str) -> Vec<Member> {
        let config = self.path().join("config");
        std::fs::create_dir_all(config.join("longhaul")).unwrap();
        // The user of the nodes must own this directory, because a manager creates the cluster key in it.
        self.owner.give(&config.join("longhaul"));
        let limits = KEYS.map(|(key, slots)| format!("{key} = {slots}")).join(", ");
        let text = format!("store = \"{url}\"\n[keys]\nlimit = {{ {limits} }}\n");
        std::fs::write(config.join("longhaul/config.toml"), text).unwrap();
        NODES.iter().map(|name| Member::start(name, &self.path().join(name), &config, self.owner)).collect()
    }

    pub(crate) fn keep(&mut self) -> PathBuf {
        self.directory.disable_cleanup(true);
        self.path().to_owned()
    }
}
