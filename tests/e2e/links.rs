//! A symbolic link that an attacker places in the state directory must not make the manager write to the target of the
//! link.

use longhaul_tests::Home;
use std::collections::BTreeSet;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

/// Kernel setting that makes the kernel refuse to follow some symbolic links.
const GUARD: &str = "/proc/sys/fs/protected_symlinks";

/// Names in the state directory that are directories. All other names are files and sockets.
const DIRECTORIES: [&str; 2] = ["attempts", "environments"];

/// Names of temporary files in the state directory, including those of SQLite.
const DRAFTS: [&str; 10] = [
    "clock.tmp",
    "last_node.tmp",
    "last_store.tmp",
    "location.tmp",
    "longhaul.db-journal",
    "longhaul.db.new",
    "longhaul.db.state.tmp",
    "mcp.secret.new",
    "state_id.tmp",
    "store_mark.tmp",
];

/// Switches off the link protection of the kernel while the value exists, if the test may do so.
struct Unguarded(Option<String>);

impl Unguarded {
    fn now() -> Self {
        let before = fs::read_to_string(GUARD).unwrap_or_default();
        if before.trim() == "0" {
            return Self(None);
        }
        match fs::write(GUARD, "0") {
            Ok(()) => Self(Some(before)),
            Err(error) => {
                eprintln!("NOT ALL OF THIS TEST WAS RUN: {GUARD} cannot be set to 0 ({error})");
                Self(None)
            }
        }
    }
}

impl Drop for Unguarded {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = fs::write(GUARD, before);
        }
    }
}

#[test]
fn no_file_planted_in_a_state_directory_leads_out_of_it() {
    let _unguarded = Unguarded::now();
    let mut names: BTreeSet<String> = names_of_a_whole_run().into_iter().collect();
    assert!(names.len() > 12 && names.contains("attempts") && names.contains("manager.log"), "{names:?}");
    // Add the names of temporary files, which exist only for a moment.
    names.extend(DRAFTS.map(str::to_owned));
    for name in names {
        let home = Home::new();
        DirBuilder::new().mode(0o700).create(home.state()).unwrap();
        let out = home.work().join("out");
        let (absent, empty) = (out.join("absent"), out.join("empty"));
        fs::create_dir_all(&empty).unwrap();
        let target = if DIRECTORIES.contains(&name.as_str()) { &empty } else { &absent };
        symlink(target, home.state().join(&name)).unwrap();
        // The manager may replace the link and start, or it may refuse to start.
        let answer = home.run(&["run", "--", "true"]);
        home.end_manager("-TERM");
        assert!(!absent.exists(), "{name} was created at the target of the link: {answer:?}");
        assert_eq!(everything_in(&empty), Vec::<PathBuf>::new(), "{name} was followed: {answer:?}");
    }
}

/// Returns the names of the files that a manager creates directly in its state directory.
fn names_of_a_whole_run() -> Vec<String> {
    let home = Home::new();
    let _ = home.ok(&["run", "--", "true"]);
    let _ = home.ok(&["token"]);
    let entries = fs::read_dir(home.state()).unwrap().flatten();
    entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

fn everything_in(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).unwrap().flatten().map(|entry| entry.path()).collect()
}
