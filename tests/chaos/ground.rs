//! Where everything of a run is kept.

use crate::member::{KEYS, Member};
use longhaul_tests::Owner;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The nodes, by their names.
const NODES: [&str; 5] = ["ada", "bob", "cleo", "dan", "eve"];

/// A temporary directory, which goes with the run unless there is something to look at.
pub(crate) struct Ground {
    directory: TempDir,
    /// The user of all nodes.
    owner: Owner,
}

impl Ground {
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

    /// Where commands begin.
    pub(crate) fn work(&self) -> PathBuf {
        self.path().join("work")
    }

    /// To what commands write what they do.
    pub(crate) fn journal(&self) -> PathBuf {
        self.path().join("journal")
    }

    /// A manager for each node, on its way.
    pub(crate) fn members(&self, url: &str) -> Vec<Member> {
        let config = self.path().join("config");
        std::fs::create_dir_all(config.join("longhaul")).unwrap();
        // A manager makes the key of the cluster there.
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
