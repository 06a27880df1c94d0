//! Checks that durable steps, such as a sync or a rename, have failpoints.

use crate::sources::lines_before_tests;
use crate::workspace::Source;
use std::fmt;

/// Folders that are searched for durable steps.
const FOLDERS: [&str; 3] = ["crates/shim/src/", "crates/adapters/src/", "crates/app/src/"];

/// Durable steps: calls that make data durable, or that give a file its final name.
const STEPS: [&str; 9] = [
    ".sync_all()",
    ".sync_data()",
    "fsync(",
    "fdatasync(",
    "rename(",
    "renameat(",
    "\"COMMIT\"",
    "transaction.commit()",
    "wal_checkpoint",
];

/// Texts that show that a line passes a failpoint: a macro, or a local function with a failpoint for each of its steps.
const POINTS: [&str; 4] = ["failpoint!(", "crashpoint!(", "tried(name", ".before_"];

/// Maximum number of lines between a failpoint and the durable step that it belongs to.
const BESIDE: usize = 4;

/// Durable steps that have no failpoint of their own: the file, the line, and the reason.
const EXCEPTIONS: [(&str, &str, &str); 11] = [
    ("crates/shim/src/attempt_directory.rs", "Ok(rustix::fs::renameat(", "the callers have the point"),
    ("crates/adapters/src/durable.rs", "File::open(path)?.sync_all()", "the callers have the points"),
    (
        "crates/shim/src/output/offset.rs",
        "directory.rename(TEMP_NAME, name)?",
        "output need not be durable, and files are rotated only where no holes can be punched",
    ),
    (
        "crates/app/src/log.rs",
        "std::fs::rename(path, aside)?",
        "the log is rotated, and no promise depends on it",
    ),
    ("crates/app/src/compose/shared.rs", "RedisStore::rename(", "the server does it in one step"),
    (
        "crates/adapters/src/system/environment_store.rs",
        "fs::rename(state_dir.join(FORMER_DIRECTORY)",
        "the next start repeats the rename of the directory of an earlier program",
    ),
    ("crates/adapters/src/redis/", "rename", "the server does it in one step"),
    ("crates/adapters/src/postgres/", "COMMIT", "the server does it in one step"),
    (
        "crates/app/src/store_mark.rs",
        "fs::rename(&left",
        "a loss stays reported until the mark is written, after this",
    ),
    (
        "crates/adapters/src/os/test_files.rs",
        "rename",
        "test results need not be durable; the record contains the most important ones",
    ),
    (
        "crates/app/src/pytest_plugin.rs",
        "fs::rename(&draft",
        "the next manager compares the files and writes them again",
    ),
];

/// A durable step without a failpoint, so that no test can inject a crash at this step.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Breach {
    path: String,
    line: usize,
    step: &'static str,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, step } = self;
        write!(f, "{path}:{line} has {step} without a crash point in the {BESIDE} lines above")
    }
}

/// Finds every durable step without a failpoint.
pub(crate) fn breaches(sources: &[Source]) -> Vec<Breach> {
    let of_the_product = |source: &&Source| {
        FOLDERS.iter().any(|folder| source.path.starts_with(folder)) && !source.path.ends_with("/tests.rs")
    };
    sources.iter().filter(of_the_product).flat_map(breaches_of).collect()
}

fn breaches_of(source: &Source) -> Vec<Breach> {
    let lines: Vec<&str> = source.text.lines().take(lines_before_tests(source)).collect();
    let mut breaches = Vec::new();
    for (at, code) in lines.iter().enumerate().filter(|(_, code)| !is_prose(code)) {
        let Some(step) = STEPS.iter().find(|step| makes(code, step)) else {
            continue;
        };
        let above = lines.get(at.saturating_sub(BESIDE)..=at).unwrap_or_default();
        let has_point = above.iter().any(|line| POINTS.iter().any(|point| line.contains(point)));
        let is_known =
            EXCEPTIONS.iter().any(|(path, text, _)| source.path.starts_with(path) && code.contains(text));
        if !has_point && !is_known {
            breaches.push(Breach { path: source.path.clone(), line: at + 1, step });
        }
    }
    breaches
}

fn is_prose(code: &str) -> bool {
    let code = code.trim_start();
    code.starts_with("//") || code.starts_with("use ") || code.contains("fn ")
}

/// Returns true if the line calls the durable step itself. Returns false if it only contains a longer name that ends
/// like the step.
fn makes(code: &str, step: &str) -> bool {
    code.match_indices(step).any(|(at, _)| {
        let before = code.get(..at).and_then(|before| before.chars().next_back());
        !step.starts_with(char::is_alphabetic) || before.is_none_or(|letter| !is_of_a_name(letter))
    })
}

fn is_of_a_name(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_without_a_point_is_reported() {
        for step in STEPS {
            let code = format!("fn keep() {{\n    file{step};\n}}\n");
            let code = code.replace("file\"COMMIT\"", "run(\"COMMIT\")");
            let code = if step.starts_with('.') { code } else { code.replace("file", "") };
            assert_eq!(reported("crates/adapters/src/x.rs", &code).len(), 1, "{step}");
        }
    }

    #[test]
    fn step_behind_its_point_is_not_reported() {
        let near = "failpoint!(\"x.sync\")?;\nlet file = open()?;\nfile.sync_all()?;\n";
        assert_eq!(reported("crates/app/src/x.rs", near), [""; 0]);
        let far = format!("failpoint!(\"x.sync\")?;\n{}file.sync_all()?;\n", "work();\n".repeat(BESIDE));
        assert_eq!(reported("crates/app/src/x.rs", &far).len(), 1);
    }

    #[test]
    fn tests_and_other_crates_are_not_checked() {
        let tests = "#[cfg(test)]\nmod tests {\n    file.sync_all();\n}\n";
        assert_eq!(reported("crates/shim/src/x.rs", tests), [""; 0]);
        assert_eq!(reported("crates/cli/src/x.rs", "file.sync_all();\n"), [""; 0]);
        let between = "#[cfg(test)]\nuse std::fs;\n\nfn keep() {\n    file.sync_all();\n}\n";
        assert_eq!(reported("crates/shim/src/x.rs", between).len(), 1);
    }

    #[test]
    fn every_exception_is_still_needed() {
        let workspace = crate::workspace::Workspace::read().unwrap();
        for (path, text, _) in EXCEPTIONS {
            let is_there = |source: &Source| source.path.starts_with(path) && source.text.contains(text);
            assert!(workspace.sources.iter().any(is_there), "{path} does not contain {text} any more");
        }
    }

    fn reported(path: &str, text: &str) -> Vec<String> {
        let source = Source { path: path.to_owned(), text: text.to_owned() };
        breaches(&[source]).iter().map(Breach::to_string).collect()
    }
}
