//! Writes the pytest plugin into the state directory.

use longhaul_client::StateDir;
use longhaul_engine::test_run::PYTEST_PLUGIN;
use std::fs;
use std::io;
use std::path::Path;

/// Directory of the plugin, inside the state directory. Python finds the plugin because the directory is part of
/// `PYTHONPATH`.
const DIRECTORY: &str = "pytest";
/// Directory with the metadata of the plugin. pytest finds the plugin through the entry point in this metadata. If the
/// directory is not part of `PYTHONPATH`, pytest therefore runs without the plugin.
const DESCRIPTION: &str = "longhaul_pytest-1.dist-info";
const METADATA: &str = "Metadata-Version: 2.1\nName: longhaul-pytest\nVersion: 1\n";
const ENTRY_POINTS: &str = "[pytest11]\nlonghaul = longhaul_pytest\n";

/// Writes the files of the plugin, unless they already exist. Returns the path of the plugin's directory. Returns
/// `None` if the files cannot be written; test results then come from other sources.
///
/// The function needs no crash points: after a crash, the next manager compares each file and writes it again if it
/// differs.
pub(crate) fn install(state: &StateDir) -> Option<String> {
    let directory = state.path().join(DIRECTORY);
    match write_all(&directory) {
        Ok(()) => directory.to_str().map(str::to_owned),
        Err(error) => {
            tracing::warn!(%error, "could not write the pytest plugin; test results come from other sources");
            None
        }
    }
}

fn write_all(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory.join(DESCRIPTION))?;
    for (name, content) in [
        ("longhaul_pytest.py".to_owned(), PYTEST_PLUGIN),
        (format!("{DESCRIPTION}/METADATA"), METADATA),
        (format!("{DESCRIPTION}/entry_points.txt"), ENTRY_POINTS),
    ] {
        let path = directory.join(name);
        if fs::read(&path).is_ok_and(|present| present == content.as_bytes()) {
            continue;
        }
        // Replace the file atomically, because a Python program may be reading it.
        let draft = path.with_extension("new");
        fs::write(&draft, content)?;
        fs::rename(&draft, &path)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plugin_is_written_once_and_repaired_if_it_was_changed() {
        let directory = tempfile::tempdir().unwrap();
        write_all(directory.path()).unwrap();
        let plugin = directory.path().join("longhaul_pytest.py");
        assert_eq!(fs::read_to_string(&plugin).unwrap(), PYTEST_PLUGIN);
        let changed = fs::metadata(&plugin).unwrap().modified().unwrap();
        write_all(directory.path()).unwrap();
        assert_eq!(fs::metadata(&plugin).unwrap().modified().unwrap(), changed);
        fs::write(&plugin, "x").unwrap();
        write_all(directory.path()).unwrap();
        assert_eq!(fs::read_to_string(&plugin).unwrap(), PYTEST_PLUGIN);
    }
}
